//! The actions of a bucket by customer, newest first.

use std::cmp::{Ordering, Reverse};
use std::ops::Range;

use rayon::slice::ParallelSliceMut;

use super::windows;
use crate::config::Plan;
use crate::error::{Error, Result};
use crate::event::{Action, ActionKey, Day, ItemId, TimeSpan};
use crate::pack::Packed;

/// An action of a group, and which packed row its features are.
pub(super) struct Entry<I: ItemId, R> {
    pub(super) key: I::Key,
    pub(super) row: R,
}

/// Which packed row the features of an action are: a number, or nothing where actions have none.
pub(super) trait Row: Copy + Send + Sync {
    fn new(row: u32) -> Self;

    /// The row itself.
    fn of(self, features: &Features) -> &[u8];
}

impl Row for () {
    fn new(_: u32) {}

    fn of(self, _: &Features) -> &[u8] {
        &[]
    }
}

impl Row for u32 {
    fn new(row: u32) -> Self {
        row
    }

    fn of(self, features: &Features) -> &[u8] {
        let start = self as usize * features.width;
        &features.rows[start..start + features.width]
    }
}

/// The packed features of the actions of a bucket.
pub(super) struct Features {
    rows: Vec<u8>,
    width: usize,
}

#[cfg(test)]
impl Features {
    /// Those of actions that have none.
    pub(super) fn none() -> Self {
        Self { rows: Vec::new(), width: 0 }
    }
}

/// The actions of a bucket, by customer, newest first.
pub(super) struct Grouped<I: ItemId, R> {
    /// The place of the bucket's first customer.
    first: u32,
    entries: Vec<Entry<I, R>>,
    pub(super) features: Features,
    /// For each customer of the bucket where those of its actions are that days of the plan can need.
    ranges: Vec<Range<usize>>,
}

