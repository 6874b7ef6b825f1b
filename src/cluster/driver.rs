//! The driver: holds the output, and publishes what the tasks have written.

use std::path::Path;
use std::sync::OnceLock;

use serde::Serialize;
use serde_json::Value;

use super::reduce::{DayFiles, unreadable};
use super::rows::{RecordKind, Tally, compare};
use super::{Report, changed};
use crate::config::{Format, Plan};
use crate::error::{Error, Invariant, OptionName, Result};
use crate::event::{Day, TimeSpan};
use crate::fsio::{ClusterRun, Output};
use crate::manifest::record::{Record, Seen, TOOL};
use crate::manifest::statistics::{Figures, hidden_late};
use crate::manifest::{Rejected, Shard};
use crate::pipeline;
use crate::store::is_in_store;
use crate::unify::{self, Actions, Impressions};

/// What all tasks have found and done.
struct Results {
    impressions: Impressions,
    /// By the names of the tables.
    actions: Vec<(String, Actions)>,
    /// For each day what it sees of them.
    seen: Vec<Seen>,
    /// The reports, in the order of the parts.
    parts: Vec<Report>,
}

/// What the impressions tell before the job.
#[derive(Debug)]
pub struct Counted {
    /// How many shards each day has.
    pub shards: Vec<u32>,
    /// A filter of the customers with impressions, for [`super::Job::with_customers`]; none where there are too many.
    pub customers: Option<Vec<u8>>,
    /// For each day the times of its requests, for [`super::Job::with_spans`]; nothing of a day without any, and where the cut-off is the
    /// day.
    pub spans: Vec<Option<TimeSpan>>,
}

/// A run over an output, which it holds until it is closed.
#[derive(Debug)]
pub struct Driver {
    /// The days that are to be built.
    plan: Plan,
    /// The names of the tables of actions.
    tables: Vec<String>,
    output: Output,
    run: ClusterRun,
    /// The samples of each day, once they are counted.
    samples: OnceLock<Vec<u64>>,
}

impl Driver {
    /// Locks the output of a plan, finds the days that are missing, and makes the folder `run` in its staging for the tasks;
    /// no two runs may ever have the same name. `tables` names the tables of actions.
    ///
    /// # Errors
    /// Everything for which a build on a single machine would not start.
    pub fn open(plan: &Plan, tables: Vec<String>, run: &str) -> Result<Self> {
        pipeline::refuse_no_actions(tables.len())?;
        if is_in_store(&plan.options().out) {
            let problem = "the tasks of a cluster hand over their files in a folder: name one that all machines see, and copy the days from there";
            return Err(Error::Option { option: OptionName::Out, problem: problem.to_owned() });
        }
        let output = Output::open(&plan.options().out)?;
        let (missing, _) = pipeline::missing_days(plan, &output, None)?;
        let plan = plan.for_days(missing);
        pipeline::check_replace(&plan, &output)?;
        let run = output.cluster_run(run)?;
        Ok(Self { plan, tables, output, run, samples: OnceLock::new() })
    }

    /// The days that are to be built; none where all are there.
    #[must_use]
    pub fn days(&self) -> &[Day] {
        self.plan.days()
    }

