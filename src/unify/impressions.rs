//! Impressions as the samples of the requested days, and the customers that these days concern.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::{IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use super::columns::{Cell, Cells, Days, Reader};
use super::reject::{Fault, Reject, Rejects, day_value, id_value, key_fault, label_value, valid_day};
use super::slates::Slates;
use super::{IMPRESSIONS, Progress, read_all};
use crate::config::Plan;
use crate::error::{Error, Reason, Result};
use crate::event::{Day, ItemId, Sample, customer_hash};
use crate::read::{Chunk, Source};

/// The samples of all requested days.
#[derive(Debug)]
pub struct Impressions<I> {
    /// One entry for each day of the plan, in its order.
    pub days: Vec<DaySamples<I>>,
    /// For each day of the plan the valid rows of the table.
    pub rows: Vec<u64>,
    /// The rows that were left out, in no order.
    pub rejects: Vec<Reject>,
    /// The customers of all the days.
    pub customers: Customers,
    /// The first and the last day that the table has, requested or not, as far as it was read.
    pub first_and_last: Option<(Day, Day)>,
}

/// The samples of one day in canonical order: by customer hash, then item, then label, false first.
#[derive(Debug)]
pub struct DaySamples<I> {
    /// The samples.
    pub samples: Vec<Sample<I>>,
    /// For each distinct customer its place among [`Customers`]; ascending.
    pub customers: Vec<u32>,
    /// For each distinct customer where its samples end; they begin where those of the one before end.
    pub ends: Vec<usize>,
}

impl<I> DaySamples<I> {
    /// The samples of the day's customer number `place`.
    #[must_use]
    pub fn samples_of(&self, place: usize) -> Range<usize> {
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        start..self.ends.get(place).copied().unwrap_or(start)
    }
}

/// The customers that the requested days concern, numbered in the order of [`customer_hash`].
#[derive(Debug)]
pub struct Customers {
    places: FxHashMap<i64, u32>,
}

impl Customers {
    /// The place of a customer, or `None` where no requested day concerns it.
    #[must_use]
    pub fn place(&self, customer: i64) -> Option<u32> {
        self.places.get(&customer).copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        // As many as were numbered with 32 bits.
        self.places.len() as u32
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn new<I: ItemId>(days: &[Vec<Sample<I>>]) -> Result<Self> {
        let mut customers: Vec<i64> = days
            .into_par_iter()
            .flat_map_iter(|samples| {
                let mut customers: Vec<i64> = samples.iter().map(|sample| sample.customer).collect();
                customers.dedup();
                customers
            })
            .collect();
        customers.par_sort_unstable_by_key(|&customer| customer_hash(customer));
        customers.dedup();
        let limit = u64::from(u32::MAX);
        if customers.len() as u64 > limit {
            return Err(Error::TooMany { what: "customers with impressions", count: customers.len() as u64, limit });
        }
        Ok(Self { places: (0u32..).zip(customers).map(|(place, customer)| (customer, place)).collect() })
    }
}

/// Reads the impressions of the plan's days.
///
/// # Errors
/// Whatever the source or `progress` returns, and [`Error::BadRow`] where bad rows are not to be left out.
pub fn read_impressions<I: ItemId>(
    source: &dyn Source,
    plan: &Plan,
    progress: &Progress<'_>,
) -> Result<Impressions<I>> {
    let rejects = Rejects::new(plan.options().invalid);
    let found = Mutex::new(Found::new(plan));
    read_all(source, &|chunk| {
        let found_here = read_chunk(&chunk, plan, &rejects)?;
        found.lock().unwrap_or_else(PoisonError::into_inner).merge(found_here);
        progress(chunk.bytes)
    })?;
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut days = found.samples;
    days.iter_mut().for_each(|samples| {
        samples.par_sort_unstable_by_key(|sample| (customer_hash(sample.customer), sample.item, sample.is_order));
    });
    let customers = Customers::new(&days)?;
    Ok(Impressions {
        days: days.into_par_iter().map(|samples| group(samples, &customers)).collect(),
        rows: found.rows,
        rejects: rejects.into_inner(),
        customers,
        first_and_last: found.first_and_last,
    })
}

fn group<I>(samples: Vec<Sample<I>>, customers: &Customers) -> DaySamples<I> {
    let mut day = DaySamples { customers: Vec::new(), ends: Vec::new(), samples };
    let mut end = 0;
    for of_one in day.samples.chunk_by(|a, b| a.customer == b.customer) {
        end += of_one.len();
        day.customers.extend(of_one.first().and_then(|sample| customers.place(sample.customer)));
        day.ends.push(end);
    }
    day
}

/// What a part of the table holds.
struct Found<I> {
    samples: Vec<Vec<Sample<I>>>,
    rows: Vec<u64>,
    first_and_last: Option<(Day, Day)>,
}

impl<I> Found<I> {
    fn new(plan: &Plan) -> Self {
        let days = plan.days().len();
        Self { samples: (0..days).map(|_| Vec::new()).collect(), rows: vec![0; days], first_and_last: None }
    }

    fn see(&mut self, first: Day, last: Day) {
        let (known_first, known_last) = self.first_and_last.unwrap_or((first, last));
        self.first_and_last = Some((known_first.min(first), known_last.max(last)));
    }

