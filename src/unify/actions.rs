//! Tables of actions as one stream of checked actions of the customers that matter.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use super::columns::{Cell, Cells, Days, Reader};
use super::reject::{Fault, Reject, Rejects, day_value, id_value, key_fault, time_value, valid_day};
use super::{Progress, Sink, read_all};
use crate::config::{ActionTable, Plan};
use crate::error::{Reason, Result};
use crate::event::{Action, ActionType, Day, ItemId, NULL_TIME};
use crate::read::{Chunk, Source};

/// What a table of actions holds beside its actions.
#[derive(Debug)]
pub struct Actions {
    /// For each day the valid rows of the table, of all customers; days that no requested day can see may lack some.
    pub rows: FxHashMap<Day, u64>,
    /// The rows that were left out, in no order.
    pub rejects: Vec<Reject>,
}

/// Reads a table of actions.
///
/// `place` numbers the customers that matter; `sink` takes their actions that some day of the plan can see, in no order.
///
/// # Errors
/// Whatever the source, `sink` or `progress` returns, and [`crate::error::Error::BadRow`] where bad rows are not to be left
/// out.
pub fn read_actions<I: ItemId>(
    table: &ActionTable,
    source: &dyn Source,
    plan: &Plan,
    place: &(impl Fn(i64) -> Option<u32> + Sync),
    sink: &Sink<'_, Action<I>>,
    progress: &Progress<'_>,
) -> Result<Actions> {
    let rejects = Rejects::new(plan.options().invalid);
    let rows = Mutex::new(FxHashMap::<Day, u64>::default());
    read_all(source, &|chunk| {
        let (actions, runs) = read_chunk(&chunk, table, plan, place, &rejects)?;
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        for (day, more) in runs {
            *rows.entry(day).or_default() += more;
        }
        drop(rows);
        sink(actions)?;
        progress(chunk.bytes)
    })?;
    Ok(Actions { rows: rows.into_inner().unwrap_or_else(PoisonError::into_inner), rejects: rejects.into_inner() })
}

/// The wanted actions of a chunk, and how many valid rows each run of rows with one day has.
type Found<I> = (Vec<Action<I>>, Vec<(Day, u64)>);

fn read_chunk<I: ItemId>(
    chunk: &Chunk,
    table: &ActionTable,
    plan: &Plan,
    place: &impl Fn(i64) -> Option<u32>,
    rejects: &Rejects,
) -> Result<Found<I>> {
    let reader = Reader::new(&table.name, chunk);
    let columns = Columns::new(&reader, table)?;
    let rows = chunk.batch.num_rows();
    match columns.plain::<I>(rows) {
        Some(plain) => Ok(plain.read(table.kind, plan, place)),
        None => read_rows(&columns, &reader, rows, plan, place, rejects),
    }
}

/// Reads a chunk row by row, each checked.
fn read_rows<I: ItemId>(
    columns: &Columns<'_>,
    reader: &Reader<'_>,
    rows: usize,
    plan: &Plan,
    place: &impl Fn(i64) -> Option<u32>,
    rejects: &Rejects,
) -> Result<Found<I>> {
    let mut actions = Vec::new();
    let mut runs: Vec<(Day, u64)> = Vec::new();
    let mut day_is_seen = false;
    for row in 0..rows {
        let (day, customer, item, time) = match columns.row::<I>(row) {
            Ok(row) => row,
            Err(fault) => {
                rejects.add(reader, row, columns.days.get(row), fault, || columns.contents(row))?;
                continue;
            }
        };
        match runs.last_mut() {
            Some((last, rows)) if *last == day => *rows += 1,
            _ => {
                runs.push((day, 1));
                day_is_seen = plan.any_sees(day);
            }
        }
        if day_is_seen && let Some(customer) = place(customer) {
            actions.push(Action::new(customer, day, time, item, columns.table.kind));
        }
    }
    Ok((actions, runs))
}

/// The values of a chunk without any fault or null: what nearly all chunks are, and quick to read.
struct Plain<'a> {
    rows: usize,
    days: PlainDays<'a>,
    customers: &'a [i64],
    items: &'a [i64],
    times: Option<&'a [i64]>,
}

enum PlainDays<'a> {
    Same(Day),
    Each(&'a [i64]),
}

