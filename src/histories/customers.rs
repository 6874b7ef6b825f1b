//! The customers that the requested days concern, numbered in the order of their hash.

use std::ops::Range;

use hashbrown::HashTable;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::budget::Budget;
use super::spool::Spooled;
use crate::error::{Error, Result};
use crate::event::{ItemId, Sample, customer_hash, shard_of};

/// The bucket of a customer: buckets, like shards, are contiguous ranges of the hash.
#[must_use]
pub fn bucket_of(customer: i64, buckets: u32) -> u32 {
    shard_of(customer_hash(customer), buckets)
}

/// The customers of a run, each with its place in the order of [`customer_hash`].
#[derive(Debug)]
pub struct Customers {
    ids: Vec<i64>,
    places: HashTable<u32>,
    /// For each bucket the places of its customers.
    buckets: Vec<Range<u32>>,
    /// For each place its bucket.
    bucket_of_place: Vec<u16>,
}

/// What a customer takes: its id, its bucket, and a slot of a table that is between half and fully used.
const BYTES_PER_CUSTOMER: u64 = 8 + 2 + 10;

impl Customers {
    /// The customers of spooled samples.
    ///
    /// # Errors
    /// [`Error::Memory`] when they do not fit, [`Error::TooMany`] beyond 32 bits, and what the spill disk says.
    pub fn new<I: ItemId>(samples: &Spooled<'_, Sample<I>>, buckets: u32, budget: &Budget) -> Result<Self> {
        let by_bucket = (0..buckets)
            .into_par_iter()
            .map(|bucket| {
                let mut customers = Vec::new();
                samples.visit(bucket, SAMPLES_AT_A_TIME, |samples| {
                    customers.extend(samples.iter().map(Sample::customer));
                    customers.sort_unstable_by_key(|&customer| customer_hash(customer));
                    customers.dedup();
                    Ok(())
                })?;
                Ok(customers)
            })
            .collect::<Result<Vec<Vec<i64>>>>()?;
        let (count, limit) = (by_bucket.iter().map(|customers| customers.len() as u64).sum(), u64::from(u32::MAX));
        if count > limit {
            return Err(Error::TooMany { what: "customers with impressions", count, limit });
        }
        budget.need(count * BYTES_PER_CUSTOMER)?;
        let mut customers = Self {
            ids: Vec::with_capacity(count as usize),
            places: HashTable::with_capacity(count as usize),
            buckets: Vec::with_capacity(buckets as usize),
            bucket_of_place: Vec::with_capacity(count as usize),
        };
        for (bucket, ids) in (0u16..).zip(by_bucket) {
            let start = customers.ids.len() as u32;
            for id in ids {
                let place = customers.ids.len() as u32;
                customers.ids.push(id);
                customers.bucket_of_place.push(bucket);
                let ids = &customers.ids;
                customers.places.insert_unique(customer_hash(id), place, |&place| customer_hash(ids[place as usize]));
            }
            customers.buckets.push(start..customers.ids.len() as u32);
        }
        Ok(customers)
    }

    /// The place of a customer, or `None` where no requested day concerns it.
    #[must_use]
    pub fn place(&self, customer: i64) -> Option<u32> {
        self.places.find(customer_hash(customer), |&place| self.ids[place as usize] == customer).copied()
    }

    /// The customer at a place.
    pub(super) fn id(&self, place: u32) -> i64 {
        self.ids[place as usize]
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

const SAMPLES_AT_A_TIME: usize = 1 << 18;
