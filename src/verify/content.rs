//! What every format's rows must hold, and what is counted of them.

use std::ops::{AddAssign, Range};

use crate::config::TimeCutoff;
use crate::error::{Invariant, Result};
use crate::event::{PADDING, customer_hash, shard_of};
use crate::layout::Header;
use crate::manifest::{length_range_index, length_ranges};
use crate::pack::{self, Dtype, Packing};
use crate::schema::{ActionTypes, Contents};

/// The faults of a file: of each kind the first, and how many more there are.
#[derive(Default)]
pub(super) struct Findings(Vec<(&'static str, String, u64)>);

impl Findings {
    /// Notes a fault; `kind` tells those of one kind.
    pub(super) fn add(&mut self, kind: &'static str, problem: impl FnOnce() -> String) {
        self.add_many(kind, 1, problem);
    }

    /// Notes `count` faults, at least one, of which `problem` describes the first.
    pub(super) fn add_many(&mut self, kind: &'static str, count: u64, problem: impl FnOnce() -> String) {
        match self.0.iter_mut().find(|(known, ..)| *known == kind) {
            Some((_, _, more)) => *more += count,
            None => self.0.push((kind, problem(), count - 1)),
        }
    }

    /// The faults, in the order in which their kinds were first seen.
    pub(super) fn into_problems(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(|(_, first, more)| match more {
            0 => first,
            more => format!("{first} (and {more} more like it)"),
        })
    }
}

/// What the rows of a shard, or of a day, add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) samples: u64,
    /// Of each label that is a bool.
    pub(super) positives: Vec<u64>,
    pub(super) requests: u64,
    pub(super) customers: u64,
    pub(super) customers_without_history: u64,
    /// By the number of their type; those of no type are faults and not counted. Of no meaning where requests have times and each row
    /// its whole history: which actions are the same is not seen there.
    pub(super) actions: [u64; 1 << u8::BITS],
    /// By range, as in [`length_ranges`].
    pub(super) history_lengths: Vec<u64>,
    /// The requests of which it could be seen that the newest action is before the cut-off.
    pub(super) cutoffs: u64,
}

impl Tally {
    pub(super) fn new(history: u64, contents: &Contents) -> Self {
        Self {
            samples: 0,
            positives: vec![0; contents.labels.len()],
            requests: 0,
            customers: 0,
            customers_without_history: 0,
            actions: [0; 1 << u8::BITS],
            history_lengths: vec![0; length_ranges(history).len()],
            cutoffs: 0,
        }
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        self.samples += other.samples;
        self.positives.iter_mut().zip(&other.positives).for_each(|(sum, count)| *sum += count);
        self.requests += other.requests;
        self.customers += other.customers;
        self.customers_without_history += other.customers_without_history;
        self.actions.iter_mut().zip(other.actions).for_each(|(sum, count)| *sum += count);
        self.history_lengths.iter_mut().zip(&other.history_lengths).for_each(|(sum, count)| *sum += count);
        self.cutoffs += other.cutoffs;
    }
}

/// What a file is held against.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) header: &'a Header,
    pub(super) types: &'a ActionTypes,
    pub(super) cutoff: Option<TimeCutoff>,
}

/// Who saw what in a row.
pub(super) struct Sample {
    pub(super) customer: i64,
    /// The time of the request, where requests have any.
    pub(super) time: Option<i64>,
    /// The id of the request, where requests have any.
    pub(super) request: Option<i64>,
    pub(super) item: i64,
}

/// Where a row stands.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) first_of_customer: bool,
    pub(super) first_of_request: bool,
}

/// The rows of a shard, looked at one after the other.
pub(super) struct Rows<'a> {
    expected: Expected<'a>,
    pub(super) findings: Findings,
    pub(super) tally: Tally,
    packing: Packing,
    /// Where the position lies in a packed row; nowhere where it is not kept.
    position: Range<usize>,
    /// The longest history of the customer so far.
    longest: Option<u64>,
    /// What orders the row before.
    before: Option<Key>,
    /// Its memory, used again.
    spare: Vec<u8>,
}

/// What a row is ordered by.
struct Key {
    hash: u64,
    time: Option<i64>,
    request: Option<i64>,
    item: i64,
    packed: Vec<u8>,
}

