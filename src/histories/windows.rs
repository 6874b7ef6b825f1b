//! Which actions each request sees: windows into the values that are kept.
//!
//! What a day lets its requests see of a customer's order is one contiguous run of it where days fall along the order, as they do
//! without late arrivals. A request sees a part of that run, and the windows of all requests of all days share the values. Where a
//! day hides actions between others, what its requests see together gets a copy of its own, contiguous again. The copies of many
//! days may be many times the actions, so whoever collects them is asked as they grow.

use std::ops::Range;

use super::group::{Entry, Features, Row};
use super::piece::{ActionColumn, Values, Window};
use super::samples::DayRequest;
use super::times::Times;
use crate::config::{Plan, TimeCutoff};
use crate::error::Result;
use crate::event::{ActionKey, Day, ItemId, NULL_TIME, TimeSpan};
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
    /// Those of a customer's requests of one day; their memory is used again.
    cuts: Vec<Cut>,
}

/// What a request sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) window: Window,
    /// How many actions stood exactly at its cut-off.
    pub(super) at_cutoff: u32,
    /// How many it would see if they had been known by its day.
    pub(super) hidden_late: u32,
}

/// The run of a customer's order that was copied last, and where to.
struct Copied {
    source: Range<usize>,
    target: usize,
}

/// The places in a customer's order that a day lets its requests see.
enum Visible {
    Run(Range<usize>),
    Scattered(Vec<usize>),
}

impl Visible {
    fn len(&self) -> usize {
        match self {
            Self::Run(run) => run.len(),
            Self::Scattered(places) => places.len(),
        }
    }

    /// The place in the order of the one with this number.
    fn place(&self, number: usize) -> usize {
        match self {
            Self::Run(run) => run.start + number,
            Self::Scattered(places) => places[number],
        }
    }

