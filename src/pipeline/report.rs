//! What a run tells: progress while it works, and a summary at its end.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::config::Format;
use crate::error::{Invariant, Result, as_text, path_text};
use crate::event::Day;
use crate::gather::Chosen;
use crate::read::Source;

/// A step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Reading impressions; progress in bytes.
    Impressions,
    /// Reading actions; progress in bytes.
    Actions,
    /// Grouping and sorting actions; progress in buckets of customers.
    Histories,
    /// Writing a day; progress in rows of all formats.
    Day(Day),
    /// Generating tables; progress in rows of all of them.
    Tables,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Impressions => f.write_str("read impressions"),
            Self::Actions => f.write_str("read actions"),
            Self::Histories => f.write_str("sort histories"),
            Self::Day(day) => write!(f, "write {day}"),
            Self::Tables => f.write_str("generate tables"),
        }
    }
}

/// What is told of a run while it works; several threads call it.
pub trait Observer: Sync {
    /// A stage begins that has `total` units to do.
    fn begin(&self, _stage: Stage, _total: u64) {}
    /// Some more units are done.
    fn advance(&self, _stage: Stage, _units: u64) {}
    /// A stage is done.
    fn end(&self, _time: &StageTime) {}
    /// A day is in place.
    fn published(&self, _day: &DaySummary) {}
    /// Whether the run should stop as soon as it can, with [`Error::Interrupted`](crate::error::Error::Interrupted).
    fn cancelled(&self) -> bool {
        false
    }
}

/// Nobody watches.
impl Observer for () {}

/// How long a stage took.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StageTime {
    /// Which.
    pub stage: Stage,
    /// How long.
    pub elapsed: Duration,
}

/// What a run did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The days that were built and published, in order.
    pub days: Vec<DaySummary>,
    /// The days that were there already, with `--skip-existing`.
    pub skipped: Vec<Day>,
    /// The tables as they were read.
    pub tables: Vec<TableSummary>,
    /// The stages in order.
    pub stages: Vec<StageTime>,
    /// What padded rows, and why.
    pub device: Chosen,
    /// The threads that worked.
    pub threads: usize,
    /// From start to end.
    pub elapsed: Duration,
    /// The bytes that memory had no room for, and that went to temporary files.
    pub spilled: u64,
    /// The most memory that was resident, in bytes, where the system tells.
    pub peak_memory: Option<u64>,
}

/// A table as it was read.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TableSummary {
    /// Its name.
    pub table: String,
    /// Its files, where the source is made of files.
    #[serde(serialize_with = "as_text::all")]
    pub files: Vec<PathBuf>,
    /// The bytes of the parts that were read.
    pub bytes: u64,
    /// Valid rows; for impressions those of the requested days.
    pub rows: u64,
    /// Rows left out.
    pub rejected: u64,
    /// Lines of impressions in JSON that have neither an item nor a list of items; 0 for other tables.
    pub shows_nothing: u64,
}

/// A published day.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DaySummary {
    /// Which.
    pub day: Day,
    /// Its samples.
    pub samples: u64,
    /// Its distinct customers.
    pub customers: u64,
    /// Its formats, in the order of publishing.
    pub formats: Vec<FormatSummary>,
    /// The tables of actions that have no row on the day before, though they have some before that.
    pub late: Vec<LateTable>,
}

/// A table of actions that most likely was not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LateTable {
    /// Its name.
    pub table: String,
    /// The last day on which it has rows.
    pub last: String,
}

/// A format of a published day.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FormatSummary {
    /// Which.
    pub format: Format,
    /// Its folder.
    pub path: PathBuf,
    /// Its shards.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Summary {
    pub(super) fn new(threads: usize, device: Chosen) -> Self {
        Self {
            days: Vec::new(),
            skipped: Vec::new(),
            tables: Vec::new(),
            stages: Vec::new(),
            device,
            threads,
            elapsed: Duration::ZERO,
            spilled: 0,
            peak_memory: None,
        }
    }

    pub(super) fn finish(self, elapsed: Duration) -> Self {
        Self { elapsed, peak_memory: peak_memory(), ..self }
    }

    /// The summary as JSON, for programs.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) when it cannot be printed.
    pub fn to_json(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Json<'a> {
            days: Vec<Day>,
            skipped: Vec<String>,
            tables: &'a [TableSummary],
            stages: Vec<Stage>,
            device: &'a str,
            device_reason: &'a str,
            threads: usize,
            seconds: f64,
            peak_memory_bytes: Option<u64>,
            spilled_bytes: u64,
        }
        #[derive(Serialize)]
        struct Day {
            day: String,
            samples: u64,
            customers: u64,
            formats: Vec<Format>,
            late: Vec<LateTable>,
        }
        #[derive(Serialize)]
        struct Format {
            format: &'static str,
            path: String,
            shards: usize,
            bytes: u64,
        }
        #[derive(Serialize)]
        struct Stage {
            stage: String,
            seconds: f64,
        }
        let format = |format: &FormatSummary| Format {
            format: format.format.name(),
            path: path_text(&format.path),
            shards: format.files,
            bytes: format.bytes,
        };
        let day = |day: &DaySummary| Day {
            day: day.day.to_string(),
            samples: day.samples,
            customers: day.customers,
            formats: day.formats.iter().map(format).collect(),
            late: day.late.clone(),
        };
        let stage = |time: &StageTime| Stage { stage: time.stage.to_string(), seconds: time.elapsed.as_secs_f64() };
        let json = Json {
            days: self.days.iter().map(day).collect(),
            skipped: self.skipped.iter().map(ToString::to_string).collect(),
            tables: &self.tables,
            stages: self.stages.iter().map(stage).collect(),
            device: &self.device.device,
            device_reason: self.device.reason,
            threads: self.threads,
            seconds: self.elapsed.as_secs_f64(),
            peak_memory_bytes: self.peak_memory,
            spilled_bytes: self.spilled,
        };
        serde_json::to_string_pretty(&json).invariant("the summary of a run can be printed")
    }

    pub(super) fn add_table(&mut self, table: &str, source: &dyn Source, rows: u64, rejected: u64, shows_nothing: u64) {
        self.tables.push(TableSummary {
            table: table.to_owned(),
            files: source.files().into_iter().map(ToOwned::to_owned).collect(),
            bytes: source.bytes(),
            rows,
            rejected,
            shows_nothing,
        });
    }
}

/// The most memory that this process had resident so far, in bytes; `None` where the system does not tell.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
