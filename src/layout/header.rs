//! The header of a safetensors shard, laid out for mapping and for direct copies into device memory.
//!
//! ```text
//! ┌────────┬────────────────────────────────┬──────────────────────────────┐
//! │ u64 LE │ JSON header, padded with ' '   │ tensors, widest element first│
//! └────────┴────────────────────────────────┴──────────────────────────────┘
//! 0        8                        a multiple of 4,096                  end of file
//! ```
//!
//! The format: <https://github.com/huggingface/safetensors>, README, "Format". The figures in the header's `__metadata__` fix
//! every byte of it.

use std::ops::Range;

use serde_json::{Map, Value};

use super::{Column, Extent, FORMAT_VERSION, columns};
use crate::config::Format;
use crate::error::{Invariant, Result};
use crate::event::{Day, ItemDtype};
use crate::schema::Contents;

/// The bytes that say how long the header is.
pub(crate) const LENGTH_BYTES: usize = 8;
/// The data begins on a multiple of this.
pub(crate) const ALIGNMENT: usize = 4096;
/// The key of the figures.
pub(crate) const METADATA: &str = "__metadata__";

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
    /// R, its requests, and A, the actions of all its histories; only of jagged shards.
    pub stored: Option<Stored>,
    /// The width of item ids.
    pub item_dtype: ItemDtype,
    /// The columns of samples and of actions.
    pub contents: Contents,
    /// The hash of what the shard holds, whatever its format, which the day's manifest has as well: so that shards of two builds are
    /// told apart.
    pub content: String,
}

/// How much a jagged shard has of what it stores once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// R, its requests.
    pub requests: u64,
    /// A, the actions of all its histories.
    pub actions: u64,
}

/// A tensor of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// What it holds, and the type of its elements.
    pub column: Column,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Where its bytes lie, from the beginning of the data.
    pub range: Range<u64>,
}

impl Header {
    /// The tensors of such a shard, in the order in which they lie in the file; `None` where no file could hold them, or where
    /// the number of actions is not known.
    #[must_use]
    pub fn tensors(&self) -> Option<Vec<Tensor>> {
        let mut start = 0_u64;
        let tensor = |column: Column| {
            let shape = match column.extent {
                Extent::Samples => vec![self.rows],
                Extent::Histories => vec![self.rows, self.history],
                Extent::Requests => vec![self.stored?.requests],
                Extent::Actions => vec![self.stored?.actions],
            };
            let bytes = shape.iter().try_fold(column.dtype.width() as u64, |bytes, &size| bytes.checked_mul(size))?;
            let range = start..start.checked_add(bytes)?;
            start = range.end;
            Some(Tensor { column, shape, range })
        };
        columns(self.format, self.item_dtype, &self.contents).into_iter().map(tensor).collect()
    }

    /// The JSON of a shard with such tensors.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] where its contents cannot be printed, which are names, types and lists.
    pub(crate) fn json(&self, tensors: &[Tensor]) -> Result<Map<String, Value>> {
        let mut metadata = Map::new();
        let mut say = |name: &str, value: String| metadata.insert(name.to_owned(), Value::String(value));
        say("format", format!("shardback.{}", self.format.name()));
        say("version", FORMAT_VERSION.to_string());
        say("dt", self.day.to_string());
        say("history", self.history.to_string());
        say("shard", self.shard.to_string());
        say("shards", self.shards.to_string());
        say("rows", self.rows.to_string());
        if let Some(Stored { requests, actions }) = self.stored {
            say("requests", requests.to_string());
            say("actions", actions.to_string());
        }
        say("content", self.content.clone());
        say("contents", serde_json::to_string(&self.contents).invariant("the columns of a shard can be printed")?);
        let mut json = Map::new();
        json.insert(METADATA.to_owned(), Value::Object(metadata));
        for Tensor { column, shape, range } in tensors {
            let mut entry = Map::new();
            entry.insert("dtype".to_owned(), Value::from(column.dtype.name()));
            entry.insert("shape".to_owned(), Value::from(shape.as_slice()));
            entry.insert("data_offsets".to_owned(), Value::from([range.start, range.end].as_slice()));
            json.insert(column.name.clone(), Value::Object(entry));
        }
        Ok(json)
    }

    /// The bytes of the file before the data, its tensors, and its length.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] where no file could be so large: shards are cut long before.
    pub fn to_bytes(&self) -> Result<(Vec<u8>, Vec<Tensor>, u64)> {
        let tensors = self.tensors().invariant("a shard's tensors fit a file")?;
        let json = Value::Object(self.json(&tensors)?).to_string();
        let data = (LENGTH_BYTES + json.len()).next_multiple_of(ALIGNMENT);
        let mut bytes = ((data - LENGTH_BYTES) as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes.resize(data, b' ');
        let end = tensors.last().map_or(0, |tensor| tensor.range.end);
        let length = end.checked_add(data as u64).invariant("a shard's tensors fit a file")?;
        Ok((bytes, tensors, length))
    }
}