impl Key {
    fn order<'a>(&'a self, position: &Range<usize>) -> impl Ord + 'a {
        (self.hash, self.time, self.request, self.packed.get(position.clone()), self.item, self.packed.as_slice())
    }
}

impl<'a> Rows<'a> {
    pub(super) fn new(expected: Expected<'a>) -> Self {
        let shard = expected.header;
        let packing = shard.contents.column_packing();
        Self {
            expected,
            findings: Findings::default(),
            tally: Tally::new(shard.history, &shard.contents),
            position: shard.contents.position.map_or(0..0, |kept| packing.range(shard.contents.labels.len() + kept)),
            packing,
            longest: None,
            before: None,
            spare: Vec::new(),
        }
    }

    /// Counts a row of which nothing can be known.
    pub(super) fn pass_over(&mut self) {
        self.tally.samples += 1;
    }

    /// Looks at the next row, whose values are at a place of `columns`.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) where a column is too short.
    pub(super) fn sample(&mut self, sample: Sample, columns: &[&[u8]], place: usize) -> Result<Seen> {
        let Sample { customer, time, request, item } = sample;
        let row = self.tally.samples;
        let hash = customer_hash(customer);
        self.labels(columns, place)?;
        let mut packed = std::mem::take(&mut self.spare);
        packed.clear();
        self.packing.pack_columns(columns, place, &mut packed)?;
        let now = Key { hash, time, request, item, packed };
        let first = self.before.as_ref().is_none_or(|before| before.hash != hash);
        if self.before.as_ref().is_some_and(|before| before.order(&self.position) > now.order(&self.position)) {
            self.findings.add("order", || {
                let inner = if self.position.is_empty() { "item, then the columns" } else { "position, then item" };
                let time = if time.is_some() { "request time, then " } else { "" };
                let request = if request.is_some() { "request, then " } else { "" };
                format!("row {row}: out of order: rows ascend by customer hash, then {time}{request}{inner}")
            });
        }
        let is_other = |before: &Key| (before.time, before.request) != (time, request);
        let first_of_request = first || self.before.as_ref().is_some_and(is_other);
        self.tally.requests += u64::from(first_of_request);
        if first {
            self.end_customer();
            self.tally.customers += 1;
            let shard = shard_of(hash, self.expected.header.shards);
            if shard != self.expected.header.shard {
                self.findings.add("shard", || format!("row {row}: customer {customer} belongs in shard {shard}"));
            }
        }
        self.spare = self.before.replace(now).map(|before| before.packed).unwrap_or_default();
        self.tally.samples += 1;
        Ok(Seen { first_of_customer: first, first_of_request })
    }

    /// Counts the labels of a row, and looks at all columns that can be only 0 or 1.
    fn labels(&mut self, columns: &[&[u8]], place: usize) -> Result<()> {
        let row = self.tally.samples;
        let fields = self.expected.header.contents.of_samples().zip(columns).enumerate();
        for (number, (field, column)) in fields.filter(|(_, (field, _))| field.dtype == Dtype::Bool) {
            let value = *column.get(place).invariant("columns are as long as there are rows")?;
            if value > 1 {
                self.findings.add("label", || format!("row {row}: `{}` is {value}, neither 0 nor 1", field.name));
            }
            if let Some(positives) = self.tally.positives.get_mut(number) {
                *positives += u64::from(value == 1);
            }
        }
        Ok(())
    }

    /// The number of a type of action; `None` where it is that of none.
    pub(super) fn action_type(&self, kind: i64) -> Option<u8> {
        u8::try_from(kind).ok().filter(|&number| self.expected.types.name(number).is_some())
    }

    /// Takes note of a history of a customer.
    pub(super) fn history(&mut self, length: u64) {
        self.longest = Some(self.longest.map_or(length, |longest| longest.max(length)));
    }

    /// Counts the longest history of a customer who has no more rows.
    pub(super) fn end_customer(&mut self) {
        let Some(length) = self.longest.take() else { return };
        self.tally.customers_without_history += u64::from(length == 0);
        if let Some(count) = self.tally.history_lengths.get_mut(length_range_index(length)) {
            *count += 1;
        }
    }

