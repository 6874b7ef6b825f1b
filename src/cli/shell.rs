//! `shardback completions` and `shardback man`: what a shell and `man` want to know of the command line.

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::exit::{Exit, WrongArgument};
use super::{Arguments, print};

/// Print a script that completes this command line in a shell.
///
/// For the running shell: source <(shardback completions bash), and the same for zsh; shardback completions fish | source. For
/// every one: put it where the shell looks, such as ~/.local/share/bash-completion/completions/shardback.
#[derive(clap::Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    shell: SomeShell,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum SomeShell {
    Bash,
    Zsh,
    Fish,
}

/// Print a man page: of the program, or of one of its commands.
///
/// To read it: shardback man build | man -l -
#[derive(clap::Args)]
pub(super) struct ManArguments {
    /// The command, as build; the program if not given
    command: Option<String>,
}

pub(super) fn completions(arguments: &CompletionsArguments) -> anyhow::Result<Exit> {
    let shell = match arguments.shell {
        SomeShell::Bash => Shell::Bash,
        SomeShell::Zsh => Shell::Zsh,
        SomeShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "shardback", &mut script);
    printed(&script)
}

pub(super) fn man(arguments: &ManArguments) -> anyhow::Result<Exit> {
    // Built, it gives its commands their full names, and the options that all have.
    let mut program = Arguments::command();
    program.build();
    let command = match &arguments.command {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(command) => command.clone().display_name(format!("shardback-{name}")),
            None => {
                let names: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
                let problem = format!("COMMAND: `{name}` is not a command; the commands are {}", names.join(", "));
                return Err(WrongArgument(problem).into());
            }
        },
    };
    let mut page = Vec::new();
    Man::new(command).source(concat!("shardback ", env!("CARGO_PKG_VERSION"))).render(&mut page)?;
    printed(&page)
}

fn printed(text: &[u8]) -> anyhow::Result<Exit> {
    print::out(&String::from_utf8_lossy(text))?;
    Ok(Exit::Done)
}
