//! One day of one format: its manifest, its folder, its files, and the sums over them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::Fault;
use super::content::{Expected, Tally};
use super::files::{self, Outcome, problem};
use super::rejected;
use crate::config::Format;
use crate::error::Result;
use crate::fsio::FolderHandle;
use crate::layout::Header;
use crate::manifest::{
    LabelFigures, MANIFEST_FILE, Manifest, REJECTED_FILE, RUN_FILE, SUCCESS_FILE, Shard as Entry, hash_of_description,
    is_hash, length_ranges,
};
use crate::open::{ManifestFields, Place, day_of_name, is_replaced, read_manifest, wrong_file_name, wrong_history};
use crate::pack::Dtype;

/// What looking at a day brought.
pub(super) struct DayOutcome {
    pub(super) folder: PathBuf,
    /// The manifest and its format, where it could be read.
    pub(super) manifest: Option<(Format, Manifest)>,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) faults: Vec<Fault>,
    /// Where cut-offs are times: of how many requests it could be seen that the newest action is before it, and how many there are.
    pub(super) cutoffs: Option<(u64, u64)>,
}

impl DayOutcome {
    fn add(&mut self, path: &Path, problem: impl Into<String>) {
        self.faults.push(Fault { path: path.to_owned(), problem: problem.into() });
    }

    fn take(&mut self, path: &Path, outcome: Outcome) -> Option<Tally> {
        self.bytes += outcome.bytes;
        outcome.problems.into_iter().for_each(|problem| self.add(path, problem));
        self.rows += outcome.tally.as_ref().map_or(0, |tally| tally.samples);
        outcome.tally
    }
}

/// How often a day is looked at again that is replaced meanwhile.
const MOST_TRIES: usize = 100;

/// Looks at a day's folder and everything in it.
///
/// All of it is looked at in the folder that was opened first. Where a build has replaced it and is deleting it, it has faults that
/// are none: then the new one is looked at.
pub(super) fn check(place: &Place) -> DayOutcome {
    let mut tries = 0;
    loop {
        let opened = FolderHandle::open(&place.folder);
        let day = check_opened(place, &opened);
        tries += 1;
        let is_gone = opened.is_ok_and(|opened| is_replaced(&opened));
        if day.faults.is_empty() || !is_gone || tries == MOST_TRIES {
            return day;
        }
    }
}

fn check_opened(place: &Place, opened: &Result<FolderHandle>) -> DayOutcome {
    let folder = &place.folder;
    let mut day =
        DayOutcome { folder: folder.clone(), manifest: None, rows: 0, bytes: 0, faults: Vec::new(), cutoffs: None };
    let path = folder.join(MANIFEST_FILE);
    let unread = |problem| format!("{problem}; nothing else in the folder was checked");
    let handle = match opened {
        Ok(handle) => handle,
        Err(error) => {
            day.add(&path, unread(problem(error)));
            return day;
        }
    };
    let bytes = match read_manifest(handle, MANIFEST_FILE) {
        Ok(bytes) => bytes,
        Err(error) => {
            day.add(&path, unread(problem(&error)));
            return day;
        }
    };
    day.bytes += bytes.len() as u64;
    if let Err(problem) = Manifest::from_bytes(&bytes) {
        day.add(&path, problem);
    }
    // A manifest that was tampered with may still say enough to look at the files.
    let read = Manifest::from_bytes_unchecked(&bytes)
        .and_then(|manifest| ManifestFields::of(&manifest).map(|meaning| (manifest, meaning)));
    let (manifest, meaning) = match read {
        Ok(read) => read,
        Err(problem) => {
            if day.faults.is_empty() {
                day.add(&path, problem);
            }
            return day;
        }
    };
    if let Some(named) = day_of_name(folder).filter(|&named| named != meaning.day) {
        day.add(&path, format!("it is of {}, in the folder of {named}", meaning.day));
    }
    if let Some(format) = place.format.filter(|&format| format != meaning.format) {
        day.add(&path, format!("it is of format {}, in the folder of {}", meaning.format.name(), format.name()));
    }
    figures(&manifest).into_iter().for_each(|problem| day.add(&path, problem));
    presence(handle, &manifest, meaning.format, &mut day);
    let tally = contents(handle, &manifest, &meaning, &mut day);
    if let Some(tally) = tally {
        compare(&manifest, &meaning, &tally).into_iter().for_each(|problem| day.add(&path, problem));
        if manifest.contents.request_time {
            day.cutoffs = Some((tally.cutoffs, tally.requests));
        }
    }
    day.manifest = Some((meaning.format, manifest));
    day
}

