//! One day: its shards in every format, its manifest, and its place in the output.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::{IntoParallelIterator, ParallelIterator};
use serde::Serialize;
use serde_json::json;

use super::ReadTable;
use super::report::{DaySummary, FormatSummary, Summary, peak_memory};
use crate::config::{Format, Plan};
use crate::cut::{ShardRows, cut};
use crate::error::{Error, Result};
use crate::event::{Day, ItemId};
use crate::fsio::{self, Output, StagedDay, Unsynced, Written};
use crate::gather::Gather;
use crate::histories::Histories;
use crate::manifest::{
    FORMAT_VERSION, MANIFEST_FILE, Manifest, REJECTED_FILE, RUN_FILE, Rejected, SUCCESS_FILE, Shard, Statistics, Table,
    hash_hex, statistics,
};
use crate::unify::{IMPRESSIONS, Impressions, Progress, Reject};
use crate::write::{self, DayLayout};

/// The program and version that manifests name.
pub(super) const TOOL: &str = concat!("shardback ", env!("CARGO_PKG_VERSION"));

/// Everything that a day's files are made of.
pub(super) struct Content<'a, I> {
    plan: &'a Plan,
    day: Day,
    samples: u64,
    shards: Vec<ShardRows<'a, I>>,
    tables: BTreeMap<String, Table>,
    /// The lines of `_rejected.jsonl`, sorted.
    rejected: Vec<&'a str>,
}

/// A day whose shards are written.
pub(super) struct Staged {
    folders: StagedDay,
    statistics: Statistics,
    build: String,
    shards: Vec<Vec<Shard>>,
    unsynced: Vec<Unsynced>,
}

/// More files than this are not kept open until they are synced together.
const MOST_UNSYNCED: usize = 256;

impl<'a, I: ItemId> Content<'a, I> {
    /// The content of the plan's day number `index`.
    pub(super) fn new(
        plan: &'a Plan,
        index: usize,
        impressions: &'a Impressions,
        read: &'a [ReadTable],
        histories: &'a Histories<'a, I>,
    ) -> Result<Self> {
        let (day, samples) = (plan.days()[index], impressions.samples[index]);
        let shards = cut(histories, index, plan.options().sharding.shards(samples)?)?;
        let mut content = Self { plan, day, samples, shards, tables: BTreeMap::new(), rejected: Vec::new() };
        content.add_table(IMPRESSIONS, impressions.rows[index], &impressions.rejects, |at| at == day);
        for ReadTable { name, read } in read {
            let rows = read.rows.iter().filter(|&(&at, _)| plan.sees(day, at)).map(|(_, rows)| rows).sum();
            content.add_table(name, rows, &read.rejects, |at| plan.sees(day, at));
        }
        content.rejected.sort_unstable();
        Ok(content)
    }

    pub(super) fn day(&self) -> Day {
        self.day
    }

    /// Counts what the day sees of a table; rows without a valid day are seen by every day.
    fn add_table(&mut self, name: &str, rows: u64, rejects: &'a [Reject], sees: impl Fn(Day) -> bool) {
        let mut table = Table { rows, rejected: BTreeMap::new() };
        for reject in rejects.iter().filter(|reject| reject.day.is_none_or(&sees)) {
            *table.rejected.entry(reject.reason.name().to_owned()).or_default() += 1;
            self.rejected.push(&reject.line);
        }
        self.tables.insert(name.to_owned(), table);
    }

    /// The rows of all formats together, for progress.
    pub(super) fn output_rows(&self) -> u64 {
        self.samples * self.plan.options().formats.len() as u64
    }

