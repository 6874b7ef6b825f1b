//! A page about the days of an output: how many samples, how they are distributed, what changed from day to day.
//!
//! ```text
//! manifests, _run.json ─► Report, as data ─► marks: days that stand out ─► page: one HTML file
//! ```
//!
//! [`Report`] is the answer as data; [`Report::page`] is the answer as HTML, which needs no network and no script. Only the small
//! files of a day are read, so a year of days takes moments. The same days give the same bytes.

mod charts;
mod marks;
mod page;
mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::Format;
use crate::error::{Result, as_text};
use crate::event::Day;
use crate::manifest::Manifest;
use crate::open::{DayFolder, PlaceKind, find_days};

pub use marks::{Mark, Oddity};

/// What there is to say about the days at a path.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The path.
    #[serde(serialize_with = "as_text::one")]
    pub path: PathBuf,
    /// What the path is.
    #[serde(skip)]
    pub kind: PlaceKind,
    /// The days that could be opened, in order.
    pub days: Vec<ReportedDay>,
    /// What stands out, by day.
    pub marks: Vec<Mark>,
}

/// A day of all its formats.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReportedDay {
    /// Which.
    #[serde(serialize_with = "as_date")]
    pub day: Day,
    /// Its formats, in the order of publishing.
    pub formats: Vec<ReportedFormat>,
    /// The manifest of the last of them, which is the smallest on disk. Those of one build differ in the files only.
    pub manifest: Manifest,
    /// How many late actions were hidden from its requests, as the record of the run says; none where cut-offs are days.
    pub hidden_late: Option<u64>,
}

/// A format of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReportedFormat {
    /// Its name.
    pub format: &'static str,
    /// Its files.
    pub shards: u32,
    /// Their bytes.
    pub bytes: u64,
    /// The build that it comes from.
    pub build: String,
}

impl ReportedDay {
    /// The bytes of all its formats.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.formats.iter().fold(0, |sum, format| sum.saturating_add(format.bytes))
    }

    /// The rows that were left out, of all tables and reasons.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        let counts = self.manifest.tables.values().flat_map(|table| table.rejected.values());
        counts.fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// The share of customers without history; none where there are no customers.
    #[must_use]
    pub fn without_history(&self) -> Option<f64> {
        let statistics = &self.manifest.statistics;
        (statistics.customers > 0).then(|| statistics.customers_without_history as f64 / statistics.customers as f64)
    }

    /// For each table of actions the rows that this day sees and the day before does not, which are those of a single day. None where
    /// the two do not tell: they do not follow each other, were built in other ways, or see only some of the days before them.
    #[must_use]
    pub fn new_rows(&self, before: &Self) -> BTreeMap<&str, u64> {
        let (new, old) = (&self.manifest, &before.manifest);
        let comparable = self.day.0.checked_sub(1) == Some(before.day.0)
            && new.lookback_days.is_none()
            && old.lookback_days.is_none()
            && new.time_cutoff.is_some() == old.time_cutoff.is_some()
            && new.description == old.description;
        let samples = new.schema.get("samples").and_then(|samples| samples.get("name")).and_then(|name| name.as_str());
        let is_samples = |name: &str| name == samples.unwrap_or("impressions");
        let tables = new.tables.iter().filter(|(name, _)| comparable && !is_samples(name));
        let more = tables
            .filter_map(|(name, table)| Some((name.as_str(), table.rows.checked_sub(old.tables.get(name)?.rows)?)));
        more.collect()
    }
}

/// Looks at the days at a path: an output, the folder of a format, or a single day.
///
/// ```
/// # use shardback::{Build, Format};
/// # let out = tempfile::tempdir()?;
/// # let build = Build::day("2025-08-16".parse()?, out.path()).formats([Format::Jagged]);
/// # build.table("impressions", "data/sample/impressions").table("clicks", "data/sample/clicks").run()?;
/// let report = shardback::report(out.path())?;
/// assert!(report.page().starts_with("<!doctype html>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A day that cannot be opened is a mark, so that a damaged day does not hide the others.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io) when a folder cannot be read, [`Error::Corrupt`](crate::error::Error::Corrupt) when the path
/// holds no days.
pub fn report(path: &Path) -> Result<Report> {
    let found = find_days(path)?;
    let mut days: BTreeMap<Day, ReportedDay> = BTreeMap::new();
    let mut marks = Vec::new();
    for place in &found.days {
        match DayFolder::open(&place.folder) {
            Ok(folder) => add(&mut days, &folder),
            Err(error) => marks.push(Mark::unreadable(&place.folder, &error)),
        }
    }
    let days: Vec<ReportedDay> = days.into_values().collect();
    marks.extend(marks::find(&days));
    marks.sort_by_key(|mark| mark.day);
    Ok(Report { path: path.to_owned(), kind: found.kind, days, marks })
}

/// Adds a format of a day; formats come in the order of publishing.
fn add(days: &mut BTreeMap<Day, ReportedDay>, folder: &DayFolder) {
    let manifest = folder.manifest();
    let format = ReportedFormat {
        format: folder.format().name(),
        shards: folder.shards(),
        bytes: manifest.shards.iter().fold(0, |sum, shard| sum.saturating_add(shard.bytes)),
        build: manifest.build.clone(),
    };
    let mut formats = days.remove(&folder.day()).map(|day| day.formats).unwrap_or_default();
    formats.push(format);
    let hidden_late = hidden_late(folder);
    days.insert(folder.day(), ReportedDay { day: folder.day(), formats, manifest: manifest.clone(), hidden_late });
}

/// What the record of the run says of late actions. It is outside every promise: where it is not there, or no JSON, nothing is said.
fn hidden_late(folder: &DayFolder) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Run {
        hidden_late: Option<u64>,
    }
    let run: Run = serde_json::from_slice(&folder.run_record().ok()?).ok()?;
    run.hidden_late
}

fn as_date<S: serde::Serializer>(day: &Day, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}

/// Every format that some day has, in the order of publishing.
fn formats_of(days: &[ReportedDay]) -> Vec<&'static str> {
    let has = |name: &&str| days.iter().any(|day| day.formats.iter().any(|format| format.format == *name));
    Format::ALL.map(Format::name).into_iter().filter(has).collect()
}
