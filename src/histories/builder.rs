//! One bucket: its samples by day, its actions by customer, and the pieces that come of them.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::Stored;
use super::budget::Budget;
use super::customers::Customers;
use super::group::Grouped;
use super::piece::{CustomerRows, Piece, SpilledPiece, Window};
use super::spool::Spooled;
use super::windows::Cutter;
use crate::config::Plan;
use crate::error::Result;
use crate::event::{Action, ItemId, Sample};
use crate::fsio::{SpillFile, SpillFolder};

/// What histories are made of.
pub struct Input<'a, I> {
    /// The samples of all days, by bucket.
    pub samples: Spooled<'a, Sample<I>>,
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

/// Builds buckets.
pub(super) struct Builder<'a, I> {
    input: &'a Input<'a, I>,
    budget: &'a Budget,
    file: Mutex<Option<Arc<SpillFile>>>,
}

/// A bucket's samples of one day.
struct DaySamples<I> {
    /// The places of the customers that have any, ascending, each with where its samples end.
    customers: Vec<(u32, usize)>,
    items: Vec<I>,
    labels: Vec<u8>,
    /// The windows of `customers`.
    windows: Vec<Window>,
}

impl<'a, I: ItemId> Builder<'a, I> {
    pub(super) fn new(input: &'a Input<'a, I>, budget: &'a Budget) -> Self {
        Self { input, budget, file: Mutex::new(None) }
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
        Ok(together)
    }

    /// What working on a bucket takes: records as they were read and as they are grouped, values and pieces.
    fn working_bytes(&self, bucket: u32) -> u64 {
        (self.input.actions.len(bucket) * size_of::<Action<I>>() * COPIES) as u64 + self.sample_bytes(bucket)
    }

    fn sample_bytes(&self, bucket: u32) -> u64 {
        (self.input.samples.len(bucket) * size_of::<Sample<I>>() * COPIES) as u64
    }

    /// Builds a bucket's pieces in `room` bytes.
    pub(super) fn bucket(&self, bucket: u32, room: u64) -> Result<Built<I>> {
        let customers = self.input.customers.of_bucket(bucket);
        let mut days = self.samples(bucket)?;
        let grouped = self.actions(bucket, &customers, room)?;
        let mut cutter = Cutter::new(self.input.plan);
        let mut next = vec![0usize; days.len()];
        for (place, customer) in customers.enumerate() {
            let concerned = |day: &usize| days[*day].customers.get(next[*day]).is_some_and(|&(at, _)| at == customer);
            let of_customer: Vec<usize> = (0..days.len()).rev().filter(concerned).collect();
            cutter.customer(grouped.of(place), of_customer.into_iter(), |day, window| {
                days[day].windows.push(window);
                next[day] += 1;
            });
        }
        drop(grouped);
        let mut values = cutter.values;
        values.items.shrink_to_fit();
        values.types.shrink_to_fit();
        let values = Arc::new(values);
        let pieces: Vec<Piece<I>> = days
            .into_iter()
            .map(|day| {
                let customers = day.customers.iter().zip(day.windows).map(|(&(place, end), window)| CustomerRows {
                    customer: self.input.customers.id(place),
                    end: end as u64,
                    window,
                });
                Piece {
                    customers: customers.collect(),
                    items: day.items,
                    labels: day.labels,
                    values: Arc::clone(&values),
                }
            })
            .collect();
        self.store(pieces, values.bytes())
    }

    /// Keeps pieces in memory where the budget has room, else spills them.
    fn store(&self, pieces: Vec<Piece<I>>, values_bytes: u64) -> Result<Built<I>> {
        let bytes = values_bytes + pieces.iter().map(Piece::own_bytes).sum::<u64>();
        if self.budget.take(bytes) {
            let pieces = pieces.into_iter().map(|piece| Stored::Memory(Arc::new(piece))).collect();
            return Ok(Built { pieces, taken: bytes });
        }
        let file = self.spill_file()?;
        let pieces = pieces.iter().map(|piece| SpilledPiece::write(piece, &file).map(Stored::Disk));
        Ok(Built { pieces: pieces.collect::<Result<_>>()?, taken: 0 })
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

    /// The bucket's samples by day, each day's in canonical order.
    fn samples(&self, bucket: u32) -> Result<Vec<DaySamples<I>>> {
        let mut samples: Vec<(u32, u32, I, bool)> = Vec::with_capacity(self.input.samples.len(bucket));
        self.input.samples.visit(bucket, RECORDS_AT_A_TIME, |piece| {
            samples.extend(piece.iter().filter_map(|sample| {
                let place = self.input.customers.place(sample.customer())?;
                Some((sample.day(), place, sample.item(), sample.is_order()))
            }));
            Ok(())
        })?;
        samples.sort_unstable();
        let mut rest = samples.as_slice();
        let days = 0..self.input.plan.days().len() as u32;
        Ok(days
            .map(|day| {
                let (of_day, others) = rest.split_at(rest.partition_point(|sample| sample.0 == day));
                rest = others;
                let mut customers = Vec::new();
                let mut end = 0;
                for of_one in of_day.chunk_by(|a, b| a.1 == b.1) {
                    end += of_one.len();
                    customers.extend(of_one.first().map(|sample| (sample.1, end)));
                }
                DaySamples {
                    windows: Vec::with_capacity(customers.len()),
                    customers,
                    items: of_day.iter().map(|sample| sample.2).collect(),
                    labels: of_day.iter().map(|sample| u8::from(sample.3)).collect(),
                }
            })
            .collect())
    }

    /// The bucket's actions by customer; pruned as they come where `room` is too small for all of them.
    fn actions(&self, bucket: u32, customers: &Range<u32>, room: u64) -> Result<Grouped<I>> {
        let actions = &self.input.actions;
        if !actions.is_spilled() {
            let pieces: Vec<&[Action<I>]> = actions.memory(bucket).collect();
            return Ok(Grouped::new(&pieces, customers));
        }
        let room = room.saturating_sub(self.sample_bytes(bucket)) as usize;
        let most = (room / size_of::<Action<I>>() / COPIES).max(2 * RECORDS_AT_A_TIME);
        let mut kept: Vec<Action<I>> = Vec::with_capacity(actions.len(bucket).min(most));
        actions.visit(bucket, RECORDS_AT_A_TIME, |piece| {
            if kept.len() + piece.len() > most {
                kept = Grouped::new(&[std::mem::take(&mut kept)], customers).pruned(self.input.plan);
            }
            if kept.len() + piece.len() > most {
                return Err(self.budget.too_little((kept.len() * size_of::<Action<I>>() * COPIES) as u64));
            }
            kept.extend_from_slice(&piece);
            Ok(())
        })?;
        Ok(Grouped::new(&[kept], customers))
    }
}

/// How often records are held while a bucket is worked on: as read, as grouped, and what becomes of them.
const COPIES: usize = 3;
/// Records that are read back at a time.
const RECORDS_AT_A_TIME: usize = 1 << 18;
/// Enough to prune a bucket in.
const LEAST_WORKING_BYTES: u64 = 32 << 20;
