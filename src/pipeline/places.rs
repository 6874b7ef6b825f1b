//! Where a build reads and where it writes: the two must not mix.

use std::path::{Path, PathBuf};

use super::Tables;
use crate::config::{Format, Plan};
use crate::error::{Error, Result};
use crate::read::pattern_meets;
use crate::store::is_in_store;

/// Refuses an output inside a table, whose results the next run would read, and a table where results are written.
pub(super) fn check(plan: &Plan, tables: &Tables) -> Result<()> {
    let out = plan.options().out.as_path();
    let samples = plan.options().schema.samples.name.as_str();
    let named = tables.actions.iter().map(|(table, input)| (table.name.as_str(), input));
    let whole_out = absolute(out);
    let inputs = std::iter::once((samples, &tables.impressions)).chain(named);
    let paths = inputs.flat_map(|(name, input)| input.paths().iter().map(move |path| (name, path)));
    for (name, path) in paths.filter(|(_, path)| !is_in_store(path)) {
        let table = absolute(path);
        let is_below = whole_out.strip_prefix(&table).is_ok_and(|below| !below.iter().any(is_hidden));
        let is_read = is_below || pattern_meets(path, &whole_out);
        let is_written = Format::ALL.iter().any(|format| table.starts_with(whole_out.join(format.name())));
        let problem = match (is_read, is_written) {
            (true, _) => format!("`{}` is in the table {name}, `{}`", out.display(), path.display()),
            (_, true) => format!("the table {name}, `{}`, is among the results in `{}`", path.display(), out.display()),
            _ => continue,
        };
        return Err(Error::Option { option: "--out", problem: format!("{problem}; choose a folder of its own") });
    }
    Ok(())
}

/// Names of which nothing is read.
fn is_hidden(name: &std::ffi::OsStr) -> bool {
    matches!(name.as_encoded_bytes().first(), Some(b'_' | b'.'))
}

/// The path without links, as far as it is there.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut folders = path.ancestors();
    let there = folders.find_map(|folder| Some((folder, folder.canonicalize().ok()?)));
    match there {
        Some((folder, real)) => path.strip_prefix(folder).map_or_else(|_| path.clone(), |below| real.join(below)),
        None => path,
    }
}
