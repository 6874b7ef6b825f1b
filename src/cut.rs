//! Samples to windows: which rows a shard has, and where each row's history begins and how long it is.
//!
//! Knows integers only: no values, no files.

use std::ops::Range;

use crate::event::{Sample, customer_hash, shard_of};
use crate::histories::{Histories, Values, Window};
use crate::unify::DaySamples;

/// The rows of one shard, as views into the day's samples and the run's histories.
#[derive(Clone, Copy, Debug)]
pub struct ShardRows<'a, I> {
    /// Its number.
    pub shard: u32,
    /// The samples in canonical order, `[N]`.
    pub samples: &'a [Sample<I>],
    /// For each distinct customer where its samples end in `samples`, and the window they share.
    pub customers: &'a [CustomerRows],
    /// What the windows point into.
    pub buckets: &'a [Values<I>],
}

/// The rows of one customer: neighbours, with one history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomerRows {
    /// Who.
    pub customer: i64,
    /// The first row in the shard.
    pub start: usize,
    /// One past the last row in the shard.
    pub end: usize,
    /// The history at the start of the day.
    pub window: Window,
}

impl CustomerRows {
    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.end - self.start
    }
}

impl<'a, I> ShardRows<'a, I> {
    /// The items and types of a window, newest first.
    #[must_use]
    pub fn history(&self, window: &Window) -> (&'a [I], &'a [u8]) {
        let values = self.buckets.get(window.bucket as usize);
        let range = window.start as usize..window.start as usize + window.length as usize;
        values
            .and_then(|values| Some((values.items.get(range.clone())?, values.types.get(range)?)))
            .unwrap_or((&[], &[]))
    }

    /// For each customer with rows in a range the window, and how many rows of the range share it.
    pub fn histories(&self, rows: Range<usize>) -> impl Iterator<Item = (Window, usize)> + use<'a, I> {
        let customers = self.customers;
        let first = customers.partition_point(|customer| customer.end <= rows.start);
        customers[first..]
            .iter()
            .take_while(move |customer| customer.start < rows.end)
            .map(move |customer| (customer.window, customer.end.min(rows.end) - customer.start.max(rows.start)))
    }

    /// For each row of a range its window.
    pub fn windows(&self, rows: Range<usize>) -> impl Iterator<Item = Window> + use<'a, I> {
        self.histories(rows).flat_map(|(window, count)| std::iter::repeat_n(window, count))
    }
}

/// A day's customers in canonical order, each with its rows, cut into shards.
#[derive(Debug)]
pub struct DayCut {
    customers: Vec<CustomerRows>,
    /// For each shard its customers and its samples.
    shards: Vec<(Range<usize>, Range<usize>)>,
}

impl DayCut {
    /// Cuts a day into `shards` ranges of the customer hash; `windows` has one entry for each customer of the day.
    #[must_use]
    pub fn new<I>(day: &DaySamples<I>, windows: &[Window], shards: u32) -> Self {
        let mut cut = Self { customers: Vec::with_capacity(windows.len()), shards: Vec::new() };
        let mut customers_start = 0;
        let mut samples_start = 0;
        for shard in 0..shards {
            let (mut customers_end, mut samples_end) = (customers_start, samples_start);
            while let Some(window) = windows.get(customers_end) {
                let rows = day.samples_of(customers_end);
                let Some(sample) = day.samples.get(rows.start) else { break };
                if shard_of(customer_hash(sample.customer), shards) != shard {
                    break;
                }
                cut.customers.push(CustomerRows {
                    customer: sample.customer,
                    start: rows.start - samples_start,
                    end: rows.end - samples_start,
                    window: *window,
                });
                (customers_end, samples_end) = (customers_end + 1, rows.end);
            }
            cut.shards.push((customers_start..customers_end, samples_start..samples_end));
            (customers_start, samples_start) = (customers_end, samples_end);
        }
        cut
    }

    /// The shards' rows, in order.
    #[must_use]
    pub fn shards<'a, I>(&'a self, day: &'a DaySamples<I>, histories: &'a Histories<I>) -> Vec<ShardRows<'a, I>> {
        (0u32..)
            .zip(&self.shards)
            .map(|(shard, (customers, samples))| ShardRows {
                shard,
                samples: &day.samples[samples.clone()],
                customers: &self.customers[customers.clone()],
                buckets: &histories.buckets,
            })
            .collect()
    }
}
