//! Samples and actions brought together by customer: for each day the samples in canonical order, and for each request
//! of the day the window into its customer's history, newest first.
//!
//! ```text
//! samples ─► spool ─┐                 ┌► day 1: piece
//!                   ├─► bucket ───────┼► day 2: piece      a piece: customers, their samples, their windows,
//! actions ─► spool ─┘   (in parallel) └► day 3: piece      and the values that the windows point into
//! ```
//!
//! Knows customers and days; knows no tables and no output formats. A bucket is a contiguous range of the customer hash, so
//! the buckets' pieces of a day, one after the other, are the day in canonical order. The order of actions is total but for
//! identical ones, so nothing depends on how they came. What memory has no room for is spilled: records in the spools,
//! and finished pieces.

mod budget;
mod builder;
mod customers;
mod group;
mod piece;
mod samples;
mod spool;
mod times;
mod windows;

use std::borrow::Cow;
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::error::{Error, Result};
use crate::event::ItemId;

pub use budget::{Budget, Room};
pub use builder::Input;
pub use customers::Customers;
pub use group::{Asked, prune};
pub use piece::{ActionColumn, Piece, Request, Stretch, Values, Window, stretches};
pub use samples::{DaySamples, Samples};
pub use spool::{Spool, Spooled};

use builder::{Builder, Built};
use piece::SpilledPiece;

/// About as many actions as a core's cache holds while they are sorted.
const ACTIONS_PER_BUCKET: u64 = 1 << 15;
/// More buckets than this make the buckets' parts of a batch too short to be worth their bookkeeping.
const MOST_BUCKETS: u64 = 1 << 10;

/// The number of buckets for about as many actions.
#[must_use]
pub fn buckets_for(actions: u64) -> u32 {
    // At most `MOST_BUCKETS`.
    actions.div_ceil(ACTIONS_PER_BUCKET).clamp(1, MOST_BUCKETS) as u32
}

/// The pieces of all days.
pub struct Histories<'a, I> {
    budget: &'a Budget,
    /// For each day of the plan its pieces, in the order of the buckets.
    days: Vec<Vec<Stored<I>>>,
    taken: u64,
}

/// A piece, wherever it is.
enum Stored<I> {
    Memory(Arc<Piece<I>>),
    Disk(SpilledPiece),
}

impl<'a, I: ItemId> Histories<'a, I> {
    /// Brings samples and actions together.
    ///
    /// Takes time in n log n of a customer's actions. As many buckets are worked off together as the budget has room for;
    /// one that has too many actions even alone is pruned as it is read. `progress` is told of each bucket.
    ///
    /// # Errors
    /// [`Error::Memory`] when a bucket does not fit at all, what the spill disk says, and
    /// what `progress` returns.
    pub fn new(
        input: &Input<'_, I>,
        budget: &'a Budget,
        progress: &(dyn Fn(u64) -> Result<()> + Sync),
    ) -> Result<Self> {
        let mut histories = Self { budget, days: input.plan.days().iter().map(|_| Vec::new()).collect(), taken: 0 };
        let builder = Builder::new(input, budget);
        let mut next = 0;
        while next < input.customers.buckets() {
            let together = builder.together(next)?;
            let built: Vec<Result<Built<I>>> = together
                .par_iter()
                .map(|&(bucket, room)| builder.bucket(bucket, room).and_then(|built| progress(1).map(|()| built)))
                .collect();
            budget.give_back(together.iter().map(|(_, room)| room).sum());
            for built in built {
                let built = built?;
                histories.taken += built.taken;
                if built.pieces.len() != histories.days.len() {
                    return Err(Error::internal("a bucket has a piece for every day"));
                }
                for (day, piece) in histories.days.iter_mut().zip(built.pieces) {
                    day.push(piece);
                }
            }
            next += together.len() as u32;
        }
        Ok(histories)
    }

    /// The budget that they are kept in.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        self.budget
    }

    /// Whether a piece of a day is on disk.
    #[must_use]
    pub fn is_spilled(&self, day: usize, piece: usize) -> bool {
        let stored = self.days.get(day).and_then(|pieces| pieces.get(piece));
        matches!(stored, Some(Stored::Disk(_)))
    }

    /// The number of pieces of a day.
    #[must_use]
    pub fn pieces(&self, day: usize) -> usize {
        self.days.get(day).map_or(0, Vec::len)
    }

    /// A piece of a day, read back where it was spilled.
    ///
    /// # Errors
    /// What the spill disk says.
    ///
    /// # Panics
    /// When the day is none of the plan, or `piece` is not below [`Histories::pieces`].
    pub fn piece(&self, day: usize, piece: usize) -> Result<Arc<Piece<I>>> {
        match &self.days[day][piece] {
            Stored::Memory(piece) => Ok(Arc::clone(piece)),
            Stored::Disk(piece) => Ok(Arc::new(piece.read()?)),
        }
    }

    /// The requests of a piece, without its samples and values.
    ///
    /// # Errors
    /// What the spill disk says.
    ///
    /// # Panics
    /// When the day is none of the plan, or `piece` is not below [`Histories::pieces`].
    pub fn requests(&self, day: usize, piece: usize) -> Result<Cow<'_, [Request]>> {
        match &self.days[day][piece] {
            Stored::Memory(piece) => Ok(Cow::Borrowed(&piece.requests)),
            Stored::Disk(piece) => Ok(Cow::Owned(piece.read_requests()?)),
        }
    }
}

impl<I> Drop for Histories<'_, I> {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}
