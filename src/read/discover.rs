//! The files of a table: which there are, their formats, and the days that their paths give.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::ParquetError;
use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, Result};
use crate::event::Day;
use crate::read::{Origin, PathDay, RowNumbers, Wanted};

/// Hive's name for a partition whose value is null.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// How the bytes of a text file are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// What a file's name says about its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Parquet,
    Json(Compression),
    Csv(Compression),
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let (name, compression) = if let Some(name) = name.strip_suffix(".gz") {
            (name, Compression::Gzip)
        } else if let Some(name) = name.strip_suffix(".zst") {
            (name, Compression::Zstd)
        } else {
            (name.as_str(), Compression::None)
        };
        match name.rsplit_once('.')?.1 {
            "parquet" | "parq" | "pq" if compression == Compression::None => Some(Self::Parquet),
            "json" | "jsonl" | "ndjson" => Some(Self::Json(compression)),
            "csv" => Some(Self::Csv(compression)),
            _ => None,
        }
    }
}

/// A file of a table, not yet opened.
#[derive(Clone, Debug)]
pub(super) struct DataFile {
    pub(super) table: Arc<str>,
    pub(super) path: Arc<PathBuf>,
    pub(super) format: Format,
    pub(super) day: Option<PathDay>,
}

impl DataFile {
    /// Where rows of this file come from.
    pub(super) fn origin(&self, rows: RowNumbers) -> Origin {
        let text = self.format != Format::Parquet;
        Origin { file: Some(Arc::clone(&self.path)), day: self.day.clone(), rows, text }
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

fn unreadable(table: &str, action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Unreadable { table: table.to_owned(), action, path: path.to_owned(), source }
}

/// Finds the files of the table at `root`, in the order of their paths, without those whose day `keep` refuses.
pub(super) fn discover(root: &Path, wanted: &Wanted, keep: &dyn Fn(Day) -> bool) -> Result<Vec<DataFile>> {
    let table: Arc<str> = Arc::from(wanted.table.as_str());
    let prefix = format!("{}=", wanted.day_column);
    let root_day = root_day(root, &prefix).map_err(|source| unreadable(&table, "read", root, source))?;
    let mut paths = walk(root, &table)?;
    paths.sort_unstable();
    if paths.is_empty() {
        return Err(Error::NoFiles { table: table.to_string(), path: root.to_owned() });
    }
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let Some(format) = Format::of(&path) else {
            return Err(Error::UnknownFormat { table: table.to_string(), path });
        };
        let below = path.strip_prefix(root).ok().and_then(Path::parent);
        let day = below.and_then(|below| nearest_day(below, &prefix)).or_else(|| root_day.clone());
        if !matches!(day, Some(PathDay::Day(day)) if !keep(day)) {
            files.push(DataFile { table: Arc::clone(&table), path: Arc::new(path), format, day });
        }
    }
    Ok(files)
}

/// Everything at or below `root` that is no folder and not hidden.
fn walk(root: &Path, table: &str) -> Result<Vec<PathBuf>> {
    let visible = |entry: &DirEntry| {
        entry.depth() == 0 || !matches!(entry.file_name().as_encoded_bytes().first(), Some(b'_' | b'.'))
    };
    let mut paths = Vec::new();
    for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(visible) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            let source = error.into_io_error();
            let source = source.unwrap_or_else(|| io::Error::other("a link that leads back to a folder above it"));
            unreadable(table, "read", &path, source)
        })?;
        if entry.file_type().is_file() {
            paths.push(entry.into_path());
        } else if !entry.file_type().is_dir() {
            // A pipe or a device would block or never end.
            return Err(Error::UnknownFormat { table: table.to_owned(), path: entry.into_path() });
        }
    }
    Ok(paths)
}

/// The day that the folder at `root`, or the folder that holds the file at `root`, gives.
fn root_day(root: &Path, prefix: &str) -> io::Result<Option<PathDay>> {
    let is_file = !fs::metadata(root)?.is_dir();
    // `.` and a bare file name have a last folder too.
    let root = std::path::absolute(root)?;
    let folder = if is_file { root.parent() } else { Some(root.as_path()) };
    Ok(folder.and_then(Path::file_name).and_then(|name| component_day(&name.to_string_lossy(), prefix)))
}

fn nearest_day(folders: &Path, prefix: &str) -> Option<PathDay> {
    folders.components().rev().find_map(|part| component_day(&part.as_os_str().to_string_lossy(), prefix))
}

fn component_day(name: &str, prefix: &str) -> Option<PathDay> {
    let value = name.strip_prefix(prefix)?;
    if value == HIVE_NULL {
        return Some(PathDay::Null);
    }
    let value = percent_decode(value);
    let unparsable = || PathDay::Unparsable(String::from_utf8_lossy(&value).into_owned());
    Some(Day::parse(&value).map_or_else(unparsable, PathDay::Day))
}

/// Undoes the escapes that Hive and Spark write into folder names; what is no escape stays.
fn percent_decode(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if let [b'%', high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            decoded.push((high * 16 + low) as u8);
            rest = after;
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    decoded
}
