//! Padding on a CUDA device: checked against the processor, then measured. `cargo bench --features cuda --bench cuda`
//!
//! Needs a device, about 12 GiB of its memory, and some minutes of nobody else using it.

mod measure;

use std::process::ExitCode;

fn main() -> ExitCode {
    match measure::table(&measure::Sizes::FULL) {
        Ok(table) => {
            println!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
