//! Reading: what counts as a table, and that every format yields the same columns, rows, numbers and errors.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "inputs are made here, not published, and what cannot be made fails the test"
)]

mod changes;
mod csv_dialects;
mod csv_files;
mod folders;
mod foreign;
mod json_forms;
mod json_keys;
mod json_lines;
mod json_mended;
mod packed;
mod parquet_files;
mod parquet_hangs;
mod path_days;
mod sources;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use shardback::error::{Error, Result};
use shardback::event::Day;
use shardback::read::{Batches, Chunk, PathDay, Projection, Room, Source, open};
use shardback::schema::DayOf;
use shardback::store::Stores;

/// A folder for a table, and how to read it.
struct Table {
    folder: tempfile::TempDir,
}

impl Table {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn rows(&self, wanted: Projection) -> Vec<String> {
        rows(&open(self.folder.path(), wanted, &|_| true).unwrap())
    }

    /// The error of opening or reading, with the folder's own path replaced.
    fn error(&self, wanted: Projection) -> String {
        self.error_at("", wanted)
    }

    fn error_at(&self, name: &str, wanted: Projection) -> String {
        let error = open(&self.path(name), wanted, &|_| true).and_then(|files| read(&files)).unwrap_err();
        crate::tables::message(&error).replace(&*self.folder.path().to_string_lossy(), "TABLE")
    }
}

fn clicks() -> Projection {
    wanted(&["customer_id", "item_id", "click_time"])
}

fn impressions() -> Projection {
    let mut wanted = wanted(&["customer_id", "impressions.item_id", "impressions.is_order"]);
    wanted.table = "impressions".to_owned();
    wanted.list = Some("impressions".to_owned());
    wanted
}

fn wanted(columns: &[&str]) -> Projection {
    Projection {
        table: "clicks".to_owned(),
        day: DayOf::Column { column: "dt".to_owned(), zone: None },
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        list: None,
        source: shardback::schema::Source::default(),
        room: Room::default(),
        stores: Stores::default(),
    }
}

/// All chunks, each part's in the order of their rows.
fn read(source: &dyn Source) -> Result<Vec<Chunk>> {
    let mut all = Vec::new();
    for part in 0..source.parts() {
        let chunks = Mutex::new(Vec::new());
        source.read(part, &|chunk| {
            chunks.lock().unwrap().push(chunk);
            Ok(())
        })?;
        let mut chunks = chunks.into_inner().unwrap();
        chunks.sort_by_key(|chunk| chunk.origin.rows.number(0));
        all.extend(chunks);
    }
    Ok(all)
}

/// Each row as `number [day]: column=value …`, columns by name.
fn rows(source: &dyn Source) -> Vec<String> {
    let mut rows = Vec::new();
    for chunk in read(source).unwrap() {
        let schema = chunk.batch.schema();
        let mut columns: Vec<_> = schema.fields().iter().map(|field| field.name()).zip(chunk.batch.columns()).collect();
        columns.sort_by_key(|(name, _)| *name);
        for row in 0..chunk.batch.num_rows() {
            let mut text = chunk.origin.rows.number(row).unwrap().to_string();
            match &chunk.origin.day {
                None => {}
                Some(PathDay::Day(day)) => text.push_str(&format!(" [{day}]")),
                Some(other) => text.push_str(&format!(" [{other:?}]")),
            }
            text.push(':');
            for (name, column) in &columns {
                let value =
                    if column.is_null(row) { "null".to_owned() } else { array_value_to_string(column, row).unwrap() };
                text.push_str(&format!(" {name}={value}"));
            }
            rows.push(text);
        }
    }
    rows
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).unwrap()
}

