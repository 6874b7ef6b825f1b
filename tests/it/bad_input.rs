//! Protects: what a build cannot use stops it with one clear message, exit code 1, and nothing half-published.
//!
//! All messages stand in one snapshot each theme, so that a change of words is seen and read as a whole.

#![expect(clippy::disallowed_methods, reason = "the tests write tables by hand")]
#![expect(clippy::unwrap_used, reason = "a test stops where its set-up fails")]

use std::fmt::Write;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use rustix::io::Errno;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{Run, run, shardback};
use crate::shim::FaultRun;

/// Two good tables, and a place for the output of a build that is to fail.
struct World {
    _guard: TempDir,
    root: PathBuf,
}

impl World {
    /// Impressions on the 14th and the 16th, clicks on the 10th, of three customers.
    fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = guard.path().canonicalize().unwrap();
        let (mut impressions, mut clicks) = (String::new(), String::new());
        for customer in 1..=3 {
            for day in [14, 16] {
                let slate = r#"[{"item_id":1,"is_order":true}]"#;
                writeln!(impressions, r#"{{"dt":"2025-08-{day}","customer_id":{customer},"impressions":{slate}}}"#)
                    .unwrap();
            }
            writeln!(
                clicks,
                r#"{{"dt":"2025-08-10","customer_id":{customer},"item_id":7,"click_time":"2025-08-10T09:00:00Z"}}"#
            )
            .unwrap();
        }
        fs::write(root.join("impressions.json"), impressions).unwrap();
        fs::write(root.join("clicks.json"), clicks).unwrap();
        Self { _guard: guard, root }
    }

    fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    /// A build of one day into `out`; `bad` stands in for the table that its files are named after.
    fn build(&self, bad: Option<&Path>, out: &Path) -> Command {
        let (mut impressions, mut clicks, mut day) =
            (self.root.join("impressions.json"), self.root.join("clicks.json"), "2025-08-16");
        match bad {
            Some(bad) if holds_impressions(bad) => (impressions, day) = (bad.to_owned(), "2025-08-14"),
            Some(bad) => clicks = bad.to_owned(),
            None => {}
        }
        let mut command = shardback();
        command.args(["build", "--quiet", "--formats", "parquet,dense,jagged", "--date", day]);
        command.arg("--impressions").arg(impressions).arg("--clicks").arg(clicks).arg("--out").arg(out);
        command
    }

    /// The one message of a build that fails, with the paths of this world replaced.
    #[track_caller]
    fn message(&self, command: &mut Command) -> String {
        let Run { code, stdout, stderr } = run(command);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.starts_with("error: ") && stderr.ends_with('\n'), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "more than one line: {stderr}");
        stderr.trim_end().replace(&*self.root.to_string_lossy(), "WORLD")
    }

    #[track_caller]
    fn assert_nothing_in(&self, out: &Path) {
        let found: Vec<_> = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(found.is_empty(), "left behind: {found:?}");
    }
}

fn holds_impressions(table: &Path) -> bool {
    let mut files = walkdir::WalkDir::new(table).into_iter().flatten();
    files.any(|entry| entry.file_name().to_string_lossy().starts_with("impressions."))
}

/// The folders of `data/bad`, relative to the root of the package, where the program runs.
fn bad_tables() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/bad");
    let mut tables: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| Path::new("data/bad").join(entry.unwrap().file_name())).collect();
    tables.sort();
    tables
}

/// Every kind of bad table that is kept in `data/bad` is refused with the message that stands in the snapshot.
#[test]
fn every_bad_table_is_refused_with_one_line() {
    let world = World::new();
    let mut messages = String::new();
    for table in bad_tables() {
        let message = world.message(&mut world.build(Some(&table), &world.out()));
        assert!(message.contains(&format!("`{}", table.display())), "the file is not named: {message}");
        world.assert_nothing_in(&world.out());
        writeln!(messages, "{}\n  {message}\n", table.file_name().unwrap().to_string_lossy()).unwrap();
    }
    assert_snapshot!(messages);
}

/// A check shows the bad row at which a build stops, where it stands and with the same words; what is wrong with a whole file it refuses
/// as a build does.
#[test]
fn a_check_shows_what_stops_a_build() {
    let world = World::new();
    let mut shown = 0;
    for table in bad_tables() {
        let stopped = world.message(&mut world.build(Some(&table), &world.out()));
        let mut check = shardback();
        let (impressions, clicks) = if holds_impressions(&table) {
            (table.clone(), world.root.join("clicks.json"))
        } else {
            (world.root.join("impressions.json"), table.clone())
        };
        check.args(["check", "--json", "--impressions"]).arg(impressions).arg("--clicks").arg(clicks);
        let Run { code, stdout, stderr } = run(&mut check);
        if code == 1 {
            assert_eq!(stderr.trim_end(), stopped);
            continue;
        }
        let report: Value = serde_json::from_str(&stdout).unwrap();
        let bad = report["tables"].as_array().unwrap().iter().flat_map(|table| table["bad"].as_array().unwrap());
        let bad: Vec<&Value> = bad.collect();
        assert!(!bad.is_empty(), "{stopped}");
        for bad in bad {
            let text = |key: &str| bad[key].as_str().unwrap();
            let unit = if bad["is_line"] == true { "line" } else { "row" };
            let row = bad["row"].as_u64().map_or_else(String::new, |row| format!("`, {unit} {row}, "));
            for part in [text("file"), text("column"), text("problem"), text("value"), &row] {
                assert!(stopped.contains(part) || part == "null", "{part}: {stopped}");
            }
            shown += 1;
        }
    }
    assert!(shown >= 15, "{shown}");
}

