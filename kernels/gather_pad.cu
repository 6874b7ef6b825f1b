// Jagged rows to padded ones: each row's history copied into a row of fixed length, with zeros behind it.
//
//   Source   items, types:    . . [7 3 9 9 1] . .      all histories, each newest first; windows may overlap
//            starts, lengths: row -> (2, 5)
//   Batch    items:           [7 3 9 9 1 0 0 0]        one row per number, or the first rows in order
//
// A warp writes a row at a time and strides over the rows; there is no barrier and no shared memory. A column of a row is
// cut so that nearly all of it is stored 16 bytes at a time, whatever element the row begins at, and so that nothing is loaded
// or compared where there is only padding:
//
//   | head | values | values | values | mixed | zeros | zeros | zeros | tail |
//
// Values and zeros are stored 16 bytes a lane; head, mixed and tail, each shorter than a warp, one element a lane.
//
// A column whose address is null is not written. Positions inside a row have 32 bits, all others 64.
//
// `src/gather/cuda/enabled/kernel.rs` is the twin: structs, names and THREADS are the same there. The tests compile this file as
// C++ as well (`tests/it/cuda/shim.h`), thread after thread, so it must stay free of barriers and shuffles.

#include <stdint.h>

constexpr int THREADS = 256;
constexpr int WARP = 32;
constexpr int STORE_BYTES = 16;
// How many stores a lane loads for before it waits. More hide more of the memory's latency, and take registers, so that fewer
// warps run at once; with one, all that a multiprocessor has room for do.
#ifndef PACKS_IN_FLIGHT
#define PACKS_IN_FLIGHT 1
#endif
// Blocks that a multiprocessor shall have room for: the registers follow from it.
#ifndef BLOCKS_AT_ONCE
#define BLOCKS_AT_ONCE 8
#endif

// What rows are gathered from: N rows that are windows into A actions. Every window lies inside the actions.
struct Source {
    const void *items;       // [A] i32 or i64
    const uint8_t *types;    // [A]
    const int64_t *starts;   // [N]
    const int32_t *lengths;  // [N]
    const void *item_ids;    // [N], as items
    const uint8_t *is_order; // [N]
    int64_t rows;            // N
};

// Which rows, and where they go.
struct Batch {
    const int64_t *numbers; // [B], or null: the first B rows in order
    int64_t count;          // B
    int64_t history;        // K, the length of a padded row
    void *items;            // [B, K] i32 or i64
    void *types;            // [B, K] u8, or as items
    void *item_ids;         // [B], as items
    uint8_t *is_order;      // [B]
    int32_t *lengths;       // [B]: how much of the padded row is no padding
};

// 16 bytes of elements, stored at once.
template <typename Out> union Pack {
    Out elements[STORE_BYTES / sizeof(Out)];
    uint4 words;
};

// Reads the elements of a pack from any element onwards.
template <typename In, typename Out> __device__ __forceinline__ void load(const In *from, Pack<Out> &pack) {
#pragma unroll
    for (int i = 0; i < STORE_BYTES / (int)sizeof(Out); i++) pack.elements[i] = (Out)__ldg(from + i);
}

// Bytes come in aligned words that are shifted together: a word is read only if a wanted byte is in it.
__device__ __forceinline__ void load(const uint8_t *from, Pack<uint8_t> &pack) {
    const uint32_t *word = (const uint32_t *)((uint64_t)from & ~(uint64_t)3);
    const uint32_t shift = ((uint32_t)(uint64_t)from & 3) * 8;
    uint32_t words[STORE_BYTES / 4 + 1];
#pragma unroll
    for (int i = 0; i < STORE_BYTES / 4; i++) words[i] = __ldg(word + i);
    words[STORE_BYTES / 4] = shift != 0 ? __ldg(word + STORE_BYTES / 4) : 0;
    pack.words = make_uint4(__funnelshift_r(words[0], words[1], shift), __funnelshift_r(words[1], words[2], shift),
                            __funnelshift_r(words[2], words[3], shift), __funnelshift_r(words[3], words[4], shift));
}

// Elements of a column from `first` on, fewer than there are lanes: values, then zeros, one a lane.
template <typename In, typename Out>
__device__ __forceinline__ void pad_some(const In *values, int32_t length, Out *row, int32_t first, int32_t count, int lane) {
    const int32_t place = first + lane;
    if (lane < count) row[place] = place < length ? (Out)__ldg(values + place) : (Out)0;
}