    /// Looks whether the newest action of a request is before its cut-off, where the times of both are there; `newest` are the bytes of
    /// that of the action.
    pub(super) fn cutoff(&mut self, time: Option<i64>, newest: &[u8]) {
        let (Some(cutoff), Some(time), Some(unit)) = (self.expected.cutoff, time, self.expected.header.contents.times)
        else {
            return;
        };
        let Some(pack::Value::Integer(newest)) = pack::read(unit.dtype(), newest) else { return };
        // Rounded down to its unit, it is no later than the action.
        let newest = newest.saturating_mul(unit.micros());
        let (_, before) = cutoff.bounds(time);
        self.tally.cutoffs += 1;
        if newest >= before {
            let row = self.tally.samples.saturating_sub(1);
            self.findings.add("cutoff", || {
                format!("row {row}: its newest action is at {newest}, not before its cut-off, {before}")
            });
        }
    }
}

/// The padded row of a customer, against which the customer's further rows are compared.
pub(super) struct PaddedRow<I, T> {
    items: Vec<I>,
    types: Vec<T>,
    columns: Vec<Vec<u8>>,
}

impl<I: Copy + PartialEq + Into<i64>, T: Copy + PartialEq + Into<i64>> PaddedRow<I, T> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), types: Vec::new(), columns: Vec::new() }
    }

    /// Looks at the padded history of the row that [`Rows::sample`] has just seen, whose request has this time; `columns` are the other
    /// ones, each with K values.
    pub(super) fn check(
        &mut self,
        rows: &mut Rows<'_>,
        (seen, time): (Seen, Option<i64>),
        items: &[I],
        types: &[T],
        columns: &[&[u8]],
    ) {
        let row = rows.tally.samples.saturating_sub(1);
        let is_same = items == self.items && types == self.types && columns == self.columns;
        let is_empty = types.first().is_none_or(|&kind| kind.into() == i64::from(PADDING));
        if let Some(times) = columns.first().filter(|_| seen.first_of_request && !is_empty) {
            rows.cutoff(time, times.get(..times.len() / types.len()).unwrap_or_default());
        }
        if !seen.first_of_customer && is_same {
            return;
        }
        if !seen.first_of_request {
            rows.findings.add("same", || format!("row {row}: its customer has another history in the row before"));
        }
        let padding = i64::from(PADDING);
        let length = types.iter().position(|&kind| kind.into() == padding).unwrap_or(types.len());
        let (history, pad) = types.split_at(length);
        let mut counts = [0; 1 << u8::BITS];
        for (place, &kind) in history.iter().enumerate() {
            let kind = kind.into();
            match rows.action_type(kind) {
                Some(kind) => counts[usize::from(kind)] += 1,
                None => rows.findings.add("type", || {
                    format!("row {row}: `action_types` {place} is {kind}, which is not a type of action")
                }),
            }
        }
        if let Some(place) = pad.iter().position(|&kind| kind.into() != padding) {
            rows.findings.add("pad type", || {
                format!("row {row}: `action_types` {} is not 0 behind padding at {length}", length + place)
            });
        }
        let pad = items.get(length..).unwrap_or_default();
        if let Some(place) = pad.iter().position(|&item| item.into() != 0) {
            rows.findings
                .add("pad item", || format!("row {row}: `actions` {} is not 0 in the padding", length + place));
        }
        for column in columns {
            // They are as long as the types, of values of one width.
            let start = length * (column.len() / types.len().max(1));
            if column.get(start..).unwrap_or_default().iter().any(|&byte| byte != 0) {
                rows.findings.add("pad column", || format!("row {row}: a column of actions is not 0 in the padding"));
            }
        }
        if seen.first_of_request {
            rows.history(length as u64);
            rows.tally.actions.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        self.items.clear();
        self.items.extend_from_slice(items);
        self.types.clear();
        self.types.extend_from_slice(types);
        self.columns.resize(columns.len(), Vec::new());
        for (kept, column) in self.columns.iter_mut().zip(columns) {
            kept.clear();
            kept.extend_from_slice(column);
        }
    }
}
