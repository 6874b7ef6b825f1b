// Jagged rows to padded ones: each row's history copied into a row of fixed length, with zeros behind it.
//
//   Source   items, types:    . . [7 3 9 9 1] . .      all histories, each newest first; windows may overlap
//            rows:            row -> (2, 5, …)         where the history begins, its length, the item shown, the label
//   Batch    items:           [7 3 9 9 1 0 0 0]        one row per number, or the first rows in order
//
// A block writes a tile: some rows that stand one after the other in the batch. Its threads first look the rows up, a row each, and
// then fill one column of the tile after the other. Rows without a gap are one run of elements, which is stored in packs of 16
// bytes that begin on lines of the cache, whatever element the tile begins at:
//
//   | edge | values | values | values and zeros | zeros | edge | values | …
//
// An edge belongs to two rows, or only in part to the tile; it is stored element by element. What is written at a time lies close
// together, which memory is fastest at. Neighbouring warps change places from step to step, so that those at the ends of rows, where there
// are only zeros, take their share of the loads.
//
// A column whose address is null is not written. Positions inside a tile have 32 bits, all others 64.
//
// `src/gather/cuda/enabled/kernel.rs` is the twin: structs, names, THREADS, and what a tile may be are the same there. The tests
// compile this file as C++ as well (`tests/it/cuda/shim.h`), thread after thread up to each barrier.

#include <stdint.h>

constexpr int THREADS = 256;
constexpr int WARP = 32;
constexpr int STORE_BYTES = 16;
constexpr int LINE_BYTES = 128;
// How many packs a thread loads before it waits for the first: more hide more of the memory's latency, and take registers, so that
// fewer threads run at once.
#ifndef PACKS_IN_FLIGHT
#define PACKS_IN_FLIGHT 2
#endif
// Blocks that a multiprocessor shall have room for: the registers follow from it.
#ifndef BLOCKS_AT_ONCE
#define BLOCKS_AT_ONCE 6
#endif
// What each thread of a block does before a barrier, or behind it.
#ifndef EACH_THREAD
#define EACH_THREAD(work) work
#endif

// What rows are gathered from: N rows that are windows into A actions. Every window lies inside the actions.
struct Source {
    const void *items;    // [A] i32 or i64
    const uint8_t *types; // [A]
    const void *rows;     // [N] rows, as items
    int64_t count;        // N
};

// Which rows, and where they go.
struct Batch {
    const int64_t *numbers; // [B], or null: the first B rows in order
    int64_t count;          // B
    int64_t history;        // K, the length of a padded row
    int64_t tile;           // the rows of a tile, at most THREADS; a tile has fewer elements than 31 bits count
    void *items;            // [B, K] i32 or i64
    void *types;            // [B, K] u8, or as items
    void *item_ids;         // [B], as items
    uint8_t *is_order;      // [B]
    int32_t *lengths;       // [B]: how much of the padded row is no padding
};

// All that is known of a row, in one place, since rows are looked up in any order.
template <typename Item> struct Row;
template <> struct alignas(16) Row<int32_t> {
    int64_t start;
    uint32_t length_and_label; // the label is the highest bit
    int32_t item;
};
template <> struct Row<int64_t> {
    int64_t start;
    int64_t item;
    uint32_t length_and_label;
    uint32_t unused;
};

// A row of the tile: where its values begin, and how many are written.
struct Window {
    int64_t start;
    int32_t length;
};

// 16 bytes of elements, stored at once.
template <typename Out> union Pack {
    Out elements[STORE_BYTES / sizeof(Out)];
    uint4 words;
};

// Reads a row in one go.
__device__ __forceinline__ Row<int32_t> read(const Row<int32_t> *from) {
    const uint4 words = __ldg((const uint4 *)from);
    return {(int64_t)((uint64_t)words.y << 32 | words.x), words.z, (int32_t)words.w};
}

__device__ __forceinline__ Row<int64_t> read(const Row<int64_t> *from) {
    const int64_t *const words = (const int64_t *)from;
    return {__ldg(words), __ldg(words + 1), (uint32_t)__ldg(words + 2), 0};
}

