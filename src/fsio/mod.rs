//! Durable files, folders put in place in one step, and the lock on an output.
//!
//! The only place that writes to disk. How a day comes into being:
//!
//! ```text
//! out/                            flock: one run at a time
//! ├── .staging/dt=D/parquet/  ─┐
//! ├── .staging/dt=D/dense/    ─┼┐  1  write files, fsync each; fsync the staged folders
//! │                            ││  2  create out/parquet, out/dense; fsync out
//! ├── parquet/dt=D/  ◄─────────┘│  3  one rename (an exchange where the day exists), fsync both parents
//! └── dense/dt=D/    ◄──────────┘  4  the same for the next format
//!                                  5  delete out/.staging/dt=D, which now holds what was replaced
//! ```
//!
//! Nothing is reachable under its final name before all of it is on disk (1 before 3), and nothing old is deleted before
//! everything new is in place and durable (4 before 5). So whatever stops the machine or the process, and wherever,
//! each format's day is old or new, whole; and what is in `.staging` is either unfinished or replaced, for the next run
//! to remove.
//!
//! Where the file system cannot exchange two folders, a replacement can be two renames: the old folder steps aside into
//! staging as `<format>.old`, then the new one takes its place. Stopped in between, the day is missing until the next
//! run over this output puts the old folder back.
//!
//! All of this goes through folders that are held open, the output's first of all: whatever links stand in the
//! output, or are put there meanwhile, nothing outside of it is written, moved or removed.

#![expect(clippy::disallowed_methods, reason = "this is the place that writes to disk")]

mod buffers;
mod cluster;
mod direct;
mod file;
mod handle;
mod lock;
mod output;
mod replace;
mod spill;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::fs::fstatfs;
use rustix::io::Errno;

use crate::error::{Error, Result};

pub use cluster::{Attempt, ClusterRun};
pub use file::{FileWriter, Folder, Unsynced, Written, sync_all, write_file};
pub(crate) use handle::{FolderHandle, is_same};
pub use output::{Output, StagedDay, StagedFile};
pub use replace::replace_file;
pub use spill::{SpillFile, SpillFolder, SpilledBlock};

/// The folder under the output in which days are made; a run removes it when it ends.
pub const STAGING_FOLDER: &str = ".staging";
/// What the name of a day's folder starts with, before the day.
pub const DAY_PREFIX: &str = "dt=";
/// In staging: the ending of a folder that stepped aside for a new one, where folders cannot be exchanged.
const OLD_SUFFIX: &str = "old";
/// In staging: two folders that are exchanged to see whether the file system can.
const PROBE_FOLDERS: [&str; 2] = ["exchange-a", "exchange-b"];

/// Creates a folder and its missing parents, so that they survive a crash; a folder that is there already is fine.
///
/// # Errors
/// [`Error::Io`] names the folder that cannot be created, or that is something else.
pub fn create_folders(path: &Path) -> Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.is_dir();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    for folder in missing.into_iter().rev() {
        match again(|| fs::create_dir(folder)) {
            Ok(()) => sync_folder(parent(folder))?,
            // Another process was quicker, or `..` made it appear.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::io("create folder", folder)(ErrorKind::NotADirectory.into()));
            }
            Err(error) => return Err(Error::io("create folder", folder)(error)),
        }
    }
    Ok(())
}

/// Makes the names in a folder durable.
///
/// # Errors
/// [`Error::Io`] names the folder.
pub fn sync_folder(path: &Path) -> Result<()> {
    match File::open(path).and_then(|folder| folder.sync_all()) {
        // Some network and user-space file systems have no fsync of folders: they have nothing to offer.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        result => result.map_err(Error::io("sync folder", path)),
    }
}

/// Makes a call again that a signal has ended.
fn again<T>(call: impl Fn() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The folder that holds `path`.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether a file is on a file system of a server: other machines may change it, and the server may be lost.
pub(crate) fn is_remote(file: &File) -> bool {
    // The numbers of `statfs(2)`: of NFS, SMB (three clients), FUSE, Lustre, Ceph, 9p, AFS, GPFS, BeeGFS, OCFS2, GFS2, vboxsf.
    const REMOTE: [u32; 14] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0bd0_0bd0,
        0x00c3_6400,
        0x0102_1997,
        0x5346_414f,
        0x4750_4653,
        0x1983_0326,
        0x7461_636f,
        0x0116_1970,
        0x786f_4256,
    ];
    fstatfs(file).is_ok_and(|found| REMOTE.iter().any(|&kind| u64::from(kind) == found.f_type as u64 & 0xffff_ffff))
}
