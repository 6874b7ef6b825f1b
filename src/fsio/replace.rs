//! A single file put in place in one step, such as a page about an output.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, OFlags};

use super::handle::FolderHandle;
use super::parent;
use crate::error::{Error, Result};

/// Numbers the files of this process that are being written.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Writes a small file, in the place of the one that has its name, if there is one: readers see the old one or the new one, whole.
///
/// # Errors
/// [`Error::Io`] names the file; what was there is as it was.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let refused = |kind: ErrorKind| Error::io("write", path)(kind.into());
    let name = path.file_name().ok_or_else(|| refused(ErrorKind::IsADirectory))?;
    let folder = FolderHandle::open(parent(path))?;
    // A folder or a device is no file to be replaced. Of a link the link itself is.
    let found = folder.look_at(name)?.map(|found| FileType::from_raw_mode(found.st_mode));
    if found.is_some_and(|found| !matches!(found, FileType::RegularFile | FileType::Symlink)) {
        return Err(refused(ErrorKind::AlreadyExists));
    }
    // Hidden, so that nothing takes it for data, and no two runs have the same.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let fresh = format!(".{}.{}-{number}.new", name.to_string_lossy(), std::process::id());
    let written = write_synced(&folder, &fresh, path, bytes).and_then(|()| folder.rename(&fresh, &folder, name));
    if written.is_err() {
        // What stopped the writing says more than that its rest cannot be removed.
        let _ = folder.unlink(OsStr::new(&fresh), AtFlags::empty());
    }
    written.and_then(|()| folder.sync())
}

fn write_synced(folder: &FolderHandle, name: &str, path: &Path, bytes: &[u8]) -> Result<()> {
    let made = folder.fresh_file(name, OFlags::empty());
    let mut file = made.map_err(|error| Error::io("create", path)(error.into()))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", path))
}
