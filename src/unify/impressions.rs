//! Impressions as the samples of the requested days, and the customers that these days concern.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::columns::Reader;
use super::reject::{Fault, Reject, Rejects};
use super::roles::Roles;
use super::spilled::SpilledRejects;
use super::table::{PlainColumn, TableChunk};
use super::walk::At;
use super::{Progress, Sink, read_all};
use crate::config::Plan;
use crate::error::{Error, Result};
use crate::event::{Day, ItemId, Sample, TimeSpan};
use crate::fsio::SpillFolder;
use crate::pack::{self, Dtype, Packed};
use crate::read::{Chunk, Projection, Source};

/// What the impressions table holds beside its samples.
#[derive(Debug, Serialize, Deserialize)]
pub struct Impressions {
    /// For each day of the plan the valid rows of the table.
    pub rows: Vec<u64>,
    /// For each day of the plan its samples.
    pub samples: Vec<u64>,
    /// For each day of the plan the times of its requests, where they are cut-offs; nothing of a day without any.
    pub spans: Vec<Option<TimeSpan>>,
    /// About when its requests are, where they have times.
    pub clock: Clock,
    /// The rows that were left out, in no order; none where they were spilled.
    pub rejects: Vec<Reject>,
    /// The rows that were left out where they are too many for memory.
    #[serde(skip)]
    pub spilled: Option<Arc<SpilledRejects>>,
    /// How many rows were left out that a task of a cluster has sent on already.
    pub sent: u64,
    /// The first and the last day that the table has, requested or not, as far as it was read.
    pub first_and_last: Option<(Day, Day)>,
    /// The rows in text formats, whatever their day.
    pub lines: u64,
    /// Those of them that have neither an item nor a list of items.
    pub shows_nothing: u64,
}

impl Impressions {
    /// What a table without any row holds.
    #[must_use]
    pub fn none(plan: &Plan) -> Self {
        let days = plan.days().len();
        Self {
            rows: vec![0; days],
            samples: vec![0; days],
            spans: vec![None; days],
            clock: Clock::default(),
            rejects: Vec::new(),
            spilled: None,
            sent: 0,
            first_and_last: None,
            lines: 0,
            shows_nothing: 0,
        }
    }

    /// The number of rows that were left out.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        let spilled = self.spilled.as_ref().map_or(0, |spilled| spilled.counts().map(|(.., count)| count).sum());
        self.rejects.len() as u64 + spilled + self.sent
    }

    /// Adds what another part of the table holds, read for the same plan.
    ///
    /// # Errors
    /// [`Error::Internal`] where it was read for other days.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        let days = |found: &Self| (found.rows.len(), found.samples.len(), found.spans.len());
        if days(self) != days(&other) {
            return Err(Error::internal("parts of a table are read for the same days"));
        }
        let add = |sums: &mut Vec<u64>, more: &[u64]| sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        add(&mut self.rows, &other.rows);
        add(&mut self.samples, &other.samples);
        let spans = self.spans.iter_mut().zip(other.spans);
        spans.for_each(|(span, other)| other.into_iter().for_each(|other| TimeSpan::widen(span, other)));
        self.clock.merge(&other.clock);
        self.rejects.extend(other.rejects);
        self.sent += other.sent;
        self.lines += other.lines;
        self.shows_nothing += other.shows_nothing;
        if let Some((first, last)) = other.first_and_last {
            self.see(first, last);
        }
        Ok(())
    }

    fn see(&mut self, first: Day, last: Day) {
        let (known_first, known_last) = self.first_and_last.unwrap_or((first, last));
        self.first_and_last = Some((known_first.min(first), known_last.max(last)));
    }

    /// Takes note of the time of a request of the plan's day number `day`.
    fn see_time(&mut self, day: usize, time: i64) {
        TimeSpan::widen(&mut self.spans[day], TimeSpan { first: time, last: time });
        self.clock.see(std::iter::once(time));
    }

    /// Refuses lines of JSON that mostly show nothing: as a line may lack any key, that is how keys of other names look.
    fn refuse_nothing(&self, wanted: &Projection) -> Result<()> {
        let (rows, of) = (self.shows_nothing, self.lines);
        if rows <= of / 2 {
            return Ok(());
        }
        Err(Error::NothingShown { table: wanted.table.clone(), rows, of, keys: wanted.keys_of_items() })
    }

    /// Refuses days without any sample, unless the plan allows them.
    ///
    /// # Errors
    /// [`Error::EmptyDay`] names the first.
    pub fn refuse_empty_days(&self, plan: &Plan) -> Result<()> {
        match self.samples.iter().position(|&samples| samples == 0) {
            Some(index) if !plan.options().allow_empty_days => Err(Error::EmptyDay {
                day: plan.days()[index].to_string(),
                rows: self.rows[index],
                first_and_last: self.first_and_last.map(|(first, last)| (first.to_string(), last.to_string())),
            }),
            _ => Ok(()),
        }
    }
}

