// A driver for a device that is not there: memory is the host's, and kernels are the C++ form of the real ones.
//
// It is lazy: what is submitted to a stream runs when somebody waits for it, so what is used too early is found missing, and
// what is changed too early is found changed. With FAKE_CUDA_EAGER it runs at once. Copies have to stay inside allocations.
//
//   FAKE_CUDA_FAIL      CALL:CODE, or CALL:CODE@N from the N-th call on, from 1
//   FAKE_CUDA_VERSION, FAKE_CUDA_DEVICES, FAKE_CUDA_CAPABILITY   as the driver says them; 12080, 1 and 90
//   FAKE_CUDA_MEMORY    the most bytes of device memory; FAKE_CUDA_PINNED of pinned memory
//   FAKE_CUDA_WRONG     kernels do nothing
//   FAKE_CUDA_NO_JIT    there is no compiler for PTX; FAKE_CUDA_NO_BINARY  machine code is of other devices
//   FAKE_CUDA_LOG       a file that gets a line for each launch and each wait

#include "shim.h"

#include "gather_pad.cu"

#include <functional>
#include <map>
#include <mutex>
#include <stdio.h>
#include <stdlib.h>
#include <string>
#include <vector>

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    STUB_LIBRARY = 34,
    INVALID_CONTEXT = 201,
    NO_BINARY_FOR_GPU = 209,
    JIT_COMPILER_NOT_FOUND = 221,
    NOT_FOUND = 500,
    STREAM_CAPTURE_UNSUPPORTED = 900,
};

typedef void (*Kernel)(const Source, const Batch);
typedef std::vector<std::function<void()>> Stream;
struct Module {
    std::string image;
    bool binary, loaded;
};
struct Function {
    const Module *module;
    Kernel kernel;
};
struct Event {
    Stream *stream;
    // How many of the stream's submissions it stands behind.
    size_t place;
};

static std::recursive_mutex lock;
static std::map<uint64_t, size_t> device_memory, pinned_memory;
static size_t device_bytes, pinned_bytes;
static Stream default_stream;
static std::vector<Stream *> streams = {&default_stream};
static char context;
static thread_local void *current;
// As FAKE_CUDA_MEMORY, for one thread.
static thread_local long memory_of_thread = 1L << 40;
extern "C" void fake_cuda_memory(long bytes) { memory_of_thread = bytes; }
// For one thread: whether another one records a graph, and whether a call of this one has spoilt that.
static thread_local bool captured_elsewhere, spoilt;
static thread_local unsigned capture_mode;
extern "C" int fake_cuda_capture(int on) {
    captured_elsewhere = on;
    const int was = spoilt;
    spoilt = false;
    return was;
}

static const std::pair<const char *, Kernel> KERNELS[] = {
    {"gather_pad_i32_i32_u8", gather_pad_i32_i32_u8},   {"gather_pad_i32_i32_i32", gather_pad_i32_i32_i32},
    {"gather_pad_i32_i64_u8", gather_pad_i32_i64_u8},   {"gather_pad_i32_i64_i64", gather_pad_i32_i64_i64},
    {"gather_pad_i64_i32_u8", gather_pad_i64_i32_u8},   {"gather_pad_i64_i32_i32", gather_pad_i64_i32_i32},
    {"gather_pad_i64_i64_u8", gather_pad_i64_i64_u8},   {"gather_pad_i64_i64_i64", gather_pad_i64_i64_i64},
};

static long setting(const char *name, long otherwise) {
    const char *value = getenv(name);
    return value ? atol(value) : otherwise;
}

// The code that this call is to fail with, or 0.
static int failure(const char *call) {
    static std::map<std::string, long> calls;
    const char *setting = getenv("FAKE_CUDA_FAIL");
    const std::string wanted = setting ? setting : "";
    const size_t colon = wanted.find(':'), at = wanted.find('@');
    if (colon == std::string::npos || wanted.substr(0, colon) != call) return SUCCESS;
    const long from = at == std::string::npos ? 1 : atol(wanted.c_str() + at + 1);
    return ++calls[call] >= from ? atoi(wanted.c_str() + colon + 1) : SUCCESS;
}

static void tell(const char *what, const void *stream) {
    if (const char *path = getenv("FAKE_CUDA_LOG"))
        if (FILE *log = fopen(path, "a")) {
            fprintf(log, "%s %p\n", what, stream);
            fclose(log);
        }
}

static bool inside(const std::map<uint64_t, size_t> &memory, uint64_t address, size_t bytes) {
    auto next = memory.upper_bound(address);
    if (next == memory.begin()) return false;
    auto [start, length] = *--next;
    return address - start <= length && bytes <= length - (address - start);
}

static void work(Stream &stream, size_t upto) {
    for (size_t i = 0; i < upto && i < stream.size(); i++) {
        if (stream[i]) stream[i]();
        stream[i] = nullptr;
    }
}

