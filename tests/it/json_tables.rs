//! Protects: what a row of NDJSON means does not depend on which other rows stand in its file.

#![expect(clippy::disallowed_methods, reason = "the tests write tables by hand")]
#![expect(clippy::unwrap_used, reason = "a test stops where its set-up fails")]

use std::fs;
use std::path::{Path, PathBuf};

use shardback::config::{Format, InvalidRows, Options, Plan};
use shardback::error::Result;
use shardback::manifest::{MANIFEST_FILE, Manifest, REJECTED_FILE};
use shardback::pipeline::{self, Input, Tables};

use crate::tables::{message, published, read_day};

/// 2025-08-16.
const DAY: i32 = 20_316;

/// Rows of every kind: with a list, null and empty ones, with an item, with neither, and bad ones of both kinds.
const IMPRESSIONS: [&str; 13] = [
    r#"{"dt":"2025-08-16","customer_id":1,"impressions":[{"item_id":1,"is_order":true},{"item_id":2,"is_order":false}]}"#,
    r#"{"dt":"2025-08-16","customer_id":1,"item_id":9,"is_order":false}"#,
    r#"{"dt":"2025-08-16","customer_id":2,"impressions":null}"#,
    r#"{"dt":"2025-08-16","customer_id":2,"impressions":null,"item_id":8,"is_order":true}"#,
    r#"{"dt":"2025-08-16","customer_id":2,"impressions":[]}"#,
    // A list decides: what stands beside it is a column that nobody asked for.
    r#"{"dt":"2025-08-16","customer_id":2,"impressions":[],"item_id":"none","is_order":7}"#,
    r#"{"dt":"2025-08-16","customer_id":3}"#,
    r#"{"dt":"2025-08-16","customer_id":3,"item_id":null,"is_order":null}"#,
    r#"{"dt":"2025-08-16","customer_id":3,"item_id":7}"#,
    r#"{"dt":"2025-08-16","customer_id":3,"is_order":true}"#,
    r#"{"dt":"2025-08-16","customer_id":3,"impressions":[{"item_id":6},{"item_id":5,"is_order":true}]}"#,
    r#"{"dt":"2025-08-16","item_id":4,"is_order":true}"#,
    r#"{"dt":"2025-08-16","customer_id":3,"item_id":3,"is_order":false,"impressions":null}"#,
];

/// The same of clicks: with and without a time or an item.
const CLICKS: [&str; 4] = [
    r#"{"dt":"2025-08-10","customer_id":1,"item_id":50,"click_time":"2025-08-10T09:00:00Z"}"#,
    r#"{"dt":"2025-08-10","customer_id":1,"item_id":51}"#,
    r#"{"dt":"2025-08-10","customer_id":1,"click_time":"2025-08-10T09:00:00Z"}"#,
    r#"{"dt":"2025-08-11","customer_id":3,"item_id":52,"click_time":null}"#,
];

/// The rows of a table, each file with those for which `file` gives its number.
fn write(folder: &Path, rows: &[&str], file: impl Fn(usize) -> usize) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir(folder).unwrap();
    for number in 0..rows.len() {
        let lines =
            rows.iter().enumerate().filter(|&(row, _)| file(row) == number).map(|(_, line)| format!("{line}\n"));
        fs::write(folder.join(format!("{number}.json")), lines.collect::<String>()).unwrap();
    }
}

fn build(folder: &Path, out: &Path, invalid: InvalidRows) -> Result<()> {
    let options = Options { history: 5, invalid, ..crate::tables::options(out, DAY, DAY) };
    let actions = vec![(crate::tables::clicks(), Input::Path(folder.join("clicks")))];
    let tables = Tables { impressions: Input::Path(folder.join("impressions")), actions };
    pipeline::build(&Plan::new(options)?, tables, &()).map(|_| ())
}

