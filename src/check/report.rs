//! What was understood of tables, as plain data.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value};

use super::collected::Collected;
use super::warnings::{self, Warning};
use crate::error::as_text;
use crate::schema::Schema;
use crate::unify::format_time;

/// What was understood of the tables of a description.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The tables, that of samples first.
    pub tables: Vec<TableReport>,
    /// The customers of samples and those of actions.
    pub customers: Customers,
    /// What looks wrong.
    pub warnings: Vec<Warning>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TableReport {
    /// Its name.
    pub table: String,
    /// Whether it is one of actions, and not that of samples.
    pub is_of_actions: bool,
    /// Where it lies; nowhere where it is handed over as rows.
    #[serde(serialize_with = "as_text::all")]
    pub paths: Vec<PathBuf>,
    /// How many files it has.
    pub files: u64,
    /// What they are, as `csv.gz`.
    pub formats: Vec<&'static str>,
    /// Their bytes.
    pub bytes: u64,
    /// The days, as far as they are known.
    pub days: Option<Days>,
    /// The rows that were read.
    pub rows: u64,
    /// Of so many, where that is known.
    pub rows_of: Option<u64>,
    /// Whether all of the table was read.
    pub is_whole: bool,
    /// The samples or actions that were made of them.
    pub made: u64,
    /// What the description passes over.
    pub passed_over: Vec<PassedOver>,
    /// Lines of JSON with neither an item nor a list of items.
    pub shows_nothing: u64,
    /// Bad rows, by their reasons.
    pub bad: Vec<Bad>,
    /// The distinct customers of samples or actions that were read.
    pub customers: u64,
    /// Their distinct items.
    pub items: u64,
    /// The actions of each type that the table can have.
    pub types: Vec<TypeRows>,
    /// The times, where builds read some.
    pub times: Option<Times>,
    /// Actions that have the time of another action of their customer in this table.
    pub ties: Option<u64>,
    /// Labels, what is kept, features.
    pub values: Vec<KeptValue>,
    /// The nulls of columns that may have some.
    pub nulls: Vec<MissingValues>,
    /// The first samples or actions.
    pub first_rows: Vec<FirstRow>,
}

/// The days of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Days {
    /// The first.
    pub first: String,
    /// The last.
    pub last: String,
    /// How many there are.
    pub count: u64,
    /// Whether they are those of all paths; else those of the rows that were read.
    pub from_paths: bool,
    /// How they differ from those of their times, where rows have both.
    pub shifts: Option<Shifts>,
}

/// How the days of rows differ from those of their times, in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Shifts {
    /// Rows with another day than that of their time.
    pub rows: u64,
    /// Of so many rows.
    pub of: u64,
    /// Of them those on an earlier day than the one before, or a later one than two days after.
    pub far: u64,
    /// The least that a day is after that of its time, in days.
    pub least: i64,
    /// The most.
    pub most: i64,
    /// The first such row, one that is far where there is any.
    pub example: String,
}

/// Rows, or elements of lists, that a filter leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PassedOver {
    /// `where`, or `other` for types that are ignored.
    pub by: &'static str,
    /// Its column.
    pub column: String,
    /// Whether they are elements.
    pub of_elements: bool,
    /// How many it leaves out.
    pub rows: u64,
    /// How many it lets through.
    pub left: u64,
}

/// Rows that are bad for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Bad {
    /// The reason.
    pub reason: &'static str,
    /// The same in words.
    pub problem: &'static str,
    /// How many.
    pub rows: u64,
    /// The file of the first one, where the source is made of files.
    #[serde(serialize_with = "as_text::option")]
    pub file: Option<PathBuf>,
    /// Its line in a text file, else its row, where that is known.
    pub row: Option<u64>,
    /// Whether that is a line.
    pub is_line: bool,
    /// The column at fault.
    pub column: String,
    /// What it holds; `null` where it holds nothing.
    pub value: String,
}

/// How often a type is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TypeRows {
    /// The type.
    #[serde(rename = "type")]
    pub name: String,
    /// How many actions are of it.
    pub actions: u64,
}

/// The times of a table, also those of bad rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Times {
    /// The first.
    pub first: String,
    /// The one in the middle.
    pub median: String,
    /// The last.
    pub last: String,
}

/// A label, what is kept of a sample, or a feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KeptValue {
    /// Its name.
    pub name: String,
    /// `label`, `keep` or `feature`.
    pub role: &'static str,
    /// The least; of hashes nothing.
    pub least: Option<Value>,
    /// The most; of hashes nothing.
    pub most: Option<Value>,
    /// Of bools how many are true.
    pub positives: Option<u64>,
}

/// The nulls of a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MissingValues {
    /// `time`, or the name of what is kept.
    pub name: String,
    /// How many there are.
    pub nulls: u64,
    /// Of so many values.
    pub of: u64,
    /// What stands for them; nothing for times, where a null is older than all others.
    pub read_as: Option<f64>,
}

/// A sample or an action as it is understood.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FirstRow {
    /// Its file, where the source is made of files.
    #[serde(serialize_with = "as_text::option")]
    pub file: Option<PathBuf>,
    /// Its line or row, where that is known.
    pub row: Option<u64>,
    /// Its day.
    pub day: String,
    /// Its customer.
    pub customer: i64,
    /// Its item.
    pub item: i64,
    /// Of an action its type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its time; nothing where it is null or the table has none that builds read.
    pub time: Option<String>,
    /// Of a sample its request, where requests have ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<i64>,
    /// Its labels, what is kept of it, or its features, by name.
    pub values: Map<String, Value>,
}

/// The customers of samples and those of actions, as far as they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Customers {
    /// Those of samples.
    pub of_samples: u64,
    /// Those of actions.
    pub of_actions: u64,
    /// Those of both.
    pub of_both: u64,
}

impl Report {
    /// What was found in tables, that of samples first.
    pub(super) fn new(found: Vec<Collected<'_>>, schema: &Schema, now: i64) -> Self {
        let customers = Customers::of(&found);
        let warnings = warnings::all(&found, customers, schema, now);
        Self { tables: found.into_iter().map(|table| table.report(schema)).collect(), customers, warnings }
    }
}

impl Customers {
    fn of(found: &[Collected<'_>]) -> Self {
        let Some((samples, actions)) = found.split_first() else {
            return Self { of_samples: 0, of_actions: 0, of_both: 0 };
        };
        let mut of_actions = rustc_hash::FxHashSet::default();
        actions.iter().for_each(|table| of_actions.extend(&table.customers));
        Self {
            of_samples: samples.customers.len() as u64,
            of_actions: of_actions.len() as u64,
            of_both: samples.customers.intersection(&of_actions).count() as u64,
        }
    }
}

/// A time in RFC 3339, without a fraction where it is of whole seconds.
pub(super) fn time_text(micros: i64) -> String {
    format_time(micros).replace(".000000Z", "Z")
}