/// Damage over which the Parquet reader panics is one line like any other: nothing of the panic is printed.
#[test]
fn a_panic_of_the_parquet_reader_is_one_line() {
    let world = World::new();
    let whole = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/bad/null_day/clicks.parquet")).unwrap();
    let damaged = world.root.join("damaged");
    fs::create_dir(&damaged).unwrap();
    // In the levels of a page, and in the offset of a column in the footer.
    for (place, panic) in [(87, "offset + len out of bounds"), (510, "column start and length should not be negative")]
    {
        let mut bytes = whole.clone();
        bytes[place] = 0xff;
        fs::write(damaged.join("clicks.parquet"), bytes).unwrap();
        assert_eq!(
            world.message(&mut world.build(Some(&damaged), &world.out())),
            format!(
                "error: clicks: `WORLD/damaged/clicks.parquet` is not readable Parquet: Parquet error: damaged: {panic}"
            )
        );
        world.assert_nothing_in(&world.out());
    }
}

/// The tables are bad for the reason that their names give, and for no other: beside them a build goes through.
#[test]
fn the_same_build_over_good_tables_goes_through() {
    let world = World::new();
    let Run { code, stderr, .. } = run(&mut world.build(None, &world.out()));
    assert_eq!((code, stderr.as_str()), (0, ""));
    for table in ["item_beyond_32_bits", "item_below_32_bits"] {
        let table = Path::new("data/bad").join(table);
        let Run { code, stderr, .. } = run(world.build(Some(&table), &world.out()).args(["--item-dtype", "i64"]));
        assert_eq!((code, stderr.as_str()), (0, ""), "{}", table.display());
    }
}

/// What `--invalid skip` leaves out is a matter of rows: the tables whose files or columns are at fault are refused still.
#[test]
fn leaving_bad_rows_out_helps_against_bad_rows_only() {
    let world = World::new();
    let mut skipped = String::new();
    for table in bad_tables() {
        let fails = run(world.build(Some(&table), &world.out()).args(["--invalid", "fail"])).stderr;
        let Run { code, stderr, .. } = run(world.build(Some(&table), &world.out()).args(["--invalid", "skip"]));
        assert_eq!(code == 0, fails.contains("`--invalid skip`"), "{}: {stderr}", table.display());
        if code == 0 {
            let rejected = fs::read_to_string(published_day(&world.out()).join("_rejected.jsonl")).unwrap();
            writeln!(skipped, "{}\n  {rejected}", table.file_name().unwrap().to_string_lossy()).unwrap();
            fs::remove_dir_all(world.out()).unwrap();
        } else {
            assert_eq!(stderr, fails);
        }
    }
    assert_snapshot!(skipped);
}

fn published_day(out: &Path) -> PathBuf {
    let mut days = fs::read_dir(out.join("dense")).unwrap();
    days.next().unwrap().unwrap().path()
}

/// A day without impressions is named, with the days that there are.
#[test]
fn a_day_without_impressions_is_named() {
    let world = World::new();
    let build = |from: &str, to: &str| {
        let mut command = shardback();
        command.args(["build", "--quiet", "--start", from, "--end", to]);
        command.arg("--impressions").arg(world.root.join("impressions.json"));
        command.arg("--clicks").arg(world.root.join("clicks.json")).arg("--out").arg(world.out());
        let message = world.message(&mut command);
        world.assert_nothing_in(&world.out());
        message
    };
    let between = build("2025-08-14", "2025-08-16");
    assert_snapshot!(between, @"error: no impressions on 2025-08-15 (the table has 2025-08-14 to 2025-08-16); name other days, or write empty ones with `--allow-empty-days`");
    let after = build("2025-09-01", "2025-09-01");
    assert_snapshot!(after, @"error: no impressions on 2025-09-01 (the table has 2025-08-14 to 2025-08-16); name other days, or write empty ones with `--allow-empty-days`");
    let empty = r#"{"dt":"2025-08-16","customer_id":1,"impressions":[]}"#;
    fs::write(world.root.join("impressions.json"), empty).unwrap();
    let no_item = build("2025-08-16", "2025-08-16");
    assert_snapshot!(no_item, @"error: no impressions on 2025-08-16: the table has rows of that day, but no item in them; name other days, or write empty ones with `--allow-empty-days`");
    fs::write(world.root.join("impressions.json"), "").unwrap();
    let none = build("2025-08-14", "2025-08-14");
    assert_snapshot!(none, @"error: no impressions on 2025-08-14; name other days, or write empty ones with `--allow-empty-days`");
}

