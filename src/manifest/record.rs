//! A day's record: what the day sees of the tables, the figures of its shards, and the small files that hold both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rejected::{DayRejects, Rejects, Scope};
use super::statistics::{Figures, of_day};
use super::{
    FORMAT_VERSION, MANIFEST_FILE, Manifest, RUN_FILE, Rejected, SUCCESS_FILE, Shard, Statistics, TableRecord,
    hash_hex, hash_of_description,
};
use crate::config::{Format, Plan, TimeCutoff};
use crate::error::{Error, Invariant, Result};
use crate::event::Day;
use crate::fsio::{Folder, StagedFile};
use crate::schema::Contents;
use crate::unify::{Actions, Impressions};
use crate::zone::Zone;

/// The program and version that manifests name.
pub const TOOL: &str = concat!("shardback ", env!("CARGO_PKG_VERSION"));

/// What a day sees of the tables, beside the samples and the histories.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    tables: BTreeMap<String, TableRecord>,
    rejected: DayRejects,
}

impl Seen {
    /// What the plan's day number `index` sees of the impressions, and of the tables of actions by their names.
    ///
    /// # Errors
    /// What the spill disk says where rejected rows were spilled.
    ///
    /// # Panics
    /// When the plan has no such day.
    pub fn new(plan: &Plan, index: usize, impressions: &Impressions, actions: &[(String, Actions)]) -> Result<Self> {
        let day = plan.days()[index];
        let rejects = (impressions.rejects.as_slice(), impressions.spilled.as_ref(), Scope::Impressions);
        let samples = plan.options().schema.samples.name.clone();
        let mut tables = BTreeMap::from([(samples, table(plan, day, impressions.rows[index], rejects, None))]);
        let mut all = vec![rejects];
        for (name, read) in actions {
            let rows = read.rows.iter().filter(|&(&at, _)| plan.sees(day, at)).map(|(_, rows)| rows).sum();
            let rejects = (read.rejects.as_slice(), read.spilled.as_ref(), Scope::Actions);
            tables.insert(name.clone(), table(plan, day, rows, rejects, read.late_since(plan, day)));
            all.push(rejects);
        }
        Ok(Self { tables, rejected: DayRejects::new(plan, day, &all)? })
    }

    /// Adds a table of which the day sees nothing, unless it is there.
    pub(crate) fn add_table(&mut self, name: &str) {
        self.tables.entry(name.to_owned()).or_default();
    }

    /// The tables of actions that have no row on the day before, though they have some before that: each with the last day of those.
    pub(crate) fn late(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tables.iter().filter_map(|(name, table)| Some((name.as_str(), table.late_since.as_deref()?)))
    }

    /// The file of the rows that were left out, where the day has any.
    #[must_use]
    pub fn rejected(&self) -> Option<Rejected> {
        self.rejected.entry()
    }

    /// Writes and syncs that file into some folders, and keeps only what a manifest says of it.
    ///
    /// # Errors
    /// [`Error::Io`] for what the system refuses, also of the spill disk.
    pub fn write_rejected(&mut self, plan: &Plan, day: Day, folders: &[Folder]) -> Result<()> {
        self.rejected.write_into(plan, day, folders)
    }
}

