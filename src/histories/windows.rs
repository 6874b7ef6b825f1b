//! Which actions each day sees: windows into the values that are kept.
//!
//! Where days fall along a customer's order, as they do without late arrivals, what a day sees is one contiguous run of
//! the order, and the windows of all days share the values. Where they do not, the first K visible actions may have
//! invisible ones between them; then that day gets a copy of its own, contiguous again.

use std::ops::Range;

use super::piece::{Values, Window};
use crate::config::Plan;
use crate::event::{ActionKey, Day, ItemId, NULL_TIME};

/// Collects the values of a bucket's customers and cuts windows into them.
pub(super) struct Cutter<'a, I> {
    plan: &'a Plan,
    pub(super) values: Values<I>,
}

/// The run of a customer's order that was copied last, and where to.
struct Copied {
    source: Range<usize>,
    target: usize,
}

/// The places in a customer's order that a day sees.
enum Visible {
    Run(Range<usize>),
    Scattered(Vec<usize>),
}

impl<'a, I: ItemId> Cutter<'a, I> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self { plan, values: Values { items: Vec::new(), types: Vec::new() } }
    }

    /// Keeps what some days see of one customer's actions, newest first, and hands over each day's window.
    ///
    /// `days` are places among the plan's days, descending, so that windows begin further and further down the order and
    /// share values.
    pub(super) fn customer(
        &mut self,
        actions: &[I::Key],
        days: impl Iterator<Item = usize>,
        mut take: impl FnMut(usize, Window),
    ) {
        let in_day_order = in_day_order(actions);
        let mut copied = Copied { source: 0..0, target: self.values.items.len() };
        for index in days {
            let window = match visible(self.plan, self.plan.days()[index], actions, in_day_order) {
                Visible::Run(run) => self.shared(run, actions, &mut copied),
                Visible::Scattered(places) => self.own(&places, actions),
            };
            take(index, window);
        }
    }

    /// A window into values that other days may share.
    fn shared(&mut self, run: Range<usize>, actions: &[I::Key], copied: &mut Copied) -> Window {
        if run.is_empty() {
            return Window { start: 0, length: 0, newest: NULL_TIME };
        }
        let apart = run.start < copied.source.start || run.start > copied.source.end || copied.source.is_empty();
        // A day's own copy may stand behind the run copied last: then that run cannot grow.
        let grows = copied.target + copied.source.len() == self.values.items.len();
        if apart || (run.end > copied.source.end && !grows) {
            *copied = Copied { source: run.start..run.start, target: self.values.items.len() };
        }
        if run.end > copied.source.end {
            self.keep(actions[copied.source.end..run.end].iter().copied());
            copied.source.end = run.end;
        }
        window(copied.target + run.start - copied.source.start, run.len(), actions[run.start])
    }

    /// A window into values of its own.
    fn own(&mut self, places: &[usize], actions: &[I::Key]) -> Window {
        let start = self.values.items.len();
        self.keep(places.iter().map(|&place| actions[place]));
        window(start, places.len(), actions[places[0]])
    }

    fn keep(&mut self, actions: impl Iterator<Item = I::Key> + Clone) {
        self.values.items.extend(actions.clone().map(ActionKey::item));
        self.values.types.extend(actions.map(ActionKey::kind));
    }
}

fn window<K: ActionKey>(start: usize, length: usize, newest: K) -> Window {
    Window { start: start as u64, length: length as u64, newest: newest.time() }
}

/// Those of a customer's actions, newest first, that any day of the plan sees.
pub(super) fn visible_to_any<K: ActionKey>(plan: &Plan, actions: &[K]) -> impl Iterator<Item = K> {
    let in_day_order = in_day_order(actions);
    let mut places: Vec<usize> = Vec::new();
    for &day in plan.days() {
        match visible(plan, day, actions, in_day_order) {
            Visible::Run(run) => places.extend(run),
            Visible::Scattered(scattered) => places.extend(scattered),
        }
    }
    places.sort_unstable();
    places.dedup();
    places.into_iter().map(|place| actions[place])
}

/// Whether days fall along the order, so that what a day sees is one run of it.
fn in_day_order<K: ActionKey>(actions: &[K]) -> bool {
    actions.is_sorted_by(|newer, older| newer.day() >= older.day())
}

/// The first K actions that a day sees.
fn visible<K: ActionKey>(plan: &Plan, day: Day, actions: &[K], in_day_order: bool) -> Visible {
    let history = plan.options().history;
    if in_day_order {
        let start = actions.partition_point(|action| action.day() >= day);
        let seen = actions[start..].partition_point(|action| plan.sees(day, action.day()));
        return Visible::Run(start..start + seen.min(history));
    }
    let seen = actions.iter().enumerate().filter(|(_, action)| plan.sees(day, action.day()));
    let places: Vec<usize> = seen.map(|(place, _)| place).take(history).collect();
    match (places.first(), places.last()) {
        (Some(&first), Some(&last)) if last - first + 1 > places.len() => Visible::Scattered(places),
        (Some(&first), Some(&last)) => Visible::Run(first..last + 1),
        _ => Visible::Run(0..0),
    }
}
