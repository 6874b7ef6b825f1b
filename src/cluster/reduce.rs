//! The task of a part: the rows of a shard's customers to the shard's files, for each day of the group.

use std::path::Path;

use arrow::array::RecordBatch;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::rows::{RecordKind, Rows, Sent, Tally};
use super::{Group, Job, MEMORY_PER_TASK};
use crate::cut::cut;
use crate::error::{Error, Invariant, Result};
use crate::event::{Action, ActionKey, Day, HashRange, ItemDtype, ItemId, Sample};
use crate::fsio::{Attempt, SpillFolder};
use crate::gather::{self, Gather};
use crate::histories::{self, Budget, Customers, Histories, Samples, Spool, Spooled};
use crate::manifest::Shard;
use crate::manifest::record::Seen;
use crate::manifest::statistics::{Figures, of_shard};
use crate::pack::Packed;
use crate::unify::{Actions, Impressions, KeptRejects, Reject};
use crate::write::{self, DayLayout};

/// What a part's task has done, and what it has heard from the map tasks.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub(super) part: u32,
    /// The name of the attempt's folder.
    pub(super) attempt: String,
    /// What map tasks found wrong with the tables; then nothing was written.
    pub(super) faults: Vec<String>,
    /// What the tables hold; in the report of the first part.
    pub(super) impressions: Option<Impressions>,
    pub(super) actions: Vec<(String, Actions)>,
    /// For each day of the plan what it sees of the tables; in the report of the first part.
    pub(super) seen: Vec<Seen>,
    /// What each map task has sent to all parts together; in the report of the first part.
    pub(super) sent: Vec<Sent>,
    /// What has arrived at this part.
    pub(super) received: Tally,
    pub(super) days: Vec<DayFiles>,
    pub(super) spilled: u64,
    pub(super) peak_memory: Option<u64>,
}

impl Report {
    /// As it travels to the driver.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be printed.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        // Numbers, texts, lists and maps keyed by numbers: the printer has nothing to refuse.
        serde_json::to_vec(self).invariant("a report can be printed")
    }

    /// Reads one that has travelled.
    ///
    /// # Errors
    /// [`Error::Tasks`] when it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(unreadable)
    }
}

/// The error for what has not arrived as it was sent.
pub(super) fn unreadable(error: serde_json::Error) -> Error {
    Error::Tasks { problem: format!("not a report: {error}") }
}

/// A day's shard.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DayFiles {
    pub(super) day: Day,
    pub(super) figures: Figures,
    /// For each format of the plan its file.
    pub(super) files: Vec<Shard>,
}

/// Does the tasks of all parts that have rows in `batches`, and writes their files into the attempt's folder, on disk when it
/// returns.
///
/// The rows of a part follow each other, in the order of their kinds. Memory is what the options say, and what it has no room
/// for goes to `spill`.
///
/// # Errors
/// Faults of the batches, and what the disk refuses; also [`Error::Memory`].
pub fn reduce(
    job: &Job,
    attempt: &Attempt,
    spill: &Path,
    batches: &mut dyn Iterator<Item = Result<RecordBatch>>,
) -> Result<Vec<Report>> {
    match job.plan.item_dtype() {
        ItemDtype::I32 => reduce_items::<i32>(job, attempt, spill, batches),
        ItemDtype::I64 => reduce_items::<i64>(job, attempt, spill, batches),
    }
}

fn reduce_items<I: ItemId>(
    job: &Job,
    attempt: &Attempt,
    spill: &Path,
    batches: &mut dyn Iterator<Item = Result<RecordBatch>>,
) -> Result<Vec<Report>> {
    let options = job.plan.options();
    let (gather, _) = gather::choose::<I>(options.device)?;
    let budget = Budget::new(options.memory.or(Some(MEMORY_PER_TASK)), rayon::current_num_threads())?;
    let folder = SpillFolder::new(spill);
    let task = Task { job, attempt, gather: gather.as_ref(), budget: &budget, folder: &folder };
    let parts: FxHashMap<i32, u32> = job.routes.iter().copied().zip(0..).collect();
    let mut rows = Rows::new(batches);
    let mut reports = Vec::new();
    while let Some(route) = rows.route()? {
        let part = parts.get(&route).ok_or_else(|| Error::Tasks { problem: format!("there is no route {route}") })?;
        reports.push(task.part(*part, route, &mut rows)?);
    }
    Ok(reports)
}

/// What the parts of a task share.
struct Task<'a, I> {
    job: &'a Job,
    attempt: &'a Attempt,
    gather: &'a dyn Gather<I>,
    budget: &'a Budget,
    folder: &'a SpillFolder,
}

/// As many buckets as keep the actions of a shard of usual size in a core's cache while they are sorted.
const BUCKETS: u32 = 64;
/// Records that are put into a spool at a time.
const RECORDS_AT_A_TIME: usize = 1 << 16;

