// Runs the kernel on cases from stdin and writes the batches to stdout; compiled with sanitizers.
//
// A case is a header of 64-bit numbers and the arrays that `Case` names, in its order. Every array has an allocation of its own, so
// that the sanitizer sees a read or write outside of it; batches are poisoned, so that an element that is not written shows.

#include "shim.h"

#include "gather_pad.cu"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <vector>

struct Case {
    int64_t kernel;  // as in `KERNELS`
    int64_t actions; // A
    int64_t rows;    // N
    int64_t count;   // B
    int64_t history; // K
    int64_t numbers; // whether there are row numbers
    int64_t shift;   // how many elements the padded columns begin behind a multiple of 16 bytes
    int64_t tile;    // rows
    int64_t before;  // how many actions come before those that are given, in memory that must not be touched
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

// An array from stdin. The kernel reads bytes in words, so arrays end with a word, as a device's allocations do. What comes before it
// takes no memory, so that it can be more than 32 bits count.
struct Array {
    size_t before, bytes;
    uint8_t *memory;

    explicit Array(size_t bytes, size_t before = 0) : before(before), bytes((bytes + 3) / 4 * 4) {
        if (before) {
            memory = (uint8_t *)mmap(nullptr, before + this->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            const size_t untouched = before / 4096 * 4096;
            if (memory == MAP_FAILED) exit(2);
            if (mprotect(memory + untouched, before + this->bytes - untouched, PROT_READ | PROT_WRITE)) exit(2);
        } else {
            memory = poisoned(this->bytes);
        }
        take(memory + before, bytes);
    }
    Array(const Array &) = delete;
    ~Array() {
        if (before) munmap(memory, before + bytes);
        else free(memory);
    }

    template <typename T> operator T *() const { return (T *)memory; }
};

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
    const int64_t sizes[] = {THREADS, sizeof(Source), sizeof(Batch), sizeof(Row<int32_t>), sizeof(Row<int64_t>)};
    fwrite(sizes, sizeof(sizes), 1, stdout);
    Case c;
    while (fread(&c, sizeof(c), 1, stdin) == 1) {
        const Kernel &kernel = KERNELS[c.kernel];
        const Array items(c.actions * kernel.stored, c.before * kernel.stored), types(c.actions, c.before);
        const Array starts(c.rows * 8), lengths(c.rows * 4), item_ids(c.rows * kernel.stored), is_order(c.rows);
        const Array numbers(c.numbers ? c.count * 8 : 0);
        std::vector<Row<int32_t>> narrow;
        std::vector<Row<int64_t>> wide;
        for (int64_t row = 0; row < c.rows; row++) {
            const int64_t start = ((const int64_t *)starts)[row] + c.before;
            const uint32_t length = ((const int32_t *)lengths)[row], label = ((const uint8_t *)is_order)[row];
            if (kernel.stored == 4) narrow.push_back({start, label << 31 | length, ((const int32_t *)item_ids)[row]});
            else wide.push_back({start, ((const int64_t *)item_ids)[row], label << 31 | length, 0});
        }
        const void *const rows = kernel.stored == 4 ? (const void *)narrow.data() : (const void *)wide.data();
        const Source source = {items, types, rows, c.rows};
        const size_t padded = c.count * c.history;
        Batch batch;
        batch.numbers = c.numbers ? (const int64_t *)numbers : nullptr;
        batch.count = c.count;
        batch.history = c.history;
        batch.tile = c.tile;
        batch.items = column(padded * kernel.item, c.shift * kernel.item);
        batch.types = column(padded * kernel.type, c.shift * kernel.type);
        batch.item_ids = column(c.count * kernel.item, 0);
        batch.is_order = column(c.count, 0);
        batch.lengths = (int32_t *)column(c.count * 4, 0);
        run(kernel.run, (c.count + c.tile - 1) / c.tile, THREADS, source, batch);
        give((uint8_t *)batch.items, padded * kernel.item, c.shift * kernel.item);
        give((uint8_t *)batch.types, padded * kernel.type, c.shift * kernel.type);
        give((uint8_t *)batch.item_ids, c.count * kernel.item, 0);
        give(batch.is_order, c.count, 0);
        give((uint8_t *)batch.lengths, c.count * 4, 0);
    }
    fflush(stdout);
    return 0;
}
