//! Tables of actions as one stream of checked actions of the customers that matter.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::columns::Reader;
use super::days::Days;
use super::reject::{Fault, Reject, Rejects, valid_day};
use super::roles::{Roles, TypeSource};
use super::spilled::SpilledRejects;
use super::table::{PlainColumn, TableChunk};
use super::walk::At;
use super::{Progress, Sink, read_all};
use crate::config::Plan;
use crate::error::{Error, Result};
use crate::event::{Action, ActionKey, Day, ItemId};
use crate::fsio::SpillFolder;
use crate::pack::{self, Packed};
use crate::read::{Chunk, Source};
use crate::schema::{ActionTable, Cutoff};

/// What a table of actions holds beside its actions.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Actions {
    /// For each day the valid rows of the table, of all customers; days that no requested day can see may lack some.
    pub rows: FxHashMap<Day, u64>,
    /// About when its actions were that a request can see, where cut-offs are times and the table has any.
    pub clock: Clock,
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

    /// Where the table has no valid row on the day before `day`, though it has some on days before that: the last of those that `day`
    /// sees. It is the same whichever days are built together.
    #[must_use]
    pub fn late_since(&self, plan: &Plan, day: Day) -> Option<Day> {
        let before = day.0.checked_sub(1).map(Day)?;
        let with_rows = self.rows.iter().filter(|&(&at, &rows)| rows > 0 && plan.sees(day, at));
        let last = with_rows.map(|(&at, _)| at).filter(|&at| at <= before).max()?;
        (last < before).then_some(last)
    }

    /// Adds what another part of the table holds.
    pub fn merge(&mut self, other: Self) {
        for (day, more) in other.rows {
            *self.rows.entry(day).or_default() += more;
        }
        self.clock.merge(&other.clock);
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
    let rows = Mutex::new((FxHashMap::<Day, u64>::default(), Clock::default()));
    let idle = Mutex::new(Vec::new());
    let roles = Roles::of_actions(plan, table)?;
    read_all(source, &|chunk| {
        let mut found: ActionChunk<I> = lock(&idle).pop().unwrap_or_default();
        read_chunk(&chunk, &roles, plan, pick, &rejects, &mut found)?;
        let has_clock = roles.cutoff == Cutoff::Time && roles.time.is_some();
        let mut rows = lock(&rows);
        for &(day, more) in &found.runs {
            *rows.0.entry(day).or_default() += more;
        }
        if has_clock {
            rows.1.see(found.actions.iter().map(|action| action.key().time()));
        }
        drop(rows);
        sink(Packed::new(&found.actions, &found.features, roles.packing.width())?)?;
        lock(&idle).push(found);
        progress(chunk.bytes)
    })?;
    let (rejects, spilled) = rejects.finish()?;
    let (rows, clock) = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Actions { rows, clock, rejects, spilled, sent: 0 })
}

/// What a chunk holds. Chunks follow each other in the same memory, which is in the cache then.
struct ActionChunk<I: ItemId> {
    /// The wanted actions.
    actions: Vec<Action<I>>,
    /// Their packed features, one after the other.
    features: Vec<u8>,
    /// How many valid rows each run of rows with one day has.
    runs: Vec<(Day, u64)>,
    /// The rows of a run that are wanted, each with the place of its customer.
    wanted: Vec<(u32, u32)>,
}

