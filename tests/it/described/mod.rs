//! The contract for any description, computed in the most obvious way: for each sample, look at every action.
//!
//! Takes a description as data, and its tables as rows of JSON, which is what a person reads in CSV, JSON or Parquet. Shares with
//! the library what a `Schema` and a `Day` are, and nothing else; slow on purpose.
//!
//! ```text
//! rows ──► rows.rs: lists, splits, `where` ──► values.rs, times.rs: ids, numbers, times, days ──► here: who sees what, in which order
//! ```

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

use serde_json::Value;
use shardback::event::Day;
use shardback::schema::{Cutoff, Ids, Kept, Schema};

pub(crate) mod built;
mod by_hand;
mod cluster;
mod engine;
pub(crate) mod files;
mod generated;
mod rows;
pub(crate) mod strategies;
mod times;
mod values;

use crate::reference::{equal_times, hash};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The rows of one file, and where it lies below its table.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    /// As `dt=2025-08-15/part-0.parquet`; days may be in it.
    pub(crate) path: String,
    pub(crate) rows: Vec<Value>,
}

/// A file of rows in no folder.
impl From<Vec<Value>> for File {
    fn from(rows: Vec<Value>) -> Self {
        Self { path: "part-0".to_owned(), rows }
    }
}

/// The tables of a description.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub(crate) samples: Vec<File>,
    /// In the order of the description.
    pub(crate) actions: Vec<Vec<File>>,
}

/// A value of a label, of a kept column or of a feature, in the type that it has in the outputs. A hash is an `I64`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Bool(bool),
    U8(u8),
    I32(i32),
    I64(i64),
    F32(f32),
    F64(f64),
}

/// By value; floats in the total order of IEEE 754, where every NaN is the same one.
impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |number: &Self| match *number {
            Self::Bool(value) => (i64::from(value), 0.0),
            Self::U8(value) => (i64::from(value), 0.0),
            Self::I32(value) => (i64::from(value), 0.0),
            Self::I64(value) => (value, 0.0),
            Self::F32(value) if value.is_nan() => (0, f64::NAN),
            Self::F32(value) => (0, f64::from(value)),
            Self::F64(value) if value.is_nan() => (0, f64::NAN),
            Self::F64(value) => (0, value),
        };
        let ((a, x), (b, y)) = (key(self), key(other));
        a.cmp(&b).then_with(|| x.total_cmp(&y))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

/// An action of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) item: i64,
    pub(crate) kind: u8,
    /// Microseconds since the epoch; `None` is a null, which only a cut-off at the day lets through.
    pub(crate) time: Option<i64>,
    /// In the order of [`feature_columns`].
    pub(crate) features: Vec<Number>,
}

/// What one item that was shown becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) item: i64,
    pub(crate) labels: Vec<Number>,
    pub(crate) kept: Vec<Number>,
}

/// What samples share: who, until when, and what is seen, newest first and without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) customer: i64,
    /// Where the cut-off is the time.
    pub(crate) time: Option<i64>,
    /// Where the description has one.
    pub(crate) id: Option<i64>,
    pub(crate) history: Vec<Seen>,
    pub(crate) samples: Vec<Sample>,
}

/// A row that is left out, or one of its elements: table, file and row, each from 0; the table of samples is 0.
pub(crate) type BadRow = (usize, usize, usize);

/// A sample before it is put into its request.
#[derive(Clone, Debug)]
struct Shown {
    day: Day,
    customer: i64,
    time: Option<i64>,
    request: Option<i64>,
    /// Its place in its list.
    place: usize,
    sample: Sample,
}

/// An action of anybody.
#[derive(Clone, Debug)]
struct Done {
    day: Day,
    customer: i64,
    action: Seen,
}

/// The features of actions that the outputs have: those of all tables, in the order in which the description names them first.
pub(crate) fn feature_columns(schema: &Schema) -> Vec<Kept> {
    let mut columns: Vec<Kept> = Vec::new();
    for feature in schema.actions.iter().flat_map(|table| &table.features) {
        if columns.iter().all(|known| known.name != feature.name) {
            columns.push(feature.clone());
        }
    }
    columns
}

/// Whether ids of items take 64 bits: where they are hashed or unsigned, and where that is asked for.
pub(crate) fn has_wide_items(schema: &Schema, asked: bool) -> bool {
    asked || schema.item_ids != Ids::Int
}

