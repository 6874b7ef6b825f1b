//! Where the tasks of a cluster write: a folder for each attempt, from which files of those that succeeded are handed over.
//!
//! ```text
//! out/.staging/RUN/ATTEMPT/parquet/dt=D/part-00003.parquet ──► out/.staging/dt=D/parquet/part-00003.parquet
//! ```
//!
//! The process that holds the output makes the run's folder; tasks, on other machines, make only folders inside it. So one that
//! outlives its run can write nothing: the folder is gone, and no later run makes one of that name.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::buffers::Buffers;
use super::file::Folder;
use super::{DAY_PREFIX, Output, StagedDay, create_fresh, rename};
use crate::config::Format;
use crate::error::{Error, Result};
use crate::event::Day;

/// The folder of a run's tasks.
#[derive(Debug)]
pub struct ClusterRun {
    path: PathBuf,
}

impl Output {
    /// Makes the folder of a run's tasks; its name must never have been used before.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created, or is there.
    pub fn cluster_run(&self, name: &str) -> Result<ClusterRun> {
        // Tasks find it from wherever they run.
        let parent = self.staging();
        let parent = std::path::absolute(&parent).map_err(Error::io("find", &parent))?;
        let path = parent.join(name);
        create_fresh(&path)?;
        Ok(ClusterRun { path })
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
        let path = day_folder(&self.path.join(attempt), format, day.day()).join(file);
        let found = fs::metadata(&path).map_err(Error::io("look at", &path))?.len();
        if found != bytes {
            return Err(Error::Corrupt { path, problem: format!("it has {found} bytes, its task wrote {bytes}") });
        }
        rename(&path, &day.folder(format).path().join(file))
    }
}

/// The folder of one attempt at a task.
#[derive(Debug)]
pub struct Attempt {
    path: PathBuf,
    buffers: Buffers,
}

impl Attempt {
    /// Makes the folder inside that of the run, which must be there.
    ///
    /// # Errors
    /// [`Error::Io`] when the run is over, or there was such an attempt before.
    pub fn create(run: &Path, name: &str) -> Result<Self> {
        let path = run.join(name);
        fs::create_dir(&path).map_err(Error::io("create folder", &path))?;
        Ok(Self { path, buffers: Buffers::new() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name within the run's folder.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The folder for a day's files of a format; made where it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created, as when the run is over.
    pub fn folder(&self, format: Format, day: Day) -> Result<Folder> {
        let path = day_folder(&self.path, format, day);
        for folder in [self.path.join(format.name()), path.clone()] {
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(Error::io("create folder", &folder)(error));
                }
                _ => {}
            }
        }
        Ok(Folder::sharing(path, self.buffers.clone()))
    }
}

/// Takes the folder of a run away from tasks that have outlived it, before it is emptied: one that adds to it without rest would
/// otherwise keep it from ever being empty.
pub(super) fn end(staging: &Path, run: &OsStr) -> Result<()> {
    let mut name = OsString::from("over-");
    name.push(run);
    rename(&staging.join(run), &staging.join(name))
}

fn day_folder(attempt: &Path, format: Format, day: Day) -> PathBuf {
    attempt.join(format.name()).join(format!("{DAY_PREFIX}{day}"))
}