impl<I: ItemId> Default for ActionChunk<I> {
    fn default() -> Self {
        Self { actions: Vec::new(), features: Vec::new(), runs: Vec::new(), wanted: Vec::new() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_chunk<I: ItemId>(
    chunk: &Chunk,
    roles: &Roles<'_>,
    plan: &Plan,
    pick: &Pick<'_>,
    rejects: &Rejects<'_>,
    found: &mut ActionChunk<I>,
) -> Result<()> {
    let reader = Reader::new(roles.table, chunk);
    let table = TableChunk::new(&reader, chunk, roles)?;
    found.actions.clear();
    found.features.clear();
    found.runs.clear();
    match Plain::new::<I>(&table) {
        Some(plain) => plain.read(plan, pick, found)?,
        None => read_rows(&table, &reader, plan, pick, rejects, found)?,
    }
    Ok(())
}

/// Reads a chunk row by row, each checked.
fn read_rows<I: ItemId>(
    table: &TableChunk<'_>,
    reader: &Reader<'_>,
    plan: &Plan,
    pick: &Pick<'_>,
    rejects: &Rejects<'_>,
    found: &mut ActionChunk<I>,
) -> Result<()> {
    let ActionChunk { actions, features, runs, wanted } = found;
    let mut day_is_seen = false;
    let mut values = Vec::new();
    for row in 0..table.walk.rows {
        let place = table.walk.place(row);
        let key = match table.key(row) {
            Ok(key) => key,
            Err(fault) => {
                rejects.add(reader, place, table.day_cell(At::row(row)), fault, || table.row_contents(row))?;
                continue;
            }
        };
        for element in table.walk.elements(row) {
            let at = At { row, element };
            let (day, customer, kind, item, time) = match action::<I>(table, at, key, &mut values) {
                Ok(action) => action,
                Err(fault) => {
                    rejects.add(reader, place, table.day_cell(at), fault, || table.contents(at))?;
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
                for &(_, place) in wanted.iter() {
                    actions.push(Action::new(place, day, time, item, kind));
                    table.roles.packing.pack(&values, features)?;
                }
            }
        }
    }
    Ok(())
}

/// Day, customer, type, item and time of an action, checked, and its features.
pub(super) fn action<I: ItemId>(
    table: &TableChunk<'_>,
    at: At,
    (day, customer): (Option<Day>, Option<i64>),
    features: &mut Vec<pack::Value>,
) -> Result<(Day, i64, u8, I, i64), Fault> {
    let day = day.map_or_else(|| table.day(at), Ok)?;
    let customer = customer.map_or_else(|| table.customer(at), Ok)?;
    let kind = table.kind(at)?;
    let item = table.item(at)?;
    let time = table.time(at, day)?;
    table.values(at, features)?;
    Ok((day, customer, kind, item, time))
}

/// The values of a chunk without any fault or null: what nearly all chunks are, and quick to read.
struct Plain<'a> {
    table: &'a TableChunk<'a>,
    rows: usize,
    days: PlainDays<'a>,
    customers: Cow<'a, [i64]>,
    items: Cow<'a, [i64]>,
    kinds: PlainKinds<'a>,
    times: Option<Cow<'a, [i64]>>,
    values: Vec<PlainColumn<'a>>,
    /// Where each row of these is in the table, where they are elements of lists.
    places: Option<Vec<At>>,
}

enum PlainDays<'a> {
    Same(Day),
    Each(Cow<'a, [i64]>),
}

enum PlainKinds<'a> {
    Same(u8),
    Each(Cow<'a, [i64]>),
}

impl<'a> Plain<'a> {
    /// The columns as plain values, unless any row lacks one or has a fault; each element of a list is a row of its own.
    fn new<I: ItemId>(table: &'a TableChunk<'a>) -> Option<Self> {
        if table.walk.has_unequal() || (table.walk.lists.is_some() && table.has_keys_in_list()) {
            return None;
        }
        let places: Option<Vec<At>> = table.walk.lists.as_ref().map(|_| {
            let of_row = |row| table.walk.elements(row).map(move |element| At { row, element });
            (0..table.walk.rows).flat_map(of_row).collect()
        });
        let rows = places.as_ref().map_or(table.walk.rows, Vec::len);
        let spread = |column: PlainColumn<'a>| match &places {
            None => Cow::Borrowed(column.values),
            Some(places) => places.iter().map(|&at| column.get(at)).collect(),
        };
        let days = match &table.days {
            Days::Column(days) => PlainDays::Each(spread(PlainColumn { values: days.plain()?, in_list: false })),
            Days::Path(_) if table.walk.rows == 0 => return None,
            Days::Path(_) => PlainDays::Same(valid_day(table.days.get(0))?),
        };
        let kinds = match (&table.kinds, &table.roles.kind) {
            (Some(kinds), _) => PlainKinds::Each(spread(kinds.plain()?)),
            (None, TypeSource::Constant(kind)) => PlainKinds::Same(*kind),
            (None, TypeSource::Column { .. }) => return None,
        };
        let times = match &table.times {
            Some(times) => Some(spread(times.plain()?)),
            None => None,
        };
        let items = spread(table.items.plain()?);
        let fit = items.iter().all(|&item| I::try_from(item).is_ok());
        let customers = spread(table.customers.plain()?);
        let values = table.plain_values().filter(|_| fit)?;
        Some(Self { table, rows, days, customers, items, kinds, times, values, places })
    }

    /// Reads the rows a run of one day at a time; days that nothing sees are only counted.
    fn read<I: ItemId>(&self, plan: &Plan, pick: &Pick<'_>, found: &mut ActionChunk<I>) -> Result<()> {
        let ActionChunk { actions, features, runs, wanted } = found;
        let mut all_fit = true;
        let mut start = 0;
        while start < self.rows {
            let (day, end) = match &self.days {
                PlainDays::Same(day) => (*day, self.rows),
                PlainDays::Each(days) => {
                    let same = days[start..].iter().take_while(|&&day| day == days[start]).count();
                    // Checked days are of the calendar, which 32 bits hold.
                    (Day(days[start] as i32), start + same)
                }
            };
            runs.push((day, (end - start) as u64));
            if plan.any_sees(day) {
                pick(&self.customers[start..end], wanted);
                let of_day = self.table.time_on(day);
                actions.extend(wanted.iter().map(|&(row, customer)| {
                    let row = start + row as usize;
                    let time = self.times.as_ref().map_or(of_day, |times| times[row]);
                    let kind = match &self.kinds {
                        PlainKinds::Same(kind) => *kind,
                        // One of the description's, all of which a byte holds.
                        PlainKinds::Each(kinds) => kinds[row] as u8,
                    };
                    let item = I::try_from(self.items[row]).unwrap_or_else(|_| {
                        all_fit = false;
                        I::zeroed()
                    });
                    Action::new(customer, day, time, item, kind)
                }));
                self.pack(start, wanted, features)?;
            }
            start = end;
        }
        if all_fit { Ok(()) } else { Err(Error::internal("the items of a plain chunk fit")) }
    }

    /// Adds the packed features of the wanted rows, counted from `start`.
    fn pack(&self, start: usize, wanted: &[(u32, u32)], features: &mut Vec<u8>) -> Result<()> {
        if self.values.is_empty() {
            return Ok(());
        }
        let mut values = Vec::new();
        for &(row, _) in wanted {
            let row = start + row as usize;
            let at = self.places.as_ref().map_or(At::row(row), |places| places[row]);
            values.clear();
            values.extend(self.table.packed(&self.values, at));
            self.table.roles.packing.pack(&values, features)?;
        }
        Ok(())
    }
}
