//! What a shard, a day or an output holds, for a person: figures, the first rows, one customer's history.
//!
//! [`Inspection`] is the answer as data; its `Display` is the answer as text.

mod render;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::Format;
use crate::error::{Error, Invariant, Result, as_text};
use crate::event::{customer_hash, shard_of};
use crate::layout::REQUEST_TIME;
use crate::manifest::Manifest;
use crate::open::{DayFolder, Items, ParquetPart, PlaceKind, Shard, ShardView, find_days};
use crate::pack::{self, Dtype};
use crate::schema::{ActionTypes, Contents};
use crate::unify::format_time;

pub(crate) use render::{counted, duration, size, thousands};

/// How many actions of a row are shown, where it is one of many.
const ACTIONS_PER_ROW: usize = 5;

/// What to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// How many rows, from the first.
    pub rows: usize,
    /// The customer whose samples and whole history are shown.
    pub customer: Option<i64>,
}

/// What a path holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The path.
    #[serde(serialize_with = "as_text::one")]
    pub path: PathBuf,
    /// Every day and format found, where the path is not a single one.
    pub days: Vec<DayLine>,
    /// The folder whose manifest and rows are shown: the day at the path, or the last one found.
    #[serde(serialize_with = "as_text::option")]
    pub folder: Option<PathBuf>,
    /// Its manifest.
    pub manifest: Option<Manifest>,
    /// The figures of the file, where the path is one.
    pub shard: Option<ShardFigures>,
    /// The first rows.
    pub rows: Vec<Row>,
    /// The customer that was asked for.
    pub customer: Option<Customer>,
}

/// One format of one day in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DayLine {
    /// The day.
    pub dt: String,
    /// The format.
    pub format: &'static str,
    /// Its shards.
    pub shards: u32,
    /// Its samples.
    pub samples: u64,
    /// The bytes of its shards.
    pub bytes: u64,
    /// The build that it comes from.
    pub build: String,
}

/// The figures of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShardFigures {
    /// The format.
    pub format: &'static str,
    /// The day; a Parquet part does not say it.
    pub dt: Option<String>,
    /// K; a Parquet part does not say it.
    pub history: Option<u64>,
    /// Which shard of how many; a Parquet part does not say it.
    pub shard: Option<(u32, u32)>,
    /// Its samples.
    pub samples: u64,
    /// The actions of all its histories; only of jagged shards.
    pub actions: Option<u64>,
    /// The width of item ids.
    pub item_dtype: &'static str,
    /// Its size.
    pub bytes: u64,
}

/// A row of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// The shard, from 0; of a file on its own it is not known to be another.
    pub shard: u32,
    /// The row in the shard, from 0.
    pub row: u64,
    /// Who saw it.
    pub customer_id: i64,
    /// What was shown.
    pub item_id: i64,
    /// Its labels and other columns, by name, and the time of its request where it has one.
    #[serde(flatten)]
    pub columns: Map<String, Value>,
    /// How many actions its history has.
    pub history_length: u64,
    /// The newest of them, newest first.
    pub actions: Vec<Action>,
}

/// An action of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Action {
    /// Its type, by the name used in manifests; a number that no type has as `type 7`.
    pub action: String,
    /// Its item.
    pub item_id: i64,
}

/// What a day or a file holds of a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Customer {
    /// The customer.
    pub customer_id: i64,
    /// The shard in which the customer's rows are, or would be.
    pub shard: u32,
    /// The customer's samples.
    pub samples: Vec<Sample>,
    /// The customer's history, newest first; of several requests that of the last.
    pub history: Vec<Action>,
}

/// A sample of a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sample {
    /// The row in the shard, from 0.
    pub row: u64,
    /// What was shown.
    pub item_id: i64,
    /// Its labels and other columns, by name.
    #[serde(flatten)]
    pub columns: Map<String, Value>,
}

