//! A little of every table, shown as it is understood, before anything is built of it.
//!
//! ```text
//! tables ──► a few parts of each, some rows of each part ──► facts of a table ──► what looks wrong
//!            as builds read and check them
//! ```
//!
//! [`Report`] is the answer as plain data. Nothing is written. What rows mean is for [`crate::unify`] to say, as in a build: here
//! they are counted. Bad rows are shown and no error; what would stop a build whatever its rows hold is one here too.

mod collected;
mod reading;
mod report;
mod shifted;
mod values;
mod warnings;

use std::path::PathBuf;

use rayon::{ThreadPool, ThreadPoolBuilder};

use collected::Collected;
use reading::Limits;

pub use report::{
    Bad, Customers, Days, FirstRow, KeptValue, MissingValues, PassedOver, Report, Shifts, TableReport, Times, TypeRows,
};
pub use warnings::{Warning, WarningKind};

use crate::config::{self, MAX_THREADS, Plan};
use crate::error::{Error, OptionName, Result};
use crate::event::{Day, ItemDtype};
use crate::machine;
use crate::pipeline::{self, Input, Tables};
use crate::read::{Room, Source};
use crate::schema::{ActionTable, Schema};
use crate::store::{StoreOptions, Stores};
use crate::unify::Look;

/// The rows of each table that are read if nothing else is said.
pub const ROWS: u64 = 100_000;

/// Rows that are handed over at a time: few, as no part is read much further than what is wanted of it.
const ROWS_OF_A_CHUNK: usize = 1024;

/// What to look at, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the tables mean.
    pub schema: Schema,
    /// The width of item ids in the outputs: those that do not fit are bad.
    pub item_dtype: Option<ItemDtype>,
    /// As [`config::Options::day_zone`].
    pub day_zone: Option<String>,
    /// As [`config::Options::csv_escape`].
    pub csv_escape: Option<char>,
    /// As [`config::Options::store`], beside what the description says.
    pub store: StoreOptions,
    /// About how many rows of each table are read at most.
    pub rows: u64,
    /// The present, in microseconds since the epoch, UTC: times long after it look wrong.
    pub now: i64,
}

/// Asked again and again while tables are read; true ends it with [`Error::Interrupted`].
pub type Cancelled<'a> = dyn Fn() -> bool + Sync + 'a;

/// Reads a little of each table, and says what was understood and what looks wrong.
///
/// The same tables give the same report, whatever the threads.
///
/// # Errors
/// [`Error::Option`] and [`Error::Description`] for what makes no sense, and whatever opening and reading a table gives, but for bad rows.
pub fn check(options: Options, tables: Tables, cancelled: &Cancelled<'_>) -> Result<Report> {
    let (rows, now) = (options.rows, options.now);
    if rows == 0 {
        return Err(Error::Option { option: OptionName::Rows, problem: "use 1 or more".to_owned() });
    }
    let plan = options.plan()?;
    let schema = &plan.options().schema;
    let (action_tables, inputs): (Vec<ActionTable>, Vec<Input>) = tables.actions.into_iter().unzip();
    let collected = Collected::of_samples(schema, tables.impressions.paths().to_vec());
    let mut looks = vec![(collected, Look::at_samples(&plan)?)];
    for (table, input) in action_tables.iter().zip(&inputs) {
        let collected = Collected::of_actions(schema, table, input.paths().to_vec());
        looks.push((collected, Look::at_actions(&plan, table)?));
    }
    // Files are opened by many threads and read by one: it reads no further ahead than a chunk, and always in the same order.
    let inputs = std::iter::once(tables.impressions).chain(inputs);
    let stores = Stores::new(&plan.options().store)?;
    let found = pipeline::watched(&stores, cancelled, || {
        let threads = pool(machine::processors().min(MAX_THREADS))?;
        let sources = threads.install(|| open(&plan, inputs, &looks, &stores))?;
        let limits = Limits { rows, cancelled };
        pool(1)?.install(|| {
            let mut found = Vec::with_capacity(sources.len());
            for ((mut collected, look), source) in looks.into_iter().zip(sources) {
                reading::read(source.as_ref(), &look, &limits, &mut collected)?;
                found.push(collected);
            }
            Ok(found)
        })
    })?;
    Ok(Report::new(found, schema, now))
}

fn pool(threads: usize) -> Result<ThreadPool> {
    ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| Error::Io {
        action: "start threads to read",
        path: PathBuf::from("the tables"),
        source: std::io::Error::other(error),
    })
}

/// Opens the tables, all of their days, to be read in small chunks.
fn open(
    plan: &Plan,
    inputs: impl Iterator<Item = Input>,
    looks: &[(Collected<'_>, Look<'_>)],
    stores: &Stores,
) -> Result<Vec<Box<dyn Source>>> {
    let room = machine::memory() / 4;
    let room = Room::new(room, room).with_rows(ROWS_OF_A_CHUNK);
    let open_one = |(input, (_, look)): (Input, &(Collected<'_>, Look<'_>))| {
        pipeline::open(plan, input, look.wanted().clone(), (&room, stores), &|_| true)
    };
    inputs.zip(looks).map(open_one).collect()
}

impl Options {
    /// The plan of a build that understands tables in this way; its days and its output mean nothing.
    fn plan(self) -> Result<Plan> {
        let day = Day(0);
        let defaults = config::Options::described(self.schema, PathBuf::new(), day, day);
        Plan::new(config::Options {
            item_dtype: self.item_dtype,
            day_zone: self.day_zone,
            csv_escape: self.csv_escape,
            store: defaults.store.with(&self.store),
            ..defaults
        })
    }
}
