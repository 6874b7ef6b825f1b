//! The files of a table: which there are, what they are, and the days that their paths give.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::ParquetError;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::error::{Error, Result};
use crate::event::Day;
use crate::read::folders::refuse_doubles;
use crate::read::formats::{Format, NoFormat, format_of};
use crate::read::path_days::PathDays;
use crate::read::stamp::Stamp;
use crate::read::walk::{Found, find};
use crate::read::{Origin, PartFacts, PathDay, RowNumbers, Wanted};

/// A file of a table, not yet opened.
#[derive(Clone, Debug)]
pub(super) struct DataFile {
    pub(super) table: Arc<str>,
    pub(super) path: Arc<PathBuf>,
    pub(super) format: Format,
    pub(super) day: Option<PathDay>,
    /// What the file was when it was found.
    pub(super) stamp: Stamp,
}

impl DataFile {
    /// What is known of a part of it that takes so many bytes.
    pub(super) fn facts(&self, bytes: u64, rows: Option<u64>) -> PartFacts<'_> {
        PartFacts { format: Some(self.format.name()), day: self.day.as_ref(), bytes, rows }
    }

    /// Where rows of this file come from.
    pub(super) fn origin(&self, rows: RowNumbers) -> Origin {
        let text = self.format != Format::Parquet;
        Origin { file: Some(Arc::clone(&self.path)), day: self.day.clone(), rows, text }
    }

    /// Opens the file, which must be the one that was found.
    pub(super) fn open(&self) -> Result<File> {
        let file = File::open(self.path.as_path()).map_err(|source| self.unreadable("read", source))?;
        self.compare(file.metadata())?;
        Ok(file)
    }

    /// Checks, when all of the file has been read, that it is still what it was.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        match fs::metadata(self.path.as_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.changed()),
            metadata => self.compare(metadata),
        }
    }

    /// What reading the file gave, if it is still what it was: a file that was changed meanwhile has faults that are none.
    pub(super) fn if_unchanged<T>(&self, read: Result<T>) -> Result<T> {
        if !matches!(read, Err(Error::Interrupted)) {
            self.check_unchanged()?;
        }
        read
    }

    fn compare(&self, metadata: io::Result<fs::Metadata>) -> Result<()> {
        let metadata = metadata.map_err(|source| self.unreadable("read", source))?;
        if Stamp::of(&metadata) == self.stamp { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> Error {
        Error::Changed { table: self.table.to_string(), path: self.path.to_path_buf() }
    }

    pub(super) fn unreadable(&self, action: &'static str, source: io::Error) -> Error {
        unreadable(&self.table, action, &self.path, source)
    }

    pub(super) fn bad_parquet(&self, source: ParquetError) -> Error {
        Error::Parquet { table: self.table.to_string(), file: self.path.to_path_buf(), source }
    }

    pub(super) fn bad_text(&self, line: u64, problem: impl Into<String>) -> Error {
        Error::Text { table: self.table.to_string(), file: self.path.to_path_buf(), line, problem: problem.into() }
    }
}

pub(super) fn unreadable(table: &str, action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Unreadable { table: table.to_owned(), action, path: path.to_owned(), source }
}

/// Finds the files of the table at `paths`, in the order of their paths, without those whose day `keep` refuses.
pub(super) fn discover(paths: &[PathBuf], wanted: &Wanted, keep: &dyn Fn(Day) -> bool) -> Result<Vec<DataFile>> {
    let table: Arc<str> = Arc::from(wanted.table.as_str());
    let path_days = PathDays::new(wanted);
    let mut found = Vec::new();
    for path in paths {
        let Found { files, base } = find(path, &table)?;
        if files.is_empty() {
            return Err(Error::NoFiles { table: table.to_string(), path: path.clone() });
        }
        for file in files {
            let day = path_days.of(&table, &file, &base)?;
            found.push((file, day));
        }
    }
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    // What two of the paths lead to by one name is meant once.
    found.dedup_by(|(one, _), (other, _)| one == other);
    found.retain(|(_, day)| !matches!(day, Some(PathDay::Day(day)) if !keep(*day)));
    let any_kept = !found.is_empty();
    // Collected in order, so that the first error does not depend on the threads.
    let files: Vec<Result<Option<DataFile>>> =
        found.into_par_iter().map(|(path, day)| look(&table, path, day, wanted)).collect();
    let files = files.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>>>()?;
    match (paths.first(), files.is_empty()) {
        // All of them empty, and nobody says of what.
        (Some(path), true) if any_kept => Err(Error::NoFiles { table: table.to_string(), path: path.clone() }),
        _ => refuse_doubles(&files).map(|()| files),
    }
}

/// Finds out what a file is; `None` where it is empty and nothing says what it should have held.
fn look(table: &Arc<str>, path: PathBuf, day: Option<PathDay>, wanted: &Wanted) -> Result<Option<DataFile>> {
    let refused = |source| unreadable(table, "read", &path, source);
    let stamp = Stamp::of(&fs::metadata(&path).map_err(refused)?);
    let format = match format_of(&path, &wanted.source) {
        Ok(format) => format,
        Err(NoFormat::Unreadable(source)) => return Err(refused(source)),
        Err(NoFormat::Unknown(_)) if stamp.size() == 0 => return Ok(None),
        Err(NoFormat::Unknown(problem)) => {
            return Err(Error::UnknownFormat { table: table.to_string(), path, problem });
        }
    };
    Ok(Some(DataFile { table: Arc::clone(table), path: Arc::new(path), format, day, stamp }))
}
