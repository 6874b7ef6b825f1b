//! Protects: the memory that a build is given is all that it takes, and what it spills changes nothing and leaves nothing.

mod shapes;
mod tasks;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::Errno;
use shardback::generate::{Options, generate};
use tempfile::TempDir;

use crate::shim::{Fault, FaultRun};
use crate::tables::published;

const MEBIBYTE: u64 = 1 << 20;

/// Tables of which half a gibibyte cannot hold the actions: late arrivals, and one customer with a tenth of all.
fn tables() -> &'static Path {
    static TABLES: OnceLock<TempDir> = OnceLock::new();
    let folder = TABLES.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let options = Options {
            customers: 20_000,
            mean_actions: 700.0,
            days: 20,
            impression_days: 3,
            rows_per_day: 30_000,
            late_share: 0.05,
            giant_share: 0.1,
            ..Options::default()
        };
        generate(&folder.path().join("tables"), &options, &()).unwrap();
        folder
    });
    folder.path()
}

fn build(out: &Path, threads: &str, more: &[&str]) -> Command {
    let tables = tables().join("tables");
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardback"));
    command.arg("build");
    for (flag, table) in [("--impressions", "impressions"), ("--clicks", "clicks"), ("--add-to-carts", "add_to_carts")]
    {
        command.arg(flag).arg(tables.join(table));
    }
    command.arg("--previous-orders").arg(tables.join("previous_orders")).arg("--out").arg(out);
    command.args(["--start", "2025-08-14", "--end", "2025-08-16", "--formats", "jagged,parquet", "--threads", threads]);
    command.arg("--json").args(more).stdin(Stdio::null());
    command
}

/// The most memory that a child has resident until it ends, in bytes, as the system counts it.
fn peak_memory(child: &mut Child) -> u64 {
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kibibytes.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}

fn spilled(output: &[u8]) -> u64 {
    serde_json::from_slice::<serde_json::Value>(output).unwrap()["spilled_bytes"].as_u64().unwrap()
}

