//! The stages wired together: from tables to published days.
//!
//! ```text
//! lock out ─► impressions ─► actions ─► histories ─► for each day: cut ─► stage every format ─► publish
//! ```
//!
//! Nothing is published before every table has been read, and a day is published only when all its formats are complete.

mod day;
mod places;
mod report;
mod tables;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{Builder, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::config::{MAX_THREADS, Plan};
use crate::error::{Error, OptionName, Result};
use crate::event::{Action, Day, HashRange, ItemDtype, ItemId, Sample};
use crate::fsio::{Output, SpillFolder};
use crate::gather::{self, Chosen, Gather};
use crate::histories::{self, Budget, Customers, Histories, Samples, Spool, buckets_for};
use crate::machine;
use crate::pack::Packed;
use crate::read::{self, Room, Source};
use crate::remote::RemoteOutput;
use crate::schema;
use crate::schema::ActionTable;
use crate::store::{Stores, is_in_store};
use crate::unify::{self, Actions, Impressions, Progress};

pub use report::{
    DaySummary, FormatSummary, LateTable, Observer, Stage, StageTime, Summary, TableSummary, peak_memory,
};

/// Where a table comes from.
pub enum Input {
    /// A file, a folder, a hive-partitioned folder, or a pattern of names.
    Path(PathBuf),
    /// Several of these.
    Paths(Vec<PathBuf>),
    /// Record batches.
    Source(Box<dyn Source>),
}

impl Input {
    /// Where it lies; nowhere where it is handed over.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Path(path) => std::slice::from_ref(path),
            Self::Paths(paths) => paths,
            Self::Source(_) => &[],
        }
    }
}

/// The tables of a run.
pub struct Tables {
    /// The impressions.
    pub impressions: Input,
    /// The actions; at least one table.
    pub actions: Vec<(ActionTable, Input)>,
}

impl Tables {
    fn inputs(&self) -> impl Iterator<Item = &Input> {
        self.actions.iter().map(|(_, input)| input).chain([&self.impressions])
    }
}

/// Builds the days of a plan.
///
/// # Errors
/// The first fault; the days that [`Observer::published`] was told of stay published, whole.
pub fn build(plan: &Plan, tables: Tables, observer: &dyn Observer) -> Result<Summary> {
    refuse_no_actions(tables.actions.len())?;
    let out = plan.options().out.as_path();
    let are_in_stores =
        is_in_store(out) || tables.inputs().any(|input| input.paths().iter().any(|path| is_in_store(path)));
    tables.actions.iter().try_for_each(|(table, _)| refuse_unknown_type(plan, table))?;
    places::check(plan, &tables)?;
    let threads = plan.options().threads.unwrap_or_else(|| machine::processors().min(MAX_THREADS));
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Error::Option { option: OptionName::Threads, problem: error.to_string() })?;
    let pool = Arc::new(pool);
    let stores = Stores::new(&plan.options().store)?;
    let build = || match plan.item_dtype() {
        ItemDtype::I32 => build_items::<i32>(&pool, plan, tables, &stores, observer),
        ItemDtype::I64 => build_items::<i64>(&pool, plan, tables, &stores, observer),
    };
    if are_in_stores { watched(&stores, &|| observer.cancelled(), build) } else { build() }
}

/// Works while somebody looks whether that is to stop, for those who wait for a store.
pub(crate) fn watched<T>(stores: &Stores, cancelled: &(dyn Fn() -> bool + Sync), work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (working, done) = channel::<()>();
        let watch = move || {
            while let Err(RecvTimeoutError::Timeout) = done.recv_timeout(PATIENCE) {
                if cancelled() {
                    return stores.stop();
                }
            }
        };
        // Without the thread a run stops when the store has answered.
        let _ = Builder::new().name("watch".to_owned()).spawn_scoped(scope, watch);
        let result = work();
        drop(working);
        result
    })
}

fn build_items<I: ItemId>(
    pool: &Arc<ThreadPool>,
    plan: &Plan,
    tables: Tables,
    stores: &Stores,
    observer: &dyn Observer,
) -> Result<Summary> {
    let (gather, device) = gather::choose::<I>(plan.options().device)?;
    let remote = RemoteOutput::of(&plan.options().out, stores)?;
    let folder = remote.as_ref().map_or_else(|| plan.options().out.clone(), |_| places::made_before_upload(plan));
    let output = pool.install(|| Output::open(&folder))?;
    let (gather, started, remote) = (gather.as_ref(), Instant::now(), remote.as_ref());
    let run = Run { pool, plan, output: &output, remote, stores, observer, gather, started };
    let result = run.build(tables, device);
    // A fault of the run says more than one of the cleaning; what is left is removed by the next run.
    let cleaned = if remote.is_some() { output.remove() } else { output.clean() };
    let summary = result?;
    cleaned.map(|()| summary)
}