/// Reads the impressions of the plan's days; `sink` takes the samples, in no order. Rows that are left out go to `folder`, where
/// there is one and they are many.
///
/// # Errors
/// Whatever the source, `sink` or `progress` returns, and [`Error::BadRow`] where bad rows
/// are not to be left out.
pub fn read_impressions<I: ItemId>(
    source: &dyn Source,
    plan: &Plan,
    sink: &Sink<'_, Sample<I>>,
    folder: Option<&SpillFolder>,
    progress: &Progress<'_>,
) -> Result<Impressions> {
    let rejects = Rejects::new(plan.options().invalid, folder);
    let found = Mutex::new(Impressions::none(plan));
    let roles = Roles::of_samples(plan)?;
    read_all(source, &|chunk| {
        let (shown, found_here) = read_chunk(&chunk, plan, &roles, &rejects)?;
        found.lock().unwrap_or_else(PoisonError::into_inner).merge(found_here)?;
        sink(Packed::new(&shown.samples, &shown.columns, roles.packing.width())?)?;
        progress(chunk.bytes)
    })?;
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.refuse_nothing(&roles.wanted)?;
    let (rejects, spilled) = rejects.finish()?;
    Ok(Impressions { rejects, spilled, ..found })
}

/// What a chunk holds: samples, and the packed columns of each, one after the other.
struct SampleChunk<I: ItemId> {
    samples: Vec<Sample<I>>,
    columns: Vec<u8>,
}

fn read_chunk<I: ItemId>(
    chunk: &Chunk,
    plan: &Plan,
    roles: &Roles<'_>,
    rejects: &Rejects<'_>,
) -> Result<(SampleChunk<I>, Impressions)> {
    let reader = Reader::new(roles.table, chunk);
    let mut found = Impressions::none(plan);
    let mut shown = SampleChunk { samples: Vec::new(), columns: Vec::new() };
    if chunk.origin.text {
        found.lines = chunk.batch.num_rows() as u64;
        found.shows_nothing = chunk.bare;
    }
    let table = TableChunk::new(&reader, chunk, roles)?;
    match Plain::new::<I>(&table) {
        Some(plain) => plain.read(plan, &mut shown, &mut found)?,
        None => read_rows(&table, &reader, plan, rejects, &mut shown, &mut found)?,
    }
    Ok((shown, found))
}

/// Reads a chunk row by row, each checked.
fn read_rows<I: ItemId>(
    table: &TableChunk<'_>,
    reader: &Reader<'_>,
    plan: &Plan,
    rejects: &Rejects<'_>,
    shown: &mut SampleChunk<I>,
    found: &mut Impressions,
) -> Result<()> {
    let mut values = Vec::new();
    for row in 0..table.walk.rows {
        let place = table.walk.place(row);
        let (day, customer) = match table.key(row) {
            Ok(key) => key,
            Err(fault) => {
                rejects.add(reader, place, table.day_cell(At::row(row)), fault, || table.row_contents(row))?;
                continue;
            }
        };
        let mut row_day = day;
        let mut whole = true;
        if let Some(day) = day {
            found.see(day, day);
        }
        for element in table.walk.elements(row) {
            let at = At { row, element };
            match sample::<I>(table, at, day, customer, &mut values) {
                Ok((day, customer, item)) => {
                    found.see(day, day);
                    row_day = row_day.or(Some(day));
                    if let Some(day) = plan.day_index(day) {
                        // A plan has fewer days than 32 bits count.
                        shown.samples.push(Sample::new(day as u32, customer, item));
                        table.roles.packing.pack(&values, &mut shown.columns)?;
                        found.samples[day] += 1;
                        if let (true, Some(&pack::Value::Integer(time))) =
                            (table.roles.has_request_times, values.first())
                        {
                            found.see_time(day, time);
                        }
                    }
                }
                Err(fault) => {
                    whole = table.walk.lists.is_some() && !table.walk.is_flat(element);
                    rejects.add(reader, place, table.day_cell(at), fault, || table.contents(at))?;
                }
            }
        }
        let wanted = row_day.filter(|_| whole).and_then(|day| plan.day_index(day));
        if let Some(rows) = wanted.and_then(|day| found.rows.get_mut(day)) {
            *rows += 1;
        }
    }
    Ok(())
}

