//! The lock on an output: one run at a time.

use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::{AtFlags, FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::handle::FolderHandle;
use crate::error::{Error, Result};

/// A file in the output that stands for the lock where the file system has none: it is created where it was not, and removed at the
/// end. A run that is killed leaves it behind, and whoever knows that no run is alive has to remove it.
const LOCK_FILE: &str = ".lock";

/// The lock that a run holds.
#[derive(Debug)]
pub(super) enum Lock {
    /// On the folder itself; it ends with the process at the latest.
    Folder,
    /// As a file.
    File,
}

impl Lock {
    /// Locks a folder, or says that another run has it.
    pub(super) fn take(folder: &FolderHandle) -> Result<Self> {
        match flock(folder.as_file(), FlockOperation::NonBlockingLockExclusive) {
            // Where another machine could only make the file, its run is as alive as any.
            Ok(()) if folder.look_at(LOCK_FILE)?.is_none() => Ok(Self::Folder),
            Ok(()) => Err(left_behind(folder.path())),
            Err(Errno::WOULDBLOCK) => Err(Error::Locked { path: folder.path().to_owned() }),
            // Lustre without `-o flock`, old NFS, and some file systems in user space.
            Err(Errno::NOSYS | Errno::NOLCK | Errno::OPNOTSUPP) => {
                match folder.fresh_file(LOCK_FILE, OFlags::empty()) {
                    Ok(_) => Ok(Self::File),
                    Err(Errno::EXIST) => Err(left_behind(folder.path())),
                    Err(error) => Err(Error::io("create", folder.path().join(LOCK_FILE))(error.into())),
                }
            }
            Err(error) => Err(Error::io("lock the output folder", folder.path())(error.into())),
        }
    }

    /// Gives the lock back.
    pub(super) fn release(&self, folder: &FolderHandle) {
        // Nothing can be done about a failure here, and nobody is left to be told.
        let _ = match self {
            // Closing would not be enough: a process that was forked meanwhile has the same folder open.
            Self::Folder => flock(folder.as_file(), FlockOperation::Unlock),
            Self::File => folder.unlink(LOCK_FILE, AtFlags::empty()),
        };
    }
}

fn left_behind(folder: &Path) -> Error {
    let problem = "another run is writing to the output, or was killed (its file system has no locks, so a file stands for one); \
                   if no run is alive, remove this file";
    Error::io("create", folder.join(LOCK_FILE))(std::io::Error::new(ErrorKind::AlreadyExists, problem))
}
