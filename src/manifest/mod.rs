//! What was built: the canonical record of one format of one day.
//!
//! The bytes are the JSON that `serde_json` prints with an indent of two, keys in the order of the structs here, and a
//! line feed at the end. The last field, `hash`, is the hash of all the bytes before its name.

pub mod record;
mod rejected;
pub mod statistics;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use crate::config::{Format, TimeCutoff};
use crate::error::{Invariant, Result};
use crate::fsio::Written;
use crate::layout::wrong_version;
use crate::schema::Contents;

pub use crate::layout::FORMAT_VERSION;

/// The name of a manifest in its day's folder.
pub const MANIFEST_FILE: &str = "_manifest.json";
/// The name of the record of the run that wrote the folder; outside every promise of identity.
pub const RUN_FILE: &str = "_run.json";
/// The empty file that says the folder is complete.
pub const SUCCESS_FILE: &str = "_SUCCESS";
/// The rows that were left out, where there are any.
pub const REJECTED_FILE: &str = "_rejected.jsonl";

/// The record of one format of one day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `shardback.parquet`, `shardback.dense` or `shardback.jagged`.
    pub format: String,
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// The program and version that wrote it.
    pub tool: String,
    /// The day, `YYYY-MM-DD`.
    pub dt: String,
    /// K, the length of a padded history.
    pub history: u64,
    /// With a cut-off at the day: how many days back a sample sees; null for all of them.
    pub lookback_days: Option<u32>,
    /// The cut-off at the time of each request; without it, it is the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_cutoff: Option<TimeCutoff>,
    /// `i32` or `i64`: the width of item ids.
    pub item_dtype: String,
    /// The types of actions: the number of each name.
    pub types: BTreeMap<String, u8>,
    /// The columns of samples and of actions beside those that every day has.
    pub contents: Contents,
    /// The hash of `schema`: of its JSON without blanks.
    pub description: String,
    /// The description of the tables in canonical form: as it was understood, without where tables lie and how their files are read,
    /// and without K and the look-back, which options may change.
    pub schema: Value,
    /// The time zone in which the days of timestamps counted, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_zone: Option<String>,
    /// The hash of the day's content and options, the same in all formats of one build.
    pub build: String,
    /// Of a day in an object store: the folder beside the manifest that has its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The shards, in order.
    pub shards: Vec<Shard>,
    /// For each table the rows that this day sees.
    pub tables: BTreeMap<String, TableRecord>,
    /// The file of rows left out, where there is one.
    pub rejected: Option<Rejected>,
    /// Figures of the day.
    pub statistics: Statistics,
    /// The hash of all the bytes before this field's name.
    pub hash: String,
}

/// One file of the day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Its name in the day's folder.
    pub file: String,
    /// Its samples.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The hash of all its bytes.
    pub hash: String,
    /// The hash of what it holds, the same in all formats; dense and jagged shards have it in their headers.
    pub content: String,
}

/// What the day sees of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRecord {
    /// Its valid rows that the day sees, of all customers.
    pub rows: u64,
    /// The rows left out that the day would have seen, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Where a table of actions has no valid row on the day before, though it has some on days before that: the last of those that the
    /// day sees, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_since: Option<String>,
}

/// The file of rows left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// Its name in the day's folder.
    pub file: String,
    /// Its lines.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The hash of all its bytes.
    pub hash: String,
}

/// Figures of a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// The rows of all shards.
    pub samples: u64,
    /// For each label that is true or false how many samples have it.
    pub labels: BTreeMap<String, LabelFigures>,
    /// The requests: of each customer one, unless they have times or ids.
    pub requests: u64,
    /// Distinct customers.
    pub customers: u64,
    /// Customers of whom every history is empty.
    pub customers_without_history: u64,
    /// The actions in the histories, by type; every type, also where it is 0. Those that several requests of a customer see are counted
    /// once.
    pub actions: BTreeMap<String, u64>,
    /// How many customers have a longest history of which length: the ranges of [`length_ranges`], empty ones too.
    pub history_lengths: Vec<LengthRange>,
    /// The smallest gap between a cut-off and the newest action that is used, in microseconds; null without any timed action. Where
    /// the cut-off is the day it is the day's start, and the gap negative where a late clock puts an action of an earlier day
    /// into this one.
    pub smallest_gap_micros: Option<i64>,
    /// Where the cut-off is the time: how many actions stood exactly at the cut-off of a request, counted for each request. It sees
    /// none of them; a cut-off that is not strict would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_cutoff: Option<u64>,
}

