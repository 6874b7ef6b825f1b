//! Record batches as samples and actions: the one place that knows what a table's values mean.
//!
//! ```text
//! chunk of a table ──► walk (structs, lists) ──► columns (ids, days, times, labels) ──► rows, each checked ──► samples or actions
//!                                                                                                 └──► rejected rows
//! ```
//!
//! Knows columns, days and options; knows no files and no formats. A row is checked in one order (day, customer, type, item,
//! then time, request, labels and what is kept), so it has one reason at most, and it is checked before anything else decides whether it is wanted.

mod actions;
mod clock;
mod columns;
mod days;
mod impressions;
mod lists;
mod look;
mod reject;
mod roles;
mod spilled;
mod splits;
mod table;
mod times;
mod view;
mod walk;

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::{IntoParallelIterator, ParallelIterator};

use crate::config::Plan;
use crate::error::{Error, Result};
use crate::pack::Packed;
use crate::read::{Projection, Room, Source, Visitor};
use crate::schema::{self, ActionTable, Cutoff, DayOf, POSITION, Schema};
use crate::store::Stores;

pub use crate::texts::{format_time, parse_time};
pub use actions::{Actions, Pick, read_actions};
pub use clock::Clock;
pub use impressions::{Impressions, read_impressions};
pub use look::{Look, Looked, Nulls, Passed, Row};
pub use reject::{KeptRejects, Reject};
pub use spilled::SpilledRejects;

/// Takes the bytes read since it was last called; its error ends the reading.
pub type Progress<'a> = dyn Fn(u64) -> Result<()> + Sync + 'a;

/// Takes a batch of what a table holds, with the packed rows; several threads call it at once.
pub type Sink<'a, T> = dyn Fn(Packed<'_, T>) -> Result<()> + Sync + 'a;

/// What the table of samples is read for.
#[must_use]
pub fn wanted_samples(schema: &Schema) -> Projection {
    let table = &schema.samples;
    // A cut-off at the day asks for the time only where the day is made of it.
    let needs_time = schema.history.cutoff == Cutoff::Time || matches!(table.day, DayOf::Time { .. });
    let labels = table.labels.iter().filter_map(|label| label.of.column());
    let kept = table.kept.iter().map(|kept| kept.column.as_str());
    let time = table.time.as_ref().filter(|_| needs_time).map(|time| time.column.as_str());
    let columns = [&table.customer, &table.item].into_iter().map(String::as_str).chain(labels).chain(kept);
    wanted(&table.name, &table.item, &table.day, &table.source, columns.chain(time).chain(table.request.as_deref()))
}

/// What a table of actions is read for.
#[must_use]
pub fn wanted_actions(table: &ActionTable) -> Projection {
    let columns = [&table.customer, &table.item].into_iter().map(String::as_str);
    let columns = columns.chain(table.time.as_ref().map(|time| time.column.as_str())).chain(table.kind.column());
    let columns = columns.chain(table.features.iter().map(|feature| feature.column.as_str()));
    wanted(&table.name, &table.item, &table.day, &table.source, columns)
}

fn wanted<'a>(
    table: &str,
    item: &'a str,
    day: &DayOf,
    source: &'a schema::Source,
    columns: impl Iterator<Item = &'a str>,
) -> Projection {
    let mut wanted = Projection {
        table: table.to_owned(),
        day: day.clone(),
        columns: Vec::new(),
        list: None,
        source: source.clone(),
        room: Room::default(),
        stores: Stores::default(),
    };
    let filters = source.filters.iter().map(|filter| filter.column.as_str());
    for column in columns.chain(filters).filter(|&column| column != POSITION) {
        // What is cut out of text is read as that text.
        let is_cut = |cut: &&str| column == *cut || column.strip_prefix(cut).is_some_and(|rest| rest.starts_with('.'));
        let column = source.splits.iter().map(|split| split.column.as_str()).find(is_cut).unwrap_or(column);
        if !wanted.columns.iter().any(|known| known == column) {
            wanted.columns.push(column.to_owned());
        }
    }
    wanted.list = item.split_once('.').map(|(list, _)| list.to_owned());
    // What stands for one thing of each item cannot stand for another of each row.
    let clashes = |flat: &str| wanted.columns.iter().any(|column| column == flat) || day.column() == Some(flat);
    let in_list: Vec<&str> = wanted.columns.iter().filter_map(|column| wanted.flat(column)).collect();
    if in_list.is_empty() || in_list.into_iter().any(clashes) {
        wanted.list = None;
    }
    wanted
}

/// A factor between the times of two tables that no log has, but tables with different units do.
const APART: u64 = 10;
/// September 2001: times from here on are counted from the epoch, and not from the start of a log.
const FROM_THE_EPOCH: u64 = 1_000_000_000_000_000;

/// Refuses tables whose times are in another unit than those of requests, where cut-offs are times.
///
/// # Errors
/// [`Error::Description`] names the first table.
pub fn refuse_other_units(impressions: &Impressions, actions: &[(String, Actions)]) -> Result<()> {
    for (name, read) in actions {
        let (Some(shown), Some(done)) = (impressions.clock.median(), read.clock.median()) else { continue };
        let (near, far) = (shown.min(done), shown.max(done));
        if far >= FROM_THE_EPOCH && far / APART > near {
            let text = |micros: u64| format_time(i64::try_from(micros).unwrap_or(i64::MAX));
            let problem = format!(
                "half of its times are before {}, and half of those of samples before {}: one of them has another `unit`",
                text(done),
                text(shown)
            );
            return Err(Error::Description { place: format!("actions.{name}.time"), problem });
        }
    }
    Ok(())
}

/// Where the plan asks for fresh tables: refuses a table of actions that has no row on the day before one of the days to build, though it
/// has some before that.
///
/// # Errors
/// [`Error::Late`] names the first day, and of it the first table.
pub fn refuse_late(plan: &Plan, actions: &[(String, Actions)]) -> Result<()> {
    if !plan.options().require_fresh {
        return Ok(());
    }
    for &day in plan.days() {
        if let Some((table, last)) = actions.iter().find_map(|(name, read)| Some((name, read.late_since(plan, day)?))) {
            return Err(Error::Late { table: table.clone(), day: day.to_string(), last: last.to_string() });
        }
    }
    Ok(())
}

/// Reads every part of a source in parallel; of several faults the one in the first part is returned, whatever the threads.
fn read_all(source: &dyn Source, visit: &Visitor<'_>) -> Result<()> {
    let first_fault = AtomicUsize::new(usize::MAX);
    let results: Vec<Result<()>> = (0..source.parts())
        .into_par_iter()
        .map(|part| {
            // Parts behind a known fault cannot change which one is first.
            if part > first_fault.load(Ordering::Relaxed) {
                return Ok(());
            }
            let result = source.read(part, visit);
            if result.is_err() {
                first_fault.fetch_min(part, Ordering::Relaxed);
            }
            result
        })
        .collect();
    results.into_iter().collect()
}
