//! One day: its shards in every format, its manifest, and its place in the output.

use std::io::ErrorKind;
use std::path::Path;

use rayon::prelude::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;

use super::report::{DaySummary, FormatSummary, LateTable, StageTime, Summary, TableSummary, peak_memory};
use crate::config::{Format, Plan};
use crate::cut::{ShardRows, cut};
use crate::error::{Error, Invariant, Result};
use crate::event::{Day, ItemId};
use crate::fsio::{self, Output, StagedDay, Unsynced};
use crate::gather::Gather;
use crate::histories::Histories;
use crate::manifest::record::{Record, Seen, TOOL, description_hash, numbers};
use crate::manifest::statistics::{Figures, hidden_late, of_shard};
use crate::manifest::{FORMAT_VERSION, Manifest, Shard};
use crate::open::DayFolder;
use crate::remote::RemoteOutput;
use crate::unify::{Actions, Impressions, Progress};
use crate::write::{self, DayLayout};
use crate::zone::Zone;

/// Everything that a day's files are made of.
pub(super) struct Content<'a, I> {
    plan: &'a Plan,
    day: Day,
    samples: u64,
    shards: Vec<ShardRows<'a, I>>,
    seen: Seen,
}

/// A day whose shards are written.
pub(super) struct Staged<'a> {
    plan: &'a Plan,
    day: Day,
    folders: StagedDay,
    record: Record<'a>,
    shards: Vec<Vec<Shard>>,
    unsynced: Vec<Unsynced>,
    hidden_late: Option<u64>,
}

/// More files than this are not kept open until they are synced together: a quarter of what the process may have open, which its
/// tables, its temporary files and the files that are being written need as well.
fn most_unsynced() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit / 4).ok()).map_or(MOST_UNSYNCED, |share| share.min(MOST_UNSYNCED))
}

/// Each is synced by a thread of its own.
const MOST_UNSYNCED: usize = 256;

impl<'a, I: ItemId> Content<'a, I> {
    /// The content of the plan's day number `index`.
    pub(super) fn new(
        plan: &'a Plan,
        index: usize,
        impressions: &Impressions,
        actions: &[(String, Actions)],
        histories: &'a Histories<'a, I>,
    ) -> Result<Self> {
        let (day, samples) = (plan.days()[index], impressions.samples[index]);
        let shards = cut(histories, index, plan.options().sharding.shards(samples)?)?;
        Ok(Self { plan, day, samples, shards, seen: Seen::new(plan, index, impressions, actions)? })
    }

    pub(super) fn day(&self) -> Day {
        self.day
    }

    /// The rows of all formats together, for progress.
    pub(super) fn output_rows(&self) -> u64 {
        self.samples * self.plan.options().formats.len() as u64
    }

