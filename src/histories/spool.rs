//! Records on their way from the tables to their buckets, each with its packed row: in memory while it lasts, then on disk.
//!
//! ```text
//! push ─► run in memory, ordered by bucket ─┐ memory is full    ┌─► spilled run: the same order, in one file
//!         run in memory, ordered by bucket ─┴───────────────────┘
//! bucket ◄── its part of every run, spilled or not
//! ```

use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;

use super::budget::Budget;
use crate::error::{Error, Invariant, Result};
use crate::fsio::{SpillFile, SpillFolder, SpilledBlock};
use crate::pack::Packed;

/// Records of one kind, kept by bucket.
pub struct Spool<'a, T> {
    buckets: u32,
    /// The bytes of a record's packed row.
    width: usize,
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

/// Records ordered by bucket, and their rows.
struct Run<T> {
    records: Vec<T>,
    rows: Vec<u8>,
    width: usize,
    ends: Vec<u32>,
}

/// Runs that were merged into one on disk: at most [`RECORDS_AT_A_TIME`] records of one bucket at a time, as a block of records and,
/// where rows have any width, one of rows.
struct SpilledRun {
    blocks: Vec<SpilledBlock>,
    /// For each bucket where its blocks end.
    ends: Vec<usize>,
}

impl<'a, T: Pod + Send + Sync> Spool<'a, T> {
    /// An empty spool that spills into `folder` when the budget is used up; `width` is that of packed rows.
    pub fn new(buckets: u32, width: usize, budget: &'a Budget, folder: &'a SpillFolder) -> Self {
        let runs = Runs { memory: Vec::new(), taken: 0, disk: Vec::new(), file: None };
        Self { buckets, width, budget, folder, runs: Mutex::new(runs) }
    }

    /// The number of buckets.
    pub fn buckets(&self) -> u32 {
        self.buckets
    }

    /// Adds records; `bucket_of` gives each its bucket, below the number of buckets.
    ///
    /// # Errors
    /// [`Error::Io`] when spilling fails, [`Error::Memory`] when not even one batch fits.
    pub fn push(&self, records: Packed<'_, T>, bucket_of: impl Fn(&T) -> u32) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        if records.width() != self.width {
            return Err(Error::internal("the rows of a spool are of one width"));
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
        let mut spilling = Spilling {
            file: &file,
            records: Vec::new(),
            rows: Vec::new(),
            bytes: Vec::with_capacity(SPILL_BYTES),
            ends: Vec::new(),
            blocks: Vec::new(),
        };
        let mut ends = Vec::with_capacity(self.buckets as usize);
        for bucket in 0..self.buckets {
            let mut room = RECORDS_AT_A_TIME;
            for run in &runs.memory {
                let mut records = run.bucket(bucket);
                while !records.is_empty() {
                    let now;
                    (now, records) = records.split_at(room);
                    spilling.records.extend_from_slice(bytemuck::cast_slice(now.records()));
                    spilling.rows.extend_from_slice(now.rows());
                    room -= now.len();
                    if room == 0 {
                        spilling.end_block()?;
                        room = RECORDS_AT_A_TIME;
                    }
                }
            }
            spilling.end_block()?;
            ends.push(spilling.blocks.len() + spilling.ends.len());
        }
        spilling.write()?;
        runs.disk.push(SpilledRun { blocks: spilling.blocks, ends });
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
        Ok(Spooled {
            budget: self.budget,
            width: self.width,
            runs: self.runs.into_inner().unwrap_or_else(PoisonError::into_inner),
        })
    }
}

/// Records that are read back at a time.
pub(super) const RECORDS_AT_A_TIME: usize = 1 << 18;
/// About as many bytes are written to disk at a time.
const SPILL_BYTES: usize = 4 << 20;

/// Blocks on their way to disk, some at a time.
struct Spilling<'a> {
    file: &'a SpillFile,
    /// The block that is being filled.
    records: Vec<u8>,
    rows: Vec<u8>,
    /// Those that are ended and not yet written.
    bytes: Vec<u8>,
    /// Where the blocks in `bytes` end.
    ends: Vec<usize>,
    /// Those that are written.
    blocks: Vec<SpilledBlock>,
}

