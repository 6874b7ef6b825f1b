//! Temporary files for what memory has no room for: appended to by many threads, read back block by block.
//!
//! The files have no names, so nothing is left of them however the process ends, nobody else can open them, and no two runs
//! can meet in one. Every block is hashed when it is written and compared when it is read back: no other check would see a
//! bit that changes on the way to the disk and back.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::{Pod, Zeroable};
use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use xxhash_rust::xxh3::xxh3_64;

use super::create_folders;
use super::handle::FolderHandle;
use crate::error::{Error, Invariant, OptionName, Result};

/// The folder in which a run makes its temporary files.
#[derive(Debug)]
pub struct SpillFolder {
    place: Place,
    bytes: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Place {
    Path(PathBuf),
    Open(FolderHandle),
}

impl SpillFolder {
    /// Temporary files in `path`; it is created with the first of them where it is missing.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { place: Place::Path(path.to_owned()), bytes: Arc::default() }
    }

    pub(super) fn inside(folder: FolderHandle) -> Self {
        Self { place: Place::Open(folder), bytes: Arc::default() }
    }

    /// A new empty file.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created.
    pub fn file(&self) -> Result<SpillFile> {
        let opened;
        let folder = match &self.place {
            Place::Open(folder) => folder,
            Place::Path(path) => {
                create_folders(path)?;
                opened = FolderHandle::open(path)?;
                &opened
            }
        };
        let refused = |error: Errno| Error::io("create a temporary file in", folder.path())(error.into());
        let file = nameless(folder.as_file()).map_err(refused)?;
        let folder = folder.path().to_owned();
        Ok(SpillFile { folder, file, end: AtomicU64::new(0), all_bytes: Arc::clone(&self.bytes) })
    }

    /// The bytes that were written to all of its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A file without a name in a folder, for this user alone.
fn nameless(folder: impl AsFd) -> Result<File, Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match retry_on_intr(|| openat(&folder, ".", flags | OFlags::TMPFILE, mode)) {
        Ok(file) => return Ok(file.into()),
        // File systems that cannot, and kernels that do not know the flag and see a folder to be written to.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS | Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    loop {
        // The hasher's keys are random.
        let name = format!(".shardback-spill-{:016x}", RandomState::new().build_hasher().finish());
        let named = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        match retry_on_intr(|| openat(&folder, &name, named, mode)) {
            Ok(file) => {
                retry_on_intr(|| unlinkat(&folder, &name, AtFlags::empty()))?;
                return Ok(file.into());
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
}

/// A temporary file; never synced, since nothing of it outlives the run.
#[derive(Debug)]
pub struct SpillFile {
    folder: PathBuf,
    file: File,
    end: AtomicU64,
    /// What all files of the folder hold together.
    all_bytes: Arc<AtomicU64>,
}

/// A block that was written: where it lies, and the hash of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct SpilledBlock {
    start: u64,
    bytes: usize,
    hash: u64,
}

impl SpilledBlock {
    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl SpillFile {
    /// Appends blocks that follow each other in `bytes`, the first from its beginning, each up to one of `ends`; all of them in
    /// one write.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses them, such as on a full disk.
    pub fn append(&self, bytes: &[u8], ends: &[usize]) -> Result<Vec<SpilledBlock>> {
        let first = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut blocks = Vec::with_capacity(ends.len());
        let mut start = 0;
        for &end in ends {
            let block = bytes.get(start..end).invariant("blocks to spill follow each other")?;
            blocks.push(SpilledBlock { start: first + start as u64, bytes: block.len(), hash: xxh3_64(block) });
            start = end;
        }
        if start != bytes.len() {
            return Err(Error::internal("all bytes to spill belong to a block"));
        }
        self.file.write_all_at(bytes, first).map_err(Error::io("spill to", &self.folder))?;
        self.all_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(blocks)
    }

    /// Reads a block back as the values that it is made of.
    ///
    /// # Errors
    /// [`Error::Io`] when the system cannot read it, [`Error::Corrupt`] when it is not what was written.
    pub fn read<T: Pod + Zeroable>(&self, block: &SpilledBlock) -> Result<Vec<T>> {
        if !block.bytes.is_multiple_of(size_of::<T>()) {
            return Err(Error::internal("a spilled block is made of whole values"));
        }
        let mut values = vec![T::zeroed(); block.bytes / size_of::<T>()];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut values);
        let read = self.file.read_exact_at(bytes, block.start);
        read.map_err(Error::io("read back what was spilled to", &self.folder))?;
        if xxh3_64(bytes) != block.hash {
            let problem = format!(
                "a temporary file in it gave back other bytes than were written to it (at {}, {} bytes): the disk or the \
                 memory of this machine is faulty; run again with another `{}`",
                block.start,
                block.bytes,
                OptionName::SpillDir
            );
            return Err(Error::Corrupt { path: self.folder.clone(), problem });
        }
        Ok(values)
    }
}
