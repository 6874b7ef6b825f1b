//! Tables written for a test, a build over them, and its shards read back by other libraries' readers.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use safetensors::{Dtype, SafeTensors};
use shardback::config::{Format, Options, Plan};
use shardback::error::Result;
use shardback::event::Day;
use shardback::pipeline::{self, Input, Summary, Tables};
use shardback::schema::{ActionTable, Schema};

use crate::reference::{Action, Impression, Row};

/// The folders of four tables.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// Writes tables as NDJSON, each in `files` files, cut in the order of the rows.
    pub(crate) fn write(root: &Path, impressions: &[Impression], actions: &[Action], files: usize) -> Self {
        let impression = |row: &Impression| {
            let items = row.items.as_ref().map(|items| {
                let items = items.iter().map(|(item, label)| format!("{{\"item_id\":{item},\"is_order\":{label}}}"));
                format!("[{}]", items.collect::<Vec<_>>().join(","))
            });
            let (day, customer) = (Day(row.day), row.customer);
            format!(
                "{{\"dt\":\"dt={day}\",\"customer_id\":{customer},\"impressions\":{}}}",
                items.unwrap_or("null".into())
            )
        };
        let timed = |item: &'static str, time: &'static str| {
            move |row: &Action| {
                let text = row
                    .time
                    .map_or("null".to_owned(), |micros| format!("\"{}\"", shardback::unify::format_time(micros)));
                let (day, customer, id) = (Day(row.day), row.customer, row.item);
                format!("{{\"dt\":\"{day}\",\"customer_id\":{customer},\"{item}\":{id},\"{time}\":{text}}}")
            }
        };
        let order = |row: &Action| {
            format!(
                "{{\"order_date\":\"{}\",\"customer_id\":{},\"config_id\":{}}}",
                Day(row.day),
                row.customer,
                row.item
            )
        };
        let of = |kind: u8| actions.iter().filter(move |action| action.kind == kind);
        write_lines(&root.join("impressions"), impressions.iter().map(impression), files);
        write_lines(&root.join("clicks"), of(1).map(timed("item_id", "click_time")), files);
        write_lines(&root.join("add_to_carts"), of(2).map(timed("config_id", "occurred_at")), files);
        write_lines(&root.join("previous_orders"), of(3).map(order), files);
        Self(root.to_owned())
    }

    pub(crate) fn tables(&self) -> Tables {
        let path = |name: &str| Input::Path(self.0.join(name));
        Tables {
            impressions: path("impressions"),
            actions: vec![
                (clicks(), path("clicks")),
                (add_to_carts(), path("add_to_carts")),
                (previous_orders(), path("previous_orders")),
            ],
        }
    }

    pub(crate) fn build(&self, options: Options) -> Result<Summary> {
        pipeline::build(&Plan::new(options)?, self.tables(), &())
    }
}

fn write_lines(folder: &Path, lines: impl Iterator<Item = String>, files: usize) {
    fs::create_dir_all(folder).unwrap();
    let lines: Vec<String> = lines.collect();
    let each = lines.len().div_ceil(files).max(1);
    for file in 0..files {
        let mut text = String::new();
        for line in lines.iter().skip(file * each).take(each) {
            writeln!(text, "{line}").unwrap();
        }
        fs::write(folder.join(format!("{file}.json")), text).unwrap();
    }
}

/// The built-in table of clicks.
pub(crate) fn clicks() -> ActionTable {
    action_table("clicks")
}

/// The built-in table of add-to-carts.
pub(crate) fn add_to_carts() -> ActionTable {
    action_table("add_to_carts")
}

/// The built-in table of previous orders.
pub(crate) fn previous_orders() -> ActionTable {
    action_table("previous_orders")
}

fn action_table(name: &str) -> ActionTable {
    Schema::built_in().action(name).unwrap().clone()
}

/// The options of tests: all formats.
pub(crate) fn options(out: &Path, from: i32, to: i32) -> Options {
    Options { formats: Format::ALL.to_vec(), ..Options::new(out, Day(from), Day(to)) }
}

/// The rows of every shard of a published day, as a stock reader of the format sees them, with windows padded to K.
pub(crate) fn read_day(out: &Path, format: Format, day: i32, history: usize) -> Vec<Vec<Row>> {
    let folder = out.join(format.name()).join(format!("dt={}", Day(day)));
    let shards = (0..).map(|shard| folder.join(format.shard_file(shard))).take_while(|path| path.exists());
    shards
        .map(|path| match format {
            Format::Parquet => read_parquet(&path),
            Format::Dense => read_dense(&path, history),
            Format::Jagged => read_jagged(&path, history),
        })
        .collect()
}

