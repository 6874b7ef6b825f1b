//! Padding: from windows to rows of K items and types, in memory. Per row, and per byte of the padded rows.

use criterion::{BenchmarkId, Criterion, Throughput};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use shardback::event::NULL_TIME;
use shardback::gather::Cpu;
use shardback::histories::{Values, Window};

/// K, as builds have it.
const HISTORY: usize = 1000;
/// Mean lengths of histories: mostly padding, some of it, and none at all.
const MEAN_LENGTHS: [u64; 3] = [100, 300, 1000];
/// Rows of one customer, which read the same values: a slate's.
const ROWS_PER_CUSTOMER: usize = 10;
/// So many that even the shortest histories, 5 MB together, outgrow the cache of a core.
const CUSTOMERS: usize = 10_000;
/// 4 MiB of items: what the dense writer pads at a time.
const ROWS_AT_A_TIME: usize = (4 << 20) / (HISTORY * size_of::<i32>());

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gather");
    for mean in MEAN_LENGTHS {
        let (values, windows) = histories(mean);
        let mut items = vec![0i32; ROWS_AT_A_TIME * HISTORY];
        let mut types = vec![0u8; ROWS_AT_A_TIME * HISTORY];
        let bytes = windows.len() * HISTORY * (size_of::<i32>() + size_of::<u8>());
        group.throughput(Throughput::ElementsAndBytes { elements: windows.len() as u64, bytes: bytes as u64 });
        group.bench_function(BenchmarkId::new("mean length", mean), |bencher| {
            bencher.iter(|| {
                for windows in windows.chunks(ROWS_AT_A_TIME) {
                    Cpu::pad(&values.items, windows, HISTORY, &mut items[..windows.len() * HISTORY]).unwrap();
                    Cpu::pad(&values.types, windows, HISTORY, &mut types[..windows.len() * HISTORY]).unwrap();
                }
            });
        });
    }
    group.finish();
}

/// Histories of a mean length, and for each row its window: lengths are spread evenly, and none is longer than K.
fn histories(mean: u64) -> (Values<i32>, Vec<Window>) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(mean);
    let spread = mean.min(HISTORY as u64 - mean);
    let mut windows = Vec::with_capacity(CUSTOMERS * ROWS_PER_CUSTOMER);
    let mut start = 0;
    for _ in 0..CUSTOMERS {
        let length = random.random_range(mean - spread..=mean + spread);
        windows.extend([Window { start, newest: NULL_TIME, length }; ROWS_PER_CUSTOMER]);
        start += length;
    }
    let items = (0..start).map(|_| random.random_range(1..300_000)).collect();
    let types = (0..start).map(|_| random.random_range(1..=3)).collect();
    (Values { items, types, columns: Vec::new() }, windows)
}
