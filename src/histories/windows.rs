//! Which actions each day sees: windows into the values that are kept.
//!
//! Where days fall along a customer's order, as they do without late arrivals, what a day sees is one contiguous run of
//! the order, and the windows of all days share the values. Where they do not, the first K visible actions may have
//! invisible ones between them; then that day gets a copy of its own, contiguous again.

use std::ops::Range;

use super::{Grouped, Values, Window};
use crate::config::Plan;
use crate::event::{Action, Day, ItemId, NULL_TIME};

/// Cuts the windows of one bucket.
pub(super) struct Cutter<'a, I> {
    plan: &'a Plan,
    /// For each day the places of its customers that are still to come.
    days: Vec<&'a [u32]>,
    bucket: u32,
    values: Values<I>,
    /// For each day the windows of its customers so far.
    windows: Vec<Vec<Window>>,
}

/// The run of a customer's order that was copied last, and where to.
struct Copied {
    source: Range<usize>,
    target: usize,
}

impl<'a, I: ItemId> Cutter<'a, I> {
    pub(super) fn new(plan: &'a Plan, days: &[&'a [u32]], bucket: u32) -> Self {
        let values = Values { items: Vec::new(), types: Vec::new() };
        Self { plan, bucket, values, windows: days.iter().map(|_| Vec::new()).collect(), days: days.to_vec() }
    }

    /// The kept values, and for each day the windows of its customers among `customers`.
    pub(super) fn cut(mut self, grouped: &Grouped<I>, customers: Range<u32>) -> (Values<I>, Vec<Vec<Window>>) {
        for day in &mut self.days {
            *day = &day[day.partition_point(|&customer| customer < customers.start)..];
        }
        let mut start = 0;
        for (customer, &end) in customers.zip(&grouped.ends) {
            self.customer(customer, &grouped.actions[start as usize..end as usize]);
            start = end;
        }
        self.values.items.shrink_to_fit();
        self.values.types.shrink_to_fit();
        (self.values, self.windows)
    }

    fn customer(&mut self, customer: u32, actions: &[Action<I>]) {
        let in_day_order = actions.is_sorted_by(|newer, older| newer.day >= older.day);
        let mut copied = Copied { source: 0..0, target: self.values.items.len() };
        // From the last day to the first, so that windows begin further and further down the order and share values.
        for index in (0..self.days.len()).rev() {
            let Some((&next, rest)) = self.days[index].split_first() else { continue };
            if next != customer {
                continue;
            }
            self.days[index] = rest;
            let day = self.plan.days()[index];
            let visible =
                if in_day_order { Visible::Run(self.visible_run(day, actions)) } else { self.visible(day, actions) };
            let window = match visible {
                Visible::Run(run) => {
                    let newest =
                        actions.get(run.start).filter(|_| !run.is_empty()).map_or(NULL_TIME, |action| action.time);
                    self.shared(run, newest, actions, &mut copied)
                }
                Visible::Scattered(places) => self.own(&places, actions),
            };
            self.windows[index].push(window);
        }
    }

    /// What a day sees where days fall along the order.
    fn visible_run(&self, day: Day, actions: &[Action<I>]) -> Range<usize> {
        let start = actions.partition_point(|action| action.day >= day);
        let seen = actions[start..].partition_point(|action| self.plan.sees(day, action.day));
        start..start + seen.min(self.plan.options().history)
    }

    /// What a day sees where they do not: the first K visible actions.
    fn visible(&self, day: Day, actions: &[Action<I>]) -> Visible {
        let places =
            actions.iter().enumerate().filter(|(_, action)| self.plan.sees(day, action.day)).map(|(place, _)| place);
        let places: Vec<usize> = places.take(self.plan.options().history).collect();
        match (places.first(), places.last()) {
            (Some(&first), Some(&last)) if last - first + 1 > places.len() => Visible::Scattered(places),
            (Some(&first), Some(&last)) => Visible::Run(first..last + 1),
            _ => Visible::Run(0..0),
        }
    }

    /// A window into values that other days may share.
    fn shared(&mut self, run: Range<usize>, newest: i64, actions: &[Action<I>], copied: &mut Copied) -> Window {
        if run.is_empty() {
            return self.window(self.values.items.len(), 0, NULL_TIME);
        }
        if run.start < copied.source.start || run.start > copied.source.end || copied.source.is_empty() {
            *copied = Copied { source: run.start..run.start, target: self.values.items.len() };
        }
        // A copy of another day's own may stand behind the run copied last: then it cannot grow.
        let grows = copied.target + copied.source.len() == self.values.items.len();
        if run.end > copied.source.end && !grows {
            *copied = Copied { source: run.start..run.start, target: self.values.items.len() };
        }
        if run.end > copied.source.end {
            self.keep(actions[copied.source.end..run.end].iter());
            copied.source.end = run.end;
        }
        self.window(copied.target + run.start - copied.source.start, run.len(), newest)
    }

    /// A window into values of its own.
    fn own(&mut self, places: &[usize], actions: &[Action<I>]) -> Window {
        let start = self.values.items.len();
        self.keep(places.iter().map(|&place| &actions[place]));
        self.window(start, places.len(), places.first().map_or(NULL_TIME, |&place| actions[place].time))
    }

    fn keep<'b>(&mut self, actions: impl Iterator<Item = &'b Action<I>> + Clone) {
        self.values.items.extend(actions.clone().map(|action| action.item));
        self.values.types.extend(actions.map(|action| action.kind));
    }

    fn window(&self, start: usize, length: usize, newest: i64) -> Window {
        // K is at most 2^16, so a length fits 32 bits.
        Window { bucket: self.bucket, length: length as u32, start: start as u64, newest }
    }
}

enum Visible {
    Run(Range<usize>),
    Scattered(Vec<usize>),
}
