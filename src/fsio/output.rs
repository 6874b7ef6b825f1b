//! The output folder of a run: its lock, its staging, and how days are put in place.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, FileType, accessat};

use crate::config::Format;
use crate::error::{Error, Result};
use crate::event::Day;

use super::buffers::Buffers;
use super::cluster;
use super::file::Folder;
use super::handle::{FolderHandle, is_same};
use super::lock::Lock;
use super::spill::SpillFolder;
use super::{DAY_PREFIX, OLD_SUFFIX, PROBE_FOLDERS, STAGING_FOLDER, create_folders};

/// The output folder of a run, held by a lock, which ends when this is dropped or the process dies.
#[derive(Debug)]
pub struct Output {
    root: FolderHandle,
    buffers: Buffers,
    lock: Lock,
}

/// A day that is being made: an empty folder for each format, under the output's staging.
#[derive(Debug)]
pub struct StagedDay {
    day: Day,
    /// In the order in which they are put in place.
    folders: Vec<(Format, Folder)>,
    /// The day's folder, which holds them.
    folder: FolderHandle,
    /// The staging, which holds that.
    staging: FolderHandle,
}

/// A file of a staged day as it has to be when the day is put in place: its name and its size.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StagedFile {
    /// Its name in the folder of its format.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

impl StagedDay {
    /// Which day.
    pub(super) fn day(&self) -> Day {
        self.day
    }

    /// Where the files of a format go until the day is published.
    ///
    /// # Errors
    /// [`Error::Internal`] when the day was staged without the format.
    pub fn folder(&self, format: Format) -> Result<&Folder> {
        let found = self.folders.iter().find(|(known, _)| *known == format);
        found.map(|(_, folder)| folder).ok_or_else(|| Error::internal("a day has the formats that it was staged with"))
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
        let root = FolderHandle::open(path)?;
        let lock = Lock::take(&root)?;
        let output = Self { root, buffers: Buffers::new(), lock };
        let writable = accessat(output.root.as_file(), ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty());
        writable.map_err(|error| Error::io("write to the output folder", path)(error.into()))?;
        // Only now that no other run can be alive.
        output.clean()?;
        Ok(output)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Where a format's day is once it is published: `<output>/<format>/dt=<day>`.
    #[must_use]
    pub fn day_folder(&self, format: Format, day: Day) -> PathBuf {
        self.path().join(format.name()).join(day_name(day))
    }

    /// Checks that days can be put in place, so that a long run that cannot publish fails at its start.
    ///
    /// # Errors
    /// [`Error::NoExchange`] when one of them exists and the file system cannot exchange folders, unless
    /// `replace_non_atomic`; [`Error::Io`] when a folder is on another file system, or the trial fails; [`Error::Corrupt`] when
    /// the folder of a format is a link, or no folder.
    pub fn check_replace(&self, days: &[Day], formats: &[Format], replace_non_atomic: bool) -> Result<()> {
        let mut existing = None;
        for &format in formats {
            if self.root.look_at(format.name())?.is_none() {
                continue;
            }
            let folder = self.root.folder_made(format.name())?;
            if folder.stat()?.st_dev != self.root.stat()?.st_dev {
                return Err(Error::io("put days in place in", folder.path())(ErrorKind::CrossesDevices.into()));
            }
            for &day in days {
                if existing.is_none() && folder.look_at(day_name(day))?.is_some() {
                    existing = Some(self.day_folder(format, day));
                }
            }
        }
        match existing {
            Some(path) if !replace_non_atomic && !self.can_exchange()? => Err(Error::NoExchange { path }),
            _ => Ok(()),
        }
    }

    /// Makes an empty staged folder for each format of a day.
    ///
    /// # Errors
    /// [`Error::Io`] when a folder cannot be created, or the day is staged already.
    pub fn stage(&self, day: Day, formats: &[Format]) -> Result<StagedDay> {
        let staging = self.staging()?;
        let folder = staging.fresh_folder(day_name(day))?;
        let folder_of = |&format: &Format| {
            let made = folder.fresh_folder(format.name())?;
            Ok((format, Folder::sharing(Arc::new(made), self.buffers.clone())))
        };
        let folders = formats.iter().map(folder_of).collect::<Result<_>>()?;
        Ok(StagedDay { day, folders, folder, staging })
    }

    /// Puts a day's formats in place, in the order in which they were staged, then deletes what they replace.
    ///
    /// All staged files must be finished; `files` names those of each format. When it fails, the formats before the one at fault
    /// are new, the others old.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what is staged is not what was made; [`Error::NoExchange`] when a day exists and the file system
    /// cannot exchange folders, unless `replace_non_atomic`; [`Error::Io`] for all else that the system refuses.
    pub fn publish(&self, staged: StagedDay, files: &[Vec<StagedFile>], replace_non_atomic: bool) -> Result<()> {
        if files.len() != staged.folders.len() {
            return Err(Error::internal("every staged format has its list of files"));
        }
        let mut places = Vec::new();
        for ((format, folder), files) in staged.folders.iter().zip(files) {
            check_staged(&staged.folder, *format, folder.handle(), files)?;
            folder.handle().sync()?;
            places.push(self.root.folder_made(format.name())?);
        }
        // Also where the format's folder was there: the run that created it may have died before its own sync.
        self.root.sync()?;
        // What steps aside is to be found again: the name of the day in the staging has to be on disk as well.
        staged.staging.sync()?;
        let name = day_name(staged.day);
        for ((format, _), place) in staged.folders.iter().zip(&places) {
            let new = format.name();
            if place.look_at(&name)?.is_none() {
                staged.folder.rename(new, place, &name)?;
            } else if staged.folder.exchange(new, place, &name)? {
                // What was replaced is in staging now.
            } else if replace_non_atomic {
                place.rename(&name, &staged.folder, old_name(*format))?;
                staged.folder.rename(new, place, &name)?;
            } else {
                return Err(Error::NoExchange { path: place.path().join(name) });
            }
            place.sync()?;
            staged.folder.sync()?;
        }
        staged.staging.remove(&name)
    }

    /// Removes the staging, at the end of a run or after one that failed.
    ///
    /// A day that had stepped aside and was not replaced after all goes back to its place first.
    ///
    /// # Errors
    /// [`Error::Io`] names what cannot be removed or put back.
    pub fn clean(&self) -> Result<()> {
        let Some(found) = self.root.look_at(STAGING_FOLDER)? else { return Ok(()) };
        // Of a link, the link is removed.
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            let staging = self.root.folder(STAGING_FOLDER)?;
            for name in staging.names()? {
                if !name.as_encoded_bytes().starts_with(DAY_PREFIX.as_bytes()) {
                    cluster::end(&staging, &name)?;
                    continue;
                }
                let Some(found) = staging.look_at(&name)? else { continue };
                if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
                    continue;
                }
                let day = staging.folder(&name)?;
                for format in Format::ALL {
                    if day.look_at(old_name(format))?.is_none() {
                        continue;
                    }
                    let place = self.root.folder_made(format.name())?;
                    if place.look_at(&name)?.is_none() {
                        day.rename(old_name(format), &place, &name)?;
                        place.sync()?;
                    }
                }
            }
        }
        self.root.remove(STAGING_FOLDER)
    }

    /// Removes a published day; one that is not there is fine.
    ///
    /// # Errors
    /// [`Error::Io`] names what cannot be removed.
    pub fn remove_day(&self, format: Format, day: Day) -> Result<()> {
        if self.root.look_at(format.name())?.is_none() {
            return Ok(());
        }
        self.root.folder(format.name())?.remove(day_name(day))
    }

    /// Removes the output, with all that is in it.
    ///
    /// # Errors
    /// [`Error::Io`] names what cannot be removed.
    pub fn remove(self) -> Result<()> {
        let path = self.path().to_owned();
        let name = path.file_name().ok_or_else(|| Error::internal("the folder of a run has a name"))?;
        let parent = FolderHandle::open(super::parent(&path))?;
        drop(self);
        parent.remove(name)
    }

    fn can_exchange(&self) -> Result<bool> {
        let staging = self.staging()?;
        for name in PROBE_FOLDERS {
            staging.fresh_folder(name)?;
        }
        let [a, b] = PROBE_FOLDERS;
        let can = staging.exchange(a, &staging, b)?;
        staging.remove(a)?;
        staging.remove(b)?;
        Ok(can)
    }

    /// Where a run over this output makes its temporary files: in a folder of the user's choice, else in the staging.
    ///
    /// # Errors
    /// [`Error::Io`] when the staging cannot be made.
    pub fn spill_folder(&self, chosen: Option<&Path>) -> Result<SpillFolder> {
        match chosen {
            Some(path) => Ok(SpillFolder::new(path)),
            None => Ok(SpillFolder::inside(self.staging()?)),
        }
    }

    /// The folder in which days are made before they are published; all of it is removed when the run ends.
    pub(super) fn staging(&self) -> Result<FolderHandle> {
        let is_folder = |found: rustix::fs::Stat| FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        if self.root.look_at(STAGING_FOLDER)?.is_some_and(|found| !is_folder(found)) {
            self.root.remove(STAGING_FOLDER)?;
        }
        self.root.folder_made(STAGING_FOLDER)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.lock.release(&self.root);
    }
}

