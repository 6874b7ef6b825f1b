//! One bucket: its samples by day, its actions by customer, and the pieces that come of them.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Stored;
use super::budget::Budget;
use super::customers::Customers;
use super::group::{Asked, Grouped, Row};
use super::piece::{Piece, Request, SpilledPiece, Values};
use super::samples::{DayRequest, DaySamples, Samples};
use super::spool::{RECORDS_AT_A_TIME, Spooled};
use super::windows::{Cut, Cutter};
use crate::config::Plan;
use crate::error::{Error, Invariant, Result};
use crate::event::{Action, ItemId, TimeSpan};
use crate::fsio::{SpillFile, SpillFolder};
use crate::pack::Packed;

/// What histories are made of.
pub struct Input<'a, I: ItemId> {
    /// The samples of all days, by bucket.
    pub samples: Samples<'a, I>,
    /// The actions of their customers, by bucket.
    pub actions: Spooled<'a, Action<I>>,
    /// The customers.
    pub customers: &'a Customers,
    /// The days, K and the look-back.
    pub plan: &'a Plan,
    /// Where pieces go that memory has no room for.
    pub folder: &'a SpillFolder,
}

/// A bucket's pieces, one for each day, and the bytes of the budget that they have taken.
pub(super) struct Built<I> {
    pub(super) pieces: Vec<Stored<I>>,
    pub(super) taken: u64,
}

/// What the values of a bucket may take while they are made.
struct Growth<'a> {
    budget: &'a Budget,
    /// So many bytes of values there is memory for.
    held: u64,
    /// What of the budget is taken for them beside the bucket's share.
    more: u64,
}

impl Growth<'_> {
    /// Keeps of what is taken as many bytes as are needed in the end, or takes what is missing, if there is as much.
    fn become_bytes(&mut self, bytes: u64) -> bool {
        let missing = bytes.saturating_sub(self.more);
        if missing > 0 && !self.budget.take(missing) {
            return false;
        }
        self.more = (self.more + missing) - bytes;
        true
    }
}

impl Drop for Growth<'_> {
    fn drop(&mut self) {
        self.budget.give_back(self.more);
    }
}

/// The values that some days share, and what each day's requests see of them.
type Cuts<I> = (Values<I>, Vec<Vec<Cut>>);

/// Builds buckets.
pub(super) struct Builder<'a, I: ItemId> {
    input: &'a Input<'a, I>,
    budget: &'a Budget,
    /// What is taken for the buckets that are worked off right now.
    working: AtomicU64,
    file: Mutex<Option<Arc<SpillFile>>>,
}

impl<'a, I: ItemId> Builder<'a, I> {
    pub(super) fn new(input: &'a Input<'a, I>, budget: &'a Budget) -> Self {
        Self { input, budget, working: AtomicU64::new(0), file: Mutex::new(None) }
    }

    /// The buckets from `first` on that can be worked off together, and the bytes taken for each.
    pub(super) fn together(&self, first: u32) -> Result<Vec<(u32, u64)>> {
        let mut together = Vec::new();
        for bucket in first..self.input.customers.buckets() {
            let bytes = self.working_bytes(bucket);
            if !self.budget.take(bytes) {
                break;
            }
            together.push((bucket, bytes));
        }
        if together.is_empty() {
            // Not even one fits: it gets what is left, and is pruned as it is read.
            let bytes = self.budget.left().max(LEAST_WORKING_BYTES);
            self.budget.need(bytes)?;
            together.push((first, bytes));
        }
        self.working.store(together.iter().map(|(_, bytes)| bytes).sum(), Ordering::Relaxed);
        Ok(together)
    }

    /// What working on a bucket takes: records as they were read and as they are grouped, values and pieces.
    fn working_bytes(&self, bucket: u32) -> u64 {
        (self.input.actions.len(bucket) * self.action_bytes() * COPIES) as u64 + self.sample_bytes(bucket)
    }

    fn sample_bytes(&self, bucket: u32) -> u64 {
        self.input.samples.bytes_to_read(bucket) * COPIES as u64
    }

    /// The bytes of an action and its features, and of which row those are.
    fn action_bytes(&self) -> usize {
        let row = if self.input.actions.width() > 0 { size_of::<u32>() } else { 0 };
        self.input.actions.bytes_each() + row
    }

