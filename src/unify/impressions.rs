//! Impressions as the samples of the requested days, and the customers that these days concern.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::Array;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::columns::{Cell, Cells, Reader};
use super::days::Days;
use super::reject::{Fault, MOST_ELEMENTS, Reject, Rejects, day_value, id_value, key_fault, label_value, valid_day};
use super::slates::Slates;
use super::spilled::SpilledRejects;
use super::{IMPRESSIONS, Progress, Sink, read_all};
use crate::config::Plan;
use crate::error::{Error, Invariant, Reason, Result};
use crate::event::{Day, ItemId, Sample};
use crate::fsio::SpillFolder;
use crate::pack::Packed;
use crate::read::{Chunk, Source};

/// What the impressions table holds beside its samples.
#[derive(Debug, Serialize, Deserialize)]
pub struct Impressions {
    /// For each day of the plan the valid rows of the table.
    pub rows: Vec<u64>,
    /// For each day of the plan its samples.
    pub samples: Vec<u64>,
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
        if (self.rows.len(), self.samples.len()) != (other.rows.len(), other.samples.len()) {
            return Err(Error::internal("parts of a table are read for the same days"));
        }
        let add = |sums: &mut Vec<u64>, more: &[u64]| sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        add(&mut self.rows, &other.rows);
        add(&mut self.samples, &other.samples);
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

    /// Refuses lines of JSON that mostly show nothing: as a line may lack any key, that is how keys of other names look.
    fn refuse_nothing(&self) -> Result<()> {
        let (rows, of) = (self.shows_nothing, self.lines);
        if rows > of / 2 { Err(Error::NothingShown { table: IMPRESSIONS.to_owned(), rows, of }) } else { Ok(()) }
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
    read_all(source, &|chunk| {
        let (samples, labels, found_here) = read_chunk(&chunk, plan, &rejects)?;
        found.lock().unwrap_or_else(PoisonError::into_inner).merge(found_here)?;
        sink(Packed::new(&samples, &labels, 1)?)?;
        progress(chunk.bytes)
    })?;
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.refuse_nothing()?;
    let (rejects, spilled) = rejects.finish()?;
    Ok(Impressions { rejects, spilled, ..found })
}

/// Samples, their packed rows, and what else was found.
type Read<I> = (Vec<Sample<I>>, Vec<u8>, Impressions);

fn read_chunk<I: ItemId>(chunk: &Chunk, plan: &Plan, rejects: &Rejects<'_>) -> Result<Read<I>> {
    let reader = Reader::new(IMPRESSIONS, chunk, plan);
    let table = Table::new(&reader)?;
    let mut found = Impressions::none(plan);
    let (mut samples, mut labels) = (Vec::new(), Vec::new());
    if chunk.origin.text {
        found.lines = chunk.batch.num_rows() as u64;
        found.shows_nothing = chunk.bare;
    }
    if let Some(plain) = table.plain::<I>() {
        plain.read(plan, &mut samples, &mut labels, &mut found)?;
        return Ok((samples, labels, found));
    }
    for row in 0..chunk.batch.num_rows() {
        let (day, customer) = (table.days.get(row), table.customers.get(row));
        let key_text = |column: &str| if column == "dt" { table.days.text(row) } else { table.customers.text(row) };
        let fault = key_fault("dt", day, customer, key_text);
        let (Some(day_of_row), Cell::Value(customer), None) = (valid_day(day), customer, &fault) else {
            let fault = fault.invariant("a row without a day or a customer has a fault")?;
            rejects.add(&reader, row, day, fault, || table.row_contents(row))?;
            continue;
        };
        found.see(day_of_row, day_of_row);
        let wanted = plan.day_index(day_of_row);
        let mut whole = true;
        for element in table.elements(row) {
            match table.sample(element) {
                Ok((item, is_order)) => {
                    if let Some(day) = wanted {
                        // A plan has fewer days than 32 bits count.
                        samples.push(Sample::new(day as u32, customer, item));
                        labels.push(u8::from(is_order));
                        found.samples[day] += 1;
                    }
                }
                Err(fault) => {
                    whole = matches!(element, Element::OfList(_));
                    rejects.add(&reader, row, day, fault, || table.element_contents(row, element))?;
                }
            }
        }
        if let Some(rows) = wanted.filter(|_| whole).and_then(|day| found.rows.get_mut(day)) {
            *rows += 1;
        }
    }
    Ok((samples, labels, found))
}

/// The lists of a chunk without any fault or null, all of one day: what nearly all chunks are, and quick to read.
struct Plain<'a> {
    day: Day,
    customers: &'a [i64],
    ranges: &'a [(usize, usize)],
    items: &'a [i64],
    labels: &'a [i64],
}

impl Plain<'_> {
    fn read<I: ItemId>(
        &self,
        plan: &Plan,
        samples: &mut Vec<Sample<I>>,
        labels: &mut Vec<u8>,
        found: &mut Impressions,
    ) -> Result<()> {
        found.see(self.day, self.day);
        let Some(day) = plan.day_index(self.day) else { return Ok(()) };
        let mut all_fit = true;
        samples.reserve(self.items.len());
        for (&customer, &(start, end)) in self.customers.iter().zip(self.ranges) {
            labels.extend(self.labels[start..end].iter().map(|&label| u8::from(label != 0)));
            samples.extend(self.items[start..end].iter().map(|&item| {
                let item = I::try_from(item).unwrap_or_else(|_| {
                    all_fit = false;
                    I::zeroed()
                });
                // A plan has fewer days than 32 bits count.
                Sample::new(day as u32, customer, item)
            }));
        }
        if !all_fit {
            return Err(Error::internal("the items of a plain chunk fit"));
        }
        found.rows[day] += self.customers.len() as u64;
        found.samples[day] += samples.len() as u64;
        Ok(())
    }
}

