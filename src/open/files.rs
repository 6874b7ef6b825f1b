//! The files of published days: opened in folders that are held open, and their bytes mapped or read.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::{Pod, Zeroable};
use memmap2::{Advice, Mmap};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::{Errno, retry_on_intr};

use super::corrupt;
use crate::error::{Error, Result};
use crate::fsio::{FolderHandle, is_remote, is_same};
use crate::machine;

/// How the bytes of a shard are had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// [`Access::Map`], but for files on a network or user-space file system [`Access::Read`], as far as a quarter of the memory
    /// that this process can have goes.
    #[default]
    Auto,
    /// Mapped: the system reads pages as they are used, and the process holds none of them. Where another process cuts the file
    /// short, or its server is lost, the system may end this one (`SIGBUS`); see [`Shard::check`](super::Shard::check).
    Map,
    /// Read into memory when it is opened. Whatever becomes of the file then, there is nothing left to go wrong.
    Read,
}

/// How often a day is opened anew that is replaced again and again meanwhile.
const MOST_TRIES: usize = 100;

/// Does something with the files of a folder, and does it once more from the start where the folder was replaced meanwhile, so that
/// its files are gone.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be opened, and what `work` returns.
pub(crate) fn in_folder<T>(folder: &Path, work: impl Fn(Arc<FolderHandle>) -> Result<T>) -> Result<T> {
    let mut tries = 0;
    loop {
        let handle = Arc::new(FolderHandle::open(folder)?);
        tries += 1;
        match work(Arc::clone(&handle)) {
            Err(error) if tries < MOST_TRIES && is_missing(&error) && is_replaced(&handle) => {}
            result => return result,
        }
    }
}

pub(super) fn is_missing(error: &Error) -> bool {
    // In a folder that was removed NFS finds nothing at all.
    let gone = [ErrorKind::NotFound, ErrorKind::StaleNetworkFileHandle];
    matches!(error, Error::Io { source, .. } if gone.contains(&source.kind()))
}

/// Whether another folder is where one was opened.
pub(crate) fn is_replaced(handle: &FolderHandle) -> bool {
    let Ok(now) = FolderHandle::open(handle.path()).and_then(|now| now.stat()) else { return false };
    match handle.stat() {
        Ok(then) => !is_same(&now, &then),
        // On NFS a folder that was removed cannot even be looked at.
        Err(error) => is_missing(&error),
    }
}

/// Opens a regular file: a pipe in its place would block, and a folder can be opened but not read.
///
/// # Errors
/// [`Error::Io`] when it cannot be opened, [`Error::Corrupt`] when it is not a file.
pub(super) fn open_file(path: &Path) -> Result<File> {
    let refused = |error: Errno| Error::io("read", path)(error.into());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()));
    let file = match file {
        Err(Errno::NXIO) => return Err(corrupt(path, "it is not a file")),
        file => file.map_err(refused)?,
    };
    if FileType::from_raw_mode(fstat(&file).map_err(refused)?.st_mode) != FileType::RegularFile {
        return Err(corrupt(path, "it is not a file"));
    }
    Ok(file.into())
}

/// No manifest is larger: it takes some 150 bytes for each of at most 99,999 shards.
const LARGEST_MANIFEST: u64 = 64 << 20;

/// The bytes of a manifest, however large the file is that stands in its place.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::Corrupt`] when it is not a file, or larger than any manifest.
pub(crate) fn read_manifest(folder: &FolderHandle, name: &str) -> Result<Vec<u8>> {
    let path = folder.path().join(name);
    let mut bytes = Vec::new();
    folder.file(name)?.take(LARGEST_MANIFEST + 1).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
    if bytes.len() as u64 > LARGEST_MANIFEST {
        return Err(corrupt(
            &path,
            format!("it is larger than any manifest, which has at most {LARGEST_MANIFEST} bytes"),
        ));
    }
    Ok(bytes)
}

/// The bytes of a file.
#[derive(Debug)]
pub(crate) enum Data {
    Mapped(Mmap),
    Held(Held),
}

impl Data {
    /// Maps or reads a file.
    ///
    /// # Errors
    /// [`Error::Io`] when the system cannot do it, [`Error::Corrupt`] when the file was cut short meanwhile.
    pub(crate) fn of(file: &File, path: &Path, access: Access) -> Result<Self> {
        let bytes = file.metadata().map_err(Error::io("read", path))?.len();
        let reads = match access {
            Access::Map => false,
            Access::Read => true,
            Access::Auto => is_remote(file) && Held::fits(bytes),
        };
        if reads {
            return Held::read(file, bytes).map(Self::Held).map_err(Error::io("read", path));
        }
        // SAFETY: the mapping is only read. Published files are never changed in place by this program: a day is replaced by
        // renaming whole folders, which leaves the mapped file itself as it was. Where something else changes one, values that
        // were checked may be others later; all that follows them is checked again where it is used, and is plain numbers.
        let map = unsafe { Mmap::map(file) }.map_err(Error::io("map", path))?;
        let data = Self::Mapped(map);
        data.check().map_err(|problem| corrupt(path, problem))?;
        Ok(data)
    }

    /// Whether all of the file is still there, as far as the system tells: asks for the last page of a mapping, which is an error
    /// where using it would be a signal.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let Self::Mapped(map) = self else { return Ok(()) };
        let Some(last) = map.len().checked_sub(1) else { return Ok(()) };
        match map.advise_range(Advice::PopulateRead, last, 1) {
            Err(error) if error.raw_os_error() == Some(Errno::FAULT.raw_os_error()) => Err(
                "it is shorter than when it was opened: something has cut it; put new files in place by renaming them, \
                     or read instead of mapping",
            ),
            // Also where the system does not know the question.
            _ => Ok(()),
        }
    }

    /// Tells the system that all of it will be read soon; only a hint.
    pub(super) fn will_need(&self) {
        if let Self::Mapped(map) = self {
            // Where the system does not take the hint, reading is slower and no less right.
            let _ = map.advise(Advice::WillNeed);
        }
    }
}

impl Deref for Data {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Held(held) => &bytemuck::cast_slice(&held.pages)[..held.bytes],
        }
    }
}

/// As mappings are aligned.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);

// SAFETY: bytes, of which any value is one.
unsafe impl Zeroable for Page {}
// SAFETY: only bytes, and size and alignment agree, so there is no padding.
unsafe impl Pod for Page {}

/// A file that was read into memory.
pub(crate) struct Held {
    pages: Vec<Page>,
    bytes: usize,
}

/// What this process holds of files in all.
static HELD: AtomicU64 = AtomicU64::new(0);

impl Held {
    /// Whether so many more bytes may be held without being asked for.
    fn fits(bytes: u64) -> bool {
        HELD.load(Ordering::Relaxed).saturating_add(bytes) <= machine::memory() / 4
    }

    fn read(file: &File, bytes: u64) -> std::io::Result<Self> {
        let too_large = || std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        let bytes = usize::try_from(bytes).map_err(|_| too_large())?;
        let count = bytes.div_ceil(size_of::<Page>());
        let mut pages = Vec::new();
        pages.try_reserve_exact(count).map_err(|_| too_large())?;
        pages.resize(count, Page::zeroed());
        let held = Self { pages, bytes };
        HELD.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut held = held;
        let room: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut held.pages)[..bytes];
        file.read_exact_at(room, 0)?;
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(self.bytes as u64, Ordering::Relaxed);
    }
}

/// Says how many bytes there are: what they are is of no interest.
impl std::fmt::Debug for Held {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Held").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