    /// The number of the first one of which `newer` does not hold; it holds of the newest ones.
    fn count(&self, newer: impl Fn(usize) -> bool) -> usize {
        let (mut known, mut end) = (0, self.len());
        while known < end {
            let middle = usize::midpoint(known, end);
            if newer(self.place(middle)) {
                known = middle + 1;
            } else {
                end = middle;
            }
        }
        known
    }
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
            cuts: Vec::new(),
        }
    }

    /// The bytes that are kept so far.
    fn bytes(&self) -> u64 {
        let columns: usize = self.columns.iter().map(Vec::len).sum();
        let times = self.times.as_ref().map_or(0, Times::bytes);
        (self.items.len() * size_of::<I>() + self.types.len() + times + columns) as u64
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

    /// Keeps what the requests of some days see of one customer's actions, newest first, and hands over each day's cuts.
    ///
    /// `days` are places among the plan's days, descending, each with the customer's requests in their order, so that windows begin
    /// further and further down the order and share values. `take` is told how many bytes the values have by then, and says whether
    /// there may be more; false where it has said no.
    ///
    /// # Errors
    /// [`Error::Option`](crate::error::Error::Option) where a time does not fit the unit in which times are kept.
    pub(super) fn customer<'r, R: Row>(
        &mut self,
        actions: &[Entry<I, R>],
        days: impl Iterator<Item = (usize, &'r [DayRequest])>,
        mut take: impl FnMut(usize, &[Cut], u64) -> bool,
    ) -> Result<bool> {
        let in_day_order = in_day_order(actions);
        let mut copied = Copied { source: 0..0, target: self.items.len() };
        for (index, requests) in days {
            let visible = visible(self.plan, self.plan.days()[index], actions, in_day_order);
            let mut cuts = std::mem::take(&mut self.cuts);
            cuts.clear();
            cuts.extend(requests.iter().map(|request| cut(self.plan, &visible, actions, request.time)));
            self.keep_cuts(&mut cuts, &visible, actions, &mut copied)?;
            let goes_on = take(index, &cuts, self.bytes());
            self.cuts = cuts;
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Keeps what the requests of a day see. Their windows, which are into what the day lets them see, become windows into the values.
    ///
    /// Later requests begin further up and end no further down. Those whose windows overlap share one stretch of values, whatever
    /// else was copied.
    fn keep_cuts<R: Row>(
        &mut self,
        cuts: &mut [Cut],
        visible: &Visible,
        actions: &[Entry<I, R>],
        copied: &mut Copied,
    ) -> Result<()> {
        // Descending, as the days are.
        let overlap = |earlier: &Cut, later: &Cut| {
            earlier.window.length > 0
                && later.window.length > 0
                && earlier.window.start < later.window.start + later.window.length
        };
        let mut rest = cuts;
        while let Some(&last) = rest.last() {
            let more = rest.windows(2).rev().take_while(|pair| overlap(&pair[0], &pair[1])).count();
            let start = last.window.start as usize;
            let (others, stretch) = rest.split_at_mut(rest.len() - 1 - more);
            rest = others;
            let Some(end) = stretch.first().map(|first| (first.window.start + first.window.length) as usize) else {
                continue;
            };
            if start == end {
                stretch.iter_mut().for_each(|cut| cut.window.start = 0);
                continue;
            }
            let (first, behind) = (visible.place(start), visible.place(end - 1) + 1);
            let target = match visible {
                Visible::Scattered(places) if behind - first > end - start => self.own(&places[start..end], actions)?,
                Visible::Run(_) | Visible::Scattered(_) => self.shared(first..behind, actions, copied)?,
            };
            for cut in stretch {
                cut.window.start = target + (cut.window.start - start as u64);
            }
        }
        Ok(())
    }

    /// Where values lie that other days may share.
    fn shared<R: Row>(&mut self, run: Range<usize>, actions: &[Entry<I, R>], copied: &mut Copied) -> Result<u64> {
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
        Ok((copied.target + run.start - copied.source.start) as u64)
    }

    /// Where values of a day's own lie.
    fn own<R: Row>(&mut self, places: &[usize], actions: &[Entry<I, R>]) -> Result<u64> {
        let start = self.items.len() as u64;
        self.keep(places.iter().map(|&place| actions[place]))?;
        Ok(start)
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

/// What a request sees of what its day lets it see: the window is into that.
fn cut<I: ItemId, R: Row>(plan: &Plan, visible: &Visible, actions: &[Entry<I, R>], time: i64) -> Cut {
    let Some(cutoff) = plan.options().time_cutoff else {
        return cut_to(visible, actions, 0..visible.len());
    };
    let time_of = |place: usize| actions[place].key.time();
    let (first, before) = cutoff.bounds(time);
    let history = plan.options().history;
    let start = visible.count(|place| time_of(place) >= before);
    let length = in_reach(visible, start, history, |place| time_of(place) >= first);
    // Of the whole order, from the newest that is early enough to the oldest that could be seen.
    let newest = actions.partition_point(|action| action.key.time() >= before);
    let behind = if length == history {
        visible.place(start + length - 1) + 1
    } else {
        actions.partition_point(|action| action.key.time() >= first)
    };
    // No more than 32 bits number.
    Cut {
        at_cutoff: (start - visible.count(|place| time_of(place) > before)) as u32,
        hidden_late: behind.saturating_sub(newest).saturating_sub(length) as u32,
        ..cut_to(visible, actions, start..start + length)
    }
}

/// A cut of what a day lets its requests see.
fn cut_to<I: ItemId, R: Row>(visible: &Visible, actions: &[Entry<I, R>], range: Range<usize>) -> Cut {
    let newest = if range.is_empty() { NULL_TIME } else { actions[visible.place(range.start)].key.time() };
    let window = Window { start: range.start as u64, length: range.len() as u64, newest };
    Cut { window, at_cutoff: 0, hidden_late: 0 }
}

/// How many actions from `start` on a request sees, at most K: those that lie within its look-back.
fn in_reach(visible: &Visible, start: usize, history: usize, reaches: impl Fn(usize) -> bool) -> usize {
    let most = (visible.len() - start).min(history);
    // The oldest of them mostly does.
    match most.checked_sub(1) {
        Some(last) if !reaches(visible.place(start + last)) => visible.count(reaches).saturating_sub(start).min(most),
        _ => most,
    }
}

/// Those of a customer's actions, newest first, that any day of the plan sees; `spans` are the times of each day's requests.
pub(super) fn visible_to_any<I: ItemId, R: Row>(
    plan: &Plan,
    spans: &[Option<TimeSpan>],
    actions: &[Entry<I, R>],
) -> impl Iterator<Item = Entry<I, R>> {
    let in_day_order = in_day_order(actions);
    // Not a list of places, which would have those of every day.
    let mut is_seen = vec![false; actions.len()];
    for (&day, &span) in plan.days().iter().zip(spans) {
        let visible = visible(plan, day, actions, in_day_order);
        let range = match (plan.options().time_cutoff, span) {
            (None, _) => 0..visible.len(),
            (Some(cutoff), Some(span)) => {
                visible_within(cutoff, span, plan.options().history, &visible, |place| actions[place].key.time())
            }
            // Nobody asks.
            (Some(_), None) => 0..0,
        };
        range.for_each(|number| is_seen[visible.place(number)] = true);
    }
    actions.iter().zip(is_seen).filter_map(|(&action, is_seen)| is_seen.then_some(action))
}

/// What requests at any times of a span see together, and the actions that stand exactly at their cut-offs.
fn visible_within(
    cutoff: TimeCutoff,
    span: TimeSpan,
    history: usize,
    visible: &Visible,
    time_of: impl Fn(usize) -> i64,
) -> Range<usize> {
    let (_, last) = cutoff.bounds(span.last);
    let (oldest, first) = cutoff.bounds(span.first);
    let start = visible.count(|place| time_of(place) > last);
    let of_first = visible.count(|place| time_of(place) >= first);
    start..of_first + in_reach(visible, of_first, history, |place| time_of(place) >= oldest)
}

/// Whether days fall along the order, so that what a day lets its requests see is one run of it.
fn in_day_order<I: ItemId, R: Row>(actions: &[Entry<I, R>]) -> bool {
    actions.is_sorted_by(|newer, older| newer.key.day() >= older.key.day())
}

/// The actions that a day lets its requests see; with a cut-off at the day the first K, which is what each of them sees.
fn visible<I: ItemId, R: Row>(plan: &Plan, day: Day, actions: &[Entry<I, R>], in_day_order: bool) -> Visible {
    let is_at_time = plan.options().time_cutoff.is_some();
    let most = if is_at_time { usize::MAX } else { plan.options().history };
    if in_day_order {
        // Of the others those of its own day are not seen where the cut-off is the day.
        let first_hidden = Day(day.0 + i32::from(is_at_time));
        let start = actions.partition_point(|action| action.key.day() >= first_hidden);
        let seen = actions[start..].partition_point(|action| plan.sees(day, action.key.day()));
        return Visible::Run(start..start + seen.min(most));
    }
    let seen = actions.iter().enumerate().filter(|(_, action)| plan.sees(day, action.key.day()));
    let places: Vec<usize> = seen.map(|(place, _)| place).take(most).collect();
    match (places.first(), places.last()) {
        (Some(&first), Some(&last)) if last - first + 1 > places.len() => Visible::Scattered(places),
        (Some(&first), Some(&last)) => Visible::Run(first..last + 1),
        _ => Visible::Run(0..0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;
    use crate::event::Action;
    use crate::schema;

    const HOUR: i64 = 3_600_000_000;

    const DESCRIPTION: &str = r#"
        version = 1
        types = { click = 1 }
        history = { length = 9, cutoff = "time" }
        samples = { path = "shown", customer = "customer", item = "item", day = "day", time = "time" }
        [actions.clicks]
        path = "clicks"
        type = "click"
        customer = "customer"
        item = "item"
        day = "day"
        time = "time"
    "#;

    /// An action of a day at an hour of it, or of an earlier day that became known only on this one.
    fn action(day: i32, hour: i64, item: i32) -> Entry<i32, ()> {
        Entry { key: Action::new(0, Day(day), hour * HOUR, item, 1).key(), row: () }
    }

    /// The items that are kept of a customer's actions, and for each day, the last one first, the start and length of each request's
    /// window into them. `requests` are days with the hours of their requests.
    fn kept(
        options: Options,
        actions: &[Entry<i32, ()>],
        requests: &[(i32, &[i64])],
    ) -> (Vec<i32>, Vec<Vec<(u64, u64)>>) {
        let plan = Plan::new(options).unwrap();
        let features = Features::none();
        let mut cutter = Cutter::<i32>::new(&plan, &features);
        let request = |&hour: &i64| DayRequest { place: 0, time: hour * HOUR, id: 0, end: 0 };
        let days: Vec<(usize, Vec<DayRequest>)> = requests
            .iter()
            .map(|(day, hours)| (plan.day_index(Day(*day)).unwrap(), hours.iter().map(request).collect()))
            .collect();
        let mut windows = Vec::new();
        let days = days.iter().map(|(index, requests)| (*index, requests.as_slice()));
        let take = |_: usize, cuts: &[Cut], _: u64| {
            windows.push(cuts.iter().map(|cut| (cut.window.start, cut.window.length)).collect());
            true
        };
        assert!(cutter.customer(actions, days, take).unwrap());
        (cutter.into_values().items, windows)
    }

    fn options(history: usize, first: i32, last: i32) -> Options {
        Options { history, ..Options::new("out", Day(first), Day(last)) }
    }

    /// ```text
    /// newest first   60 50 40 30 20 10       items; the number is ten times the day
    /// day 6             └─┴──┘               sees 50, 40, 30: K = 3
    /// day 5                └──┴──┘           sees 40, 30, 20
    /// kept              50 40 30 20          once, for both
    /// ```
    #[test]
    fn days_share_what_they_see() {
        let actions: Vec<_> = (1..=6).rev().map(|day| action(day, i64::from(day) * 24, day * 10)).collect();
        let (items, windows) = kept(options(3, 5, 6), &actions, &[(6, &[0]), (5, &[0])]);
        assert_eq!(items, [50, 40, 30, 20]);
        assert_eq!(windows, [[(0, 3)], [(1, 3)]]);
    }

    /// 40 is older than 30 and became known a day later, so that day 3 does not see it and it stands between what that day sees.
    ///
    /// ```text
    /// newest first   30 40 20        became known on days 2, 3 and 1
    /// day 4          └──┴──┘         sees all
    /// day 3          └─────┘         sees 30 and 20: a copy of its own
    /// kept           30 40 20 30 20
    /// ```
    #[test]
    fn a_late_action_gives_a_day_a_copy_of_its_own() {
        let actions = [action(2, 40, 30), action(3, 39, 40), action(1, 24, 20)];
        let (items, windows) = kept(options(9, 3, 4), &actions, &[(4, &[0]), (3, &[0])]);
        assert_eq!(items, [30, 40, 20, 30, 20]);
        assert_eq!(windows, [[(0, 3)], [(3, 2)]]);
    }

    /// Strictly before its own time: the request at 10 does not see what happened at 10. Requests stand by time.
    #[test]
    fn requests_of_a_day_share_what_they_see_at_their_times() {
        let actions = [action(0, 11, 3), action(0, 10, 2), action(0, 9, 1)];
        let schema = schema::from_toml(DESCRIPTION).unwrap();
        let at_time = Options::described(schema, "out", Day(0), Day(0));
        let (items, windows) = kept(at_time, &actions, &[(0, &[9, 10, 12])]);
        assert_eq!(items, [3, 2, 1]);
        assert_eq!(windows, [[(0, 0), (2, 1), (0, 3)]]);
    }
}