// Brings bytes to the cache that all multiprocessors share, before threads ask for them one after the other. Where that is no
// instruction, threads wait longer.
__device__ __forceinline__ void fetch(const void *from, uint64_t bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    const uint64_t address = (uint64_t)__cvta_generic_to_global(from);
    const uint64_t begin = address & ~(uint64_t)(STORE_BYTES - 1);
    const uint32_t size = (uint32_t)((address + bytes - begin + STORE_BYTES - 1) & ~(uint64_t)(STORE_BYTES - 1));
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(begin), "r"(size));
#else
    (void)from, (void)bytes;
#endif
}

// Reads the first `count` elements of a pack from any element onwards; behind them are zeros.
template <typename In, typename Out> __device__ __forceinline__ void load(const In *from, int32_t count, Pack<Out> &pack) {
    constexpr int32_t PER_STORE = STORE_BYTES / (int32_t)sizeof(Out);
    pack.words = make_uint4(0, 0, 0, 0);
    if (count >= PER_STORE) {
#pragma unroll
        for (int i = 0; i < PER_STORE; i++) pack.elements[i] = (Out)__ldg(from + i);
    } else {
#pragma unroll
        for (int i = 0; i < PER_STORE - 1; i++)
            if (i < count) pack.elements[i] = (Out)__ldg(from + i);
    }
}

// Bytes come in aligned words that are shifted together: a word is read only if a wanted byte is in it.
__device__ __forceinline__ void load(const uint8_t *from, int32_t count, Pack<uint8_t> &pack) {
    constexpr int WORDS = STORE_BYTES / 4;
    const uint32_t *const word = (const uint32_t *)((uint64_t)from & ~(uint64_t)3);
    const int32_t before = (int32_t)((uint32_t)(uint64_t)from & 3);
    const int32_t read = before + (count < STORE_BYTES ? count : STORE_BYTES);
    uint32_t words[WORDS + 1], wanted[WORDS];
#pragma unroll
    for (int i = 0; i <= WORDS; i++) words[i] = 4 * i < read ? __ldg(word + i) : 0;
#pragma unroll
    for (int i = 0; i < WORDS; i++) {
        const int32_t left = count - 4 * i;
        const uint32_t mask = left >= 4 ? ~0u : left <= 0 ? 0u : (1u << 8 * left) - 1;
        wanted[i] = __funnelshift_r(words[i], words[i + 1], 8 * before) & mask;
    }
    pack.words = make_uint4(wanted[0], wanted[1], wanted[2], wanted[3]);
}

// A pack that belongs to two rows, or only in part to the tile: from element `first` of the tile on, which is at `place` of `row`.
template <typename In, typename Out>
__device__ __noinline__ void store_edge(const In *values, Out *out, int32_t first, int32_t row, int32_t place, int32_t total,
                                        int32_t history, const Window *windows) {
#pragma unroll 1
    for (int32_t i = 0; i < STORE_BYTES / (int32_t)sizeof(Out) && first + i < total; i++, place++) {
        const int32_t element = first + i;
        // Before the tile.
        if (element < 0) continue;
        if (place == history) row++, place = 0;
        const Window window = windows[row];
        out[element] = place < window.length ? (Out)__ldg(values + window.start + place) : (Out)0;
    }
}

// One column of a tile: `rows` rows of `history` elements, one after the other from `out` on.
template <typename In, typename Out>
__device__ __forceinline__ void fill(const In *values, Out *out, int32_t rows, int32_t history, const Window *windows) {
    constexpr int32_t PER_STORE = STORE_BYTES / (int32_t)sizeof(Out), WARPS = THREADS / WARP;
    const int32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int32_t total = rows * history;
    const float rows_per_element = 1.0f / (float)history;
    // Elements before the tile that its first line has.
    const int32_t lead = (int32_t)((uint64_t)out % LINE_BYTES) / (int32_t)sizeof(Out);
    const int32_t packs = (int32_t)(((int64_t)lead + total + PER_STORE - 1) / PER_STORE);
    uint4 *const target = (uint4 *)(out - lead);
    const auto pack_of = [=](int32_t step) { return step * THREADS + (warp + 3 * step) % WARPS * WARP + lane; };
#pragma unroll 1
    for (int32_t step = 0; step * THREADS < packs; step += PACKS_IN_FLIGHT) {
        Pack<Out> pack[PACKS_IN_FLIGHT];
        bool is_whole[PACKS_IN_FLIGHT];
        // All loads are under way before the first is waited for.
#pragma unroll
        for (int i = 0; i < PACKS_IN_FLIGHT; i++) {
            const int32_t number = pack_of(step + i);
            is_whole[i] = false;
            if (number >= packs) continue;
            const int32_t element = (int32_t)((uint32_t)number * PER_STORE - lead);
            // At most one too low or too high: a tile of several rows has few elements.
            int32_t row = (int32_t)((float)element * rows_per_element);
            int32_t place = element - row * history;
            if (place < 0) row--, place += history;
            else if (place >= history) row++, place -= history;
            is_whole[i] = row >= 0 && row < rows && place <= history - PER_STORE;
            if (is_whole[i]) {
                const Window window = windows[row];
                load(values + window.start + place, window.length - place, pack[i]);
            } else if (element > -PER_STORE && element < total) {
                if (element < 0) row = 0, place = element;
                store_edge(values, out, element, row, place, total, history, windows);
            }
        }
#pragma unroll
        for (int i = 0; i < PACKS_IN_FLIGHT; i++)
            if (is_whole[i]) target[pack_of(step + i)] = pack[i].words;
    }
}