    /// Builds a bucket's pieces in `room` bytes.
    ///
    /// Where actions arrived late, days have values of their own, and those of many days may not fit. Then they are made for fewer
    /// days at a time, in the end for one, whose values are no more than the actions.
    pub(super) fn bucket(&self, bucket: u32, room: u64) -> Result<Built<I>> {
        if self.input.actions.width() == 0 {
            self.bucket_of::<()>(bucket, room)
        } else {
            self.bucket_of::<u32>(bucket, room)
        }
    }

    fn bucket_of<R: Row>(&self, bucket: u32, room: u64) -> Result<Built<I>> {
        let customers = self.input.customers.of_bucket(bucket);
        let days = self.input.samples.of_bucket(bucket, self.input.customers, self.input.plan)?;
        let spans: Vec<_> = days.iter().map(DaySamples::span).collect();
        let grouped = self.actions::<R>(bucket, &customers, room, &spans)?;
        let share = room.saturating_sub(self.sample_bytes(bucket)) / COPIES as u64;
        let mut built = Built { pieces: Vec::with_capacity(days.len()), taken: 0 };
        let mut together = vec![days.len()];
        let mut days = days.into_iter();
        while let Some(count) = together.pop() {
            let first = built.pieces.len();
            let mut growth = Growth { budget: self.budget, held: share / GROWING, more: 0 };
            let of_days = days.as_slice().get(..count).invariant("days that are left are cut")?;
            match self.cut(&customers, &grouped, first, of_days, &mut growth)? {
                Some((values, windows)) => {
                    let pieces = self.pieces(days.by_ref().take(count), values, windows);
                    let stored = self.store(pieces, growth)?;
                    built.pieces.extend(stored.pieces);
                    built.taken += stored.taken;
                }
                None => together.extend([count - count / 2, count / 2]),
            }
        }
        Ok(built)
    }

    /// The values of some days, of which the first has the place `first` in the plan, and what their requests see; none where several
    /// days have more values than may be.
    fn cut<R: Row>(
        &self,
        customers: &Range<u32>,
        grouped: &Grouped<I, R>,
        first: usize,
        days: &[DaySamples<I>],
        growth: &mut Growth<'_>,
    ) -> Result<Option<Cuts<I>>> {
        let mut cuts: Vec<Vec<Cut>> = days.iter().map(|day| Vec::with_capacity(day.requests.len())).collect();
        let mut cutter = Cutter::new(self.input.plan, &grouped.features);
        for (place, customer) in customers.clone().enumerate() {
            // A day's cuts are as many as its requests so far, so their number tells which are next.
            let next = |day: usize| -> Option<(usize, &[DayRequest])> {
                let rest = days.get(day)?.requests.get(cuts.get(day)?.len()..)?;
                let count = rest.iter().take_while(|request| request.place == customer).count();
                (count > 0).then(|| (first + day, &rest[..count]))
            };
            let concerned: Vec<(usize, &[DayRequest])> = (0..days.len()).rev().filter_map(next).collect();
            let fits = cutter.customer(grouped.of(place), concerned.into_iter(), |day, of_day, bytes| {
                cuts[day - first].extend_from_slice(of_day);
                days.len() == 1 || bytes <= growth.held || self.grow(bytes, growth)
            })?;
            if !fits {
                return Ok(None);
            }
        }
        if days.iter().zip(&cuts).any(|(day, cuts)| day.requests.len() != cuts.len()) {
            return Err(Error::internal("every request of a day has a window"));
        }
        Ok(Some((cutter.into_values(), cuts)))
    }

    fn pieces(
        &self,
        days: impl Iterator<Item = DaySamples<I>>,
        values: Values<I>,
        cuts: Vec<Vec<Cut>>,
    ) -> Vec<Piece<I>> {
        let values = Arc::new(values);
        let pieces = days.zip(cuts).map(|(day, cuts)| {
            let requests = day.requests.iter().zip(cuts).map(|(request, cut)| Request {
                customer: self.input.customers.id(request.place),
                time: request.time,
                id: request.id,
                start: cut.window.start,
                newest: cut.window.newest,
                // At most K.
                length: cut.window.length as u32,
                end: request.end,
                at_cutoff: cut.at_cutoff,
                hidden_late: cut.hidden_late,
            });
            Piece { requests: requests.collect(), items: day.items, columns: day.columns, values: Arc::clone(&values) }
        });
        pieces.collect()
    }

