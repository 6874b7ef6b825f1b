//! Random jagged rows, and what batches of them are by the processor; also for the benchmark, which checks before it measures.

use bytemuck::Pod;
use rand::{Rng, RngExt};
use shardback::event::NULL_TIME;
use shardback::gather::Cpu;
use shardback::histories::Window;

/// Jagged rows: N windows that may overlap into A actions.
pub(crate) struct Jagged {
    pub(crate) history: usize,
    pub(crate) items: Vec<i64>,
    pub(crate) types: Vec<u8>,
    pub(crate) starts: Vec<i64>,
    pub(crate) lengths: Vec<i32>,
    pub(crate) item_ids: Vec<i64>,
    pub(crate) is_order: Vec<u8>,
}

impl Jagged {
    /// Some rows of at most `history` actions, some without any, with items of 32 bits.
    pub(crate) fn random(random: &mut impl Rng, rows: usize, history: usize) -> Self {
        let actions = random.random_range(0..=(rows * history / 2).max(1));
        let item = |random: &mut dyn Rng| i64::from(random.next_u32().cast_signed());
        let mut jagged = Self {
            history,
            items: (0..actions).map(|_| item(random)).collect(),
            types: (0..actions).map(|_| random.random_range(1..=255)).collect(),
            starts: Vec::new(),
            lengths: Vec::new(),
            item_ids: (0..rows).map(|_| item(random)).collect(),
            is_order: (0..rows).map(|_| random.random_range(0..=1)).collect(),
        };
        for _ in 0..rows {
            let start = random.random_range(0..=actions);
            let longest = history.min(actions - start);
            // The shortest and the longest are where faults are.
            let length = match random.random_range(0..4) {
                0 => 0,
                1 => longest,
                _ => random.random_range(0..=longest),
            };
            jagged.starts.push(start as i64);
            jagged.lengths.push(length as i32);
        }
        jagged
    }

    /// N
    pub(crate) fn rows(&self) -> usize {
        self.starts.len()
    }

    /// The columns that a batch of some rows has, as bytes, by the processor's gather: items, types, item ids, labels, lengths. A
    /// number that is no row gives zeros.
    pub(crate) fn batch(&self, numbers: &[i64], history: usize, wide: bool, types_as_items: bool) -> [Vec<u8>; 5] {
        let row = |number: &i64| usize::try_from(*number).ok().filter(|&row| row < self.rows());
        let window = |number: &i64| {
            let row = row(number);
            let start = row.map_or(0, |row| self.starts[row] as u64);
            let length = row.map_or(0, |row| (self.lengths[row] as u64).min(history as u64));
            Window { start, length, newest: NULL_TIME }
        };
        let windows: Vec<Window> = numbers.iter().map(window).collect();
        let types = padded(&self.types, &windows, history);
        let wide_types: Vec<i64> = types.iter().map(|&kind| i64::from(kind)).collect();
        let item_ids: Vec<i64> = numbers.iter().map(|number| row(number).map_or(0, |row| self.item_ids[row])).collect();
        let lengths: Vec<i64> = windows.iter().map(|window| window.length as i64).collect();
        [
            as_written(&padded(&self.items, &windows, history), wide),
            if types_as_items { as_written(&wide_types, wide) } else { types },
            as_written(&item_ids, wide),
            numbers.iter().map(|number| row(number).map_or(0, |row| self.is_order[row])).collect(),
            as_written(&lengths, false),
        ]
    }
}

fn padded<T: Pod + Send + Sync>(values: &[T], windows: &[Window], history: usize) -> Vec<T> {
    let mut rows = vec![T::zeroed(); windows.len() * history];
    assert!(Cpu::pad(values, windows, history, &mut rows).is_ok(), "windows lie within their values");
    rows
}

/// Items as bytes of the width that they are stored or written with.
pub(crate) fn as_written(items: &[i64], wide: bool) -> Vec<u8> {
    let narrow = |&item: &i64| (item as i32).to_le_bytes();
    if wide { bytemuck::cast_slice(items).to_vec() } else { items.iter().flat_map(narrow).collect() }
}