    fn merge(&mut self, other: Self) {
        for (samples, more) in self.samples.iter_mut().zip(other.samples) {
            samples.extend(more);
        }
        for (rows, more) in self.rows.iter_mut().zip(other.rows) {
            *rows += more;
        }
        if let Some((first, last)) = other.first_and_last {
            self.see(first, last);
        }
    }
}

fn read_chunk<I: ItemId>(chunk: &Chunk, plan: &Plan, rejects: &Rejects) -> Result<Found<I>> {
    let reader = Reader::new(IMPRESSIONS, chunk);
    let table = Table::new(&reader)?;
    let mut found = Found::new(plan);
    for row in 0..chunk.batch.num_rows() {
        let (day, customer) = (table.days.get(row), table.customers.get(row));
        let key_text = |column: &str| if column == "dt" { table.days.text(row) } else { table.customers.text(row) };
        let fault = key_fault("dt", day, customer, key_text);
        let (Some(day_of_row), Cell::Value(customer), None) = (valid_day(day), customer, &fault) else {
            if let Some(fault) = fault {
                rejects.add(&reader, row, day, fault, || table.row_contents(row))?;
            }
            continue;
        };
        found.see(day_of_row, day_of_row);
        let wanted = plan.day_index(day_of_row);
        let mut whole = true;
        for element in table.elements(row) {
            match table.sample(element) {
                Ok((item, is_order)) => {
                    if let Some(samples) = wanted.and_then(|day| found.samples.get_mut(day)) {
                        samples.push(Sample { customer, item, is_order });
                    }
                }
                Err(fault) => {
                    whole = table.slates.is_some();
                    rejects.add(&reader, row, day, fault, || table.element_contents(row, element))?;
                }
            }
        }
        if let Some(rows) = wanted.filter(|_| whole).and_then(|day| found.rows.get_mut(day)) {
            *rows += 1;
        }
    }
    Ok(found)
}

/// The columns of a chunk: a list of items in each row, or an item in each row.
struct Table {
    days: Days,
    customers: Cells,
    slates: Option<Slates>,
    flat: Option<(Cells, Cells)>,
}

impl Table {
    fn new(reader: &Reader<'_>) -> Result<Self> {
        let slates = reader.has("impressions").then(|| Slates::read(reader, "impressions")).transpose()?;
        let flat = match slates {
            Some(_) => None,
            None => Some((reader.ids("item_id")?, reader.labels("is_order")?)),
        };
        Ok(Self { days: reader.days("dt")?, customers: reader.ids("customer_id")?, slates, flat })
    }

    fn elements(&self, row: usize) -> Range<usize> {
        match &self.slates {
            Some(slates) => slates.ranges.get(row).map_or(0..0, |&(start, end)| start..end),
            None => row..row + 1,
        }
    }

    fn cells(&self, element: usize) -> (Cell, Cell) {
        match (&self.slates, &self.flat) {
            (Some(slates), _) => (slates.item(element), slates.label(element)),
            (None, Some((items, labels))) => (items.get(element), labels.get(element)),
            (None, None) => (Cell::Null, Cell::Null),
        }
    }

    fn item_text(&self, element: usize) -> Option<String> {
        match (&self.slates, &self.flat) {
            (Some(slates), _) => slates.item_text(element),
            (None, flat) => flat.as_ref().and_then(|(items, _)| items.text(element)),
        }
    }

    /// The item and label of an element, checked.
    fn sample<I: ItemId>(&self, element: usize) -> Result<(I, bool), Fault> {
        let prefix = if self.slates.is_some() { "impressions." } else { "" };
        let fault = |reason, column: &str, value| Fault { reason, column: format!("{prefix}{column}"), value };
        let (item, label) = self.cells(element);
        let item = match item {
            Cell::Null => return Err(fault(Reason::NullItem, "item_id", None)),
            Cell::Bad => Err(()),
            Cell::Value(item) => I::try_from(item).map_err(|_| ()),
        };
        let item = item.map_err(|()| fault(Reason::ItemOutOfRange, "item_id", self.item_text(element)))?;
        match label {
            Cell::Value(label) => Ok((item, label != 0)),
            Cell::Null | Cell::Bad => Err(fault(Reason::NullLabel, "is_order", None)),
        }
    }

    fn key_contents(&self, row: usize) -> Map<String, Value> {
        Map::from_iter([
            ("dt".to_owned(), day_value(self.days.get(row), self.days.text(row))),
            ("customer_id".to_owned(), id_value(self.customers.get(row), self.customers.text(row))),
        ])
    }

    fn item_contents(&self, element: usize) -> Map<String, Value> {
        let (item, label) = self.cells(element);
        Map::from_iter([
            ("item_id".to_owned(), id_value(item, self.item_text(element))),
            ("is_order".to_owned(), label_value(label)),
        ])
    }

    fn element_contents(&self, row: usize, element: usize) -> Map<String, Value> {
        let mut contents = self.key_contents(row);
        contents.extend(self.item_contents(element));
        contents
    }

    fn row_contents(&self, row: usize) -> Map<String, Value> {
        if self.slates.is_none() {
            return self.element_contents(row, row);
        }
        let mut contents = self.key_contents(row);
        let items: Vec<_> = self.elements(row).map(|element| self.item_contents(element)).collect();
        contents.insert("impressions".to_owned(), json!(items));
        contents
    }
}
