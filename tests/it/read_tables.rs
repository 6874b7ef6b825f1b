//! Protects: whole builds over tables that are easily misread: days that are instants, quotes by other rules, and lines whose
//! keys have other names. What is misread here shows nowhere but in the rows.

#![expect(clippy::disallowed_methods, reason = "the tests write tables by hand")]
#![expect(clippy::unwrap_used, reason = "a test stops where its set-up fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use serde_json::Value;
use shardback::open::{DayFolder, Items, ShardView};
use shardback::unify::parse_time;
use tempfile::TempDir;

use crate::cli::{Run, run, shardback};

struct World {
    folder: TempDir,
}

const SLATE: &str = r#""impressions":[{"item_id":1,"is_order":true}]"#;

impl World {
    /// Impressions of customer 1 on the 15th and the 16th.
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        let line = |day: u32| format!("{{\"dt\":\"2025-08-{day}\",\"customer_id\":1,{SLATE}}}\n");
        world.write("impressions.json", &(line(15) + &line(16)));
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn build(&self, clicks: &str, more: &[&str]) -> Command {
        let mut command = shardback();
        command.args(["build", "--date", "2025-08-16", "--formats", "jagged", "--history", "9"]);
        command.arg("--impressions").arg(self.path("impressions.json")).arg("--clicks").arg(self.path(clicks));
        command.arg("--out").arg(self.path("out")).args(more);
        command
    }

    fn day(&self) -> PathBuf {
        self.path("out/jagged/dt=2025-08-16")
    }

    /// The history of customer 1 on the 16th, newest first; or what the build says.
    fn history(&self, clicks: &str, more: &[&str]) -> Result<Vec<i64>, String> {
        let Run { code, stderr, .. } = run(self.build(clicks, more).arg("--quiet"));
        if code != 0 {
            return Err(stderr.replace(&*self.folder.path().to_string_lossy(), "WORLD"));
        }
        let shard = DayFolder::open(&self.day()).unwrap().shard(0).unwrap();
        let ShardView::Jagged(shard) = shard.view() else { panic!("a jagged shard was asked for") };
        let Items::I32(items) = shard.history(0).unwrap().items else { panic!("items have 32 bits") };
        let items = items.iter().copied().map(i64::from).collect();
        fs::remove_dir_all(self.path("out")).unwrap();
        Ok(items)
    }
}

