//! The actions of a bucket by customer, newest first.

use std::ops::Range;

use rayon::slice::ParallelSliceMut;

use super::windows;
use crate::config::Plan;
use crate::event::{Action, ItemId};

/// The actions of a bucket, by customer, newest first.
pub(super) struct Grouped<I: ItemId> {
    /// The place of the bucket's first customer.
    first: u32,
    keys: Vec<I::Key>,
    /// For each customer of the bucket where its actions end.
    ends: Vec<usize>,
}

impl<I: ItemId> Grouped<I> {
    /// Groups pieces of actions of the customers in a range, and sorts each customer's.
    pub(super) fn new<P: AsRef<[Action<I>]>>(pieces: &[P], customers: &Range<u32>) -> Self {
        let place_of = |action: &Action<I>| (action.customer() - customers.start) as usize;
        let mut ends = vec![0usize; customers.len()];
        let all = || pieces.iter().flat_map(|piece| piece.as_ref());
        let mut any = None;
        for action in all() {
            ends[place_of(action)] += 1;
            any = Some(action.key());
        }
        let mut total = 0;
        for end in &mut ends {
            total += std::mem::replace(end, total);
        }
        let Some(any) = any else { return Self { first: customers.start, keys: Vec::new(), ends } };
        // `ends` holds the starts now, and each start moves to its end as its customer's actions come.
        let mut keys = vec![any; total];
        for action in all() {
            let place = &mut ends[place_of(action)];
            keys[*place] = action.key();
            *place += 1;
        }
        let mut rest = keys.as_mut_slice();
        let mut start = 0;
        for &end in &ends {
            let (of_one, others) = rest.split_at_mut(end - start);
            newest_first(of_one);
            (rest, start) = (others, end);
        }
        Self { first: customers.start, keys, ends }
    }

    /// The actions of the bucket's customer number `place`.
    pub(super) fn of(&self, place: usize) -> &[I::Key] {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.keys[start..self.ends[place]]
    }

    /// The actions that any of the plan's days can use: what a customer did beyond them changes nothing.
    pub(super) fn pruned(&self, plan: &Plan) -> Vec<Action<I>> {
        let mut kept = Vec::new();
        for (customer, place) in (self.first..).zip(0..self.ends.len()) {
            let keys = windows::visible_to_any(plan, self.of(place));
            kept.extend(keys.map(|key| Action::from_key(customer, key)));
        }
        kept
    }
}

/// A customer with more actions than this is sorted by several threads.
const GIANT: usize = 1 << 16;

fn newest_first<K: Ord + Send>(keys: &mut [K]) {
    if keys.is_sorted() {
        return;
    }
    if keys.len() > GIANT {
        keys.par_sort_unstable();
    } else {
        keys.sort_unstable();
    }
}
