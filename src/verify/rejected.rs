//! The rows that were left out: `_rejected.jsonl` against the manifest.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::content::Findings;
use super::files::{Outcome, check_bytes, problem};
use crate::error::{Reason, Result};
use crate::fsio::FolderHandle;
use crate::manifest::{Manifest, REJECTED_FILE, Rejected};
use crate::open::{Access, Data};

/// The keys of a line, in order.
const KEYS: [&str; 5] = ["table", "reason", "column", "value", "row"];

/// Looks at the file in a day's folder that the manifest names.
pub(super) fn check(folder: &FolderHandle, entry: &Rejected, manifest: &Manifest) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(error) = look(folder, entry, manifest, &mut outcome) {
        outcome.problems.push(problem(&error));
    }
    outcome
}

fn look(folder: &FolderHandle, entry: &Rejected, manifest: &Manifest, outcome: &mut Outcome) -> Result<()> {
    let bytes = Data::of(&folder.file(REJECTED_FILE)?, &folder.path().join(REJECTED_FILE), Access::Auto)?;
    outcome.bytes = bytes.len() as u64;
    if let Some(problem) = check_bytes(&bytes, entry.bytes, &entry.hash) {
        outcome.problems.push(problem);
        return Ok(());
    }
    let mut findings = Findings::default();
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut rows = 0_u64;
    let mut before: &[u8] = &[];
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        rows += 1;
        let Some(text) = line.strip_suffix(b"\n") else {
            findings.add("end", || format!("line {rows}: it does not end in a line feed"));
            continue;
        };
        if text < before {
            findings.add("order", || format!("line {rows}: out of order: lines ascend by their bytes"));
        }
        before = text;
        match read(text) {
            Ok(key) => *counts.entry(key).or_default() += 1,
            Err(fault) => findings.add("line", || format!("line {rows}: {fault}")),
        }
    }
    if rows != entry.rows {
        findings.add("rows", || format!("it has {rows} lines, the manifest says {}", entry.rows));
    }
    compare(&counts, manifest, &mut findings);
    outcome.problems.extend(findings.into_problems());
    Ok(())
}

/// The table and the reason of a line.
fn read(text: &[u8]) -> Result<(String, String), String> {
    let line: Map<String, Value> = serde_json::from_slice(text).map_err(|error| format!("no JSON object: {error}"))?;
    if !line.keys().map(String::as_str).eq(KEYS) {
        return Err(format!("its keys are not {}", KEYS.join(", ")));
    }
    let name = |key: &str| {
        line.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("`{key}` is not text"))
    };
    let (table, reason) = (name("table")?, name("reason")?);
    name("column")?;
    if !Reason::ALL.iter().any(|known| known.name() == reason) {
        return Err(format!("unknown reason: {reason}"));
    }
    if !line.get("row").is_some_and(Value::is_object) {
        return Err("`row` is not an object".to_owned());
    }
    Ok((table, reason))
}

/// Compares the lines of each table and reason with the manifest's counts.
fn compare(counts: &BTreeMap<(String, String), u64>, manifest: &Manifest, findings: &mut Findings) {
    let mut expected = BTreeMap::new();
    for (table, figures) in &manifest.tables {
        for (reason, &count) in figures.rejected.iter().filter(|(_, count)| **count > 0) {
            expected.insert((table.clone(), reason.clone()), count);
        }
    }
    for key in counts.keys().chain(expected.keys().filter(|key| !counts.contains_key(*key))) {
        let count = |counts: &BTreeMap<_, u64>| counts.get(key).copied().unwrap_or_default();
        let (found, said) = (count(counts), count(&expected));
        if found != said {
            let (table, reason) = key;
            findings.add("count", || format!("{found} lines of {table}, {reason}; the manifest says {said}"));
        }
    }
}
