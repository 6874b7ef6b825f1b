//! What each format holds: its tensors and columns, with their names, dtypes, shapes and order.
//!
//! The one place that says so: writers, readers, `verify` and the Python package go by it, and the tables of `docs/format.md` are
//! held against it. Knows names and widths; knows no values and no files.

mod header;

pub(crate) use header::{ALIGNMENT, LENGTH_BYTES, METADATA};
pub use header::{Header, Tensor};

use std::cmp::Ordering;

pub use crate::pack::Dtype;

use crate::config::Format;
use crate::event::ItemDtype;

/// The version of what a build publishes; it grows when a reader has to know.
pub const FORMAT_VERSION: u32 = 2;

/// What is wrong with a version that this program does not read, and what to do.
pub(crate) fn wrong_version(version: u64) -> Option<String> {
    let advice = match version.cmp(&u64::from(FORMAT_VERSION)) {
        Ordering::Equal => return None,
        Ordering::Less => "build the day again",
        Ordering::Greater => "use a newer shardback",
    };
    Some(format!("format version {version}, this program reads version {FORMAT_VERSION}: {advice}"))
}

/// The most rows of a row group of a Parquet part.
const ROWS_PER_GROUP: usize = 8192;

/// The most values of a list column in a row group: what encoding one takes follows from it.
const VALUES_PER_GROUP: usize = 1 << 23;

/// The rows of every row group of a Parquet part but the last.
#[must_use]
pub fn rows_per_group(history: usize) -> usize {
    (VALUES_PER_GROUP / history.max(1)).clamp(1, ROWS_PER_GROUP)
}

impl From<ItemDtype> for Dtype {
    fn from(item: ItemDtype) -> Self {
        match item {
            ItemDtype::I32 => Self::I32,
            ItemDtype::I64 => Self::I64,
        }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The customer of a sample.
    Customer,
    /// The item that was shown.
    Item,
    /// Whether it was ordered.
    Label,
    /// Where the history of a sample begins among the stored actions.
    HistoryStart,
    /// How many actions the history of a sample has.
    HistoryLength,
    /// The items of actions, newest first.
    Actions,
    /// The types of actions, newest first.
    ActionTypes,
}

impl Role {
    /// The name of such a column, the same in every format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer_id",
            Self::Item => "item_id",
            Self::Label => "is_order",
            Self::HistoryStart => "history_start",
            Self::HistoryLength => "history_length",
            Self::Actions => "actions",
            Self::ActionTypes => "action_types",
        }
    }
}

/// How many values a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// `[N]`: one for each sample.
    Samples,
    /// `[N, K]`: a padded history for each sample.
    Histories,
    /// `[A]`: one for each stored action.
    Actions,
}

/// A column: a tensor of a shard, or a column of a Parquet part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it holds.
    pub role: Role,
    /// The type of its elements.
    pub dtype: Dtype,
    /// How many they are.
    pub extent: Extent,
}

impl Column {
    /// Whether it says something of a sample that holds outside its shard: where a history begins holds only inside.
    #[must_use]
    pub fn is_of_samples(&self) -> bool {
        self.extent == Extent::Samples && self.role != Role::HistoryStart
    }
}

/// The columns of a format, in the order in which they are written.
///
/// Tensors stand by descending width of their elements, so that each lies on a multiple of its width whatever N, K and A are.
#[must_use]
pub fn columns(format: Format, item: ItemDtype) -> Vec<Column> {
    let item = Dtype::from(item);
    let column = |role, dtype, extent| Column { role, dtype, extent };
    let mut columns = match format {
        Format::Parquet => {
            return vec![
                column(Role::Customer, Dtype::I64, Extent::Samples),
                column(Role::Item, item, Extent::Samples),
                column(Role::Label, Dtype::Bool, Extent::Samples),
                column(Role::Actions, item, Extent::Histories),
                column(Role::ActionTypes, Dtype::I32, Extent::Histories),
            ];
        }
        Format::Dense => vec![
            column(Role::Customer, Dtype::I64, Extent::Samples),
            column(Role::Item, item, Extent::Samples),
            column(Role::Actions, item, Extent::Histories),
            column(Role::ActionTypes, Dtype::U8, Extent::Histories),
            column(Role::Label, Dtype::Bool, Extent::Samples),
        ],
        Format::Jagged => vec![
            column(Role::Customer, Dtype::I64, Extent::Samples),
            column(Role::HistoryStart, Dtype::I64, Extent::Samples),
            column(Role::HistoryLength, Dtype::I32, Extent::Samples),
            column(Role::Item, item, Extent::Samples),
            column(Role::Actions, item, Extent::Actions),
            column(Role::ActionTypes, Dtype::U8, Extent::Actions),
            column(Role::Label, Dtype::Bool, Extent::Samples),
        ],
    };
    // Stable: among equals they stay as above.
    columns.sort_by_key(|column| std::cmp::Reverse(column.dtype.width()));
    columns
}