/// Refuses a run without any table of actions.
pub(crate) fn refuse_no_actions(tables: usize) -> Result<()> {
    if tables > 0 {
        return Ok(());
    }
    let [clicks, carts, orders] = [OptionName::Clicks, OptionName::AddToCarts, OptionName::PreviousOrders];
    let problem = format!("name at least one of {clicks}, {carts}, {orders}");
    Err(Error::Option { option: OptionName::Clicks, problem })
}

fn refuse_unknown_type(plan: &Plan, table: &ActionTable) -> Result<()> {
    let types = &plan.options().schema.types;
    let Some(unknown) = table.kind.numbers().find(|&number| types.name(number).is_none()) else { return Ok(()) };
    let known: Vec<String> = types.iter().map(|(number, name)| format!("{name} {number}")).collect();
    let problem = format!("{unknown} is the number of no type; the types are {}", known.join(", "));
    Err(Error::Description { place: format!("actions.{}.type", table.name), problem })
}

/// The days to build, and with `--skip-existing` those that are there already.
///
/// # Errors
/// What the system refuses where a day may be: whether it is there cannot be told, so it is neither skipped nor built over.
pub(crate) fn missing_days(
    plan: &Plan,
    output: &Output,
    remote: Option<&RemoteOutput>,
) -> Result<(Vec<Day>, Vec<Day>)> {
    if let Some(remote) = remote {
        remote.look(&plan.options().formats, plan.days())?;
    }
    let (mut missing, mut existing) = (Vec::new(), Vec::new());
    for &day in plan.days() {
        let exists = plan.options().skip_existing && day::exists(plan, output, remote, day)?;
        (if exists { &mut existing } else { &mut missing }).push(day);
    }
    Ok((missing, existing))
}

/// Checks that the days of a plan can be put in place.
pub(crate) fn check_replace(plan: &Plan, output: &Output) -> Result<()> {
    output.check_replace(plan.days(), &plan.options().formats, plan.options().replace_non_atomic)
}

/// What all steps of a run share.
struct Run<'a, I> {
    pool: &'a Arc<ThreadPool>,
    plan: &'a Plan,
    output: &'a Output,
    /// Where days go from there, where they do.
    remote: Option<&'a RemoteOutput>,
    stores: &'a Stores,
    observer: &'a dyn Observer,
    gather: &'a dyn Gather<I>,
    started: Instant,
}

/// A table of actions that is open.
type OpenTable = (ActionTable, Box<dyn Source>);

