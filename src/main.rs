//! The `shardback` program: parses the command line, calls the library, prints, and exits.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