/// What a message shows of a value can be seen, on one line, and is no longer than a line.
#[test]
fn values_in_messages_can_be_read() {
    let world = World::new();
    let table = world.root.join("values");
    let time = |time: &str| {
        fs::create_dir_all(&table).unwrap();
        let click = format!(r#"{{"dt":"2025-08-10","customer_id":1,"item_id":7,"click_time":"{time}"}}"#);
        fs::write(table.join("clicks.json"), click).unwrap();
        let message = world.message(&mut world.build(Some(&table), &world.out()));
        message.split_once("column `click_time`: ").unwrap().1.to_owned()
    };
    let said = |value: &str| {
        format!("not a time (RFC 3339): {value}; fix the row, or leave such rows out with `--invalid skip`")
    };
    assert_eq!(time(""), said("``"));
    assert_eq!(time("  "), said("`  `"));
    assert_eq!(time("a\\nb\\u001b[1mé"), said("`a\\nb\\u{1b}[1mé`"));
    assert_eq!(time(&"x".repeat(5000)), said(&format!("`{}…`", "x".repeat(100))));
    assert_eq!(time(&"é".repeat(100)), said(&format!("`{}`", "é".repeat(100))));
}

/// Orders below folders of another table's kind of day: the message says which folders would give theirs.
#[test]
fn a_table_without_days_says_what_folders_could_give_them() {
    let world = World::new();
    let orders = world.root.join("orders/dt=2025-08-10");
    fs::create_dir_all(&orders).unwrap();
    fs::write(orders.join("a.json"), r#"{"customer_id":1,"config_id":7}"#).unwrap();
    let mut build = world.build(None, &world.out());
    let message = world.message(build.arg("--previous-orders").arg(world.root.join("orders")));
    assert_snapshot!(message, @"error: previous_orders: no column `order_date` in `WORLD/orders/dt=2025-08-10/a.json`, and no folder `order_date=…`; its columns: customer_id, config_id");
}

/// An absent table is named with the path that was given.
#[test]
fn a_table_that_is_not_there_is_named() {
    let world = World::new();
    let message = world.message(&mut world.build(Some(Path::new("data/absent")), &world.out()));
    assert_snapshot!(message, @"error: clicks: cannot read `data/absent`: No such file or directory (os error 2)");
    world.assert_nothing_in(&world.out());
}

/// An output that can hold no days is refused before any work, and left as it is.
#[test]
fn an_output_that_cannot_be_written_is_refused() {
    let world = World::new();
    let file = world.root.join("file");
    fs::write(&file, "precious").unwrap();
    let message = world.message(&mut world.build(None, &file));
    assert_snapshot!(message, @"error: cannot create folder `WORLD/file`: not a directory");
    let message = world.message(&mut world.build(None, &file.join("out")));
    assert_snapshot!(message, @"error: cannot create folder `WORLD/file`: not a directory");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    // Nobody may create a folder there, not even root; what the system says of it depends on who asks.
    let message = world.message(&mut world.build(None, Path::new("/proc/shardback/out")));
    assert!(message.starts_with("error: cannot create folder `/proc/shardback`: "), "{message}");
}

/// A disk that fills up under a shard is one message with the file's name, and what was begun is gone.
#[test]
fn a_full_disk_is_one_message() {
    let world = World::new();
    let out = world.out();
    fs::create_dir(&out).unwrap();
    let build = || {
        let mut command = world.build(None, &out);
        command.args(["--threads", "1"]);
        command
    };
    let calls = FaultRun::new(build(), &out).run().expect_code(0).calls;
    fs::remove_dir_all(&out).unwrap();
    fs::create_dir(&out).unwrap();
    let shard =
        calls.iter().position(|call| call.name == "write" && call.path.ends_with("dense/shard-00000.safetensors"));
    let outcome = FaultRun::new(build(), &out).fail_at(1 + shard.unwrap(), Errno::NOSPC).run().expect_code(1);
    let message = outcome.stderr().replace(&*world.root.to_string_lossy(), "WORLD");
    assert_snapshot!(message.trim_end(), @"error: cannot write `WORLD/out/.staging/dt=2025-08-16/dense/shard-00000.safetensors`: No space left on device (os error 28)");
    world.assert_nothing_in(&out);
}

/// The same where the system refuses large files, with its own calls.
#[test]
fn a_file_size_limit_is_one_message() {
    let world = World::new();
    let mut command = Command::new("sh");
    // Ignored, so that the write fails instead of killing the program, as it does on a full disk.
    command.arg0("sh").args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"]);
    let build = world.build(None, &world.out());
    command.arg(build.get_program()).args(build.get_args()).args(["--history", "2000", "--threads", "1"]);
    command.current_dir(build.get_current_dir().unwrap());
    let message = world.message(&mut command);
    assert_snapshot!(message, @"error: cannot write `WORLD/out/.staging/dt=2025-08-16/parquet/part-00000.parquet`: File too large (os error 27)");
    world.assert_nothing_in(&world.out());
}