/// A table as a day sees it. Rejected rows without a valid day are seen by every day.
fn table(
    plan: &Plan,
    day: Day,
    rows: u64,
    (kept, spilled, scope): Rejects<'_>,
    late_since: Option<Day>,
) -> TableRecord {
    let mut rejected: BTreeMap<String, u64> = BTreeMap::new();
    let kept = kept.iter().map(|reject| (reject.day, reject.reason, 1));
    for (at, reason, count) in kept.chain(spilled.iter().flat_map(|spilled| spilled.counts())) {
        if scope.sees(plan, day, at) {
            *rejected.entry(reason.name().to_owned()).or_default() += count;
        }
    }
    TableRecord { rows, rejected, late_since: late_since.map(|last| last.to_string()) }
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
        let statistics = of_day(day, plan, shards)?;
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

    /// The tables of actions that have no row on the day before: see [`TableRecord::late_since`].
    pub(crate) fn late(&self) -> impl Iterator<Item = (&str, &str)> {
        self.seen.late()
    }

    /// Writes the small files of a format into its staged folder, the manifest last but for the mark of success.
    ///
    /// `run` is the content of `_run.json`. The folder is not synced. Gives all files that the folder has to hold now, the
    /// shards included.
    ///
    /// # Errors
    /// [`Error::Io`] for what the system refuses.
    pub fn write(&self, folder: &Folder, format: Format, shards: Vec<Shard>, run: &[u8]) -> Result<Vec<StagedFile>> {
        let manifest = self.manifest(format, shards)?;
        let manifest_bytes = manifest.to_bytes()?;
        let small = [(RUN_FILE, run), (MANIFEST_FILE, &manifest_bytes), (SUCCESS_FILE, b"")];
        let shards = manifest.shards.iter().map(|shard| (shard.file.clone(), shard.bytes));
        let mut files: Vec<StagedFile> = shards.map(|(name, bytes)| StagedFile { name, bytes }).collect();
        if let Some(entry) = &manifest.rejected {
            self.seen.rejected.write(self.plan, self.day, folder)?;
            files.push(StagedFile { name: entry.file.clone(), bytes: entry.bytes });
        }
        for (name, bytes) in small {
            folder.write_file(name, bytes)?;
            files.push(StagedFile { name: name.to_owned(), bytes: bytes.len() as u64 });
        }
        Ok(files)
    }

    fn manifest(&self, format: Format, shards: Vec<Shard>) -> Result<Manifest> {
        let options = self.plan.options();
        Ok(Manifest {
            format: format!("shardback.{}", format.name()),
            version: FORMAT_VERSION,
            tool: TOOL.to_owned(),
            dt: self.day.to_string(),
            history: options.history as u64,
            lookback_days: options.lookback_days,
            time_cutoff: options.time_cutoff,
            item_dtype: self.plan.item_dtype().name().to_owned(),
            types: numbers(self.plan),
            contents: self.plan.contents().clone(),
            description: description_hash(self.plan)?,
            schema: canonical(self.plan)?,
            day_zone: self.plan.day_zone().map(|zone| zone.name().to_owned()),
            build: self.build.clone(),
            folder: None,
            shards,
            tables: self.seen.tables.clone(),
            rejected: self.seen.rejected.entry(),
            statistics: self.statistics.clone(),
            hash: String::new(),
        })
    }
}

/// The description of a plan in canonical form.
fn canonical(plan: &Plan) -> Result<Value> {
    serde_json::to_value(plan.options().schema.canonical()).invariant("a description can be printed")
}

/// The hash of a plan's description.
pub(crate) fn description_hash(plan: &Plan) -> Result<String> {
    Ok(hash_of_description(&canonical(plan)?))
}

/// The types of a plan, by name.
pub(crate) fn numbers(plan: &Plan) -> BTreeMap<String, u8> {
    plan.options().schema.types.iter().map(|(number, name)| (name.to_owned(), number)).collect()
}

/// The hash of everything that decides the day's bytes, whatever the format.
fn build_hash(plan: &Plan, day: Day, seen: &Seen, statistics: &Statistics, shards: &[Figures]) -> Result<String> {
    #[derive(Serialize)]
    struct Build<'a> {
        version: u32,
        dt: String,
        history: usize,
        lookback_days: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        time_cutoff: Option<TimeCutoff>,
        item_dtype: &'a str,
        types: BTreeMap<String, u8>,
        contents: &'a Contents,
        description: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        day_zone: Option<&'a str>,
        tables: &'a BTreeMap<String, TableRecord>,
        rejected: &'a str,
        statistics: &'a Statistics,
        shards: Vec<&'a str>,
    }
    let options = plan.options();
    let build = Build {
        version: FORMAT_VERSION,
        dt: day.to_string(),
        history: options.history,
        lookback_days: options.lookback_days,
        time_cutoff: options.time_cutoff,
        item_dtype: plan.item_dtype().name(),
        types: numbers(plan),
        contents: plan.contents(),
        description: description_hash(plan)?,
        day_zone: plan.day_zone().map(Zone::name),
        tables: &seen.tables,
        rejected: seen.rejected.hash(),
        statistics,
        shards: shards.iter().map(|shard| shard.content.as_str()).collect(),
    };
    Ok(hash_hex(&serde_json::to_vec(&build).invariant("what a build hash covers can be printed")?))
}
