//! The files at a path: of a folder all at any depth, of a pattern all that it matches, without other tools' markers.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern, glob_with};
use rustc_hash::FxHashSet;
use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, Result};
use crate::read::data_file::unreadable;
use crate::read::folders::{Lake, refuse_lake_around};
use crate::read::path_days::Base;

/// What was found at a path that was named.
pub(super) struct Found {
    /// The files, in no order.
    pub(super) files: Vec<PathBuf>,
    pub(super) base: Base,
}

/// Finds the files at `path`: a file, a folder, or a pattern with `*`, `?` and `[…]` where nothing has that name.
pub(super) fn find(path: &Path, table: &str) -> Result<Found> {
    let refused = |source| unreadable(table, "read", path, source);
    let (roots, base) = match fs::metadata(path) {
        Ok(metadata) => (vec![path.to_owned()], Base::of(path, metadata.is_dir()).map_err(refused)?),
        Err(error) => match pattern(path).filter(|_| error.kind() == io::ErrorKind::NotFound) {
            Some((folder, pattern)) => (matches(&folder, &pattern, table)?, Base::of(&folder, true).map_err(refused)?),
            None => return Err(refused(error)),
        },
    };
    let mut files = Vec::new();
    let mut looked_around = FxHashSet::default();
    for root in roots {
        // What lies around a file lies around those beside it, unless it is a link.
        let is_link = fs::symlink_metadata(&root).is_ok_and(|metadata| metadata.is_symlink());
        if looked_around.insert(root.parent().map(Path::to_owned)) || is_link {
            refuse_lake_around(&root, table).map_err(refused)??;
        }
        walk(&root, table, &mut files)?;
    }
    Ok(Found { files, base })
}

/// The last folder of a path that is there, and the names behind it, where they are a pattern.
fn pattern(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let folder = path.ancestors().skip(1).find(|folder| folder.as_os_str().is_empty() || folder.is_dir())?;
    let names = path.strip_prefix(folder).ok()?;
    names.to_str()?.contains(['*', '?', '[']).then(|| (folder.to_owned(), names.to_owned()))
}

/// Whether a path is a pattern that leads to `folder`, into it or to a folder around it. `folder` is absolute and without links.
pub fn pattern_meets(path: &Path, folder: &Path) -> bool {
    let Some((base, names)) = pattern(path).filter(|_| fs::metadata(path).is_err()) else { return false };
    let base = if base.as_os_str().is_empty() { PathBuf::from(".") } else { base };
    let Ok(below) = base.canonicalize().map_err(drop).and_then(|base| folder.strip_prefix(base).map_err(drop)) else {
        return false;
    };
    let fits = |(name, part): (Component<'_>, Component<'_>)| {
        let (name, text) = (name.as_os_str(), part.as_os_str().to_string_lossy());
        let is_read = name == part.as_os_str() || !is_passed_over(part.as_os_str(), true);
        is_read && Pattern::new(&name.to_string_lossy()).is_ok_and(|name| name.matches(&text))
    };
    names.components().take_while(|name| name.as_os_str() != "**").zip(below.components()).all(fits)
}

/// What a pattern of names below a folder matches. Hidden names are matched by themselves only.
fn matches(folder: &Path, names: &Path, table: &str) -> Result<Vec<PathBuf>> {
    let path = folder.join(names);
    let refused = |problem: String| unreadable(table, "read", &path, io::Error::other(problem));
    let no_text = || refused("the path of a pattern has to be UTF-8".to_owned());
    let folder_text = folder.to_str().ok_or_else(no_text)?;
    let whole = Path::new(&Pattern::escape(folder_text)).join(names);
    let options =
        MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let found = glob_with(whole.to_str().ok_or_else(no_text)?, options)
        .map_err(|error| refused(format!("nothing has this name, and as a pattern it is wrong: {}", error.msg)))?;
    let named: Vec<Component<'_>> = names.components().collect();
    let mut matches = Vec::new();
    for found in found {
        let found = found.map_err(|error| {
            let path = error.path().to_owned();
            unreadable(table, "read", &path, error.into())
        })?;
        let below = found.strip_prefix(folder).unwrap_or(&found);
        let is_hidden = |path: &Path| {
            let name = path.components().next_back().filter(|name| !named.contains(name));
            name.is_some_and(|name| is_passed_over(name.as_os_str(), path != below || found.is_dir()))
        };
        if !below.ancestors().any(is_hidden) {
            matches.push(found);
        }
    }
    Ok(matches)
}

/// Adds everything at or below `root` that is no folder and not passed over.
fn walk(root: &Path, table: &str, paths: &mut Vec<PathBuf>) -> Result<()> {
    let looked_at = |entry: &DirEntry| is_visible(entry) || Lake::shown_by(entry.path()).is_some();
    // What was found last, and how far below the root: an error in the middle of a list does not say which folder is listed.
    let mut last = (root.to_owned(), 0);
    for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(looked_at) {
        // A link that leads nowhere is an error before its name can be looked at: editors make hidden ones.
        let hidden = |error: &walkdir::Error| {
            error.depth() > 0 && error.path().and_then(Path::file_name).is_some_and(|name| is_passed_over(name, false))
        };
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
            let (table, path) = (table.to_owned(), entry.into_path());
            return Err(Error::UnknownFormat { table, path, problem: "it is neither a file nor a folder" });
        }
    }
    Ok(())
}

/// Whether what is found below a table's root is part of it.
fn is_visible(entry: &DirEntry) -> bool {
    entry.depth() == 0 || !is_passed_over(entry.file_name(), entry.file_type().is_dir())
}

/// What other tools put beside data, in its names' own endings: checksums, the folders of Hadoop on S3, and copies that are not
/// done yet.
const MARKERS: [&str; 3] = [".crc", "_$folder$", "._COPYING_"];

/// What systems put into folders that a person has looked into.
const DESKTOP: [&str; 2] = ["Thumbs.db", "desktop.ini"];

/// Whether a name is no part of a table. One that starts with `_` is none, unless it is a partition whose column has such a
/// name.
pub(super) fn is_passed_over(name: &OsStr, is_folder: bool) -> bool {
    let bytes = name.as_encoded_bytes();
    match bytes.first() {
        Some(b'.') => true,
        Some(b'_') => !(bytes.contains(&b'=') && is_folder),
        _ if is_folder => false,
        _ => {
            MARKERS.iter().any(|marker| bytes.ends_with(marker.as_bytes()))
                || DESKTOP.iter().any(|name| bytes.eq_ignore_ascii_case(name.as_bytes()))
        }
    }
}
