//! Calls that do less than they were asked for, or have to be made again, and several faults in one run.

use std::fs;
use std::io::Write;

use flate2::{Compression, GzBuilder};
use rustix::io::Errno;
use shardback::fsio::STAGING_FOLDER;

use super::{DAYS, SMALL, World, shardback};
use crate::shim::{Fault, FaultRun, assert_durable};

/// A signal that comes while the system is at work ends the call with `EINTR`, which says only that it has to be made again: every
/// second call fails so, that is, each of them and its next try goes through.
#[test]
fn calls_that_a_signal_ends_are_made_again() {
    let world = World::new(&DAYS[..1]);
    let out = world.reset();
    // A list that is broken off is begun anew, so every second call of one would never come to its end.
    // Over what is there, then into an empty folder, then over what a killed run has left.
    for stale in [false, true, true] {
        if stale {
            assert!(world.build("new", "out", &DAYS[..1], &[]).kill_at(60).run().killed());
            assert!(out.join(STAGING_FOLDER).exists());
        }
        let again = Fault::Fail(Errno::INTR);
        let run = world.build("new", "out", &DAYS[..1], &[]).reading(&world.root);
        let outcome = run.changes(1, 2, again).reads(1, 2, again).looks(1, 40, again).run().expect_code(0);
        assert!(outcome.calls.len() > 100 && outcome.reads.len() > 3 && outcome.looks.len() > 3);
        world.assert_all_new();
    }
}

/// A write may take less than it is given, and a read may give less than there is: the rest is another call's.
#[test]
fn calls_that_do_half_are_followed_by_others() {
    let world = World::new(&DAYS[..1]);
    let out = world.reset();
    let run = world.build("new", "out", &DAYS[..1], &[]).reading(&world.root);
    let outcome = run.changes(1, 1, Fault::Short).reads(1, 1, Fault::Short).run().expect_code(0);
    assert_durable(&outcome.calls, &out.join(STAGING_FOLDER));
    world.assert_all_new();
    let undisturbed = world.build("new", "out", &DAYS[..1], &[]).reading(&world.root).run().expect_code(0);
    assert!(outcome.calls.len() > undisturbed.calls.len() && outcome.reads.len() > undisturbed.reads.len());
}

/// A disk that refuses one thing refuses the next as well: the first is what is said, and what cannot be cleaned up then is left for
/// the next run.
#[test]
fn a_disk_that_goes_on_failing_is_one_message() {
    let world = World::new(&DAYS[..1]);
    let text = std::io::Error::from(Errno::IO).to_string();
    for number in (1..).step_by(3) {
        let out = world.reset();
        let run = world.build("new", "out", &DAYS[..1], &[]).changes(number, 1, Fault::Fail(Errno::IO)).run();
        world.count_new();
        if run.calls.len() < number {
            run.expect_code(0);
            break;
        }
        let said = run.expect_code(1).stderr();
        assert_eq!((said.matches(&text).count(), said.lines().count()), (1, 1), "{said}");
        assert!(said.contains(&*out.to_string_lossy()), "{said}");
        world.build("new", "out", &DAYS[..1], &[]).run().expect_code(0);
        world.assert_all_new();
    }
}

/// A run that fails and is killed while it cleans up.
#[test]
fn a_run_that_is_killed_while_it_gives_up_leaves_old_or_new() {
    let world = World::new(&DAYS[..1]);
    for failing in [5, 40, 70] {
        for more in 1.. {
            world.reset();
            let run = world.build("new", "out", &DAYS[..1], &[]).fail_at(failing, Errno::NOSPC);
            let outcome = run.change(failing + more, Fault::Kill).run();
            world.count_new();
            world.build("new", "out", &DAYS[..1], &[]).run().expect_code(0);
            world.assert_all_new();
            if !outcome.killed() {
                outcome.expect_code(1);
                assert!(more > 1, "it has nothing to clean up");
                break;
            }
        }
    }
}

/// A packed file of several members, the first of which ends where what is read at a time ends: the read that looks for the next one
/// is ended by a signal, and must not be taken for the end of the file.
#[test]
fn a_packed_table_is_whole_whatever_signals_come() {
    /// What is read at a time.
    const READ: usize = 1 << 15;
    let member = |text: &str, padding: usize| {
        let mut packed = GzBuilder::new().extra(vec![0; padding]).write(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).expect("written to memory");
        packed.finish().expect("written to memory")
    };
    let world = World::new(&DAYS[..1]);
    let tables = world.root.join("tables-new");
    let text = fs::read_to_string(tables.join("clicks.ndjson")).expect("it is there");
    let (first, second) = text.split_at(text.find('\n').expect("lines") + 1);
    let mut packed = member(first, READ - member(first, 0).len());
    assert_eq!(packed.len(), READ);
    packed.extend(member(second, 0));
    fs::write(tables.join("clicks.ndjson.gz"), packed).expect("written");
    let out = world.reset();
    let mut command = shardback();
    command.arg("build").arg("--impressions").arg(tables.join("impressions.ndjson"));
    command.arg("--clicks").arg(tables.join("clicks.ndjson.gz")).arg("--out").arg(&out);
    command.args(["--date", DAYS[0], "--formats", SMALL.formats, "--shards", SMALL.shards, "--history", SMALL.history]);
    let run = FaultRun::new(command, &out).reading(&tables);
    run.reads(1, 2, Fault::Fail(Errno::INTR)).run().expect_code(0);
    world.assert_all_new();
}
