// Jagged rows to padded ones: each row's history copied into a row of fixed length, with zeros behind it.
//
//   Source   items, types:    . . [7 3 9 9 1] . .      all histories, each newest first; windows may overlap
//            starts, lengths: row -> (2, 5)
//   Batch    items:           [7 3 9 9 1 0 0 0]        one row per number, or the first rows in order
//
// A warp writes a row at a time and strides over the rows; there is no barrier and no shared memory. Rows are written with
// stores of 16 bytes between a head and a tail of single elements, so rows may begin at any element. A column whose
// address is null is not written.
//
// `src/gather/cuda/enabled/kernel.rs` is the twin: structs, names and THREADS are the same there. The tests compile this file as
// C++ as well (`tests/it/cuda/shim.h`), thread after thread, so it must stay free of barriers and shuffles.

#include <stdint.h>

constexpr int THREADS = 256;
constexpr int WARP = 32;
constexpr int STORE_BYTES = 16;

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
    const uint32_t shift = ((uint64_t)from & 3) * 8;
    uint32_t low = __ldg(word);
    uint32_t shifted[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const uint32_t high = i < 3 || shift != 0 ? __ldg(word + i + 1) : 0;
        shifted[i] = __funnelshift_r(low, high, shift);
        low = high;
    }
    pack.words = make_uint4(shifted[0], shifted[1], shifted[2], shifted[3]);
}

// One column of one row: `length` values, then zeros up to `history`. A warp's lanes share the row.
template <typename In, typename Out>
__device__ __forceinline__ void pad(const In *values, int64_t length, Out *row, int64_t history, int lane) {
    constexpr int PER_STORE = STORE_BYTES / (int)sizeof(Out);
    const int64_t unaligned = ((STORE_BYTES - ((uint64_t)row & (STORE_BYTES - 1))) & (STORE_BYTES - 1)) / sizeof(Out);
    const int64_t head = unaligned < history ? unaligned : history;
    const int64_t stores = (history - head) / PER_STORE;
    const int64_t tail = head + stores * PER_STORE;
    // Both are shorter than a store, so there are fewer of them than lanes.
    if (lane < head) row[lane] = lane < length ? (Out)__ldg(values + lane) : (Out)0;
    if (lane < history - tail) row[tail + lane] = tail + lane < length ? (Out)__ldg(values + tail + lane) : (Out)0;
    // Enough warps run at once to hide the loads; unrolled it only takes more registers.
#pragma unroll 1
    for (int64_t store = lane; store < stores; store += WARP) {
        const int64_t first = head + store * PER_STORE;
        Pack<Out> pack;
        if (first + PER_STORE <= length) {
            load(values + first, pack);
        } else {
#pragma unroll
            for (int i = 0; i < PER_STORE; i++)
                pack.elements[i] = first + i < length ? (Out)__ldg(values + first + i) : (Out)0;
        }
        __stcs((uint4 *)(row + first), pack.words);
    }
}

template <typename Stored, typename Item, typename Type>
__device__ __forceinline__ void gather_pad(const Source &source, const Batch &batch) {
    const int lane = threadIdx.x % WARP;
    const int64_t warps = (int64_t)gridDim.x * (THREADS / WARP);
    for (int64_t at = (int64_t)blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP; at < batch.count; at += warps) {
        const int64_t row = batch.numbers ? __ldg(batch.numbers + at) : at;
        const bool known = row >= 0 && row < source.rows;
        const int64_t start = known ? __ldg(source.starts + row) : 0;
        const int64_t whole = known ? __ldg(source.lengths + row) : 0;
        const int64_t length = whole < batch.history ? whole : batch.history;
        const int64_t place = at * batch.history;
        if (batch.items)
            pad((const Stored *)source.items + start, length, (Item *)batch.items + place, batch.history, lane);
        if (batch.types) pad(source.types + start, length, (Type *)batch.types + place, batch.history, lane);
        if (lane == 0) {
            if (batch.item_ids)
                ((Item *)batch.item_ids)[at] = known ? (Item)__ldg((const Stored *)source.item_ids + row) : (Item)0;
            if (batch.is_order) batch.is_order[at] = known ? __ldg(source.is_order + row) : 0;
            if (batch.lengths) batch.lengths[at] = (int32_t)length;
        }
    }
}

// gather_pad_{stored items}_{written items}_{written types}
#define KERNEL(name, Stored, Item, Type)                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS) name(const Source source, const Batch batch) {               \
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
