//! Small published days, written by hand from `docs/format.md`: not with the program's own writers, so that they also
//! say whether that text is enough to write the format from.
#![expect(clippy::disallowed_methods, reason = "tests put files where they want them")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use safetensors::SafeTensors;
use shardback::config::Format;
use shardback::manifest::{LabelFigures, LengthRange, Manifest, Rejected, Shard, Statistics, TableRecord};
use shardback::schema::Contents;
use xxhash_rust::xxh3::xxh3_128;

pub(crate) const DAY: &str = "2025-08-16";

/// A customer: history newest first as (item, type), samples as (item, label).
#[derive(Clone)]
pub(crate) struct Customer {
    pub(crate) id: i64,
    pub(crate) history: Vec<(i64, u8)>,
    pub(crate) samples: Vec<(i64, bool)>,
}

#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) history: usize,
    pub(crate) wide_items: bool,
    pub(crate) shards: u32,
    pub(crate) customers: Vec<Customer>,
    pub(crate) rejected: Vec<&'static str>,
    pub(crate) row_group_rows: usize,
}

/// Five customers in two shards: a full history, an empty one, items that are 0 or negative, repeated samples.
pub(crate) fn small() -> Content {
    let customer = |id, history: &[(i64, u8)], samples: &[(i64, bool)]| Customer {
        id,
        history: history.to_vec(),
        samples: samples.to_vec(),
    };
    Content {
        history: 4,
        wide_items: false,
        shards: 2,
        customers: vec![
            customer(7, &[(70, 1), (0, 2), (-5, 3), (70, 1)], &[(500, false), (100, true), (100, false)]),
            customer(-8, &[], &[(3, false), (3, false)]),
            customer(1, &[(11, 3)], &[(9, true)]),
            customer(2, &[(20, 1), (21, 2)], &[(8, false)]),
            customer(3, &[(30, 1), (31, 1), (32, 1)], &[(-1, false), (2, false)]),
        ],
        rejected: Vec::new(),
        row_group_rows: 8192,
    }
}

/// As [`small`], with two rows left out.
pub(crate) fn with_rejects() -> Content {
    let rejected = vec![
        r#"{"table":"clicks","reason":"null_item","column":"item_id","value":null,"row":{"dt":"2025-08-15","customer_id":1,"item_id":null,"click_time":"2025-08-15T10:00:00Z"}}"#,
        r#"{"table":"impressions","reason":"null_label","column":"is_order","value":null,"row":{"dt":"2025-08-16","customer_id":1,"item_id":4,"is_order":null}}"#,
    ];
    Content { rejected, ..small() }
}

