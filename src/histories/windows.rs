//! Which actions each day sees: windows into the values that are kept.
//!
//! Where days fall along a customer's order, as they do without late arrivals, what a day sees is one contiguous run of
//! the order, and the windows of all days share the values. Where they do not, the first K visible actions may have
//! invisible ones between them; then that day gets a copy of its own, contiguous again. The copies of many days may be many
//! times the actions, so whoever collects them is asked as they grow.

use std::ops::Range;

use super::group::{Entry, Features, Row};
use super::piece::{ActionColumn, Values, Window};
use super::times::Times;
use crate::config::Plan;
use crate::error::Result;
use crate::event::{ActionKey, Day, ItemId, NULL_TIME};
use crate::pack::Packing;

/// Collects the values of a bucket's customers and cuts windows into them.
pub(super) struct Cutter<'a, I> {
    plan: &'a Plan,
    features: &'a Features,
    packing: Packing,
    items: Vec<I>,
    types: Vec<u8>,
    times: Option<Times>,
    /// The columns of the features.
    columns: Vec<Vec<u8>>,
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
    pub(super) fn new(plan: &'a Plan, features: &'a Features) -> Self {
        let packing = plan.contents().feature_packing();
        Self {
            plan,
            features,
            items: Vec::new(),
            types: Vec::new(),
            times: plan.contents().times.map(Times::new),
            columns: vec![Vec::new(); packing.fields().len()],
            packing,
        }
    }

    /// What was kept.
    pub(super) fn into_values(self) -> Values<I> {
        let Self { packing, mut items, mut types, times, columns, .. } = self;
        items.shrink_to_fit();
        types.shrink_to_fit();
        let columns = columns.into_iter().zip(packing.fields()).map(|(mut bytes, field)| {
            bytes.shrink_to_fit();
            ActionColumn { width: field.width(), bytes }
        });
        let columns = times.map(Times::into_column).into_iter().chain(columns).collect();
        Values { items, types, columns }
    }

    /// Keeps what some days see of one customer's actions, newest first, and hands over each day's window.
    ///
    /// `days` are places among the plan's days, descending, so that windows begin further and further down the order and
    /// share values. `take` is told how many bytes the values have by then, and says whether there may be more; so does the result.
    ///
    /// # Errors
    /// [`Error::Option`](crate::error::Error::Option) where a time does not fit the unit in which times are kept.
    pub(super) fn customer<R: Row>(
        &mut self,
        actions: &[Entry<I, R>],
        days: impl Iterator<Item = usize>,
        mut take: impl FnMut(usize, Window, u64) -> bool,
    ) -> Result<bool> {
        let in_day_order = in_day_order(actions);
        let mut copied = Copied { source: 0..0, target: self.items.len() };
        for index in days {
            let window = match visible(self.plan, self.plan.days()[index], actions, in_day_order) {
                Visible::Run(run) => self.shared(run, actions, &mut copied)?,
                Visible::Scattered(places) => self.own(&places, actions)?,
            };
            if !take(index, window, self.bytes()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The bytes of what is kept so far.
    fn bytes(&self) -> u64 {
        let times = self.times.as_ref().map_or(0, |_| size_of::<i64>());
        (self.items.len() * (size_of::<I>() + 1 + times + self.packing.width())) as u64
    }

    /// A window into values that other days may share.
    fn shared<R: Row>(&mut self, run: Range<usize>, actions: &[Entry<I, R>], copied: &mut Copied) -> Result<Window> {
        if run.is_empty() {
            return Ok(Window { start: 0, length: 0, newest: NULL_TIME });
        }
        let apart = run.start < copied.source.start || run.start > copied.source.end || copied.source.is_empty();
        // A day's own copy may stand behind the run copied last: then that run cannot grow.
        let grows = copied.target + copied.source.len() == self.items.len();
        if apart || (run.end > copied.source.end && !grows) {
            *copied = Copied { source: run.start..run.start, target: self.items.len() };
        }
        if run.end > copied.source.end {
            self.keep(actions[copied.source.end..run.end].iter().copied())?;
            copied.source.end = run.end;
        }
        Ok(window(copied.target + run.start - copied.source.start, run.len(), actions[run.start].key))
    }

    /// A window into values of its own.
    fn own<R: Row>(&mut self, places: &[usize], actions: &[Entry<I, R>]) -> Result<Window> {
        let start = self.items.len();
        self.keep(places.iter().map(|&place| actions[place]))?;
        Ok(window(start, places.len(), actions[places[0]].key))
    }

    fn keep<R: Row>(&mut self, actions: impl Iterator<Item = Entry<I, R>> + Clone) -> Result<()> {
        self.items.extend(actions.clone().map(|action| action.key.item()));
        self.types.extend(actions.clone().map(|action| action.key.kind()));
        if let Some(times) = &mut self.times {
            actions.clone().try_for_each(|action| times.push(action.key.time()))?;
        }
        self.packing.unpack_into(actions.map(|action| action.row.of(self.features)), &mut self.columns);
        Ok(())
    }
}

fn window<K: ActionKey>(start: usize, length: usize, newest: K) -> Window {
    Window { start: start as u64, length: length as u64, newest: newest.time() }
}

/// Those of a customer's actions, newest first, that any day of the plan sees.
pub(super) fn visible_to_any<I: ItemId, R: Row>(
    plan: &Plan,
    actions: &[Entry<I, R>],
) -> impl Iterator<Item = Entry<I, R>> {
    let in_day_order = in_day_order(actions);
    // Not a list of places, which would have those of every day.
    let mut is_seen = vec![false; actions.len()];
    for &day in plan.days() {
        match visible(plan, day, actions, in_day_order) {
            Visible::Run(run) => is_seen[run].fill(true),
            Visible::Scattered(places) => places.into_iter().for_each(|place| is_seen[place] = true),
        }
    }
    actions.iter().zip(is_seen).filter_map(|(&action, is_seen)| is_seen.then_some(action))
}

/// Whether days fall along the order, so that what a day sees is one run of it.
fn in_day_order<I: ItemId, R: Row>(actions: &[Entry<I, R>]) -> bool {
    actions.is_sorted_by(|newer, older| newer.key.day() >= older.key.day())
}

/// The first K actions that a day sees.
fn visible<I: ItemId, R: Row>(plan: &Plan, day: Day, actions: &[Entry<I, R>], in_day_order: bool) -> Visible {
    let history = plan.options().history;
    if in_day_order {
        let start = actions.partition_point(|action| action.key.day() >= day);
        let seen = actions[start..].partition_point(|action| plan.sees(day, action.key.day()));
        return Visible::Run(start..start + seen.min(history));
    }
    let seen = actions.iter().enumerate().filter(|(_, action)| plan.sees(day, action.key.day()));
    let places: Vec<usize> = seen.map(|(place, _)| place).take(history).collect();
    match (places.first(), places.last()) {
        (Some(&first), Some(&last)) if last - first + 1 > places.len() => Visible::Scattered(places),
        (Some(&first), Some(&last)) => Visible::Run(first..last + 1),
        _ => Visible::Run(0..0),
    }
}