fn day_name(day: Day) -> String {
    format!("{DAY_PREFIX}{day}")
}

/// The name of a day's folder that has stepped aside, in the day's staging.
fn old_name(format: Format) -> String {
    format!("{}.{OLD_SUFFIX}", format.name())
}

/// Checks that a format's staged folder is the one that was made, and holds the files that were made and nothing else.
fn check_staged(day: &FolderHandle, format: Format, folder: &FolderHandle, files: &[StagedFile]) -> Result<()> {
    let foreign = |path: PathBuf, what: String| Error::Corrupt {
        path,
        problem: format!("{what}; something else writes to the output's staging: run again when it is gone"),
    };
    if !day.look_at(format.name())?.is_some_and(|found| folder.stat().is_ok_and(|own| is_same(&own, &found))) {
        return Err(foreign(folder.path().to_owned(), "it is not the folder that this run has made".to_owned()));
    }
    for StagedFile { name, bytes } in files {
        let found =
            folder.look_at(name)?.filter(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile);
        let found = found.and_then(|found| u64::try_from(found.st_size).ok());
        if found != Some(*bytes) {
            let found = found.map_or_else(|| "it is not a file".to_owned(), |found| format!("it has {found} bytes"));
            return Err(foreign(folder.path().join(name), format!("{found}, this run wrote {bytes} bytes")));
        }
    }
    let known: BTreeSet<&OsStr> = files.iter().map(|file| OsStr::new(&file.name)).collect();
    match folder.names()?.into_iter().find(|name| !known.contains(name.as_os_str())) {
        Some(name) => Err(foreign(folder.path().join(name), "this run has made no such file".to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    //! Here and not in tests/it: nobody else sees the handle.

    use super::Output;

    /// A process that was forked while a run was at work has the output open too, and must not hold its lock when the run is over.
    #[test]
    fn the_lock_ends_with_the_run_and_not_with_whoever_has_inherited_it() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::open(folder.path()).unwrap();
        let inherited = output.root.as_file().try_clone().unwrap();
        assert!(Output::open(folder.path()).is_err());
        drop(output);
        Output::open(folder.path()).unwrap();
        drop(inherited);
    }
}
