//! Checks published days: hashes, structure and invariants, every fault named.
//!
//! ```text
//! path ─► days ─► each: manifest ─► folder ─► files (in parallel) ─► sums against the manifest
//!           └───► formats of one day against each other
//! ```
//!
//! Structure is checked also where the hashes fit: whoever changed a file may have hashed it again.

mod content;
mod day;
mod files;
mod rejected;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;

use crate::config::Format;
use crate::error::{Result, as_text};
use crate::manifest::{MANIFEST_FILE, Manifest};
use crate::open::{PlaceKind, find_days};
use day::DayOutcome;

/// Something that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// The file or folder.
    #[serde(serialize_with = "as_text::one")]
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The days checked, each format for itself.
    pub days: u64,
    /// Their samples, each format for itself.
    pub rows: u64,
    /// The bytes of their files.
    pub bytes: u64,
    /// Where cut-offs are times: the requests, each format for itself.
    pub requests: u64,
    /// Of those how many were seen to have no action from the cut-off on; of the others the times of actions are not there, or they have
    /// none.
    pub cutoffs_checked: u64,
    /// Everything that is wrong: by format, then by day; of many faults of one kind in a file the first, and their number.
    pub faults: Vec<Fault>,
    /// What a person may want to know, and is no fault.
    pub notes: Vec<String>,
}

/// Checks the days at or below a path: a day's folder, the folder of a format, or an output.
///
/// ```
/// # use shardback::{Build, Format};
/// # let out = tempfile::tempdir()?;
/// # let build = Build::day("2025-08-16".parse()?, out.path()).formats([Format::Jagged]);
/// # build.table("impressions", "data/sample/impressions").table("clicks", "data/sample/clicks").run()?;
/// let report = shardback::verify(out.path())?;
/// assert!(report.faults.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A fault does not stop the check. Files are mapped and read in parallel, in the pool of the caller; memory holds some
/// thousand rows of Parquet per thread.
///
/// # Errors
/// [`crate::error::Error::Io`] when a folder cannot be read, [`crate::error::Error::Corrupt`] when the path is none of
/// the three.
pub fn verify(path: &Path) -> Result<Report> {
    let found = find_days(path)?;
    let days: Vec<DayOutcome> = found.days.par_iter().map(day::check).collect();
    let mut report = Report { days: days.len() as u64, ..Report::default() };
    if days.is_empty() {
        report.faults.push(Fault { path: path.to_owned(), problem: "it has no days".to_owned() });
    }
    for foreign in found.foreign {
        let problem = "it does not belong beside days: expected folders like `dt=2025-08-15`".to_owned();
        report.faults.push(Fault { path: foreign, problem });
    }
    if let Some(staging) = found.staging {
        let staging = staging.display();
        report
            .notes
            .push(format!("`{staging}` is what an interrupted run left, or a run at work; the next run removes it"));
    }
    let between = if found.kind == PlaceKind::Output { compare_formats(&days) } else { Vec::new() };
    for day in days {
        report.rows += day.rows;
        report.bytes += day.bytes;
        let (checked, requests) = day.cutoffs.unwrap_or_default();
        report.requests += requests;
        report.cutoffs_checked += checked;
        report.faults.extend(day.faults);
    }
    report.faults.extend(between);
    Ok(report)
}

/// The formats of one day come from one build, and say the same of it.
fn compare_formats(days: &[DayOutcome]) -> Vec<Fault> {
    let mut first: BTreeMap<&str, (Format, &Manifest)> = BTreeMap::new();
    let mut faults = Vec::new();
    for day in days {
        let Some((format, manifest)) = &day.manifest else { continue };
        let (other, base) = *first.entry(&manifest.dt).or_insert((*format, manifest));
        let problem = if base.build != manifest.build {
            format!(
                "it comes from another build than the {} of this day: {}, {}",
                other.name(),
                manifest.build,
                base.build
            )
        } else if contents(base) != contents(manifest) {
            format!("it says other figures than the {} of this day, though the build is the same", other.name())
        } else {
            continue;
        };
        faults.push(Fault { path: day.folder.join(MANIFEST_FILE), problem });
    }
    faults
}

/// What does not depend on the format.
fn contents(manifest: &Manifest) -> impl PartialEq + '_ {
    let rows: Vec<(u64, &str)> = manifest.shards.iter().map(|shard| (shard.rows, shard.content.as_str())).collect();
    let cutoff = (manifest.lookback_days, manifest.time_cutoff);
    let options = (manifest.history, cutoff, &manifest.item_dtype, &manifest.types, &manifest.day_zone);
    (options, rows, &manifest.tables, &manifest.rejected, &manifest.statistics)
}
