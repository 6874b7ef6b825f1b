//! Actions grouped by customer, newest first, in contiguous arrays, and for each customer and day the window into them.
//!
//! ```text
//! pieces (any order)          bucket (a range of customers)                 values of the bucket
//! ┌──────────────┐  split   ┌──────────────────────────────┐  windows   ┌──────────────────────┐
//! │ a7 c2 a3 … ──┼────────► │ a newest … oldest │ c … │ …  │ ─────────► │ items: 3 7 … 2 …     │
//! └──────────────┘  by      └──────────────────────────────┘            │ types: 1 3 … 1 …     │
//!                   place     sorted: time, item, type, descending      └──────────────────────┘
//! ```
//!
//! Knows customers and days; knows no impressions and no files. The order is total but for identical actions, so the
//! result does not depend on the order in which actions came. Customers are split into buckets, contiguous in the order of
//! their hash; buckets are independent, so they are worked off in parallel.

mod windows;

use rayon::prelude::{IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::config::Plan;
use crate::error::{Error, Result};
use crate::event::{Action, ItemId};
use windows::Cutter;

/// The actions of a bucket of customers: parallel arrays, each customer's newest first.
///
/// Customers are apart only through the windows into the arrays.
#[derive(Debug)]
pub struct Values<I> {
    /// The items, `[A]`.
    pub items: Vec<I>,
    /// The action types, `[A] u8`.
    pub types: Vec<u8>,
}

/// The part of [`Values`] that a customer's samples of one day see: the first `length` actions of the padded row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Which of [`Histories::buckets`] holds it.
    pub bucket: u32,
    /// At most K.
    pub length: u32,
    /// Where it begins in the bucket's arrays.
    pub start: u64,
    /// The time of its newest action in microseconds since the epoch; [`NULL_TIME`](crate::event::NULL_TIME) where it is
    /// empty or knows no time.
    pub newest: i64,
}

/// The histories of all customers of a run.
#[derive(Debug)]
pub struct Histories<I> {
    /// The buckets' arrays.
    pub buckets: Vec<Values<I>>,
    /// For each day of the plan the windows of that day's customers, in their order.
    pub windows: Vec<Vec<Window>>,
}

