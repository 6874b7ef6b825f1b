// What of CUDA the kernel uses, in C++. The threads of a block run one after the other, up to each barrier: a kernel says by
// EACH_THREAD what they do between two of them, and has no shuffles.
// Vectors have their alignment, so that the sanitizer sees a store that has not.

#pragma once

#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __shared__ static thread_local
#define __launch_bounds__(...)

struct Index {
    unsigned x;
};
static thread_local Index threadIdx, blockIdx;

struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};

static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

template <typename T> static inline T __ldg(const T *from) { return *from; }

static inline uint32_t __funnelshift_r(uint32_t low, uint32_t high, uint32_t shift) {
    return (uint32_t)(((uint64_t)high << 32 | low) >> (shift & 31));
}

static thread_local unsigned block_threads;
#define EACH_THREAD(work)                                                                                              \
    for (threadIdx.x = 0; threadIdx.x < block_threads; threadIdx.x++) work
static inline void __syncthreads() {}

// Runs a kernel's blocks, one after the other.
template <typename Kernel, typename... Arguments>
static void run(Kernel kernel, unsigned blocks, unsigned threads, const Arguments &...arguments) {
    block_threads = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) kernel(arguments...);
}
