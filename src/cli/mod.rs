//! The command line: typed arguments, one file a command. Uses the library's public API only.

mod build;
mod check;
mod demo;
mod exit;
mod generate;
mod inspect;
mod interrupt;
mod places;
mod print;
mod progress;
mod report;
mod tables;
mod text;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Generate(generate::Arguments),
    Demo(demo::Arguments),
}

pub(crate) fn run() -> ExitCode {
    // The Parquet reader panics over some damaged files. The library makes errors of that, which say it all.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !shardback::read::panic_becomes_error() {
            tell(panic);
        }
    }));
    // Wrong usage ends here, with clap's message and exit code 2.
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Build(arguments) => build::run(*arguments),
        Command::Check(arguments) => check::run(*arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    };
    let exit = result.unwrap_or_else(|error| {
        print::err(&format!("error: {error:#}"));
        Exit::of(&error)
    });
    exit.into()
}
