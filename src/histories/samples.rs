//! The samples of a run by bucket and day, each day's in canonical order.

use std::sync::{Mutex, PoisonError};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::budget::Budget;
use super::customers::Customers;
use super::spool::{RECORDS_AT_A_TIME, Spooled};
use crate::config::Plan;
use crate::error::Result;
use crate::event::{ItemId, Sample};

/// The samples of all buckets.
pub enum Samples<'a, I> {
    /// Packed by day, a quarter of what they are as records; taken out as buckets are built.
    Packed(&'a Budget, Vec<Mutex<Vec<DaySamples<I>>>>),
    /// On disk as records, packed as buckets are built.
    Spilled(Spooled<'a, Sample<I>>),
}

/// A bucket's samples of one day.
#[derive(Debug)]
pub struct DaySamples<I> {
    /// The places of the customers that have any, ascending, each with where its samples end.
    pub(super) customers: Vec<(u32, usize)>,
    pub(super) items: Vec<I>,
    pub(super) labels: Vec<u8>,
}

impl<'a, I: ItemId> Samples<'a, I> {
    /// Packs spooled samples, unless they were spilled.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::error::Error::Memory) when they do not fit beside the records, and what the spill disk says.
    pub fn new(
        spooled: Spooled<'a, Sample<I>>,
        customers: &Customers,
        plan: &Plan,
        budget: &'a Budget,
    ) -> Result<Self> {
        if spooled.is_spilled() {
            return Ok(Self::Spilled(spooled));
        }
        let pack_bucket = |bucket| {
            let packed = pack(&spooled, bucket, customers, plan)?;
            budget.need(bytes(&packed))?;
            Ok(Mutex::new(packed))
        };
        let buckets = (0..customers.buckets()).into_par_iter().map(pack_bucket).collect::<Result<_>>()?;
        Ok(Self::Packed(budget, buckets))
    }

    /// A bucket's samples of each day of the plan; to be asked for once.
    pub(super) fn of_bucket(&self, bucket: u32, customers: &Customers, plan: &Plan) -> Result<Vec<DaySamples<I>>> {
        match self {
            Self::Packed(budget, buckets) => {
                let mut packed = buckets[bucket as usize].lock().unwrap_or_else(PoisonError::into_inner);
                // What becomes of them is counted anew.
                budget.give_back(bytes(&packed));
                Ok(std::mem::take(&mut *packed))
            }
            Self::Spilled(spooled) => pack(spooled, bucket, customers, plan),
        }
    }

    /// The bytes of the records that have to be read for a bucket.
    pub(super) fn bytes_to_read(&self, bucket: u32) -> u64 {
        match self {
            Self::Packed(..) => 0,
            Self::Spilled(spooled) => (spooled.len(bucket) * size_of::<Sample<I>>()) as u64,
        }
    }
}

fn bytes<I>(days: &[DaySamples<I>]) -> u64 {
    let of_day =
        |day: &DaySamples<I>| day.customers.len() * size_of::<(u32, usize)>() + day.items.len() * (size_of::<I>() + 1);
    days.iter().map(|day| of_day(day) as u64).sum()
}

fn pack<I: ItemId>(
    spooled: &Spooled<'_, Sample<I>>,
    bucket: u32,
    customers: &Customers,
    plan: &Plan,
) -> Result<Vec<DaySamples<I>>> {
    let mut samples: Vec<(u32, u32, I, bool)> = Vec::with_capacity(spooled.len(bucket));
    spooled.visit(bucket, RECORDS_AT_A_TIME, |piece| {
        samples.extend(piece.iter().filter_map(|sample| {
            let place = customers.place(sample.customer())?;
            Some((sample.day(), place, sample.item(), sample.is_order()))
        }));
        Ok(())
    })?;
    samples.sort_unstable();
    let mut rest = samples.as_slice();
    let days = 0..plan.days().len() as u32;
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
            customers.shrink_to_fit();
            let items = of_day.iter().map(|sample| sample.2).collect();
            DaySamples { customers, items, labels: of_day.iter().map(|sample| u8::from(sample.3)).collect() }
        })
        .collect())
}