    /// The folder in which attempts at tasks make folders of their own.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.run.path()
    }

    /// Looks at what [`super::count`] made of the rows of tasks that only looked at the impressions: kinds and records.
    ///
    /// # Errors
    /// [`Error::Task`] with what a task found wrong, [`Error::EmptyDay`], [`Error::TooMany`].
    pub fn counted<'a>(&self, rows: impl Iterator<Item = (i32, &'a [u8])>) -> Result<Counted> {
        let mut impressions = Impressions::none(&self.plan);
        let mut customers = None;
        let mut faults = Vec::new();
        for (kind, records) in rows {
            if kind == RecordKind::Fault as i32 {
                faults.push(String::from_utf8_lossy(records).into_owned());
            } else if kind == RecordKind::Filter as i32 {
                customers = Some(records.to_vec());
            } else if kind == RecordKind::Impressions as i32 {
                impressions.merge(serde_json::from_slice(records).map_err(unreadable)?)?;
            } else {
                return Err(Error::Tasks { problem: format!("counting gave a row of kind {kind}") });
            }
        }
        refuse(faults.iter())?;
        let samples = self.samples.get_or_init(|| impressions.samples.clone());
        if *samples != impressions.samples {
            return Err(changed());
        }
        Ok(Counted { shards: self.shards(&impressions)?, customers, spans: impressions.spans })
    }

    fn shards(&self, impressions: &Impressions) -> Result<Vec<u32>> {
        impressions.refuse_empty_days(&self.plan)?;
        impressions.samples.iter().map(|&samples| self.plan.options().sharding.shards(samples)).collect()
    }

    /// Publishes the days in order from the parts' reports; `engine` is what the record of the run says of where
    /// it ran.
    ///
    /// # Errors
    /// [`Error::Task`] with what map tasks found wrong, [`Error::Tasks`] when not every part has one report or a file is not as
    /// reported, [`Error::EmptyDay`], and what the disk refuses. Days that were published before it stay, whole.
    pub fn publish(&self, shards: &[u32], reports: Vec<Report>, engine: &Value) -> Result<()> {
        let Results { impressions, actions, seen, parts } = self.collect(shards, reports)?;
        if self.shards(&impressions)? != shards || self.samples.get().is_some_and(|known| *known != impressions.samples)
        {
            return Err(changed());
        }
        unify::refuse_other_units(&impressions, &actions)?;
        unify::refuse_late(&self.plan, &actions)?;
        let run = run_record(&self.plan, engine, &impressions, &actions, &parts)?;
        for ((index, &day), seen) in self.plan.days().iter().enumerate().zip(seen) {
            self.day(day, (shards[index], impressions.samples[index]), seen, &parts, &run)?;
        }
        Ok(())
    }

    /// What the tables hold, and the reports in the order of their parts.
    fn collect(&self, shards: &[u32], mut reports: Vec<Report>) -> Result<Results> {
        refuse(reports.iter().flat_map(|report| &report.faults))?;
        reports.sort_by_key(|report| report.part);
        let parts = super::parts(shards);
        if reports.len() as u64 != parts || (0..).zip(&reports).any(|(part, report)| part != report.part) {
            let problem = format!("{} reports for {parts} parts", reports.len());
            return Err(Error::Tasks { problem });
        }
        let received = Tally::sum(reports.iter().map(|report| &report.received));
        compare(reports.iter().flat_map(|report| report.sent.iter().cloned()).collect(), received)?;
        // A table without any partition has no task, and no report.
        let impressions = reports.first_mut().and_then(|first| first.impressions.take());
        let impressions = impressions.unwrap_or_else(|| Impressions::none(&self.plan));
        let mut found = reports.first_mut().map(|first| std::mem::take(&mut first.actions)).unwrap_or_default();
        let mut of_table = |name: &String| {
            let place = found.iter().position(|(known, _)| known == name);
            (name.clone(), place.map(|place| found.swap_remove(place).1).unwrap_or_default())
        };
        let actions = self.tables.iter().map(&mut of_table).collect();
        let mut seen = reports.first_mut().map(|first| std::mem::take(&mut first.seen)).unwrap_or_default();
        if seen.len() != self.plan.days().len() {
            let problem = format!("{} of {} days in the first part's report", seen.len(), self.plan.days().len());
            return Err(Error::Tasks { problem });
        }
        for seen in &mut seen {
            self.tables.iter().for_each(|name| seen.add_table(name));
        }
        Ok(Results { impressions, actions, seen, parts: reports })
    }

    fn day(&self, day: Day, (shards, samples): (u32, u64), seen: Seen, parts: &[Report], run: &[u8]) -> Result<()> {
        let formats = &self.plan.options().formats;
        let files: Vec<(&str, &DayFiles)> = parts
            .iter()
            .flat_map(|report| report.days.iter().map(|files| (report.attempt.as_str(), files)))
            .filter(|(_, files)| files.day == day)
            .collect();
        if files.len() != shards as usize || files.iter().any(|(_, files)| files.files.len() != formats.len()) {
            return Err(Error::Tasks { problem: format!("{} of {shards} shards of {day}", files.len()) });
        }
        let figures: Vec<Figures> = files.iter().map(|(_, files)| files.figures.clone()).collect();
        let written = figures.iter().map(Figures::samples).sum::<u64>();
        if written != samples {
            return Err(Error::Tasks {
                problem: format!("{written} samples of {day} are written, {samples} were read"),
            });
        }
        let rejected = seen.rejected();
        let record = Record::new(&self.plan, day, seen, &figures)?;
        let staged = self.output.stage(day, formats)?;
        let mut staged_files = Vec::new();
        for (place, &format) in formats.iter().enumerate() {
            for (attempt, files) in &files {
                let Shard { file, bytes, .. } = &files.files[place];
                self.run.hand_over(&staged, attempt, format, file, *bytes)?;
            }
            if let (Some(Rejected { file, bytes, .. }), Some(first)) = (&rejected, parts.first()) {
                self.run.hand_over(&staged, &first.attempt, format, file, *bytes)?;
            }
            let shards: Vec<Shard> = files.iter().map(|(_, files)| files.files[place].clone()).collect();
            staged_files.push(record.write(staged.folder(format)?, format, shards, run)?);
        }
        self.output.publish(staged, &staged_files, self.plan.options().replace_non_atomic)
    }

    /// Ends the run: removes what is left of it, and gives the output free.
    ///
    /// # Errors
    /// [`Error::Io`] names what cannot be removed.
    pub fn close(self) -> Result<()> {
        self.output.clean()
    }
}

