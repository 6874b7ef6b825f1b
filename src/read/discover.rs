//! The files of a table: which there are, their formats, and the days that their paths give.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memrchr;
use parquet::errors::ParquetError;
use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, Result};
use crate::event::Day;
use crate::read::folders::{Lake, refuse_doubles, refuse_lake_around};
use crate::read::stamp::Stamp;
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
        Self::and_stem(path).map(|(format, _)| format)
    }

    /// The format that a name says, and the name without what says it.
    pub(super) fn and_stem(path: &Path) -> Option<(Self, &[u8])> {
        let name = path.file_name()?.as_encoded_bytes();
        let small = name.to_ascii_lowercase();
        let (unpacked, compression) = if let Some(name) = small.strip_suffix(b".gz") {
            (name, Compression::Gzip)
        } else if let Some(name) = small.strip_suffix(b".zst") {
            (name, Compression::Zstd)
        } else {
            (small.as_slice(), Compression::None)
        };
        let dot = memrchr(b'.', unpacked)?;
        let format = match unpacked.get(dot + 1..)? {
            b"parquet" | b"parq" | b"pq" if compression == Compression::None => Self::Parquet,
            b"json" | b"jsonl" | b"ndjson" => Self::Json(compression),
            b"csv" => Self::Csv(compression),
            _ => return None,
        };
        Some((format, name.get(..dot)?))
    }
}

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

fn unreadable(table: &str, action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Unreadable { table: table.to_owned(), action, path: path.to_owned(), source }
}

/// Finds the files of the table at `root`, in the order of their paths, without those whose day `keep` refuses.
pub(super) fn discover(root: &Path, wanted: &Wanted, keep: &dyn Fn(Day) -> bool) -> Result<Vec<DataFile>> {
    let table: Arc<str> = Arc::from(wanted.table.as_str());
    let prefix = wanted.day_column().map(|column| format!("{column}="));
    let prefix = prefix.as_deref();
    let unreadable_root = |source| unreadable(&table, "read", root, source);
    let root_day = root_day(root, prefix).map_err(unreadable_root)?;
    refuse_lake_around(root, &table).map_err(unreadable_root)??;
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
        let day = below.and_then(|below| nearest_day(below, prefix)).or_else(|| root_day.clone());
        if !matches!(day, Some(PathDay::Day(day)) if !keep(day)) {
            let metadata = fs::metadata(&path).map_err(|source| unreadable(&table, "read", &path, source))?;
            let (table, stamp) = (Arc::clone(&table), Stamp::of(&metadata));
            files.push(DataFile { table, path: Arc::new(path), format, day, stamp });
        }
    }
    refuse_doubles(&files)?;
    Ok(files)
}

/// Everything at or below `root` that is no folder and not hidden.
fn walk(root: &Path, table: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let looked_at = |entry: &DirEntry| is_visible(entry) || Lake::shown_by(entry.path()).is_some();
    // What was found last, and how far below the root: an error in the middle of a list does not say which folder is listed.
    let mut last = (root.to_owned(), 0);
    for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(looked_at) {
        // A link that leads nowhere is an error before its name can be looked at: editors make hidden ones.
        let hidden = |error: &walkdir::Error| error.depth() > 0 && error.path().is_some_and(is_hidden);
        if entry.as_ref().is_err_and(hidden) {
            continue;
        }
        let entry = entry.map_err(|error| {
            let listed = last.0.ancestors().nth((last.1 + 1_usize).saturating_sub(error.depth()));
            let path = error.path().or(listed).unwrap_or(root).to_owned();
            let source = error.into_io_error();
            let source = source.unwrap_or_else(|| io::Error::other("a link that leads back to a folder above it"));
            unreadable(table, "read", &path, source)
        })?;
        if let Some(lake) = Lake::shown_by(entry.path()) {
            return Err(lake.refused(table, entry.path()));
        }
        last = (entry.path().to_owned(), entry.depth());
        if entry.file_type().is_file() {
            paths.push(entry.into_path());
        } else if !entry.file_type().is_dir() {
            // A pipe or a device would block or never end.
            return Err(Error::UnknownFormat { table: table.to_owned(), path: entry.into_path() });
        }
    }
    Ok(paths)
}

/// Whether what is found below a table's root is part of it. A name that starts with `_` is not, unless it is a partition
/// whose column has such a name.
/// Whether a path ends in a name that is passed over.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_')))
}

fn is_visible(entry: &DirEntry) -> bool {
    let name = entry.file_name().as_encoded_bytes();
    match name.first() {
        _ if entry.depth() == 0 => true,
        Some(b'.') => false,
        Some(b'_') => name.contains(&b'=') && entry.file_type().is_dir(),
        _ => true,
    }
}

/// The day that the folder at `root`, or the folder that holds the file at `root`, gives.
fn root_day(root: &Path, prefix: Option<&str>) -> io::Result<Option<PathDay>> {
    let is_file = !fs::metadata(root)?.is_dir();
    // `.` and a bare file name have a last folder too.
    let root = std::path::absolute(root)?;
    let folder = if is_file { root.parent() } else { Some(root.as_path()) };
    Ok(folder.and_then(Path::file_name).and_then(|name| component_day(&name.to_string_lossy(), prefix)))
}

fn nearest_day(folders: &Path, prefix: Option<&str>) -> Option<PathDay> {
    folders.components().rev().find_map(|part| component_day(&part.as_os_str().to_string_lossy(), prefix))
}

fn component_day(name: &str, prefix: Option<&str>) -> Option<PathDay> {
    let value = name.strip_prefix(prefix?)?;
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
