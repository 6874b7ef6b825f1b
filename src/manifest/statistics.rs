//! Figures and hashes of a day's content, whatever the format it is written in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3Default;

use super::{LengthRange, Statistics, length_range_index, length_ranges};
use crate::cut::ShardRows;
use crate::error::{Error, Result};
use crate::event::{ActionType, Day, ItemId, NULL_TIME};

/// The figures of a shard, to be summed up over the shards of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    samples: u64,
    positives: u64,
    customers: u64,
    /// The actions in the histories, by type, in the order of [`ActionType::ALL`].
    actions: [u64; ActionType::ALL.len()],
    /// How many customers have a history of 0, 1, 2 to 3, 4 to 7, … actions; as far as there are any.
    lengths: Vec<u64>,
    /// The time of the newest action; [`NULL_TIME`] where there is none with a time.
    newest: i64,
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

/// The statistics of a day whose shards have these figures.
#[must_use]
pub fn of_day(day: Day, history: u64, shards: &[Figures]) -> Statistics {
    let sum = |figure: &dyn Fn(&Figures) -> u64| shards.iter().map(figure).sum::<u64>();
    let (samples, positives) = (sum(&|shard| shard.samples), sum(&|shard| shard.positives));
    let newest = shards.iter().map(|shard| shard.newest).max().filter(|&newest| newest != NULL_TIME);
    let lengths = |range: usize| sum(&|shard| shard.lengths.get(range).copied().unwrap_or_default());
    let ranges = length_ranges(history).into_iter().enumerate();
    Statistics {
        samples,
        positives,
        positive_rate: (samples > 0).then(|| positives as f64 / samples as f64),
        customers: sum(&|shard| shard.customers),
        customers_without_history: lengths(0),
        actions: ActionType::ALL
            .iter()
            .enumerate()
            .map(|(place, kind)| (kind.name().to_owned(), sum(&|shard| shard.actions[place])))
            .collect::<BTreeMap<_, _>>(),
        history_lengths: ranges.map(|(range, bounds)| LengthRange { customers: lengths(range), ..bounds }).collect(),
        smallest_gap_micros: newest.map(|newest| day.midnight().saturating_sub(newest)),
    }
}

/// The figures of a shard.
///
/// # Errors
/// What the spill disk says where pieces were spilled.
pub fn of_shard<I: ItemId>(rows: &ShardRows<'_, I>) -> Result<Figures> {
    let mut figures = Figures {
        samples: 0,
        positives: 0,
        customers: 0,
        actions: [0; 3],
        lengths: Vec::new(),
        newest: NULL_TIME,
        content: String::new(),
    };
    let mut content = Xxh3Default::new();
    for block in rows.blocks() {
        let block = block?;
        figures.positives += block.labels().iter().map(|&label| u64::from(label)).sum::<u64>();
        let (mut items, mut labels) = (block.items(), block.labels());
        for (customer, window, count) in block.customers() {
            let (history, types) = block.history(&window)?;
            let range = length_range_index(types.len() as u64);
            if figures.lengths.len() <= range {
                figures.lengths.resize(range + 1, 0);
            }
            figures.lengths[range] += 1;
            figures.customers += 1;
            figures.samples += count as u64;
            figures.newest = figures.newest.max(window.newest);
            for (sum, kind) in figures.actions.iter_mut().zip(ActionType::ALL) {
                *sum += bytecount(types, kind as u8);
            }
            for number in [customer.cast_unsigned(), count as u64, types.len() as u64] {
                content.update(&number.to_le_bytes());
            }
            let (own_items, own_labels);
            (own_items, items) = items.split_at(count);
            (own_labels, labels) = labels.split_at(count);
            content.update(bytemuck::cast_slice(own_items));
            content.update(own_labels);
            content.update(bytemuck::cast_slice(history));
            content.update(types);
        }
    }
    if (figures.samples, figures.customers) != (rows.rows, rows.customers) {
        return Err(Error::internal("a shard has the samples and customers that it was cut with"));
    }
    figures.content = format!("{:032x}", content.digest128());
    Ok(figures)
}

/// Counts the bytes that are `wanted`, with counters of a byte, of which a processor adds many at once.
fn bytecount(bytes: &[u8], wanted: u8) -> u64 {
    let short = |bytes: &[u8]| bytes.iter().map(|&byte| u8::from(byte == wanted)).sum::<u8>();
    bytes.chunks(u8::MAX as usize).map(|chunk| u64::from(short(chunk))).sum()
}