/// Ends the run where tasks found faults: with one that does not depend on which came first.
fn refuse<'a>(faults: impl Iterator<Item = &'a String>) -> Result<()> {
    faults.min().map_or(Ok(()), |message| Err(Error::Task { message: message.clone() }))
}

/// How the days came about, as far as a cluster knows.
fn run_record(
    plan: &Plan,
    engine: &Value,
    impressions: &Impressions,
    actions: &[(String, Actions)],
    parts: &[Report],
) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Run<'a> {
        tool: &'a str,
        engine: &'a Value,
        formats: Vec<&'a str>,
        parts: usize,
        inputs: Vec<Table<'a>>,
        peak_memory_bytes: Option<u64>,
        spilled_bytes: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        hidden_late: Option<u64>,
    }
    #[derive(Serialize)]
    struct Table<'a> {
        table: &'a str,
        rows: u64,
        rejected: u64,
    }
    let shown = Table {
        table: &plan.options().schema.samples.name,
        rows: impressions.rows.iter().sum(),
        rejected: impressions.rejected(),
    };
    let done = actions.iter().map(|(name, read)| Table {
        table: name,
        rows: read.rows.values().sum(),
        rejected: read.rejected(),
    });
    let record = Run {
        tool: TOOL,
        engine,
        formats: plan.options().formats.iter().map(|format: &Format| format.name()).collect(),
        parts: parts.len(),
        inputs: std::iter::once(shown).chain(done).collect(),
        peak_memory_bytes: parts.iter().filter_map(|part| part.peak_memory).max(),
        spilled_bytes: parts.iter().map(|part| part.spilled).sum(),
        // Of all days together, as all have this record.
        hidden_late: hidden_late(plan, parts.iter().flat_map(|part| &part.days).map(|files| &files.figures)),
    };
    let mut bytes = serde_json::to_vec_pretty(&record).invariant("the record of a run can be printed")?;
    bytes.push(b'\n');
    Ok(bytes)
}