impl<I: ItemId> Histories<I> {
    /// Groups and sorts actions, and finds the windows of each day's customers.
    ///
    /// `days` has for each day of the plan the places of its customers, ascending and below `customers`. Takes time in
    /// n log n of a customer's actions; holds the actions twice for a while.
    ///
    /// # Errors
    /// [`Error::TooMany`] beyond 2^32 actions of a bucket.
    pub fn new(pieces: Vec<Vec<Action<I>>>, customers: u32, days: &[&[u32]], plan: &Plan) -> Result<Self> {
        let total: usize = pieces.iter().map(Vec::len).sum();
        let buckets = Buckets::new(customers, total);
        let pieces: Vec<Piece<I>> = pieces.into_par_iter().map(|piece| buckets.split(piece)).collect();
        let built = (0..buckets.count)
            .into_par_iter()
            .map(|bucket| {
                let actions = group(&pieces, &buckets, bucket)?;
                Ok(Cutter::new(plan, days, bucket).cut(&actions, buckets.customers(bucket)))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut histories = Self { buckets: Vec::new(), windows: days.iter().map(|_| Vec::new()).collect() };
        for (values, windows) in built {
            histories.buckets.push(values);
            for (day, more) in histories.windows.iter_mut().zip(windows) {
                day.extend(more);
            }
        }
        Ok(histories)
    }
}

/// How customers are split into buckets.
struct Buckets {
    count: u32,
    customers_each: u32,
    customers: u32,
}

/// About as many actions as a core's cache holds while they are sorted.
const ACTIONS_PER_BUCKET: usize = 1 << 16;
/// More buckets than this make the pieces' parts too short to be worth their bookkeeping.
const MOST_BUCKETS: usize = 1 << 10;

impl Buckets {
    fn new(customers: u32, actions: usize) -> Self {
        let wanted = actions.div_ceil(ACTIONS_PER_BUCKET).clamp(1, MOST_BUCKETS) as u32;
        let customers_each = customers.div_ceil(wanted).max(1);
        Self { count: customers.div_ceil(customers_each), customers_each, customers }
    }

    fn customers(&self, bucket: u32) -> std::ops::Range<u32> {
        let start = bucket * self.customers_each;
        start..start.saturating_add(self.customers_each).min(self.customers)
    }

    fn split<I: ItemId>(&self, piece: Vec<Action<I>>) -> Piece<I> {
        let mut ends = vec![0usize; self.count as usize];
        let bucket_of = |action: &Action<I>| (action.customer / self.customers_each) as usize;
        for action in &piece {
            ends[bucket_of(action)] += 1;
        }
        let mut start = 0;
        for end in &mut ends {
            start += std::mem::replace(end, start);
        }
        // `ends` holds the starts now, and each start moves to its end as its bucket fills.
        let mut actions = piece.clone();
        for action in &piece {
            let place = &mut ends[bucket_of(action)];
            actions[*place] = *action;
            *place += 1;
        }
        Piece { actions, ends }
    }
}

/// Actions ordered by bucket.
struct Piece<I> {
    actions: Vec<Action<I>>,
    /// For each bucket where its actions end; they begin where those of the bucket before end.
    ends: Vec<usize>,
}

impl<I> Piece<I> {
    fn bucket(&self, bucket: u32) -> &[Action<I>] {
        let bucket = bucket as usize;
        let start = bucket.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.actions[start..self.ends[bucket]]
    }
}

/// The actions of a bucket, by customer, newest first.
struct Grouped<I> {
    actions: Vec<Action<I>>,
    /// For each customer of the bucket where its actions end.
    ends: Vec<u32>,
}

fn group<I: ItemId>(pieces: &[Piece<I>], buckets: &Buckets, bucket: u32) -> Result<Grouped<I>> {
    let customers = buckets.customers(bucket);
    let total: usize = pieces.iter().map(|piece| piece.bucket(bucket).len()).sum();
    let limit = u32::MAX;
    if total as u64 > u64::from(limit) {
        return Err(Error::TooMany {
            what: "actions in a bucket of customers",
            count: total as u64,
            limit: u64::from(limit),
        });
    }
    let mut ends = vec![0u32; customers.len()];
    let place_of = |action: &Action<I>| (action.customer - customers.start) as usize;
    let mut any = None;
    for action in pieces.iter().flat_map(|piece| piece.bucket(bucket)) {
        ends[place_of(action)] += 1;
        any = Some(*action);
    }
    let Some(any) = any else { return Ok(Grouped { actions: Vec::new(), ends }) };
    let mut start = 0;
    for end in &mut ends {
        start += std::mem::replace(end, start);
    }
    let mut actions = vec![any; total];
    for action in pieces.iter().flat_map(|piece| piece.bucket(bucket)) {
        let place = &mut ends[place_of(action)];
        actions[*place as usize] = *action;
        *place += 1;
    }
    let mut rest = actions.as_mut_slice();
    let mut start = 0;
    for &end in &ends {
        let (of_one, others) = rest.split_at_mut((end - start) as usize);
        newest_first(of_one);
        (rest, start) = (others, end);
    }
    Ok(Grouped { actions, ends })
}

/// A customer with more actions than this is sorted by several threads.
const GIANT: usize = 1 << 16;

fn newest_first<I: ItemId>(actions: &mut [Action<I>]) {
    let key = |action: &Action<I>| std::cmp::Reverse((action.time, action.item, action.kind));
    if actions.is_sorted_by_key(key) {
        return;
    }
    if actions.len() > GIANT {
        actions.par_sort_unstable_by_key(key);
    } else {
        actions.sort_unstable_by_key(key);
    }
}