impl<I: ItemId> Task<'_, I> {
    fn part(&self, part: u32, route: i32, rows: &mut Rows<'_>) -> Result<Report> {
        let spilled_before = self.folder.bytes();
        let (group, range, shard) = self.job.part(part)?;
        let mut report = self.reports(part, route, rows)?;
        if !report.faults.is_empty() {
            rows.skip(route)?;
            return Ok(report);
        }
        let samples = self.samples(group, range, route, rows)?;
        let customers = Customers::new(&samples, range, BUCKETS, self.budget)?;
        let samples = Samples::new(samples, &customers, &group.plan, self.budget)?;
        let actions = self.actions(group, range, &customers, route, rows)?;
        rows.visit(route, RecordKind::Sent, |json| {
            report.sent.push(serde_json::from_slice(json).map_err(unreadable)?);
            Ok(())
        })?;
        if part == 0 {
            self.seen(&mut report, route, rows)?;
        }
        if rows.skip(route)? {
            return Err(Error::Tasks { problem: format!("rows of part {part} are out of order") });
        }
        report.received = rows.take_tally();
        let input =
            histories::Input { samples, actions, customers: &customers, plan: &group.plan, folder: self.folder };
        let histories = Histories::new(&input, self.budget, &|_| Ok(()))?;
        drop(input);
        for index in 0..group.plan.days().len() {
            report.days.push(self.day(group, index, shard, &histories)?);
        }
        report.spilled = self.folder.bytes() - spilled_before;
        report.peak_memory = crate::pipeline::peak_memory();
        Ok(report)
    }

    /// What map tasks have to report.
    fn reports(&self, part: u32, route: i32, rows: &mut Rows<'_>) -> Result<Report> {
        let mut report = Report {
            part,
            attempt: self.attempt.name().to_owned(),
            faults: Vec::new(),
            impressions: None,
            actions: Vec::new(),
            seen: Vec::new(),
            sent: Vec::new(),
            received: Tally::default(),
            days: Vec::new(),
            spilled: 0,
            peak_memory: None,
        };
        rows.visit(route, RecordKind::Part, |_| Ok(()))?;
        rows.visit(route, RecordKind::Fault, |text| {
            report.faults.push(String::from_utf8_lossy(text).into_owned());
            Ok(())
        })?;
        rows.visit(route, RecordKind::Impressions, |json| {
            let found: Impressions = serde_json::from_slice(json).map_err(unreadable)?;
            match &mut report.impressions {
                Some(known) => known.merge(found)?,
                none => *none = Some(found),
            }
            Ok(())
        })?;
        rows.visit(route, RecordKind::Actions, |json| {
            let (name, found): (String, Actions) = serde_json::from_slice(json).map_err(unreadable)?;
            match report.actions.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => known.merge(found),
                None => report.actions.push((name, found)),
            }
            Ok(())
        })?;
        Ok(report)
    }

    /// What each day of the plan sees of the tables; the rows that were left out are written into its folders here, as they may be
    /// too many for a report.
    fn seen(&self, report: &mut Report, route: i32, rows: &mut Rows<'_>) -> Result<()> {
        let plan = &self.job.plan;
        let mut kept: FxHashMap<String, KeptRejects> = FxHashMap::default();
        rows.visit(route, RecordKind::Rejects, |json| {
            let (name, rejects): (String, Vec<Reject>) = serde_json::from_slice(json).map_err(unreadable)?;
            let kept = kept.entry(name).or_default();
            rejects.into_iter().try_for_each(|reject| kept.push(reject, Some(self.folder)))
        })?;
        let mut left_out = |name: &str| kept.remove(name).unwrap_or_default().finish(Some(self.folder));
        let impressions = report.impressions.get_or_insert_with(|| Impressions::none(plan));
        let sent = std::mem::take(&mut impressions.sent);
        (impressions.rejects, impressions.spilled) = left_out(&plan.options().schema.samples.name)?;
        let mut right = impressions.rejected() == sent;
        for (name, read) in &mut report.actions {
            let sent = std::mem::take(&mut read.sent);
            (read.rejects, read.spilled) = left_out(name)?;
            right &= read.rejected() == sent;
        }
        if !right || !kept.is_empty() {
            return Err(Error::Tasks { problem: "not all rows that were left out have arrived".to_owned() });
        }
        for (index, &day) in plan.days().iter().enumerate() {
            let mut seen = Seen::new(plan, index, impressions, &report.actions)?;
            if seen.rejected().is_some() {
                let folders = plan.options().formats.iter().map(|&format| self.attempt.folder(format, day));
                seen.write_rejected(plan, day, &folders.collect::<Result<Vec<_>>>()?)?;
            }
            report.seen.push(seen);
        }
        // Their number is all that is reported of them.
        impressions.sent = impressions.rejected();
        (impressions.rejects, impressions.spilled) = (Vec::new(), None);
        for (_, read) in &mut report.actions {
            read.sent = read.rejected();
            (read.rejects, read.spilled) = (Vec::new(), None);
        }
        Ok(())
    }

    fn samples(
        &self,
        group: &Group,
        range: HashRange,
        route: i32,
        rows: &mut Rows<'_>,
    ) -> Result<Spooled<'_, Sample<I>>> {
        let days = group.plan.days().len() as u64;
        let fits = |sample: &Sample<I>| u64::from(sample.day()) < days && range.holds(sample.customer());
        let width = group.plan.contents().sample_packing().width();
        let spool = Spool::new(BUCKETS, width, self.budget, self.folder);
        let push = |samples: &mut Vec<Sample<I>>, packed: &mut Vec<u8>| {
            spool.push(Packed::new(samples, packed, width)?, |sample| range.bucket(sample.customer(), BUCKETS))?;
            samples.clear();
            packed.clear();
            Ok(())
        };
        let (mut samples, mut packed): (Vec<Sample<I>>, Vec<u8>) = (Vec::new(), Vec::new());
        rows.visit(route, RecordKind::Samples, |bytes| {
            let records = bytes.chunks_exact(size_of::<Sample<I>>() + width);
            if !records.remainder().is_empty() {
                return Err(Error::Tasks { problem: "a sample is cut off".to_owned() });
            }
            for record in records {
                let (sample, row) = record.split_at(size_of::<Sample<I>>());
                let sample = bytemuck::pod_read_unaligned::<Sample<I>>(sample);
                if !fits(&sample) {
                    return Err(Error::Tasks { problem: "a sample of another part, or of no day of it".to_owned() });
                }
                samples.push(sample);
                packed.extend_from_slice(row);
            }
            if samples.len() >= RECORDS_AT_A_TIME { push(&mut samples, &mut packed) } else { Ok(()) }
        })?;
        push(&mut samples, &mut packed)?;
        spool.finish(self.budget.limit() / 4)
    }

    fn actions(
        &self,
        group: &Group,
        range: HashRange,
        customers: &Customers,
        route: i32,
        rows: &mut Rows<'_>,
    ) -> Result<Spooled<'_, Action<I>>> {
        let types = &group.plan.options().schema.types;
        let width = group.plan.contents().feature_packing().width();
        let spool = Spool::new(BUCKETS, width, self.budget, self.folder);
        let push = |actions: &mut Vec<Action<I>>, packed: &mut Vec<u8>| {
            spool.push(Packed::new(actions, packed, width)?, |action| customers.bucket(action.customer()))?;
            actions.clear();
            packed.clear();
            Ok(())
        };
        let (mut actions, mut packed): (Vec<Action<I>>, Vec<u8>) = (Vec::new(), Vec::new());
        rows.visit(route, RecordKind::Histories, |mut bytes| {
            let cut_off = || Error::Tasks { problem: "a customer's actions are cut off".to_owned() };
            while !bytes.is_empty() {
                let (customer, rest) = bytes.split_first_chunk().ok_or_else(cut_off)?;
                let (count, rest) = rest.split_first_chunk().ok_or_else(cut_off)?;
                let count = u32::from_le_bytes(*count) as usize;
                let (keys, rest) = rest.split_at_checked(count * size_of::<I::StoredKey>()).ok_or_else(cut_off)?;
                let (features, rest) = rest.split_at_checked(count * width).ok_or_else(cut_off)?;
                bytes = rest;
                let customer = i64::from_le_bytes(*customer);
                let keys = keys.chunks_exact(size_of::<I::StoredKey>()).map(bytemuck::pod_read_unaligned).map(I::load);
                if !range.holds(customer) || !keys.clone().all(|key: I::Key| types.name(key.kind()).is_some()) {
                    return Err(Error::Tasks { problem: "an action of another part, or of no type".to_owned() });
                }
                // The filter of customers lets some through that have no impressions.
                let Some(place) = customers.place(customer) else { continue };
                actions.extend(keys.map(|key| Action::from_key(place, key)));
                packed.extend_from_slice(features);
            }
            if actions.len() >= RECORDS_AT_A_TIME { push(&mut actions, &mut packed) } else { Ok(()) }
        })?;
        push(&mut actions, &mut packed)?;
        spool.finish(self.budget.limit() / 2)
    }

    /// Writes a day's shard in all formats.
    fn day(&self, group: &Group, index: usize, shard: u32, histories: &Histories<'_, I>) -> Result<DayFiles> {
        let (options, day) = (group.plan.options(), group.plan.days()[index]);
        let layout = DayLayout { day, history: options.history, shards: group.shards, contents: group.plan.contents() };
        let mut shards = cut(histories, index, group.shards)?;
        // A part has one shard's customers.
        if shards.iter().any(|rows| rows.shard != shard && rows.rows > 0) {
            return Err(Error::internal("the samples of a part are of one shard"));
        }
        let rows = shards.swap_remove(shard as usize);
        let figures = of_shard(&rows, &group.plan)?;
        let write = |&format| {
            let folder = self.attempt.folder(format, day)?;
            let (written, unsynced) =
                write::write_shard(format, &rows, layout, &figures.content, self.gather, &folder, &|_| Ok(()))?;
            unsynced.sync()?;
            Ok(Shard::new(format, shard, rows.rows, &figures.content, &written))
        };
        let files = options.formats.iter().map(write).collect::<Result<_>>()?;
        Ok(DayFiles { day, figures, files })
    }
}