/// Whether the figures of a manifest fit each other.
fn figures(manifest: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    let statistics = &manifest.statistics;
    let sum = manifest.shards.iter().fold(0_u64, |sum, shard| sum.saturating_add(shard.rows));
    if sum != statistics.samples {
        problems.push(format!("its shards have {sum} rows, `samples` is {}", statistics.samples));
    }
    for (name, label) in &statistics.labels {
        let expected = LabelFigures::new(label.positives, statistics.samples).rate;
        if label.rate != expected {
            let show = |rate: Option<f64>| rate.map_or_else(|| "null".to_owned(), |rate| rate.to_string());
            problems.push(format!("`labels.{name}.rate` is {}, expected {}", show(label.rate), show(expected)));
        }
    }
    if manifest.shards.is_empty() {
        problems.push("it names no shard".to_owned());
    }
    problems.extend(wrong_history(manifest.history));
    let ranges = |(from, to): (u64, u64)| format!("{from} to {to}");
    let expected = length_ranges(manifest.history);
    let found = statistics.history_lengths.iter().map(|range| (range.from, range.to));
    if !found.clone().eq(expected.iter().map(|range| (range.from, range.to))) {
        let found = found.map(ranges).collect::<Vec<_>>().join(", ");
        problems.push(format!("the ranges of `history_lengths` are not those of K = {}: {found}", manifest.history));
    }
    let rejects = manifest.tables.values().flat_map(|table| table.rejected.values());
    let rejects = rejects.fold(0_u64, |sum, &count| sum.saturating_add(count));
    let kept = manifest.rejected.as_ref().map_or(0, |rejected| rejected.rows);
    if rejects != kept {
        problems.push(format!("its tables reject {rejects} rows, `rejected` has {kept}"));
    }
    let at_time = manifest.contents.request_time;
    if (manifest.time_cutoff.is_some(), statistics.at_cutoff.is_some()) != (at_time, at_time) {
        problems.push("`time_cutoff`, `contents.request_time` and `at_cutoff` do not fit each other".to_owned());
    }
    if statistics.smallest_gap_micros.is_some_and(|gap| at_time && gap <= 0) {
        problems.push("`smallest_gap_micros` is not above 0, where the cut-off is the time".to_owned());
    }
    if !is_hash(&manifest.build) {
        problems.push(format!("`build` is not a hash: {}", manifest.build));
    }
    let expected = hash_of_description(&manifest.schema);
    if manifest.description != expected {
        problems.push(format!("`description` is {}, the hash of `schema` is {expected}", manifest.description));
    }
    problems
}

/// Whether the folder has what it should, and nothing else; the files that the manifest gives hashes for are opened later.
fn presence(handle: &FolderHandle, manifest: &Manifest, format: Format, day: &mut DayOutcome) {
    let folder = day.folder.clone();
    let mut expected: BTreeSet<OsString> = [MANIFEST_FILE, RUN_FILE, SUCCESS_FILE].map(OsString::from).into();
    expected.extend(manifest.rejected.as_ref().map(|_| OsString::from(REJECTED_FILE)));
    expected.extend((0..).zip(&manifest.shards).map(|(shard, _)| OsString::from(format.shard_file(shard))));
    let mut found = match handle.names() {
        Ok(found) => found,
        Err(error) => return day.add(&folder, problem(&error)),
    };
    found.sort_unstable();
    for name in found.iter().filter(|name| !expected.contains(*name)) {
        day.add(&folder.join(name), "it does not belong in a day's folder");
    }
    for name in [RUN_FILE, SUCCESS_FILE] {
        let path = folder.join(name);
        match handle.file_size(name) {
            Err(error) => day.add(&path, problem(&error)),
            Ok(bytes) if name == SUCCESS_FILE && bytes > 0 => {
                day.add(&path, format!("it has {bytes} bytes, it should be empty"));
            }
            Ok(bytes) => day.bytes += bytes,
        }
    }
}

