//! The `shardback` program: hands its arguments to the command line of the library, and exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    shardback::cli::run(std::env::args_os()).into()
}