/// The requests of a day in canonical order; bad rows are left out.
pub(crate) fn day(schema: &Schema, tables: &Tables, day: Day, wide: bool) -> Vec<Request> {
    let mut bad = BTreeSet::new();
    let shown = rows::samples(schema, &tables.samples, wide, &mut bad);
    let done = all_actions(schema, tables, wide, &mut bad);
    let mut requests: Vec<(Request, Vec<Shown>)> = Vec::new();
    for shown in shown.into_iter().filter(|shown| shown.day == day) {
        let time = shown.time.filter(|_| schema.history.cutoff == Cutoff::Time);
        let known = requests
            .iter_mut()
            .find(|(request, _)| (request.customer, request.time, request.id) == (shown.customer, time, shown.request));
        if let Some((_, members)) = known {
            members.push(shown);
            continue;
        }
        let history = history(schema, &done, shown.customer, day, time);
        let request = Request { customer: shown.customer, time, id: shown.request, history, samples: Vec::new() };
        requests.push((request, vec![shown]));
    }
    requests.sort_by_key(|(request, _)| (hash(request.customer), request.time, request.id));
    let has_position = schema.samples.kept.iter().any(|kept| kept.column == shardback::schema::POSITION);
    let ordered = requests.into_iter().map(|(mut request, mut members)| {
        members.sort_by_key(|Shown { place, sample, .. }| {
            (has_position.then_some(*place), sample.item, sample.labels.clone(), sample.kept.clone())
        });
        request.samples = members.into_iter().map(|shown| shown.sample).collect();
        request
    });
    ordered.collect()
}

/// The rows that are bad, whatever their day.
pub(crate) fn bad_rows(schema: &Schema, tables: &Tables, wide: bool) -> BTreeSet<BadRow> {
    let mut bad = BTreeSet::new();
    rows::samples(schema, &tables.samples, wide, &mut bad);
    all_actions(schema, tables, wide, &mut bad);
    bad
}

fn all_actions(schema: &Schema, tables: &Tables, wide: bool, bad: &mut BTreeSet<BadRow>) -> Vec<Done> {
    assert_eq!(schema.actions.len(), tables.actions.len(), "each table of actions has its files");
    let mut done = Vec::new();
    for (number, files) in tables.actions.iter().enumerate() {
        done.extend(rows::actions(schema, number, files, wide, bad));
    }
    done
}

/// What a customer's request sees: of a day, or of a moment of it.
fn history(schema: &Schema, done: &[Done], customer: i64, day: Day, time: Option<i64>) -> Vec<Seen> {
    let sees = |done: &Done| match time {
        Some(moment) => sees_at(schema, done, day, moment),
        None => sees_on(schema, done, day),
    };
    let mut seen: Vec<&Done> = done.iter().filter(|done| done.customer == customer && sees(done)).collect();
    // `None` sorts before every time, so it is the oldest.
    seen.sort_by_key(|Done { day, action, .. }| {
        let tie = equal_times(action.item, customer, action.time.unwrap_or(0));
        (
            (Reverse(action.time), tie, Reverse(action.item), Reverse(action.kind)),
            (Reverse(*day), action.features.clone()),
        )
    });
    seen.truncate(schema.history.length);
    seen.into_iter().map(|done| done.action.clone()).collect()
}

/// `cutoff = "day"`: the days before the sample's, as many as it looks back.
fn sees_on(schema: &Schema, done: &Done, day: Day) -> bool {
    let lookback = schema.history.lookback_micros.map(|micros| micros / MICROS_PER_DAY);
    let first = lookback.map(|days| i64::from(day.0) - days);
    done.day < day && first.is_none_or(|first| i64::from(done.day.0) >= first)
}

/// `cutoff = "time"`: what happened before the moment, with its delay, and was known on its day.
fn sees_at(schema: &Schema, done: &Done, day: Day, moment: i64) -> bool {
    let Some(time) = done.action.time else { return false };
    let (time, moment) = (i128::from(time), i128::from(moment));
    let first = schema.history.lookback_micros.map(|micros| moment - i128::from(micros));
    time + i128::from(schema.history.delay_micros) < moment
        && done.day <= day
        && first.is_none_or(|first| time >= first)
}