/// Actions of one day.
enum OfDay<'a, I: ItemId, R> {
    /// A whole piece, the first of whose rows has this number.
    Piece(&'a [Action<I>], u32),
    /// Some out of pieces that have several days.
    Mixed(&'a [(Action<I>, R)]),
}

impl<I: ItemId, R: Row> Grouped<I, R> {
    /// Groups pieces of actions of some customers, the first of whom has the place `first`, and sorts each customer's as far as
    /// any request needs them.
    ///
    /// # Errors
    /// [`Error::TooMany`] where rows are more than 32 bits number.
    pub(super) fn new(
        pieces: &[Packed<'_, Action<I>>],
        first: u32,
        customers: &[i64],
        asked: Asked<'_>,
    ) -> Result<Self> {
        let place_of = |action: &Action<I>| (action.customer() - first) as usize;
        let mut ends = vec![0usize; customers.len()];
        let (mut any, mut by_day, mut mixed) = (None, Vec::new(), Vec::new());
        let mut features = Features { rows: Vec::new(), width: pieces.first().map_or(0, |piece| piece.width()) };
        let mut first_row = 0;
        for piece in pieces {
            let Some(key) = piece.records().first().map(Action::key) else { continue };
            let mut is_mixed = false;
            for action in piece.records() {
                ends[place_of(action)] += 1;
                is_mixed |= action.key().day() != key.day();
            }
            any = Some(key);
            if is_mixed {
                mixed.extend((first_row..).zip(piece.records()).map(|(row, &action)| (action, R::new(row))));
            } else {
                by_day.push((key.day(), OfDay::Piece(piece.records(), first_row)));
            }
            features.rows.extend_from_slice(piece.rows());
            first_row = next_row(first_row, piece.len())?;
        }
        let day_of = |&(action, _): &(Action<I>, R)| -> Day { action.key().day() };
        mixed.sort_by_key(day_of);
        let of_days = mixed.chunk_by(|a, b| day_of(a) == day_of(b));
        by_day.extend(of_days.filter_map(|of_day| Some((day_of(of_day.first()?), OfDay::Mixed(of_day)))));
        by_day.sort_by_key(|&(day, _)| Reverse(day));

        let mut total = 0;
        for end in &mut ends {
            total += std::mem::replace(end, total);
        }
        let Some(any) = any else {
            return Ok(Self { first, entries: Vec::new(), features, ranges: vec![0..0; customers.len()] });
        };
        // `ends` holds the starts now, and each start moves to its end as its customer's actions come.
        let mut entries = vec![Entry { key: any, row: R::new(0) }; total];
        let mut put = |action: &Action<I>, row: R| {
            let place = &mut ends[place_of(action)];
            entries[*place] = Entry { key: action.key(), row };
            *place += 1;
        };
        for (_, of_day) in &by_day {
            match of_day {
                OfDay::Piece(actions, first) => {
                    (*first..).zip(*actions).for_each(|(row, action)| put(action, R::new(row)));
                }
                OfDay::Mixed(actions) => actions.iter().for_each(|(action, row)| put(action, *row)),
            }
        }
        let enough = Enough::new(asked);
        let mut start = 0;
        let ranges = ends.into_iter().zip(customers).map(|(end, &customer)| {
            let needed = newest_first(&mut entries[start..end], &features, customer, &enough);
            let range = start..start + needed;
            start = end;
            range
        });
        let ranges = ranges.collect();
        Ok(Self { first, entries, features, ranges })
    }

    /// The actions of the bucket's customer number `place`.
    pub(super) fn of(&self, place: usize) -> &[Entry<I, R>] {
        &self.entries[self.ranges[place].clone()]
    }

    /// The actions that any request can use, and their packed rows: what a customer did beyond them changes nothing.
    pub(super) fn pruned(&self, asked: Asked<'_>) -> (Vec<Action<I>>, Vec<u8>) {
        let (mut kept, mut rows) = (Vec::new(), Vec::new());
        for (customer, place) in (self.first..).zip(0..self.ranges.len()) {
            for entry in windows::visible_to_any(asked.plan, asked.spans, self.of(place)) {
                kept.push(Action::from_key(customer, entry.key));
                rows.extend_from_slice(entry.row.of(&self.features));
            }
        }
        (kept, rows)
    }
}

/// The number of the row behind some more.
fn next_row(row: u32, more: usize) -> Result<u32> {
    let next = u32::try_from(more).ok().and_then(|more| row.checked_add(more));
    let (count, limit) = (u64::from(row) + more as u64, u64::from(u32::MAX));
    next.ok_or(Error::TooMany { what: "actions that are sorted together", count, limit })
}

/// Keeps of some actions what requests can use, with their packed rows, however many more a customer has.
///
/// The actions name customers by their places in `customers`. What is kept is ordered by place, and each customer's newest first.
/// Takes time in n log n of a customer's actions, and twice their memory.
///
/// # Errors
/// [`Error::TooMany`] where the actions are more than 32 bits number.
pub fn prune<I: ItemId>(
    pieces: &[Packed<'_, Action<I>>],
    customers: &[i64],
    asked: Asked<'_>,
) -> Result<(Vec<Action<I>>, Vec<u8>)> {
    if pieces.iter().all(|piece| piece.width() == 0) {
        Ok(Grouped::<I, ()>::new(pieces, 0, customers, asked)?.pruned(asked))
    } else {
        Ok(Grouped::<I, u32>::new(pieces, 0, customers, asked)?.pruned(asked))
    }
}

/// When the requests are for which actions are wanted.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The days, K and the cut-off.
    pub plan: &'a Plan,
    /// The times of each day's requests, as far as they are known to lie within; nothing of a day without any. Of no meaning where the
    /// cut-off is the day.
    pub spans: &'a [Option<TimeSpan>],
}

/// Which actions every request sees that does not have enough of newer ones.
struct Enough {
    history: usize,
    /// Those known by this day,
    last_day: Day,
    /// and before this time; where the cut-off is the day, at any.
    before: i64,
}

impl Enough {
    fn new(Asked { plan, spans }: Asked<'_>) -> Self {
        let history = plan.options().history;
        let first_day = plan.days()[0];
        match plan.options().time_cutoff {
            None => Self { history, last_day: Day(first_day.0 - 1), before: i64::MAX },
            Some(cutoff) => {
                let before = spans.iter().flatten().map(|span| cutoff.bounds(span.first).1).min();
                Self { history, last_day: first_day, before: before.unwrap_or(i64::MIN) }
            }
        }
    }

    /// How many such actions there are among those of a day.
    fn count<I: ItemId, R>(&self, day: Day, of_day: &[Entry<I, R>]) -> usize {
        match self.before {
            _ if day > self.last_day => 0,
            i64::MAX => of_day.len(),
            before => of_day.iter().filter(|entry| entry.key.time() < before).count(),
        }
    }
}

/// Sorts the newest of a customer's actions to the front, as many as requests can need, and gives their number.
///
/// Actions that come by day, newest first, are mostly sorted: where no action arrived late, sorting each day is all. Then
/// sorting also ends as soon as the first request has K actions to see.
fn newest_first<I: ItemId, R: Row>(
    entries: &mut [Entry<I, R>],
    features: &Features,
    customer: i64,
    enough: &Enough,
) -> usize {
    let (mut sorted, mut seen) = (0, 0);
    while sorted < entries.len() && seen < enough.history {
        let day = entries[sorted].key.day();
        let count = entries[sorted..].iter().take_while(|entry| entry.key.day() == day).count();
        sort(&mut entries[sorted..sorted + count]);
        // As new as one of a later day: which of them comes first, their days do not say.
        if sorted > 0 && entries[sorted - 1].key.time() <= entries[sorted].key.time() {
            break;
        }
        seen += enough.count(day, &entries[sorted..sorted + count]);
        sorted += count;
    }
    let (newer, older) = entries.split_at(sorted);
    let is_late = newer.last().is_some_and(|last| older.iter().any(|entry| entry.key.time() >= last.key.time()));
    if is_late {
        sort(entries);
        sorted = entries.len();
    }
    order_equal_times(&mut entries[..sorted], features, customer);
    sorted
}

/// Orders those of each time, among entries that are sorted as numbers: by time above all. Most times are there once.
fn order_equal_times<I: ItemId, R: Row>(entries: &mut [Entry<I, R>], features: &Features, customer: i64) {
    let of_times = entries.chunk_by_mut(|a, b| a.key.time() == b.key.time());
    for of_one_time in of_times.filter(|entries| entries.len() > 1) {
        let order = |a: &Entry<I, R>, b: &Entry<I, R>| -> Ordering {
            a.key.newest_first(b.key, customer).then_with(|| a.row.of(features).cmp(b.row.of(features)))
        };
        if of_one_time.len() > GIANT {
            of_one_time.par_sort_unstable_by(order);
        } else {
            of_one_time.sort_unstable_by(order);
        }
    }
}

/// More actions than this are sorted by several threads.
const GIANT: usize = 1 << 16;

fn sort<I: ItemId, R: Row>(entries: &mut [Entry<I, R>]) {
    let order = |a: &Entry<I, R>, b: &Entry<I, R>| a.key.cmp(&b.key);
    if entries.len() > GIANT {
        entries.par_sort_unstable_by(order);
    } else {
        entries.sort_unstable_by(order);
    }
}

impl<I: ItemId, R: Copy> Clone for Entry<I, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: ItemId, R: Copy> Copy for Entry<I, R> {}
