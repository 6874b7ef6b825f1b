//! Protects: with `--invalid skip` a bad row is as if it were not there, but counted and kept on each day that would see it.
//!
//! Three days are built, 15 to 17 August, with a look-back of two days, so that an action of the 14th concerns the 15th
//! and the 16th only.

#![expect(clippy::disallowed_methods, reason = "the tests write tables by hand")]
#![expect(clippy::unwrap_used, reason = "a test stops where its set-up fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use shardback::config::{Format, InvalidRows, Options, Plan};
use shardback::error::{Error, Reason, Result};
use shardback::event::Day;
use shardback::manifest::{MANIFEST_FILE, Manifest, REJECTED_FILE, hash_hex};
use shardback::pipeline::{self, Input, Tables};
use tempfile::TempDir;

use crate::sheet::{Sheet, Stored};
use crate::tables::published;

/// The days that are built, of August 2025.
const DAYS: std::ops::RangeInclusive<i32> = 15..=17;

/// The four tables, impressions with an item in each row.
#[derive(Clone)]
struct Content(BTreeMap<&'static str, Sheet>);

impl Content {
    /// Two customers with impressions on every day, and a third with none; actions of all of them on many days.
    fn good() -> Self {
        let mut impressions = Sheet::new(&["dt", "customer_id", "item_id", "is_order"]);
        let mut clicks = Sheet::new(&["dt", "customer_id", "item_id", "click_time"]);
        let mut carts = Sheet::new(&["dt", "customer_id", "config_id", "occurred_at"]);
        let mut orders = Sheet::new(&["order_date", "customer_id", "config_id"]);
        for day in 12..=17 {
            let date = format!("2025-08-{day}");
            for customer in ["1", "2", "3"] {
                if customer != "3" && day >= 14 {
                    impressions.push(&[&date, customer, "70", "true"]);
                    impressions.push(&[&date, customer, "71", "false"]);
                }
                clicks.push(&[&date, customer, "50", &format!("{date}T10:00:00.000000Z")]);
                carts.push(&[&date, customer, "60", &format!("{date}T11:30:00.000000Z")]);
                orders.push(&[&date, customer, "60"]);
            }
        }
        Self(
            [("impressions", impressions), ("clicks", clicks), ("add_to_carts", carts), ("previous_orders", orders)]
                .into(),
        )
    }

    fn with(mut self, table: &str, row: &[&str]) -> Self {
        self.0.get_mut(table).unwrap().push(row);
        self
    }

    fn store(&self, folder: &Path, stored: Stored, files: usize) {
        for (name, sheet) in &self.0 {
            sheet.write(&folder.join(name), stored, files);
        }
    }
}

fn options(out: &Path, days: std::ops::RangeInclusive<i32>) -> Options {
    let day = |day: &i32| Day::from_ymd(2025, 8, *day).unwrap();
    Options {
        formats: vec![Format::Dense, Format::Jagged],
        history: 20,
        lookback_days: Some(2),
        invalid: InvalidRows::Skip,
        ..Options::new(out, day(days.start()), day(days.end()))
    }
}

fn build(folder: &Path, options: Options) -> Result<()> {
    let path = |name: &str| Input::Path(folder.join(name));
    let actions = [crate::tables::clicks(), crate::tables::add_to_carts(), crate::tables::previous_orders()];
    let actions = actions.map(|table| (table.clone(), path(&table.name))).into();
    pipeline::build(&Plan::new(options)?, Tables { impressions: path("impressions"), actions }, &()).map(|_| ())
}

/// Builds the days from some content, as NDJSON, and gives the folder with the output.
fn built(content: &Content) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    content.store(folder.path(), Stored::Json, 1);
    build(folder.path(), options(&folder.path().join("out"), DAYS)).unwrap();
    folder
}

fn day_folder(folder: &TempDir, day: i32) -> PathBuf {
    folder.path().join(format!("out/jagged/dt=2025-08-{day}"))
}

fn manifest(folder: &TempDir, day: i32) -> Manifest {
    Manifest::from_bytes(&fs::read(day_folder(folder, day).join(MANIFEST_FILE)).unwrap()).unwrap()
}

/// The rows kept aside on a day; none where there is no such file.
fn rejected(folder: &TempDir, day: i32) -> String {
    fs::read_to_string(day_folder(folder, day).join(REJECTED_FILE)).unwrap_or_default()
}

/// The shards of all days and formats.
fn shards(folder: &TempDir) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = published(&folder.path().join("out"));
    files.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "safetensors"));
    files
}

