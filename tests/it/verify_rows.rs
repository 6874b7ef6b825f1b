//! Rows, windows, padding and columns that break the format under hashes that agree.

use std::path::Path;
use std::sync::Arc;

use shardback::config::Format;
use shardback::verify::verify;

use crate::fixture::{self, Content, DAY};
use crate::verify::{Case, each, faults, named};

const FIRST: &str = "shard-00000.safetensors";
const SECOND: &str = "shard-00001.safetensors";

fn set<const WIDTH: usize>(day: &Path, file: &str, tensor: &str, index: usize, value: [u8; WIDTH]) {
    fixture::set(&day.join(file), tensor, index, value);
}

/// The first shard has customer 3 (rows 0 and 1, three actions) and 7 (rows 2 to 4, four actions); the second -8 (rows
/// 0 and 1, none), 1 (row 2, one action) and 2 (row 3, two actions).
#[test]
fn the_small_day_is_as_the_cases_below_assume() {
    let customers =
        |shard| fixture::rows(&fixture::small(), shard).iter().map(|row| (row.0, row.3.len())).collect::<Vec<_>>();
    assert_eq!(customers(0), [(3, 3), (3, 3), (7, 4), (7, 4), (7, 4)]);
    assert_eq!(customers(1), [(-8, 0), (-8, 0), (1, 1), (2, 2)]);
}

#[test]
fn windows_of_jagged_shards() {
    let cases: [Case; 14] = [
        (
            |day| set(day, FIRST, "history_start", 1, (-1_i64).to_le_bytes()),
            FIRST,
            "row 2: start -1, length 4 is out of range: 7 actions, at most 4 in a row",
        ),
        (
            |day| set(day, FIRST, "history_start", 1, i64::MAX.to_le_bytes()),
            FIRST,
            "row 2: start 9223372036854775807, length 4 is out of range",
        ),
        (
            |day| set(day, FIRST, "history_length", 1, (-4_i32).to_le_bytes()),
            FIRST,
            "row 2: start 3, length -4 is out of range",
        ),
        (
            |day| set(day, FIRST, "history_length", 0, 5_i32.to_le_bytes()),
            FIRST,
            "row 0: start 0, length 5 is out of range",
        ),
        (
            |day| set(day, FIRST, "customer_id", 1, 3_i64.to_le_bytes()),
            FIRST,
            "row 2: customer 3 has another window in the row before",
        ),
        (|day| set(day, FIRST, "request", 3, 0_i32.to_le_bytes()), FIRST, "row 3: its request is 0, expected 1 or 2"),
        (|day| set(day, FIRST, "request", 4, 9_i32.to_le_bytes()), FIRST, "row 4: its request is 9, there are 2"),
        (|day| set(day, FIRST, "request", 4, (-1_i32).to_le_bytes()), FIRST, "row 4: its request is -1, there are 2"),
        (
            |day| set(day, FIRST, "history_start", 1, 2_i64.to_le_bytes()),
            FIRST,
            "row 2: the history of customer 7 begins at 2, expected 3",
        ),
        (
            |day| set(day, SECOND, "history_start", 0, 1_i64.to_le_bytes()),
            SECOND,
            "row 0: the history of customer -8 begins at 1, expected 0",
        ),
        (
            |day| set(day, SECOND, "history_length", 2, 1_i32.to_le_bytes()),
            SECOND,
            "the histories end at 2, there are 3 actions",
        ),
        (
            |day| set(day, SECOND, "action_types", 2, [4]),
            SECOND,
            "`action_types` 2 is 4, which is not a type of action",
        ),
        (
            |day| set(day, SECOND, "action_types", 0, [0]),
            SECOND,
            "`action_types` 0 is 0, which is not a type of action",
        ),
        (
            |day| set(day, SECOND, "action_types", 1, [2]),
            "_manifest.json",
            "`actions.add_to_cart` is 2, the files have 3",
        ),
    ];
    each(Format::Jagged, true, &fixture::small(), &cases);
}

#[test]
fn padding_of_dense_shards() {
    let cases: [Case; 5] = [
        (
            |day| set(day, SECOND, "actions", 9, 5_i32.to_le_bytes()),
            SECOND,
            "row 2: `actions` 1 is not 0 in the padding",
        ),
        (
            |day| set(day, SECOND, "action_types", 10, [1]),
            SECOND,
            "row 2: `action_types` 2 is not 0 behind padding at 1",
        ),
        (
            |day| set(day, SECOND, "action_types", 8, [7]),
            SECOND,
            "row 2: `action_types` 0 is 7, which is not a type of action",
        ),
        (
            |day| set(day, FIRST, "actions", 4, 99_i32.to_le_bytes()),
            FIRST,
            "row 1: its customer has another history in the row before",
        ),
        (
            |day| set(day, SECOND, "action_types", 12, [0]),
            "_manifest.json",
            "`customers_without_history` is 1, the files have 2",
        ),
    ];
    each(Format::Dense, true, &fixture::small(), &cases);
}