impl Spilling<'_> {
    /// Ends a block, unless nothing is in it.
    fn end_block(&mut self) -> Result<()> {
        for block in [&mut self.records, &mut self.rows].into_iter().filter(|block| !block.is_empty()) {
            self.bytes.append(block);
            self.ends.push(self.bytes.len());
        }
        if self.bytes.len() >= SPILL_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        self.blocks.extend(self.file.append(&self.bytes, &self.ends)?);
        self.bytes.clear();
        self.ends.clear();
        Ok(())
    }
}

/// A spool that is complete.
pub struct Spooled<'a, T> {
    budget: &'a Budget,
    width: usize,
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
        let on_disk: usize = self.runs.disk.iter().flat_map(|run| run.bucket(bucket)).map(SpilledBlock::bytes).sum();
        in_memory + on_disk / self.bytes_each()
    }

    /// The bytes of a record and its row.
    pub(super) fn bytes_each(&self) -> usize {
        size_of::<T>() + self.width
    }

    /// The bytes of a row.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The records of a bucket that are in memory.
    pub(super) fn memory(&self, bucket: u32) -> impl Iterator<Item = Packed<'_, T>> {
        self.runs.memory.iter().map(move |run| run.bucket(bucket))
    }

    /// The records of a bucket, in pieces of at most `RECORDS_AT_A_TIME`, each read from disk where it was spilled.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk cannot be read, [`Error::Corrupt`] when it gives other bytes than were written, or what
    /// `visit` returns.
    pub fn visit(&self, bucket: u32, mut visit: impl FnMut(Packed<'_, T>) -> Result<()>) -> Result<()> {
        for run in &self.runs.memory {
            for piece in run.bucket(bucket).chunks(RECORDS_AT_A_TIME) {
                visit(piece)?;
            }
        }
        for run in &self.runs.disk {
            let file = self.runs.file.as_ref().invariant("what was spilled is in a file")?;
            for blocks in run.bucket(bucket).chunks(1 + usize::from(self.width > 0)) {
                let records: Vec<T> = file.read(blocks.first().invariant("chunks are not empty")?)?;
                let rows: Vec<u8> = blocks.get(1).map_or(Ok(Vec::new()), |block| file.read(block))?;
                visit(Packed::new(&records, &rows, self.width)?)?;
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
        (self.records.len() * size_of::<T>() + self.rows.len() + self.ends.len() * size_of::<u32>()) as u64
    }

    fn bucket(&self, bucket: u32) -> Packed<'_, T> {
        let start = (bucket as usize).checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        let records = start..self.ends[bucket as usize] as usize;
        let rows = &self.rows[records.start * self.width..records.end * self.width];
        Packed::of_slices(&self.records[records], rows, self.width)
    }
}

impl SpilledRun {
    /// The bucket's blocks.
    fn bucket(&self, bucket: u32) -> &[SpilledBlock] {
        let start = (bucket as usize).checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.blocks[start..self.ends[bucket as usize]]
    }
}

/// Orders records by bucket: counts, then places each.
fn split<T: Pod>(packed: Packed<'_, T>, buckets: u32, bucket_of: impl Fn(&T) -> u32) -> Result<Run<T>> {
    let (limit, records, width) = (u32::MAX, packed.records(), packed.width());
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
    let mut rows = vec![0; packed.rows().len()];
    for (place, (record, &bucket)) in records.iter().zip(&bucket_of_record).enumerate() {
        let target = &mut ends[bucket as usize];
        let at = *target as usize;
        ordered[at] = *record;
        match width {
            0 => {}
            1 => rows[at] = packed.rows()[place],
            _ => rows[at * width..(at + 1) * width].copy_from_slice(packed.row(place)),
        }
        *target += 1;
    }
    Ok(Run { records: ordered, rows, width, ends })
}