/// Looks into a shard or part, a day's folder, the folder of a format, or an output.
///
/// ```
/// # use shardback::{Build, Format};
/// # let out = tempfile::tempdir()?;
/// # let build = Build::day("2025-08-16".parse()?, out.path()).formats([Format::Jagged]);
/// # build.table("impressions", "data/sample/impressions").table("clicks", "data/sample/clicks").run()?;
/// use shardback::inspect::Selection;
///
/// let day = out.path().join("jagged/dt=2025-08-16");
/// let shown = shardback::inspect(&day, Selection { rows: 2, customer: None })?;
/// assert_eq!(shown.rows.len(), 2);
/// println!("{shown}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`] when something cannot be read, [`Error::Corrupt`] when it is not what it should be.
pub fn inspect(path: &Path, wanted: Selection) -> Result<Inspection> {
    let mut inspection = Inspection {
        path: path.to_owned(),
        days: Vec::new(),
        folder: None,
        manifest: None,
        shard: None,
        rows: Vec::new(),
        customer: None,
    };
    let data = fs::metadata(path).map_err(Error::io("read", path))?;
    if data.is_file() {
        let file = Opened::file(path)?;
        let figures = file.figures(data.len());
        let shard = figures.shard.map_or(0, |(shard, _)| shard);
        inspection.shard = Some(figures);
        inspection.rows = file.rows(shard, 0..wanted.rows as u64, ACTIONS_PER_ROW)?;
        inspection.customer = wanted.customer.map(|customer| file.customer(shard, customer)).transpose()?;
        return Ok(inspection);
    }
    let found = find_days(path)?;
    // The last day; of its formats the last found, which is the smallest on disk. Only one is held open at a time.
    let mut last: Option<DayFolder> = None;
    for place in &found.days {
        let day = DayFolder::open(&place.folder)?;
        if found.kind != PlaceKind::Day {
            inspection.days.push(DayLine::of(&day));
        }
        if last.as_ref().is_none_or(|last| last.day() <= day.day()) {
            last = Some(day);
        }
    }
    while let Some(day) = &last {
        let shown = first_rows(day, wanted.rows)
            .and_then(|rows| Ok((rows, wanted.customer.map(|customer| customer_of_day(day, customer)).transpose()?)));
        if shown.as_ref().is_err_and(|error| day.is_gone(error)) {
            last = Some(DayFolder::open(day.folder())?);
            continue;
        }
        (inspection.rows, inspection.customer) = shown?;
        inspection.folder = Some(day.folder().to_owned());
        inspection.manifest = Some(day.manifest().clone());
        break;
    }
    Ok(inspection)
}

impl DayLine {
    fn of(day: &DayFolder) -> Self {
        let manifest = day.manifest();
        Self {
            dt: day.day().to_string(),
            format: day.format().name(),
            shards: day.shards(),
            samples: manifest.statistics.samples,
            bytes: total_bytes(manifest),
            build: manifest.build.clone(),
        }
    }
}

fn total_bytes(manifest: &Manifest) -> u64 {
    manifest.shards.iter().fold(0, |sum, shard| sum.saturating_add(shard.bytes))
}

fn first_rows(day: &DayFolder, wanted: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for shard in 0..day.shards() {
        if rows.len() >= wanted {
            break;
        }
        let left = (wanted - rows.len()) as u64;
        rows.extend(Opened::shard(day, shard)?.rows(shard, 0..left, ACTIONS_PER_ROW)?);
    }
    Ok(rows)
}

fn customer_of_day(day: &DayFolder, customer: i64) -> Result<Customer> {
    let shard = shard_of(customer_hash(customer), day.shards());
    Opened::shard(day, shard)?.customer(shard, customer)
}

/// A file of a day.
struct Opened {
    file: File,
    /// What the day's manifest calls the types of actions; `None` where a file is alone.
    types: Option<ActionTypes>,
}

