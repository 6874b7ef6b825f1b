//! The driver of a cluster, killed at any call that it or its tasks make to change the disk, and run again.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;
use shardback::cluster::Driver;
use shardback::config::{Format, Options, Plan, Sharding};
use shardback::error::Result;
use shardback::fsio::STAGING_FOLDER;
use tempfile::TempDir;

use super::{VERSIONS, copy, day_name};
use crate::loops::{Cluster, Reduced, Tables};
use crate::sheet::Sheet;
use crate::shim::{Fault, FaultRun, Outcome, assert_durable, contents};
use crate::tables::options;

/// What the process of a driver is told: its output, the version of its tables, and the name of its run.
const TOLD: [&str; 3] = ["CRASH_OUT", "CRASH_VERSION", "CRASH_RUN"];
const FORMATS: [Format; 2] = [Format::Parquet, Format::Jagged];
const DAYS: [&str; 2] = ["2024-10-04", "2024-10-05"];
/// The first of them, in days since the epoch.
const FIRST: i32 = 20_000;

fn tables(first_item: i32) -> Tables {
    let mut shown = Sheet::new(&["dt", "customer_id", "item_id", "is_order"]);
    let mut clicks = Sheet::new(&["dt", "customer_id", "item_id", "click_time"]);
    for row in 0..24 {
        let (customer, item) = ((row % 6).to_string(), (first_item + row).to_string());
        shown.push(&[DAYS[row as usize % 2], &customer, &item, "true"]);
        clicks.push(&["2024-10-03", &customer, &item, "2024-10-03T10:00:00Z"]);
    }
    Tables(vec![(None, shown.batch()), (Some(crate::tables::clicks()), clicks.batch())])
}

/// No test: the process that the tests below start. Left alone, it does nothing.
#[test]
#[ignore = "the process that other tests start"]
fn process() {
    let told = TOLD.map(|name| std::env::var(name).ok());
    let [Some(out), Some(version), Some(run)] = told else { return };
    let first_item = VERSIONS.iter().find(|(name, _)| *name == version).expect("a version").1;
    let options = Options {
        formats: FORMATS.to_vec(),
        sharding: Sharding::Count(1),
        threads: Some(1),
        ..options(Path::new(&out), FIRST, FIRST + 1)
    };
    let code = match build(&tables(first_item), &options, &run) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {:#}", anyhow::Error::from(error));
            1
        }
    };
    std::process::exit(code);
}

fn build(tables: &Tables, options: &Options, run: &str) -> Result<()> {
    let plan = Plan::new(options.clone())?;
    let driver = Driver::open(&plan, tables.names(), run)?;
    let cluster = Cluster { tasks: 1, ..Cluster::default() };
    let counted = cluster.count(tables, &plan, &driver)?;
    match cluster.reduce_changed(tables, plan, driver, counted, |_| ()) {
        Err(failed) => Err(failed.1),
        Ok(Reduced { driver, shards, reports }) => {
            let published = driver.publish(&shards, reports, &serde_json::Value::Null);
            // What the run failed with says more than what the cleaning did.
            let closed = driver.close();
            published.and(closed)
        }
    }
}

struct World {
    _guard: TempDir,
    root: PathBuf,
    runs: std::cell::Cell<usize>,
}

impl World {
    fn new() -> Self {
        let guard = tempfile::tempdir().expect("a temporary folder");
        let root = guard.path().canonicalize().expect("it exists");
        let world = Self { _guard: guard, root, runs: std::cell::Cell::new(0) };
        for (version, _) in VERSIONS {
            world.run_into(version, version).run().expect_code(0);
        }
        let [old, new] = ["old", "new"].map(|name| contents(&world.root.join(name)));
        assert!(old.keys().eq(new.keys()) && old != new);
        world
    }

    fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    fn run_into(&self, out: &str, version: &str) -> FaultRun {
        let out = self.root.join(out);
        std::fs::create_dir_all(&out).expect("created");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["crash::driver::process", "--exact", "--ignored", "--nocapture", "--test-threads", "1"]);
        self.runs.set(self.runs.get() + 1);
        let run = format!("run-{}", self.runs.get());
        for (name, value) in TOLD.into_iter().zip([out.as_os_str(), version.as_ref(), run.as_ref()]) {
            command.env(name, value);
        }
        FaultRun::new(command, &out)
    }

    /// A run over the new tables.
    fn run(&self) -> FaultRun {
        self.run_into("out", "new")
    }

    fn reset(&self) {
        let _ = std::fs::remove_dir_all(self.out());
        copy(&self.root.join("old"), &self.out());
    }

    /// How many formats of days are new; stops the test unless these come first, and all are whole.
    fn count_new(&self) -> usize {
        let all = DAYS.into_iter().flat_map(|day| FORMATS.map(|format| day_name(format, day)));
        let is = |version: &str, name: &str| {
            contents(&self.out().join(name)) == contents(&self.root.join(version).join(name))
        };
        let states: Vec<bool> = all
            .map(|name| {
                let is_new = is("new", &name);
                assert!(is_new || is("old", &name), "{name} is neither old nor new");
                is_new
            })
            .collect();
        let new = states.iter().take_while(|is_new| **is_new).count();
        assert!(!states[new..].contains(&true), "not in order: {states:?}");
        new
    }

    fn assert_all_new(&self) {
        assert!(contents(&self.out()) == contents(&self.root.join("new")), "other files or bytes");
        assert!(!self.out().join(STAGING_FOLDER).exists(), "staging is left behind");
    }
}

#[test]
fn a_driver_syncs_all_before_it_is_seen_or_deleted() {
    let world = World::new();
    for _ in 0..2 {
        let outcome = world.run().run().expect_code(0);
        assert_durable(&outcome.calls, &world.out().join(STAGING_FOLDER));
        world.assert_all_new();
    }
}

#[test]
fn a_driver_killed_at_any_call_leaves_each_format_old_or_new() {
    let world = World::new();
    let mut seen = [0; DAYS.len() * FORMATS.len() + 1];
    for number in 1.. {
        world.reset();
        let outcome = world.run().kill_at(number).run();
        seen[world.count_new()] += 1;
        if !outcome.killed() {
            outcome.expect_code(0);
            break;
        }
        if is_followed(&outcome, number) {
            world.run().run().expect_code(0);
            world.assert_all_new();
        }
    }
    assert!(seen.iter().all(|&count| count > 0), "kills before, between and after all formats: {seen:?}");
}

/// The run after a killed one is killed while it cleans up, at any call, with the folders of tasks and of days in staging.
#[test]
fn a_driver_that_cleans_up_can_be_killed_too() {
    let world = World::new();
    world.reset();
    let calls = world.run().run().expect_code(0).calls;
    let handed_over = 2 + calls.iter().position(|call| call.name == "rename").expect("files are handed over");
    let mut killed = 0;
    for second in 1.. {
        world.reset();
        assert!(world.run().kill_at(handed_over).run().killed());
        let outcome = world.run().kill_at(second).run();
        world.count_new();
        world.run().run().expect_code(0);
        world.assert_all_new();
        let cleaning = outcome.calls.iter().take_while(|call| call.name != "write").count();
        if !outcome.killed() || second > cleaning {
            break;
        }
        killed += 1;
    }
    assert!(killed > 10, "{killed} runs were killed while they cleaned up");
}

/// A call that fails ends the run; what the driver itself is refused is named.
#[test]
fn a_driver_on_a_broken_disk_leaves_each_format_old_or_new() {
    let world = World::new();
    let text = std::io::Error::from(Errno::IO).to_string();
    let mut named = 0;
    for number in 1.. {
        world.reset();
        let outcome = world.run().fail_at(number, Errno::IO).run();
        world.count_new();
        let Some(call) = outcome.calls.get(number - 1).cloned() else {
            outcome.expect_code(0);
            break;
        };
        // Tasks are those of the tests' cluster, which stops where one fails.
        if of_a_task(&call.path) {
            assert!(!outcome.output.status.success());
        } else {
            let said = said(outcome.expect_code(1));
            assert_eq!(said.matches(&text).count(), 1, "{call:?}: {said}");
            assert!(said.contains(&*world.out().to_string_lossy()), "{call:?} is not named: {said}");
            named += 1;
        }
        if number % 4 == 0 {
            world.run().run().expect_code(0);
            world.assert_all_new();
        }
    }
    assert!(named > 30, "{named}");
}

/// Whether another run is made after one that was killed at a call: what the tasks leave is much alike.
fn is_followed(outcome: &Outcome, number: usize) -> bool {
    number.is_multiple_of(4) || outcome.calls.last().is_some_and(|call| !of_a_task(&call.path))
}

/// Whether a path is below the folder of a run's tasks.
fn of_a_task(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("run-"))
}

fn said(outcome: Outcome) -> String {
    outcome.stderr().lines().filter(|line| line.contains("error: ")).collect()
}

#[test]
fn a_driver_makes_calls_again_that_a_signal_ends() {
    let world = World::new();
    world.reset();
    world.run().changes(1, 2, Fault::Fail(Errno::INTR)).run().expect_code(0);
    world.assert_all_new();
}
