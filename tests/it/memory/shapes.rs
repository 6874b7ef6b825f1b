//! Protects: tables of any shape take no more memory than a build is given, or are refused before they take it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, ListArray, RecordBatch, RecordBatchIterator,
    StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{ParquetMetaDataBuilder, ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::properties::WriterProperties;
use shardback::config::{Format, Options, Plan};
use shardback::event::Day;
use shardback::pipeline::{self, Input, Tables};
use shardback::read::Batches;
use shardback::schema::Schema;
use shardback::unify;
use shardback::verify::verify;
use tempfile::TempDir;

use super::{MEBIBYTE, peak_memory};
use crate::tables::published;

/// The day that is built, and the one of all actions.
const DAY: i32 = 20_316;
const BEFORE: i32 = DAY - 6;

/// A shape of tables.
struct Shape {
    name: &'static str,
    /// Writes the impressions into the first folder and the clicks into the second.
    make: fn(&Path, &Path),
    /// How many days are built, of which the last is `DAY`.
    days: i32,
    arguments: &'static [&'static str],
    /// With two threads.
    mebibytes: u64,
    outcome: Outcome,
}

enum Outcome {
    /// The build keeps to the memory.
    Keeps,
    /// So does one that is given more, and both have the same bytes.
    KeepsAndIsTheSame,
    /// It is refused, within the memory, with this in the message.
    Refused(&'static str),
}

use Outcome::{Keeps, KeepsAndIsTheSame, Refused};

/// What most of them are: jagged files of one day, which keep to 256 MiB.
const KEEPS: Shape =
    Shape { name: "", make: |_, _| {}, days: 1, arguments: &["--formats", "jagged"], mebibytes: 256, outcome: Keeps };

const SHAPES: &[Shape] = &[
    Shape {
        name: "one customer in one row group",
        make: |shown, done| {
            few_impressions(shown, 10);
            clicks(&done.join("a.parquet"), 2_000_000, |_| 7, plain());
        },
        arguments: &["--formats", "jagged,parquet"],
        ..KEEPS
    },
    Shape {
        name: "many customers in one row group, many shards",
        make: |shown, done| {
            few_impressions(shown, 100_000);
            clicks(&done.join("a.parquet"), 1_000_000, |row| row % 100_000, plain());
        },
        arguments: &["--formats", "jagged", "--item-dtype", "i64", "--shards", "100"],
        ..KEEPS
    },
    Shape {
        name: "lists of 100,000 items",
        make: |shown, done| {
            slates(&shown.join("a.parquet"), &[100_000; 24]);
            clicks(&done.join("a.parquet"), 1000, |row| row % 40, plain());
        },
        ..KEEPS
    },
    Shape {
        name: "a list that is far longer than its neighbours",
        make: |shown, done| {
            let mut lengths = vec![5; 50_000];
            lengths[30_000] = 3_000_000;
            slates(&shown.join("a.parquet"), &lengths);
            clicks(&done.join("a.parquet"), 1000, |row| row, plain());
        },
        outcome: Refused("row group 0: row 30001 has a list of 3000000 items"),
        ..KEEPS
    },
    Shape {
        name: "many files of many columns",
        make: |shown, done| {
            few_impressions(shown, 1000);
            let content = wide(50, 200, 50);
            for file in 0..1000 {
                fs::write(done.join(format!("{file}.parquet")), &content).unwrap();
            }
        },
        ..KEEPS
    },
    Shape {
        name: "one row group of 3,000 columns",
        make: |shown, done| {
            few_impressions(shown, 1000);
            fs::write(done.join("a.parquet"), wide(1000, 3000, 1000)).unwrap();
        },
        ..KEEPS
    },
    Shape {
        name: "60 row groups of 3,000 columns",
        make: |shown, done| {
            few_impressions(shown, 1000);
            fs::write(done.join("a.parquet"), with_row_groups(&wide(100, 3000, 100), 60)).unwrap();
        },
        ..KEEPS
    },
    Shape {
        name: "600 row groups of 1,000 columns",
        make: |shown, done| {
            few_impressions(shown, 1000);
            fs::write(done.join("a.parquet"), with_row_groups(&wide(100, 1000, 100), 600)).unwrap();
        },
        outcome: Refused("its footer has"),
        ..KEEPS
    },
    Shape {
        name: "pages of 8 MiB",
        make: |shown, done| {
            few_impressions(shown, 1000);
            clicks(&done.join("a.parquet"), 1_000_000, |row| row % 1000, large_pages());
        },
        ..KEEPS
    },
    Shape {
        name: "pages of 24 MiB",
        make: |shown, done| {
            few_impressions(shown, 1000);
            clicks(&done.join("a.parquet"), 3_000_000, |row| row % 1000, large_pages());
        },
        outcome: Refused("row group 0: column `"),
        ..KEEPS
    },
    Shape {
        name: "a dictionary of 23 MiB",
        make: |shown, done| {
            few_impressions(shown, 1000);
            let properties = WriterProperties::builder().set_dictionary_page_size_limit(1 << 30);
            let properties = properties.set_max_row_group_row_count(None);
            clicks(&done.join("a.parquet"), 3_000_000, |row| row % 1000, properties.build());
        },
        arguments: &["--formats", "jagged", "--item-dtype", "i64"],
        outcome: Refused("row group 0: column `item_id` has a dictionary of 22 MiB when it is unpacked"),
        ..KEEPS
    },
    Shape {
        name: "rows of 65,536 actions as Parquet",
        make: |shown, done| {
            few_impressions(shown, 300);
            let rows = click_batch(0..2_500_000, |row| row % 100, 500_009);
            write(&done.join("a.parquet"), &rows, plain());
        },
        arguments: &["--formats", "parquet", "--history", "65536", "--item-dtype", "i64"],
        outcome: KeepsAndIsTheSame,
        ..KEEPS
    },
    Shape {
        name: "90 days of customers whose actions arrive late",
        make: late,
        days: LATE_DAYS,
        arguments: &["--formats", "jagged", "--item-dtype", "i64"],
        outcome: KeepsAndIsTheSame,
        ..KEEPS
    },
    Shape {
        name: "many rows that are left out",
        make: |shown, done| {
            few_impressions(shown, 10);
            let mut file = File::create(done.join("a.csv")).unwrap();
            let mut text = String::from("dt,customer_id,item_id,click_time\n");
            let time = "x".repeat(300);
            (0..250_000).for_each(|row| text += &format!("2025-08-10,{row},1,{time}\n"));
            file.write_all(text.as_bytes()).unwrap();
        },
        arguments: &["--formats", "jagged", "--invalid", "skip"],
        mebibytes: 218,
        outcome: KeepsAndIsTheSame,
        ..KEEPS
    },
    Shape {
        name: "a line of JSON of 600 MiB",
        make: |shown, done| {
            few_impressions(shown, 10);
            let mut file = zstd::Encoder::new(File::create(done.join("a.json.zst")).unwrap(), 1).unwrap();
            file.write_all(br#"{"dt":"2025-08-10","customer_id":1,"item_id":5,"click_time":null,"x":""#).unwrap();
            (0..600).for_each(|_| file.write_all(&[b'y'; 1 << 20]).unwrap());
            file.write_all(b"\"}\n").unwrap();
            file.finish().unwrap();
        },
        outcome: Refused("line 1: the line is longer than 64 MiB"),
        ..KEEPS
    },
    Shape {
        name: "a quote of CSV without an end",
        make: |shown, done| {
            few_impressions(shown, 10);
            let mut file = zstd::Encoder::new(File::create(done.join("a.csv.zst")).unwrap(), 1).unwrap();
            file.write_all(b"dt,customer_id,item_id,click_time\n2025-08-10,1,\"").unwrap();
            (0..600).for_each(|_| file.write_all(&[b'y'; 1 << 20]).unwrap());
            file.finish().unwrap();
        },
        outcome: Refused("longer than 64 MiB"),
        ..KEEPS
    },
];

/// Every shape keeps to its memory, measured from outside, or is refused within it.
#[test]
fn every_shape_keeps_its_memory_or_is_refused() {
    let mut wrong = Vec::new();
    for shape in SHAPES {
        let folder = TempDir::new().unwrap();
        let [shown, done, out] = ["shown", "done", "out"].map(|name| folder.path().join(name));
        for table in [&shown, &done] {
            fs::create_dir(table).unwrap();
        }
        (shape.make)(&shown, &done);
        let build = |out: &Path, memory: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_shardback"));
            command.arg("build").arg("--impressions").arg(&shown).arg("--clicks").arg(&done).arg("--out").arg(out);
            command.args(["--start", &Day(DAY - shape.days + 1).to_string(), "--end", &Day(DAY).to_string()]);
            command.args(["--threads", "2", "--quiet", "--memory", memory]);
            command.args(shape.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            command
        };
        let mut child = build(&out, &format!("{}MiB", shape.mebibytes)).spawn().unwrap();
        let peak = peak_memory(&mut child) / MEBIBYTE;
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        println!("{}: {peak} of {} MiB", shape.name, shape.mebibytes);
        let mut fails = |what: &str| wrong.push(format!("{}: {what}; {peak} MiB; {error}", shape.name));
        if peak > shape.mebibytes * 11 / 10 {
            fails("over its memory");
        }
        match shape.outcome {
            Refused(text) if output.status.code() != Some(1) || !error.contains(text) => fails("not refused so"),
            Refused(_) => {}
            Keeps | KeepsAndIsTheSame if !output.status.success() => fails("refused"),
            Keeps => {}
            KeepsAndIsTheSame => {
                let roomy = folder.path().join("roomy");
                assert!(build(&roomy, "8GiB").status().unwrap().success());
                if published(&out) != published(&roomy) {
                    fails("other bytes");
                }
                if !verify(&out).unwrap().faults.is_empty() {
                    fails("not whole");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Streams say nothing of how long they are, and their batches are of any size.
#[test]
fn streams_keep_the_memory() {
    let test = "memory::shapes::a_stream_in_a_process_of_its_own";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--quiet"]).stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut child = command.spawn().unwrap();
    let peak = peak_memory(&mut child) / MEBIBYTE;
    assert!(child.wait().unwrap().success());
    // Two batches of clicks of 28 MiB, which whoever makes the stream has made.
    assert!(peak > 0 && peak <= 256 * 11 / 10 + 2 * 28, "{peak} MiB");
}

/// What [`streams_keep_the_memory`] measures.
#[test]
#[ignore = "another test runs it in a process of its own"]
fn a_stream_in_a_process_of_its_own() {
    let folder = TempDir::new().unwrap();
    let options = Options {
        memory: Some(256 * MEBIBYTE),
        threads: Some(2),
        formats: vec![Format::Jagged],
        ..Options::new(folder.path().join("out"), Day(DAY), Day(DAY))
    };
    let plan = Plan::new(options).unwrap();
    let table = crate::tables::clicks();
    let lists = slate_batch(&[10_000; 400]);
    let shown = RecordBatchIterator::new([Ok(lists.clone())], lists.schema());
    let batch = |number: i64| click_batch(number * 1_000_000..(number + 1) * 1_000_000, |row| row % 400, 2_000_000_011);
    let done =
        RecordBatchIterator::new((0..5).map(move |number| Ok(batch(number))), click_batch(0..1, |row| row, 1).schema());
    drop(lists);
    let tables = Tables {
        impressions: Input::Source(Box::new(Batches::foreign(unify::wanted_samples(&Schema::built_in()), shown))),
        actions: vec![(table.clone(), Input::Source(Box::new(Batches::foreign(unify::wanted_actions(&table), done))))],
    };
    pipeline::build(&plan, tables, &()).unwrap();
}

fn plain() -> WriterProperties {
    WriterProperties::builder().set_max_row_group_row_count(None).set_dictionary_enabled(false).build()
}

fn large_pages() -> WriterProperties {
    let properties = WriterProperties::builder().set_max_row_group_row_count(None).set_dictionary_enabled(false);
    let properties = properties.set_data_page_size_limit(1 << 30).set_data_page_row_count_limit(1 << 30);
    properties.set_write_batch_size(1 << 24).build()
}

fn write(path: &Path, batch: &RecordBatch, properties: WriterProperties) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// One impression of each of some customers.
fn few_impressions(folder: &Path, customers: i64) {
    let batch = RecordBatch::try_from_iter([
        ("dt", Arc::new(Date32Array::from(vec![DAY; customers as usize])) as ArrayRef),
        ("customer_id", Arc::new(Int64Array::from_iter_values(0..customers))),
        ("item_id", Arc::new(Int64Array::from_iter_values(0..customers))),
        ("is_order", Arc::new(BooleanArray::from_iter((0..customers).map(|row| Some(row % 7 == 0))))),
    ]);
    write(&folder.join("a.parquet"), &batch.unwrap(), plain());
}

/// One list of each of some customers.
fn slates(path: &Path, lengths: &[usize]) {
    write(path, &slate_batch(lengths), plain());
}

fn slate_batch(lengths: &[usize]) -> RecordBatch {
    let count = lengths.iter().sum::<usize>() as i32;
    let items: ArrayRef = Arc::new(Int32Array::from_iter_values((0..count).map(|item| item % 1009)));
    let labels: ArrayRef = Arc::new(BooleanArray::from_iter((0..count).map(|item| Some(item % 100 == 0))));
    let fields = [Field::new("item_id", DataType::Int32, true), Field::new("is_order", DataType::Boolean, true)];
    let elements = StructArray::new(Fields::from(fields.to_vec()), vec![items, labels], None);
    let field = Arc::new(Field::new("element", DataType::Struct(Fields::from(fields.to_vec())), true));
    let lists = ListArray::new(field, OffsetBuffer::from_lengths(lengths.iter().copied()), Arc::new(elements), None);
    RecordBatch::try_from_iter([
        ("dt", Arc::new(Date32Array::from(vec![DAY; lengths.len()])) as ArrayRef),
        ("customer_id", Arc::new(Int64Array::from_iter_values(0..lengths.len() as i64))),
        ("impressions", Arc::new(lists)),
    ])
    .unwrap()
}

fn clicks(path: &Path, rows: i64, customer: fn(i64) -> i64, properties: WriterProperties) {
    write(path, &click_batch(0..rows, customer, 2_000_000_011), properties);
}

/// Clicks on some number of items.
fn click_batch(rows: std::ops::Range<i64>, customer: fn(i64) -> i64, items: i64) -> RecordBatch {
    let midnight = i64::from(BEFORE) * 86_400_000_000;
    let times = Int64Array::from_iter_values(rows.clone().map(|row| midnight + row % 86_400_000_000));
    let times = arrow::compute::cast(&times, &DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None));
    RecordBatch::try_from_iter([
        ("dt", Arc::new(Date32Array::from(vec![BEFORE; (rows.end - rows.start) as usize])) as ArrayRef),
        ("customer_id", Arc::new(Int64Array::from_iter_values(rows.clone().map(customer)))),
        ("item_id", Arc::new(Int64Array::from_iter_values(rows.map(|row| row * 7 % items)))),
        ("click_time", times.unwrap()),
    ])
    .unwrap()
}

const LATE_DAYS: i32 = 90;

/// Customers who come every day, with clicks that became known on other days than they were made on, in no order: every day sees others
/// of a customer's newest, so that it has a copy of its own of them. The rows of each customer are the same, which packs well: the file is
/// of one bucket's size.
fn late(shown: &Path, done: &Path) {
    const CUSTOMERS: i32 = 500;
    const CLICKS: i32 = 2000;
    let each = |count: i32| (0..CUSTOMERS).flat_map(move |customer| (0..count).map(move |row| (customer, row)));
    let customers = |count: i32| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(each(count).map(|(customer, _)| customer.into())))
    };
    let days = |count: i32, day: fn(i32) -> i32| -> ArrayRef {
        Arc::new(Date32Array::from_iter_values(each(count).map(|(_, row)| day(row))))
    };
    let batch = RecordBatch::try_from_iter([
        ("dt", days(LATE_DAYS, |row| DAY - row)),
        ("customer_id", customers(LATE_DAYS)),
        ("item_id", Arc::new(Int64Array::from_iter_values(each(LATE_DAYS).map(|(_, row)| row.into()))) as ArrayRef),
        ("is_order", Arc::new(BooleanArray::from_iter(each(LATE_DAYS).map(|_| Some(false))))),
    ]);
    write(&shown.join("a.parquet"), &batch.unwrap(), plain());
    let made = i64::from(DAY - LATE_DAYS - 1) * 86_400_000_000;
    let times = Int64Array::from_iter_values(each(CLICKS).map(|(_, row)| made + i64::from(row) * 1_000_000));
    let times = arrow::compute::cast(&times, &DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None));
    let batch = RecordBatch::try_from_iter([
        ("dt", days(CLICKS, |row| DAY - LATE_DAYS + row * 37 % LATE_DAYS)),
        ("customer_id", customers(CLICKS)),
        ("item_id", Arc::new(Int64Array::from_iter_values(each(CLICKS).map(|(_, row)| row.into())))),
        ("click_time", times.unwrap()),
    ]);
    let properties = WriterProperties::builder().set_max_row_group_row_count(None);
    let properties = properties.set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    write(&done.join("a.parquet"), &batch.unwrap(), properties);
}

/// Clicks with many more columns.
fn wide(rows: i64, columns: usize, row_group: usize) -> Vec<u8> {
    let clicks = click_batch(0..rows, |row| row, 1009);
    let schema = clicks.schema();
    let own = schema.fields().iter().map(|field| field.name().clone()).zip(clicks.columns().to_vec());
    let others = (0..columns).map(|number| {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        (format!("other_{number:04}"), values)
    });
    let batch = RecordBatch::try_from_iter(own.chain(others)).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(row_group)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// A file whose row group is there many times: the pages are the same.
fn with_row_groups(file: &[u8], times: usize) -> Vec<u8> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&Bytes::copy_from_slice(file)).unwrap();
    let group = metadata.row_group(0).clone();
    let builder = ParquetMetaDataBuilder::new(metadata.file_metadata().clone());
    let many = (0..times).fold(builder, |builder, _| builder.add_row_group(group.clone())).build();
    let length = u32::from_le_bytes(file[file.len() - 8..][..4].try_into().unwrap()) as usize;
    let mut out = file[..file.len() - 8 - length].to_vec();
    ParquetMetaDataWriter::new(&mut out, &many).finish().unwrap();
    out
}