    /// Writes the shards of all formats into the staging folder, in parallel.
    pub(super) fn stage(self, output: &Output, gather: &dyn Gather<I>, progress: &Progress<'_>) -> Result<Staged<'a>> {
        let formats = &self.plan.options().formats;
        let folders = output.stage(self.day, formats)?;
        let history = self.plan.options().history;
        // As many as 32 bits counted.
        let layout =
            DayLayout { day: self.day, history, shards: self.shards.len() as u32, contents: self.plan.contents() };
        // First, as the headers of shards have the hash of what they hold.
        let figures = self.shards.par_iter().map(|rows| of_shard(rows, self.plan)).collect::<Result<Vec<_>>>()?;
        if figures.iter().map(Figures::samples).sum::<u64>() != self.samples {
            return Err(Error::internal("a day is written with as many samples as were read of it"));
        }
        let files: Vec<(Format, &ShardRows<'_, I>, &str)> = formats
            .iter()
            .flat_map(|&format| {
                let shards = self.shards.iter().zip(&figures);
                shards.map(move |(rows, figures)| (format, rows, figures.content.as_str()))
            })
            .collect();
        let sync_at_once = files.len() > most_unsynced();
        let written: Vec<(Shard, Option<Unsynced>)> = files
            .into_par_iter()
            .map(|(format, rows, content)| {
                let folder = folders.folder(format)?;
                let (written, unsynced) = write::write_shard(format, rows, layout, content, gather, folder, progress)?;
                let unsynced = if sync_at_once { unsynced.sync().map(|()| None) } else { Ok(Some(unsynced)) };
                Ok((Shard::new(format, rows.shard, rows.rows, content, &written), unsynced?))
            })
            .collect::<Result<_>>()?;
        let (written, unsynced): (Vec<Shard>, Vec<_>) = written.into_iter().unzip();
        Ok(Staged {
            plan: self.plan,
            day: self.day,
            record: Record::new(self.plan, self.day, self.seen, &figures)?,
            // Format after format, as they were asked for.
            shards: written.chunks(self.shards.len()).map(<[Shard]>::to_vec).collect(),
            unsynced: unsynced.into_iter().flatten().collect(),
            hidden_late: hidden_late(self.plan, figures.iter()),
            folders,
        })
    }
}

impl Staged<'_> {
    /// Waits until the shards are on disk, writes the small files, the manifest last, and puts the day in place.
    pub(super) fn finish(
        self,
        output: &Output,
        remote: Option<&RemoteOutput>,
        run_record: &[u8],
    ) -> Result<DaySummary> {
        fsio::sync_all(self.unsynced)?;
        let (mut formats, mut staged) = (Vec::new(), Vec::new());
        for (&format, shards) in self.plan.options().formats.iter().zip(self.shards) {
            let (files, bytes) = (shards.len(), shards.iter().map(|shard| shard.bytes).sum());
            staged.push(self.record.write(self.folders.folder(format)?, format, shards, run_record)?);
            let path =
                remote.map_or_else(|| output.day_folder(format, self.day), |remote| remote.day_path(format, self.day));
            formats.push(FormatSummary { format, path, files, bytes });
        }
        output.publish(self.folders, &staged, self.plan.options().replace_non_atomic)?;
        if let Some(remote) = remote {
            for format in formats.iter().map(|format| format.format) {
                remote.publish(format, self.day, &output.day_folder(format, self.day))?;
                output.remove_day(format, self.day)?;
            }
        }
        let statistics = self.record.statistics();
        let late = self.record.late();
        let late = late.map(|(table, last)| LateTable { table: table.to_owned(), last: last.to_owned() }).collect();
        Ok(DaySummary { day: self.day, samples: statistics.samples, customers: statistics.customers, formats, late })
    }
}

/// How the day came about: everything that may differ between runs that give the same bytes.
pub(super) fn run_record(summary: &Summary, staged: &Staged<'_>) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Run<'a> {
        tool: &'a str,
        device: &'a str,
        device_reason: &'a str,
        threads: usize,
        inputs: &'a [TableSummary],
        stages: Vec<Stage>,
        peak_memory_bytes: Option<u64>,
        spilled_bytes: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        hidden_late: Option<u64>,
    }
    #[derive(Serialize)]
    struct Stage {
        stage: String,
        seconds: f64,
    }
    let stage = |time: &StageTime| Stage { stage: time.stage.to_string(), seconds: time.elapsed.as_secs_f64() };
    let record = Run {
        tool: TOOL,
        device: &summary.device.device,
        device_reason: summary.device.reason,
        threads: summary.threads,
        inputs: &summary.tables,
        stages: summary.stages.iter().map(stage).collect(),
        peak_memory_bytes: peak_memory(),
        spilled_bytes: summary.spilled,
        hidden_late: staged.hidden_late,
    };
    let mut bytes = serde_json::to_vec_pretty(&record).invariant("the record of a run can be printed")?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Whether every format of a day is there, whole and from one build with these options.
///
/// # Errors
/// [`Error::Io`] where the system does not say.
pub(super) fn exists(plan: &Plan, output: &Output, remote: Option<&RemoteOutput>, day: Day) -> Result<bool> {
    let options = plan.options();
    let mut manifests = Vec::new();
    for &format in &options.formats {
        if let Some(remote) = remote {
            let Some(manifest) = remote.whole(format, day)? else { return Ok(false) };
            manifests.push(manifest);
            continue;
        }
        match published(&output.day_folder(format, day)) {
            Ok(manifest) => manifests.push(manifest),
            Err(error @ Error::Io { .. }) if !is_no_day(&error) => return Err(error),
            Err(_) => return Ok(false),
        }
    }
    let description = description_hash(plan)?;
    let builds_agree = manifests.windows(2).all(|pair| pair[0].build == pair[1].build);
    let is_of_plan = builds_agree
        && manifests.iter().zip(&options.formats).all(|(manifest, format)| {
            let shards = options.sharding.shards(manifest.statistics.samples);
            manifest.format == format!("shardback.{}", format.name())
                && manifest.version == FORMAT_VERSION
                && manifest.dt == day.to_string()
                && manifest.history == options.history as u64
                && manifest.lookback_days == options.lookback_days
                && manifest.time_cutoff == options.time_cutoff
                && manifest.item_dtype == plan.item_dtype().name()
                && manifest.types == numbers(plan)
                && manifest.contents == *plan.contents()
                && manifest.description == description
                && manifest.day_zone.as_deref() == plan.day_zone().map(Zone::name)
                && shards.is_ok_and(|shards| shards as usize == manifest.shards.len())
        });
    Ok(is_of_plan)
}

/// Whether an error says that there is nothing, or something that is no day, rather than that it cannot be told.
fn is_no_day(error: &Error) -> bool {
    let Error::Io { source, .. } = error else { return false };
    matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
}

/// The manifest of a published day whose files are there with their sizes.
fn published(folder: &Path) -> Result<Manifest> {
    let day = DayFolder::open(folder)?;
    day.check_success()?;
    Ok(day.manifest().clone())
}
