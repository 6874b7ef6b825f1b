//! The stages wired together: from tables to published days.
//!
//! ```text
//! lock out ─► impressions ─► actions ─► histories ─► for each day: cut ─► stage every format ─► publish
//! ```
//!
//! Nothing is published before every table has been read, and a day is published only when all its formats are complete.

mod day;
mod report;

use std::path::PathBuf;
use std::time::Instant;

use rayon::ThreadPoolBuilder;

use crate::config::{ActionTable, Plan};
use crate::error::{Error, Result};
use crate::event::{Day, ItemDtype, ItemId};
use crate::fsio::Output;
use crate::gather::Cpu;
use crate::histories::Histories;
use crate::read::{self, Source};
use crate::unify::{self, Actions, Customers, Impressions, Progress, Reject};

pub use report::{DaySummary, Observer, Stage, StageTime, Summary, TableSummary, peak_memory};

/// Where a table comes from.
pub enum Input {
    /// A file, a folder, or a hive-partitioned folder.
    Path(PathBuf),
    /// Record batches.
    Source(Box<dyn Source>),
}

/// The tables of a run.
pub struct Tables {
    /// The impressions.
    pub impressions: Input,
    /// The actions; at least one table.
    pub actions: Vec<(ActionTable, Input)>,
}

/// Builds the days of a plan.
///
/// # Errors
/// The first fault; the days that [`Observer::published`] was told of stay published, whole.
pub fn build(plan: &Plan, tables: Tables, observer: &dyn Observer) -> Result<Summary> {
    if tables.actions.is_empty() {
        let problem = "name at least one of --clicks, --add-to-carts, --previous-orders".to_owned();
        return Err(Error::Option { option: "--clicks", problem });
    }
    let threads = plan.options().threads.unwrap_or(0);
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Error::Option { option: "--threads", problem: error.to_string() })?;
    pool.install(|| {
        let output = Output::open(&plan.options().out)?;
        let run = Run { plan, output: &output, observer, started: Instant::now() };
        let result = match plan.options().item_dtype {
            ItemDtype::I32 => run.build::<i32>(tables),
            ItemDtype::I64 => run.build::<i64>(tables),
        };
        // A fault of the run says more than one of the cleaning; what is left is removed by the next run.
        let cleaned = output.clean();
        let summary = result?;
        cleaned.map(|()| summary)
    })
}

/// What all steps of a run share.
struct Run<'a> {
    plan: &'a Plan,
    output: &'a Output,
    observer: &'a dyn Observer,
    started: Instant,
}

/// A table of actions after reading, without the actions.
struct ReadTable {
    name: String,
    rows: rustc_hash::FxHashMap<Day, u64>,
    rejects: Vec<Reject>,
}

