//! The customers that the requested days concern, numbered in the order of their hash.

use std::ops::Range;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::budget::Budget;
use super::spool::Spooled;
use crate::error::{Error, Result};
use crate::event::{HashRange, ItemId, Sample};

/// The customers of a run, each with its place in the order of [`customer_hash`](crate::event::customer_hash).
///
/// The hash is uniform and the order is its order, so its upper bits tell where in the order a customer must be:
///
/// ```text
/// slots  0 0 1 3 3 4      the place of the first customer whose hash has at least these upper bits
/// ids    a b c d          one step from a slot leads to the customer, or to the certainty that there is none
/// ```
#[derive(Debug)]
pub struct Customers {
    range: HashRange,
    /// By hash; some zeros follow the last.
    ids: Vec<i64>,
    slots: Vec<u32>,
    /// The hash's bits below those that name a slot.
    shift: u32,
    /// For each bucket the places of its customers.
    buckets: Vec<Range<u32>>,
    /// For each place its bucket.
    bucket_of_place: Vec<u16>,
}

/// Customers behind a slot that are compared at once, whether or not they belong to the slot; few slots have more.
const AT_ONCE: usize = 4;
/// Rows that are looked up side by side.
const SIDE_BY_SIDE: usize = 64;
/// Customers that are collected before they are sorted for the first time.
const LEAST_SORTED: usize = 1 << 12;
/// What a customer takes: its id, its bucket, and up to two slots.
const BYTES_PER_CUSTOMER: u64 = 8 + 2 + 8;

/// Puts customers into the order of their hash, each once.
fn sort_and_dedup(customers: &mut Vec<i64>, range: HashRange) {
    customers.sort_unstable_by_key(|&customer| range.spread(customer));
    customers.dedup();
}

impl Customers {
    /// The customers of spooled samples, all of them in a range of the hash that is cut into `buckets`.
    ///
    /// # Errors
    /// [`Error::Memory`] when they do not fit, [`Error::TooMany`] beyond 32 bits, and what the spill disk says.
    pub fn new<I: ItemId>(
        samples: &Spooled<'_, Sample<I>>,
        range: HashRange,
        buckets: u32,
        budget: &Budget,
    ) -> Result<Self> {
        let by_bucket = (0..buckets)
            .into_par_iter()
            .map(|bucket| {
                let (mut customers, mut sort_at) = (Vec::new(), LEAST_SORTED);
                samples.visit(bucket, |samples| {
                    // A customer's samples come in lists, mostly.
                    customers.extend(
                        samples
                            .records()
                            .chunk_by(|a, b| a.customer() == b.customer())
                            .map(|of_one| of_one[0].customer()),
                    );
                    // Only when there are twice as many as were left the last time, so that all of it takes time in n log n.
                    if customers.len() >= sort_at {
                        sort_and_dedup(&mut customers, range);
                        sort_at = (2 * customers.len()).max(LEAST_SORTED);
                    }
                    Ok(())
                })?;
                sort_and_dedup(&mut customers, range);
                Ok(customers)
            })
            .collect::<Result<Vec<Vec<i64>>>>()?;
        let (count, limit) = (by_bucket.iter().map(|customers| customers.len() as u64).sum(), u64::from(u32::MAX));
        if count > limit {
            return Err(Error::TooMany { what: "customers with impressions", count, limit });
        }
        budget.need(count * BYTES_PER_CUSTOMER)?;
        let mut ids = Vec::with_capacity(count as usize);
        let mut ranges = Vec::with_capacity(buckets as usize);
        let mut bucket_of_place = Vec::with_capacity(count as usize);
        for (bucket, of_bucket) in (0u16..).zip(by_bucket) {
            let start = ids.len() as u32;
            bucket_of_place.resize(ids.len() + of_bucket.len(), bucket);
            ids.extend(of_bucket);
            ranges.push(start..ids.len() as u32);
        }
        let bits = ids.len().next_power_of_two().ilog2().max(1);
        let shift = u64::BITS - bits;
        let mut slots = vec![0u32; (1 << bits) + 1];
        for &id in &ids {
            slots[(range.spread(id) >> shift) as usize + 1] += 1;
        }
        let mut start = 0;
        for slot in &mut slots {
            start += *slot;
            *slot = start;
        }
        // The last slots can be read as far as any.
        ids.resize(ids.len() + AT_ONCE, 0);
        Ok(Self { range, ids, slots, shift, buckets: ranges, bucket_of_place })
    }

    /// The place of a customer, or `None` where no requested day concerns it.
    #[must_use]
    pub fn place(&self, customer: i64) -> Option<u32> {
        self.place_behind(self.slot(customer), customer)
    }

    /// Picks the rows whose customers have a place, each with it: `rows` is emptied, and filled with (row, place).
    ///
    /// Whether a customer has a place, and how far from its slot, is as good as random, and so is where in memory. So no
    /// branch depends on it, and some rows are looked up side by side, for their waits to overlap.
    pub fn pick(&self, customers: &[i64], rows: &mut Vec<(u32, u32)>) {
        rows.clear();
        rows.resize(customers.len(), (0, 0));
        let mut count = 0;
        let mut slots = [(0, 0); SIDE_BY_SIDE];
        for (block, customers) in (0..).step_by(SIDE_BY_SIDE).zip(customers.chunks(SIDE_BY_SIDE)) {
            for (slot, &customer) in slots.iter_mut().zip(customers) {
                *slot = self.slot(customer);
            }
            for ((row, &customer), &slot) in (block..).zip(customers).zip(&slots) {
                let place = self.place_behind(slot, customer);
                rows[count] = (row, place.unwrap_or_default());
                count += usize::from(place.is_some());
            }
        }
        rows.truncate(count);
    }

    /// The places that lie behind a customer's slot, first and end.
    #[inline]
    fn slot(&self, customer: i64) -> (u32, u32) {
        let slot = (self.range.spread(customer) >> self.shift) as usize;
        (self.slots[slot], self.slots[slot + 1])
    }

    #[inline]
    fn place_behind(&self, (start, end): (u32, u32), customer: i64) -> Option<u32> {
        let &[a, b, c, d] = self.ids[start as usize..].first_chunk::<AT_ONCE>()?;
        let mut place = end;
        for (next, id) in [(3, d), (2, c), (1, b), (0, a)] {
            place = if id == customer { start + next } else { place };
        }
        if place >= end && end - start > AT_ONCE as u32 {
            return (start..end).find(|&place| self.ids[place as usize] == customer);
        }
        (place < end).then_some(place)
    }

    /// The customer at a place.
    pub(super) fn id(&self, place: u32) -> i64 {
        self.ids[place as usize]
    }

    /// The customers at some places.
    pub(super) fn ids(&self, places: Range<u32>) -> &[i64] {
        &self.ids[places.start as usize..places.end as usize]
    }

    /// The number of buckets.
    pub(super) fn buckets(&self) -> u32 {
        self.buckets.len() as u32
    }

    /// The places of a bucket's customers.
    pub(super) fn of_bucket(&self, bucket: u32) -> Range<u32> {
        self.buckets[bucket as usize].clone()
    }

    /// The bucket of the customer at a place.
    #[must_use]
    pub fn bucket(&self, place: u32) -> u32 {
        u32::from(self.bucket_of_place[place as usize])
    }
}