#[test]
fn rows_and_headers_of_mapped_shards() {
    let cases: [Case; 8] = [
        (|day| set(day, FIRST, "is_order", 2, [2]), FIRST, "row 2: `is_order` is 2, neither 0 nor 1"),
        (
            |day| set(day, FIRST, "is_order", 0, [1]),
            "_manifest.json",
            "`labels.is_order.positives` is 2, the files have 3",
        ),
        (
            |day| set(day, FIRST, "item_id", 2, 1000_i32.to_le_bytes()),
            FIRST,
            "row 3: out of order: rows ascend by customer hash, then item, then the columns",
        ),
        (
            |day| {
                set(day, FIRST, "customer_id", 0, 2_i64.to_le_bytes());
                set(day, FIRST, "customer_id", 1, 2_i64.to_le_bytes());
            },
            FIRST,
            "row 0: customer 2 belongs in shard 1",
        ),
        (
            |day| fixture::edit_header(&day.join(FIRST), DAY, "2025-08-17"),
            FIRST,
            "its header says dt 2025-08-17, the manifest says 2025-08-16",
        ),
        (
            |day| fixture::edit_header(&day.join(FIRST), "\"shards\":\"2\"", "\"shards\":\"3\""),
            FIRST,
            "its header says shards 3, the manifest says 2",
        ),
        (
            |day| fixture::edit_header(&day.join(FIRST), "\"shard\":\"0\"", "\"shard\":\"1\""),
            FIRST,
            "its header says shard 1, the manifest says 0",
        ),
        (
            |day| fixture::edit_manifest(day, |manifest| manifest.item_dtype = "i64".into()),
            FIRST,
            "its header says item dtype i32, the manifest says i64",
        ),
    ];
    for format in [Format::Dense, Format::Jagged] {
        each(format, true, &fixture::small(), &cases);
    }
}

const PART: &str = "part-00000.parquet";

fn replace(day: &Path, column: usize, nullable: bool, values: arrow::array::ArrayRef) {
    fixture::replace_column(&day.join(PART), column, nullable, values, &fixture::small(), 0);
}

/// The rows of the first part as it is, one type replaced.
fn types_with(place: usize, kind: i32) -> arrow::array::ArrayRef {
    let mut types = vec![1, 1, 1, 0, 1, 1, 1, 0, 1, 2, 3, 1, 1, 2, 3, 1, 1, 2, 3, 1];
    types[place] = kind;
    fixture::int32_list(types, 5, 4)
}

#[test]
fn rows_and_columns_of_parts() {
    let cases: [Case; 9] = [
        (|day| replace(day, 4, false, types_with(3, 0)), "_SUCCESS", ""),
        (
            |day| replace(day, 4, false, types_with(8, 300)),
            PART,
            "row 2: `action_types` 0 is 300, which is not a type of action",
        ),
        (
            |day| replace(day, 4, false, types_with(8, -1)),
            PART,
            "row 2: `action_types` 0 is -1, which is not a type of action",
        ),
        (|day| replace(day, 4, false, types_with(1, 0)), PART, "row 0: `action_types` 2 is not 0 behind padding at 1"),
        (|day| replace(day, 4, false, types_with(2, 0)), PART, "row 0: `actions` 2 is not 0 in the padding"),
        (
            |day| replace(day, 4, false, fixture::int32_list(vec![1; 15], 5, 3)),
            PART,
            "row 0: `actions` has 4 values and `action_types` 3, expected 4",
        ),
        (
            |day| replace(day, 0, true, fixture::column(&fixture::small(), 0, 0)),
            PART,
            "its columns are: customer_id nullable Int64",
        ),
        (
            |day| replace(day, 0, false, Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![1; 5]))),
            PART,
            "its columns are: customer_id Timestamp",
        ),
        (
            |day| {
                let content = Content { row_group_rows: 2, ..fixture::small() };
                fixture::replace_column(&day.join(PART), 1, false, fixture::column(&content, 0, 1), &content, 0);
            },
            PART,
            "row group 0 has 2 rows, expected 8192 in each but the last",
        ),
    ];
    let [(unchanged, ..), cases @ ..] = &cases;
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Parquet, DAY, &fixture::small());
    unchanged(&folder);
    fixture::rehash(&folder);
    assert_eq!(faults(&verify(&folder).unwrap()), "");
    each(Format::Parquet, true, &fixture::small(), cases);
}

/// More rows than a row group holds, and than are decoded at once.
#[test]
fn row_groups_are_full_but_the_last() {
    let samples = (0..9000).map(|item| (item, item % 7 == 0)).collect();
    let mut content = Content { shards: 1, history: 2, ..fixture::small() };
    content.customers = vec![fixture::Customer { id: 7, history: vec![(1, 1), (2, 2)], samples }];
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Parquet, DAY, &content);
    assert_eq!(faults(&verify(&folder).unwrap()), "");
    let folder = fixture::write_day(out.path(), Format::Parquet, DAY, &Content { row_group_rows: 9000, ..content });
    assert!(named(&verify(&folder).unwrap(), PART, "row group 0 has 9000 rows"));
}

#[test]
fn faults_of_one_kind_are_named_once_and_counted() {
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Dense, DAY, &fixture::small());
    fixture::edit(&folder.join(FIRST), |bytes| {
        let labels = fixture::tensor(bytes, "is_order");
        bytes[labels].fill(9);
    });
    let report = verify(&folder).unwrap();
    assert!(
        named(&report, FIRST, "row 0: `is_order` is 9, neither 0 nor 1 (and 4 more like it)"),
        "{}",
        faults(&report)
    );
    assert!(named(&report, FIRST, "its hash is"));
}