fn read_parquet(path: &Path) -> Vec<Row> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
    let mut rows = Vec::new();
    for batch in reader.with_batch_size(1000).build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let list = |name: &str, row: usize| integers(&column(name).as_list::<i32>().value(row));
        let items = integers(column("item_id"));
        for (row, &item) in items.iter().enumerate() {
            rows.push(Row {
                customer: column("customer_id").as_primitive::<Int64Type>().value(row),
                item,
                is_order: column("is_order").as_boolean().value(row),
                actions: list("actions", row),
                types: list("action_types", row).into_iter().map(|kind| kind as u8).collect(),
            });
        }
    }
    rows
}

fn integers(array: &dyn Array) -> Vec<i64> {
    assert_eq!(array.null_count(), 0);
    match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().values().to_vec(),
        _ => array.as_primitive::<Int32Type>().values().iter().map(|&value| i64::from(value)).collect(),
    }
}

/// A tensor's numbers, and its shape.
fn tensor(shard: &SafeTensors<'_>, name: &str) -> (Vec<i64>, Vec<usize>) {
    let view = shard.tensor(name).unwrap();
    let bytes = view.data();
    let numbers = match view.dtype() {
        Dtype::I64 => bytes.chunks_exact(8).map(|chunk| i64::from_le_bytes(chunk.try_into().unwrap())).collect(),
        Dtype::I32 => {
            bytes.chunks_exact(4).map(|chunk| i64::from(i32::from_le_bytes(chunk.try_into().unwrap()))).collect()
        }
        Dtype::U8 | Dtype::BOOL => bytes.iter().map(|&byte| i64::from(byte)).collect(),
        other => panic!("{name} is {other:?}"),
    };
    (numbers, view.shape().to_vec())
}

fn read_dense(path: &Path, history: usize) -> Vec<Row> {
    let bytes = fs::read(path).unwrap();
    let shard = SafeTensors::deserialize(&bytes).unwrap();
    let column = |name: &str| tensor(&shard, name).0;
    let (customers, items, labels) = (column("customer_id"), column("item_id"), column("is_order"));
    let ((actions, shape), (types, types_shape)) = (tensor(&shard, "actions"), tensor(&shard, "action_types"));
    assert_eq!(shape, [customers.len(), history]);
    assert_eq!(types_shape, shape);
    (0..customers.len())
        .map(|row| Row {
            customer: customers[row],
            item: items[row],
            is_order: labels[row] != 0,
            actions: actions[row * history..(row + 1) * history].to_vec(),
            types: types[row * history..(row + 1) * history].iter().map(|&kind| kind as u8).collect(),
        })
        .collect()
}

fn read_jagged(path: &Path, history: usize) -> Vec<Row> {
    let bytes = fs::read(path).unwrap();
    let shard = SafeTensors::deserialize(&bytes).unwrap();
    let column = |name: &str| tensor(&shard, name).0;
    let (customers, items, labels) = (column("customer_id"), column("item_id"), column("is_order"));
    let (starts, lengths) = (column("history_start"), column("history_length"));
    let (actions, types) = (column("actions"), column("action_types"));
    let requests = column("request");
    (0..requests.len())
        .map(|row| {
            let request = requests[row] as usize;
            let window = starts[request] as usize..(starts[request] + lengths[request]) as usize;
            let padded = |values: &[i64]| {
                let mut padded = values[window.clone()].to_vec();
                padded.resize(history, 0);
                padded
            };
            Row {
                customer: customers[request],
                item: items[row],
                is_order: labels[row] != 0,
                actions: padded(&actions),
                types: padded(&types).into_iter().map(|kind| kind as u8).collect(),
            }
        })
        .collect()
}

/// Every published file but the records of runs, by its path under the output, with its bytes.
pub(crate) fn published(out: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = walkdir(out)
        .into_iter()
        .filter(|path| path.file_name().is_none_or(|name| name != "_run.json"))
        .map(|path| (path.strip_prefix(out).unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn walkdir(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walkdir(&path) } else { vec![path] }).collect()
}

/// An error with all that caused it, as the program prints it.
pub(crate) fn message(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}
