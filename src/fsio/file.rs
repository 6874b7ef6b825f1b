//! Files written front to back, hashed and counted on the way, and on disk when they are finished.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};

/// Writes shorter than this are gathered; longer ones go straight to the system.
const BUFFER_BYTES: usize = 1 << 20;

/// A new file, written front to back, hashed and counted as it is written.
///
/// Its mode is 0666 without the bits of the process's umask. Dropped before [`FileWriter::finish`], it stays behind
/// unfinished.
pub struct FileWriter {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    hasher: Xxh3,
    written: u64,
    reserved: u64,
}

/// What a finished file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its size.
    pub bytes: u64,
    /// The XXH3-128 hash of all its bytes.
    pub hash: u128,
}

impl FileWriter {
    /// Creates a file that must not be there yet, and reserves space for `expected_bytes`, so that a full disk shows
    /// before the work is done; where the file system cannot reserve, nothing is.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created, or the disk has no room for it.
    pub fn create(path: &Path, expected_bytes: Option<u64>) -> Result<Self> {
        let file = File::create_new(path).map_err(Error::io("create", path))?;
        let reserved = expected_bytes.unwrap_or(0);
        if reserved > 0 {
            match retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), 0, reserved)) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                Err(error) => return Err(Error::io("reserve space for", path)(error.into())),
            }
        }
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Ok(Self { path: path.to_owned(), file, buffer, hasher: Xxh3::new(), written: 0, reserved })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses them, such as on a full disk; the file is then of no use.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.append(bytes).map_err(Error::io("write", &self.path))
    }

    /// Writes what is buffered, waits until all is on disk, and closes the file.
    ///
    /// The file's name is durable only once its folder is synced too.
    ///
    /// # Errors
    /// [`Error::Io`] when the system cannot write or sync.
    pub fn finish(mut self) -> Result<Written> {
        self.flush_buffer().map_err(Error::io("write", &self.path))?;
        if self.written < self.reserved {
            self.file.set_len(self.written).map_err(Error::io("truncate", &self.path))?;
        }
        self.file.sync_all().map_err(Error::io("sync", &self.path))?;
        Ok(Written { bytes: self.written, hash: self.hasher.digest128() })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush_buffer()?;
        }
        if bytes.len() < BUFFER_BYTES {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.hasher.update(&self.buffer);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// For encoders that write through [`io::Write`]; flushing early is never needed.
impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_buffer()
    }
}

/// Writes a small file that must not be there yet, whole, and waits until it is on disk.
///
/// # Errors
/// [`Error::Io`] names the file.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = FileWriter::create(path, None)?;
    file.write(bytes)?;
    file.finish()?;
    Ok(())
}
