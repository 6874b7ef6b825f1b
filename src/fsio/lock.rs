//! The lock on an output: one run at a time.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::{Errno, retry_on_intr};

use super::handle::FolderHandle;
use super::is_remote;
use crate::error::{Error, Result};

/// A file in the output that stands for the lock where the file system has none: it is created where it was not, and removed at the
/// end. A run that is killed leaves it behind, and whoever knows that no run is alive has to remove it.
const LOCK_FILE: &str = ".lock";

/// A file in the output that is locked beside the folder where a server has the files: a lock on a folder is not sent there, so
/// that other machines would not see it. It is never removed, as whoever holds it could not be told.
const SERVER_LOCK_FILE: &str = ".lock-on-server";

/// The lock that a run holds.
#[derive(Debug)]
pub(super) enum Lock {
    /// On the folder itself; it ends with the process at the latest.
    Folder,
    /// On the folder, and on a file in it, which the server knows of.
    Server(fs::File),
    /// As a file.
    File,
}

impl Lock {
    /// Locks a folder, or says that another run has it.
    pub(super) fn take(folder: &FolderHandle) -> Result<Self> {
        match flock(folder.as_file(), FlockOperation::NonBlockingLockExclusive) {
            // Where another machine could only make the file, its run is as alive as any.
            Ok(()) if folder.look_at(LOCK_FILE)?.is_some() => Err(left_behind(folder.path())),
            Ok(()) if is_remote(folder.as_file()) => Self::on_server(folder),
            Ok(()) => Ok(Self::Folder),
            Err(Errno::WOULDBLOCK) => Err(Error::Locked { path: folder.path().to_owned() }),
            // Lustre without `-o flock`, old NFS, and some file systems in user space.
            Err(Errno::NOSYS | Errno::NOLCK | Errno::OPNOTSUPP) => Self::as_file(folder),
            Err(error) => Err(Error::io("lock the output folder", folder.path())(error.into())),
        }
    }

    /// Locks a file that lies on a server, so that other machines see it.
    fn on_server(folder: &FolderHandle) -> Result<Self> {
        let path = || folder.path().join(SERVER_LOCK_FILE);
        // NFS locks only what may be written to.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| openat(folder.as_file(), SERVER_LOCK_FILE, flags, Mode::from(0o666)));
        let file = fs::File::from(opened.map_err(|error| Error::io("create", path())(error.into()))?);
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(Self::Server(file)),
            Err(Errno::WOULDBLOCK) => Err(Error::Locked { path: folder.path().to_owned() }),
            Err(Errno::NOSYS | Errno::NOLCK | Errno::OPNOTSUPP) => Self::as_file(folder),
            Err(error) => Err(Error::io("lock", path())(error.into())),
        }
    }

    /// Makes the file that stands for a lock.
    fn as_file(folder: &FolderHandle) -> Result<Self> {
        match folder.fresh_file(LOCK_FILE, OFlags::empty()) {
            Ok(_) => Ok(Self::File),
            Err(Errno::EXIST) => Err(left_behind(folder.path())),
            Err(error) => Err(Error::io("create", folder.path().join(LOCK_FILE))(error.into())),
        }
    }

    /// Gives the lock back.
    pub(super) fn release(&self, folder: &FolderHandle) {
        // Nothing can be done about a failure here, and nobody is left to be told.
        let _ = match self {
            Self::Folder => Ok(()),
            Self::Server(file) => flock(file, FlockOperation::Unlock),
            Self::File => folder.unlink(LOCK_FILE, AtFlags::empty()),
        };
        // Closing would not be enough: a process that was forked meanwhile has the same folder open.
        let _ = flock(folder.as_file(), FlockOperation::Unlock);
    }
}

fn left_behind(folder: &Path) -> Error {
    let problem = "another run is writing to the output, or was killed (its file system has no locks, so a file stands for one); \
                   if no run is alive, remove this file";
    Error::io("create", folder.join(LOCK_FILE))(std::io::Error::new(ErrorKind::AlreadyExists, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What another machine sees of a lock is the file alone; the next run after it has the same file.
    #[test]
    fn a_file_on_a_server_is_locked_by_one_run() {
        let folder = tempfile::tempdir().unwrap();
        let handle = FolderHandle::open(folder.path()).unwrap();
        let first = Lock::on_server(&handle).unwrap();
        assert!(matches!(Lock::on_server(&handle), Err(Error::Locked { .. })));
        first.release(&handle);
        let second = Lock::on_server(&handle).unwrap();
        assert!(matches!(second, Lock::Server(_)));
    }
}
