//! The gather on the processor's cores: a copy and a fill for each row.

use bytemuck::{Pod, Zeroable};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::Gather;
use crate::event::ItemId;
use crate::histories::{Values, Window};

/// The processor.
#[derive(Clone, Copy, Debug)]
pub struct Cpu;

impl<I: ItemId> Gather<I> for Cpu {
    fn items(&self, values: &Values<I>, windows: &[Window], history: usize, rows: &mut [I]) {
        pad(&values.items, windows, history, rows);
    }

    fn types(&self, values: &Values<I>, windows: &[Window], history: usize, rows: &mut [u8]) {
        pad(&values.types, windows, history, rows);
    }
}

/// Enough rows that handing them to another core costs little beside copying them.
const ROWS_PER_TASK: usize = 64;

fn pad<T: Pod + Zeroable + Send + Sync>(values: &[T], windows: &[Window], history: usize, rows: &mut [T]) {
    rows.par_chunks_exact_mut(history).zip(windows.par_iter()).with_min_len(ROWS_PER_TASK).for_each(|(row, window)| {
        let source = values.get(window.start as usize..(window.start + window.length) as usize).unwrap_or_default();
        pad_row(source, row, |value| value);
    });
}

/// Fills a row with a history, converted one by one, and with zeros behind it; what does not fit is left out.
pub fn pad_row<S: Copy, T: Copy + Zeroable>(history: &[S], row: &mut [T], convert: impl Fn(S) -> T) {
    let (filled, padding) = row.split_at_mut(history.len().min(row.len()));
    // Where nothing is converted this is a copy of memory, to the compiler as well.
    for (target, &value) in filled.iter_mut().zip(history) {
        *target = convert(value);
    }
    padding.fill(T::zeroed());
}