impl<I: ItemId> Run<'_, I> {
    fn build(&self, tables: Tables, device: Chosen) -> Result<Summary> {
        let mut summary = Summary::new(self.pool.current_num_threads(), device);
        let (missing, existing) = missing_days(self.plan, self.output, self.remote)?;
        summary.skipped = existing;
        if missing.is_empty() {
            return Ok(summary.finish(self.started.elapsed()));
        }
        let plan = &self.plan.for_days(missing);
        check_replace(plan, self.output)?;
        let budget = Budget::new(plan.options().memory, summary.threads)?;
        let folder = self.output.spill_folder(plan.options().spill_dir.as_deref())?;
        let sources = self.open(plan, tables, budget.to_read())?;
        self.pool.install(|| self.build_from(plan, &sources, &budget, &folder, &mut summary))?;
        Ok(summary.finish(self.started.elapsed()))
    }

    /// Opens the tables, in a thread of its own: listing a folder on a slow file system, or opening what stands in a file's place,
    /// may take for ever and cannot be told to stop. Where the run is, it goes on without.
    fn open(&self, plan: &Plan, tables: Tables, room: Room) -> Result<Sources> {
        let (send, opened) = channel();
        let (pool, plan, stores) = (Arc::clone(self.pool), plan.clone(), self.stores.clone());
        let work = move || {
            // Nobody listens any more where the run was told to stop.
            let _ = send.send(pool.install(|| open_tables(&plan, tables, &room, &stores)));
        };
        let thread = Builder::new().name("open tables".to_owned()).spawn(work);
        let thread = thread.map_err(Error::io("start a thread to open the tables for", self.output.path()))?;
        loop {
            match opened.recv_timeout(PATIENCE) {
                Ok(sources) => return sources,
                Err(RecvTimeoutError::Timeout) if self.observer.cancelled() => return Err(Error::Interrupted),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => match thread.join() {
                    Err(panic) => resume_unwind(panic),
                    Ok(()) => return Err(Error::internal("a thread that ends has sent its result")),
                },
            }
        }
    }

    /// All that needs the threads: from open tables to published days.
    fn build_from(
        &self,
        plan: &Plan,
        sources: &Sources,
        budget: &Budget,
        folder: &SpillFolder,
        summary: &mut Summary,
    ) -> Result<()> {
        let (impressions_source, action_sources) = (&sources.impressions, &sources.actions);
        let tables = action_sources.iter().map(|(_, source)| source).chain([impressions_source]);
        let reading = budget.keep_to_read(tables.map(|source| source.heaviest()).max().unwrap_or(0))?;
        let actions = action_sources.iter().map(|(_, source)| match source.bytes() {
            // A stream, of which nobody knows how long it is.
            0 if source.parts() > 0 => u64::MAX,
            bytes => bytes / BYTES_PER_ACTION,
        });
        let buckets = buckets_for(actions.fold(0, u64::saturating_add));
        let spooled = Spool::new(buckets, plan.contents().sample_packing().width(), budget, folder);
        let impressions = self.impressions(plan, impressions_source.as_ref(), &spooled, folder, summary)?;
        // Samples may keep a quarter of the memory, actions half of it; the rest is for working on them.
        let samples = spooled.finish(budget.limit() / 4)?;
        let customers = Customers::new(&samples, HashRange::WHOLE, buckets, budget)?;
        let samples = Samples::new(samples, &customers, plan, budget)?;
        let spooled = Spool::new(buckets, plan.contents().feature_packing().width(), budget, folder);
        let read = self.actions(plan, action_sources, &customers, &spooled, folder, summary)?;
        unify::refuse_other_units(&impressions, &read)?;
        unify::refuse_late(plan, &read)?;
        budget.give_back(reading);
        let input = histories::Input {
            samples,
            actions: spooled.finish(budget.limit() / 2)?,
            customers: &customers,
            plan,
            folder,
        };
        let histories = self.stage(Stage::Histories, u64::from(buckets), summary, |progress| {
            Histories::new(&input, budget, progress)
        })?;
        drop(input);
        summary.spilled = folder.bytes();
        self.publish_days(plan, &impressions, &read, &histories, summary)
    }

    /// Runs one stage, timed, with progress for the observer and an end where it asks for one.
    fn stage<T>(
        &self,
        stage: Stage,
        total: u64,
        summary: &mut Summary,
        work: impl FnOnce(&Progress<'_>) -> Result<T>,
    ) -> Result<T> {
        let started = Instant::now();
        self.observer.begin(stage, total);
        let result = work(&|amount| {
            self.observer.advance(stage, amount);
            if self.observer.cancelled() { Err(Error::Interrupted) } else { Ok(()) }
        })?;
        let time = StageTime { stage, elapsed: started.elapsed() };
        self.observer.end(&time);
        summary.stages.push(time);
        Ok(result)
    }

    fn impressions(
        &self,
        plan: &Plan,
        source: &dyn Source,
        spool: &Spool<'_, Sample<I>>,
        folder: &SpillFolder,
        summary: &mut Summary,
    ) -> Result<Impressions> {
        let sink = |samples: Packed<'_, Sample<I>>| {
            spool.push(samples, |sample: &Sample<I>| HashRange::WHOLE.bucket(sample.customer(), spool.buckets()))
        };
        let impressions = self.stage(Stage::Impressions, source.bytes(), summary, |progress| {
            unify::read_impressions::<I>(source, plan, &sink, Some(folder), progress)
        })?;
        impressions.refuse_empty_days(plan)?;
        let rows = impressions.rows.iter().sum();
        let (rejected, nothing) = (impressions.rejected(), impressions.shows_nothing);
        summary.add_table(&plan.options().schema.samples.name, source, rows, rejected, nothing);
        Ok(impressions)
    }

    fn actions(
        &self,
        plan: &Plan,
        sources: &[OpenTable],
        customers: &Customers,
        spool: &Spool<'_, Action<I>>,
        folder: &SpillFolder,
        summary: &mut Summary,
    ) -> Result<Vec<(String, Actions)>> {
        let sink = |actions: Packed<'_, Action<I>>| {
            spool.push(actions, |action: &Action<I>| customers.bucket(action.customer()))
        };
        let pick = |ids: &[i64], rows: &mut Vec<(u32, u32)>| customers.pick(ids, rows);
        let bytes = sources.iter().map(|(_, source)| source.bytes()).sum();
        let tables = self.stage(Stage::Actions, bytes, summary, |progress| {
            let read = |(table, source): &OpenTable| {
                let read = unify::read_actions(table, source.as_ref(), plan, &pick, &sink, Some(folder), progress)?;
                Ok((table.name.clone(), read))
            };
            let placed = |(place, table): (usize, &OpenTable)| (place, read(table));
            // Together, so that a table with few parts does not keep the others waiting, but for those that bear no other one
            // beside them; the first fault is that of the first table, whatever the threads.
            let (alone, together): (Vec<_>, Vec<_>) =
                sources.iter().enumerate().partition(|(_, (_, source))| source.alone());
            let (mut tables, others) = rayon::join(
                || alone.into_iter().map(placed).collect::<Vec<_>>(),
                || together.into_par_iter().map(placed).collect::<Vec<_>>(),
            );
            tables.extend(others);
            tables.sort_by_key(|(place, _)| *place);
            tables.into_iter().map(|(_, read)| read).collect::<Result<Vec<_>>>()
        })?;
        for ((name, read), (_, source)) in tables.iter().zip(sources) {
            summary.add_table(name, source.as_ref(), read.rows.values().sum(), read.rejected(), 0);
        }
        Ok(tables)
    }

    /// Writes the days in order. While a day is synced and put in place the next one is written already.
    fn publish_days(
        &self,
        plan: &Plan,
        impressions: &Impressions,
        read: &[(String, Actions)],
        histories: &Histories<'_, I>,
        summary: &mut Summary,
    ) -> Result<()> {
        std::thread::scope(|scope| {
            let mut finishing: Option<ScopedJoinHandle<'_, Result<DaySummary>>> = None;
            for index in 0..plan.days().len() {
                let staged = day::Content::new(plan, index, impressions, read, histories).and_then(|content| {
                    self.stage(Stage::Day(content.day()), content.output_rows(), summary, |progress| {
                        content.stage(self.output, self.gather, progress)
                    })
                });
                // The day before goes first, also where this one failed.
                self.published(finishing.take(), summary)?;
                let staged = staged?;
                if self.observer.cancelled() {
                    return Err(Error::Interrupted);
                }
                let record = day::run_record(summary, &staged)?;
                let finish = move || staged.finish(self.output, self.remote, &record);
                let thread = Builder::new().name("publish".to_owned()).spawn_scoped(scope, finish);
                finishing = Some(thread.map_err(Error::io("start a thread to publish to", self.output.path()))?);
            }
            self.published(finishing, summary)
        })
    }

    /// Waits for a day that is being put in place.
    fn published(
        &self,
        finishing: Option<ScopedJoinHandle<'_, Result<DaySummary>>>,
        summary: &mut Summary,
    ) -> Result<()> {
        let Some(finishing) = finishing else { return Ok(()) };
        let built = finishing.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        self.observer.published(&built);
        summary.days.push(built);
        Ok(())
    }
}

