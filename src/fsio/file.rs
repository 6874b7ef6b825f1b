//! Files written front to back, hashed and counted on the way, and on disk when they are synced.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};
use xxhash_rust::xxh3::Xxh3;

use super::direct::DirectWriter;
use crate::error::{Error, Result};

/// Writes shorter than this are gathered; longer ones go straight to the system.
const BUFFER_BYTES: usize = 1 << 20;
/// Files of at least this size go past the page cache.
const DIRECT_BYTES: u64 = 64 << 20;

/// A new file, written front to back, hashed and counted as it is written.
///
/// Its mode is 0666 without the bits of the process's umask. Dropped before [`FileWriter::finish`], it stays behind
/// unfinished.
pub struct FileWriter {
    path: PathBuf,
    target: Target,
    hasher: Xxh3,
    written: u64,
    reserved: u64,
}

enum Target {
    Cached { file: File, buffer: Vec<u8> },
    Direct(DirectWriter),
}

/// What a finished file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its size.
    pub bytes: u64,
    /// The XXH3-128 hash of all its bytes.
    pub hash: u128,
}

/// A file that is written whole, and on disk only after [`Unsynced::sync`].
#[derive(Debug)]
#[must_use]
pub struct Unsynced {
    path: PathBuf,
    file: File,
}

impl Unsynced {
    /// Waits until the file is on disk. Its name is durable only once its folder is synced too.
    ///
    /// # Errors
    /// [`Error::Io`] when the system cannot write what it still held.
    pub fn sync(self) -> Result<()> {
        self.file.sync_all().map_err(Error::io("sync", &self.path))
    }
}

impl FileWriter {
    /// Creates a file that must not be there yet, and reserves space for `expected_bytes`, so that a full disk shows
    /// before the work is done; where the file system cannot reserve, nothing is.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created, or the disk has no room for it.
    pub fn create(path: &Path, expected_bytes: Option<u64>) -> Result<Self> {
        let reserved = expected_bytes.unwrap_or(0);
        let direct = if reserved >= DIRECT_BYTES { DirectWriter::create(path) } else { Ok(None) };
        let target = match direct.map_err(Error::io("create", path))? {
            Some(direct) => Target::Direct(direct),
            None => Target::Cached {
                file: File::create_new(path).map_err(Error::io("create", path))?,
                buffer: Vec::with_capacity(BUFFER_BYTES),
            },
        };
        if reserved > 0 {
            match retry_on_intr(|| fallocate(target.file(), FallocateFlags::empty(), 0, reserved)) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                Err(error) => return Err(Error::io("reserve space for", path)(error.into())),
            }
        }
        Ok(Self { path: path.to_owned(), target, hasher: Xxh3::new(), written: 0, reserved })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses them, such as on a full disk; the file is then of no use.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.append(bytes).map_err(Error::io("write", &self.path))
    }

    /// Writes what is buffered; the file is then whole, and yet to be synced.
    ///
    /// # Errors
    /// [`Error::Io`] when the system cannot write.
    pub fn finish(self) -> Result<(Written, Unsynced)> {
        let Self { path, target, hasher, written, reserved } = self;
        let file = match target {
            Target::Direct(direct) => direct.finish(written).map_err(Error::io("write", &path))?,
            Target::Cached { mut file, buffer } => {
                file.write_all(&buffer).map_err(Error::io("write", &path))?;
                if written < reserved {
                    file.set_len(written).map_err(Error::io("truncate", &path))?;
                }
                file
            }
        };
        Ok((Written { bytes: written, hash: hasher.digest128() }, Unsynced { path, file }))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        match &mut self.target {
            Target::Direct(direct) => direct.write(bytes),
            Target::Cached { file, buffer } => {
                if buffer.len() + bytes.len() > BUFFER_BYTES {
                    file.write_all(buffer)?;
                    buffer.clear();
                }
                if bytes.len() >= BUFFER_BYTES {
                    return file.write_all(bytes);
                }
                buffer.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

impl Target {
    fn file(&self) -> &File {
        match self {
            Self::Cached { file, .. } => file,
            Self::Direct(direct) => direct.file(),
        }
    }
}

/// For encoders that write through [`io::Write`]; what is buffered goes out when the file is finished.
impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a small file that must not be there yet, whole, and waits until it is on disk.
///
/// # Errors
/// [`Error::Io`] names the file.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = FileWriter::create(path, None)?;
    file.write(bytes)?;
    file.finish()?.1.sync()
}