    /// Keeps pieces, which share their values, in memory as long as enough is left to work on the buckets to come, else spills them.
    fn store(&self, pieces: Vec<Piece<I>>, mut growth: Growth<'_>) -> Result<Built<I>> {
        let values_bytes = pieces.first().map_or(0, |piece| piece.values.bytes());
        let bytes = values_bytes + pieces.iter().map(Piece::own_bytes).sum::<u64>();
        if self.leaves_enough(bytes.saturating_sub(growth.more)) && growth.become_bytes(bytes) {
            let pieces = pieces.into_iter().map(|piece| Stored::Memory(Arc::new(piece))).collect();
            return Ok(Built { pieces, taken: bytes });
        }
        let file = self.spill_file()?;
        let pieces = pieces.iter().map(|piece| SpilledPiece::write(piece, &file).map(Stored::Disk));
        Ok(Built { pieces: pieces.collect::<Result<_>>()?, taken: 0 })
    }

    /// Makes room for values that have grown to `bytes`, and for about as many more, if there is as much.
    fn grow(&self, bytes: u64, growth: &mut Growth<'_>) -> bool {
        let more = (bytes - growth.held).max(growth.held);
        if !self.leaves_enough(GROWING * more) || !self.budget.take(GROWING * more) {
            return false;
        }
        growth.held += more;
        growth.more += GROWING * more;
        true
    }

    /// Whether enough is left to work on the buckets to come when `bytes` are taken.
    fn leaves_enough(&self, bytes: u64) -> bool {
        let left_to_work = (self.budget.left() + self.working.load(Ordering::Relaxed)).saturating_sub(bytes);
        let limit = self.budget.limit();
        left_to_work >= (limit / 8).max(LEAST_WORKING_BYTES).max(self.bytes_to_write().min(limit / 4 * 3))
    }

    /// What rows that are written at a time may take: most where K is large.
    fn bytes_to_write(&self) -> u64 {
        let values = (ROWS_AT_A_TIME * self.input.plan.options().history).min(VALUES_AT_A_TIME);
        let contents = self.input.plan.contents();
        let times = contents.times.map_or(0, |_| size_of::<i64>());
        (values * (size_of::<I>() + 1 + times + contents.feature_packing().width()) * COPIES) as u64
    }

    fn spill_file(&self) -> Result<Arc<SpillFile>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let new = Arc::new(self.input.folder.file()?);
        *file = Some(Arc::clone(&new));
        Ok(new)
    }

    /// The bucket's actions by customer; pruned as they come where `room` is too small for all of them.
    fn actions<R: Row>(
        &self,
        bucket: u32,
        customers: &Range<u32>,
        room: u64,
        spans: &[Option<TimeSpan>],
    ) -> Result<Grouped<I, R>> {
        let asked = Asked { plan: self.input.plan, spans };
        let (actions, width) = (&self.input.actions, self.input.actions.width());
        let ids = self.input.customers.ids(customers.clone());
        let grouped = |pieces: &[Packed<'_, Action<I>>]| Grouped::<I, R>::new(pieces, customers.start, ids, asked);
        if !actions.is_spilled() {
            let pieces: Vec<Packed<'_, Action<I>>> = actions.memory(bucket).collect();
            return grouped(&pieces);
        }
        let room = room.saturating_sub(self.sample_bytes(bucket)) as usize;
        let most = (room / self.action_bytes() / COPIES).max(2 * RECORDS_AT_A_TIME);
        let capacity = actions.len(bucket).min(most);
        let mut kept: Vec<Action<I>> = Vec::with_capacity(capacity);
        let mut rows: Vec<u8> = Vec::with_capacity(capacity * width);
        actions.visit(bucket, |piece| {
            if kept.len() + piece.len() > most {
                (kept, rows) = grouped(&[Packed::new(&kept, &rows, width)?])?.pruned(asked);
            }
            if kept.len() + piece.len() > most {
                return Err(self.budget.too_little((kept.len() * self.action_bytes() * COPIES) as u64));
            }
            kept.extend_from_slice(piece.records());
            rows.extend_from_slice(piece.rows());
            Ok(())
        })?;
        grouped(&[Packed::new(&kept, &rows, width)?])
    }
}

/// Values that grow may take so many times their bytes.
const GROWING: u64 = 2;
/// How often records are held while a bucket is worked on: as read, as grouped, and what becomes of them.
const COPIES: usize = 3;
/// About as many rows are written at a time, unless their histories have more values than `VALUES_AT_A_TIME`.
const ROWS_AT_A_TIME: usize = 1 << 13;
const VALUES_AT_A_TIME: usize = 1 << 23;
/// Enough to prune a bucket in.
const LEAST_WORKING_BYTES: u64 = 32 << 20;