/// Day, customer and item of an element, checked, and its other columns.
pub(super) fn sample<I: ItemId>(
    table: &TableChunk<'_>,
    at: At,
    day: Option<Day>,
    customer: Option<i64>,
    values: &mut Vec<pack::Value>,
) -> Result<(Day, i64, I), Fault> {
    let day = day.map_or_else(|| table.day(at), Ok)?;
    let customer = customer.map_or_else(|| table.customer(at), Ok)?;
    let item = table.item(at)?;
    table.values(at, values)?;
    Ok((day, customer, item))
}

/// A chunk without any fault or null, all of one day: what nearly all chunks are, and quick to read.
struct Plain<'a> {
    table: &'a TableChunk<'a>,
    day: Day,
    customers: &'a [i64],
    items: PlainColumn<'a>,
    values: Vec<PlainColumn<'a>>,
}

impl<'a> Plain<'a> {
    /// `None` where any row lacks a value or has a fault.
    fn new<I: ItemId>(table: &'a TableChunk<'a>) -> Option<Self> {
        if table.has_keys_in_list() || table.walk.has_unequal() {
            return None;
        }
        let (customers, items) = (table.customers.cells.plain()?, table.items.plain()?);
        let fit = items.values.iter().all(|&item| I::try_from(item).is_ok());
        let day = table.day_of_all().filter(|_| fit)?;
        Some(Self { table, day, customers, items, values: table.plain_values()? })
    }

    fn read<I: ItemId>(&self, plan: &Plan, shown: &mut SampleChunk<I>, found: &mut Impressions) -> Result<()> {
        found.see(self.day, self.day);
        let Some(day) = plan.day_index(self.day) else { return Ok(()) };
        let all_fit = self.read_samples(day, &mut shown.samples);
        if !all_fit {
            return Err(Error::internal("the items of a plain chunk fit"));
        }
        self.pack(&mut shown.columns)?;
        found.rows[day] += self.customers.len() as u64;
        found.samples[day] += shown.samples.len() as u64;
        if let (true, Some(times)) = (self.table.roles.has_request_times, self.values.first()) {
            // Also of rows that show nothing: a span may be wider than it has to be.
            times.values.iter().for_each(|&time| found.see_time(day, time));
        }
        Ok(())
    }

    /// Adds the samples; whether all items fit.
    fn read_samples<I: ItemId>(&self, day: usize, samples: &mut Vec<Sample<I>>) -> bool {
        let mut all_fit = true;
        let mut sample = |customer, item: i64| {
            let item = I::try_from(item).unwrap_or_else(|_| {
                all_fit = false;
                I::zeroed()
            });
            // A plan has fewer days than 32 bits count.
            Sample::new(day as u32, customer, item)
        };
        samples.reserve(self.items.values.len());
        let walk = &self.table.walk;
        for (row, &customer) in self.customers.iter().enumerate() {
            let elements = walk.elements(row);
            if self.items.in_list {
                samples.extend(self.items.values[elements].iter().map(|&item| sample(customer, item)));
            } else {
                let item = self.items.values[row];
                samples.extend(elements.map(|_| sample(customer, item)));
            }
        }
        all_fit
    }

    /// Adds the packed columns of all samples.
    fn pack(&self, columns: &mut Vec<u8>) -> Result<()> {
        let (roles, walk) = (self.table.roles, &self.table.walk);
        let rows = || 0..self.customers.len();
        if let ([Dtype::Bool], [labels]) = (roles.packing.fields(), self.values.as_slice()) {
            // A bool is packed as it is.
            for row in rows() {
                let range = walk.elements(row);
                if labels.in_list {
                    columns.extend(labels.values[range].iter().map(|&label| u8::from(label != 0)));
                } else {
                    columns.extend(range.map(|element| u8::from(labels.get(At { row, element }) != 0)));
                }
            }
            return Ok(());
        }
        let mut values = Vec::new();
        for row in rows() {
            for element in walk.elements(row) {
                let at = At { row, element };
                values.clear();
                values.extend(self.table.packed(&self.values, at));
                roles.packing.pack(&values, columns)?;
            }
        }
        Ok(())
    }
}
