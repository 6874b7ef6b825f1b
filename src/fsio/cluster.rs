//! Where the tasks of a cluster write: a folder for each attempt, from which files of those that succeeded are handed over.
//!
//! ```text
//! out/.staging/RUN/ATTEMPT/parquet/dt=D/part-00003.parquet ──► out/.staging/dt=D/parquet/part-00003.parquet
//! ```
//!
//! The process that holds the output makes the run's folder; tasks, on other machines, make only folders inside it. So one that
//! outlives its run can write nothing: the folder is gone, and no later run makes one of that name.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, mkdirat};
use rustix::io::retry_on_intr;

use super::buffers::Buffers;
use super::file::Folder;
use super::handle::FolderHandle;
use super::{DAY_PREFIX, Output, StagedDay};
use crate::config::Format;
use crate::error::{Error, Result};
use crate::event::Day;

/// The folder of a run's tasks.
#[derive(Debug)]
pub struct ClusterRun {
    folder: FolderHandle,
    path: PathBuf,
}

impl Output {
    /// Makes the folder of a run's tasks; its name must never have been used before.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created, or is there.
    pub fn cluster_run(&self, name: &str) -> Result<ClusterRun> {
        let folder = self.staging()?.fresh_folder(name)?;
        // Tasks find it from wherever they run.
        let path = std::path::absolute(folder.path()).map_err(Error::io("find", folder.path()))?;
        Ok(ClusterRun { folder, path })
    }
}

impl ClusterRun {
    /// Where it is; absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves a file of an attempt into a staged day.
    ///
    /// # Errors
    /// [`Error::Io`] when it is not there, [`Error::Corrupt`] when it has not as many bytes as its task said.
    pub fn hand_over(&self, day: &StagedDay, attempt: &str, format: Format, file: &str, bytes: u64) -> Result<()> {
        let folder = self.folder.folder(attempt)?.folder(format.name())?.folder(day_name(day.day()))?;
        let path = folder.path().join(file);
        let found = folder.look_at(file)?;
        let found = found.ok_or_else(|| Error::io("look at", &path)(std::io::ErrorKind::NotFound.into()))?;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        if !is_file || u64::try_from(found.st_size) != Ok(bytes) {
            let found = found.st_size;
            return Err(Error::Corrupt { path, problem: format!("it has {found} bytes, its task wrote {bytes}") });
        }
        folder.rename(file, day.folder(format)?.handle(), file)
    }
}

/// The folder of one attempt at a task.
#[derive(Debug)]
pub struct Attempt {
    folder: FolderHandle,
    name: String,
    buffers: Buffers,
}

impl Attempt {
    /// Makes the folder inside that of the run, which must be there.
    ///
    /// # Errors
    /// [`Error::Io`] when the run is over, or there was such an attempt before.
    pub fn create(run: &Path, name: &str) -> Result<Self> {
        let path = run.join(name);
        // The folder of the run is the last one that is looked up by its path.
        let refused = |error: rustix::io::Errno| Error::io("create folder", &path)(error.into());
        retry_on_intr(|| mkdirat(rustix::fs::CWD, &path, Mode::from_raw_mode(0o777))).map_err(refused)?;
        let folder = FolderHandle::open(run)?.folder(name)?;
        Ok(Self { folder, name: name.to_owned(), buffers: Buffers::new() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its name within the run's folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder for a day's files of a format; made where it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created, as when the run is over.
    pub fn folder(&self, format: Format, day: Day) -> Result<Folder> {
        let folder = self.folder.folder_made(format.name())?.folder_made(day_name(day))?;
        Ok(Folder::sharing(Arc::new(folder), self.buffers.clone()))
    }
}

/// Takes the folder of a run away from tasks that have outlived it, before it is emptied: one that adds to it without rest would
/// otherwise keep it from ever being empty.
pub(super) fn end(staging: &FolderHandle, run: &OsStr) -> Result<()> {
    // What a run that was killed had taken away already.
    if run.as_encoded_bytes().starts_with(OVER.as_bytes()) {
        return Ok(());
    }
    for number in 0..MOST_RUNS {
        let mut name = OsString::from(format!("{OVER}{number}-"));
        name.push(run);
        if staging.look_at(&name)?.is_none() {
            return staging.rename(run, staging, &name);
        }
    }
    Ok(())
}

/// What the name of a folder starts with that was taken away from its run's tasks.
const OVER: &str = "over-";
/// So many runs of one name can be in a staging folder, and all but one are over.
const MOST_RUNS: u32 = 100;

fn day_name(day: Day) -> String {
    format!("{DAY_PREFIX}{day}")
}
