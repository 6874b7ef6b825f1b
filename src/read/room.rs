//! The memory that readers have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a reader may hold beside the rows that it hands over.
#[derive(Clone, Debug)]
pub struct Room {
    share: u64,
    most: u64,
    turn: Arc<Mutex<()>>,
}

impl Room {
    /// Room of `share` bytes for each thread, and of `most` for one of them at a time.
    #[must_use]
    pub fn new(share: u64, most: u64) -> Self {
        Self { share, most, turn: Arc::default() }
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
