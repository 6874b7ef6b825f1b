//! How much memory a run may use, and how much of it is taken.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::machine;

/// The program, its tables of a fixed size, and what the allocator keeps.
const BASE_BYTES: u64 = 64 << 20;
/// What a thread needs beside the data: pages being decoded, rows being padded or encoded.
const BYTES_PER_THREAD: u64 = 40 << 20;
/// The allocator rounds up and keeps some of what is freed: one part in so many of all memory.
const SLACK: u64 = 24;
/// The least that is of use for the data itself.
const LEAST_DATA_BYTES: u64 = 64 << 20;

/// The memory for the data of a run.
#[derive(Debug)]
pub struct Budget {
    memory: u64,
    /// What of `memory` there is for data.
    limit: u64,
    taken: AtomicU64,
}

impl Budget {
    /// The budget of a run that may use `memory` bytes in all; without a number, three quarters of what the machine has.
    ///
    /// # Errors
    /// [`Error::Memory`] when it is too little to work with.
    pub fn new(memory: Option<u64>, threads: usize) -> Result<Self> {
        let memory = memory.unwrap_or_else(|| machine::memory() / 4 * 3);
        let fixed = BASE_BYTES + BYTES_PER_THREAD * threads as u64;
        let needed = (fixed + LEAST_DATA_BYTES).div_ceil(SLACK - 1) * SLACK;
        if memory < needed {
            return Err(Error::Memory { given: memory, needed });
        }
        Ok(Self { memory, limit: memory - fixed - memory / SLACK, taken: AtomicU64::new(0) })
    }

    /// Takes bytes if there are as many.
    #[must_use]
    pub fn take(&self, bytes: u64) -> bool {
        let taken = self.taken.fetch_add(bytes, Ordering::Relaxed);
        if taken + bytes > self.limit {
            self.give_back(bytes);
            return false;
        }
        true
    }

    /// Takes bytes that are needed.
    ///
    /// # Errors
    /// [`Error::Memory`] says how much it would take.
    pub fn need(&self, bytes: u64) -> Result<()> {
        if self.take(bytes) { Ok(()) } else { Err(self.too_little(bytes)) }
    }

    /// The error of a run that cannot go on without `bytes` more.
    #[must_use]
    pub fn too_little(&self, bytes: u64) -> Error {
        let short = (self.taken.load(Ordering::Relaxed) + bytes).saturating_sub(self.limit);
        Error::Memory { given: self.memory, needed: self.memory + short }
    }

    /// Gives taken bytes back.
    pub fn give_back(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The bytes that there are for data.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The bytes that are still there.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.taken.load(Ordering::Relaxed))
    }
}