static int submit(Stream *stream, std::function<void()> job) {
    Stream &queue = stream ? *stream : default_stream;
    queue.push_back(job);
    if (getenv("FAKE_CUDA_EAGER")) work(queue, queue.size());
    return SUCCESS;
}

// Every call: may fail by request, and but for the first ones needs the context.
#define CALL(name, ...)                                                                                                \
    extern "C" int name(__VA_ARGS__) {                                                                                 \
        std::lock_guard<std::recursive_mutex> guard(lock);                                                             \
        if (int code = failure(#name)) return code;
#define NEEDS_CONTEXT                                                                                                  \
    if (current != &context) return INVALID_CONTEXT;
// What the driver refuses while another thread records, but to a thread whose mode is relaxed.
#define UNSAFE_BESIDE_CAPTURES                                                                                         \
    if (captured_elsewhere && capture_mode != 2) return spoilt = true, STREAM_CAPTURE_UNSUPPORTED;

#ifdef STUB
CALL(cuInit, unsigned) return STUB_LIBRARY; }
#else
CALL(cuInit, unsigned) return SUCCESS; }
#endif
CALL(cuThreadExchangeStreamCaptureMode, unsigned *mode) std::swap(*mode, capture_mode); return SUCCESS; }
CALL(cuDriverGetVersion, int *version) *version = setting("FAKE_CUDA_VERSION", 12080); return SUCCESS; }
CALL(cuDeviceGetCount, int *count) *count = setting("FAKE_CUDA_DEVICES", 1); return SUCCESS; }
CALL(cuDeviceGet, int *device, int number) *device = number; return SUCCESS; }
CALL(cuDeviceGetName, char *name, int length, int) snprintf(name, length, "Fake GPU"); return SUCCESS; }
CALL(cuDeviceGetAttribute, int *value, int attribute, int)
    const int capability = setting("FAKE_CUDA_CAPABILITY", 90);
    *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : 0;
    return SUCCESS;
}
CALL(cuDevicePrimaryCtxRetain, void **made, int) *made = &context; return SUCCESS; }
CALL(cuDevicePrimaryCtxRelease_v2, int) return SUCCESS; }
CALL(cuCtxGetCurrent, void **bound) *bound = current; return SUCCESS; }
CALL(cuCtxSetCurrent, void *wanted) current = wanted; return SUCCESS; }
CALL(cuCtxSynchronize, void) NEEDS_CONTEXT UNSAFE_BESIDE_CAPTURES
    for (Stream *stream : streams) work(*stream, stream->size());
    return SUCCESS;
}
CALL(cuModuleLoadData, Module **module, const char *image) NEEDS_CONTEXT
    // A fatbin has a header that says how long it and what follows it are; PTX is a string.
    struct { uint32_t magic; uint16_t version, header; uint64_t size; } fatbin;
    memcpy(&fatbin.magic, image, sizeof(fatbin.magic));
    const bool binary = fatbin.magic == 0xBA55ED50;
    if (getenv(binary ? "FAKE_CUDA_NO_BINARY" : "FAKE_CUDA_NO_JIT")) return binary ? NO_BINARY_FOR_GPU : JIT_COMPILER_NOT_FOUND;
    if (binary) memcpy(&fatbin, image, sizeof(fatbin));
    tell(binary ? "binary" : "ptx", nullptr);
    *module = new Module{binary ? std::string(image, fatbin.header + fatbin.size) : std::string(image), binary, true};
    return SUCCESS;
}
// Its memory stays: a kernel that was submitted before looks whether it is still there.
CALL(cuModuleUnload, Module *module) NEEDS_CONTEXT module->loaded = false; return SUCCESS; }
CALL(cuModuleGetFunction, const Function **function, const Module *module, const char *name) NEEDS_CONTEXT
    const std::string entry = module->binary ? std::string(".text.") + name + '\0' : std::string(".entry ") + name + "(";
    if (module->image.find(entry) == std::string::npos) return NOT_FOUND;
    for (const auto &[known, kernel] : KERNELS)
        if (!strcmp(known, name)) return *function = new Function{module, kernel}, SUCCESS;
    return NOT_FOUND;
}
CALL(cuLaunchKernel, const Function *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y,
     unsigned threads_z, unsigned shared, Stream *stream, void **parameters, void **) NEEDS_CONTEXT
    if (x < 1 || y != 1 || z != 1 || threads != THREADS || threads_y != 1 || threads_z != 1 || shared) return INVALID_VALUE;
    const Source source = *(const Source *)parameters[0];
    const Batch batch = *(const Batch *)parameters[1];
    tell("launch", stream);
    return submit(stream, [=] {
        if (function->module->loaded && !getenv("FAKE_CUDA_WRONG")) run(function->kernel, x, THREADS, source, batch);
    });
}
CALL(cuStreamCreate, Stream **stream, unsigned) NEEDS_CONTEXT
    streams.push_back(*stream = new Stream);
    return SUCCESS;
}
CALL(cuStreamDestroy_v2, Stream *) NEEDS_CONTEXT return SUCCESS; }
CALL(cuStreamSynchronize, Stream *stream) NEEDS_CONTEXT UNSAFE_BESIDE_CAPTURES
    Stream &queue = stream ? *stream : default_stream;
    tell("wait", stream);
    work(queue, queue.size());
    return SUCCESS;
}
CALL(cuEventCreate, Event **event, unsigned) NEEDS_CONTEXT *event = new Event{nullptr, 0}; return SUCCESS; }
CALL(cuEventDestroy_v2, Event *event) delete event; return SUCCESS; }
CALL(cuEventRecord, Event *event, Stream *stream) NEEDS_CONTEXT
    event->stream = stream ? stream : &default_stream;
    event->place = event->stream->size();
    return SUCCESS;
}
CALL(cuEventSynchronize, Event *event) NEEDS_CONTEXT
    if (event->stream) work(*event->stream, event->place);
    return SUCCESS;
}
// Only the benchmark asks for the time, and copies on the device.
CALL(cuEventElapsedTime, float *milliseconds, Event *, Event *) NEEDS_CONTEXT *milliseconds = 1; return SUCCESS; }
CALL(cuMemcpyDtoDAsync_v2, uint64_t to, uint64_t from, size_t bytes, Stream *stream) NEEDS_CONTEXT
    if (!inside(device_memory, to, bytes) || !inside(device_memory, from, bytes)) return INVALID_VALUE;
    return submit(stream, [=] { memcpy((void *)to, (const void *)from, bytes); });
}
CALL(cuMemAlloc_v2, uint64_t *address, size_t bytes) NEEDS_CONTEXT UNSAFE_BESIDE_CAPTURES
    if (!bytes) return INVALID_VALUE;
    if (device_bytes + bytes > (size_t)setting("FAKE_CUDA_MEMORY", memory_of_thread)) return OUT_OF_MEMORY;
    void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset(memory, 0xAB, bytes);
    device_memory[*address = (uint64_t)memory] = bytes;
    device_bytes += bytes;
    return SUCCESS;
}
CALL(cuMemFree_v2, uint64_t address) NEEDS_CONTEXT UNSAFE_BESIDE_CAPTURES
    if (!device_memory.count(address)) return INVALID_VALUE;
    memset((void *)address, 0xEF, device_memory[address]);
    device_bytes -= device_memory[address];
    device_memory.erase(address);
    free((void *)address);
    return SUCCESS;
}
CALL(cuMemGetInfo_v2, size_t *available, size_t *total) NEEDS_CONTEXT
    *total = setting("FAKE_CUDA_MEMORY", memory_of_thread);
    *available = *total > device_bytes ? *total - device_bytes : 0;
    return SUCCESS;
}
CALL(cuMemHostAlloc, void **memory, size_t bytes, unsigned flags) NEEDS_CONTEXT UNSAFE_BESIDE_CAPTURES
    if (!bytes || flags) return INVALID_VALUE;
    if (pinned_bytes + bytes > (size_t)setting("FAKE_CUDA_PINNED", 1L << 40)) return OUT_OF_MEMORY;
    *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    pinned_memory[(uint64_t)*memory] = bytes;
    pinned_bytes += bytes;
    return SUCCESS;
}
CALL(cuMemFreeHost, void *memory) NEEDS_CONTEXT UNSAFE_BESIDE_CAPTURES
    if (!pinned_memory.count((uint64_t)memory)) return INVALID_VALUE;
    pinned_bytes -= pinned_memory[(uint64_t)memory];
    pinned_memory.erase((uint64_t)memory);
    free(memory);
    return SUCCESS;
}
CALL(cuMemcpyHtoDAsync_v2, uint64_t to, const void *from, size_t bytes, Stream *stream) NEEDS_CONTEXT
    if (!inside(device_memory, to, bytes)) return INVALID_VALUE;
    if (inside(pinned_memory, (uint64_t)from, bytes)) return submit(stream, [=] { memcpy((void *)to, from, bytes); });
    // Pageable memory is read before the call returns.
    const std::string staged((const char *)from, bytes);
    return submit(stream, [=] { memcpy((void *)to, staged.data(), bytes); });
}
CALL(cuMemcpyDtoHAsync_v2, void *to, uint64_t from, size_t bytes, Stream *stream) NEEDS_CONTEXT
    if (!inside(device_memory, from, bytes)) return INVALID_VALUE;
    // To pageable memory the copy is waited for.
    const bool pinned = inside(pinned_memory, (uint64_t)to, bytes);
    submit(stream, [=] { memcpy(to, (const void *)from, bytes); });
    Stream &queue = stream ? *stream : default_stream;
    if (!pinned) work(queue, queue.size());
    return SUCCESS;
}