/// A job that must spill stays within its budget, measured from outside, and gives the bytes of one that need not.
#[test]
fn a_job_that_spills_keeps_its_budget_and_its_bytes() {
    let folder = TempDir::new().unwrap();
    let roomy = build(&folder.path().join("roomy"), "2", &["--memory", "8GiB"]).output().unwrap();
    assert!(roomy.status.success(), "{}", String::from_utf8_lossy(&roomy.stderr));
    assert_eq!(spilled(&roomy.stdout), 0);
    let budget = 512 * MEBIBYTE;
    let mut child = build(&folder.path().join("tight"), "2", &["--memory", "512MiB"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let peak = peak_memory(&mut child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(spilled(&output.stdout) > 100 * MEBIBYTE, "the job must be one that spills");
    assert!(peak > 0 && peak <= budget / 10 * 11, "{} MiB of {} MiB", peak / MEBIBYTE, budget / MEBIBYTE);
    assert!(published(&folder.path().join("tight")) == published(&folder.path().join("roomy")), "other bytes");
    assert!(!folder.path().join("tight/.staging").exists());
}

/// The least memory that works still gives the same bytes: a customer that does not fit is pruned as it is read.
#[test]
fn the_least_memory_gives_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let run = |name: &str, memory: &str| {
        let output = build(&folder.path().join(name), "1", &["--memory", memory]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    };
    run("roomy", "8GiB");
    assert!(spilled(&run("least", "176MiB").stdout) > 0);
    assert!(published(&folder.path().join("least")) == published(&folder.path().join("roomy")), "other bytes");
}

/// A budget that is too small to work with is refused with the one that would do.
#[test]
fn too_little_memory_is_refused_with_what_is_needed() {
    let folder = TempDir::new().unwrap();
    let output = build(&folder.path().join("out"), "2", &["--memory", "100MiB"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = "error: the memory is too small: 100 MiB, and 218 MiB are needed; raise `--memory`, \
                    or build fewer days at a time\n";
    assert_eq!(error, expected);
}

/// A spill disk that fills is one clear error, nothing is published, and nothing stays behind, also of a run that is killed, and where
/// files have to have a name for a moment.
#[test]
fn a_full_spill_disk_publishes_nothing() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let (out, spill) = (root.join("out"), root.join("spill"));
    fs::create_dir(&spill).unwrap();
    let run = || {
        FaultRun::new(
            build(&out, "2", &["--memory", "218MiB", "--quiet", "--spill-dir", spill.to_str().unwrap()]),
            &spill,
        )
    };
    let outcome = run().fail_at(5, Errno::NOSPC).run().expect_code(1);
    let error = outcome.stderr();
    assert!(error.starts_with("error: cannot spill to `") && error.contains("No space left on device"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(!out.join("jagged").exists() && !out.join("parquet").exists() && !out.join(".staging").exists());
    assert_eq!(fs::read_dir(&spill).unwrap().count(), 0);
    assert!(run().kill_at(6).run().killed());
    assert_eq!(fs::read_dir(&spill).unwrap().count(), 0);
    let outcome = run().without_tmpfile().kill_at(8).run();
    assert!(outcome.killed() && outcome.calls.iter().any(|call| call.name == "unlink"), "{:?}", outcome.calls);
    assert_eq!(fs::read_dir(&spill).unwrap().count(), 0);
    let next = build(&out, "2", &["--memory", "8GiB", "--spill-dir", spill.to_str().unwrap()]).output().unwrap();
    assert!(next.status.success());
}

/// A bit that changes on the way to the spill disk and back is an error that says where, whatever it belongs to, and nothing is
/// published.
#[test]
fn a_bit_that_flips_on_the_spill_disk_publishes_nothing() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let (out, spill) = (root.join("out"), root.join("spill"));
    fs::create_dir(&spill).unwrap();
    for number in [1, 2, 30, 500] {
        let arguments = ["--memory", "218MiB", "--quiet", "--spill-dir", spill.to_str().unwrap()];
        let outcome =
            FaultRun::new(build(&out, "2", &arguments), &spill).read(number, Fault::Flip).run().expect_code(1);
        let error = outcome.stderr();
        let expected =
            format!("error: `{}`: a temporary file in it gave back other bytes than were written", spill.display());
        assert!(error.starts_with(&expected) && error.lines().count() == 1, "{number}: {error}");
        assert!(!out.join("jagged").exists() && !out.join("parquet").exists() && !out.join(".staging").exists());
    }
}

/// A spill disk that breaks while it is written or read is one error with the system's words, and nothing is published.
#[test]
fn a_broken_spill_disk_publishes_nothing() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let (out, spill) = (root.join("out"), root.join("spill"));
    fs::create_dir(&spill).unwrap();
    let run = || {
        let arguments = ["--memory", "218MiB", "--quiet", "--spill-dir", spill.to_str().unwrap()];
        FaultRun::new(build(&out, "2", &arguments), &spill)
    };
    let broken = Fault::Fail(Errno::IO);
    let [create, write, read] = ["create a temporary file in", "spill to", "read back what was spilled to"];
    for (run, action) in [
        (run().change(1, broken), create),
        (run().change(2, broken), write),
        (run().change(40, broken), write),
        (run().read(1, broken), read),
        (run().read(30, broken), read),
        (run().read(500, broken), read),
    ] {
        let outcome = run.run().expect_code(1);
        let error = outcome.stderr();
        let expected = format!("error: cannot {action} `{}`: {}", spill.display(), std::io::Error::from(Errno::IO));
        assert!(error.starts_with(&expected) && error.lines().count() == 1, "{expected}: {error}");
        assert!(!out.join("jagged").exists() && !out.join("parquet").exists() && !out.join(".staging").exists());
        assert_eq!(fs::read_dir(&spill).unwrap().count(), 0);
    }
}

/// Many days of many customers, each of whom comes on one of them: what a run holds grows with the samples, not with days times customers.
#[test]
fn many_days_of_many_customers_keep_the_budget() {
    use std::fmt::Write;
    const CUSTOMERS: u32 = 200_000;
    const DAYS: i32 = 200;
    let folder = TempDir::new().unwrap();
    let (mut shown, mut clicks) =
        (String::from("dt,customer_id,item_id,is_order\n"), String::from("dt,customer_id,item_id,click_time\n"));
    let day = |number: i32| shardback::event::Day(20_000 + number);
    for customer in 0..CUSTOMERS {
        writeln!(shown, "{},{customer},7,true", day(customer as i32 % DAYS)).unwrap();
    }
    for customer in 0..100 {
        writeln!(clicks, "{},{customer},7,", day(-1)).unwrap();
    }
    let [impressions, actions] = ["shown.csv", "clicks.csv"].map(|name| folder.path().join(name));
    fs::write(&impressions, shown).unwrap();
    fs::write(&actions, clicks).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardback"));
    command.arg("build").arg("--impressions").arg(&impressions).arg("--clicks").arg(&actions);
    command.args([
        "--start",
        &day(0).to_string(),
        "--end",
        &day(DAYS - 1).to_string(),
        "--formats",
        "jagged",
        "--shards",
        "1",
    ]);
    // Counters for each day and customer would be 320 MB.
    command.args(["--threads", "1", "--memory", "176MiB", "--quiet", "--out"]).arg(folder.path().join("out"));
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let peak = peak_memory(&mut child);
    assert!(child.wait().unwrap().success());
    assert!(peak < 176 * MEBIBYTE, "{} MiB", peak / MEBIBYTE);
}