/// A bad row of each table and reason: the reason, the table, its row, and the days that would have seen it.
fn bad_rows() -> Vec<(Reason, &'static str, Vec<&'static str>, Vec<i32>)> {
    let (all, seen) = (vec![15, 16, 17], vec![15, 16]);
    let mut rows = Vec::new();
    for (table, last) in [
        ("clicks", "2025-08-14T12:00:00.000000Z"),
        ("add_to_carts", "2025-08-14T12:00:00.000000Z"),
        ("previous_orders", ""),
    ] {
        let row = |row: [&'static str; 3]| row.into_iter().chain(Some(last).filter(|last| !last.is_empty())).collect();
        rows.push((Reason::NullDay, table, row(["-", "1", "50"]), all.clone()));
        rows.push((Reason::UnparsableDay, table, row(["2025-02-30", "1", "50"]), all.clone()));
        rows.push((Reason::NullCustomer, table, row(["2025-08-14", "-", "50"]), seen.clone()));
        rows.push((Reason::CustomerOutOfRange, table, row(["2025-08-14", "9223372036854775808", "50"]), seen.clone()));
        rows.push((Reason::NullItem, table, row(["2025-08-14", "1", "-"]), seen.clone()));
        rows.push((Reason::ItemOutOfRange, table, row(["2025-08-14", "1", "-9223372036854775809"]), seen.clone()));
        rows.push((Reason::ItemOutOfRange, table, row(["2025-08-14", "1", "2147483648"]), seen.clone()));
    }
    rows.push((Reason::UnparsableTime, "clicks", vec!["2025-08-14", "1", "50", "noon"], seen.clone()));
    rows.push((Reason::UnparsableTime, "add_to_carts", vec!["2025-08-14", "1", "50", "2025-08-14T24:00:00Z"], seen));
    for (reason, row, days) in [
        (Reason::NullDay, ["-", "1", "70", "true"], all.clone()),
        (Reason::UnparsableDay, ["16 August", "1", "70", "true"], all),
        (Reason::NullCustomer, ["2025-08-16", "-", "70", "true"], vec![16]),
        (Reason::CustomerOutOfRange, ["2025-08-16", "-9223372036854775809", "70", "true"], vec![16]),
        (Reason::NullItem, ["2025-08-16", "1", "-", "true"], vec![16]),
        (Reason::ItemOutOfRange, ["2025-08-16", "1", "-2147483649", "true"], vec![16]),
        (Reason::NullLabel, ["2025-08-16", "1", "70", "-"], vec![16]),
    ] {
        rows.push((reason, "impressions", row.to_vec(), days));
    }
    rows
}

/// All the bad rows at once.
fn all_bad() -> Content {
    bad_rows().into_iter().fold(Content::good(), |content, (_, table, row, _)| content.with(table, &row))
}

/// Each kind of bad row in each table: the shards are those of a build without it, and only the days that would see it
/// count it and keep it.
#[test]
fn a_bad_row_is_left_out_and_counted_on_the_days_that_would_see_it() {
    let good = built(&Content::good());
    for day in DAYS {
        assert!(!day_folder(&good, day).join(REJECTED_FILE).exists() && manifest(&good, day).rejected.is_none());
    }
    for (reason, table, row, days) in bad_rows() {
        let built = built(&Content::good().with(table, &row));
        assert!(shards(&built) == shards(&good), "other shards with {row:?} in {table}");
        for day in DAYS {
            let (found, mut expected) = (manifest(&built, day), manifest(&good, day));
            if days.contains(&day) {
                let counts = &mut expected.tables.get_mut(table).unwrap().rejected;
                counts.insert(reason.name().to_owned(), 1);
            }
            assert_eq!(found.tables, expected.tables, "{row:?} in {table} on {day}");
            let kept = rejected(&built, day);
            assert_eq!(kept.lines().count(), usize::from(days.contains(&day)), "{row:?} in {table} on {day}: {kept}");
            assert_eq!(found.rejected.is_some(), days.contains(&day));
            assert_eq!(found.build == expected.build, found.rejected.is_none(), "the build's hash tells of rejects");
            assert_eq!(found.statistics, expected.statistics);
        }
    }
}

/// Every reason there is has its bad row: here, or where it takes a description that asks for more than the built-in one, there.
#[test]
fn every_reason_is_tried() {
    for reason in Reason::ALL {
        let is_tried = bad_rows().iter().any(|(tried, ..)| *tried == reason);
        assert!(is_tried || crate::config::bad_rows::REASONS.contains(&reason), "{reason:?}");
    }
}

/// The records: one line each, sorted, with the row as it was; their number, size and hash stand in the manifest.
#[test]
fn rejected_rows_are_kept_with_their_content() {
    let built = built(&all_bad());
    assert_snapshot!(rejected(&built, 16));
    for day in DAYS {
        let text = rejected(&built, day);
        let mut sorted: Vec<&str> = text.lines().collect();
        sorted.sort_unstable();
        assert_eq!(text, sorted.iter().map(|line| format!("{line}\n")).collect::<String>());
        let record = manifest(&built, day).rejected.unwrap();
        assert_eq!(
            (record.file.as_str(), record.rows, record.bytes, record.hash),
            (REJECTED_FILE, sorted.len() as u64, text.len() as u64, hash_hex(text.as_bytes()))
        );
        let counted: u64 = manifest(&built, day).tables.values().flat_map(|table| table.rejected.values()).sum();
        assert_eq!(counted, record.rows);
        for line in sorted {
            assert!(serde_json::from_str::<serde_json::Value>(line).unwrap().is_object());
        }
    }
}

/// The same content gives the same bytes, those of manifests and rejected rows too, however its tables are stored.
#[test]
fn rejected_rows_are_the_same_whatever_the_format_and_the_files() {
    let expected = published(&built(&all_bad()).path().join("out"));
    let mut backwards = all_bad();
    backwards.0.values_mut().for_each(Sheet::reverse);
    for (content, stored, files) in [
        (&backwards, Stored::Json, 3),
        (&backwards, Stored::Csv, 1),
        (&all_bad(), Stored::Csv, 2),
        (&backwards, Stored::Parquet, 2),
    ] {
        let folder = tempfile::tempdir().unwrap();
        content.store(folder.path(), stored, files);
        let out = folder.path().join("out");
        build(folder.path(), Options { threads: Some(3), ..options(&out, DAYS) }).unwrap();
        assert!(published(&out) == expected, "{stored:?} in {files} files");
    }
}

/// Rejects are a matter of the day, not of the run: a day built alone is the same as in a range.
#[test]
fn each_day_of_a_range_is_the_same_as_alone() {
    let range = built(&all_bad());
    let alone = tempfile::tempdir().unwrap();
    all_bad().store(alone.path(), Stored::Json, 1);
    let out = alone.path().join("out");
    for day in DAYS {
        build(alone.path(), options(&out, day..=day)).unwrap();
    }
    assert!(published(&out) == published(&range.path().join("out")));
}

/// Every row is checked before customers without impressions are dropped.
#[test]
fn a_bad_action_of_a_customer_without_impressions_is_found() {
    let content = Content::good().with("clicks", &["2025-08-14", "3", "-", "2025-08-14T12:00:00Z"]);
    let built = built(&content);
    assert_eq!(
        rejected(&built, 15),
        concat!(
            r#"{"table":"clicks","reason":"null_item","column":"item_id","value":null,"row":{"dt":"2025-08-14","#,
            r#""customer_id":3,"item_id":null,"click_time":"2025-08-14T12:00:00.000000Z"}}"#,
            "\n"
        )
    );
    let out = built.path().join("fail");
    let error = build(built.path(), Options { invalid: InvalidRows::Fail, ..options(&out, DAYS) }).unwrap_err();
    let Error::BadRow(row) = error else { panic!("{error}") };
    assert_eq!((row.reason, row.row, row.is_line), (Reason::NullItem, Some(19), true));
    assert_eq!(fs::read_dir(out).unwrap().count(), 0, "nothing is published");
}

/// What no requested day can see is not decoded: neither a bad row nor a broken file in such a partition matters.
#[test]
fn partitions_that_no_day_sees_are_not_decoded() {
    let folder = tempfile::tempdir().unwrap();
    Content::good().store(folder.path(), Stored::Json, 1);
    let write = |name: &str, text: &str| {
        let path = folder.path().join("clicks").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let bad = r#"{"customer_id":1,"item_id":null,"click_time":null}"#;
    // The look-back ends before the 13th, and a day sees nothing of itself.
    write("dt=2025-08-12/bad.json", bad);
    write("dt=2025-08-17/bad.json", bad);
    write("dt=2025-08-17/broken.parquet", "no Parquet");
    let fail = |name: &str| {
        let out = folder.path().join(name);
        build(folder.path(), Options { invalid: InvalidRows::Fail, ..options(&out, DAYS) })
    };
    fail("unseen").unwrap();
    for day in ["2025-08-13", "2025-08-16"] {
        write(&format!("dt={day}/bad.json"), bad);
        let error = fail(day).unwrap_err().to_string();
        assert!(
            error.contains(&format!("clicks/dt={day}/bad.json`, line 1, column `item_id`: the item is null")),
            "{error}"
        );
        fs::remove_dir_all(folder.path().join(format!("clicks/dt={day}"))).unwrap();
    }
}

/// In a list each item stands for itself: a bad one leaves its neighbours alone, and only a bad key takes the whole row.
#[test]
fn a_bad_item_in_a_list_takes_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    Content::good().store(folder.path(), Stored::Json, 1);
    let lines = |lists: &[(&str, &str)]| {
        let lines = lists.iter().map(|(customer, list)| {
            format!(r#"{{"dt":"2025-08-16","customer_id":{customer},"impressions":{list}}}"#) + "\n"
        });
        fs::remove_dir_all(folder.path().join("impressions")).unwrap();
        fs::create_dir(folder.path().join("impressions")).unwrap();
        fs::write(folder.path().join("impressions/lists.json"), lines.collect::<String>()).unwrap();
    };
    let out = |name: &str| {
        let out = folder.path().join(name);
        build(folder.path(), options(&out, 16..=16)).unwrap();
        let mut files = published(&out);
        files.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "safetensors"));
        (files, fs::read_to_string(out.join("dense/dt=2025-08-16/_rejected.jsonl")).unwrap_or_default(), out)
    };
    lines(&[
        ("1", r#"[{"item_id":1,"is_order":true},{"item_id":4,"is_order":false}]"#),
        ("2", r#"[{"item_id":5,"is_order":true}]"#),
    ]);
    let (good, none, _) = out("good");
    assert_eq!(none, "");
    lines(&[
        (
            "1",
            r#"[{"item_id":1,"is_order":true},{"item_id":null,"is_order":false},{"item_id":3,"is_order":null},{"item_id":4,"is_order":false}]"#,
        ),
        ("2", r#"[null,{"item_id":5,"is_order":true},{"item_id":2147483648,"is_order":null},{}]"#),
        ("null", r#"[{"item_id":6,"is_order":true},{"item_id":null,"is_order":null}]"#),
        ("null", "null"),
        ("2", "[]"),
    ]);
    let (found, kept, path) = out("bad");
    assert!(found == good, "other shards");
    assert_snapshot!(kept);
    let manifest = fs::read(path.join("dense/dt=2025-08-16").join(MANIFEST_FILE)).unwrap();
    let table = Manifest::from_bytes(&manifest).unwrap().tables["impressions"].clone();
    let counts = [("item_out_of_range", 1), ("null_customer", 2), ("null_item", 3), ("null_label", 1)];
    assert_eq!(table.rows, 3, "rows with a valid key");
    assert_eq!(table.rejected, counts.map(|(reason, count)| (reason.to_owned(), count)).into());
}

/// A row counts once, for its first fault: day, then customer, then item, then label or time.
#[test]
fn of_several_faults_the_first_counts() {
    let faults = |table: &'static str, last: [(&'static str, Reason); 1]| {
        let columns: [Vec<(&str, Reason)>; 4] = [
            vec![("-", Reason::NullDay), ("yesterday", Reason::UnparsableDay)],
            vec![("-", Reason::NullCustomer), ("9223372036854775808", Reason::CustomerOutOfRange)],
            vec![("-", Reason::NullItem), ("2147483648", Reason::ItemOutOfRange)],
            last.to_vec(),
        ];
        let good =
            if table == "impressions" { ["2025-08-15", "1", "70", "true"] } else { ["2025-08-14", "1", "50", "-"] };
        // Each column is good (0) or has one of its faults.
        let mut content = Content::good();
        let mut expected = BTreeMap::new();
        for choice in 1..3 * 3 * 3 * 2usize {
            let picks = [choice % 3, choice / 3 % 3, choice / 9 % 3, choice / 27];
            let row: Vec<&str> = (0..4)
                .map(|column| picks[column].checked_sub(1).map_or(good[column], |pick| columns[column][pick].0))
                .collect();
            if table == "impressions" && picks[..2] == [0, 0] && row[2..] == ["-", "-"] {
                // Of NDJSON a row with neither an item nor a label shows nothing, as one with a null list.
                continue;
            }
            let first = (0..4).find(|&column| picks[column] > 0).unwrap();
            let reason = columns[first][picks[first] - 1].1;
            *expected.entry(reason.name().to_owned()).or_insert(0u64) += 1;
            content = content.with(table, &row);
        }
        assert_eq!(manifest(&built(&content), 15).tables[table].rejected, expected);
    };
    faults("impressions", [("-", Reason::NullLabel)]);
    faults("clicks", [("noon", Reason::UnparsableTime)]);
}
