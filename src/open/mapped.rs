//! A dense or jagged day with all its shards mapped, as one table of rows: shards in order, rows in order.

use std::path::Path;
use std::sync::Arc;

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::{Access, DayFolder, History, Shard, corrupt, in_folder};
use crate::config::Format;
use crate::error::{Invariant, Result};
use crate::fsio::FolderHandle;

/// A day whose shards are mapped. Its rows are numbered from 0 through all of its shards.
#[derive(Debug)]
pub struct MappedDay {
    folder: DayFolder,
    /// K.
    history: usize,
    shards: Vec<Shard>,
    /// For each shard the number of the first row behind it.
    ends: Vec<usize>,
}

/// So few shards are checked in less time than it takes to hand them to another core.
const CHECKED_AT_ONCE: usize = 16;

impl MappedDay {
    /// Opens a day's folder and maps its shards; their headers are checked, their values are not.
    ///
    /// # Errors
    /// As [`DayFolder::open`] and [`DayFolder::shard`]; also [`Error::Corrupt`](crate::error::Error::Corrupt) where the
    /// day is Parquet, which cannot be mapped.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, Access::Auto)
    }

    /// The same, with its shards mapped or read as one chooses.
    ///
    /// # Errors
    /// As [`MappedDay::open`].
    pub fn open_with(folder: &Path, access: Access) -> Result<Self> {
        in_folder(folder, |handle| Self::in_handle(folder, handle, access))
    }

    fn in_handle(folder: &Path, handle: Arc<FolderHandle>, access: Access) -> Result<Self> {
        let mut folder = DayFolder::in_handle(folder, Arc::clone(&handle))?;
        if folder.format() == Format::Parquet {
            return Err(corrupt(folder.folder(), "a day in Parquet cannot be mapped; build it as jagged or dense"));
        }
        let shards =
            (0..folder.shards()).map(|shard| folder.shard_in(&handle, shard, access)).collect::<Result<Vec<_>>>()?;
        // All is mapped or read: with many days open, open folders would be more than a process may have.
        folder.handle = None;
        let history = usize::try_from(folder.manifest().history).invariant("a history was checked to be short")?;
        let mut rows = 0_usize;
        let mut ends = Vec::with_capacity(shards.len());
        for shard in &shards {
            rows = rows.checked_add(shard.rows()).invariant("every row takes bytes of memory")?;
            ends.push(rows);
        }
        Ok(Self { folder, history, shards, ends })
    }

    /// The folder, with the manifest.
    #[must_use]
    pub fn folder(&self) -> &DayFolder {
        &self.folder
    }

    /// The shards, in order.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Its samples.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ends.last().map_or(0, |&end| end)
    }

    /// K, the length of a padded history.
    #[must_use]
    pub fn history(&self) -> usize {
        self.history
    }

    /// Checks that all of its files are still there in full, where they are mapped; to be asked before some of it is read, as a
    /// batch is begun.
    ///
    /// # Errors
    /// As [`Shard::check`].
    pub fn check(&self) -> Result<()> {
        // A system call for each: worth sharing out where they are many.
        self.shards.par_iter().with_min_len(CHECKED_AT_ONCE).try_for_each(Shard::check)
    }

    /// The shard that holds a row, and the row's number in it; `None` where there is no such row.
    #[must_use]
    pub fn locate(&self, row: usize) -> Option<(usize, usize)> {
        // Empty shards end where the one before them does, and hold no row.
        let shard = self.ends.partition_point(|&end| end <= row);
        let first = shard.checked_sub(1).map_or(0, |before| self.ends[before]);
        (shard < self.shards.len()).then(|| (shard, row - first))
    }

    /// A row's history, newest first, without padding; `None` where there is no such row or its window is out of range.
    #[must_use]
    pub fn row_history(&self, row: usize) -> Option<History<'_>> {
        let (shard, row) = self.locate(row)?;
        self.shards.get(shard)?.view().history(row)
    }
}