/// An item that was shown.
#[derive(Clone, Copy)]
enum Element {
    /// One of a row's list, by its place among the elements of all lists.
    OfList(usize),
    /// The one of a row.
    OfRow(usize),
}

/// The columns of a chunk: a list of items in each row, or an item in each row, or both.
///
/// Where there are both, each row is what it holds: one with a list has the items of the list; one without has its own,
/// unless both item and label are null, and then none.
struct Table {
    days: Days,
    customers: Cells,
    slates: Option<Slates>,
    flat: Option<(Cells, Cells)>,
}

impl Table {
    fn new(reader: &Reader<'_>) -> Result<Self> {
        let slates = reader.has("impressions").then(|| Slates::read(reader, "impressions")).transpose()?;
        let flat = match &slates {
            None => Some((reader.ids("item_id")?, reader.labels("is_order")?)),
            Some(slates) if reader.has("item_id") && reader.has("is_order") => {
                // Beside a list they are columns like any other that is not asked for: whatever they hold is no fault.
                let column = |name: &str| {
                    let array = reader.column(name)?;
                    slates.without_lists(&array).map_err(|_| reader.wrong_type(name, &array, "text"))
                };
                let (items, labels) = (column("item_id")?, column("is_order")?);
                let any = items.null_count() < items.len() || labels.null_count() < labels.len();
                let cells = || -> Result<_> {
                    Ok((reader.id_cells("item_id", &items)?, reader.label_cells("is_order", &labels)?))
                };
                any.then(cells).transpose()?
            }
            Some(_) => None,
        };
        Ok(Self { days: reader.days("dt")?, customers: reader.ids("customer_id")?, slates, flat })
    }

    /// The columns as plain values, unless any row lacks one or has a fault.
    fn plain<I: ItemId>(&self) -> Option<Plain<'_>> {
        let slates = self.slates.as_ref()?;
        let (ranges, (items, labels)) = (slates.ranges(), slates.plain()?);
        let customers = self.customers.plain()?;
        let day = match &self.days {
            Days::Column(days) => {
                let days = days.plain()?;
                days.first().filter(|&first| days.iter().all(|day| day == first))?;
                self.days.get(0)
            }
            Days::Path(_) if customers.is_empty() => return None,
            Days::Path(_) => self.days.get(0),
        };
        let fit = items.iter().all(|&item| I::try_from(item).is_ok());
        Some(Plain { day: valid_day(day).filter(|_| fit && self.flat.is_none())?, customers, ranges, items, labels })
    }

    /// The elements of a row's list; `None` where it has none.
    fn list(&self, row: usize) -> Option<Range<usize>> {
        self.slates.as_ref().and_then(|slates| slates.elements(row))
    }

    /// Whether a row without a list is an item.
    fn is_item(&self, row: usize) -> bool {
        match &self.flat {
            Some((items, labels)) => {
                self.slates.is_none() || items.get(row) != Cell::Null || labels.get(row) != Cell::Null
            }
            None => false,
        }
    }

    fn elements(&self, row: usize) -> impl Iterator<Item = Element> {
        let list = self.list(row);
        let of_list = list.is_some();
        let places = list.unwrap_or(if self.is_item(row) { row..row + 1 } else { 0..0 });
        places.map(move |place| if of_list { Element::OfList(place) } else { Element::OfRow(place) })
    }

    fn cells(&self, element: Element) -> (Cell, Cell) {
        match (element, &self.slates, &self.flat) {
            (Element::OfList(element), Some(slates), _) => (slates.item(element), slates.label(element)),
            (Element::OfRow(row), _, Some((items, labels))) => (items.get(row), labels.get(row)),
            _ => (Cell::Null, Cell::Null),
        }
    }

    fn item_text(&self, element: Element) -> Option<String> {
        match element {
            Element::OfList(element) => self.slates.as_ref().and_then(|slates| slates.item_text(element)),
            Element::OfRow(row) => self.flat.as_ref().and_then(|(items, _)| items.text(row)),
        }
    }

    /// The item and label of an element, checked.
    fn sample<I: ItemId>(&self, element: Element) -> Result<(I, bool), Fault> {
        let prefix = if matches!(element, Element::OfList(_)) { "impressions." } else { "" };
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

    fn item_contents(&self, element: Element) -> Map<String, Value> {
        let (item, label) = self.cells(element);
        Map::from_iter([
            ("item_id".to_owned(), id_value(item, self.item_text(element))),
            ("is_order".to_owned(), label_value(label)),
        ])
    }

    fn element_contents(&self, row: usize, element: Element) -> Map<String, Value> {
        let mut contents = self.key_contents(row);
        contents.extend(self.item_contents(element));
        contents
    }

    fn row_contents(&self, row: usize) -> Map<String, Value> {
        let list = self.list(row);
        if list.is_none() && self.is_item(row) {
            return self.element_contents(row, Element::OfRow(row));
        }
        let item = |element| Value::Object(self.item_contents(Element::OfList(element)));
        let mut contents = self.key_contents(row);
        let left_out = list.as_ref().map_or(0, |list| list.len().saturating_sub(MOST_ELEMENTS));
        let list = list.map(|list| list.take(MOST_ELEMENTS).map(item).collect::<Value>());
        contents.insert("impressions".to_owned(), list.into());
        if left_out > 0 {
            contents.insert("impressions_left_out".to_owned(), left_out.into());
        }
        contents
    }
}
