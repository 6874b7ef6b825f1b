// Runs the kernel on cases from stdin and writes the batches to stdout; compiled with sanitizers.
//
// A case is a header of 64-bit numbers and the arrays that `Case` names, in its order. Every array has an allocation of its own, so
// that the sanitizer sees a read or write outside of it; batches are poisoned, so that an element that is not written shows.

#include "shim.h"

#include "gather_pad.cu"

#include <initializer_list>
#include <stdio.h>
#include <stdlib.h>

struct Case {
    int64_t kernel;  // as in `KERNELS`
    int64_t actions; // A
    int64_t rows;    // N
    int64_t count;   // B
    int64_t history; // K
    int64_t numbers; // whether there are row numbers
    int64_t shift;   // how many elements the padded columns begin behind a multiple of 16 bytes
    int64_t blocks;
};

struct Kernel {
    void (*run)(const Source, const Batch);
    int stored, item, type;
};

static const Kernel KERNELS[] = {
    {gather_pad_i32_i32_u8, 4, 4, 1}, {gather_pad_i32_i32_i32, 4, 4, 4}, {gather_pad_i32_i64_u8, 4, 8, 1},
    {gather_pad_i32_i64_i64, 4, 8, 8}, {gather_pad_i64_i32_u8, 8, 4, 1}, {gather_pad_i64_i32_i32, 8, 4, 4},
    {gather_pad_i64_i64_u8, 8, 8, 1}, {gather_pad_i64_i64_i64, 8, 8, 8},
};

static uint8_t *poisoned(size_t bytes) {
    void *memory;
    if (posix_memalign(&memory, 16, bytes)) exit(2);
    return (uint8_t *)memset(memory, 0xAB, bytes);
}

static void take(void *to, size_t bytes) {
    if (fread(to, 1, bytes, stdin) != bytes) exit(2);
}

// An array from stdin. The kernel reads bytes in words, so arrays end with a word, as a device's allocations do.
static void *array(size_t bytes) {
    uint8_t *memory = poisoned((bytes + 3) / 4 * 4);
    take(memory, bytes);
    return memory;
}

// A column to write that begins some bytes into an allocation, and ends with it.
static uint8_t *column(size_t bytes, size_t shift) {
    return poisoned(shift + bytes) + shift;
}

static void give(uint8_t *column, size_t bytes, size_t shift) {
    for (size_t i = 1; i <= shift; i++)
        if (column[-(long)i] != 0xAB) exit(3);
    fwrite(column, 1, bytes, stdout);
    free(column - shift);
}

int main() {
    // The twin in Rust has these, too.
    const int64_t sizes[] = {THREADS, sizeof(Source), sizeof(Batch)};
    fwrite(sizes, sizeof(sizes), 1, stdout);
    Case c;
    while (fread(&c, sizeof(c), 1, stdin) == 1) {
        const Kernel &kernel = KERNELS[c.kernel];
        Source source;
        source.items = array(c.actions * kernel.stored);
        source.types = (const uint8_t *)array(c.actions);
        source.starts = (const int64_t *)array(c.rows * 8);
        source.lengths = (const int32_t *)array(c.rows * 4);
        source.item_ids = array(c.rows * kernel.stored);
        source.is_order = (const uint8_t *)array(c.rows);
        source.rows = c.rows;
        const size_t padded = c.count * c.history;
        Batch batch;
        batch.numbers = c.numbers ? (const int64_t *)array(c.count * 8) : nullptr;
        batch.count = c.count;
        batch.history = c.history;
        batch.items = column(padded * kernel.item, c.shift * kernel.item);
        batch.types = column(padded * kernel.type, c.shift * kernel.type);
        batch.item_ids = column(c.count * kernel.item, 0);
        batch.is_order = column(c.count, 0);
        batch.lengths = (int32_t *)column(c.count * 4, 0);
        run(kernel.run, c.blocks, THREADS, source, batch);
        give((uint8_t *)batch.items, padded * kernel.item, c.shift * kernel.item);
        give((uint8_t *)batch.types, padded * kernel.type, c.shift * kernel.type);
        give((uint8_t *)batch.item_ids, c.count * kernel.item, 0);
        give(batch.is_order, c.count, 0);
        give((uint8_t *)batch.lengths, c.count * 4, 0);
        for (const void *memory : {source.items, (const void *)source.types, (const void *)source.starts,
                                   (const void *)source.lengths, source.item_ids, (const void *)source.is_order,
                                   (const void *)batch.numbers})
            free((void *)memory);
    }
    fflush(stdout);
    return 0;
}
