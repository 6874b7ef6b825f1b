//! The same job cut into tasks, for an engine that spreads them over machines.
//!
//! ```text
//!               map tasks                          a task for each part
//! batches ──► check, prune, pack ──┐           ┌──► histories, cut, write ──► files, a report ──┐
//! batches ──► check, prune, pack ──┼─ shuffle ─┼──► histories, cut, write ──► files, a report ──┼──► driver: manifest, publish
//! batches ──► check, prune, pack ──┘           └──► histories, cut, write ──► files, a report ──┘
//! ```
//!
//! Knows what a task does and what travels between tasks; knows no engine. A part is a shard of all the days that are cut
//! into as many shards. The rows of the shuffle ([`schema`]) are grouped by part and ordered by kind, and nothing else of their
//! order matters. A map task may run any number of times, as long as the engine takes its rows once; a part's task too, as
//! each attempt writes files of its own and the driver publishes those of which it has the report. So the files and the
//! manifests are those of a single machine, whatever became of the tasks on the way.

mod count;
mod driver;
mod map;
mod reduce;
mod rows;

use crate::config::Plan;
use crate::error::{Error, Invariant, Result};
use crate::event::{Day, HashRange, TimeSpan, customer_hash, shard_of};

use count::Filter;

pub use count::count;
pub use driver::{Counted, Driver};
pub use map::Mapper;
pub use reduce::{Report, reduce};
pub use rows::schema;

/// The memory of a task where the options say nothing: engines run several on a machine.
const MEMORY_PER_TASK: u64 = 1 << 30;

/// What all tasks of a run have to know.
#[derive(Debug)]
pub struct Job {
    plan: Plan,
    groups: Vec<Group>,
    /// For each day of the plan its group, and its place there; none where nothing is shuffled.
    group_of_day: Vec<(usize, u32)>,
    routes: Vec<i32>,
    /// The customers whose actions matter; all where it is not known.
    customers: Option<Filter>,
    /// For each day of the plan the times of its requests, as far as they are known to lie within; nothing of a day without any.
    spans: Vec<Option<TimeSpan>>,
}

/// The route of what is for the driver, where nothing is shuffled.
const REPORTS_ROUTE: i32 = 0;

/// The days with one number of shards.
#[derive(Debug)]
struct Group {
    plan: Plan,
    shards: u32,
    /// The part that is their shard 0.
    first_part: u32,
}

impl Group {
    fn part_of(&self, customer: i64) -> u32 {
        self.first_part + shard_of(customer_hash(customer), self.shards)
    }
}

impl Job {
    /// What is built.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A job that only looks at the tables: nothing is shuffled.
    #[must_use]
    pub fn counting(plan: Plan) -> Self {
        let spans = any_time(&plan);
        Self { plan, groups: Vec::new(), group_of_day: Vec::new(), routes: Vec::new(), customers: None, spans }
    }

    /// The job of a plan whose days have so many shards; `routes` gives each part the number by which the engine finds its
    /// task, and has [`parts`] of them, all different.
    ///
    /// # Errors
    /// [`Error::Tasks`] when days, shards and routes do not fit together.
    pub fn new(plan: Plan, shards: &[u32], routes: Vec<i32>) -> Result<Self> {
        let misfit = |problem: String| Error::Tasks { problem };
        if shards.len() != plan.days().len() || parts(shards) != routes.len() as u64 {
            return Err(misfit(format!(
                "{} days, {} shard counts, {} routes",
                plan.days().len(),
                shards.len(),
                routes.len()
            )));
        }
        let mut groups = Vec::new();
        let mut group_of_day = vec![(0, 0); shards.len()];
        let mut first_part = 0;
        for (number, count) in different(shards).into_iter().enumerate() {
            let places: Vec<usize> = (0..shards.len()).filter(|&day| shards[day] == count).collect();
            for (place, &day) in (0..).zip(&places) {
                group_of_day[day] = (number, place);
            }
            let days = places.iter().map(|&day| plan.days()[day]).collect();
            groups.push(Group { plan: plan.for_days(days), shards: count, first_part });
            first_part += count;
        }
        let spans = any_time(&plan);
        Ok(Self { plan, groups, group_of_day, routes, customers: None, spans })
    }

    /// Leaves out the actions of customers who have no impressions, by the filter of [`Counted`].
    ///
    /// # Errors
    /// [`Error::Tasks`] when it is none.
    pub fn with_customers(self, filter: &[u8]) -> Result<Self> {
        Ok(Self { customers: Some(Filter::from_bytes(filter)?), ..self })
    }

    /// Leaves out actions that no request can see at the times of [`Counted`]; without them all actions of the customers travel
    /// that are known by the last day, where the cut-off is the time.
    ///
    /// # Errors
    /// [`Error::Tasks`] when there is not one span for each day.
    pub fn with_spans(self, spans: Vec<Option<TimeSpan>>) -> Result<Self> {
        if spans.len() != self.plan.days().len() {
            let problem = format!("{} spans of request times for {} days", spans.len(), self.plan.days().len());
            return Err(Error::Tasks { problem });
        }
        Ok(Self { spans, ..self })
    }

    /// The spans of a group's days.
    fn spans_of(&self, group: &Group) -> Result<Vec<Option<TimeSpan>>> {
        let of_day = |&day: &Day| self.plan.day_index(day).and_then(|index| self.spans.get(index).copied());
        let spans = group.plan.days().iter().map(of_day);
        spans.collect::<Option<_>>().invariant("the days of a group are days of the plan")
    }

    /// False where a customer has no impressions.
    fn may_matter(&self, customer: i64) -> bool {
        self.customers.as_ref().is_none_or(|filter| filter.may_hold(customer))
    }

    /// The group that a part belongs to, and which of its shards it is.
    fn part(&self, part: u32) -> Result<(&Group, HashRange, u32)> {
        let group = self.groups.iter().rfind(|group| group.first_part <= part);
        let group = group.filter(|group| part - group.first_part < group.shards);
        let group = group.ok_or_else(|| Error::Tasks { problem: format!("there is no part {part}") })?;
        let shard = part - group.first_part;
        Ok((group, HashRange::new(shard, group.shards), shard))
    }
}

/// Requests may have any times.
fn any_time(plan: &Plan) -> Vec<Option<TimeSpan>> {
    vec![Some(TimeSpan::ALL); plan.days().len()]
}

/// How many parts days with so many shards make: days with the same number share them.
#[must_use]
pub fn parts(shards: &[u32]) -> u64 {
    different(shards).into_iter().map(u64::from).sum()
}

fn different(shards: &[u32]) -> Vec<u32> {
    let mut counts = shards.to_vec();
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// The error where what was counted is not what was read.
fn changed() -> Error {
    Error::Tasks { problem: "impressions changed while they were read".to_owned() }
}