/// Looks at every file that the manifest names, in parallel; returns what their rows add up to, where all could be read.
fn contents(
    handle: &FolderHandle,
    manifest: &Manifest,
    meaning: &ManifestFields,
    day: &mut DayOutcome,
) -> Option<Tally> {
    let folder = day.folder.clone();
    let path = folder.join(MANIFEST_FILE);
    if let Some(rejected) = &manifest.rejected {
        let path = folder.join(REJECTED_FILE);
        if rejected.file != REJECTED_FILE {
            day.add(&path, format!("the manifest calls it `{}`", rejected.file));
        }
        let outcome = rejected::check(handle, rejected, manifest);
        day.take(&path, outcome);
    }
    let Ok(shards) = u32::try_from(manifest.shards.len()) else {
        day.add(&path, "it names more shards than there can be");
        return None;
    };
    let header = |shard: u32, entry: &Entry| Header {
        format: meaning.format,
        day: meaning.day,
        history: manifest.history,
        shard,
        shards,
        rows: entry.rows,
        stored: None,
        item_dtype: meaning.item_dtype,
        contents: manifest.contents.clone(),
        content: entry.content.clone(),
    };
    let outcomes: Vec<Outcome> = manifest
        .shards
        .par_iter()
        .zip(0..shards)
        .map(|(entry, shard)| {
            let header = &header(shard, entry);
            files::check(handle, entry, Expected { header, types: &meaning.types, cutoff: manifest.time_cutoff })
        })
        .collect();
    let mut sum = Some(Tally::new(manifest.history, &manifest.contents));
    for ((shard, entry), outcome) in (0..).zip(&manifest.shards).zip(outcomes) {
        if entry.file != meaning.format.shard_file(shard) {
            day.add(&path, wrong_file_name(shard, &entry.file, meaning.format));
        }
        let tally = day.take(&folder.join(meaning.format.shard_file(shard)), outcome);
        sum = sum.zip(tally).map(|(mut sum, tally)| {
            sum += &tally;
            sum
        });
    }
    sum
}

/// Compares the figures of a manifest with those of the rows.
fn compare(manifest: &Manifest, meaning: &ManifestFields, tally: &Tally) -> Vec<String> {
    let types = &meaning.types;
    // Of rows that each have a whole history it is not seen which actions are the same.
    let has_actions_once = meaning.format == Format::Jagged || !manifest.contents.request_time;
    let (statistics, labels) = (&manifest.statistics, &manifest.contents.labels);
    let mut problems = Vec::new();
    let mut same = |name: &str, said: u64, found: u64| {
        if said != found {
            problems.push(format!("`{name}` is {said}, the files have {found}"));
        }
    };
    same("samples", statistics.samples, tally.samples);
    let bools = labels.iter().zip(&tally.positives).filter(|(label, _)| label.dtype == Dtype::Bool);
    for (label, &found) in bools.clone() {
        if let Some(said) = statistics.labels.get(&label.name) {
            same(&format!("labels.{}.positives", label.name), said.positives, found);
        }
    }
    same("requests", statistics.requests, tally.requests);
    same("customers", statistics.customers, tally.customers);
    same("customers_without_history", statistics.customers_without_history, tally.customers_without_history);
    for (number, name) in types.iter() {
        // Where it says nothing, that is a fault of its own, below.
        if let Some(&said) = statistics.actions.get(name).filter(|_| has_actions_once) {
            same(&format!("actions.{name}"), said, tally.actions[usize::from(number)]);
        }
    }
    for (range, &found) in statistics.history_lengths.iter().zip(&tally.history_lengths) {
        same(&format!("history_lengths {} to {}", range.from, range.to), range.customers, found);
    }
    let mut names: Vec<&str> = bools.map(|(label, _)| label.name.as_str()).collect();
    names.sort_unstable();
    if !statistics.labels.keys().eq(&names) {
        problems.push(format!("the names in `labels` are not exactly {}", names.join(", ")));
    }
    let mut names: Vec<&str> = types.iter().map(|(_, name)| name).collect();
    names.sort_unstable();
    if !statistics.actions.keys().eq(&names) {
        problems.push(format!("the types in `actions` are not exactly {}", names.join(", ")));
    }
    problems
}
