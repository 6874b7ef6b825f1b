//! Disks that cannot be read any more, in the middle of an input, of a day or of its manifest: an error that names the file, and nothing
//! is published.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{DAYS, World, copy, shardback};
use crate::shim::{Call, Fault, FaultRun, Outcome, contents};

/// Fails each read, and each opening and listing, in turn; what is said names the file. Says how many of each there were.
fn every_read_fails(
    run: impl Fn() -> FaultRun,
    is_needed: impl Fn(&Outcome, &Call) -> bool,
    look: impl Fn(&Outcome),
) -> [usize; 2] {
    let fault = Fault::Fail(Errno::IO);
    let text = std::io::Error::from(Errno::IO).to_string();
    [false, true].map(|looks| {
        let mut failed = 0;
        for number in 1.. {
            let outcome = if looks { run().look(number, fault).run() } else { run().read(number, fault).run() };
            let calls = if looks { &outcome.looks } else { &outcome.reads };
            let Some(call) = calls.get(number - 1).cloned() else {
                outcome.expect_code(0);
                break;
            };
            failed += 1;
            if !is_needed(&outcome, &call) {
                outcome.expect_code(0);
                continue;
            }
            assert_eq!(outcome.output.status.code(), Some(1), "{call:?} failed: {}", outcome.stderr());
            look(&outcome);
            let said = String::from_utf8_lossy(&outcome.output.stdout).into_owned() + &outcome.stderr();
            assert!(said.contains(&text), "{call:?}: {said}");
            // A folder may be opened as the dot in it.
            let path: PathBuf = call.path.components().collect();
            assert!(said.contains(&*path.to_string_lossy()), "{call:?} is not named: {said}");
        }
        failed
    })
}

/// The bundled sample has files of every format, and some that are packed; of its clicks a few will do.
#[test]
fn an_input_that_cannot_be_read_stops_the_build() {
    let world = World::new(&DAYS[..1]);
    let out = world.reset();
    let before = contents(&out);
    let sample = world.root.join("sample");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample"), &sample);
    for day in 1..14 {
        fs::remove_dir_all(sample.join(format!("clicks/dt=2025-08-{day:02}"))).expect("a day of clicks");
    }
    let run = || {
        world.reset();
        let mut command = shardback();
        command.arg("build");
        for table in ["impressions", "clicks", "add-to-carts", "previous-orders"] {
            command.arg(format!("--{table}")).arg(sample.join(table.replace('-', "_")));
        }
        command.args(["--date", "2025-08-16", "--history", "5", "--threads", "1", "--quiet", "--out"]).arg(&out);
        FaultRun::new(command, &out).reading(&sample)
    };
    // Whether the table is one of Iceberg is asked of every folder above it, also of those that nobody may look at; and what is
    // hidden is no part of the table.
    let is_needed = |_: &Outcome, call: &Call| !["metadata", "_temporary"].iter().any(|name| call.path.ends_with(name));
    let failed = every_read_fails(run, is_needed, |outcome| {
        assert_eq!(outcome.stderr().lines().count(), 1, "{}", outcome.stderr());
        assert!(contents(&out) == before, "something was published");
        world.assert_no_staging();
    });
    assert!(failed[0] > 30 && failed[1] > 30, "{failed:?}");
}

/// Days that cannot be read are said to be so by everything that reads them.
#[test]
fn a_day_that_cannot_be_read_is_named() {
    let world = World::new(&DAYS[..1]);
    let out = world.reset();
    for command in ["verify", "inspect"] {
        let run = || {
            let mut program = shardback();
            program.arg(command).arg(&out);
            FaultRun::new(program, &out)
        };
        // When all is read, a folder is opened once more, to see whether it was replaced meanwhile.
        let is_needed = |outcome: &Outcome, call: &Call| {
            let opened = outcome.looks.iter().filter(|look| look.name == "open" && look.path == call.path).count();
            !(command == "verify"
                && call.name == "open"
                && call.path.to_string_lossy().ends_with(DAYS[0])
                && opened > 1)
        };
        let failed = every_read_fails(run, is_needed, |_| ());
        assert!(failed[0] > 3 && failed[1] > 3, "{command}: {failed:?}");
    }
}

/// Whether a day is there already is no question that a broken disk may answer: neither is it skipped nor built anew.
#[test]
fn days_that_may_be_there_are_not_built_over() {
    let world = World::new(&DAYS[..1]);
    let out = world.reset();
    let before = contents(&out);
    let run = || world.build("new", "out", &DAYS[..1], &["--skip-existing"]).reading(&out);
    let failed = every_read_fails(
        run,
        |_, _| true,
        |_| {
            assert!(contents(&out) == before, "it was built anew");
            world.assert_no_staging();
        },
    );
    assert!(failed[0] >= 3 && failed[1] >= 3, "{failed:?}");
}
