// What of CUDA the kernel uses, in C++: threads run one after the other, so only kernels without barriers and shuffles do.
// Vectors have their alignment, so that the sanitizer sees a store that has not.

#pragma once

#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct Index {
    unsigned x;
};
static thread_local Index threadIdx, blockIdx, gridDim;

struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};

static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

template <typename T> static inline T __ldg(const T *from) { return *from; }

static inline void __stcs(uint4 *to, uint4 words) { *to = words; }

static inline uint32_t __funnelshift_r(uint32_t low, uint32_t high, uint32_t shift) {
    return (uint32_t)(((uint64_t)high << 32 | low) >> (shift & 31));
}

// Runs a kernel's threads.
template <typename Kernel, typename... Arguments>
static void run(Kernel kernel, unsigned blocks, unsigned threads, const Arguments &...arguments) {
    gridDim.x = blocks;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) kernel(arguments...);
}
