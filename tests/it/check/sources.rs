//! How little is read: parts from all over a table, and no more of a part than is wanted.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use shardback::check;
use shardback::error::{Error, Result};
use shardback::pipeline::{Input, Tables};
use shardback::read::{Batches, Chunk, Origin, Projection, Room, RowNumbers, Source, Visitor, open};
use shardback::schema::from_toml;
use shardback::unify::wanted_samples;

use super::{World, description, options};

const DAYS: &str = "day = \"d\"";
const CLICKS: &str = "type = \"click\"\nday = \"d\"";
const ONE_CLICK: (&str, &str) = ("clicks/a.csv", "c,i,d\n1,2,2025-08-15\n");

fn batch(first: u64, rows: u64) -> RecordBatch {
    let numbers = || first as i64..(first + rows) as i64;
    let columns: [ArrayRef; 3] = [
        Arc::new(Int64Array::from_iter_values(numbers())),
        Arc::new(Int64Array::from_iter_values(numbers().map(|number| number % 1000))),
        Arc::new(StringArray::from_iter_values(numbers().map(|_| "2025-08-16"))),
    ];
    RecordBatch::try_from_iter(["c", "i", "d"].into_iter().zip(columns)).unwrap()
}

/// Parts of many rows, in chunks of a thousand, which counts what it has handed over.
struct Counting {
    parts: u64,
    chunks: u64,
    read: Arc<AtomicU64>,
}

impl Source for Counting {
    fn parts(&self) -> usize {
        self.parts as usize
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn read(&self, part: usize, visit: &Visitor<'_>) -> Result<()> {
        for chunk in 0..self.chunks {
            let first = (part as u64 * self.chunks + chunk) * 1000;
            self.read.fetch_add(1000, Ordering::Relaxed);
            let origin = Origin { file: None, day: None, rows: RowNumbers::From(first + 1), text: false };
            visit(Chunk { batch: batch(first, 1000), origin, bare: 0, bytes: 0 })?;
        }
        Ok(())
    }

    fn files(&self) -> Vec<&Path> {
        Vec::new()
    }
}

fn check_source(source: Box<dyn Source>, rows: u64, cancelled: bool) -> Result<check::Report> {
    let schema = from_toml(&description(DAYS, CLICKS, "")).unwrap();
    let tables = Tables { impressions: Input::Source(source), actions: Vec::new() };
    check::check(options(schema, rows), tables, &|| cancelled)
}

/// A part ends where enough of it has been read, and one chunk more at most is asked for.
#[test]
fn no_part_is_read_further_than_it_has_to_be() {
    for (parts, chunks, rows, read, handed_over) in [
        (1, 1_000_000, 2_500, 2_500, 3_000),
        (1, 1_000_000, 3_000, 3_000, 4_000),
        (1, 3, 3_000, 3_000, 3_000),
        (1, 3, 100_000, 3_000, 3_000),
        (4, 1_000, 10_000, 10_000, 12_000),
        (1_000_000, 1_000, 500, 500, 100_000),
        (1_000_000, 1_000, 3, 3, 3_000),
    ] {
        let counted = Arc::new(AtomicU64::new(0));
        let source = Counting { parts, chunks, read: Arc::clone(&counted) };
        let report = check_source(Box::new(source), rows, false).unwrap();
        let samples = &report.tables[0];
        let all = parts * chunks * 1000;
        assert_eq!((samples.rows, samples.made), (read, read), "{parts} {rows}");
        assert_eq!(counted.load(Ordering::Relaxed), handed_over, "{parts} {rows}");
        assert_eq!(samples.is_whole, read == all, "{parts} {rows}");
        assert_eq!((samples.first_rows[0].customer, samples.first_rows[0].row), (0, Some(1)));
    }
}

/// Whoever asks to stop is heard within a chunk.
#[test]
fn a_check_can_be_cancelled() {
    let counted = Arc::new(AtomicU64::new(0));
    let source = Counting { parts: 9, chunks: 1_000_000, read: Arc::clone(&counted) };
    assert!(matches!(check_source(Box::new(source), u64::MAX, true), Err(Error::Interrupted)));
    assert_eq!(counted.load(Ordering::Relaxed), 1000);
}

/// A stream that never ends is left where enough of it has been read.
#[test]
fn a_stream_is_not_read_to_its_end() {
    let schema = from_toml(&description(DAYS, CLICKS, "")).unwrap();
    let endless = (0..).map(|number| Ok::<_, ArrowError>(batch(number * 70_000, 70_000)));
    let report = check_source(Box::new(Batches::new(wanted_samples(&schema), endless)), 100_000, false).unwrap();
    assert_eq!((report.tables[0].rows, report.tables[0].is_whole, report.tables[0].rows_of), (100_000, false, None));
}

/// A file of one row group, of small pages, the last of which are damaged.
fn parquet_with_a_damaged_end(rows: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows as usize))
        .set_data_page_row_count_limit(1000)
        .set_write_batch_size(1000)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let fields = ["c", "i"].map(|name| Field::new(name, DataType::Int64, false));
    let [c, i] = fields;
    let schema = Arc::new(ArrowSchema::new(vec![c, i, Field::new("d", DataType::Utf8, false)]));
    let mut writer = ArrowWriter::try_new(&mut bytes, Arc::clone(&schema), Some(properties)).unwrap();
    let columns = batch(0, rows).columns().to_vec();
    writer.write(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
    let metadata = writer.close().unwrap();
    let group = metadata.row_group(0);
    assert_eq!((metadata.num_row_groups(), group.num_rows()), (1, rows as i64));
    for column in group.columns() {
        let (start, length) = column.byte_range();
        let end = (start + length) as usize;
        bytes[end - 64..end].fill(0xff);
    }
    bytes
}

