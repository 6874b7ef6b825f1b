//! Runs a program whose calls below a folder are counted and written down, and some of them broken.
//!
//! The calls are caught by `fault.c`, a library that is compiled here and loaded before libc. A killed process keeps
//! what the system has cached, so kills show what a crash of the program leaves; what a power cut leaves is decided by
//! what was synced before what, and [`assert_durable`] reads that from the calls.

#![expect(clippy::disallowed_methods, reason = "the log and the compiled shim are no output")]
#![expect(clippy::expect_used, reason = "a test stops where its set-up fails")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

use crate::watchdog;

/// One call. Of those that change the disk: `open` (creating), `write`, `direct` (past the page cache), `fsync`, `ftruncate`,
/// `fallocate`, `mkdir`, `rename`, `exchange` or `unlink` (also of folders); of the others `read`, `open` or `list`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Where a rename or an exchange leads.
    pub(crate) new_path: Option<PathBuf>,
}

/// What is done to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The program is killed instead; a write is torn first.
    Kill,
    /// It fails.
    Fail(Errno),
    /// The interrupt of Ctrl-C comes before it.
    Interrupt,
    /// A read or write does half of what it is asked for.
    Short,
    /// A read gives back a bit that is not as it was written.
    Flip,
}

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) output: Output,
    /// The calls below the root that change the disk, in order, up to and with the one that ended the program.
    pub(crate) calls: Vec<Call>,
    /// Those that read.
    pub(crate) reads: Vec<Call>,
    /// Those that open for reading, or list.
    pub(crate) looks: Vec<Call>,
}

impl Outcome {
    pub(crate) fn killed(&self) -> bool {
        self.output.status.signal() == Some(9)
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Stops the test, with what the program said, unless it ended with this code.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        let said = String::from_utf8_lossy(&self.output.stdout);
        assert_eq!(self.output.status.code(), Some(code), "{:?}\n{said}{}", self.output.status, self.stderr());
        self
    }
}

/// A program to run with calls below `root` counted.
pub(crate) struct FaultRun {
    command: Command,
    log: PathBuf,
    /// By the variable that names them.
    faults: BTreeMap<&'static str, Vec<String>>,
}

impl FaultRun {
    /// `root` must exist, be absolute, and have no links in it.
    pub(crate) fn new(mut command: Command, root: &Path) -> Self {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("calls-{}-{run}", std::process::id()));
        command.env("LD_PRELOAD", library()).env("FAULT_ROOT", root).env("FAULT_LOG", &log);
        Self { command, log, faults: BTreeMap::new() }
    }

    /// Counts reads and looks below another folder.
    pub(crate) fn reading(mut self, root: &Path) -> Self {
        self.command.env("FAULT_READ_ROOT", root);
        self
    }

    fn fault(mut self, counter: &'static str, calls: String, fault: Fault) -> Self {
        let fault = match fault {
            Fault::Kill => "kill".to_owned(),
            Fault::Fail(error) => format!("fail={}", error.raw_os_error()),
            Fault::Interrupt => "interrupt".to_owned(),
            Fault::Short => "short".to_owned(),
            Fault::Flip => "flip".to_owned(),
        };
        self.faults.entry(counter).or_default().push(format!("{calls}:{fault}"));
        self
    }

    /// Breaks the call that changes the disk for the `number`-th time, from 1.
    pub(crate) fn change(self, number: usize, fault: Fault) -> Self {
        self.fault("FAULT_CHANGES", number.to_string(), fault)
    }

    /// Breaks that call and every `step`-th after it.
    pub(crate) fn changes(self, number: usize, step: usize, fault: Fault) -> Self {
        self.fault("FAULT_CHANGES", format!("{number}/{step}"), fault)
    }

    /// Breaks the `number`-th read.
    pub(crate) fn read(self, number: usize, fault: Fault) -> Self {
        self.fault("FAULT_READS", number.to_string(), fault)
    }

    /// Breaks that read and every `step`-th after it.
    pub(crate) fn reads(self, number: usize, step: usize, fault: Fault) -> Self {
        self.fault("FAULT_READS", format!("{number}/{step}"), fault)
    }

    /// Breaks the `number`-th opening for reading, or listing.
    pub(crate) fn look(self, number: usize, fault: Fault) -> Self {
        self.fault("FAULT_LOOKS", number.to_string(), fault)
    }

    /// Breaks that one and every `step`-th after it.
    pub(crate) fn looks(self, number: usize, step: usize, fault: Fault) -> Self {
        self.fault("FAULT_LOOKS", format!("{number}/{step}"), fault)
    }

    /// Kills the program instead of call `number`, from 1; a write is torn first.
    pub(crate) fn kill_at(self, number: usize) -> Self {
        self.change(number, Fault::Kill)
    }

    /// Lets call `number` fail.
    pub(crate) fn fail_at(self, number: usize, error: Errno) -> Self {
        self.change(number, Fault::Fail(error))
    }

    /// Sends the interrupt of Ctrl-C before call `number`, which then happens.
    pub(crate) fn interrupt_at(self, number: usize) -> Self {
        self.change(number, Fault::Interrupt)
    }

    /// As on a file system that cannot exchange two folders.
    pub(crate) fn without_exchange(mut self) -> Self {
        self.command.env("FAULT_NO_EXCHANGE", "1");
        self
    }

    /// As on a file system without locks.
    pub(crate) fn without_flock(mut self) -> Self {
        self.command.env("FAULT_NO_FLOCK", "1");
        self
    }

    /// As on a file system without files that have no name.
    pub(crate) fn without_tmpfile(mut self) -> Self {
        self.command.env("FAULT_NO_TMPFILE", "1");
        self
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn run(mut self) -> Outcome {
        for (counter, faults) in &self.faults {
            self.command.env(counter, faults.join(","));
        }
        let output = watchdog::output(&mut self.command);
        assert_ne!(output.status.code(), Some(99), "{}", String::from_utf8_lossy(&output.stderr));
        let log = fs::read_to_string(&self.log).expect("the shim was loaded and wrote its log");
        fs::remove_file(&self.log).expect("the log is ours");
        let calls = |counter: &str| {
            let of_counter = log.lines().filter_map(|line| line.strip_prefix(counter)?.strip_prefix('\t'));
            let mut calls: Vec<(u64, Call)> = of_counter.map(call).collect();
            // Threads write them down in another order than they are numbered.
            calls.sort_by_key(|(number, _)| *number);
            calls.into_iter().map(|(_, call)| call).collect()
        };
        Outcome { calls: calls("changes"), reads: calls("reads"), looks: calls("looks"), output }
    }
}

