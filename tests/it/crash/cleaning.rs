//! A run that is killed while it cleans up after one that was killed: the third one gets through.

use shardback::fsio::STAGING_FOLDER;

use super::{DAYS, World, day_name};
use crate::shim::{FaultRun, Outcome, contents};

/// The calls of a build up to its first new file: what it does to clean up is over.
fn calls_of_cleaning(outcome: &Outcome) -> usize {
    outcome.calls.iter().take_while(|call| call.name != "write").count()
}

/// Kills first runs at some calls, and the runs after them at every call that they make to clean up; says how many of the second
/// ones were killed.
fn killed_twice(world: &World, first_calls: &[usize], build: impl Fn() -> FaultRun, look: impl Fn()) -> usize {
    let mut killed = 0;
    for &first in first_calls {
        for second in 1.. {
            world.reset();
            assert!(build().kill_at(first).run().killed(), "call {first} is beyond the end");
            look();
            let outcome = build().kill_at(second).run();
            look();
            let done = !outcome.killed() || second > calls_of_cleaning(&outcome);
            killed += usize::from(!done);
            build().run().expect_code(0);
            world.assert_all_new();
            if done {
                break;
            }
        }
    }
    killed
}

/// With staging in any state: half made, made, and with what was replaced in it.
#[test]
fn a_run_that_cleans_up_can_be_killed_too() {
    let world = World::new(&DAYS[..1]);
    world.reset();
    let calls = world.build("new", "out", &DAYS[..1], &[]).run().expect_code(0).calls;
    let first = |name: &str| 1 + calls.iter().position(|call| call.name == name).expect("there is such a call");
    let last = |name: &str| 1 + calls.iter().rposition(|call| call.name == name).expect("there is such a call");
    // Before the first file, and while what was replaced is deleted.
    let states = [first("write"), last("exchange") + 8];
    let build = || world.build("new", "out", &DAYS[..1], &[]);
    let killed = killed_twice(&world, &states, build, || {
        world.count_new();
    });
    assert!(killed > 2 * 10, "{killed} runs were killed while they cleaned up");
}

/// Where folders cannot be exchanged the old day has stepped aside: it is old, new, or not there, and comes back however often the
/// run that puts it back is killed.
#[test]
fn a_day_that_stepped_aside_comes_back_after_any_number_of_kills() {
    let world = World::new(&DAYS[..1]);
    let out = world.reset();
    let build = || world.build("new", "out", &DAYS[..1], &["--replace-non-atomic"]).without_exchange();
    let calls = build().run().expect_code(0).calls;
    let renames: Vec<usize> = (1..).zip(&calls).filter(|(_, call)| call.name == "rename").map(|(at, _)| at).collect();
    // Two for each format; the kill comes before the second, so that the day is in staging.
    assert_eq!(renames.len(), 6);
    let missing = |format| {
        let [found, old, new] = ["out", "old", "new"].map(|name| world.root.join(name).join(day_name(format, DAYS[0])));
        assert!(!found.exists() || [old, new].iter().any(|known| contents(known) == contents(&found)));
        !found.exists()
    };
    let mut seen_missing = std::cell::Cell::new(0);
    let look = || {
        let count = world.formats().into_iter().filter(|&format| missing(format)).count();
        assert!(count <= 1, "only the one that is being replaced may be missing");
        seen_missing.set(seen_missing.get() + count);
    };
    let killed = killed_twice(&world, &[renames[1], renames[3], renames[5]], build, look);
    assert!(killed > 3 * 5, "{killed} runs were killed while they cleaned up");
    assert!(*seen_missing.get_mut() > 3, "a day was missing between two renames");

    // And without a further build: it is enough that a run begins, whatever becomes of it.
    world.reset();
    assert!(build().kill_at(renames[1]).run().killed());
    world.build("new", "out", &["2024-01-01"], &[]).run().expect_code(1);
    assert!(world.count_new() == 0 && !out.join(STAGING_FOLDER).exists());
}
