//! The benchmark's program runs, and checks what it measures: on a driver that is not one, so its numbers say nothing.

#[path = "../../../benches/cuda/check.rs"]
mod check;
#[path = "../../../benches/cuda/measure.rs"]
mod measure;

use super::{driver, jagged, pieces};
use measure::Sizes;

/// Sizes that take no time.
const SMALL: Sizes = Sizes {
    rows_per_customer: 10,
    customers: 40,
    history: 50,
    lengths: &[10, 50],
    batches: &[16, 400],
    bytes: 1 << 16,
    host_rows: 400,
    repeats: 3,
    group: 3,
    groups: 3,
};

/// Each measurement has its line, with numbers in it.
#[test]
fn the_benchmark_prints_its_table() {
    // No room for more than 2^31 elements, which is said.
    driver::limit_memory(1 << 30);
    let table = measure::table(&SMALL).unwrap();
    let numbers = |line: &&str| line.split_whitespace().filter(|word| word.parse::<f64>().is_ok()).count();
    assert!(table.starts_with("device: Fake GPU, "), "{table}");
    let (on_device, host) = table.split_once("from host to host").unwrap();
    assert_eq!(on_device.lines().filter(|line| numbers(line) == 5).count(), 12, "{table}");
    assert!(table.contains("\nnot checked: more than 2^31 elements, which takes 11 GiB; "), "{table}");
    assert_eq!(host.lines().filter(|line| numbers(line) == 5).count(), 2, "{table}");
    assert!(!table.contains("NaN") && !table.contains("inf"), "{table}");
}
