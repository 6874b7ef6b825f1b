//! The header of a safetensors shard.
//!
//! ```text
//! ┌────────┬────────────────────────────────┬──────────────────────────────┐
//! │ u64 LE │ JSON header, padded with ' '   │ tensors, widest element first│
//! └────────┴────────────────────────────────┴──────────────────────────────┘
//! 0        8                        a multiple of 4,096                  end of file
//! ```
//!
//! The figures in the header's `__metadata__` fix every other byte of it, so the check is: read the figures, print the
//! header that they ask for, and compare.

use std::ops::Range;

use serde_json::{Map, Value};

use super::wrong_history;
use crate::config::Format;
use crate::error::Result;
use crate::event::{Day, ItemDtype};
use crate::manifest::FORMAT_VERSION;

/// The bytes that say how long the header is.
const LENGTH_BYTES: usize = 8;
/// The data begins on a multiple of this.
const ALIGNMENT: usize = 4096;
/// Longer than any header of this format: what says more is not read.
const LONGEST_HEADER: u64 = 1 << 20;
/// The key of the figures.
const METADATA: &str = "__metadata__";

/// What a shard says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Dense or jagged.
    pub format: Format,
    /// The day.
    pub day: Day,
    /// K, the length of a padded history.
    pub history: u64,
    /// Which shard of the day it is, from 0.
    pub shard: u32,
    /// How many the day has.
    pub shards: u32,
    /// N, its samples.
    pub rows: u64,
    /// A, the actions of all its histories; only of jagged shards.
    pub actions: Option<u64>,
    /// The width of item ids.
    pub item_dtype: ItemDtype,
}

/// The name of a tensor, and where its bytes lie.
pub(super) type TensorRange = (&'static str, Range<usize>);

/// A tensor of a shard, as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: &'static str,
    /// The dtype as safetensors names it: `I64`, `I32`, `U8`, `BOOL`.
    pub dtype: &'static str,
    /// The bytes of an element.
    pub width: u64,
    /// Its shape.
    pub shape: Vec<u64>,
}

impl Tensor {
    fn bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.width, |bytes, &size| bytes.checked_mul(size))
    }
}

impl Header {
    /// What differs between this, which is expected, and `found`; the number of actions is not compared.
    pub(crate) fn difference(&self, found: &Self) -> Option<String> {
        let differs = |name: &str, found: String, expected: String| {
            (found != expected).then(|| format!("its header says {name} {found}, the manifest says {expected}"))
        };
        differs("format", found.format.name().to_owned(), self.format.name().to_owned())
            .or_else(|| differs("dt", found.day.to_string(), self.day.to_string()))
            .or_else(|| differs("history", found.history.to_string(), self.history.to_string()))
            .or_else(|| differs("item dtype", found.item_dtype.name().to_owned(), self.item_dtype.name().to_owned()))
            .or_else(|| differs("shard", found.shard.to_string(), self.shard.to_string()))
            .or_else(|| differs("shards", found.shards.to_string(), self.shards.to_string()))
            .or_else(|| differs("rows", found.rows.to_string(), self.rows.to_string()))
    }

