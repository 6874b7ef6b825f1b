//! Protects: a build over streams of record batches gives the bytes of a build over files of the same content.

#![expect(clippy::disallowed_methods, reason = "the tests write tables by hand")]
#![expect(clippy::unwrap_used, reason = "a test stops where its set-up fails")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use shardback::config::{InvalidRows, Options, Plan, Sharding};
use shardback::error::Result;
use shardback::event::Day;
use shardback::pipeline::{self, Input, Tables};
use shardback::read::{Batches, Projection};
use shardback::schema::{ActionTable, Schema};
use shardback::unify;

use crate::sheet::Sheet;
use crate::tables::{options, published};

/// The first of two days that are built.
pub(crate) const FIRST: i32 = 20_000;

/// Twelve customers with lists of zero to four items on both days.
pub(crate) fn impressions() -> RecordBatch {
    let rows = 0..24i32;
    let lengths: Vec<usize> = rows.clone().map(|row| (row * 7 % 5) as usize).collect();
    let count: i32 = lengths.iter().sum::<usize>().try_into().unwrap();
    let items: ArrayRef = Arc::new(Int32Array::from_iter((0..count).map(|item| (item != 11).then_some(item % 9))));
    let labels: ArrayRef =
        Arc::new(BooleanArray::from_iter((0..count).map(|item| (item != 17).then_some(item % 4 == 0))));
    let fields = [Field::new("item_id", DataType::Int32, true), Field::new("is_order", DataType::Boolean, true)];
    let elements = StructArray::new(Fields::from(fields.to_vec()), vec![items, labels], None);
    let field = Arc::new(Field::new("element", DataType::Struct(Fields::from(fields.to_vec())), true));
    let lists = ListArray::new(field, OffsetBuffer::from_lengths(lengths), Arc::new(elements), None);
    let days = rows.clone().map(|row| Day(FIRST + row % 2).to_string());
    let customers = rows.map(|row| (row != 5).then_some(i64::from(row / 2) - 3));
    RecordBatch::try_from_iter_with_nullable([
        ("dt", Arc::new(StringArray::from_iter_values(days)) as ArrayRef, true),
        ("customer_id", Arc::new(Int64Array::from_iter(customers)), true),
        ("impressions", Arc::new(lists), true),
    ])
    .unwrap()
}

/// Actions of many days, customers, items and times, with ties, late arrivals, null times, and here and there a bad row.
pub(crate) fn actions(table: &ActionTable) -> RecordBatch {
    let mut columns = vec!["dt", "customer_id", "item_id", "click_time"];
    if table.name != "clicks" {
        columns = vec!["dt", "customer_id", "config_id", "occurred_at"];
    }
    if table.time.is_none() {
        columns = vec!["order_date", "customer_id", "config_id"];
    }
    let mut sheet = Sheet::new(&columns);
    for row in 0..500i32 {
        let day = FIRST - 9 + row * 13 % 10;
        let time = unify::format_time(Day(day - row % 3).midnight() + i64::from(row * 11 % 7) * 1_000_000);
        let texts = [
            if row == 77 { "-".to_owned() } else { Day(day).to_string() },
            if row == 99 { "-".to_owned() } else { (row * 17 % 12 - 3).to_string() },
            if row == 123 { i64::MAX.to_string() } else { (row % 40 - 5).to_string() },
            if row % 50 == 3 {
                "-".to_owned()
            } else if row == 211 {
                "soon".to_owned()
            } else {
                time
            },
        ];
        sheet.push(&texts.iter().take(columns.len()).map(String::as_str).collect::<Vec<_>>());
    }
    sheet.batch()
}

pub(crate) fn tables() -> [ActionTable; 3] {
    [crate::tables::clicks(), crate::tables::add_to_carts(), crate::tables::previous_orders()]
}

fn write(path: &Path, batch: &RecordBatch) {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    fs::write(path, bytes).unwrap();
}

/// A table as a stream of batches of `rows` rows each.
fn stream(wanted: Projection, batch: &RecordBatch, rows: usize) -> Input {
    let starts = (0..batch.num_rows()).step_by(rows);
    let slices: Vec<_> = starts.map(|start| Ok(batch.slice(start, rows.min(batch.num_rows() - start)))).collect();
    Input::Source(Box::new(Batches::new(wanted, slices.into_iter())))
}

fn build(options: &Options, tables: Tables) -> Result<()> {
    pipeline::build(&Plan::new(options.clone())?, tables, &()).map(|_| ())
}

#[test]
fn streams_give_the_bytes_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(format!("{name}.parquet"));
    write(&path("impressions"), &impressions());
    for table in tables() {
        write(&path(&table.name), &actions(&table));
    }
    let options = |out: &str| Options {
        invalid: InvalidRows::Skip,
        sharding: Sharding::Count(3),
        history: 30,
        ..options(&folder.path().join(out), FIRST, FIRST + 1)
    };
    let files = Tables {
        impressions: Input::Path(path("impressions")),
        actions: tables().map(|table| (table.clone(), Input::Path(path(&table.name)))).into(),
    };
    build(&options("files"), files).unwrap();
    let expected = published(&folder.path().join("files"));
    assert!(expected.iter().any(|(path, _)| path.ends_with("_rejected.jsonl")), "bad rows are compared too");
    for (rows, threads) in [(1, 2), (7, 3), (10_000, 1)] {
        let streams = Tables {
            impressions: stream(unify::wanted_samples(&Schema::built_in()), &impressions(), rows),
            actions: tables()
                .map(|table| (table.clone(), stream(unify::wanted_actions(&table), &actions(&table), rows)))
                .into(),
        };
        let out = format!("streams of {rows}");
        build(&Options { threads: Some(threads), ..options(&out) }, streams).unwrap();
        assert!(published(&folder.path().join(&out)) == expected, "{out}");
    }
}

/// A bad row of a stream is named by its number in the whole stream, the first of several whatever the threads.
#[test]
fn a_bad_row_of_a_stream_is_named_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let table = crate::tables::clicks();
    for threads in [1, 4] {
        let streams = Tables {
            impressions: stream(unify::wanted_samples(&Schema::built_in()), &impressions().slice(0, 5), 1),
            actions: vec![(table.clone(), stream(unify::wanted_actions(&table), &actions(&table), 10))],
        };
        let options = Options { threads: Some(threads), ..options(folder.path(), FIRST, FIRST) };
        assert_eq!(
            build(&options, streams).unwrap_err().to_string(),
            "clicks: the source, row 78, column `dt`: the day is null; fix the row, or leave such rows out with `invalid = skip`"
        );
        assert!(published(folder.path()).is_empty());
    }
}

/// A stream that breaks off is no shorter table: the build fails with what the stream said.
#[test]
fn a_stream_that_breaks_off_stops_the_build() {
    let folder = tempfile::tempdir().unwrap();
    let table = crate::tables::clicks();
    let broken = [Ok(actions(&table).slice(0, 5)), Err(ArrowError::IpcError("the line went dead".to_owned()))];
    let broken = Batches::new(unify::wanted_actions(&table), broken.into_iter());
    let streams = Tables {
        impressions: stream(unify::wanted_samples(&Schema::built_in()), &impressions().slice(0, 5), 1),
        actions: vec![(table, Input::Source(Box::new(broken)))],
    };
    assert_eq!(
        build(&options(folder.path(), FIRST, FIRST), streams).unwrap_err().to_string(),
        "clicks: the source failed: Ipc error: the line went dead"
    );
    assert!(published(folder.path()).is_empty());
}