/// A large row group and large text files are read in part: what is wrong behind that part is not found.
#[test]
fn large_parts_are_not_read_whole() {
    let good: String = (0..200_000).map(|row| format!("{row},{row},2025-08-16\n")).collect();
    let objects: String =
        (0..200_000).map(|row| format!("{{\"c\":{row},\"i\":{row},\"d\":\"2025-08-16\"}}\n")).collect();
    for (name, content) in [
        ("samples/a.parquet", parquet_with_a_damaged_end(400_000)),
        ("samples/a.csv", format!("c,i,d\n{good}broken\n").into_bytes()),
        ("samples/a.json", format!("{objects}broken\n").into_bytes()),
    ] {
        let world = World::new(&description(DAYS, CLICKS, ""), &[ONE_CLICK]);
        let path = world.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        let samples = &world.check(5_000).tables[0];
        let rows_of = name.ends_with("parquet").then_some(400_000);
        assert_eq!((samples.rows, samples.is_whole, samples.rows_of), (5_000, false, rows_of), "{name}");
        assert_eq!(samples.days.as_ref().map(|days| days.first.as_str()), Some("2025-08-16"), "{name}");
        assert!(world.try_check(1_000_000).is_err(), "{name}: all of it is read, and found to be damaged");
    }
}

/// Whoever wants few rows is handed few at a time, of every format, so that not much more is decoded than wanted.
#[test]
fn chunks_may_be_small() {
    let rows: String = (0..5_000).map(|row| format!("{row},{row},2025-08-16\n")).collect();
    let objects: String = (0..5_000).map(|row| format!("{{\"c\":{row},\"i\":{row},\"d\":\"2025-08-16\"}}\n")).collect();
    let mut parquet = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut parquet, batch(0, 1).schema(), None).unwrap();
    writer.write(&batch(0, 5_000)).unwrap();
    writer.close().unwrap();
    let schema = from_toml(&description(DAYS, CLICKS, "")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in
        [("a.parquet", parquet), ("a.csv", format!("c,i,d\n{rows}").into_bytes()), ("a.json", objects.into_bytes())]
    {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let wanted = Projection { room: Room::default().with_rows(64), ..wanted_samples(&schema) };
        let (largest, all) = (AtomicU64::new(0), AtomicU64::new(0));
        let visit = |chunk: Chunk| {
            largest.fetch_max(chunk.batch.num_rows() as u64, Ordering::Relaxed);
            all.fetch_add(chunk.batch.num_rows() as u64, Ordering::Relaxed);
            Ok(())
        };
        open(&path, wanted, &|_| true).unwrap().read(0, &visit).unwrap();
        // An object is taken for 256 bytes, and has less than 64 here.
        let (largest, all) = (largest.into_inner(), all.into_inner());
        assert!(largest <= 64 * 8 && all == 5_000, "{name}: {largest} of {all}");
    }
}

/// Of many files some from all over the table are read, the first and the last among them; what small ones do not need, larger ones get;
/// the days are those of all paths.
#[test]
fn rows_are_spread_over_the_files() {
    let day = |number: usize| format!("2025-{:02}-{:02}", 1 + number / 28, 1 + number % 28);
    let rows = |number: usize, rows: usize| -> String {
        (0..rows).map(|row| format!("{},{row}\n", number * 1000 + row)).collect()
    };
    let files: Vec<(String, String)> = (0..300)
        .map(|number| {
            (format!("samples/d={}/a.csv", day(number)), format!("c,i\n{}", rows(number, 5 + number % 2 * 20)))
        })
        .collect();
    let mut files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(ONE_CLICK);
    let world = World::new(&description(DAYS, CLICKS, ""), &files);
    let report = world.check(1_000);
    let samples = &report.tables[0];
    let days = samples.days.as_ref().unwrap();
    assert_eq!((days.first.as_str(), days.last.as_str(), days.count), ("2025-01-01", "2025-11-20", 300));
    assert!(days.from_paths && !samples.is_whole && (900..=1_000).contains(&samples.rows), "{}", samples.rows);
    assert_eq!((samples.files, samples.rows_of), (300, None));
    assert!(samples.first_rows[0].file.as_ref().unwrap().ends_with("d=2025-01-01/a.csv"));
    assert_eq!(report, world.check(1_000), "it is the same each time");
    // Where days are in the rows, a hundred files have been looked at.
    let files: Vec<(String, String)> = (0..300)
        .map(|number| {
            (format!("samples/{number:03}.csv"), format!("c,i,d\n{}", format!("1,2,{}\n", day(number)).repeat(50)))
        })
        .collect();
    let files = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).chain([ONE_CLICK]);
    let world = World::new(&description(DAYS, CLICKS, ""), &files.collect::<Vec<_>>());
    let samples = &world.check(1_000).tables[0];
    let days = samples.days.as_ref().unwrap();
    assert_eq!((days.first.as_str(), days.last.as_str(), days.count), ("2025-01-01", "2025-11-20", 100));
    assert!(!days.from_paths && samples.rows == 1_000);
    // All of a small table is read, also where its files are of very different sizes.
    let files = [
        ("samples/a.csv", format!("c,i,d\n{}", "1,1,2025-08-16\n".repeat(900))),
        ("samples/b.csv", format!("c,i,d\n{}", "1,1,2025-08-16\n".repeat(3))),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).chain([ONE_CLICK]).collect();
    let world = World::new(&description(DAYS, CLICKS, ""), &files);
    let samples = &world.check(903).tables[0];
    assert_eq!((samples.rows, samples.is_whole), (903, true));
    assert_eq!(world.check(902).tables[0].rows, 902);
}
