//! What every format's rows must hold, and what is counted of them.

use std::ops::{AddAssign, Range};

use crate::error::{Invariant, Result};
use crate::event::{PADDING, customer_hash, shard_of};
use crate::layout::Header;
use crate::manifest::{length_range_index, length_ranges};
use crate::pack::{Dtype, Packing};
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
    /// By the number of their type; those of no type are faults and not counted.
    pub(super) actions: [u64; 1 << u8::BITS],
    /// By range, as in [`length_ranges`].
    pub(super) history_lengths: Vec<u64>,
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
    }
}

/// Who saw what in a row.
pub(super) struct Sample {
    pub(super) customer: i64,
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
    shard: &'a Header,
    types: &'a ActionTypes,
    pub(super) findings: Findings,
    pub(super) tally: Tally,
    packing: Packing,
    /// Where the position lies in a packed row; nowhere where it is not kept.
    position: Range<usize>,
    /// What orders the row before.
    before: Option<Key>,
    /// Its memory, used again.
    spare: Vec<u8>,
}

/// What a row is ordered by.
struct Key {
    hash: u64,
    request: Option<i64>,
    item: i64,
    packed: Vec<u8>,
}

impl Key {
    fn order<'a>(&'a self, position: &Range<usize>) -> impl Ord + 'a {
        (self.hash, self.request, self.packed.get(position.clone()), self.item, self.packed.as_slice())
    }
}

impl<'a> Rows<'a> {
    pub(super) fn new(shard: &'a Header, types: &'a ActionTypes) -> Self {
        let packing = shard.contents.column_packing();
        Self {
            shard,
            types,
            findings: Findings::default(),
            tally: Tally::new(shard.history, &shard.contents),
            position: shard.contents.position.map_or(0..0, |kept| packing.range(shard.contents.labels.len() + kept)),
            packing,
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
        let Sample { customer, request, item } = sample;
        let row = self.tally.samples;
        let hash = customer_hash(customer);
        self.labels(columns, place)?;
        let mut packed = std::mem::take(&mut self.spare);
        packed.clear();
        self.packing.pack_columns(columns, place, &mut packed)?;
        let now = Key { hash, request, item, packed };
        let first = self.before.as_ref().is_none_or(|before| before.hash != hash);
        if self.before.as_ref().is_some_and(|before| before.order(&self.position) > now.order(&self.position)) {
            self.findings.add("order", || {
                let inner = if self.position.is_empty() { "item, then the columns" } else { "position, then item" };
                let request = if request.is_some() { "request, then " } else { "" };
                format!("row {row}: out of order: rows ascend by customer hash, then {request}{inner}")
            });
        }
        let first_of_request = first || self.before.as_ref().is_some_and(|before| before.request != request);
        self.tally.requests += u64::from(first_of_request);
        if first {
            self.tally.customers += 1;
            let shard = shard_of(hash, self.shard.shards);
            if shard != self.shard.shard {
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
        let fields = self.shard.contents.of_samples().zip(columns).enumerate();
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
        u8::try_from(kind).ok().filter(|&number| self.types.name(number).is_some())
    }

    /// Counts the history of a customer.
    pub(super) fn history(&mut self, length: u64) {
        self.tally.customers_without_history += u64::from(length == 0);
        if let Some(count) = self.tally.history_lengths.get_mut(length_range_index(length)) {
            *count += 1;
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

    /// Looks at the padded history of the row that [`Rows::sample`] has just seen; `columns` are the other ones, each with K values.
    pub(super) fn check(&mut self, rows: &mut Rows<'_>, seen: Seen, items: &[I], types: &[T], columns: &[&[u8]]) {
        let row = rows.tally.samples.saturating_sub(1);
        let is_same = items == self.items && types == self.types && columns == self.columns;
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
                None => rows
                    .findings
                    .add("type", || format!("row {row}: `action_types` {place} is {kind}, which is no type of action")),
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
