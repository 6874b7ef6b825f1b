//! Refuses folders where some files are not part of the table, or would be read twice.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use crate::error::{Error, Result};
use crate::read::data_file::DataFile;
use crate::read::formats::Name;

/// A format of tables that says in files of its own which data files, and which rows of them, count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lake {
    Delta,
    Iceberg,
    Hudi,
}

impl Lake {
    /// The format that something of this name belongs to and nothing else.
    pub(super) fn shown_by(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        match name {
            "_delta_log" => Some(Self::Delta),
            ".hoodie" => Some(Self::Hudi),
            _ => {
                let is_below =
                    |folder: &str| path.parent().and_then(Path::file_name).is_some_and(|name| name == folder);
                (is_iceberg_metadata(name) && is_below("metadata")).then_some(Self::Iceberg)
            }
        }
    }

    pub(super) fn refused(self, table: &str, path: &Path) -> Error {
        let format = match self {
            Self::Delta => "Delta",
            Self::Iceberg => "Iceberg",
            Self::Hudi => "Hudi",
        };
        Error::TableFormat { table: table.to_owned(), path: path.to_owned(), format }
    }
}

/// Whether a name is one of the files in which Iceberg keeps a table's state: `v3.metadata.json`, or
/// `00003-….metadata.json`, also packed.
fn is_iceberg_metadata(name: &str) -> bool {
    let Some(version) = name.strip_suffix(".metadata.json").or_else(|| name.strip_suffix(".metadata.json.gz")) else {
        return false;
    };
    let version = version.strip_suffix(".gz").unwrap_or(version);
    let number = version.strip_prefix('v').or_else(|| version.split_once('-').map(|(number, _)| number));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Refuses a table that is a part of one with such files above it: a partition of it, its folder of data, one of its files.
pub(super) fn refuse_lake_around(root: &Path, table: &str) -> io::Result<Result<()>> {
    // The path as it was given, what it leaves out, and where its links lead.
    for path in [root.to_owned(), std::path::absolute(root)?, root.canonicalize()?] {
        for folder in path.ancestors() {
            if let Some((lake, shown_by)) = lake_in(folder) {
                return Ok(Err(lake.refused(table, &shown_by)));
            }
        }
    }
    Ok(Ok(()))
}

/// The format whose state is kept in a folder. What cannot be looked at is none of it.
fn lake_in(folder: &Path) -> Option<(Lake, PathBuf)> {
    for name in ["_delta_log", ".hoodie"] {
        let path = folder.join(name);
        if path.is_dir() {
            return Lake::shown_by(&path).map(|lake| (lake, path));
        }
    }
    let metadata = fs::read_dir(folder.join("metadata")).ok()?;
    metadata.flatten().map(|entry| entry.path()).find_map(|path| Some((Lake::shown_by(&path)?, path)))
}

/// Refuses files that would be read twice: one that two names lead to, and two that have one name in two forms.
pub(super) fn refuse_doubles(files: &[DataFile]) -> Result<()> {
    let mut by_identity = FxHashMap::default();
    let mut by_stem = FxHashMap::default();
    for file in files {
        let (table, path) = (file.table.to_string(), file.path.to_path_buf());
        if let Some(first) = file.stamp.identity().and_then(|identity| by_identity.insert(identity, file)) {
            return Err(Error::SameFile { table, first: first.path.to_path_buf(), second: path });
        }
        let stem = (file.path.parent(), Name::stem(&file.path));
        if let Some(first) = by_stem.insert(stem, file) {
            return Err(Error::SameName { table, first: first.path.to_path_buf(), second: path });
        }
    }
    Ok(())
}
