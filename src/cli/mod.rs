//! The command line: typed arguments, one file a command. Uses the library's public API only.
//!
//! Here and not beside the program, because the Python package's console script is the same command line.

mod build;
mod check;
mod clean;
mod demo;
mod exit;
mod generate;
mod inspect;
mod interrupt;
mod places;
mod print;
mod progress;
mod report;
mod shell;
mod stores;
mod tables;
mod text;
mod verify;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use shardback::error::spell_options;

use exit::Exit;

/// Turns event logs into training tensors: for every impression, the customer's last actions as they stood when its day
/// began, or at its own time.
#[derive(Parser)]
#[command(name = "shardback", version, max_term_width = 120, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Build(Box<build::Arguments>),
    Check(Box<check::Arguments>),
    Inspect(inspect::Arguments),
    Report(report::Arguments),
    Verify(verify::Arguments),
    Clean(clean::Arguments),
    Generate(generate::Arguments),
    Demo(demo::Arguments),
    Completions(shell::CompletionsArguments),
    Man(shell::ManArguments),
}

/// Has the allocator keep what is freed for what is asked for next. Otherwise large blocks go back to the system, which clears them again
/// page by page when they are wanted once more.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // Both, since either one alone stops the allocator from finding a limit of its own: blocks above it are always the system's.
    for (name, bytes) in [(libc::M_MMAP_THRESHOLD, LARGEST_KEPT), (libc::M_TRIM_THRESHOLD, i32::MAX)] {
        // SAFETY: it sets a number of the C library's allocator, under the allocator's own lock; any value is allowed.
        unsafe {
            libc::mallopt(name, bytes);
        }
    }
}

/// The most that the allocator takes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGEST_KEPT: i32 = 32 << 20;

/// Runs a command line, the name of the program first: prints what it has to say, and gives the exit code.
///
/// For a program that does nothing else: it changes how panics are told, options are spelled and freed memory is kept, and some commands take over Ctrl-C and `SIGTERM`.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    spell_options(text::flag);
    keep_freed_memory();
    // The Parquet reader panics over some damaged files. The library makes errors of that, which say it all.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !shardback::read::panic_becomes_error() {
            tell(panic);
        }
    }));
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        // Wrong usage, or help: clap knows the stream, and the code. Where printing fails nobody is left to be told.
        Err(said) => {
            let _ = said.print();
            return u8::try_from(said.exit_code()).unwrap_or(Exit::WrongUsage.code());
        }
    };
    let result = match arguments.command {
        Command::Build(arguments) => build::run(*arguments),
        Command::Check(arguments) => check::run(*arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Clean(arguments) => clean::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions(arguments) => shell::completions(&arguments),
        Command::Man(arguments) => shell::man(&arguments),
    };
    let exit = result.unwrap_or_else(|error| {
        print::err(&format!("error: {error:#}"));
        Exit::of(&error)
    });
    exit.code()
}
