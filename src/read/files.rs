//! A table made of files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::error::Result;
use crate::event::Day;
use crate::read::csv::CsvFile;
use crate::read::discover::{DataFile, Format, discover};
use crate::read::json::JsonFile;
use crate::read::parquet::RowGroup;
use crate::read::{Part, Source, Visitor, Wanted};

/// A table in a file, a folder or a partitioned folder.
pub struct Files {
    paths: Vec<Arc<PathBuf>>,
    parts: Vec<Box<dyn Part>>,
}

/// Opens the table at `path`: a file, or a folder of files at any depth.
///
/// A name says its file's format: `.parquet` (`.parq`, `.pq`), `.json` (`.jsonl`, `.ndjson`) or `.csv`, the text formats
/// also with `.gz` or `.zst`. Names that start with `_` or `.` are passed over. A folder `{day_column}=…` gives the day of
/// the files below it, the nearest where there are several; the folder at `path`, or around it where it is a file, counts
/// last, and none further up does. Files of a day that `keep` refuses are not opened, and where none is left the table has
/// no parts.
///
/// Here footers, headers and the first lines of JSON files are read. A JSON file without rows has no part.
///
/// # Errors
/// [`Error::NoFiles`](crate::error::Error::NoFiles) where there is no data file at all,
/// [`Error::UnknownFormat`](crate::error::Error::UnknownFormat) for a name that says no format,
/// [`Error::MissingColumn`](crate::error::Error::MissingColumn) or
/// [`Error::ColumnType`](crate::error::Error::ColumnType) for a file without a wanted column, and
/// [`Error::Unreadable`](crate::error::Error::Unreadable), [`Error::Parquet`](crate::error::Error::Parquet) or
/// [`Error::Text`](crate::error::Error::Text) for one that cannot be read; of several the first in the order of the paths.
pub fn open(path: &Path, wanted: Wanted, keep: &dyn Fn(Day) -> bool) -> Result<Files> {
    let files = discover(path, &wanted, keep)?;
    // Collected in order, so that the first error does not depend on the threads.
    let opened: Vec<Result<Vec<Box<dyn Part>>>> = files.par_iter().map(|file| open_file(file, &wanted)).collect();
    let mut parts = Vec::new();
    for file_parts in opened {
        parts.extend(file_parts?);
    }
    Ok(Files { paths: files.into_iter().map(|file| file.path).collect(), parts })
}

fn open_file(file: &DataFile, wanted: &Wanted) -> Result<Vec<Box<dyn Part>>> {
    let bytes = || {
        let metadata = fs::metadata(file.path.as_path());
        metadata.map(|metadata| metadata.len()).map_err(|source| file.unreadable("read", source))
    };
    Ok(match file.format {
        Format::Parquet => RowGroup::open(file, wanted)?.into_iter().map(boxed).collect(),
        Format::Json(compression) => {
            JsonFile::open(file, compression, bytes()?, wanted)?.into_iter().map(boxed).collect()
        }
        Format::Csv(compression) => vec![boxed(CsvFile::open(file, compression, bytes()?, wanted)?)],
    })
}

fn boxed(part: impl Part + 'static) -> Box<dyn Part> {
    Box::new(part)
}

impl Source for Files {
    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes()).sum()
    }

    fn read(&self, part: usize, visit: &Visitor<'_>) -> Result<()> {
        // Parts are read in parallel; only where they are few must a part keep several threads busy.
        let ahead = rayon::current_num_threads() / self.parts.len().max(1);
        self.parts.get(part).map_or(Ok(()), |part| part.read(ahead.max(1), visit))
    }

    fn files(&self) -> Vec<&Path> {
        self.paths.iter().map(|path| path.as_path()).collect()
    }
}