/// How many samples have a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelFigures {
    /// Samples whose label is true.
    pub positives: u64,
    /// `positives / samples`; null without samples.
    pub rate: Option<f64>,
}

impl LabelFigures {
    /// Of so many samples so many are positive.
    #[must_use]
    pub fn new(positives: u64, samples: u64) -> Self {
        Self { positives, rate: (samples > 0).then(|| positives as f64 / samples as f64) }
    }
}

/// How many customers have a history of a length within a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LengthRange {
    /// The shortest.
    pub from: u64,
    /// The longest, inclusive.
    pub to: u64,
    /// How many customers.
    pub customers: u64,
}

impl Shard {
    /// The entry of a shard that was written.
    #[must_use]
    pub fn new(format: Format, shard: u32, rows: u64, content: &str, written: &Written) -> Self {
        Self {
            file: format.shard_file(shard),
            rows,
            bytes: written.bytes,
            hash: format!("{:032x}", written.hash),
            content: content.to_owned(),
        }
    }
}

impl Manifest {
    /// The canonical bytes, with [`Manifest::hash`] worked out from them.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) when it cannot be printed.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let unsigned = Self { hash: String::new(), ..self.clone() };
        // Numbers, strings, lists and maps keyed by strings: the printer has nothing to refuse.
        let mut bytes = serde_json::to_vec_pretty(&unsigned).invariant("a manifest can be printed")?;
        bytes.truncate(hashed_length(&bytes).invariant("a printed manifest has a hash")?);
        let hash = hash_hex(&bytes);
        bytes.extend_from_slice(format!("\"hash\": \"{hash}\"\n}}\n").as_bytes());
        Ok(bytes)
    }

    /// Reads canonical bytes back.
    ///
    /// # Errors
    /// Says what is wrong: another version, no JSON of this shape, a hash that does not fit, or bytes that are not
    /// canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let manifest = Self::from_bytes_unchecked(bytes)?;
        let hashed = hashed_length(bytes).and_then(|length| bytes.get(..length));
        // A hash that is spelled in another way, with other blanks or as escapes.
        let expected = hashed.map(hash_hex).ok_or("not in canonical form")?;
        if manifest.hash != expected {
            return Err(format!("its hash is {expected}, but it says {}", manifest.hash));
        }
        if manifest.to_bytes().map_err(|error| error.to_string())? != bytes {
            return Err("not in canonical form".to_owned());
        }
        Ok(manifest)
    }

    /// Reads a manifest whose bytes may have been tampered with: its hash and its form are not checked.
    ///
    /// # Errors
    /// Says what is wrong: another version, or no JSON of this shape.
    pub fn from_bytes_unchecked(bytes: &[u8]) -> Result<Self, String> {
        // The version is read first, alone: what a later one holds beside it is not known here.
        let fault = |error| format!("not a manifest: {error}");
        let Version { version } = serde_json::from_slice(bytes).map_err(fault)?;
        wrong_version(u64::from(version)).map_or(Ok(()), Err)?;
        serde_json::from_slice(bytes).map_err(fault)
    }
}

/// The field that is the same in every version.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The ranges by which histories of up to `history` actions are counted, without customers: 0, 1, 2 to 3, 4 to 7, …,
/// the last ending at `history`.
#[must_use]
pub fn length_ranges(history: u64) -> Vec<LengthRange> {
    let mut ranges = vec![LengthRange { from: 0, to: 0, customers: 0 }];
    let mut next = Some(1_u64);
    while let Some(from) = next.filter(|&from| from <= history) {
        // `from` is a power of two: all its lower bits set is the number before the next one.
        ranges.push(LengthRange { from, to: (from | (from - 1)).min(history), customers: 0 });
        next = from.checked_mul(2);
    }
    ranges
}

/// The place in [`length_ranges`] of the range that holds `length`.
#[must_use]
pub fn length_range_index(length: u64) -> usize {
    (u64::BITS - length.leading_zeros()) as usize
}

/// The bytes before the name of the last `hash` field.
fn hashed_length(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::rfind(bytes, b"\"hash\": \"")
}

/// The hash used everywhere: XXH3 with 128 bits, as 32 lower-case hexadecimal digits, the high half first.
#[must_use]
pub fn hash_hex(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// The hash of a description in canonical form.
pub(crate) fn hash_of_description(schema: &Value) -> String {
    hash_hex(schema.to_string().as_bytes())
}

/// Whether a text is such a hash.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