fn hash(customer: i64) -> u64 {
    let mut z = (customer as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(crate) fn shard_of(customer: i64, shards: u32) -> u32 {
    ((u128::from(hash(customer)) * u128::from(shards)) >> 64) as u32
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// The customers of a shard, in its order, their samples sorted.
fn customers_of(content: &Content, shard: u32) -> Vec<Customer> {
    let mut customers = content.customers.clone();
    customers.retain(|customer| shard_of(customer.id, content.shards) == shard);
    customers.sort_by_key(|customer| hash(customer.id));
    customers.iter_mut().for_each(|customer| customer.samples.sort());
    customers
}

/// The columns of a shard: customer, item, label, and for each row its customer's place.
fn rows_of(customers: &[Customer]) -> Vec<(i64, i64, bool, usize)> {
    let rows = |(place, customer): (usize, &Customer)| {
        customer.samples.iter().map(|&(item, label)| (customer.id, item, label, place)).collect::<Vec<_>>()
    };
    customers.iter().enumerate().flat_map(rows).collect()
}

fn items(content: &Content, items: impl IntoIterator<Item = i64>) -> Vec<u8> {
    let bytes = |item: i64| {
        if content.wide_items { item.to_le_bytes().to_vec() } else { (item as i32).to_le_bytes().to_vec() }
    };
    items.into_iter().flat_map(bytes).collect()
}

fn item_type(content: &Content) -> (&'static str, usize) {
    if content.wide_items { ("I64", 8) } else { ("I32", 4) }
}

fn padded(content: &Content, history: &[(i64, u8)]) -> Vec<(i64, u8)> {
    let mut padded = history.to_vec();
    padded.resize(content.history, (0, 0));
    padded
}

/// A tensor: name, dtype, width of an element, shape, bytes.
type Tensor = (&'static str, &'static str, usize, Vec<usize>, Vec<u8>);

fn safetensors(content: &Content, format: Format, dt: &str, shard: u32) -> Vec<u8> {
    let customers = customers_of(content, shard);
    let rows = rows_of(&customers);
    let n = rows.len();
    let (item, width) = item_type(content);
    let customer_id = rows.iter().flat_map(|row| row.0.to_le_bytes()).collect();
    let item_id = items(content, rows.iter().map(|row| row.1));
    let is_order = rows.iter().map(|row| u8::from(row.2)).collect();
    let mut metadata = vec![
        ("format", format!("shardback.{}", format.name())),
        ("version", "2".to_owned()),
        ("dt", dt.to_owned()),
        ("history", content.history.to_string()),
        ("shard", shard.to_string()),
        ("shards", content.shards.to_string()),
        ("rows", n.to_string()),
    ];
    let mut tensors: Vec<Tensor> = if format == Format::Jagged {
        let flat: Vec<(i64, u8)> = customers.iter().flat_map(|customer| customer.history.clone()).collect();
        let start = |place: usize| customers[..place].iter().map(|customer| customer.history.len() as i64).sum::<i64>();
        let r = customers.len();
        let ids = customers.iter().flat_map(|customer| customer.id.to_le_bytes()).collect();
        let starts = (0..r).flat_map(|place| start(place).to_le_bytes()).collect();
        let lengths = customers.iter().flat_map(|customer| (customer.history.len() as i32).to_le_bytes()).collect();
        let requests = rows.iter().flat_map(|row| (row.3 as i32).to_le_bytes()).collect();
        metadata.push(("requests", r.to_string()));
        metadata.push(("actions", flat.len().to_string()));
        vec![
            ("customer_id", "I64", 8, vec![r], ids),
            ("history_start", "I64", 8, vec![r], starts),
            ("history_length", "I32", 4, vec![r], lengths),
            ("request", "I32", 4, vec![n], requests),
            ("item_id", item, width, vec![n], item_id),
            ("actions", item, width, vec![flat.len()], items(content, flat.iter().map(|action| action.0))),
            ("action_types", "U8", 1, vec![flat.len()], flat.iter().map(|action| action.1).collect()),
            ("is_order", "BOOL", 1, vec![n], is_order),
        ]
    } else {
        let flat: Vec<(i64, u8)> = rows.iter().flat_map(|row| padded(content, &customers[row.3].history)).collect();
        vec![
            ("customer_id", "I64", 8, vec![n], customer_id),
            ("item_id", item, width, vec![n], item_id),
            ("actions", item, width, vec![n, content.history], items(content, flat.iter().map(|action| action.0))),
            ("action_types", "U8", 1, vec![n, content.history], flat.iter().map(|action| action.1).collect()),
            ("is_order", "BOOL", 1, vec![n], is_order),
        ]
    };
    metadata.push(("content", content_hash(content, shard)));
    metadata.push(("contents", CONTENTS.to_owned()));
    tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.2));
    encode(&metadata, &tensors)
}

/// The hash of what a shard holds: customer by customer the id, the rows, the history's length, and their items, labels and types.
fn content_hash(content: &Content, shard: u32) -> String {
    let mut bytes = Vec::new();
    for customer in &customers_of(content, shard) {
        let rows = rows_of(std::slice::from_ref(customer));
        bytes.extend(customer.id.to_le_bytes());
        bytes.extend((rows.len() as u64).to_le_bytes());
        bytes.extend((customer.history.len() as u64).to_le_bytes());
        bytes.extend(items(content, rows.iter().map(|row| row.1)));
        bytes.extend(rows.iter().map(|row| u8::from(row.2)));
        bytes.extend(items(content, customer.history.iter().map(|action| action.0)));
        bytes.extend(customer.history.iter().map(|action| action.1));
    }
    hex(&bytes)
}

fn encode(metadata: &[(&str, String)], tensors: &[Tensor]) -> Vec<u8> {
    let pairs: Vec<String> =
        metadata.iter().map(|(key, value)| format!(r#""{key}":"{}""#, value.replace('"', "\\\""))).collect();
    let mut header = format!(r#"{{"__metadata__":{{{}}}"#, pairs.join(","));
    let mut start = 0;
    for (name, dtype, _, shape, bytes) in tensors {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        let end = start + bytes.len();
        header +=
            &format!(r#","{name}":{{"dtype":"{dtype}","shape":[{}],"data_offsets":[{start},{end}]}}"#, shape.join(","));
        start = end;
    }
    header.push('}');
    while (header.len() + 8) % 4096 != 0 {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    tensors.iter().for_each(|tensor| file.extend_from_slice(&tensor.4));
    file
}

fn list(values: ArrayRef, rows: usize, length: usize) -> ArrayRef {
    let field = Arc::new(Field::new("element", values.data_type().clone(), false));
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(vec![length; rows]), values, None))
}

fn parquet_batch(content: &Content, shard: u32) -> RecordBatch {
    let customers = customers_of(content, shard);
    let rows = rows_of(&customers);
    let flat: Vec<(i64, u8)> = rows.iter().flat_map(|row| padded(content, &customers[row.3].history)).collect();
    let items = |items: Vec<i64>| -> ArrayRef {
        if content.wide_items {
            Arc::new(Int64Array::from(items))
        } else {
            Arc::new(items.into_iter().map(|item| Some(item as i32)).collect::<Int32Array>())
        }
    };
    let types: Int32Array = flat.iter().map(|action| Some(i32::from(action.1))).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("customer_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
        ("item_id", items(rows.iter().map(|row| row.1).collect())),
        ("is_order", Arc::new(rows.iter().map(|row| Some(row.2)).collect::<BooleanArray>())),
        ("actions", list(items(flat.iter().map(|action| action.0).collect()), rows.len(), content.history)),
        ("action_types", list(Arc::new(types), rows.len(), content.history)),
    ];
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), false);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

/// Writes a batch as a part, whatever its columns.
pub(crate) fn write_part(path: &Path, batch: &RecordBatch, row_group_rows: usize) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(row_group_rows)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// A part's rows with one column changed.
pub(crate) fn replace_column(
    path: &Path,
    column: usize,
    nullable: bool,
    values: ArrayRef,
    content: &Content,
    shard: u32,
) {
    let batch = parquet_batch(content, shard);
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut columns = batch.columns().to_vec();
    fields[column] = Field::new(fields[column].name(), values.data_type().clone(), nullable);
    columns[column] = values;
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    write_part(path, &batch, content.row_group_rows);
}

pub(crate) fn column(content: &Content, shard: u32, column: usize) -> ArrayRef {
    parquet_batch(content, shard).column(column).clone()
}

pub(crate) fn int32_list(values: Vec<i32>, rows: usize, length: usize) -> ArrayRef {
    list(Arc::new(Int32Array::from(values)), rows, length)
}

/// The shard that holds a customer of [`small`] or its like, and the customer's first row in it.
pub(crate) fn place_of(content: &Content, customer: i64) -> (u32, usize) {
    let shard = shard_of(customer, content.shards);
    let rows = rows_of(&customers_of(content, shard));
    (shard, rows.iter().position(|row| row.0 == customer).unwrap())
}

/// A row: customer, item, label, history.
pub(crate) type Row = (i64, i64, bool, Vec<(i64, u8)>);

/// The rows of a shard.
pub(crate) fn rows(content: &Content, shard: u32) -> Vec<Row> {
    let customers = customers_of(content, shard);
    let row = |row: (i64, i64, bool, usize)| (row.0, row.1, row.2, customers[row.3].history.clone());
    rows_of(&customers).into_iter().map(row).collect()
}

/// What the header of a shard of the built-in tables says of its columns.
const CONTENTS: &str = r#"{"request":false,"labels":[{"name":"is_order","dtype":"BOOL"}],"kept":[],"position":null,"times":null,"features":[]}"#;

fn statistics(content: &Content) -> Statistics {
    let samples: Vec<bool> =
        content.customers.iter().flat_map(|customer| customer.samples.iter().map(|sample| sample.1)).collect();
    let positives = samples.iter().filter(|&&label| label).count() as u64;
    let rate = (!samples.is_empty()).then(|| positives as f64 / samples.len() as f64);
    let actions = |kind: u8| {
        let types = content.customers.iter().flat_map(|customer| customer.history.iter().map(|action| action.1));
        types.filter(|&found| found == kind).count() as u64
    };
    let mut history_lengths = Vec::new();
    let (mut from, mut to) = (0, 0);
    while from <= content.history {
        to = to.min(content.history);
        let within = |customer: &&Customer| (from..=to).contains(&customer.history.len());
        let customers = content.customers.iter().filter(within).count() as u64;
        history_lengths.push(LengthRange { from: from as u64, to: to as u64, customers });
        (from, to) = (to + 1, to * 2 + 1);
    }
    Statistics {
        samples: samples.len() as u64,
        labels: [("is_order".to_owned(), LabelFigures { positives, rate })].into(),
        requests: content.customers.len() as u64,
        customers: content.customers.len() as u64,
        customers_without_history: history_lengths[0].customers,
        actions: [("click", 1), ("add_to_cart", 2), ("order", 3)]
            .map(|(name, kind)| (name.to_owned(), actions(kind)))
            .into(),
        history_lengths,
        at_cutoff: None,
        smallest_gap_micros: (!samples.is_empty()).then_some(3_723_000_000),
    }
}

/// Writes one format of a day under an output folder and returns its folder.
pub(crate) fn write_day(out: &Path, format: Format, dt: &str, content: &Content) -> PathBuf {
    let folder = out.join(format.name()).join(format!("dt={dt}"));
    fs::create_dir_all(&folder).unwrap();
    let mut shards = Vec::new();
    for shard in 0..content.shards {
        let file = if format == Format::Parquet {
            format!("part-{shard:05}.parquet")
        } else {
            format!("shard-{shard:05}.safetensors")
        };
        let path = folder.join(&file);
        if format == Format::Parquet {
            write_part(&path, &parquet_batch(content, shard), content.row_group_rows);
        } else {
            fs::write(&path, safetensors(content, format, dt, shard)).unwrap();
        }
        let rows = rows_of(&customers_of(content, shard)).len() as u64;
        let bytes = fs::read(&path).unwrap();
        shards.push(Shard {
            file,
            rows,
            bytes: bytes.len() as u64,
            hash: hex(&bytes),
            content: content_hash(content, shard),
        });
    }
    let mut tables: BTreeMap<String, TableRecord> = ["clicks", "impressions"]
        .map(|name| (name.to_owned(), TableRecord { rows: 1_234_567, ..TableRecord::default() }))
        .into();
    let rejected = (!content.rejected.is_empty()).then(|| {
        let text: String = content.rejected.iter().map(|line| format!("{line}\n")).collect();
        fs::write(folder.join("_rejected.jsonl"), &text).unwrap();
        tables.get_mut("clicks").unwrap().rejected.insert("null_item".to_owned(), 1);
        tables.get_mut("impressions").unwrap().rejected.insert("null_label".to_owned(), 1);
        Rejected {
            file: "_rejected.jsonl".to_owned(),
            rows: content.rejected.len() as u64,
            bytes: text.len() as u64,
            hash: hex(text.as_bytes()),
        }
    });
    let manifest = Manifest {
        format: format!("shardback.{}", format.name()),
        version: 2,
        tool: "shardback 0.1.0".to_owned(),
        dt: dt.to_owned(),
        history: content.history as u64,
        lookback_days: None,
        time_cutoff: None,
        item_dtype: if content.wide_items { "i64" } else { "i32" }.to_owned(),
        types: [("click", 1), ("add_to_cart", 2), ("order", 3)].map(|(name, number)| (name.to_owned(), number)).into(),
        contents: Contents::built_in(),
        description: hex(br#"{"tables":"none"}"#),
        schema: serde_json::from_str(r#"{"tables":"none"}"#).unwrap(),
        day_zone: None,
        build: hex(b"a build"),
        folder: None,
        shards,
        tables,
        rejected,
        statistics: statistics(content),
        hash: String::new(),
    };
    fs::write(folder.join("_manifest.json"), manifest.to_bytes().unwrap()).unwrap();
    fs::write(folder.join("_run.json"), "{}\n").unwrap();
    fs::write(folder.join("_SUCCESS"), "").unwrap();
    folder
}

/// Changes a manifest and hashes it again.
pub(crate) fn edit_manifest(folder: &Path, change: impl FnOnce(&mut Manifest)) {
    let path = folder.join("_manifest.json");
    let mut manifest = Manifest::from_bytes(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(path, manifest.to_bytes().unwrap()).unwrap();
}

/// Makes the manifest's sizes and hashes those of the files as they are now.
pub(crate) fn rehash(folder: &Path) {
    edit_manifest(folder, |manifest| {
        let fresh = |file: &str| {
            let bytes = fs::read(folder.join(file)).unwrap();
            (bytes.len() as u64, hex(&bytes))
        };
        for shard in &mut manifest.shards {
            (shard.bytes, shard.hash) = fresh(&shard.file);
        }
        if let Some(rejected) = &mut manifest.rejected {
            (rejected.bytes, rejected.hash) = fresh(&rejected.file);
        }
    });
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::write(path, bytes).unwrap();
}

pub(crate) fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

pub(crate) fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap();
}

pub(crate) fn create_folder(path: &Path) {
    fs::create_dir_all(path).unwrap();
}

/// Changes the bytes of a file.
pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = read(path);
    change(&mut bytes);
    write(path, bytes);
}

/// Cuts the last byte off a file.
pub(crate) fn cut(path: &Path) {
    edit(path, |bytes| bytes.truncate(bytes.len() - 1));
}

/// Where a tensor lies in a file, as the safetensors library reads it.
pub(crate) fn tensor(file: &[u8], name: &str) -> Range<usize> {
    let (length, metadata) = SafeTensors::read_metadata(file).unwrap();
    let (start, end) = metadata.info(name).unwrap().data_offsets;
    8 + length + start..8 + length + end
}

/// Sets an element of a tensor in a file; the width is that of `value`.
pub(crate) fn set<const WIDTH: usize>(path: &Path, name: &str, index: usize, value: [u8; WIDTH]) {
    edit(path, |bytes| {
        let at = tensor(bytes, name).start + index * WIDTH;
        bytes[at..at + WIDTH].copy_from_slice(&value);
    });
}

/// Replaces a text in a shard's header by one of any length; padding takes up the difference.
pub(crate) fn edit_header(path: &Path, from: &str, to: &str) {
    edit(path, |bytes| {
        let header = String::from_utf8(bytes[8..4096].to_vec()).unwrap();
        assert!(header.contains(from), "{from} is not in {header}");
        let changed = header.trim_end().replacen(from, to, 1);
        bytes[8..4096].copy_from_slice(format!("{changed:<4088}").as_bytes());
    });
}
