//! How much memory a run may use, and how much of it is taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::machine;
use crate::read;

/// The program, its tables of a fixed size, and what the allocator keeps.
const BASE_BYTES: u64 = 64 << 20;
/// What a thread needs beside the data: pages being decoded, rows being padded or encoded.
const BYTES_PER_THREAD: u64 = 40 << 20;
/// What of that pages may take while they are decoded; the rest is for what becomes of them.
const READ_BYTES_PER_THREAD: u64 = 24 << 20;
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
    /// What there is for threads.
    of_threads: u64,
    /// What of that and of what is left is taken for encoding side by side.
    encoding: AtomicU64,
    /// Whoever encodes alone has it.
    turn: Mutex<()>,
}

impl Budget {
    /// The budget of a run that may use `memory` bytes in all; without a number, three quarters of what the machine has.
    ///
    /// # Errors
    /// [`Error::Memory`] when it is too little to work with.
    pub fn new(memory: Option<u64>, threads: usize) -> Result<Self> {
        let memory = memory.unwrap_or_else(|| machine::memory() / 4 * 3);
        let of_threads = BYTES_PER_THREAD * threads as u64;
        let fixed = BASE_BYTES + of_threads;
        let needed = (fixed + LEAST_DATA_BYTES).div_ceil(SLACK - 1) * SLACK;
        if memory < needed {
            return Err(Error::Memory { given: memory, needed });
        }
        Ok(Self {
            memory,
            limit: memory - fixed - memory / SLACK,
            taken: AtomicU64::new(0),
            of_threads,
            encoding: AtomicU64::new(0),
            turn: Mutex::new(()),
        })
    }

    /// What readers may hold: a share of what each thread has, and for one thread at a time a quarter of what there is for data.
    #[must_use]
    pub fn to_read(&self) -> read::Room {
        read::Room::new(READ_BYTES_PER_THREAD, READ_BYTES_PER_THREAD + self.limit / 4)
    }

    /// Takes what one thread needs beside its share to read something as heavy as `heaviest`, and gives the bytes.
    ///
    /// # Errors
    /// [`Error::Memory`] says how much it would take.
    pub fn keep_to_read(&self, heaviest: u64) -> Result<u64> {
        let bytes = heaviest.saturating_sub(READ_BYTES_PER_THREAD).min(self.limit / 4);
        self.need(bytes)?;
        Ok(bytes)
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
        self.with_more(short)
    }

    fn with_more(&self, short: u64) -> Error {
        Error::Memory { given: self.memory, needed: self.memory.saturating_add(short) }
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

    /// Room to encode something of at most `bytes` bytes beside other threads, if there is as much.
    ///
    /// Encoding begins when all is read and sorted: it has what the threads have, and what is left of the data's. A third of
    /// that is for side by side, and the rest for [`Budget::encode_alone`].
    #[must_use]
    pub fn encode_beside(&self, bytes: u64) -> Option<Room<'_>> {
        let taken = self.encoding.fetch_add(bytes, Ordering::Relaxed);
        let room = Room { budget: self, bytes, turn: None };
        // Where it is too much, dropping the room gives it back.
        (taken + bytes <= self.to_encode() / BESIDE).then_some(room)
    }

    /// Room to encode something large, one at a time: waits until nobody else has it.
    ///
    /// Whoever has it must not wait for another thread that may ask for it.
    #[must_use]
    pub fn encode_alone(&self) -> Room<'_> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.to_encode();
        Room { budget: self, bytes: all - all / BESIDE, turn: Some(turn) }
    }

    fn to_encode(&self) -> u64 {
        self.of_threads + self.left()
    }
}

/// One part in so many of the memory for encoding is for what is encoded side by side.
const BESIDE: u64 = 3;

/// Memory for encoding, until it is dropped.
pub struct Room<'a> {
    budget: &'a Budget,
    bytes: u64,
    /// That of who encodes alone.
    turn: Option<MutexGuard<'a, ()>>,
}

impl Room<'_> {
    /// Makes room beside other threads as large as it has to be, if there is as much. Whoever is alone has the room that there is.
    #[must_use]
    pub fn resize(&mut self, bytes: u64) -> bool {
        if self.turn.is_some() {
            return bytes <= self.bytes;
        }
        let encoding = &self.budget.encoding;
        if let Some(more) = bytes.checked_sub(self.bytes) {
            if encoding.fetch_add(more, Ordering::Relaxed) + more > self.budget.to_encode() / BESIDE {
                encoding.fetch_sub(more, Ordering::Relaxed);
                return false;
            }
        } else {
            encoding.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        true
    }

    /// Asks whether there are so many bytes in all. Beside other threads there are: room is taken for the most that it can be.
    ///
    /// # Errors
    /// [`Error::Memory`] says how much it would take.
    pub fn need(&self, bytes: u64) -> Result<()> {
        match bytes.checked_sub(self.bytes) {
            // Of more memory, no more than a part comes here.
            Some(short) if short > 0 && self.turn.is_some() => Err(self.budget.with_more(2 * short)),
            _ => Ok(()),
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.turn.is_none() {
            self.budget.encoding.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}