/// A file of any format.
enum File {
    Mapped(Shard),
    ParquetPart(ParquetPart),
}

impl Opened {
    fn file(path: &Path) -> Result<Self> {
        // The file is what was asked for: a day that cannot be opened is no fault of it.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let day = DayFolder::open(folder).ok();
        let file = if path.extension().is_some_and(|extension| extension == "parquet") {
            // What its columns are the manifest says; alone it is taken for what the built-in tables give.
            let contents = day.as_ref().map_or_else(Contents::built_in, |day| day.contents().clone());
            File::ParquetPart(ParquetPart::open(path, &contents)?)
        } else {
            File::Mapped(Shard::open(path)?)
        };
        Ok(Self { file, types: day.map(|day| day.types().clone()) })
    }

    fn shard(day: &DayFolder, shard: u32) -> Result<Self> {
        let file = match day.format() {
            Format::Parquet => File::ParquetPart(day.part(shard)?),
            Format::Dense | Format::Jagged => File::Mapped(day.shard(shard)?),
        };
        Ok(Self { file, types: Some(day.types().clone()) })
    }

    fn figures(&self, bytes: u64) -> ShardFigures {
        match &self.file {
            File::Mapped(shard) => {
                let header = shard.header();
                ShardFigures {
                    format: header.format.name(),
                    dt: Some(header.day.to_string()),
                    history: Some(header.history),
                    shard: Some((header.shard, header.shards)),
                    samples: header.rows,
                    actions: header.stored.map(|stored| stored.actions),
                    item_dtype: header.item_dtype.name(),
                    bytes,
                }
            }
            File::ParquetPart(part) => ShardFigures {
                format: Format::Parquet.name(),
                dt: None,
                history: None,
                shard: None,
                samples: part.rows(),
                actions: None,
                item_dtype: part.item_dtype().name(),
                bytes,
            },
        }
    }

    /// Some consecutive rows, as far as there are any, each with the newest `most` of its actions.
    fn rows(&self, shard: u32, rows: Range<u64>, most: usize) -> Result<Vec<Row>> {
        let view = |row, customer_id, item_id, columns, items: Items<'_>, types: &mut dyn Iterator<Item = i64>| Row {
            shard,
            row,
            customer_id,
            item_id,
            columns,
            history_length: items.len() as u64,
            actions: items
                .iter()
                .zip(types)
                .take(most)
                .map(|(item_id, kind)| Action::new(kind, item_id, self.types.as_ref()))
                .collect(),
        };
        let mut views = Vec::new();
        match &self.file {
            File::Mapped(mapped) => {
                let tensors = mapped.view();
                for row in rows.start..rows.end.min(tensors.len() as u64) {
                    let index = row as usize;
                    let Some(customer) = tensors.customer(index) else { break };
                    let history = tensors.history(index).ok_or_else(|| Error::Corrupt {
                        path: mapped.path().to_owned(),
                        problem: format!("row {row}: its history is out of range"),
                    })?;
                    let item = tensors.item_ids().get(index).invariant("tensors of a shard are as long as its rows")?;
                    let mut types = history.types.iter().map(|&kind| i64::from(kind));
                    let mut columns = named(&mapped.header().contents, mapped.columns().into_iter(), index)?;
                    let request = match &tensors {
                        ShardView::Jagged(jagged) => jagged.request(index),
                        ShardView::Dense(_) => Some(index),
                    };
                    add_time(&mut columns, request.and_then(|request| mapped.request_times().get(request)));
                    views.push(view(row, customer, item, columns, history.items, &mut types));
                }
            }
            File::ParquetPart(part) => {
                let mut row = rows.start;
                for batch in part.batches(rows.start..rows.end.min(part.rows()))? {
                    let batch = batch?;
                    for (index, &customer) in batch.customer_ids().iter().enumerate() {
                        let (items, types) = batch.history(index).invariant(SAME_BATCH)?;
                        let item = batch.item_ids().get(index).invariant(SAME_BATCH)?;
                        let columns = batch.columns().iter().map(Vec::as_slice);
                        let mut columns = named(part.contents(), columns, index)?;
                        add_time(&mut columns, batch.request_times().get(index));
                        let mut types = types.iter().map(|&kind| i64::from(kind));
                        views.push(view(row, customer, item, columns, items, &mut types));
                        row += 1;
                    }
                }
            }
        }
        Ok(views)
    }

    /// A customer's samples and whole history; rows are in the order of the customers' hashes.
    fn customer(&self, shard: u32, customer: i64) -> Result<Customer> {
        let (start, end) = match &self.file {
            File::Mapped(mapped) => {
                let view = mapped.view();
                rows_of(view.len(), |row| view.customer(row).map(customer_hash), customer)
            }
            File::ParquetPart(part) => {
                let customers = part.customer_ids()?;
                rows_of(customers.len(), |row| customers.get(row).copied().map(customer_hash), customer)
            }
        };
        // Where the cut-off is the day all rows have the same history; where it is the time the last one has the newest.
        let history = self.rows(shard, end.saturating_sub(1).max(start)..end, usize::MAX)?;
        let samples = self.rows(shard, start..end, 0)?;
        Ok(Customer {
            customer_id: customer,
            shard,
            samples: samples
                .into_iter()
                .map(|row| Sample { row: row.row, item_id: row.item_id, columns: row.columns })
                .collect(),
            history: history.into_iter().flat_map(|row| row.actions).collect(),
        })
    }
}

