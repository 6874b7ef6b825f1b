//! The head of a safetensors file, laid out for mapping and for direct copies into device memory.
//!
//! The format: <https://github.com/huggingface/safetensors>, README, "Format". On top of it the header is padded with
//! spaces so that the data starts on a multiple of 4,096 bytes, and tensors stand in order of descending element width, so
//! that each is aligned to its elements whatever its length.

use std::fmt::Write;

use super::{DayLayout, FORMAT_VERSION};
use crate::cut::ShardRows;
use crate::event::ItemDtype;

/// The data starts on a multiple of this.
const ALIGNMENT: usize = 4096;

/// The place and type of one tensor.
pub(super) struct Tensor {
    pub(super) name: &'static str,
    pub(super) dtype: Dtype,
    /// `[rows]` or `[rows, columns]`.
    pub(super) shape: Vec<u64>,
}

/// An element type, by its name in the format.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dtype {
    I64,
    I32,
    U8,
    Bool,
}

impl Dtype {
    pub(super) fn of_item(item: ItemDtype) -> Self {
        match item {
            ItemDtype::I32 => Self::I32,
            ItemDtype::I64 => Self::I64,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Self::I64 => 8,
            Self::I32 => 4,
            Self::U8 | Self::Bool => 1,
        }
    }
}

impl Tensor {
    fn bytes(&self) -> u64 {
        self.shape.iter().product::<u64>() * self.dtype.bytes()
    }
}

/// Puts the tensors of a file into the order in which they are written: wider elements first, else as given.
pub(super) fn ordered(mut tensors: Vec<Tensor>) -> Vec<Tensor> {
    tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.dtype.bytes()));
    tensors
}

/// What the header says of a shard beside its tensors, as text.
pub(super) fn metadata<I>(format: &str, rows: &ShardRows<'_, I>, layout: DayLayout) -> Vec<(&'static str, String)> {
    vec![
        ("format", format.to_owned()),
        ("version", FORMAT_VERSION.to_string()),
        ("dt", layout.day.to_string()),
        ("history", layout.history.to_string()),
        ("shard", rows.shard.to_string()),
        ("shards", layout.shards.to_string()),
        ("rows", rows.rows.to_string()),
    ]
}

/// The bytes before the data, and the length of the whole file.
pub(super) fn head(metadata: &[(&str, String)], tensors: &[Tensor]) -> (Vec<u8>, u64) {
    let mut json = String::from("{\"__metadata__\":{");
    for (place, (key, value)) in metadata.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Keys and values are ours: names, numbers and days, with nothing to escape.
        let _ = write!(json, "{comma}\"{key}\":\"{value}\"");
    }
    json.push('}');
    let mut end = 0;
    for tensor in tensors {
        let start = end;
        end += tensor.bytes();
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        let (name, dtype, shape) = (tensor.name, tensor.dtype.name(), shape.join(","));
        let _ =
            write!(json, ",\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":[{shape}],\"data_offsets\":[{start},{end}]}}");
    }
    json.push('}');
    let data_start = (size_of::<u64>() + json.len()).next_multiple_of(ALIGNMENT);
    let header_length = data_start - size_of::<u64>();
    let mut head = (header_length as u64).to_le_bytes().to_vec();
    head.extend_from_slice(json.as_bytes());
    head.resize(data_start, b' ');
    (head, data_start as u64 + end)
}