#[test]
fn lists_items_and_absent_keys_mean_the_same_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut results: Vec<Vec<(PathBuf, Vec<u8>)>> = Vec::new();
    // All in one file, each in a file of its own, and some together.
    let splits: [fn(usize) -> usize; 4] = [|_| 0, |row| row, |row| row % 3, |row| row / 2];
    for file in splits {
        write(&folder.path().join("impressions"), &IMPRESSIONS, file);
        write(&folder.path().join("clicks"), &CLICKS, file);
        build(folder.path(), &out, InvalidRows::Skip).unwrap();
        results.push(published(&out));
    }
    assert!(results.iter().all(|result| *result == results[0]), "it depends on the files");

    let mut samples: Vec<_> = read_day(&out, Format::Jagged, DAY, 5)
        .concat()
        .into_iter()
        .map(|row| (row.customer, row.item, row.is_order, row.actions[..2].to_vec()))
        .collect();
    samples.sort();
    let first = |items: [i64; 2]| items.to_vec();
    assert_eq!(
        samples,
        [
            (1, 1, true, first([50, 51])),
            (1, 2, false, first([50, 51])),
            (1, 9, false, first([50, 51])),
            (2, 8, true, first([0, 0])),
            (3, 3, false, first([52, 0])),
            (3, 5, true, first([52, 0])),
        ]
    );
    let day = out.join("jagged/dt=2025-08-16");
    let tables = Manifest::from_bytes(&fs::read(day.join(MANIFEST_FILE)).unwrap()).unwrap().tables;
    let rejected: Vec<_> =
        tables["impressions"].rejected.iter().map(|(reason, &count)| (reason.as_str(), count)).collect();
    assert_eq!(rejected, [("null_customer", 1), ("null_item", 1), ("null_label", 2)]);
    assert_eq!(tables["impressions"].rows, 10);
    assert_eq!(tables["clicks"].rejected["null_item"], 1);
    let kept = fs::read_to_string(day.join(REJECTED_FILE)).unwrap();
    assert!(kept.contains(r#""row":{"dt":"2025-08-16","customer_id":null,"item_id":4,"is_order":true}"#), "{kept}");
}

/// A bad row that is alone in its file is a bad row, not a table without the column.
#[test]
fn a_bad_row_alone_in_its_file_is_named_as_one() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("impressions"), &IMPRESSIONS[..2], |row| row);
    write(&folder.path().join("clicks"), &CLICKS, |row| row);
    let error = build(folder.path(), &folder.path().join("out"), InvalidRows::Fail).unwrap_err();
    let problem = "clicks/2.json`, line 1, column `item_id`: the item is null; fix the row";
    assert!(error.to_string().contains(problem), "{error}");
}

/// A name that no line has is a typing error, whatever the values could be.
#[test]
fn a_key_that_no_line_of_any_file_has_is_a_missing_column() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let fails = || {
        let error = build(folder.path(), &out, InvalidRows::Skip).unwrap_err();
        message(&error).replace(&*folder.path().to_string_lossy(), "TABLES")
    };
    write(&folder.path().join("impressions"), &IMPRESSIONS, |row| row);
    write(&folder.path().join("clicks"), &[CLICKS[1], CLICKS[1]], |row| row);
    assert_eq!(fails(), "clicks: no column `click_time` in `TABLES/clicks`; its columns: dt, customer_id, item_id");
    write(&folder.path().join("clicks"), &CLICKS, |row| row);
    write(&folder.path().join("impressions"), &[IMPRESSIONS[6], IMPRESSIONS[8]], |row| row);
    assert_eq!(
        fails(),
        "impressions: no column `impressions` in `TABLES/impressions`; its columns: dt, customer_id, item_id"
    );
    write(&folder.path().join("impressions"), &[IMPRESSIONS[8], IMPRESSIONS[9]], |row| row);
    build(folder.path(), &out, InvalidRows::Skip).unwrap_err();
    write(&folder.path().join("impressions"), &[IMPRESSIONS[8], IMPRESSIONS[9], IMPRESSIONS[1]], |row| row);
    build(folder.path(), &out, InvalidRows::Skip).unwrap();
}

/// A value of the wrong type is a bad row that is named with its line, also where rows without a list stand before it; it ends a run
/// only where bad rows do.
#[test]
fn a_wrong_value_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("clicks"), &CLICKS, |row| row);
    let good = IMPRESSIONS[0];
    let (no_integer, no_label) =
        ("the item id is not an integer", "the label is not what its type can hold (of a bool: true, false, 1 or 0)");
    for (bad, column, problem, value, reason) in [
        (
            good.replace("\"item_id\":2", "\"item_id\":\"two\""),
            "impressions.item_id",
            no_integer,
            "two",
            "item_no_integer",
        ),
        (good.replace("false", "\" \""), "impressions.is_order", no_label, " ", "unparsable_label"),
        (IMPRESSIONS[1].replace('9', "\"\""), "item_id", no_integer, "", "item_no_integer"),
        (IMPRESSIONS[1].replace("false", "2"), "is_order", no_label, "2", "unparsable_label"),
    ] {
        let rows = [good, IMPRESSIONS[1], IMPRESSIONS[2], IMPRESSIONS[6], bad.as_str(), good, IMPRESSIONS[2]];
        write(&folder.path().join("impressions"), &rows, |_| 0);
        write(&folder.path().join("clicks"), &[CLICKS[0]], |_| 0);
        let out = folder.path().join("out");
        let error = build(folder.path(), &out, InvalidRows::Fail).unwrap_err().to_string();
        let expected = format!("impressions/0.json`, line 5, column `{column}`: {problem}: `{value}`; fix the row");
        assert!(error.contains(&expected), "{error}");
        build(folder.path(), &out, InvalidRows::Skip).unwrap();
        let manifest = fs::read(out.join("jagged/dt=2025-08-16").join(MANIFEST_FILE)).unwrap();
        let tables = Manifest::from_bytes(&manifest).unwrap().tables;
        let rejected: Vec<_> =
            tables["impressions"].rejected.iter().map(|(name, &rows)| (name.as_str(), rows)).collect();
        assert_eq!(rejected, [(reason, 1)]);
    }
}
