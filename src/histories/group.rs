//! The actions of a bucket by customer, newest first.

use std::cmp::Reverse;
use std::ops::Range;

use rayon::slice::ParallelSliceMut;

use super::windows;
use crate::config::Plan;
use crate::event::{Action, ActionKey, ItemId};

/// The actions of a bucket, by customer, newest first.
pub(super) struct Grouped<I: ItemId> {
    /// The place of the bucket's first customer.
    first: u32,
    keys: Vec<I::Key>,
    /// For each customer of the bucket where those of its actions are that days of the plan can need.
    ranges: Vec<Range<usize>>,
}

impl<I: ItemId> Grouped<I> {
    /// Groups pieces of actions of some customers, the first of whom has the place `first`, and sorts each customer's as far as
    /// any day of the plan needs them.
    pub(super) fn new(pieces: &[&[Action<I>]], first: u32, customers: &[i64], plan: &Plan) -> Self {
        let place_of = |action: &Action<I>| (action.customer() - first) as usize;
        let mut ends = vec![0usize; customers.len()];
        let (mut any, mut by_day, mut mixed) = (None, Vec::new(), Vec::new());
        for &piece in pieces {
            let Some(key) = piece.first().map(Action::key) else { continue };
            let mut is_mixed = false;
            for action in piece {
                ends[place_of(action)] += 1;
                is_mixed |= action.key().day() != key.day();
            }
            any = Some(key);
            if is_mixed {
                mixed.extend_from_slice(piece);
            } else {
                by_day.push((key.day(), piece));
            }
        }
        mixed.sort_by_key(|action| action.key().day());
        let day_of = |of_day: &[Action<I>]| of_day.first().map(|action| action.key().day());
        let of_days = mixed.chunk_by(|a, b| a.key().day() == b.key().day());
        by_day.extend(of_days.filter_map(|of_day| Some((day_of(of_day)?, of_day))));
        by_day.sort_by_key(|&(day, _)| Reverse(day));

        let mut total = 0;
        for end in &mut ends {
            total += std::mem::replace(end, total);
        }
        let Some(any) = any else {
            return Self { first, keys: Vec::new(), ranges: vec![0..0; customers.len()] };
        };
        // `ends` holds the starts now, and each start moves to its end as its customer's actions come.
        let mut keys = vec![any; total];
        for action in by_day.iter().flat_map(|&(_, piece)| piece) {
            let place = &mut ends[place_of(action)];
            keys[*place] = action.key();
            *place += 1;
        }
        let mut start = 0;
        let ranges = ends.into_iter().zip(customers).map(|(end, &customer)| {
            let needed = newest_first(&mut keys[start..end], customer, plan);
            let range = start..start + needed;
            start = end;
            range
        });
        let ranges = ranges.collect();
        Self { first, keys, ranges }
    }

    /// The actions of the bucket's customer number `place`.
    pub(super) fn of(&self, place: usize) -> &[I::Key] {
        &self.keys[self.ranges[place].clone()]
    }

    /// The actions that any of the plan's days can use: what a customer did beyond them changes nothing.
    pub(super) fn pruned(&self, plan: &Plan) -> Vec<Action<I>> {
        let mut kept = Vec::new();
        for (customer, place) in (self.first..).zip(0..self.ranges.len()) {
            let keys = windows::visible_to_any(plan, self.of(place));
            kept.extend(keys.map(|key| Action::from_key(customer, key)));
        }
        kept
    }
}

/// Keeps of some actions what days of the plan can use, however many more a customer has.
///
/// The actions name customers by their places in `customers`. What is kept is ordered by place, and each customer's newest first. Takes time in n log n of a customer's actions, and twice their memory.
#[must_use]
pub fn prune<I: ItemId>(pieces: &[&[Action<I>]], customers: &[i64], plan: &Plan) -> Vec<Action<I>> {
    Grouped::new(pieces, 0, customers, plan).pruned(plan)
}

/// Sorts the newest of a customer's actions to the front, as many as days of the plan can need, and gives their number.
///
/// Actions that come by day, newest first, are mostly sorted: where no action arrived late, sorting each day is all. Then
/// sorting also ends as soon as the first day of the plan has K actions to see.
fn newest_first<K: ActionKey>(keys: &mut [K], customer: i64, plan: &Plan) -> usize {
    let first_day = plan.days()[0];
    let history = plan.options().history;
    let (mut sorted, mut seen) = (0, 0);
    while sorted < keys.len() && seen < history {
        let day = keys[sorted].day();
        let count = keys[sorted..].iter().take_while(|key| key.day() == day).count();
        sort(&mut keys[sorted..sorted + count]);
        // As new as one of a later day: which of them comes first, their days do not say.
        if sorted > 0 && keys[sorted - 1].time() <= keys[sorted].time() {
            break;
        }
        sorted += count;
        seen += if day < first_day { count } else { 0 };
    }
    let (newer, older) = keys.split_at(sorted);
    let is_late = newer.last().is_some_and(|last| older.iter().any(|key| key.time() >= last.time()));
    if is_late {
        sort(keys);
        sorted = keys.len();
    }
    order_equal_times(&mut keys[..sorted], customer);
    sorted
}

/// Orders those of each time, among keys that are sorted as numbers: by time above all. Most times are there once.
fn order_equal_times<K: ActionKey>(keys: &mut [K], customer: i64) {
    for of_one_time in keys.chunk_by_mut(|a, b| a.time() == b.time()).filter(|keys| keys.len() > 1) {
        let order = |a: &K, b: &K| a.newest_first(*b, customer);
        if of_one_time.len() > GIANT {
            of_one_time.par_sort_unstable_by(order);
        } else {
            of_one_time.sort_unstable_by(order);
        }
    }
}

/// More actions than this are sorted by several threads.
const GIANT: usize = 1 << 16;

fn sort<K: ActionKey>(keys: &mut [K]) {
    if keys.len() > GIANT {
        keys.par_sort_unstable();
    } else {
        keys.sort_unstable();
    }
}
