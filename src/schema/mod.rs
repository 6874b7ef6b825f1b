//! What a build is about, as plain data: its tables, the types of their actions, and what their columns mean.
//!
//! ```text
//! TOML or JSON ──► description.rs ──► Schema
//!                  every key checked
//! ```
//!
//! Knows names, numbers and units; knows no values, no files' contents and no flags. Nothing here looks at a table: that a column is
//! there, and of a type that can be what is asked, is found out when it is read.

mod built_in;
mod contents;
mod description;
mod fields;
mod names;
mod table;
mod types;

pub use contents::{ACTION_TIMES, Contents, Field};
pub(crate) use description::parse_duration;
pub use description::{from_file, from_json, from_text, from_toml};
pub use names::OF_ACTIONS as FEATURE;
pub use types::ActionTypes;

use serde::{Deserialize, Serialize};

use crate::pack::Dtype;
use crate::store::StoreOptions;

/// The longest history that a row can have: a row group of such rows is what a Parquet reader can still hold.
pub(crate) const MAX_HISTORY: usize = 1 << 16;

/// A description, checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schema {
    /// The types of actions.
    pub types: ActionTypes,
    /// The table of what was shown.
    pub samples: SampleTable,
    /// The tables of what was done; at least one.
    pub actions: Vec<ActionTable>,
    /// How the ids of customers are stored.
    pub customer_ids: Ids,
    /// How the ids of items are stored.
    pub item_ids: Ids,
    /// What a sample sees.
    pub history: History,
    /// What is said of the object stores in which tables lie: nothing of it is recorded anywhere.
    #[serde(skip)]
    pub store: StoreOptions,
}

impl Schema {
    /// What decides which rows a build gives: the description without where tables lie and how their files are read, and without
    /// what options of a run say (the length of a history, and how far back it goes).
    #[must_use]
    pub fn canonical(&self) -> Self {
        let mut schema = self.clone();
        let sources = schema.actions.iter_mut().map(|table| &mut table.source).chain([&mut schema.samples.source]);
        for source in sources {
            let Source { splits, filters, .. } = std::mem::take(source);
            *source = Source { splits, filters, ..Source::default() };
        }
        schema.store = StoreOptions::default();
        schema.history.length = 0;
        schema.history.lookback_micros = None;
        schema
    }

    /// The features of all tables of actions, each once, in the order in which they are named first.
    #[must_use]
    pub fn features(&self) -> Vec<&Kept> {
        let mut features: Vec<&Kept> = Vec::new();
        for feature in self.actions.iter().flat_map(|table| &table.features) {
            if features.iter().all(|known| known.name != feature.name) {
                features.push(feature);
            }
        }
        features
    }
}

/// Where a table lies, and how its files are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Files, folders or patterns of names (`*`, `?`, `[…]`, `**`); none where the table is handed over.
    pub paths: Vec<String>,
    /// What its files are, where their names do not say it; by their first bytes where this does not either.
    pub format: Option<FileFormat>,
    /// How they are packed, where their names do not say it; by their first bytes where this does not either.
    pub compression: Option<Compression>,
    /// Between two fields of CSV; a comma where nothing is said, a tab in `.tsv` files.
    pub delimiter: Option<String>,
    /// Around fields of CSV; [`NO_QUOTE`] where none is quoted.
    pub quote: Option<char>,
    /// What comes before a quote within quotes of CSV.
    pub escape: Option<char>,
    /// Fields of CSV that are null, beside empty ones; quoted or not.
    pub nulls: Vec<String>,
    /// The columns of CSV without a header line.
    pub columns: Option<Vec<String>>,
    /// Columns of text that are lists.
    pub splits: Vec<Split>,
    /// What has to hold of a row; all others are passed over.
    pub filters: Vec<Filter>,
}

/// The quote of CSV in which no field is quoted and quotes are characters like any other.
pub const NO_QUOTE: char = '\0';

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum FileFormat {
    /// Parquet.
    Parquet,
    /// JSON, an object a line, glued, or in an array.
    Json,
    /// Fields between delimiters.
    Csv,
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// A column of text that is a list: `N1-1 N2-0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Split {
    /// The column.
    pub column: String,
    /// Between two elements.
    pub by: String,
    /// Between the fields of an element, which are cut off from its end; none where an element is one value.
    pub at: Option<String>,
    /// The names of an element's fields; one where there is no `at`.
    pub fields: Vec<String>,
}

/// A column that has to have one of some values, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// The column.
    pub column: String,
    /// The values.
    pub values: Vec<String>,
}

/// A table of what was shown: one sample for each row, or for each element of its lists.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampleTable {
    /// Its name in messages and manifests.
    pub name: String,
    /// Where it lies.
    pub source: Source,
    /// The column of the customer.
    pub customer: String,
    /// The column of the item.
    pub item: String,
    /// The day.
    pub day: DayOf,
    /// The time at which it was shown.
    pub time: Option<TimeOf>,
    /// The column of what keeps the items of one list together.
    pub request: Option<String>,
    /// The labels, in the order of the outputs.
    pub labels: Vec<Label>,
    /// Other columns that are kept, in the order of the outputs.
    pub kept: Vec<Kept>,
}

/// A table of what was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActionTable {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub source: Source,
    /// The type of each row.
    pub kind: TypeOf,
    /// The column of the customer.
    pub customer: String,
    /// The column of the item.
    pub item: String,
    /// The day on which a row became known.
    pub day: DayOf,
    /// The time of the action; the day's midnight where there is none.
    pub time: Option<TimeOf>,
    /// What is kept of an action beside its item and type, in the order of the outputs.
    pub features: Vec<Kept>,
}

