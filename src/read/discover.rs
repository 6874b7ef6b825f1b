//! The files of a table: which there are, on disks and in stores, what they are, and the days that their paths give.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::error::{Error, Result};
use crate::event::Day;
use crate::read::data_file::{DataFile, Front, Stored, of_store, unreadable};
use crate::read::folders::refuse_doubles;
use crate::read::formats::{FIRST_TEXT, NoFormat, format_of, is_plain_parquet};
use crate::read::path_days::PathDays;
use crate::read::stamp::Stamp;
use crate::read::walk::{Found, find};
use crate::read::{PathDay, Projection, remote};
use crate::store::{Object, Place, Request};

/// A file that was found, and the day that its path gives.
struct Named {
    path: PathBuf,
    day: Option<PathDay>,
    /// Where it is in a store, what is read there.
    object: Option<Object>,
}

/// Finds the files of the table at `paths`, in the order of their paths, without those whose day `keep` refuses.
pub(super) fn discover(paths: &[PathBuf], wanted: &Projection, keep: &dyn Fn(Day) -> bool) -> Result<Vec<DataFile>> {
    let table: Arc<str> = Arc::from(wanted.table.as_str());
    let path_days = PathDays::new(wanted);
    let mut found = Vec::new();
    for path in paths {
        let no_files = || Error::NoFiles { table: table.to_string(), path: path.clone() };
        match Place::of(path)? {
            Place::Disk(path) => {
                let Found { files, base } = find(&path, &table)?;
                if files.is_empty() {
                    return Err(no_files());
                }
                for path in files {
                    let day = path_days.of(&table, &path, &base)?;
                    found.push(Named { path, day, object: None });
                }
            }
            Place::Store(address) => {
                let search = remote::Search { table: &table, days: &path_days, stores: &wanted.stores, keep };
                let remote::Found { files, base, passed } = search.find(&address)?;
                if files.is_empty() && !passed {
                    return Err(no_files());
                }
                for (path, object) in files {
                    let day = path_days.of(&table, &path, &base)?;
                    found.push(Named { path, day, object: Some(object) });
                }
            }
        }
    }
    found.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    // What two of the paths lead to by one name is meant once.
    found.dedup_by(|one, other| one.path == other.path);
    found.retain(|file| !matches!(file.day, Some(PathDay::Day(day)) if !keep(day)));
    let any_kept = !found.is_empty();
    let files = look_at_all(&table, found, wanted)?;
    match (paths.first(), files.is_empty()) {
        // All of them empty, and nobody says of what.
        (Some(path), true) if any_kept => Err(Error::NoFiles { table: table.to_string(), path: path.clone() }),
        _ => refuse_doubles(&files).map(|()| files),
    }
}

/// Objects of which the first bytes are asked for at once.
const AT_ONCE: usize = 1024;

/// Finds out what files are, all at once, and of objects in stores with the first bytes of the next ones under way.
fn look_at_all(table: &Arc<str>, found: Vec<Named>, wanted: &Projection) -> Result<Vec<DataFile>> {
    let mut files = Vec::with_capacity(found.len());
    let mut found = found.into_iter();
    loop {
        let group: Vec<(Named, Option<Request<Bytes>>)> = found
            .by_ref()
            .take(AT_ONCE)
            .map(|file| {
                let first = file.object.as_ref().filter(|_| !is_plain_parquet(&file.path, &wanted.source));
                // A fault shows when the object is read.
                let first = first.filter(|object| object.size() > 0);
                let first = first.and_then(|object| object.request(0..object.size().min(FIRST_TEXT as u64)).ok());
                (file, first)
            })
            .collect();
        if group.is_empty() {
            return Ok(files);
        }
        // Collected in order, so that the first error does not depend on the threads.
        let looked: Vec<Result<Option<DataFile>>> =
            group.into_par_iter().map(|(file, first)| look(table, file, first, wanted)).collect();
        for file in looked {
            files.extend(file?);
        }
    }
}

/// Finds out what a file is; `None` where it is empty and nothing says what it should have held.
fn look(table: &Arc<str>, file: Named, first: Option<Request<Bytes>>, wanted: &Projection) -> Result<Option<DataFile>> {
    let Named { path, day, object } = file;
    let refused = |source| unreadable(table, "read", &path, source);
    let stamp = match &object {
        Some(object) => Stamp::Store { size: object.size() },
        None => Stamp::of(&fs::metadata(&path).map_err(refused)?),
    };
    let format = match &object {
        None => format_of(&path, &wanted.source, || File::open(&path)),
        Some(object) => {
            let first = first.map(|first| object.wait(first)).transpose();
            let first = first.map_err(|fault| of_store(table, &path, fault))?.unwrap_or_default();
            format_of(&path, &wanted.source, || Ok(Front::after(object, first.clone(), &wanted.room)))
        }
    };
    let format = match format {
        Ok(format) => format,
        Err(NoFormat::Unreadable(source)) => {
            return Err(match object.and_then(|object| object.fault()) {
                Some(fault) => of_store(table, &path, fault),
                None => unreadable(table, "read", &path, source),
            });
        }
        Err(NoFormat::Unknown(_)) if stamp.size() == 0 => return Ok(None),
        Err(NoFormat::Unknown(problem)) => {
            return Err(Error::UnknownFormat { table: table.to_string(), path, problem });
        }
    };
    let stored = object.map(|object| Stored::new(object, &wanted.room));
    Ok(Some(DataFile { table: Arc::clone(table), path: Arc::new(path), format, day, stamp, stored }))
}
