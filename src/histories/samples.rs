//! The samples of a run by bucket and day, each day's in canonical order.

use std::sync::{Mutex, PoisonError};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::budget::Budget;
use super::customers::Customers;
use super::spool::Spooled;
use crate::config::Plan;
use crate::error::{Invariant, Result};
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

/// Counts the samples of each customer on each day, places each sample among its own, and sorts those few.
fn pack<I: ItemId>(
    spooled: &Spooled<'_, Sample<I>>,
    bucket: u32,
    customers: &Customers,
    plan: &Plan,
) -> Result<Vec<DaySamples<I>>> {
    let places = customers.of_bucket(bucket);
    let mut samples: Vec<(usize, (I, bool))> = Vec::with_capacity(spooled.len(bucket));
    let mut ends = vec![0usize; plan.days().len() * places.len()];
    spooled.visit(bucket, |piece| {
        // Items come in lists, so that neighbours often are of one customer.
        for list in piece.chunk_by(|a, b| a.customer() == b.customer()) {
            let place = list.first().and_then(|sample| customers.place(sample.customer()));
            let place =
                place.filter(|place| places.contains(place)).invariant("a sample's customer is in its bucket")?;
            for sample in list {
                let group = sample.day() as usize * places.len() + (place - places.start) as usize;
                *ends.get_mut(group).invariant("a sample's day is in the plan")? += 1;
                samples.push((group, (sample.item(), sample.is_order())));
            }
        }
        Ok(())
    })?;
    let mut total = 0;
    for end in &mut ends {
        total += std::mem::replace(end, total);
    }
    // `ends` holds the starts now, and each start moves to its end as its samples come.
    let mut grouped = vec![(I::zeroed(), false); total];
    for (group, sample) in samples {
        grouped[ends[group]] = sample;
        ends[group] += 1;
    }
    let mut start = 0;
    let days = (0..plan.days().len()).map(|day| {
        let day_start = start;
        let mut customers = Vec::new();
        for (place, &end) in places.clone().zip(&ends[day * places.len()..]) {
            if start < end {
                grouped[start..end].sort_unstable();
                customers.push((place, end - day_start));
            }
            start = end;
        }
        customers.shrink_to_fit();
        let of_day = &grouped[day_start..start];
        let items = of_day.iter().map(|sample| sample.0).collect();
        DaySamples { customers, items, labels: of_day.iter().map(|sample| u8::from(sample.1)).collect() }
    });
    Ok(days.collect())
}