/// A call and its number, from a line of the log.
fn call(line: &str) -> (u64, Call) {
    let mut parts = line.split('\t');
    let number = parts.next().and_then(|number| number.parse().ok()).expect("a number");
    let name = parts.next().unwrap_or_default().to_owned();
    let path = PathBuf::from(parts.next().unwrap_or_default());
    (number, Call { name, path, new_path: parts.next().map(PathBuf::from) })
}

/// The shim, compiled once per process of tests.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/shim/fault.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (fresh, library) = (folder.join(format!("fault-{}.so", std::process::id())), folder.join("fault.so"));
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let status = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&fresh, &source])
            .status()
            .expect("a C compiler");
        assert!(status.success(), "fault.c does not compile");
        // Another process of tests may be loading the one that is there.
        fs::rename(&fresh, &library).expect("the build folder is ours");
        library
    })
}

/// Stops the test unless a power cut at any point would leave each published folder old or new, whole.
///
/// When a folder leaves staging for its place, all the files created in it are synced after their last change, and
/// the folder after its last new name; and before anything is deleted, both parents of each rename are synced.
pub(crate) fn assert_durable(calls: &[Call], staging: &Path) {
    let (mut unsynced, mut renamed) = (BTreeMap::<&Path, &str>::new(), 0);
    for call in calls {
        let path = call.path.as_path();
        match (call.name.as_str(), &call.new_path) {
            ("fsync", _) => {
                unsynced.remove(path);
            }
            // A trial, or an old folder that steps aside.
            (_, Some(place)) if place.starts_with(staging) => {}
            (_, Some(place)) => {
                let open: Vec<_> = unsynced.keys().filter(|changed| changed.starts_with(path)).collect();
                assert!(open.is_empty(), "{} is put in place before these are synced: {open:?}", place.display());
                unsynced.extend([path, place].map(|moved| (moved.parent().expect("not the root"), "rename")));
                renamed += 1;
            }
            ("unlink", _) => {
                let open: Vec<_> = unsynced.iter().filter(|(_, why)| **why == "rename").collect();
                assert!(open.is_empty(), "{} is deleted before these are synced: {open:?}", path.display());
            }
            ("open" | "mkdir", _) => {
                unsynced.insert(path, "new");
                // A rename that waits for this folder's sync weighs more.
                unsynced.entry(path.parent().expect("not the root")).or_insert("new");
            }
            _ => {
                unsynced.insert(path, "changed");
            }
        }
    }
    assert!(renamed > 0, "nothing was put in place");
}

/// The files below a folder, by their paths in it, without what a run says about itself.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.expect("readable");
        if entry.file_type().is_file() && entry.file_name() != "_run.json" {
            let name = entry.path().strip_prefix(folder).expect("below the folder").to_owned();
            files.insert(name, fs::read(entry.path()).expect("readable"));
        }
    }
    files
}