/// Clicks on items 14, 15 and 16 on the days of these numbers, whose days are instants.
fn clicks(path: &Path, days: [&str; 3], zone: Option<&str>, keeps_arrow_schema: bool) {
    let micros = days.map(|day| parse_time(day.as_bytes()).unwrap());
    let days = TimestampMicrosecondArray::from(micros.to_vec()).with_timezone_opt(zone);
    let ids = |first: i64, step: i64| Arc::new(Int64Array::from_iter_values((0..3).map(|row| first + row * step)));
    let times: ArrayRef =
        Arc::new(StringArray::from_iter_values((14..=16).map(|day| format!("2025-08-{day}T09:00:00Z"))));
    let columns: [(&str, ArrayRef); 4] =
        [("dt", Arc::new(days)), ("customer_id", ids(1, 0)), ("item_id", ids(14, 1)), ("click_time", times)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let options = ArrowWriterOptions::new().with_skip_arrow_metadata(!keeps_arrow_schema);
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    fs::write(path, bytes).unwrap();
}

/// Local midnights of the 14th, the 15th and the 16th in Berlin.
const MIDNIGHTS: [&str; 3] = ["2025-08-13T22:00:00Z", "2025-08-14T22:00:00Z", "2025-08-15T22:00:00Z"];

/// What happened on the 16th is no history on the 16th, also where the day is kept as an instant, whose day in UTC is the 15th.
#[test]
fn what_happens_on_a_day_does_not_leak_into_it() {
    let world = World::new();
    let path = world.path("clicks.parquet");
    let says_no_zone = "column `dt`: the day is an instant, 2025-08-13T22:00:00.000000Z, and the column says no time zone; \
                        name the zone whose days they are with `--day-zone`, as Europe/Berlin or UTC, or write the column as \
                        dates";
    // pandas and Polars say the zone, in the Arrow schema that they leave in the file.
    clicks(&path, MIDNIGHTS, Some("Europe/Berlin"), true);
    assert_eq!(world.history("clicks.parquet", &[]).unwrap(), [15, 14]);
    // Spark, Trino and DuckDB leave none: that the instants are kept in UTC says nothing of whose days they are.
    for (zone, keeps) in [(Some("Europe/Berlin"), false), (Some("UTC"), false), (None, true), (None, false)] {
        clicks(&path, MIDNIGHTS, zone, keeps);
        let refused = world.history("clicks.parquet", &["--invalid", "skip"]).unwrap_err();
        let place = "error: clicks: `WORLD/clicks.parquet`, row 1, ";
        assert_eq!(refused.trim_end(), format!("{place}{says_no_zone}"), "{zone:?} {keeps}");
        assert!(!world.path("out/jagged").exists());
        assert_eq!(world.history("clicks.parquet", &["--day-zone", "Europe/Berlin"]).unwrap(), [15, 14]);
        assert_eq!(world.history("clicks.parquet", &["--day-zone", "UTC"]).unwrap(), [16, 15, 14]);
    }
    // Midnights of UTC are days, whether the column says so or not.
    let midnights = ["2025-08-14T00:00:00Z", "2025-08-15T00:00:00Z", "2025-08-16T00:00:00Z"];
    for (zone, keeps) in [(Some("UTC"), true), (Some("UTC"), false), (None, true)] {
        clicks(&path, midnights, zone, keeps);
        assert_eq!(world.history("clicks.parquet", &[]).unwrap(), [15, 14]);
    }
}

/// The zone is one of the options that decide what a day holds: a day that another one built is built again.
#[test]
fn the_zone_is_part_of_the_record() {
    let world = World::new();
    clicks(&world.path("clicks.parquet"), MIDNIGHTS, Some("Europe/Berlin"), true);
    let manifest = || -> Value {
        let text = fs::read_to_string(world.day().join("_manifest.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let build = |more: &[&str]| {
        let Run { code, stdout, stderr } = run(&mut world.build("clicks.parquet", more));
        assert_eq!(code, 0, "{stderr}");
        stdout.contains("wrote ")
    };
    assert!(build(&["--skip-existing"]));
    assert_eq!(manifest().get("day_zone"), None);
    let without = manifest()["build"].clone();
    assert!(!build(&["--skip-existing"]));
    assert!(build(&["--skip-existing", "--day-zone", "europe/berlin"]));
    assert_eq!(manifest()["day_zone"], "Europe/Berlin");
    assert_ne!(manifest()["build"], without);
    assert!(!build(&["--skip-existing", "--day-zone", "Europe/Berlin"]));
    assert_eq!(run(shardback().arg("verify").arg(world.path("out"))).code, 0);
    assert!(build(&["--skip-existing"]));
}

/// A CSV table as Spark writes it, through the option.
#[test]
fn rows_do_not_disappear_into_quotes() {
    let world = World::new();
    let row = |item: u32| format!("2025-08-15,1,{item},2025-08-15T09:00:{item}Z,\"tv {item}\\\"\"\n");
    let text = (10..16).map(row).collect::<String>();
    world.write("clicks.csv", &format!("dt,customer_id,item_id,click_time,query\n{text}"));
    assert_eq!(world.history("clicks.csv", &["--csv-escape", "\\"]).unwrap(), [15, 14, 13, 12, 11, 10]);
    let refused = world.history("clicks.csv", &[]).unwrap_err();
    assert!(
        refused.starts_with("error: clicks: `WORLD/clicks.csv`, line 2: field 5 goes on after its closing quote"),
        "{refused}"
    );
    for escape in ["\"", ",", "é", " "] {
        let refused = world.history("clicks.csv", &["--csv-escape", escape]).unwrap_err();
        assert_eq!(refused, "error: --csv-escape: use one ASCII character other than a quote or a comma\n");
    }
}

/// Lines whose keys have other names show nothing. A few are noted, and most of them are a fault.
#[test]
fn lines_whose_keys_have_other_names_are_noted() {
    let world = World::new();
    world.write("clicks.csv", "dt,customer_id,item_id,click_time\n");
    let line = |customer: u32, slate: &str| format!("{{\"dt\":\"2025-08-16\",\"customer_id\":{customer}{slate}}}\n");
    let list = format!(",{SLATE}");
    let renamed = ",\"shown\":[{\"itemId\":1}]";
    world.write("impressions.json", &[line(1, &list), line(2, renamed), line(3, &list)].concat());
    let Run { code, stdout, stderr } = run(&mut world.build("clicks.csv", &[]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("3 rows, 1 line with neither an item nor a list of items, "), "{stdout}");
    let Run { stdout, .. } = run(&mut world.build("clicks.csv", &["--json", "--quiet"]));
    let summary: Value = serde_json::from_str(&stdout).unwrap_or_default();
    assert_eq!(summary["tables"][0]["shows_nothing"], 1, "{stdout}");
    assert_eq!(summary["tables"][1]["shows_nothing"], 0);

    world.write("impressions.json", &[line(1, &list), line(2, renamed), line(3, renamed)].concat());
    let Run { code, stderr, .. } = run(&mut world.build("clicks.csv", &["--quiet"]));
    assert_eq!(
        (code, stderr.as_str()),
        (
            1,
            "error: impressions: 2 of 3 lines have none of the keys `impressions`, `item_id` and `is_order`: most likely theirs \
             have other names; rename them, or give lines that show nothing the key with `null` or `[]`\n"
        )
    );
    // A key that says so is no missing one.
    for nothing in [",\"impressions\":null", ",\"impressions\":[]", ",\"item_id\":null"] {
        world.write("impressions.json", &[line(1, &list), line(2, nothing), line(3, nothing)].concat());
        let Run { code, stdout, .. } = run(&mut world.build("clicks.csv", &[]));
        assert!(code == 0 && !stdout.contains("neither"), "{stdout}");
    }
}