/// About what an action takes in a table; only the number of buckets follows from it.
const BYTES_PER_ACTION: u64 = 16;

/// So often a run is asked whether it should stop while it waits.
const PATIENCE: Duration = Duration::from_millis(50);

/// The tables of a run that are open.
struct Sources {
    impressions: Box<dyn Source>,
    actions: Vec<OpenTable>,
}

fn open_tables(plan: &Plan, tables: Tables, room: &Room, stores: &Stores) -> Result<Sources> {
    let open_samples = || {
        let samples = unify::wanted_samples(&plan.options().schema);
        open(plan, tables.impressions, samples, (room, stores), &|day| plan.day_index(day).is_some())
    };
    let open_one = |(table, input)| {
        let source = open(plan, input, unify::wanted_actions(&table), (room, stores), &|day| plan.any_sees(day))?;
        Ok((table, source))
    };
    // Together, as each waits for its own lists; collected in order, so that the first fault is that of the first table.
    let open_actions = || tables.actions.into_par_iter().map(open_one).collect::<Vec<Result<OpenTable>>>();
    let (impressions, actions) = rayon::join(open_samples, open_actions);
    Ok(Sources { impressions: impressions?, actions: actions.into_iter().collect::<Result<_>>()? })
}

/// Opens a table, but for the files of days that `keep` refuses.
pub(crate) fn open(
    plan: &Plan,
    input: Input,
    wanted: read::Projection,
    (room, stores): (&Room, &Stores),
    keep: &dyn Fn(Day) -> bool,
) -> Result<Box<dyn Source>> {
    let paths = match input {
        Input::Path(path) => vec![path],
        Input::Paths(paths) => paths,
        Input::Source(source) => return Ok(source),
    };
    let escape = plan.options().csv_escape.or(wanted.source.escape);
    let source = schema::Source { escape, ..wanted.source };
    let wanted = read::Projection { source, room: room.clone(), stores: stores.clone(), ..wanted };
    Ok(Box::new(read::open_all(&paths, wanted, keep)?))
}
