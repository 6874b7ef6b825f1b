//! Protects: what the program says, on which of its two streams, and the code with which it ends.

#![expect(clippy::unwrap_used, reason = "a test stops where its set-up fails")]

mod build;
mod help;
mod shell;
mod verify;

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::watchdog;

/// The program, at the root of the package, on a terminal of 100 columns.
pub(crate) fn shardback() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardback"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("COLUMNS", "100");
    command
}

/// What came of a run of a program.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Run {
    let output = watchdog::output(command);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    Run { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A run that must go through; what it prints.
#[track_caller]
fn done(command: &mut Command) -> Run {
    let run = run(command);
    assert_eq!(run.code, 0, "{}", run.stderr);
    run
}

/// Builds over the bundled sample.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// A build of the sample's impressions and clicks; the days are still to be named.
    fn build(&self, more: &[&str]) -> Command {
        let mut command = shardback();
        command.args(["build", "--impressions", "data/sample/impressions", "--clicks", "data/sample/clicks"]);
        command.args(["--history", "5", "--threads", "2"]).arg("--out").arg(self.out()).args(more);
        command
    }
}
