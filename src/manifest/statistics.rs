//! Figures and hashes of a day's content, whatever the format it is written in.

use std::collections::BTreeMap;

use rayon::prelude::{IntoParallelRefIterator, ParallelIterator};
use xxhash_rust::xxh3::Xxh3Default;

use super::{LengthRange, Statistics, length_range_index, length_ranges};
use crate::cut::ShardRows;
use crate::event::{ActionType, Day, ItemId, NULL_TIME};

/// The figures of a shard, to be summed up over the shards of a day.
#[derive(Clone, Debug)]
struct Figures {
    samples: u64,
    positives: u64,
    customers: u64,
    actions: [u64; ActionType::ALL.len()],
    /// How many customers have a history of 0, 1, 2 to 3, 4 to 7, … actions.
    lengths: [u64; MOST_RANGES],
    newest: i64,
    /// The hash of the shard's content.
    content: u128,
}

/// Ranges of lengths of 32 bits.
const MOST_RANGES: usize = 33;

/// The statistics of a day, and for each of its shards the hash of what it holds: customers, labels, items and histories.
pub fn of_day<I: ItemId>(day: Day, history: usize, shards: &[ShardRows<'_, I>]) -> (Statistics, Vec<u128>) {
    let shards: Vec<Figures> = shards.par_iter().map(of_shard).collect();
    let sum = |figure: fn(&Figures) -> u64| shards.iter().map(figure).sum::<u64>();
    let (samples, positives) = (sum(|shard| shard.samples), sum(|shard| shard.positives));
    let newest = shards.iter().map(|shard| shard.newest).max().filter(|&newest| newest != NULL_TIME);
    let lengths = |range: usize| shards.iter().map(|shard| shard.lengths[range]).sum::<u64>();
    let ranges = length_ranges(history as u64).into_iter().enumerate();
    let actions = |place: usize| shards.iter().map(|shard| shard.actions[place]).sum();
    let statistics = Statistics {
        samples,
        positives,
        positive_rate: (samples > 0).then(|| positives as f64 / samples as f64),
        customers: sum(|shard| shard.customers),
        customers_without_history: lengths(0),
        actions: ActionType::ALL
            .iter()
            .enumerate()
            .map(|(place, kind)| (kind.name().to_owned(), actions(place)))
            .collect::<BTreeMap<_, _>>(),
        history_lengths: ranges.map(|(range, bounds)| LengthRange { customers: lengths(range), ..bounds }).collect(),
        smallest_gap_micros: newest.map(|newest| day.midnight().saturating_sub(newest)),
    };
    (statistics, shards.into_iter().map(|shard| shard.content).collect())
}

fn of_shard<I: ItemId>(rows: &ShardRows<'_, I>) -> Figures {
    let mut figures = Figures {
        samples: rows.samples.len() as u64,
        positives: rows.samples.iter().filter(|sample| sample.is_order).count() as u64,
        customers: rows.customers.len() as u64,
        actions: [0; 3],
        lengths: [0; MOST_RANGES],
        newest: NULL_TIME,
        content: 0,
    };
    let mut content = Xxh3Default::new();
    for customer in rows.customers {
        let (items, types) = rows.history(&customer.window);
        figures.lengths[length_range_index(types.len() as u64)] += 1;
        figures.newest = figures.newest.max(customer.window.newest);
        for (count, kind) in figures.actions.iter_mut().zip(ActionType::ALL) {
            *count += bytecount(types, kind as u8);
        }
        content.update(&customer.customer.to_le_bytes());
        content.update(&(customer.rows() as u64).to_le_bytes());
        for sample in &rows.samples[customer.start..customer.end] {
            content.update(bytemuck::bytes_of(&sample.item));
            content.update(&[u8::from(sample.is_order)]);
        }
        content.update(&(types.len() as u64).to_le_bytes());
        content.update(bytemuck::cast_slice(items));
        content.update(types);
    }
    figures.content = content.digest128();
    figures
}

fn bytecount(bytes: &[u8], wanted: u8) -> u64 {
    bytes.iter().filter(|&&byte| byte == wanted).count() as u64
}
