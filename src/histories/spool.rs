//! Records on their way from the tables to their buckets: in memory while it lasts, then on disk.
//!
//! ```text
//! push ─► run in memory, ordered by bucket ─┐ memory is full    ┌─► spilled run: the same order, in one file
//!         run in memory, ordered by bucket ─┴───────────────────┘
//! bucket ◄── its part of every run, spilled or not
//! ```

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;

use super::budget::Budget;
use crate::error::{Error, Result};
use crate::fsio::{SpillFile, SpillFolder};

/// Records of one kind, kept by bucket.
pub struct Spool<'a, T> {
    buckets: u32,
    budget: &'a Budget,
    folder: &'a SpillFolder,
    runs: Mutex<Runs<T>>,
}

struct Runs<T> {
    memory: Vec<Run<T>>,
    /// The bytes that the runs in memory have taken.
    taken: u64,
    disk: Vec<SpilledRun>,
    file: Option<SpillFile>,
}

/// Records ordered by bucket.
struct Run<T> {
    records: Vec<T>,
    ends: Vec<u32>,
}

/// Runs that were merged into one on disk.
struct SpilledRun {
    start: u64,
    /// For each bucket where its records end, in bytes behind `start`.
    ends: Vec<u64>,
}

impl<'a, T: Pod + Send + Sync> Spool<'a, T> {
    /// An empty spool that spills into `folder` when the budget is used up.
    pub fn new(buckets: u32, budget: &'a Budget, folder: &'a SpillFolder) -> Self {
        let runs = Runs { memory: Vec::new(), taken: 0, disk: Vec::new(), file: None };
        Self { buckets, budget, folder, runs: Mutex::new(runs) }
    }

    /// The number of buckets.
    pub fn buckets(&self) -> u32 {
        self.buckets
    }

    /// Adds records; `bucket_of` gives each its bucket, below the number of buckets.
    ///
    /// # Errors
    /// [`Error::Io`] when spilling fails, [`Error::Memory`] when not even one batch fits.
    pub fn push(&self, records: &[T], bucket_of: impl Fn(&T) -> u32) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let run = split(records, self.buckets, bucket_of)?;
        let bytes = run.bytes();
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.budget.take(bytes) {
            self.spill(&mut runs)?;
            self.budget.need(bytes)?;
        }
        runs.taken += bytes;
        runs.memory.push(run);
        Ok(())
    }

    /// Moves what is in memory to disk, if anything is.
    fn spill(&self, runs: &mut Runs<T>) -> Result<()> {
        if runs.memory.is_empty() {
            return Ok(());
        }
        let file = match runs.file.take() {
            Some(file) => file,
            None => self.folder.file()?,
        };
        let mut ends = Vec::with_capacity(self.buckets as usize);
        let (mut first, mut end) = (None, 0);
        let mut block = Vec::with_capacity(SPILL_BLOCK);
        for bucket in 0..self.buckets {
            for run in &runs.memory {
                let bytes: &[u8] = bytemuck::cast_slice(run.bucket(bucket));
                end += bytes.len() as u64;
                block.extend_from_slice(bytes);
            }
            ends.push(end);
            if block.len() >= SPILL_BLOCK || bucket + 1 == self.buckets {
                // Only this spool writes to its file, under its lock: blocks follow each other without gaps.
                let start = file.append(&block)?;
                first.get_or_insert(start);
                block.clear();
            }
        }
        runs.disk.push(SpilledRun { start: first.unwrap_or_default(), ends });
        runs.memory.clear();
        self.budget.give_back(std::mem::take(&mut runs.taken));
        runs.file = Some(file);
        Ok(())
    }

    /// Ends the writing. Where something was spilled, or more than `most` bytes are in memory, the rest is spilled too,
    /// so that memory is free for what follows.
    ///
    /// # Errors
    /// [`Error::Io`] when spilling fails.
    pub fn finish(self, most: u64) -> Result<Spooled<'a, T>> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if !runs.disk.is_empty() || runs.taken > most {
            self.spill(&mut runs)?;
        }
        drop(runs);
        Ok(Spooled { budget: self.budget, runs: self.runs.into_inner().unwrap_or_else(PoisonError::into_inner) })
    }
}