// One column of one row: `length` values, then zeros up to `history`. A warp's lanes share the row.
template <typename In, typename Out>
__device__ __forceinline__ void pad(const In *values, int32_t length, Out *row, int32_t history, int lane) {
    constexpr int32_t PER_STORE = STORE_BYTES / (int32_t)sizeof(Out);
    const int32_t unaligned = (int32_t)((0u - (uint32_t)(uint64_t)row) % STORE_BYTES) / (int32_t)sizeof(Out);
    const int32_t head = unaligned < history ? unaligned : history;
    const int32_t stores = (history - head) / PER_STORE;
    // Those that hold nothing but values, from the first on.
    const int32_t whole = length > head ? (length - head) / PER_STORE : 0;
    const int32_t full = whole < stores ? whole : stores;
    uint4 *const packs = (uint4 *)(row + head);
    // Stores that wait for nothing go first.
#pragma unroll 1
    for (int32_t store = full + 1 + lane; store < stores; store += WARP) __stcs(packs + store, make_uint4(0, 0, 0, 0));
    const In *const from = values + head;
#pragma unroll 1
    for (int32_t store = lane; store < full; store += PACKS_IN_FLIGHT * WARP) {
        Pack<Out> pack[PACKS_IN_FLIGHT];
        // All loads are under way before the first is waited for.
#pragma unroll
        for (int i = 0; i < PACKS_IN_FLIGHT; i++)
            if (i == 0 || store + i * WARP < full) load(from + (int64_t)(store + i * WARP) * PER_STORE, pack[i]);
#pragma unroll
        for (int i = 0; i < PACKS_IN_FLIGHT; i++)
            if (i == 0 || store + i * WARP < full) __stcs(packs + store + i * WARP, pack[i].words);
    }
    const int32_t mixed = head + full * PER_STORE, tail = head + stores * PER_STORE;
    pad_some(values, length, row, 0, head, lane);
    if (full < stores) pad_some(values, length, row, mixed, PER_STORE, lane);
    pad_some(values, length, row, tail, history - tail, lane);
}

template <typename Stored, typename Item, typename Type>
__device__ __forceinline__ void gather_pad(const Source &source, const Batch &batch) {
    const int lane = threadIdx.x % WARP;
    const int64_t warps = (int64_t)gridDim.x * (THREADS / WARP);
    // The host has refused more.
    const int32_t history = (int32_t)batch.history;
    for (int64_t at = (int64_t)blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP; at < batch.count; at += warps) {
        const int64_t row = batch.numbers ? __ldg(batch.numbers + at) : at;
        const bool known = row >= 0 && row < source.rows;
        const int64_t start = known ? __ldg(source.starts + row) : 0;
        const int32_t stored = known ? __ldg(source.lengths + row) : 0;
        // What is looked up by the row's number is asked for together, and stored at the end.
        Stored item_id = 0;
        uint8_t is_order = 0;
        if (lane == 0 && known) {
            if (batch.item_ids) item_id = __ldg((const Stored *)source.item_ids + row);
            if (batch.is_order) is_order = __ldg(source.is_order + row);
        }
        const int32_t length = stored < history ? stored : history;
        const int64_t place = at * history;
        if (batch.items) pad((const Stored *)source.items + start, length, (Item *)batch.items + place, history, lane);
        if (batch.types) pad(source.types + start, length, (Type *)batch.types + place, history, lane);
        if (lane == 0) {
            if (batch.item_ids) ((Item *)batch.item_ids)[at] = (Item)item_id;
            if (batch.is_order) batch.is_order[at] = is_order;
            if (batch.lengths) batch.lengths[at] = length;
        }
    }
}

// gather_pad_{stored items}_{written items}_{written types}
#define KERNEL(name, Stored, Item, Type)                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE) name(const Source source, const Batch batch) {               \
        gather_pad<Stored, Item, Type>(source, batch);                                                                 \
    }

KERNEL(gather_pad_i32_i32_u8, int32_t, int32_t, uint8_t)
KERNEL(gather_pad_i32_i32_i32, int32_t, int32_t, int32_t)
KERNEL(gather_pad_i32_i64_u8, int32_t, int64_t, uint8_t)
KERNEL(gather_pad_i32_i64_i64, int32_t, int64_t, int64_t)
KERNEL(gather_pad_i64_i32_u8, int64_t, int32_t, uint8_t)
KERNEL(gather_pad_i64_i32_i32, int64_t, int32_t, int32_t)
KERNEL(gather_pad_i64_i64_u8, int64_t, int64_t, uint8_t)
KERNEL(gather_pad_i64_i64_i64, int64_t, int64_t, int64_t)
