//! Figures and hashes of a day's content, whatever the format it is written in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3Default;

use super::{LabelFigures, LengthRange, Statistics, length_range_index, length_ranges};
use crate::config::Plan;
use crate::cut::ShardRows;
use crate::error::{Error, Invariant, Result};
use crate::event::{Day, ItemId, NULL_TIME};
use crate::histories::{Request, Window};
use crate::pack::Dtype;

/// The figures of a shard, to be summed up over the shards of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    samples: u64,
    /// For each label how many samples have it; 0 of those that are no bools.
    positives: Vec<u64>,
    requests: u64,
    customers: u64,
    /// The actions in the histories, by type, in the order of the types' numbers.
    actions: Vec<u64>,
    /// How many customers have a longest history of 0, 1, 2 to 3, 4 to 7, … actions; as far as there are any.
    lengths: Vec<u64>,
    /// The time of the newest action; [`NULL_TIME`] where there is none with a time.
    newest: i64,
    /// The smallest gap between the time of a request and its newest action, where requests have times.
    gap: Option<i64>,
    /// The actions exactly at the cut-offs of requests, where requests have times.
    at_cutoff: u64,
    /// The actions that requests would see if they had been known by their day, as far as they were read.
    hidden_late: u64,
    /// The hash of what the shard holds (customers, samples and histories), as [`hash_hex`](super::hash_hex) writes it.
    pub content: String,
}

impl Figures {
    /// The samples.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }
}

/// The longest history of the customer whose requests are looked at.
struct Longest {
    customer: Option<i64>,
    length: u64,
}

impl Figures {
    /// Counts a request of so many samples.
    fn count(&mut self, request: &Request, samples: usize, longest: &mut Longest) {
        if longest.customer != Some(request.customer) {
            self.end_customer(longest);
            *longest = Longest { customer: Some(request.customer), length: 0 };
            self.customers += 1;
        }
        longest.length = longest.length.max(request.length.into());
        self.requests += 1;
        self.samples += samples as u64;
        self.newest = self.newest.max(request.newest);
        self.at_cutoff += u64::from(request.at_cutoff);
        self.hidden_late += u64::from(request.hidden_late);
        if request.newest != NULL_TIME {
            let gap = request.time.saturating_sub(request.newest);
            self.gap = Some(self.gap.map_or(gap, |known| known.min(gap)));
        }
    }

    /// Counts the longest history of a customer who has no more requests.
    fn end_customer(&mut self, longest: &Longest) {
        if longest.customer.is_none() {
            return;
        }
        let range = length_range_index(longest.length);
        if self.lengths.len() <= range {
            self.lengths.resize(range + 1, 0);
        }
        self.lengths[range] += 1;
    }
}

/// How many actions that arrived late are hidden from the requests of a day whose shards have these figures, where cut-offs are times.
///
/// Of those of later days it counts what the run has read, so that it depends on which days are built together, and stands in no
/// manifest.
#[must_use]
pub fn hidden_late<'a>(plan: &Plan, shards: impl Iterator<Item = &'a Figures>) -> Option<u64> {
    plan.options().time_cutoff.map(|_| shards.map(|shard| shard.hidden_late).sum())
}

/// The statistics of a day whose shards have these figures.
///
/// # Errors
/// [`Error::Internal`] where the figures are of other types of actions than the options.
pub fn of_day(day: Day, plan: &Plan, shards: &[Figures]) -> Result<Statistics> {
    let options = plan.options();
    let sum = |figure: &dyn Fn(&Figures) -> u64| shards.iter().map(figure).sum::<u64>();
    let samples = sum(&|shard| shard.samples);
    let newest = shards.iter().map(|shard| shard.newest).max().filter(|&newest| newest != NULL_TIME);
    let gap = match options.time_cutoff {
        Some(_) => shards.iter().filter_map(|shard| shard.gap).min(),
        None => newest.map(|newest| day.midnight().saturating_sub(newest)),
    };
    let lengths = |range: usize| sum(&|shard| shard.lengths.get(range).copied().unwrap_or_default());
    let ranges = length_ranges(options.history as u64).into_iter().enumerate();
    let mut actions = BTreeMap::new();
    for (place, (_, name)) in options.schema.types.iter().enumerate() {
        let counts = shards.iter().map(|shard| shard.actions.get(place).copied());
        let count = counts.sum::<Option<u64>>().invariant("a shard counts the actions of every type")?;
        actions.insert(name.to_owned(), count);
    }
    let mut labels = BTreeMap::new();
    for (place, label) in plan.contents().labels.iter().enumerate().filter(|(_, label)| label.dtype == Dtype::Bool) {
        let counts = shards.iter().map(|shard| shard.positives.get(place).copied());
        let positives = counts.sum::<Option<u64>>().invariant("a shard counts every label")?;
        labels.insert(label.name.clone(), LabelFigures::new(positives, samples));
    }
    Ok(Statistics {
        samples,
        labels,
        requests: sum(&|shard| shard.requests),
        customers: sum(&|shard| shard.customers),
        customers_without_history: lengths(0),
        actions,
        history_lengths: ranges.map(|(range, bounds)| LengthRange { customers: lengths(range), ..bounds }).collect(),
        smallest_gap_micros: gap,
        at_cutoff: options.time_cutoff.map(|_| sum(&|shard| shard.at_cutoff)),
    })
}

