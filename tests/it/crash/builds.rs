//! A build that is stopped before, at or after any call that changes the disk, by a kill, a full or broken disk, or Ctrl-C.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::io::Errno;
use shardback::config::Format;
use shardback::fsio::{Output, STAGING_FOLDER};

use super::{DAYS, World, day_name, shardback};
use crate::shim::{Outcome, assert_durable, contents};

#[test]
fn a_build_syncs_all_before_it_is_seen_or_deleted() {
    let world = World::new(&DAYS[..1]);
    let out = world.reset();
    fs::remove_dir_all(&out).expect("removed");
    // Into an empty folder, then over what is there.
    for _ in 0..2 {
        let outcome = world.build("new", "out", &DAYS[..1], &[]).run().expect_code(0);
        assert_durable(&outcome.calls, &out.join(STAGING_FOLDER));
        world.assert_all_new();
    }
}

#[test]
fn a_build_killed_at_any_call_leaves_each_format_old_or_new() {
    let world = World::new(&DAYS[..1]);
    let mut seen = [0; Format::ALL.len() + 1];
    for number in 1.. {
        let out = world.reset();
        let outcome = world.build("new", "out", &DAYS[..1], &[]).kill_at(number).run();
        let new = world.count_new();
        seen[new] += 1;
        // Between two renames the formats of the day come from two builds, which is the one thing to be said of it.
        let verified = shardback().arg("verify").arg(&out).output().expect("the program starts");
        let mixed = new != 0 && new != Format::ALL.len();
        let said = [verified.stdout, verified.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        assert_eq!(verified.status.code(), Some(i32::from(mixed)), "{said}");
        assert_eq!(said.contains("another build"), mixed, "{said}");

        world.build("new", "out", &DAYS[..1], &[]).run().expect_code(0);
        world.assert_all_new();
        if !outcome.killed() {
            outcome.expect_code(0);
            break;
        }
    }
    assert!(seen.iter().all(|&count| count > 0), "kills before, between and after the renames: {seen:?}");
}

#[test]
fn a_full_disk_stops_a_build_with_one_message() {
    fails_at_any_call(Errno::NOSPC);
}

#[test]
fn a_broken_disk_stops_a_build_with_one_message() {
    fails_at_any_call(Errno::IO);
}

fn fails_at_any_call(error: Errno) {
    let world = World::new(&DAYS[..1]);
    let text = std::io::Error::from(error).to_string();
    for number in 1.. {
        let out = world.reset();
        let outcome = world.build("new", "out", &DAYS[..1], &[]).fail_at(number, error).run();
        world.count_new();
        let Some(call) = outcome.calls.get(number - 1).cloned() else {
            outcome.expect_code(0);
            break;
        };
        let Outcome { output, .. } = outcome.expect_code(1);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.matches(&text).count(), 1, "{call:?}: {said}");
        assert!(said.contains(&*out.to_string_lossy()), "{call:?} is not named: {said}");
        // A deletion that fails is left for the next run.
        if call.name != "unlink" {
            world.assert_no_staging();
        }
    }
}

#[test]
fn a_second_build_over_the_same_output_is_refused() {
    let world = World::new(&DAYS[..1]);
    let out = world.reset();
    let first = Output::open(&out).expect("free");
    let outcome = world.build("new", "out", &DAYS[..1], &[]).run().expect_code(1);
    assert!(
        outcome.stderr().contains(&format!("another run is writing to `{}`", out.display())),
        "{}",
        outcome.stderr()
    );
    assert!(outcome.calls.is_empty(), "it touched the output: {:?}", outcome.calls);
    drop(first);
    world.build("new", "out", &DAYS[..1], &[]).run().expect_code(0);
    world.assert_all_new();
}

#[test]
fn an_interrupted_build_leaves_no_staging() {
    let world = World::new(&DAYS[..1]);
    world.reset();
    let calls = world.build("new", "out", &DAYS[..1], &[]).run().expect_code(0).calls;
    let first_write = 1 + calls.iter().position(|call| call.name == "write").expect("it writes");
    for number in (1..=calls.len()).step_by(7).chain([first_write]) {
        world.reset();
        let outcome = world.build("new", "out", &DAYS[..1], &[]).interrupt_at(number).run();
        let new = world.count_new();
        world.assert_no_staging();
        // Too late to stop for, once the last format is going into place.
        let code = if new == Format::ALL.len() && outcome.output.status.success() { 0 } else { 130 };
        assert!(number != first_write || code == 130, "nothing was published when the interrupt came");
        outcome.expect_code(code);
    }
}

#[test]
fn a_range_that_was_killed_goes_on_where_it_stopped() {
    let world = World::new(&DAYS);
    let out = world.root.join("out");
    let stamps = |days: &[&str]| -> BTreeMap<PathBuf, (u64, i64, i64)> {
        let folders = days.iter().flat_map(|day| Format::ALL.map(|format| out.join(day_name(format, day))));
        let entries = folders.flat_map(walkdir::WalkDir::new).map(|entry| entry.expect("readable").into_path());
        let stamp = |path: PathBuf| {
            let metadata = path.metadata().expect("readable");
            (path, (metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
        };
        entries.map(stamp).collect()
    };
    let mut seen = [0; DAYS.len() + 1];
    for number in (1..).step_by(5) {
        let _ = fs::remove_dir_all(&out);
        let outcome = world.build("new", "out", &DAYS, &[]).kill_at(number).run();
        let is_published = |day: &str| Format::ALL.iter().all(|&format| out.join(day_name(format, day)).exists());
        let published: Vec<&str> = DAYS.into_iter().take_while(|day| is_published(day)).collect();
        seen[published.len()] += 1;
        for name in DAYS.iter().flat_map(|day| Format::ALL.map(|format| day_name(format, day))) {
            let whole = || contents(&out.join(&name)) == contents(&world.root.join("new").join(&name));
            assert!(!out.join(&name).exists() || whole(), "{name} is not whole");
        }
        let before = stamps(&published);
        world.build("new", "out", &DAYS, &["--skip-existing"]).run().expect_code(0);
        assert_eq!(stamps(&published), before, "published days are left alone");
        world.assert_all_new();
        if !outcome.killed() {
            outcome.expect_code(0);
            break;
        }
    }
    assert!(seen.iter().all(|&count| count > 0), "kills within every day: {seen:?}");
}

#[test]
fn without_exchange_a_replacement_must_be_asked_for() {
    let world = World::new(&DAYS[..1]);
    let out = world.reset();
    let outcome = world.build("new", "out", &DAYS[..1], &[]).without_exchange().run().expect_code(1);
    assert!(outcome.stderr().contains("`--replace-non-atomic`"), "{}", outcome.stderr());
    assert!(!outcome.calls.iter().any(|call| call.name == "write"), "it is refused before any work");
    assert_eq!(world.count_new(), 0);
    world.assert_no_staging();

    let outcome =
        world.build("new", "out", &DAYS[..1], &["--replace-non-atomic"]).without_exchange().run().expect_code(0);
    assert_durable(&outcome.calls, &out.join(STAGING_FOLDER));
    world.assert_all_new();
}
