//! Protects: whatever stops a run, and wherever, each published day is old or new, whole, and the next run gets through.

#![expect(clippy::disallowed_methods, reason = "the tests write tables and copy outputs by hand")]
#![expect(clippy::expect_used, reason = "a test stops where its set-up fails")]

mod beside;
mod builds;
mod cleaning;
mod direct;
mod driver;
mod reading;
mod retries;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use shardback::config::Format;
use shardback::fsio::STAGING_FOLDER;
use tempfile::TempDir;

use crate::shim::{FaultRun, contents};

const DAYS: [&str; 3] = ["2025-08-16", "2025-08-17", "2025-08-18"];

/// The first item of each version's tables; all items of a version are of its hundreds.
const VERSIONS: [(&str, i32); 2] = [("old", 100), ("new", 500)];

/// Tables of two versions and what a build of each gives.
struct World {
    _guard: TempDir,
    root: PathBuf,
    shape: Shape,
}

/// What the builds of a world make.
#[derive(Clone, Copy)]
struct Shape {
    formats: &'static str,
    shards: &'static str,
    history: &'static str,
    /// Impressed items of each customer on a day.
    items: usize,
}

const SMALL: Shape = Shape { formats: "parquet,dense,jagged", shards: "2", history: "5", items: 2 };

impl World {
    /// Builds `days` from both versions, into `old` and `new`.
    fn new(days: &[&str]) -> Self {
        Self::of(days, SMALL)
    }

    fn of(days: &[&str], shape: Shape) -> Self {
        let guard = tempfile::tempdir().expect("a temporary folder");
        let root = guard.path().canonicalize().expect("it exists");
        let world = Self { _guard: guard, root, shape };
        for (version, first_item) in VERSIONS {
            world.write_tables(version, first_item);
            world.build(version, version, days, &[]).run().expect_code(0);
        }
        for format in world.formats() {
            let [old, new] = ["old", "new"].map(|out| contents(&world.root.join(out).join(format.name())));
            assert!(
                !old.is_empty() && old.keys().eq(new.keys()) && old != new,
                "the versions differ in {}",
                format.name()
            );
        }
        world
    }

    /// The formats that are built, in the order in which they are put in place.
    fn formats(&self) -> Vec<Format> {
        Format::ALL.into_iter().filter(|format| self.shape.formats.contains(format.name())).collect()
    }

    /// Four customers with a few clicks, and some impressed items for each on every day.
    fn write_tables(&self, version: &str, first_item: i32) {
        let (mut impressions, mut clicks) = (String::new(), String::new());
        for (number, day) in DAYS.iter().enumerate() {
            for customer in 1..=4 {
                let item = first_item + 10 * customer + i32::try_from(number).expect("small");
                let more = r#",{"item_id":7,"is_order":false}"#.repeat(self.shape.items - 1);
                let slate = format!(r#"[{{"item_id":{item},"is_order":true}}{more}]"#);
                writeln!(
                    impressions,
                    r#"{{"dt":"{day}","ranking_id":"r","customer_id":{customer},"impressions":{slate}}}"#
                )
                .expect("a string");
                let day = 13 + number;
                for hour in 10..10 + customer {
                    writeln!(
                        clicks,
                        r#"{{"dt":"2025-08-{day}","customer_id":{customer},"item_id":{item},"click_time":"2025-08-{day}T{hour}:00:00Z"}}"#
                    )
                    .expect("a string");
                }
            }
        }
        let folder = self.root.join(format!("tables-{version}"));
        fs::create_dir(&folder).expect("created");
        fs::write(folder.join("impressions.ndjson"), impressions).expect("written");
        fs::write(folder.join("clicks.ndjson"), clicks).expect("written");
    }

    /// A build of the tables of a version into the folder `out`.
    fn build(&self, version: &str, out: &str, days: &[&str], more: &[&str]) -> FaultRun {
        let (tables, out) = (self.root.join(format!("tables-{version}")), self.root.join(out));
        fs::create_dir_all(&out).expect("created");
        let mut command = shardback();
        command.arg("build").arg("--impressions").arg(tables.join("impressions.ndjson"));
        command.arg("--clicks").arg(tables.join("clicks.ndjson")).arg("--out").arg(&out);
        command.args(["--start", days[0], "--end", days[days.len() - 1]]);
        let Shape { formats, shards, history, .. } = self.shape;
        command.args(["--formats", formats, "--shards", shards, "--history", history, "--quiet"]).args(more);
        FaultRun::new(command, &out)
    }

    /// A fresh copy of what the old tables gave, as `out`.
    fn reset(&self) -> PathBuf {
        let out = self.root.join("out");
        let _ = fs::remove_dir_all(&out);
        copy(&self.root.join("old"), &out);
        out
    }

    /// How many formats of the first day are new; stops the test unless these come first, the rest are old, and all are
    /// whole.
    fn count_new(&self) -> usize {
        let day = |out: &str, format: Format| contents(&self.root.join(out).join(day_name(format, DAYS[0])));
        let formats = self.formats();
        let new = formats.iter().take_while(|&&format| day("out", format) == day("new", format)).count();
        for &format in &formats[new..] {
            assert!(day("out", format) == day("old", format), "{} is neither old nor new", format.name());
        }
        new
    }

    /// Stops the test unless `out` now holds what an undisturbed build of the new tables gives, and nothing else.
    fn assert_all_new(&self) {
        let [out, new] = ["out", "new"].map(|out| contents(&self.root.join(out)));
        assert!(out.keys().eq(new.keys()), "other files: {:?}", out.keys());
        assert!(out == new, "other bytes");
        self.assert_no_staging();
    }

    fn assert_no_staging(&self) {
        assert!(!self.root.join("out").join(STAGING_FOLDER).exists(), "staging is left behind");
    }
}

fn shardback() -> Command {
    Command::new(env!("CARGO_BIN_EXE_shardback"))
}

fn day_name(format: Format, day: &str) -> String {
    format!("{}/dt={day}", format.name())
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("readable");
        let place = to.join(entry.path().strip_prefix(from).expect("below it"));
        if entry.file_type().is_dir() {
            fs::create_dir(place).expect("created");
        } else {
            fs::copy(entry.path(), place).expect("copied");
        }
    }
}
