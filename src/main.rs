//! The `shardback` program: parses the command line, calls the library, prints, and exits.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to the person who runs it")]

mod cli;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
