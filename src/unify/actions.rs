//! Tables of actions as one stream of checked actions of the customers that matter.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::columns::{Cell, Cells, Reader};
use super::days::Days;
use super::reject::{Fault, Reject, Rejects, day_value, id_value, key_fault, time_value, valid_day};
use super::spilled::SpilledRejects;
use super::{Progress, Sink, read_all};
use crate::config::{ActionTable, Plan};
use crate::error::{Error, Reason, Result};
use crate::event::{Action, Day, ItemId, NULL_TIME};
use crate::fsio::SpillFolder;
use crate::pack::Packed;
use crate::read::{Chunk, Source};

/// What a table of actions holds beside its actions.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Actions {
    /// For each day the valid rows of the table, of all customers; days that no requested day can see may lack some.
    pub rows: FxHashMap<Day, u64>,
    /// The rows that were left out, in no order; none where they were spilled.
    pub rejects: Vec<Reject>,
    /// The rows that were left out where they are too many for memory.
    #[serde(skip)]
    pub spilled: Option<Arc<SpilledRejects>>,
    /// How many rows were left out that a task of a cluster has sent on already.
    pub sent: u64,
}

impl Actions {
    /// The number of rows that were left out.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        let spilled = self.spilled.as_ref().map_or(0, |spilled| spilled.counts().map(|(.., count)| count).sum());
        self.rejects.len() as u64 + spilled + self.sent
    }

    /// Adds what another part of the table holds.
    pub fn merge(&mut self, other: Self) {
        for (day, more) in other.rows {
            *self.rows.entry(day).or_default() += more;
        }
        self.rejects.extend(other.rejects);
        self.sent += other.sent;
    }
}

/// Picks the rows of customers that matter: empties the list, and puts each such row there with its customer's place.
pub type Pick<'a> = dyn Fn(&[i64], &mut Vec<(u32, u32)>) + Sync + 'a;

/// Reads a table of actions.
///
/// `pick` knows the customers that matter; `sink` takes their actions that some day of the plan can see, in no order. Rows that
/// are left out go to `folder`, where there is one and they are many.
///
/// # Errors
/// Whatever the source, `sink` or `progress` returns, and [`crate::error::Error::BadRow`] where bad rows are not to be left
/// out.
pub fn read_actions<I: ItemId>(
    table: &ActionTable,
    source: &dyn Source,
    plan: &Plan,
    pick: &Pick<'_>,
    sink: &Sink<'_, Action<I>>,
    folder: Option<&SpillFolder>,
    progress: &Progress<'_>,
) -> Result<Actions> {
    let rejects = Rejects::new(plan.options().invalid, folder);
    let rows = Mutex::new(FxHashMap::<Day, u64>::default());
    let idle = Mutex::new(Vec::new());
    read_all(source, &|chunk| {
        let mut found = lock(&idle).pop().unwrap_or_default();
        read_chunk(&chunk, table, plan, pick, &rejects, &mut found)?;
        let mut rows = lock(&rows);
        for &(day, more) in &found.runs {
            *rows.entry(day).or_default() += more;
        }
        drop(rows);
        sink(Packed::new(&found.actions, &[], 0)?)?;
        lock(&idle).push(found);
        progress(chunk.bytes)
    })?;
    let (rejects, spilled) = rejects.finish()?;
    Ok(Actions { rows: rows.into_inner().unwrap_or_else(PoisonError::into_inner), rejects, spilled, sent: 0 })
}

/// What a chunk holds. Chunks follow each other in the same memory, which is in the cache then.
struct Found<I: ItemId> {
    /// The wanted actions.
    actions: Vec<Action<I>>,
    /// How many valid rows each run of rows with one day has.
    runs: Vec<(Day, u64)>,
    /// The rows of a run that are wanted, each with the place of its customer.
    wanted: Vec<(u32, u32)>,
}

