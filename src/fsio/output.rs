//! The output folder of a run: its lock, its staging, and how days are put in place.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, access, flock};
use rustix::io::Errno;

use crate::config::Format;
use crate::error::{Error, Result};
use crate::event::Day;

use super::buffers::Buffers;
use super::cluster;
use super::file::Folder;
use super::{
    DAY_PREFIX, OLD_SUFFIX, PROBE_FOLDERS, STAGING_FOLDER, create_folders, create_fresh, exchange, exists, names,
    parent, remove, rename, sync_folder,
};

/// The output folder of a run, held by a lock on the folder itself, which ends when this is dropped or the process dies.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    buffers: Buffers,
    _lock: File,
}

/// A day that is being made: an empty folder for each format, under the output's staging.
#[derive(Debug)]
pub struct StagedDay {
    day: Day,
    formats: Vec<Format>,
    path: PathBuf,
    buffers: Buffers,
}

impl StagedDay {
    /// Which day.
    pub(super) fn day(&self) -> Day {
        self.day
    }

    /// Where the files of a format go until the day is published.
    #[must_use]
    pub fn folder(&self, format: Format) -> Folder {
        Folder::sharing(self.path.join(format.name()), self.buffers.clone())
    }
}

impl Output {
    /// Creates the folder where it is missing, locks it, and cleans up after a run that died.
    ///
    /// # Errors
    /// [`Error::Locked`] while another run holds it; [`Error::Io`] when it cannot be created or written to, or is no
    /// folder.
    pub fn open(path: &Path) -> Result<Self> {
        create_folders(path)?;
        let lock = File::open(path).map_err(Error::io("open the output folder", path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Error::Locked { path: path.to_owned() }),
            Err(error) => return Err(Error::io("lock the output folder", path)(error.into())),
        }
        let refused = |error: Errno| Error::io("write to the output folder", path)(error.into());
        access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(refused)?;
        let output = Self { path: path.to_owned(), buffers: Buffers::new(), _lock: lock };
        // Only now that no other run can be alive.
        output.clean()?;
        Ok(output)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a format's day is once it is published: `<output>/<format>/dt=<day>`.
    #[must_use]
    pub fn day_folder(&self, format: Format, day: Day) -> PathBuf {
        self.path.join(format.name()).join(format!("{DAY_PREFIX}{day}"))
    }

    /// Checks that days can be put in place as `folders`, so that a long run that cannot publish fails at its start.
    ///
    /// # Errors
    /// [`Error::NoExchange`] when one of them exists and the file system cannot exchange folders, unless
    /// `replace_non_atomic`; [`Error::Io`] when a folder leads to another file system, or the trial fails.
    pub fn check_replace(&self, folders: &[PathBuf], replace_non_atomic: bool) -> Result<()> {
        let device = |path: &Path| path.metadata().map(|metadata| metadata.dev());
        let own_device = device(&self.path).map_err(Error::io("look at", &self.path))?;
        for folder in folders {
            if device(parent(folder)).is_ok_and(|device| device != own_device) {
                return Err(Error::io("put a folder in place as", folder)(ErrorKind::CrossesDevices.into()));
            }
        }
        if replace_non_atomic {
            return Ok(());
        }
        for folder in folders {
            if exists(folder)? {
                return if self.can_exchange()? { Ok(()) } else { Err(Error::NoExchange { path: folder.clone() }) };
            }
        }
        Ok(())
    }

    /// Makes an empty staged folder for each format of a day.
    ///
    /// # Errors
    /// [`Error::Io`] when a folder cannot be created, or the day is staged already.
    pub fn stage(&self, day: Day, formats: &[Format]) -> Result<StagedDay> {
        let path = self.staging().join(format!("{DAY_PREFIX}{day}"));
        let staged = StagedDay { day, formats: formats.to_vec(), path, buffers: self.buffers.clone() };
        for &format in formats {
            create_fresh(staged.folder(format).path())?;
        }
        Ok(staged)
    }

    /// Puts a day's formats in place, in the order in which they were staged, then deletes what they replace.
    ///
    /// All staged files must be finished. When it fails, the formats before the one at fault are new, the others old.
    ///
    /// # Errors
    /// [`Error::NoExchange`] when a day exists and the file system cannot exchange folders, unless
    /// `replace_non_atomic`; [`Error::Io`] for all else that the system refuses.
    pub fn publish(&self, staged: StagedDay, replace_non_atomic: bool) -> Result<()> {
        for &format in &staged.formats {
            sync_folder(staged.folder(format).path())?;
            create_folders(&self.path.join(format.name()))?;
        }
        // Also where the format's folder was there: the run that created it may have died before its own sync.
        sync_folder(&self.path)?;
        for &format in &staged.formats {
            let (new, place) = (staged.path.join(format.name()), self.day_folder(format, staged.day));
            if !exists(&place)? {
                rename(&new, &place)?;
            } else if exchange(&new, &place)? {
                // What was replaced is in staging now.
            } else if replace_non_atomic {
                rename(&place, &new.with_extension(OLD_SUFFIX))?;
                rename(&new, &place)?;
            } else {
                return Err(Error::NoExchange { path: place });
            }
            sync_folder(parent(&place))?;
            sync_folder(&staged.path)?;
        }
        remove(&staged.path)
    }

    /// Removes the staging, at the end of a run or after one that failed.
    ///
    /// A day that had stepped aside and was not replaced after all goes back to its place first.
    ///
    /// # Errors
    /// [`Error::Io`] names what cannot be removed or put back.
    pub fn clean(&self) -> Result<()> {
        let staging = self.staging();
        for day_name in names(&staging)? {
            if !day_name.as_encoded_bytes().starts_with(DAY_PREFIX.as_bytes()) {
                cluster::end(&staging, &day_name)?;
                continue;
            }
            for format in Format::ALL {
                let old = staging.join(&day_name).join(format.name()).with_extension(OLD_SUFFIX);
                let place = self.path.join(format.name()).join(&day_name);
                if exists(&old)? && !exists(&place)? {
                    rename(&old, &place)?;
                    sync_folder(parent(&place))?;
                }
            }
        }
        remove(&staging)
    }

    fn can_exchange(&self) -> Result<bool> {
        let [a, b] = PROBE_FOLDERS.map(|name| self.staging().join(name));
        create_fresh(&a)?;
        create_fresh(&b)?;
        let can = exchange(&a, &b)?;
        remove(&a)?;
        remove(&b)?;
        Ok(can)
    }

    /// Where days are made before they are published; all of it is removed when the run ends.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.path.join(STAGING_FOLDER)
    }
}