/// The figures of a shard.
///
/// # Errors
/// What the spill disk says where pieces were spilled.
pub fn of_shard<I: ItemId>(rows: &ShardRows<'_, I>, plan: &Plan) -> Result<Figures> {
    let numbers: Vec<u8> = plan.options().schema.types.iter().map(|(number, _)| number).collect();
    let contents = plan.contents();
    let widths: Vec<usize> = contents.of_samples().map(|field| field.dtype.width()).collect();
    let columns_of_actions = contents.of_actions().count();
    let mut figures = Figures {
        samples: 0,
        positives: vec![0; contents.labels.len()],
        requests: 0,
        customers: 0,
        actions: vec![0; numbers.len()],
        lengths: Vec::new(),
        newest: NULL_TIME,
        gap: None,
        at_cutoff: 0,
        hidden_late: 0,
        content: String::new(),
    };
    let mut content = Xxh3Default::new();
    for block in rows.blocks() {
        let block = block?;
        let columns = widths.iter().enumerate().map(|(column, &width)| block.column(column, width));
        let mut columns = columns.collect::<Result<Vec<_>>>()?;
        for ((positives, label), column) in figures.positives.iter_mut().zip(&contents.labels).zip(&columns) {
            if label.dtype == Dtype::Bool {
                *positives += column.iter().map(|&label| u64::from(label)).sum::<u64>();
            }
        }
        let mut items = block.items();
        let mut requests = block.requests();
        let mut longest = Longest { customer: None, length: 0 };
        let hash_window = |content: &mut Xxh3Default, window: &Window| {
            let (history, types) = block.history(window)?;
            content.update(bytemuck::cast_slice(history));
            content.update(types);
            for column in 0..columns_of_actions {
                content.update(block.piece().values.column(column)?.history(window)?);
            }
            Ok::<_, Error>(())
        };
        for stretch in block.stretches() {
            for (request, count) in requests.by_ref().take(stretch.requests) {
                figures.count(request, count, &mut longest);
                if contents.request_time {
                    content.update(&request.time.to_le_bytes());
                    content.update(&stretch.offset(request).to_le_bytes());
                }
                if contents.request {
                    content.update(&request.id.to_le_bytes());
                }
                for number in [request.customer.cast_unsigned(), count as u64, request.length.into()] {
                    content.update(&number.to_le_bytes());
                }
                let own_items;
                (own_items, items) = items.split_at(count);
                content.update(bytemuck::cast_slice(own_items));
                for (column, width) in columns.iter_mut().zip(&widths) {
                    let own;
                    (own, *column) = column.split_at(count * width);
                    content.update(own);
                }
                if !contents.request_time {
                    hash_window(&mut content, &request.window())?;
                }
            }
            let all = stretch.window();
            count_each(block.history(&all)?.1, &numbers, &mut figures.actions);
            if contents.request_time {
                // Windows overlap, so each would be hashed many times over.
                hash_window(&mut content, &all)?;
            }
        }
        figures.end_customer(&longest);
    }
    if (figures.samples, figures.requests, figures.customers) != (rows.rows, rows.requests, rows.customers) {
        return Err(Error::internal("a shard has the samples and customers that it was cut with"));
    }
    figures.content = format!("{:032x}", content.digest128());
    Ok(figures)
}

/// More types than this are counted in one pass instead of one each.
const MOST_PASSES: usize = 16;

/// Adds to the sums of some numbers how often each is there.
fn count_each(bytes: &[u8], numbers: &[u8], sums: &mut [u64]) {
    if numbers.len() <= MOST_PASSES {
        sums.iter_mut().zip(numbers).for_each(|(sum, &number)| *sum += bytecount(bytes, number));
        return;
    }
    let mut counts = [0_u64; 1 << u8::BITS];
    bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    sums.iter_mut().zip(numbers).for_each(|(sum, &number)| *sum += counts[usize::from(number)]);
}

/// Counts the bytes that are `wanted`, with counters of a byte, of which a processor adds many at once.
fn bytecount(bytes: &[u8], wanted: u8) -> u64 {
    let short = |bytes: &[u8]| bytes.iter().map(|&byte| u8::from(byte == wanted)).sum::<u8>();
    bytes.chunks(u8::MAX as usize).map(|chunk| u64::from(short(chunk))).sum()
}
