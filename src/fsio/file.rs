//! Files written front to back, hashed and counted on the way, and on disk when they are synced.

use std::fs::File;
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, scope};

use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};
use xxhash_rust::xxh3::Xxh3;

use super::buffers::Buffers;
use super::direct::DirectWriter;
use super::handle::FolderHandle;
use crate::error::{Error, Result};

/// Writes shorter than this are gathered; longer ones go straight to the system.
const BUFFER_BYTES: usize = 1 << 20;
/// Files of at least this size go past the page cache.
const DIRECT_BYTES: u64 = 4 << 20;

/// A folder whose files are large, and share the memory on its way to the disk with those of other folders.
#[derive(Clone, Debug)]
pub struct Folder {
    handle: Arc<FolderHandle>,
    buffers: Buffers,
}

impl Folder {
    /// A folder that is there, and shares with no other.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self::sharing(Arc::new(FolderHandle::open(path)?), Buffers::new()))
    }

    pub(super) fn sharing(handle: Arc<FolderHandle>, buffers: Buffers) -> Self {
        Self { handle, buffers }
    }

    pub(super) fn handle(&self) -> &FolderHandle {
        &self.handle
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.handle.path()
    }

    /// Writes a small file that must not be there yet, whole, and waits until it is on disk.
    ///
    /// # Errors
    /// [`Error::Io`] names the file.
    pub fn write_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut file = self.create(name, 0)?;
        file.write(bytes)?;
        file.finish()?.1.sync()
    }

    /// Creates a file that must not be there yet, and reserves space for `expected_bytes`, so that a full disk shows
    /// before the work is done; where the file system cannot reserve, nothing is.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created, or the disk has no room for it.
    pub fn create(&self, name: &str, expected_bytes: u64) -> Result<FileWriter> {
        let path = &self.path().join(name);
        let direct = expected_bytes >= DIRECT_BYTES;
        let direct = if direct { DirectWriter::create(&self.handle, name, &self.buffers) } else { Ok(None) };
        let target = match direct.map_err(Error::io("create", path))? {
            Some(direct) => Target::Direct(direct),
            None => {
                let file = self.handle.fresh_file(name, OFlags::empty());
                Target::cached(file.map_err(|error| Error::io("create", path)(error.into()))?)
            }
        };
        let mut writer = FileWriter::new(path, target);
        if expected_bytes > 0 {
            match retry_on_intr(|| fallocate(writer.target.file(), FallocateFlags::empty(), 0, expected_bytes)) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                Err(error) => return Err(Error::io("reserve space for", path)(error.into())),
            }
        }
        writer.reserved = expected_bytes;
        Ok(writer)
    }
}

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

/// A file that was written whole, and is on disk only after [`Unsynced::sync`].
#[must_use]
pub struct Unsynced {
    path: PathBuf,
    target: Target,
    length: u64,
}

impl Unsynced {
    /// Waits until the file is on disk. Its name is durable only once its folder is synced too.
    ///
    /// # Errors
    /// [`Error::Io`] when the system cannot write what it still held.
    pub fn sync(mut self) -> Result<()> {
        self.wait()?;
        self.sync_file()
    }

    /// Waits until the system has taken everything.
    fn wait(&mut self) -> Result<()> {
        match &mut self.target {
            Target::Direct(direct) => direct.wait(self.length).map_err(Error::io("write", &self.path)),
            Target::Cached { .. } => Ok(()),
        }
    }

    fn sync_file(&self) -> Result<()> {
        self.target.file().sync_all().map_err(Error::io("sync", &self.path))
    }
}

/// Syncs all files at once, so that the disk sees them together; one after the other where no thread can be had.
///
/// # Errors
/// As [`Unsynced::sync`].
pub fn sync_all(mut files: Vec<Unsynced>) -> Result<()> {
    files.iter_mut().try_for_each(Unsynced::wait)?;
    scope(|scope| {
        let sync = |file| {
            (file, Builder::new().name("sync".to_owned()).spawn_scoped(scope, move || Unsynced::sync_file(file)))
        };
        let syncing: Vec<_> = files.iter().map(sync).collect();
        syncing.into_iter().try_for_each(|(file, thread)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => file.sync_file(),
        })
    })
}

impl FileWriter {
    /// Creates a file that must not be there yet.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path).map_err(Error::io("create", path))?;
        Ok(Self::new(path, Target::cached(file)))
    }

    fn new(path: &Path, target: Target) -> Self {
        Self { path: path.to_owned(), target, hasher: Xxh3::new(), written: 0, reserved: 0 }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses them, such as on a full disk; the file is then of no use.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.append(bytes).map_err(Error::io("write", &self.path))
    }

    /// Hands what is buffered to the system; the file is then whole, and yet to be synced.
    ///
    /// # Errors
    /// [`Error::Io`] when the system cannot write.
    pub fn finish(self) -> Result<(Written, Unsynced)> {
        let Self { path, mut target, hasher, written, reserved } = self;
        match &mut target {
            Target::Direct(direct) => direct.finish().map_err(Error::io("write", &path))?,
            Target::Cached { file, buffer } => {
                file.write_all(&std::mem::take(buffer)).map_err(Error::io("write", &path))?;
                if written < reserved {
                    file.set_len(written).map_err(Error::io("truncate", &path))?;
                }
            }
        }
        Ok((Written { bytes: written, hash: hasher.digest128() }, Unsynced { path, target, length: written }))
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
    fn cached(file: File) -> Self {
        Self::Cached { file, buffer: Vec::with_capacity(BUFFER_BYTES) }
    }

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
    let mut file = FileWriter::create(path)?;
    file.write(bytes)?;
    file.finish()?.1.sync()
}
