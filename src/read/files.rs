//! A table made of files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::error::{Invariant, Result};
use crate::event::Day;
use crate::read::csv::CsvFile;
use crate::read::discover::{DataFile, Format, discover};
use crate::read::json::JsonFile;
use crate::read::keys::{self, Looked};
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
/// Here footers, headers and the first lines of JSON files are read. A JSON file without rows has no part. A key that
/// some lines or files lack is null there; where none of the first lines has a wanted one, it is looked for in the others.
///
/// # Errors
/// [`Error::NoFiles`](crate::error::Error::NoFiles) where there is no data file at all,
/// [`Error::UnknownFormat`](crate::error::Error::UnknownFormat) for a name that says no format,
/// [`Error::MissingColumn`](crate::error::Error::MissingColumn) or
/// [`Error::ColumnType`](crate::error::Error::ColumnType) for a file without a wanted column, or JSON files of which none
/// has it, and
/// [`Error::Unreadable`](crate::error::Error::Unreadable), [`Error::Parquet`](crate::error::Error::Parquet) or
/// [`Error::Text`](crate::error::Error::Text) for one that cannot be read; of several the first in the order of the paths.
pub fn open(path: &Path, wanted: Wanted, keep: &dyn Fn(Day) -> bool) -> Result<Files> {
    let files = discover(path, &wanted, keep)?;
    // Collected in order, so that the first error does not depend on the threads.
    let wanted = Arc::new(wanted);
    let opened: Vec<Result<Opened<'_>>> = files.par_iter().map(|file| open_file(file, &wanted)).collect();
    let (mut parts, mut looked) = (Vec::new(), Vec::new());
    for opened in opened {
        let (file_parts, file_looked) = opened?;
        parts.extend(file_parts);
        looked.extend(file_looked);
    }
    keys::require(path, &looked, &wanted)?;
    drop(looked);
    Ok(Files { paths: files.into_iter().map(|file| file.path).collect(), parts })
}

/// The parts of a file, and of JSON what its first lines have.
type Opened<'a> = (Vec<Box<dyn Part>>, Option<Looked<'a>>);

fn open_file<'a>(file: &'a DataFile, wanted: &'a Arc<Wanted>) -> Result<Opened<'a>> {
    Ok(match file.format {
        Format::Parquet => (RowGroup::open(file, wanted)?.into_iter().map(boxed).collect(), None),
        Format::Json(compression) => match keys::look(file, compression, wanted)? {
            Some(looked) => (vec![boxed(JsonFile::new(file, compression, wanted))], Some(looked)),
            None => (Vec::new(), None),
        },
        Format::Csv(compression) => (vec![boxed(CsvFile::open(file, compression, wanted)?)], None),
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

    fn heaviest(&self) -> u64 {
        self.parts.iter().map(|part| part.weight()).max().unwrap_or(0)
    }

    fn read(&self, part: usize, visit: &Visitor<'_>) -> Result<()> {
        // Parts are read in parallel; only where they are few must a part keep several threads busy.
        let ahead = rayon::current_num_threads() / self.parts.len().max(1);
        self.parts.get(part).invariant("a part that is read is one of the table's")?.read(ahead.max(1), visit)
    }

    fn files(&self) -> Vec<&Path> {
        self.paths.iter().map(|path| path.as_path()).collect()
    }
}
