//! Padding on a CUDA device: checked against the processor, then measured. `cargo bench --features cuda --bench cuda`
//!
//! Needs a device, about 12 GiB of its memory, and some minutes in which nobody else uses it. With `-- --check` it is only checked,
//! with `-- --check small` without what takes `compute-sanitizer` minutes.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what the program is for")]

mod check;
#[path = "../../tests/it/cuda/jagged.rs"]
mod jagged;
mod measure;
#[path = "../../tests/it/cuda/pieces.rs"]
mod pieces;

use std::process::ExitCode;

/// What the numbers in `docs/benchmarks.md` are measured with.
const SIZES: measure::Sizes = measure::Sizes {
    rows_per_customer: 10,
    customers: 100_000,
    history: 1000,
    lengths: &[100, 300, 600, 1000],
    batches: &[1_024, 8_192, 65_536, 1_000_000],
    bytes: 1 << 30,
    host_rows: 200_000,
    repeats: 7,
    group: 20,
    groups: 5,
};

fn main() -> ExitCode {
    let given = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    let said = match given("--check") {
        true => measure::checked(given("small")).map(|(_, said)| said),
        false => measure::table(&SIZES),
    };
    match said {
        Ok(said) => {
            print!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
