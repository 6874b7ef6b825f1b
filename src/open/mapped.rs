//! A dense or jagged day with all its shards mapped, as one table of rows: shards in order, rows in order.

use std::path::Path;

use super::{DayFolder, History, Shard, corrupt};
use crate::config::Format;
use crate::error::Result;

/// A day whose shards are mapped. Its rows are numbered from 0 through all of its shards.
#[derive(Debug)]
pub struct MappedDay {
    folder: DayFolder,
    shards: Vec<Shard>,
    /// For each shard the number of the first row behind it.
    ends: Vec<usize>,
}

impl MappedDay {
    /// Opens a day's folder and maps its shards; their headers are checked, their values are not.
    ///
    /// # Errors
    /// As [`DayFolder::open`] and [`DayFolder::shard`]; also [`Error::Corrupt`](crate::error::Error::Corrupt) where the
    /// day is Parquet, which cannot be mapped.
    pub fn open(folder: &Path) -> Result<Self> {
        let folder = DayFolder::open(folder)?;
        if folder.format() == Format::Parquet {
            return Err(corrupt(folder.folder(), "a day in Parquet cannot be mapped; build it as jagged or dense"));
        }
        let shards = (0..folder.shards()).map(|shard| folder.shard(shard)).collect::<Result<Vec<_>>>()?;
        let mut rows = 0_usize;
        let mut ends = Vec::with_capacity(shards.len());
        for shard in &shards {
            // Every row takes some bytes of mapped memory, so no sum of rows is beyond an address.
            rows = rows.saturating_add(shard.rows());
            ends.push(rows);
        }
        Ok(Self { folder, shards, ends })
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
        self.ends.last().copied().unwrap_or_default()
    }

    /// K, the length of a padded history.
    #[must_use]
    pub fn history(&self) -> usize {
        usize::try_from(self.folder.manifest().history).unwrap_or(usize::MAX)
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