    /// Writes the shards of all formats into the staging folder, in parallel.
    pub(super) fn stage(&self, output: &Output, gather: &dyn Gather<I>, progress: &Progress<'_>) -> Result<Staged> {
        let formats = &self.plan.options().formats;
        let folders = output.stage(self.day, formats)?;
        let history = self.plan.options().history;
        // As many as 32 bits counted.
        let layout = DayLayout { day: self.day, history, shards: self.shards.len() as u32 };
        let files: Vec<(Format, &ShardRows<'_, I>)> =
            formats.iter().flat_map(|&format| self.shards.iter().map(move |rows| (format, rows))).collect();
        let sync_at_once = files.len() > MOST_UNSYNCED;
        let written: Vec<((Format, Shard), Option<Unsynced>)> = files
            .into_par_iter()
            .map(|(format, rows)| {
                let folder = folders.folder(format);
                let (written, unsynced) = write::write_shard(format, rows, layout, gather, &folder, progress)?;
                let unsynced = if sync_at_once { unsynced.sync().map(|()| None) } else { Ok(Some(unsynced)) };
                Ok(((format, shard_entry(format, rows, &written)), unsynced?))
            })
            .collect::<Result<_>>()?;
        let (written, unsynced): (Vec<_>, Vec<_>) = written.into_iter().unzip();
        let of_format = |wanted: Format| {
            written
                .iter()
                .filter(|(format, _)| *format == wanted)
                .map(|(_, shard): &(_, Shard)| shard.clone())
                .collect()
        };
        let (statistics, contents) = statistics::of_day(self.day, history, &self.shards)?;
        let build = self.build_hash(&statistics, &contents);
        let unsynced = unsynced.into_iter().flatten().collect();
        Ok(Staged {
            statistics,
            build,
            shards: formats.iter().map(|&format| of_format(format)).collect(),
            unsynced,
            folders,
        })
    }

    /// The hash of everything that decides the day's bytes, whatever the format.
    fn build_hash(&self, statistics: &Statistics, contents: &[u128]) -> String {
        #[derive(Serialize)]
        struct Build<'a> {
            version: u32,
            dt: String,
            history: usize,
            lookback_days: Option<u32>,
            item_dtype: &'a str,
            tables: &'a BTreeMap<String, Table>,
            rejected: String,
            statistics: &'a Statistics,
            shards: Vec<String>,
        }
        let options = self.plan.options();
        let build = Build {
            version: FORMAT_VERSION,
            dt: self.day.to_string(),
            history: options.history,
            lookback_days: options.lookback_days,
            item_dtype: options.item_dtype.name(),
            tables: &self.tables,
            rejected: hash_hex(&self.rejected_bytes()),
            statistics,
            shards: contents.iter().map(|content| format!("{content:032x}")).collect(),
        };
        hash_hex(&serde_json::to_vec(&build).unwrap_or_default())
    }

    fn rejected_bytes(&self) -> Vec<u8> {
        self.rejected.iter().flat_map(|line| line.bytes().chain([b'\n'])).collect()
    }

    /// Waits until the shards are on disk, writes the small files, the manifest last, and puts the day in place.
    pub(super) fn finish(&self, output: &Output, mut staged: Staged, run_record: &[u8]) -> Result<DaySummary> {
        fsio::sync_all(std::mem::take(&mut staged.unsynced))?;
        let mut formats = Vec::new();
        for (&format, shards) in self.plan.options().formats.iter().zip(&staged.shards) {
            let folder = staged.folders.folder(format);
            let folder = folder.path();
            let manifest = self.manifest(format, &staged, shards.clone());
            if let Some(rejected) = &manifest.rejected {
                fsio::write_file(&folder.join(&rejected.file), &self.rejected_bytes())?;
            }
            fsio::write_file(&folder.join(RUN_FILE), run_record)?;
            fsio::write_file(&folder.join(MANIFEST_FILE), &manifest.to_bytes())?;
            fsio::write_file(&folder.join(SUCCESS_FILE), b"")?;
            let bytes = shards.iter().map(|shard| shard.bytes).sum();
            formats.push(FormatSummary {
                format,
                path: output.day_folder(format, self.day),
                files: shards.len(),
                bytes,
            });
        }
        output.publish(staged.folders, self.plan.options().replace_non_atomic)?;
        Ok(DaySummary {
            day: self.day,
            samples: staged.statistics.samples,
            customers: staged.statistics.customers,
            formats,
        })
    }