impl Plain<'_> {
    /// Reads the rows a run of one day at a time; days that nothing sees are only counted.
    fn read<I: ItemId>(&self, kind: ActionType, plan: &Plan, place: &impl Fn(i64) -> Option<u32>) -> Found<I> {
        let (mut actions, mut runs) = (Vec::new(), Vec::new());
        let mut start = 0;
        while start < self.rows {
            let (day, end) = match self.days {
                PlainDays::Same(day) => (day, self.rows),
                PlainDays::Each(days) => {
                    let same = days[start..].iter().take_while(|&&day| day == days[start]).count();
                    // Checked days are of the calendar, which 32 bits hold.
                    (Day(days[start] as i32), start + same)
                }
            };
            runs.push((day, (end - start) as u64));
            if plan.any_sees(day) {
                actions.reserve(end - start);
                let midnight = day.midnight();
                for row in start..end {
                    if let (Some(customer), Ok(item)) = (place(self.customers[row]), I::try_from(self.items[row])) {
                        let time = self.times.map_or(midnight, |times| times[row]);
                        actions.push(Action::new(customer, day, time, item, kind));
                    }
                }
            }
            start = end;
        }
        actions.shrink_to_fit();
        (actions, runs)
    }
}

/// The columns of a chunk.
struct Columns<'a> {
    table: &'a ActionTable,
    days: Days,
    customers: Cells,
    items: Cells,
    times: Option<Cells>,
}

impl<'a> Columns<'a> {
    fn new(reader: &Reader<'_>, table: &'a ActionTable) -> Result<Self> {
        Ok(Self {
            days: reader.days(&table.day_column)?,
            customers: reader.ids("customer_id")?,
            items: reader.ids(&table.item_column)?,
            times: table.time_column.as_deref().map(|column| reader.times(column)).transpose()?,
            table,
        })
    }

    /// The columns as plain values, unless any row lacks one or has a fault.
    fn plain<I: ItemId>(&self, rows: usize) -> Option<Plain<'_>> {
        let days = match &self.days {
            Days::Column(days) => PlainDays::Each(days.plain()?),
            Days::Path(_) if rows == 0 => return None,
            Days::Path(_) => PlainDays::Same(valid_day(self.days.get(0))?),
        };
        let times = match &self.times {
            Some(times) => Some(times.plain()?),
            None => None,
        };
        let items = self.items.plain()?;
        let fit = items.iter().all(|&item| I::try_from(item).is_ok());
        fit.then_some(Plain { rows, days, customers: self.customers.plain()?, items, times })
    }

    /// Day, customer, item and time of a row, checked.
    fn row<I: ItemId>(&self, row: usize) -> Result<(Day, i64, I, i64), Fault> {
        let (day, customer) = (self.days.get(row), self.customers.get(row));
        let (Some(day), Cell::Value(customer)) = (valid_day(day), customer) else {
            let text = |column: &str| {
                if column == self.table.day_column { self.days.text(row) } else { self.customers.text(row) }
            };
            return Err(key_fault(&self.table.day_column, day, customer, text).unwrap_or_else(|| self.item_fault(row)));
        };
        let Cell::Value(item) = self.items.get(row) else { return Err(self.item_fault(row)) };
        let item = I::try_from(item).map_err(|_| self.item_fault(row))?;
        let time = match self.times.as_ref().map(|times| times.get(row)) {
            None => day.midnight(),
            Some(Cell::Value(time)) => time,
            Some(Cell::Null) => NULL_TIME,
            Some(Cell::Bad) => return Err(self.time_fault(row)),
        };
        Ok((day, customer, item, time))
    }

    fn item_fault(&self, row: usize) -> Fault {
        let reason = if self.items.get(row) == Cell::Null { Reason::NullItem } else { Reason::ItemOutOfRange };
        Fault { reason, column: self.table.item_column.clone(), value: self.items.text(row) }
    }

    fn time_fault(&self, row: usize) -> Fault {
        Fault {
            reason: Reason::UnparsableTime,
            column: self.table.time_column.clone().unwrap_or_default(),
            value: self.times.as_ref().and_then(|times| times.text(row)),
        }
    }

    fn contents(&self, row: usize) -> Map<String, Value> {
        let mut contents = Map::new();
        contents.insert(self.table.day_column.clone(), day_value(self.days.get(row), self.days.text(row)));
        contents.insert("customer_id".to_owned(), id_value(self.customers.get(row), self.customers.text(row)));
        contents.insert(self.table.item_column.clone(), id_value(self.items.get(row), self.items.text(row)));
        if let (Some(column), Some(times)) = (&self.table.time_column, &self.times) {
            contents.insert(column.clone(), time_value(times.get(row), times.text(row)));
        }
        contents
    }
}
