//! Deadlines for what would wait for ever, or take all memory, if the rule that a test holds were broken: the test fails, and says so.

use std::panic::resume_unwind;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Far more than anything takes, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a call gives; `what` it is that must end.
#[track_caller]
pub(crate) fn soon<T: Send + 'static>(what: &str, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (thread, result) = begin(call);
    match result.recv_timeout(DEADLINE) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("{what} has not ended after {DEADLINE:?}"),
        Err(RecvTimeoutError::Disconnected) => resume_unwind(thread.join().unwrap_err()),
    }
}

/// What a program says until it ends.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> Output {
    let child: Child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = Pid::from_child(&child);
    let (_, result) = begin(move || child.wait_with_output().unwrap());
    result.recv_timeout(DEADLINE).unwrap_or_else(|_| {
        kill_process(process, Signal::KILL).unwrap();
        panic!("it has not ended after {DEADLINE:?}: {command:?}")
    })
}

/// Runs a test of this program that is ignored otherwise, in a process of its own.
#[track_caller]
pub(crate) fn in_a_process(test: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    let output = output(&mut limited(&command));
    let [said, error] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success() && said.contains("1 passed"), "{test}: {}\n{said}{error}", output.status);
}

/// The same program, which gets no more than a few GiB of memory.
pub(crate) fn limited(program: &Command) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 4194304 && exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
    if let Some(folder) = program.get_current_dir() {
        command.current_dir(folder);
    }
    command
}

fn begin<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> (JoinHandle<()>, Receiver<T>) {
    let (send, result) = channel();
    // Nobody listens any more where it took too long.
    let thread = std::thread::spawn(move || drop(send.send(call())));
    (thread, result)
}
