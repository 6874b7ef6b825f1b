//! What each format holds: its tensors and columns, with their names, dtypes, shapes and order.
//!
//! The one place that says so: writers, readers, `verify` and the Python package go by it, and the tables of `docs/format.md` are
//! held against it. Knows names and widths; knows no values and no files.

mod header;

pub(crate) use header::{ALIGNMENT, LENGTH_BYTES, METADATA};
pub use header::{Header, Stored, Tensor};

use std::cmp::Ordering;

pub use crate::pack::Dtype;

use crate::config::Format;
use crate::event::ItemDtype;
use crate::schema::Contents;

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

/// The name of the column of customers.
pub const CUSTOMER: &str = "customer_id";
/// The name of the column of requests' times.
pub const REQUEST_TIME: &str = "request_time";
/// The name of the column of requests' ids.
pub const REQUEST_ID: &str = "request_id";
/// The name of the column that says which request a sample is of.
pub const REQUEST: &str = "request";
/// The name of the column of items that were shown.
pub const ITEM: &str = "item_id";
/// The name of the column that says where histories begin.
pub const HISTORY_START: &str = "history_start";
/// The name of the column that says how long histories are.
pub const HISTORY_LENGTH: &str = "history_length";
/// The name of the column of the items of actions.
pub const ACTIONS: &str = "actions";
/// The name of the column of the types of actions.
pub const ACTION_TYPES: &str = "action_types";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The customer of a request.
    Customer,
    /// The time of a request, which is its cut-off, in microseconds since the epoch.
    RequestTime,
    /// The id of a request.
    RequestId,
    /// The request of a sample, by its place in the shard.
    Request,
    /// The item that was shown.
    Item,
    /// A label or another column of samples, by its place among [`Contents::of_samples`].
    OfSamples(usize),
    /// Where the history of a request begins among the stored actions.
    HistoryStart,
    /// How many actions the history of a request has.
    HistoryLength,
    /// The items of actions, newest first.
    Actions,
    /// The types of actions, newest first.
    ActionTypes,
    /// Another column of actions, newest first, by its place among [`Contents::of_actions`].
    OfActions(usize),
}

/// How many values a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// `[N]`: one for each sample.
    Samples,
    /// `[R]`: one for each request.
    Requests,
    /// `[N, K]`: a padded history for each sample.
    Histories,
    /// `[A]`: one for each stored action.
    Actions,
}

/// A column: a tensor of a shard, or a column of a Parquet part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, the same in every format.
    pub name: String,
    /// What it holds.
    pub role: Role,
    /// The type of its elements.
    pub dtype: Dtype,
    /// How many they are.
    pub extent: Extent,
}

impl Column {
    /// Whether it says something of a sample that holds outside its shard: where a history begins, and which request it is, hold
    /// only inside.
    #[must_use]
    pub fn is_of_samples(&self) -> bool {
        matches!(self.extent, Extent::Samples | Extent::Requests)
            && !matches!(self.role, Role::HistoryStart | Role::Request)
    }
}

/// The columns of a format, in the order in which they are written.
///
/// Tensors stand by descending width of their elements, so that each lies on a multiple of its width whatever N, K and A are.
#[must_use]
pub fn columns(format: Format, item: ItemDtype, contents: &Contents) -> Vec<Column> {
    let item = Dtype::from(item);
    let column = |name: &str, role, dtype, extent| Column { name: name.to_owned(), role, dtype, extent };
    let of_samples = || {
        let fields = contents.of_samples().enumerate();
        fields.map(|(place, field)| column(&field.name, Role::OfSamples(place), field.dtype, Extent::Samples))
    };
    let of_actions = |extent| {
        let fields = contents.of_actions().enumerate();
        fields.map(move |(place, field)| Column {
            name: field.name,
            role: Role::OfActions(place),
            dtype: field.dtype,
            extent,
        })
    };
    // What a request has, every sample of it has where histories are not stored once.
    let of_requests = if format == Format::Jagged { Extent::Requests } else { Extent::Samples };
    let customer = column(CUSTOMER, Role::Customer, Dtype::I64, of_requests);
    let request_time = contents.request_time.then(|| column(REQUEST_TIME, Role::RequestTime, Dtype::I64, of_requests));
    let request_id = contents.request.then(|| column(REQUEST_ID, Role::RequestId, Dtype::I64, of_requests));
    let shown = column(ITEM, Role::Item, item, Extent::Samples);
    let actions = |extent| column(ACTIONS, Role::Actions, item, extent);
    let types = |dtype, extent| column(ACTION_TYPES, Role::ActionTypes, dtype, extent);
    let mut columns = vec![customer];
    columns.extend(request_time.into_iter().chain(request_id));
    match format {
        Format::Parquet => {
            columns.push(shown);
            columns.extend(of_samples());
            columns.extend([actions(Extent::Histories), types(Dtype::I32, Extent::Histories)]);
            columns.extend(of_actions(Extent::Histories));
            return columns;
        }
        Format::Dense => {
            columns.extend([shown, actions(Extent::Histories), types(Dtype::U8, Extent::Histories)]);
            columns.extend(of_actions(Extent::Histories));
        }
        Format::Jagged => {
            columns.push(column(HISTORY_START, Role::HistoryStart, Dtype::I64, of_requests));
            columns.push(column(HISTORY_LENGTH, Role::HistoryLength, Dtype::I32, of_requests));
            columns.push(column(REQUEST, Role::Request, Dtype::I32, Extent::Samples));
            columns.extend([shown, actions(Extent::Actions), types(Dtype::U8, Extent::Actions)]);
            columns.extend(of_actions(Extent::Actions));
        }
    }
    columns.extend(of_samples());
    // Stable: among equals they stay as above.
    columns.sort_by_key(|column| std::cmp::Reverse(column.dtype.width()));
    columns
}