/// The columns of a sample by name.
fn named<'a>(contents: &Contents, columns: impl Iterator<Item = &'a [u8]>, row: usize) -> Result<Map<String, Value>> {
    let fields = contents.of_samples().zip(columns).map(|(field, column)| {
        let width = field.dtype.width();
        let bytes = column.get(row * width..(row + 1) * width).invariant("columns are as long as there are rows")?;
        let value = match pack::read(field.dtype, bytes) {
            Some(pack::Value::Integer(value)) if field.dtype == Dtype::Bool => Value::Bool(value == 1),
            Some(pack::Value::Integer(value)) => value.into(),
            // As few digits as its own width needs.
            Some(pack::Value::Float(value)) if field.dtype == Dtype::F32 => {
                (value as f32).to_string().parse::<f64>().unwrap_or(value).into()
            }
            Some(pack::Value::Float(value)) => value.into(),
            // A bool that is neither 0 nor 1: what it is.
            None => bytes.first().copied().into(),
        };
        Ok((field.name.clone(), value))
    });
    fields.collect()
}

/// Adds the time of the request, where it has one.
fn add_time(columns: &mut Map<String, Value>, time: Option<&i64>) {
    columns.extend(time.map(|&time| (REQUEST_TIME.to_owned(), format_time(time).into())));
}

/// What the decoder makes sure of.
const SAME_BATCH: &str = "columns of a batch have the same rows";

/// The first row of a customer, and the one behind the last, where rows ascend by the hash of their customers.
fn rows_of(rows: usize, hash_of: impl Fn(usize) -> Option<u64>, customer: i64) -> (u64, u64) {
    let hash = customer_hash(customer);
    let first = |is_before: &dyn Fn(u64) -> bool| {
        let (mut start, mut end) = (0, rows);
        while start < end {
            let middle = start + (end - start) / 2;
            if hash_of(middle).is_some_and(is_before) { start = middle + 1 } else { end = middle }
        }
        start as u64
    };
    (first(&|other| other < hash), first(&|other| other <= hash))
}

impl Action {
    fn new(kind: i64, item_id: i64, types: Option<&ActionTypes>) -> Self {
        let known = types.zip(u8::try_from(kind).ok()).and_then(|(types, number)| types.name(number));
        Self { action: known.map_or_else(|| format!("type {kind}"), ToOwned::to_owned), item_id }
    }
}
