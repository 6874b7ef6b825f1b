//! Files that are written past the page cache, which those of a small build are not: the same promises.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use shardback::fsio::STAGING_FOLDER;

use super::{DAYS, Shape, World};
use crate::shim::{Fault, assert_durable};

/// A shard of some 5 MiB.
const LARGE: Shape = Shape { formats: "dense", shards: "1", history: "1000", items: 260 };

/// A world of such files, if the file system of temporary files has them; else there is nothing to be tested here.
fn world() -> Option<World> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::DIRECT;
    let has_direct = rustix::fs::open(folder.path().join("trial"), flags, Mode::RUSR | Mode::WUSR).is_ok();
    has_direct.then(|| World::of(&DAYS[..1], LARGE))
}

#[test]
fn large_files_are_synced_before_they_are_seen() {
    let Some(world) = world() else { return };
    let out = world.reset();
    let outcome = world.build("new", "out", &DAYS[..1], &[]).run().expect_code(0);
    assert!(outcome.calls.iter().filter(|call| call.name == "direct").count() >= 2, "{:?}", outcome.calls);
    assert_durable(&outcome.calls, &out.join(STAGING_FOLDER));
    world.assert_all_new();
}

#[test]
fn a_build_of_large_files_killed_at_any_call_leaves_old_or_new() {
    let Some(world) = world() else { return };
    for number in 1.. {
        world.reset();
        let outcome = world.build("new", "out", &DAYS[..1], &[]).kill_at(number).run();
        world.count_new();
        if !outcome.killed() {
            outcome.expect_code(0);
            break;
        }
        world.build("new", "out", &DAYS[..1], &[]).run().expect_code(0);
        world.assert_all_new();
    }
}

/// The thread that writes ends with the fault; whoever fills its buffers hears of it and waits for nobody.
#[test]
fn a_disk_that_refuses_large_files_is_one_message() {
    let Some(world) = world() else { return };
    let mut refused = 0;
    for (number, error) in (1..).zip([Errno::NOSPC, Errno::IO].into_iter().cycle()) {
        let out = world.reset();
        let outcome = world.build("new", "out", &DAYS[..1], &[]).fail_at(number, error).run();
        world.count_new();
        let Some(call) = outcome.calls.get(number - 1).cloned() else {
            outcome.expect_code(0);
            break;
        };
        let said = outcome.expect_code(1).stderr();
        assert_eq!(said.matches(&std::io::Error::from(error).to_string()).count(), 1, "{call:?}: {said}");
        if call.name == "direct" {
            refused += 1;
            assert!(said.contains(&*call.path.to_string_lossy()), "{call:?} is not named: {said}");
        }
        assert!(call.name == "unlink" || !out.join(STAGING_FOLDER).exists());
    }
    assert!(refused >= 2, "{refused} writes past the page cache");
}

#[test]
fn large_files_are_whole_where_writes_are_cut_short_or_made_again() {
    let Some(world) = world() else { return };
    for (step, fault) in [(1, Fault::Short), (2, Fault::Fail(Errno::INTR))] {
        world.reset();
        let run = world.build("new", "out", &DAYS[..1], &[]).changes(1, step, fault);
        let outcome = run.run().expect_code(0);
        assert!(outcome.calls.iter().any(|call| call.name == "direct"));
        world.assert_all_new();
    }
}
