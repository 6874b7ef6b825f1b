//! Tells a file that was replaced or written to from the one that was found.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Which file it is, and in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// A file on a disk.
    Disk { device: u64, inode: u64, size: u64, modified: (i64, i64) },
    /// An object in a store, whose version every request says.
    Store { size: u64 },
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self::Disk {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// What only this file has, whatever is written to it and whatever its names are; an object has its name.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        match self {
            Self::Disk { device, inode, .. } => Some((*device, *inode)),
            Self::Store { .. } => None,
        }
    }

    /// The size of the file, in bytes.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Disk { size, .. } | Self::Store { size } => *size,
        }
    }
}