    /// The tensors of such a shard, in the order in which they lie in the file.
    #[must_use]
    pub fn tensors(&self) -> Vec<Tensor> {
        let rows = self.rows;
        let (item, item_width) = match self.item_dtype {
            ItemDtype::I32 => ("I32", 4),
            ItemDtype::I64 => ("I64", 8),
        };
        let tensor = |name, dtype, width, shape: &[u64]| Tensor { name, dtype, width, shape: shape.to_vec() };
        let mut tensors = match self.actions {
            None => vec![
                tensor("customer_id", "I64", 8, &[rows]),
                tensor("item_id", item, item_width, &[rows]),
                tensor("actions", item, item_width, &[rows, self.history]),
                tensor("action_types", "U8", 1, &[rows, self.history]),
                tensor("is_order", "BOOL", 1, &[rows]),
            ],
            Some(actions) => vec![
                tensor("customer_id", "I64", 8, &[rows]),
                tensor("history_start", "I64", 8, &[rows]),
                tensor("history_length", "I32", 4, &[rows]),
                tensor("item_id", item, item_width, &[rows]),
                tensor("actions", item, item_width, &[actions]),
                tensor("action_types", "U8", 1, &[actions]),
                tensor("is_order", "BOOL", 1, &[rows]),
            ],
        };
        // Stable: wide items move before the lengths, all else stays.
        tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.width));
        tensors
    }

    /// The header of this shard as JSON, and where each tensor lies in the data; `None` where no file could be so large.
    fn layout(&self) -> Option<(Map<String, Value>, Vec<TensorRange>)> {
        let mut metadata = Map::new();
        let mut say = |name: &str, value: String| metadata.insert(name.to_owned(), Value::String(value));
        say("format", format!("shardback.{}", self.format.name()));
        say("version", FORMAT_VERSION.to_string());
        say("dt", self.day.to_string());
        say("history", self.history.to_string());
        say("shard", self.shard.to_string());
        say("shards", self.shards.to_string());
        say("rows", self.rows.to_string());
        if let Some(actions) = self.actions {
            say("actions", actions.to_string());
        }
        let mut header = Map::new();
        header.insert(METADATA.to_owned(), Value::Object(metadata));
        let mut ranges = Vec::new();
        let mut start = 0_u64;
        for tensor in self.tensors() {
            let end = start.checked_add(tensor.bytes()?)?;
            let mut entry = Map::new();
            entry.insert("dtype".to_owned(), Value::from(tensor.dtype));
            entry.insert("shape".to_owned(), Value::from(tensor.shape));
            entry.insert("data_offsets".to_owned(), Value::from(vec![start, end]));
            header.insert(tensor.name.to_owned(), Value::Object(entry));
            ranges.push((tensor.name, usize::try_from(start).ok()?..usize::try_from(end).ok()?));
            start = end;
        }
        Some((header, ranges))
    }

    /// Reads the figures; which layout they ask for is compared later.
    fn read(header: &Map<String, Value>) -> Result<Self, String> {
        let text = |name: &str| {
            header
                .get(METADATA)
                .and_then(|metadata| metadata.get(name))
                .and_then(Value::as_str)
                .ok_or_else(|| format!("its header has no `{name}` in `{METADATA}`"))
        };
        let number = |name: &str| {
            let text = text(name)?;
            text.parse::<u64>().map_err(|_| format!("`{name}` in its header is no number: {text}"))
        };
        let small =
            |name: &str| u32::try_from(number(name)?).map_err(|_| format!("`{name}` in its header is too large"));
        let format = match text("format")? {
            "shardback.dense" => Format::Dense,
            "shardback.jagged" => Format::Jagged,
            other => return Err(format!("unknown format in its header: {other}")),
        };
        let version = number("version")?;
        if version != u64::from(FORMAT_VERSION) {
            return Err(format!("format version {version}, this program reads version {FORMAT_VERSION}"));
        }
        let dt = text("dt")?;
        let history = number("history")?;
        wrong_history(history).map_or(Ok(()), |problem| Err(format!("in its header {problem}")))?;
        let item = header.get("item_id").and_then(|tensor| tensor.get("dtype")).and_then(Value::as_str);
        Ok(Self {
            format,
            day: Day::parse(dt.as_bytes()).ok_or_else(|| format!("`dt` in its header is no day: {dt}"))?,
            history,
            shard: small("shard")?,
            shards: small("shards")?,
            rows: number("rows")?,
            actions: (format == Format::Jagged).then(|| number("actions")).transpose()?,
            item_dtype: match item {
                Some("I32") => ItemDtype::I32,
                Some("I64") => ItemDtype::I64,
                other => {
                    return Err(format!(
                        "`item_id` in its header is {}, expected I32 or I64",
                        other.unwrap_or("missing")
                    ));
                }
            },
        })
    }
}

/// Checks the header and the length of a file; the ranges are those of the tensors in the file.
pub(super) fn parse(file: &[u8]) -> Result<(Header, Vec<TensorRange>), String> {
    let length = file.first_chunk::<LENGTH_BYTES>().map(|bytes| u64::from_le_bytes(*bytes));
    let length = length.ok_or_else(|| format!("it has {} bytes, too few for a header", file.len()))?;
    if length > LONGEST_HEADER {
        return Err(format!("its header says to be {length} bytes long, more than any shard's"));
    }
    let data = LENGTH_BYTES + length as usize;
    let text = file
        .get(LENGTH_BYTES..data)
        .ok_or_else(|| format!("it is cut off: it ends in its header, at {}", file.len()))?;
    if !data.is_multiple_of(ALIGNMENT) {
        return Err(format!("its data begins at {data}, not on a multiple of {ALIGNMENT}"));
    }
    let found: Map<String, Value> =
        serde_json::from_slice(text).map_err(|error| format!("its header is no JSON object: {error}"))?;
    let header = Header::read(&found)?;
    let (expected, mut tensors) = header.layout().ok_or("its header says more than a file can hold")?;
    for (name, entry) in &expected {
        let found = found.get(name).unwrap_or(&Value::Null);
        if found != entry {
            return Err(format!("`{name}` in its header is {found}, expected {entry}"));
        }
    }
    let canonical = Value::Object(expected).to_string();
    let rest = text.strip_prefix(canonical.as_bytes());
    if rest.is_none_or(|padding| padding.len() >= ALIGNMENT || padding.iter().any(|&byte| byte != b' ')) {
        return Err(format!("its header is not in canonical form, which is: {canonical}"));
    }
    let end = tensors.last().map_or(0, |(_, range)| range.end).checked_add(data);
    if end != Some(file.len()) {
        let end = end.map_or_else(|| "more than fit a file".to_owned(), |end| end.to_string());
        return Err(format!("it has {} bytes, its header asks for {end}", file.len()));
    }
    for (_, range) in &mut tensors {
        *range = range.start + data..range.end + data;
    }
    Ok((header, tensors))
}
