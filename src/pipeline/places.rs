//! Where a build reads and where it writes: the two must not mix.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Tables;
use crate::config::{Format, Plan};
use crate::error::{Error, OptionName, Result};
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
    if is_in_store(out) {
        return check_addresses(out, paths.filter(|(_, path)| is_in_store(path)));
    }
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
        return Err(Error::Option {
            option: OptionName::Out,
            problem: format!("{problem}; choose a folder of its own"),
        });
    }
    Ok(())
}

/// As [`check`], of an output and tables in stores, by their names.
fn check_addresses<'a>(out: &Path, paths: impl Iterator<Item = (&'a str, &'a PathBuf)>) -> Result<()> {
    for (name, path) in paths {
        let is_written = Format::ALL.iter().any(|format| path.starts_with(out.join(format.name())));
        let problem = match (out.starts_with(path), is_written) {
            (true, _) => format!("`{}` is in the table {name}, `{}`", out.display(), path.display()),
            (_, true) => format!("the table {name}, `{}`, is among the results in `{}`", path.display(), out.display()),
            _ => continue,
        };
        return Err(Error::Option {
            option: OptionName::Out,
            problem: format!("{problem}; choose a folder of its own"),
        });
    }
    Ok(())
}

/// Where days that go to a store are made: in a folder of their own, among a run's temporary files.
pub(super) fn made_before_upload(plan: &Plan) -> PathBuf {
    let folder = plan.options().spill_dir.clone().unwrap_or_else(std::env::temp_dir);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    folder.join(format!("shardback-{}-{since}", std::process::id()))
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
