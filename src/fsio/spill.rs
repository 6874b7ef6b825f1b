//! A temporary file for what memory has no room for: appended to by many threads, read back in pieces.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

use super::{create_folders, names, remove};
use crate::error::{Error, Result};

/// What the name of a run's spill folder starts with.
const PREFIX: &str = "shardback-spill-";

/// The folder of a run for temporary files; removed with all its files when dropped.
///
/// Its name follows from the output that the run holds locked, so the next run over the same output removes what a run
/// that died has left.
#[derive(Debug)]
pub struct SpillFolder {
    path: PathBuf,
    files: AtomicU64,
    bytes: Arc<AtomicU64>,
}

impl SpillFolder {
    /// The spill folder for an output, inside `parent`; nothing is created before the first file.
    ///
    /// # Errors
    /// [`Error::Io`] when what a dead run left cannot be removed.
    pub fn new(parent: &Path, output: &Path) -> Result<Self> {
        let output = std::fs::canonicalize(output).map_err(Error::io("look at", output))?;
        let name = format!("{PREFIX}{:016x}", xxh3_64(output.as_os_str().as_encoded_bytes()));
        if names(parent)?.iter().any(|found| *found == *name) {
            remove(&parent.join(&name))?;
        }
        Ok(Self { path: parent.join(name), files: AtomicU64::new(0), bytes: Arc::default() })
    }

    /// A new empty file.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created.
    pub fn file(&self) -> Result<SpillFile> {
        create_folders(&self.path)?;
        let path = self.path.join(format!("{:04}", self.files.fetch_add(1, Ordering::Relaxed)));
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(Error::io("create", &path))?;
        Ok(SpillFile { path, file, end: AtomicU64::new(0), all_bytes: Arc::clone(&self.bytes) })
    }

    /// The bytes that were written to all of its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        // Nothing to be done about a failure here; the next run over this output tries again.
        let _ = remove(&self.path);
    }
}

/// A temporary file; never synced, since nothing of it outlives the run.
#[derive(Debug)]
pub struct SpillFile {
    path: PathBuf,
    file: File,
    end: AtomicU64,
    /// What all files of the folder hold together.
    all_bytes: Arc<AtomicU64>,
}

impl SpillFile {
    /// Appends bytes and gives the place where they begin.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses them, such as on a full disk.
    pub fn append(&self, bytes: &[u8]) -> Result<u64> {
        let start = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, start).map_err(Error::io("spill to", &self.path))?;
        self.all_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(start)
    }

    /// Fills `bytes` with what was appended at `start`.
    ///
    /// # Errors
    /// [`Error::Io`] when the system cannot read it.
    pub fn read(&self, start: u64, bytes: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(bytes, start).map_err(Error::io("read back from", &self.path))
    }
}