fn parquet_bytes(batch: &RecordBatch, group: usize) -> Vec<u8> {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn click_batch(count: i64) -> RecordBatch {
    let ids = |shift: i64| Arc::new(Int64Array::from_iter_values((0..count).map(|id| id + shift))) as ArrayRef;
    let days = StringArray::from_iter_values((0..count).map(|id| format!("2025-08-{:02}", 1 + id % 3)));
    RecordBatch::try_from_iter([
        ("unused", ids(0)),
        ("dt", Arc::new(days) as ArrayRef),
        ("item_id", ids(100)),
        ("customer_id", ids(7)),
        ("click_time", ids(5000)),
    ])
    .unwrap()
}

const LINE: &str = r#"{"dt":"2025-08-15","customer_id":1,"item_id":2,"click_time":"t"}"#;

// Paths

#[test]
fn a_folder_is_walked_in_order_and_hidden_names_are_no_data() {
    let table = Table::new()
        .file("b/part.JSONL", LINE)
        .file("a.csv", "dt,customer_id,item_id,click_time\n2025-08-15,1,2,t\n")
        .file("d.ndjson.gz", gzip(LINE.as_bytes()))
        .file("c.json.ZST", zstandard(LINE.as_bytes()))
        .file("_SUCCESS", "")
        .file(".a.csv.crc", "garbage")
        .file("_temporary/0/x.unknown", "garbage");
    let files = open(table.folder.path(), clicks(), &|_| true).unwrap();
    let names: Vec<_> = files
        .files()
        .iter()
        .map(|path| path.strip_prefix(table.folder.path()).unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["a.csv", "b/part.JSONL", "c.json.ZST", "d.ndjson.gz"]);
    assert_eq!(files.parts(), 4);
    let rows = rows(&files);
    assert_eq!(
        rows,
        [
            "2: click_time=t customer_id=1 dt=2025-08-15 item_id=2",
            "1: click_time=t customer_id=1 dt=2025-08-15 item_id=2",
            "1: click_time=t customer_id=1 dt=2025-08-15 item_id=2",
            "1: click_time=t customer_id=1 dt=2025-08-15 item_id=2",
        ]
    );
}

#[test]
fn links_are_followed_and_a_circle_of_links_is_an_error() {
    let table = Table::new().file("real/part.json", LINE);
    std::os::unix::fs::symlink(table.path("real"), table.path("link")).unwrap();
    // Where the link alone is named.
    let linked = open(&table.path("link"), clicks(), &|_| true).unwrap();
    assert_eq!(rows(&linked).len(), 1);
    std::os::unix::fs::symlink(table.path(""), table.path("real/up")).unwrap();
    let error = table.error(clicks());
    assert!(error.contains("a link that leads back to a folder above it"), "{error}");
}

#[test]
fn no_files_unknown_files_and_absent_paths_are_named() {
    assert_eq!(
        Table::new().file("_SUCCESS", "").error(clicks()),
        "clicks: no data files in `TABLE/`: expected .parquet, .json, .jsonl, .ndjson, .csv or .tsv files (names starting \
         with `_` or `.` are not data)"
    );
    for name in ["notes.txt", "x.parquet.gz", "x", "x.json.bz2", "dt=2025-08-15/x.gz"] {
        let error = Table::new().file("a.json", LINE).file(name, "x").error(clicks());
        assert!(error.starts_with(&format!("clicks: `TABLE/{name}` is not a table: expected .parquet")), "{error}");
    }
    assert_eq!(
        Table::new().error_at("absent", clicks()),
        "clicks: cannot read `TABLE/absent`: No such file or directory (os error 2)"
    );
}

#[test]
fn the_nearest_folder_gives_the_day_and_the_column_is_not_read() {
    let line = r#"{"dt":"not read","customer_id":1,"item_id":2,"click_time":"t"}"#;
    let bare = r#"{"customer_id":1,"item_id":2,"click_time":"t"}"#;
    let table = Table::new()
        .file("1/dt=2025-08-14/dt=2025-08-15/hour=3/a.json", line)
        .file("2/dt=dt%3D2025-08-16/a.json", bare)
        .file("3/dt=__HIVE_DEFAULT_PARTITION__/a.json", bare)
        .file("4/dt=2025-02-30%zz/a.json", bare)
        .file("5/dt=2025-08-17/a.csv", "customer_id,item_id,click_time\n1,2,t\n")
        .file("6/dt=2025-08-18/a.parquet", parquet_bytes(&click_batch(1).project(&[2, 3, 4]).unwrap(), 10));
    assert_eq!(
        table.rows(clicks()),
        [
            "1 [2025-08-15]: click_time=t customer_id=1 item_id=2",
            "1 [2025-08-16]: click_time=t customer_id=1 item_id=2",
            "1 [Null]: click_time=t customer_id=1 item_id=2",
            "1 [Unparsable(\"2025-02-30%zz\")]: click_time=t customer_id=1 item_id=2",
            "2 [2025-08-17]: click_time=t customer_id=1 item_id=2",
            "1 [2025-08-18]: click_time=5000 customer_id=7 item_id=100",
        ]
    );
    for path in ["2/dt=dt%3D2025-08-16", "2/dt=dt%3D2025-08-16/a.json", "2/dt=dt%3D2025-08-16/."] {
        let files = open(&table.path(path), clicks(), &|_| true).unwrap();
        assert_eq!(rows(&files), ["1 [2025-08-16]: click_time=t customer_id=1 item_id=2"], "{path}");
    }
    // A file's own name is no folder.
    let table = Table::new().file("dt=2025-08-15.json", LINE);
    assert_eq!(table.rows(clicks()), ["1: click_time=t customer_id=1 dt=2025-08-15 item_id=2"]);
}

#[test]
fn files_of_other_days_are_not_opened() {
    let table = Table::new()
        .file("dt=2025-08-14/bad.parquet", "garbage")
        .file("dt=2025-08-14/bad.json.gz", "garbage")
        .file("dt=2025-08-14/bad.csv", "")
        .file("dt=2025-08-15/good.json", LINE)
        .file("dt=x/good.json", LINE);
    let keep = |kept: &'static str| move |day: Day| day == kept.parse().unwrap();
    let files = open(table.folder.path(), clicks(), &keep("2025-08-15")).unwrap();
    assert_eq!((files.parts(), files.files().len(), rows(&files).len()), (2, 2, 2));
    let files = open(&table.path("dt=2025-08-14"), clicks(), &keep("2025-08-15")).unwrap();
    assert_eq!((files.parts(), files.bytes(), files.files().len()), (0, 0, 0));
    assert!(open(table.folder.path(), clicks(), &keep("2025-08-14")).is_err());
}

// Streams of batches, and the order of errors

#[test]
fn batches_are_projected_numbered_and_read_once() {
    let stream = [click_batch(3), click_batch(0), click_batch(2)].map(Ok);
    let source = Batches::new(clicks(), stream.into_iter());
    assert_eq!((source.parts(), source.bytes(), source.files().len()), (1, 0, 0));
    assert_eq!(
        rows(&source),
        [
            "1: click_time=5000 customer_id=7 dt=2025-08-01 item_id=100",
            "2: click_time=5001 customer_id=8 dt=2025-08-02 item_id=101",
            "3: click_time=5002 customer_id=9 dt=2025-08-03 item_id=102",
            "4: click_time=5000 customer_id=7 dt=2025-08-01 item_id=100",
            "5: click_time=5001 customer_id=8 dt=2025-08-02 item_id=101",
        ]
    );
    assert_eq!(
        read(&source).unwrap_err().to_string(),
        "clicks: the source failed: a stream of batches can be read only once"
    );
}

#[test]
fn faults_of_a_stream_of_batches() {
    let without = click_batch(1).project(&[0, 1]).unwrap();
    let source = Batches::new(clicks(), [Ok(without)].into_iter());
    assert_eq!(
        read(&source).unwrap_err().to_string(),
        "clicks: no column `customer_id` in the source; its columns: unused, dt"
    );
    let failing = [Ok(click_batch(1)), Err(ArrowError::ComputeError("lost".to_owned()))];
    let source = Batches::new(clicks(), failing.into_iter());
    assert_eq!(read(&source).unwrap_err().to_string(), "clicks: the source failed: Compute error: lost");
}

#[test]
fn the_first_error_of_a_part_wins() {
    let stream = (0..40).map(|_| Ok(click_batch(10)));
    let source = Batches::new(clicks(), stream.chain([Err(ArrowError::ComputeError("later".to_owned()))]));
    let error = source.read(0, &|chunk| {
        let row = chunk.origin.rows.number(0).unwrap();
        if row < 100 { Ok(()) } else { Err(Error::Day { value: row.to_string() }) }
    });
    assert_eq!(error.unwrap_err().to_string(), "not a day: `101` (write it as YYYY-MM-DD)");
}

#[test]
fn the_first_bad_file_by_path_wins() {
    let mut table = Table::new();
    for name in ["c", "b", "d"] {
        table = table.file(&format!("{name}.parquet"), "garbage, longer than a footer");
    }
    assert!(table.error_at("", clicks()).contains("TABLE/b.parquet"));
}
