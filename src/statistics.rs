//! Figures and hashes of a day's content, whatever the format it is written in.

use std::collections::BTreeMap;

use rayon::prelude::{IntoParallelRefIterator, ParallelIterator};
use xxhash_rust::xxh3::Xxh3Default;

use crate::cut::ShardRows;
use crate::event::{ActionType, Day, ItemId, NULL_TIME};
use crate::manifest::{LengthRange, Statistics};

/// The figures of a shard, to be summed up over the shards of a day.
#[derive(Clone, Debug)]
struct Figures {
    samples: u64,
    positives: u64,
    customers: u64,
    actions: [u64; ActionType::ALL.len()],
    /// How many customers have a history of 0, 1, 2 to 3, 4 to 7, … actions.
    lengths: [u64; 33],
    newest: i64,
    /// The hash of the shard's content.
    content: u128,
}

/// The statistics of a day, and for each of its shards the hash of what it holds: customers, labels, items and histories.
pub fn of_day<I: ItemId>(day: Day, history: usize, shards: &[ShardRows<'_, I>]) -> (Statistics, Vec<u128>) {
    let shards: Vec<Figures> = shards.par_iter().map(of_shard).collect();
    let sum = |figure: fn(&Figures) -> u64| shards.iter().map(figure).sum::<u64>();
    let (samples, positives) = (sum(|shard| shard.samples), sum(|shard| shard.positives));
    let newest = shards.iter().map(|shard| shard.newest).max().filter(|&newest| newest != NULL_TIME);
    let lengths: Vec<u64> = (0..33).map(|range| shards.iter().map(|shard| shard.lengths[range]).sum()).collect();
    let actions = |place: usize| shards.iter().map(|shard| shard.actions[place]).sum();
    let statistics = Statistics {
        samples,
        positives,
        positive_rate: (samples > 0).then(|| positives as f64 / samples as f64),
        customers: sum(|shard| shard.customers),
        customers_without_history: lengths[0],
        actions: ActionType::ALL
            .iter()
            .enumerate()
            .map(|(place, kind)| (kind.name().to_owned(), actions(place)))
            .collect::<BTreeMap<_, _>>(),
        history_lengths: length_ranges(&lengths, history as u64),
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
        lengths: [0; 33],
        newest: NULL_TIME,
        content: 0,
    };
    let mut content = Xxh3Default::new();
    for customer in rows.customers {
        let (items, types) = rows.history(&customer.window);
        figures.lengths[range_of(types.len())] += 1;
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

/// 0 for 0, 1 for 1, 2 for 2 to 3, 3 for 4 to 7, …
fn range_of(length: usize) -> usize {
    (usize::BITS - length.leading_zeros()) as usize
}

fn length_ranges(lengths: &[u64], history: u64) -> Vec<LengthRange> {
    let ranges = (0u32..).zip(lengths).map(|(range, &customers)| LengthRange {
        from: if range == 0 { 0 } else { 1 << (range - 1) },
        to: if range == 0 { 0 } else { ((1u64 << range) - 1).min(history) },
        customers,
    });
    ranges.take_while(|range| range.from <= history).collect()
}
