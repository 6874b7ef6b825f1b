//! The memory that readers have, and how many rows they hand over at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::read::text_buffer::Recycled;

/// What a reader may hold beside the rows that it hands over.
#[derive(Clone, Debug)]
pub struct Room {
    share: u64,
    most: u64,
    rows: usize,
    held: u64,
    turn: Arc<Mutex<()>>,
    recycled: Recycled,
}

/// What is held at most of objects in stores that are read before their turn.
const MOST_HELD: u64 = 512 << 20;

impl Room {
    /// Room of `share` bytes for each thread, and of `most` for one of them at a time.
    #[must_use]
    pub fn new(share: u64, most: u64) -> Self {
        Self { share, most, rows: usize::MAX, held: 0, turn: Arc::default(), recycled: Recycled::default() }
    }

    /// The same room for rows that are handed over in chunks of about this many at most, for who does not want all of a part.
    #[must_use]
    pub fn with_rows(self, rows: usize) -> Self {
        Self { rows: rows.max(1), ..self }
    }

    /// The same room for tables in stores: half of what one thread may hold beyond its share is for objects that are read whole, and
    /// before their turn. Who does not want all of a part has none of that.
    #[must_use]
    pub(super) fn for_stores(self) -> Self {
        if self.rows != usize::MAX {
            return self;
        }
        let held = (self.most.saturating_sub(self.share) / 2).min(MOST_HELD);
        Self { most: self.most - held, held, ..self }
    }

    /// The bytes of objects in stores that may be held together.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// The bytes of a text in a store that may be under way for a thread.
    pub(super) fn under_way(&self) -> u64 {
        if self.rows == usize::MAX { self.share / 4 } else { 0 }
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

    /// The memory that text is read into.
    pub(super) fn recycled(&self) -> &Recycled {
        &self.recycled
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
