//! The actions of a bucket by customer, newest first.

use std::ops::Range;

use rayon::slice::ParallelSliceMut;

use super::windows;
use crate::config::Plan;
use crate::event::{Action, ItemId};

/// The actions of a bucket, by customer, newest first.
pub(super) struct Grouped<I> {
    pub(super) actions: Vec<Action<I>>,
    /// For each customer of the bucket where its actions end.
    pub(super) ends: Vec<usize>,
}

impl<I: ItemId> Grouped<I> {
    /// Groups pieces of actions of the customers in a range, and sorts each customer's.
    pub(super) fn new<P: AsRef<[Action<I>]>>(pieces: &[P], customers: &Range<u32>) -> Self {
        let place_of = |action: &Action<I>| (action.customer() - customers.start) as usize;
        let mut ends = vec![0usize; customers.len()];
        let all = || pieces.iter().flat_map(|piece| piece.as_ref());
        for action in all() {
            ends[place_of(action)] += 1;
        }
        let mut total = 0;
        for end in &mut ends {
            total += std::mem::replace(end, total);
        }
        // `ends` holds the starts now, and each start moves to its end as its customer's actions come.
        let mut actions = vec![bytemuck::Zeroable::zeroed(); total];
        for action in all() {
            let place = &mut ends[place_of(action)];
            actions[*place] = *action;
            *place += 1;
        }
        let mut grouped = Self { actions, ends };
        let mut rest = grouped.actions.as_mut_slice();
        let mut start = 0;
        for &end in &grouped.ends {
            let (of_one, others) = rest.split_at_mut(end - start);
            newest_first(of_one);
            (rest, start) = (others, end);
        }
        grouped
    }

    /// The actions of the bucket's customer number `place`.
    pub(super) fn of(&self, place: usize) -> &[Action<I>] {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.actions[start..self.ends[place]]
    }

    /// The actions that any of the plan's days can use: what a customer did beyond them changes nothing.
    pub(super) fn pruned(&self, plan: &Plan) -> Vec<Action<I>> {
        let mut kept = Vec::new();
        for place in 0..self.ends.len() {
            windows::keep_visible(plan, self.of(place), &mut kept);
        }
        kept
    }
}

/// A customer with more actions than this is sorted by several threads.
const GIANT: usize = 1 << 16;

fn newest_first<I: ItemId>(actions: &mut [Action<I>]) {
    let key = |action: &Action<I>| std::cmp::Reverse((action.time(), action.item(), action.kind()));
    if actions.is_sorted_by_key(key) {
        return;
    }
    if actions.len() > GIANT {
        actions.par_sort_unstable_by_key(key);
    } else {
        actions.sort_unstable_by_key(key);
    }
}
