//! The memory that readers have, and how many rows they hand over at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a reader may hold beside the rows that it hands over.
#[derive(Clone, Debug)]
pub struct Room {
    share: u64,
    most: u64,
    rows: usize,
    turn: Arc<Mutex<()>>,
}

impl Room {
    /// Room of `share` bytes for each thread, and of `most` for one of them at a time.
    #[must_use]
    pub fn new(share: u64, most: u64) -> Self {
        Self { share, most, rows: usize::MAX, turn: Arc::default() }
    }

    /// The same room for rows that are handed over in chunks of about this many at most, for who does not want all of a part.
    #[must_use]
    pub fn with_rows(self, rows: usize) -> Self {
        Self { rows: rows.max(1), ..self }
    }

    /// About how many rows a chunk may have.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes that any thread may hold.
    pub(super) fn share(&self) -> u64 {
        self.share
    }

    /// The bytes that one thread may hold while it has its turn.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// Waits for the turn. Whoever has it must not wait for another thread of the pool.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No bound.
impl Default for Room {
    fn default() -> Self {
        Self::new(u64::MAX, u64::MAX)
    }
}