impl<I: ItemId> Default for Found<I> {
    fn default() -> Self {
        Self { actions: Vec::new(), runs: Vec::new(), wanted: Vec::new() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_chunk<I: ItemId>(
    chunk: &Chunk,
    table: &ActionTable,
    plan: &Plan,
    pick: &Pick<'_>,
    rejects: &Rejects<'_>,
    found: &mut Found<I>,
) -> Result<()> {
    let reader = Reader::new(&table.name, chunk, plan);
    let columns = Columns::new(&reader, table)?;
    let rows = chunk.batch.num_rows();
    found.actions.clear();
    found.runs.clear();
    match columns.plain::<I>(rows) {
        Some(plain) => plain.read(table.kind, plan, pick, found)?,
        None => read_rows(&columns, &reader, rows, plan, pick, rejects, found)?,
    }
    Ok(())
}

/// Reads a chunk row by row, each checked.
fn read_rows<I: ItemId>(
    columns: &Columns<'_>,
    reader: &Reader<'_>,
    rows: usize,
    plan: &Plan,
    pick: &Pick<'_>,
    rejects: &Rejects<'_>,
    found: &mut Found<I>,
) -> Result<()> {
    let Found { actions, runs, wanted } = found;
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
        if day_is_seen {
            pick(&[customer], wanted);
            actions.extend(wanted.iter().map(|&(_, place)| Action::new(place, day, time, item, columns.table.kind)));
        }
    }
    Ok(())
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
    fn read<I: ItemId>(&self, kind: u8, plan: &Plan, pick: &Pick<'_>, found: &mut Found<I>) -> Result<()> {
        let Found { actions, runs, wanted } = found;
        let mut all_fit = true;
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
                pick(&self.customers[start..end], wanted);
                let midnight = day.midnight();
                actions.extend(wanted.iter().map(|&(row, customer)| {
                    let row = start + row as usize;
                    let time = self.times.map_or(midnight, |times| times[row]);
                    let item = I::try_from(self.items[row]).unwrap_or_else(|_| {
                        all_fit = false;
                        I::zeroed()
                    });
                    Action::new(customer, day, time, item, kind)
                }));
            }
            start = end;
        }
        if all_fit { Ok(()) } else { Err(Error::internal("the items of a plain chunk fit")) }
    }
}

/// The columns of a chunk.
struct Columns<'a> {
    table: &'a ActionTable,
    days: Days,
    customers: Cells,
    items: Cells,
    /// The column of times and its name.
    times: Option<(&'a str, Cells)>,
}

impl<'a> Columns<'a> {
    fn new(reader: &Reader<'_>, table: &'a ActionTable) -> Result<Self> {
        Ok(Self {
            days: reader.days(&table.day_column)?,
            customers: reader.ids("customer_id")?,
            items: reader.ids(&table.item_column)?,
            times: table.time_column.as_deref().map(|name| Ok((name, reader.times(name)?))).transpose()?,
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
            Some((_, times)) => Some(times.plain()?),
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
        let time = match &self.times {
            None => day.midnight(),
            Some((name, times)) => match times.get(row) {
                Cell::Value(time) => time,
                Cell::Null => NULL_TIME,
                Cell::Bad => {
                    let (column, value) = ((*name).to_owned(), times.text(row));
                    return Err(Fault { reason: Reason::UnparsableTime, column, value });
                }
            },
        };
        Ok((day, customer, item, time))
    }

    fn item_fault(&self, row: usize) -> Fault {
        let reason = if self.items.get(row) == Cell::Null { Reason::NullItem } else { Reason::ItemOutOfRange };
        Fault { reason, column: self.table.item_column.clone(), value: self.items.text(row) }
    }

    fn contents(&self, row: usize) -> Map<String, Value> {
        let mut contents = Map::new();
        contents.insert(self.table.day_column.clone(), day_value(self.days.get(row), self.days.text(row)));
        contents.insert("customer_id".to_owned(), id_value(self.customers.get(row), self.customers.text(row)));
        contents.insert(self.table.item_column.clone(), id_value(self.items.get(row), self.items.text(row)));
        if let Some((name, times)) = &self.times {
            contents.insert((*name).to_owned(), time_value(times.get(row), times.text(row)));
        }
        contents
    }
}
