//! Record batches as samples and actions: the one place that knows what a table's values mean.
//!
//! ```text
//! chunk of a table ──► columns (ids, days, times, labels) ──► rows, each checked ──► samples or actions
//!                                                                        └──► rejected rows
//! ```
//!
//! Knows columns, days and options; knows no files and no formats. A row is checked in one order (day, customer, item,
//! then label or time), so it has one reason at most, and it is checked before anything else decides whether it is wanted.

mod actions;
mod columns;
mod days;
mod impressions;
mod reject;
mod slates;
mod spilled;
mod time;

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::{IntoParallelIterator, ParallelIterator};

use crate::config::ActionTable;
use crate::error::Result;
use crate::pack::Packed;
use crate::read::{Column, Room, Shape, Source, Visitor, Wanted};
use crate::schema;

pub use actions::{Actions, Pick, read_actions};
pub use impressions::{Impressions, read_impressions};
pub use reject::{KeptRejects, Reject};
pub use spilled::SpilledRejects;
pub use time::{format_time, parse_time};

/// The name of the impressions table in messages and manifests.
pub const IMPRESSIONS: &str = "impressions";

/// Takes the bytes read since it was last called; its error ends the reading.
pub type Progress<'a> = dyn Fn(u64) -> Result<()> + Sync + 'a;

/// Takes a batch of what a table holds, with the packed rows; several threads call it at once.
pub type Sink<'a, T> = dyn Fn(Packed<'_, T>) -> Result<()> + Sync + 'a;

/// What the impressions table is read for.
#[must_use]
pub fn wanted_impressions() -> Wanted {
    let customer = || scalar("customer_id");
    Wanted {
        table: IMPRESSIONS.to_owned(),
        day_column: "dt".to_owned(),
        source: schema::Source::default(),
        room: Room::default(),
        layouts: vec![
            vec![customer(), Column { name: "impressions".to_owned(), shape: Shape::Slate }],
            vec![customer(), scalar("item_id"), scalar("is_order")],
        ],
    }
}

/// What a table of actions is read for.
#[must_use]
pub fn wanted_actions(table: &ActionTable) -> Wanted {
    let mut columns = vec![scalar("customer_id"), scalar(&table.item_column)];
    columns.extend(table.time_column.as_deref().map(scalar));
    let (table, day_column) = (table.name.clone(), table.day_column.clone());
    Wanted { table, day_column, layouts: vec![columns], source: schema::Source::default(), room: Room::default() }
}

fn scalar(name: &str) -> Column {
    Column { name: name.to_owned(), shape: Shape::Scalar }
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