    fn manifest(&self, format: Format, staged: &Staged, shards: Vec<Shard>) -> Manifest {
        let options = self.plan.options();
        let bytes = self.rejected_bytes();
        let rejected = Rejected {
            file: REJECTED_FILE.to_owned(),
            rows: self.rejected.len() as u64,
            bytes: bytes.len() as u64,
            hash: hash_hex(&bytes),
        };
        Manifest {
            format: format!("shardback.{}", format.name()),
            version: FORMAT_VERSION,
            tool: TOOL.to_owned(),
            dt: self.day.to_string(),
            history: options.history as u64,
            lookback_days: options.lookback_days,
            item_dtype: options.item_dtype.name().to_owned(),
            build: staged.build.clone(),
            shards,
            tables: self.tables.clone(),
            rejected: Some(rejected).filter(|rejected| rejected.rows > 0),
            statistics: staged.statistics.clone(),
            hash: String::new(),
        }
    }
}

/// How the day came about: everything that may differ between runs that give the same bytes.
pub(super) fn run_record(summary: &Summary) -> Vec<u8> {
    let seconds =
        |stage: &super::StageTime| json!({ "stage": stage.stage.to_string(), "seconds": stage.elapsed.as_secs_f64() });
    let record = json!({
        "tool": TOOL,
        "device": summary.device.device,
        "device_reason": summary.device.reason,
        "threads": summary.threads,
        "inputs": summary.tables,
        "stages": summary.stages.iter().map(seconds).collect::<Vec<_>>(),
        "peak_memory_bytes": peak_memory(),
        "spilled_bytes": summary.spilled,
    });
    let mut bytes = serde_json::to_vec_pretty(&record).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn shard_entry<I: ItemId>(format: Format, rows: &ShardRows<'_, I>, written: &Written) -> Shard {
    Shard {
        file: format.shard_file(rows.shard),
        rows: rows.rows,
        bytes: written.bytes,
        hash: format!("{:032x}", written.hash),
    }
}

/// Whether every format of a day is there, whole and from one build with these options.
pub(super) fn exists(plan: &Plan, output: &Output, day: Day) -> bool {
    let options = plan.options();
    let manifests: Option<Vec<Manifest>> =
        options.formats.iter().map(|&format| published(&output.day_folder(format, day)).ok()).collect();
    let Some(manifests) = manifests else { return false };
    let builds_agree = manifests.windows(2).all(|pair| pair[0].build == pair[1].build);
    builds_agree
        && manifests.iter().zip(&options.formats).all(|(manifest, format)| {
            let shards = options.sharding.shards(manifest.statistics.samples);
            manifest.format == format!("shardback.{}", format.name())
                && manifest.version == FORMAT_VERSION
                && manifest.dt == day.to_string()
                && manifest.history == options.history as u64
                && manifest.lookback_days == options.lookback_days
                && manifest.item_dtype == options.item_dtype.name()
                && shards.is_ok_and(|shards| shards as usize == manifest.shards.len())
        })
}

/// The manifest of a published day whose files are there with their sizes.
fn published(folder: &Path) -> Result<Manifest> {
    let corrupt = |problem| Error::Corrupt { path: folder.to_owned(), problem };
    let path = folder.join(MANIFEST_FILE);
    let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
    let manifest = Manifest::from_bytes(&bytes).map_err(corrupt)?;
    for shard in &manifest.shards {
        let path = folder.join(&shard.file);
        let found = std::fs::metadata(&path).map_err(Error::io("read", &path))?.len();
        if found != shard.bytes {
            return Err(corrupt(format!("{} has {found} bytes, its manifest says {}", shard.file, shard.bytes)));
        }
    }
    let success = folder.join(SUCCESS_FILE);
    std::fs::metadata(&success).map_err(Error::io("read", &success))?;
    Ok(manifest)
}