impl Run<'_> {
    fn build<I: ItemId>(&self, tables: Tables) -> Result<Summary> {
        let mut summary = Summary::new(rayon::current_num_threads());
        let (missing, existing) = self.missing_days();
        summary.skipped = existing;
        if missing.is_empty() {
            return Ok(summary.finish(self.started.elapsed()));
        }
        let plan = &self.plan.for_days(missing);
        let folders: Vec<_> = plan
            .days()
            .iter()
            .flat_map(|&day| plan.options().formats.iter().map(move |&format| self.output.day_folder(format, day)))
            .collect();
        self.output.check_replace(&folders, plan.options().replace_non_atomic)?;

        let impressions = self.impressions::<I>(plan, tables.impressions, &mut summary)?;
        let (read, pieces) = self.actions::<I>(plan, tables.actions, &impressions.customers, &mut summary)?;
        let histories = self.stage(Stage::Histories, 1, &mut summary, |progress| {
            let days: Vec<&[u32]> = impressions.days.iter().map(|day| day.customers.as_slice()).collect();
            let histories = Histories::new(pieces, impressions.customers.len(), &days, plan)?;
            progress(1)?;
            Ok(histories)
        })?;
        for (index, &day) in plan.days().iter().enumerate() {
            self.publish_day(plan, index, day, &impressions, &read, &histories, &mut summary)?;
        }
        Ok(summary.finish(self.started.elapsed()))
    }

    /// The days to build, and with `--skip-existing` those that are there already.
    fn missing_days(&self) -> (Vec<Day>, Vec<Day>) {
        let skip = self.plan.options().skip_existing;
        let exists = |day: &Day| skip && day::exists(self.plan, self.output, *day);
        let (existing, missing) = self.plan.days().iter().partition(|day| exists(day));
        (missing, existing)
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

    fn impressions<I: ItemId>(&self, plan: &Plan, input: Input, summary: &mut Summary) -> Result<Impressions<I>> {
        let source = open(input, unify::wanted_impressions(), &|day| plan.day_index(day).is_some())?;
        let impressions = self.stage(Stage::Impressions, source.bytes(), summary, |progress| {
            unify::read_impressions::<I>(source.as_ref(), plan, progress)
        })?;
        if !plan.options().allow_empty_days {
            let empty = plan.days().iter().zip(&impressions.days).find(|(_, day)| day.samples.is_empty());
            if let Some((day, _)) = empty {
                let first_and_last =
                    impressions.first_and_last.map(|(first, last)| (first.to_string(), last.to_string()));
                return Err(Error::EmptyDay { day: day.to_string(), first_and_last });
            }
        }
        let rows = impressions.rows.iter().sum();
        summary.add_table(unify::IMPRESSIONS, source.as_ref(), rows, impressions.rejects.len());
        Ok(impressions)
    }

    fn actions<I: ItemId>(
        &self,
        plan: &Plan,
        inputs: Vec<(ActionTable, Input)>,
        customers: &Customers,
        summary: &mut Summary,
    ) -> Result<(Vec<ReadTable>, Vec<Vec<crate::event::Action<I>>>)> {
        let opened = inputs.into_iter().map(|(table, input)| {
            let source = open(input, unify::wanted_actions(&table), &|day| plan.any_sees(day))?;
            Ok((table, source))
        });
        let opened = opened.collect::<Result<Vec<_>>>()?;
        let bytes = opened.iter().map(|(_, source)| source.bytes()).sum();
        self.stage(Stage::Actions, bytes, summary, |progress| {
            let mut read = Vec::new();
            let mut all = Vec::new();
            for (table, source) in &opened {
                let Actions { pieces, rows, rejects } =
                    unify::read_actions::<I>(table, source.as_ref(), plan, customers, progress)?;
                all.extend(pieces);
                read.push(ReadTable { name: table.name.clone(), rows, rejects });
            }
            Ok((read, all))
        })
        .inspect(|(read, _)| {
            for (table, (_, source)) in read.iter().zip(&opened) {
                summary.add_table(&table.name, source.as_ref(), table.rows.values().sum(), table.rejects.len());
            }
        })
    }

    #[expect(clippy::too_many_arguments, reason = "a day draws on everything that was read")]
    fn publish_day<I: ItemId>(
        &self,
        plan: &Plan,
        index: usize,
        day: Day,
        impressions: &Impressions<I>,
        read: &[ReadTable],
        histories: &Histories<I>,
        summary: &mut Summary,
    ) -> Result<()> {
        let content = day::Content::new(plan, index, day, impressions, read, histories)?;
        let staged = self.stage(Stage::Day(day), content.output_rows(), summary, |progress| {
            content.stage(self.output, &Cpu, progress)
        })?;
        if self.observer.cancelled() {
            return Err(Error::Interrupted);
        }
        let built = content.finish(self.output, staged, summary)?;
        self.observer.published(&built);
        summary.days.push(built);
        Ok(())
    }
}

fn open(input: Input, wanted: read::Wanted, keep: &dyn Fn(Day) -> bool) -> Result<Box<dyn Source>> {
    match input {
        Input::Path(path) => Ok(Box::new(read::open(&path, wanted, keep)?)),
        Input::Source(source) => Ok(source),
    }
}