/// Records that are read back at a time.
pub(super) const RECORDS_AT_A_TIME: usize = 1 << 18;
/// Bytes that are written to disk at a time.
const SPILL_BLOCK: usize = 4 << 20;

/// A spool that is complete.
pub struct Spooled<'a, T> {
    budget: &'a Budget,
    runs: Runs<T>,
}

impl<T: Pod + Send + Sync> Spooled<'_, T> {
    /// Whether any record is on disk.
    pub fn is_spilled(&self) -> bool {
        !self.runs.disk.is_empty()
    }

    /// The number of records of a bucket.
    pub fn len(&self, bucket: u32) -> usize {
        let in_memory: usize = self.runs.memory.iter().map(|run| run.bucket(bucket).len()).sum();
        let on_disk: u64 = self.runs.disk.iter().map(|run| run.bucket(bucket).1).sum();
        in_memory + on_disk as usize / size_of::<T>()
    }

    /// The records of a bucket that are in memory.
    pub(super) fn memory(&self, bucket: u32) -> impl Iterator<Item = &[T]> {
        self.runs.memory.iter().map(move |run| run.bucket(bucket))
    }

    /// The records of a bucket, in pieces of at most `most` records, each read from disk where it was spilled.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk cannot be read, or what `visit` returns.
    pub fn visit(&self, bucket: u32, most: usize, mut visit: impl FnMut(Cow<'_, [T]>) -> Result<()>) -> Result<()> {
        for run in &self.runs.memory {
            for piece in run.bucket(bucket).chunks(most) {
                visit(Cow::Borrowed(piece))?;
            }
        }
        let Some(file) = &self.runs.file else { return Ok(()) };
        for run in &self.runs.disk {
            let (start, bytes) = run.bucket(bucket);
            let most = (most * size_of::<T>()) as u64;
            for offset in (0..bytes).step_by(most as usize) {
                let records = (most.min(bytes - offset)) as usize / size_of::<T>();
                let mut piece = vec![T::zeroed(); records];
                file.read(start + offset, bytemuck::cast_slice_mut(&mut piece))?;
                visit(Cow::Owned(piece))?;
            }
        }
        Ok(())
    }
}

impl<T> Drop for Spooled<'_, T> {
    fn drop(&mut self) {
        self.budget.give_back(self.runs.taken);
    }
}

impl<T> Run<T> {
    fn bytes(&self) -> u64 {
        (self.records.len() * size_of::<T>() + self.ends.len() * size_of::<u32>()) as u64
    }

    fn bucket(&self, bucket: u32) -> &[T] {
        let start = (bucket as usize).checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.records[start as usize..self.ends[bucket as usize] as usize]
    }
}

impl SpilledRun {
    /// Where the bucket's records begin in the file, and their bytes.
    fn bucket(&self, bucket: u32) -> (u64, u64) {
        let start = (bucket as usize).checked_sub(1).map_or(0, |before| self.ends[before]);
        (self.start + start, self.ends[bucket as usize] - start)
    }
}

/// Orders records by bucket: counts, then places each.
fn split<T: Pod>(records: &[T], buckets: u32, bucket_of: impl Fn(&T) -> u32) -> Result<Run<T>> {
    let limit = u32::MAX;
    if records.len() as u64 > u64::from(limit) {
        return Err(Error::TooMany { what: "rows of a batch", count: records.len() as u64, limit: u64::from(limit) });
    }
    let bucket_of_record: Vec<u32> = records.iter().map(bucket_of).collect();
    let mut ends = vec![0u32; buckets as usize];
    for &bucket in &bucket_of_record {
        ends[bucket as usize] += 1;
    }
    let mut start = 0;
    for end in &mut ends {
        start += std::mem::replace(end, start);
    }
    // `ends` holds the starts now, and each start moves to its end as its bucket fills.
    let mut ordered = vec![T::zeroed(); records.len()];
    for (record, &bucket) in records.iter().zip(&bucket_of_record) {
        let place = &mut ends[bucket as usize];
        ordered[*place as usize] = *record;
        *place += 1;
    }
    Ok(Run { records: ordered, ends })
}
