//! A day's record: what the day sees of the tables, the figures of its shards, and the small files that hold both.

use std::collections::BTreeMap;

use serde::Serialize;

use super::statistics::{Figures, of_day};
use super::{
    FORMAT_VERSION, MANIFEST_FILE, Manifest, REJECTED_FILE, RUN_FILE, Rejected, SUCCESS_FILE, Shard, Statistics, Table,
    hash_hex,
};
use crate::config::{Format, Plan};
use crate::error::{Error, Invariant, Result};
use crate::event::Day;
use crate::fsio::{Folder, StagedFile};
use crate::unify::{Actions, IMPRESSIONS, Impressions, Reject};
use crate::zone::Zone;

/// The program and version that manifests name.
pub const TOOL: &str = concat!("shardback ", env!("CARGO_PKG_VERSION"));

/// What a day sees of the tables, beside the samples and the histories.
#[derive(Debug, Default)]
pub struct Seen {
    tables: BTreeMap<String, Table>,
    /// The bytes of `_rejected.jsonl`.
    rejected: Vec<u8>,
}

impl Seen {
    /// What the plan's day number `index` sees of the impressions, and of the tables of actions by their names.
    ///
    /// # Panics
    /// When the plan has no such day.
    #[must_use]
    pub fn new(plan: &Plan, index: usize, impressions: &Impressions, actions: &[(String, Actions)]) -> Self {
        let day = plan.days()[index];
        let mut seen = Self::default();
        let mut lines = Vec::new();
        lines.extend(seen.add_table(IMPRESSIONS, impressions.rows[index], &impressions.rejects, |at| at == day));
        for (name, read) in actions {
            let rows = read.rows.iter().filter(|&(&at, _)| plan.sees(day, at)).map(|(_, rows)| rows).sum();
            lines.extend(seen.add_table(name, rows, &read.rejects, |at| plan.sees(day, at)));
        }
        lines.sort_unstable();
        seen.rejected = lines.into_iter().flat_map(|line| line.bytes().chain([b'\n'])).collect();
        seen
    }

    /// Counts a table, and gives the lines of the rejected rows that the day sees; those without a valid day are seen by
    /// every day.
    fn add_table<'a>(
        &mut self,
        name: &str,
        rows: u64,
        rejects: &'a [Reject],
        sees: impl Fn(Day) -> bool,
    ) -> Vec<&'a str> {
        let rejects: Vec<&Reject> = rejects.iter().filter(|reject| reject.day.is_none_or(&sees)).collect();
        let mut table = Table { rows, rejected: BTreeMap::new() };
        for reject in &rejects {
            *table.rejected.entry(reject.reason.name().to_owned()).or_default() += 1;
        }
        self.tables.insert(name.to_owned(), table);
        rejects.into_iter().map(|reject| reject.line.as_str()).collect()
    }
}

/// All that a day's manifests are made of but its files.
#[derive(Debug)]
pub struct Record<'a> {
    plan: &'a Plan,
    day: Day,
    seen: Seen,
    statistics: Statistics,
    build: String,
}

impl<'a> Record<'a> {
    /// The record of a day of the plan whose shards have these figures.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be printed.
    pub fn new(plan: &'a Plan, day: Day, seen: Seen, shards: &[Figures]) -> Result<Self> {
        let statistics = of_day(day, plan.options(), shards)?;
        let counted: u64 = statistics.history_lengths.iter().map(|range| range.customers).sum();
        if counted != statistics.customers {
            return Err(Error::internal("every history is at most K long"));
        }
        let build = build_hash(plan, day, &seen, &statistics, shards)?;
        Ok(Self { plan, day, seen, statistics, build })
    }

    /// The figures of the day.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Writes the small files of a format into its staged folder, the manifest last but for the mark of success.
    ///
    /// `run` is the content of `_run.json`. The folder is not synced. Gives all files that the folder has to hold now, the
    /// shards included.
    ///
    /// # Errors
    /// [`Error::Io`] for what the system refuses.
    pub fn write(&self, folder: &Folder, format: Format, shards: Vec<Shard>, run: &[u8]) -> Result<Vec<StagedFile>> {
        let manifest = self.manifest(format, shards);
        let manifest_bytes = manifest.to_bytes()?;
        let rejected = manifest.rejected.iter().map(|entry| (entry.file.as_str(), self.seen.rejected.as_slice()));
        let small = [(RUN_FILE, run), (MANIFEST_FILE, &manifest_bytes), (SUCCESS_FILE, b"")];
        let shards = manifest.shards.iter().map(|shard| (shard.file.clone(), shard.bytes));
        let mut files: Vec<StagedFile> = shards.map(|(name, bytes)| StagedFile { name, bytes }).collect();
        for (name, bytes) in rejected.chain(small) {
            folder.write_file(name, bytes)?;
            files.push(StagedFile { name: name.to_owned(), bytes: bytes.len() as u64 });
        }
        Ok(files)
    }

    fn manifest(&self, format: Format, shards: Vec<Shard>) -> Manifest {
        let options = self.plan.options();
        let bytes = &self.seen.rejected;
        let rejected = Rejected {
            file: REJECTED_FILE.to_owned(),
            rows: memchr::memchr_iter(b'\n', bytes).count() as u64,
            bytes: bytes.len() as u64,
            hash: hash_hex(bytes),
        };
        Manifest {
            format: format!("shardback.{}", format.name()),
            version: FORMAT_VERSION,
            tool: TOOL.to_owned(),
            dt: self.day.to_string(),
            history: options.history as u64,
            lookback_days: options.lookback_days,
            item_dtype: options.item_dtype.name().to_owned(),
            types: numbers(self.plan),
            day_zone: self.plan.day_zone().map(|zone| zone.name().to_owned()),
            build: self.build.clone(),
            shards,
            tables: self.seen.tables.clone(),
            rejected: Some(rejected).filter(|rejected| rejected.rows > 0),
            statistics: self.statistics.clone(),
            hash: String::new(),
        }
    }
}

/// The types of a plan, by name.
pub(crate) fn numbers(plan: &Plan) -> BTreeMap<String, u8> {
    plan.options().types.iter().map(|(number, name)| (name.to_owned(), number)).collect()
}

/// The hash of everything that decides the day's bytes, whatever the format.
fn build_hash(plan: &Plan, day: Day, seen: &Seen, statistics: &Statistics, shards: &[Figures]) -> Result<String> {
    #[derive(Serialize)]
    struct Build<'a> {
        version: u32,
        dt: String,
        history: usize,
        lookback_days: Option<u32>,
        item_dtype: &'a str,
        types: BTreeMap<String, u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        day_zone: Option<&'a str>,
        tables: &'a BTreeMap<String, Table>,
        rejected: String,
        statistics: &'a Statistics,
        shards: Vec<&'a str>,
    }
    let options = plan.options();
    let build = Build {
        version: FORMAT_VERSION,
        dt: day.to_string(),
        history: options.history,
        lookback_days: options.lookback_days,
        item_dtype: options.item_dtype.name(),
        types: numbers(plan),
        day_zone: plan.day_zone().map(Zone::name),
        tables: &seen.tables,
        rejected: hash_hex(&seen.rejected),
        statistics,
        shards: shards.iter().map(|shard| shard.content.as_str()).collect(),
    };
    Ok(hash_hex(&serde_json::to_vec(&build).invariant("what a build hash covers can be printed")?))
}