/// Where the type of an action comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum TypeOf {
    /// All rows are of one type.
    Constant(u8),
    /// A column says it.
    Column {
        /// The column.
        column: String,
        /// The type of each of its values, as text.
        values: Vec<(String, u8)>,
        /// Whether rows with other values are passed over, instead of being bad rows.
        ignore_others: bool,
    },
}

impl TypeOf {
    /// The column that says it, where one does.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Constant(_) => None,
            Self::Column { column, .. } => Some(column),
        }
    }

    /// The numbers of all types that rows can have.
    pub fn numbers(&self) -> impl Iterator<Item = u8> {
        let (constant, values) = match self {
            Self::Constant(number) => (Some(*number), [].as_slice()),
            Self::Column { values, .. } => (None, values.as_slice()),
        };
        constant.into_iter().chain(values.iter().map(|&(_, number)| number))
    }
}

/// Where the day of a row comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum DayOf {
    /// A column, or a folder `name=…` in the path.
    Column {
        /// The column.
        column: String,
        /// The zone in which instants are days.
        zone: Option<String>,
    },
    /// A part of the path, as `{year}/{month}/{day}`.
    Path(String),
    /// The time, in a zone.
    Time {
        /// The zone; UTC where none is said.
        zone: Option<String>,
    },
}

impl DayOf {
    /// The column of the day, where one has it.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Column { column, .. } => Some(column),
            Self::Path(_) | Self::Time { .. } => None,
        }
    }
}

/// A column of times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimeOf {
    /// The column.
    pub column: String,
    /// The unit of numbers.
    pub unit: Option<Unit>,
    /// The form of text, as for `strftime`.
    pub format: Option<String>,
    /// The zone of times without one; UTC where none is said.
    pub zone: Option<String>,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl Unit {
    /// The type in which times of this unit are kept.
    #[must_use]
    pub fn dtype(self) -> Dtype {
        match self {
            Self::Seconds => Dtype::I32,
            Self::Milliseconds | Self::Microseconds | Self::Nanoseconds => Dtype::I64,
        }
    }

    /// How many microseconds it has; 0 where it is shorter.
    #[must_use]
    pub fn micros(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000,
            Self::Milliseconds => 1_000,
            Self::Microseconds => 1,
            Self::Nanoseconds => 0,
        }
    }
}

/// A label of a sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Label {
    /// Its name in the outputs.
    pub name: String,
    /// What it is.
    pub of: LabelOf,
}

/// What a label is made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum LabelOf {
    /// A column, as a bool or as another type.
    Column {
        /// The column.
        column: String,
        /// The type in the outputs.
        dtype: ValueType,
    },
    /// Whether a column is at least this.
    AtLeast {
        /// The column.
        column: String,
        /// The threshold.
        threshold: f64,
    },
    /// Whether a column has one of some values, as text.
    Is {
        /// The column.
        column: String,
        /// The values.
        values: Vec<String>,
    },
    /// Whether the item is in a list of the row.
    In {
        /// The column of the list.
        column: String,
    },
    /// Whether the item is what a column says.
    Equals {
        /// The column.
        column: String,
    },
    /// The same for all samples.
    Value(bool),
}

impl LabelOf {
    /// As what it is kept.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Column { dtype, .. } => *dtype,
            Self::AtLeast { .. } | Self::Is { .. } | Self::In { .. } | Self::Equals { .. } | Self::Value(_) => {
                ValueType::Bool
            }
        }
    }

    /// The column that it is made of, where it is of one.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Column { column, .. }
            | Self::AtLeast { column, .. }
            | Self::Is { column, .. }
            | Self::In { column }
            | Self::Equals { column } => Some(column),
            Self::Value(_) => None,
        }
    }
}

/// A column that is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// Its name in the outputs.
    pub name: String,
    /// The column; [`POSITION`] is the place in the list.
    pub column: String,
    /// Its type in the outputs.
    pub dtype: ValueType,
    /// What stands for a null; a null is a bad row where there is none.
    pub null: Option<f64>,
}

/// The column that is the place in a list, from 0.
pub const POSITION: &str = "#";

/// As what a value is kept: how a column is read, where the type of a tensor is only how it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ValueType {
    /// False or true.
    Bool,
    /// 8 bits, unsigned.
    U8,
    /// 32 bits, signed.
    I32,
    /// 64 bits, signed.
    I64,
    /// 32 bits, floating.
    F32,
    /// 64 bits, floating.
    F64,
    /// A hash of text, as 64 bits, signed.
    Hash,
}

impl ValueType {
    /// The type of its values in the outputs.
    #[must_use]
    pub fn dtype(self) -> Dtype {
        match self {
            Self::Bool => Dtype::Bool,
            Self::U8 => Dtype::U8,
            Self::I32 => Dtype::I32,
            Self::I64 | Self::Hash => Dtype::I64,
            Self::F32 => Dtype::F32,
            Self::F64 => Dtype::F64,
        }
    }
}

/// How ids are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Ids {
    /// Integers, signed.
    Int,
    /// Integers of 64 bits without sign: the same bits.
    U64,
    /// XXH3-64 of text.
    Hash,
}

/// What a sample sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    /// K, the length of a padded history.
    pub length: usize,
    /// From when on nothing is seen.
    pub cutoff: Cutoff,
    /// How far back a sample sees, in microseconds; all of the past where nothing is said.
    pub lookback_micros: Option<i64>,
    /// An action is seen only so long after its time, in microseconds.
    pub delay_micros: i64,
    /// The unit in which the time of each action is written, where it is.
    pub times: Option<Unit>,
}

/// From when on nothing is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Cutoff {
    /// The day of the sample.
    Day,
    /// The sample's own time.
    Time,
}