// Looks a row of the tile up, each thread another one, and writes what a row has one of.
template <typename Stored, typename Item>
__device__ __forceinline__ void look_up(const Source &source, const Batch &batch, int64_t first, int32_t rows, Window *windows) {
    if ((int32_t)threadIdx.x >= rows) return;
    const int64_t at = first + threadIdx.x;
    const int64_t number = batch.numbers ? __ldg(batch.numbers + at) : at;
    Row<Stored> row = {};
    if (number >= 0 && number < source.count) row = read((const Row<Stored> *)source.rows + number);
    const int32_t stored = (int32_t)(row.length_and_label & INT32_MAX);
    const int32_t length = stored < batch.history ? stored : (int32_t)batch.history;
    if (length > 0) {
        if (batch.items) fetch((const Stored *)source.items + row.start, length * sizeof(Stored));
        if (batch.types) fetch(source.types + row.start, length);
    }
    windows[threadIdx.x] = {row.start, length};
    if (batch.item_ids) ((Item *)batch.item_ids)[at] = (Item)row.item;
    if (batch.is_order) batch.is_order[at] = (uint8_t)(row.length_and_label >> 31);
    if (batch.lengths) batch.lengths[at] = length;
}

template <typename Stored, typename Item, typename Type>
__device__ __forceinline__ void pad(const Source &source, const Batch &batch, int64_t first, int32_t rows, const Window *windows) {
    const int32_t history = (int32_t)batch.history;
    const int64_t place = first * history;
    if (batch.items) fill((const Stored *)source.items, (Item *)batch.items + place, rows, history, windows);
    if (batch.types) fill(source.types, (Type *)batch.types + place, rows, history, windows);
}

// gather_pad_{stored items}_{written items}_{written types}: a block a tile.
#define KERNEL(name, Stored, Item, Type)                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE) name(const Source source, const Batch batch) { \
        __shared__ Window windows[THREADS];                                                                            \
        const int64_t first = blockIdx.x * batch.tile, left = batch.count - first;                                     \
        const int32_t rows = (int32_t)(left < batch.tile ? left : batch.tile);                                         \
        EACH_THREAD((look_up<Stored, Item>(source, batch, first, rows, windows)));                                     \
        __syncthreads();                                                                                               \
        EACH_THREAD((pad<Stored, Item, Type>(source, batch, first, rows, windows)));                                   \
    }

KERNEL(gather_pad_i32_i32_u8, int32_t, int32_t, uint8_t)
KERNEL(gather_pad_i32_i32_i32, int32_t, int32_t, int32_t)
KERNEL(gather_pad_i32_i64_u8, int32_t, int64_t, uint8_t)
KERNEL(gather_pad_i32_i64_i64, int32_t, int64_t, int64_t)
KERNEL(gather_pad_i64_i32_u8, int64_t, int32_t, uint8_t)
KERNEL(gather_pad_i64_i32_i32, int64_t, int32_t, int32_t)
KERNEL(gather_pad_i64_i64_u8, int64_t, int64_t, uint8_t)
KERNEL(gather_pad_i64_i64_i64, int64_t, int64_t, int64_t)
