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
    fn items(&self, buckets: &[Values<I>], windows: &[Window], history: usize, rows: &mut [I]) {
        pad(windows, history, rows, |bucket| buckets.get(bucket).map(|values| values.items.as_slice()));
    }

    fn types(&self, buckets: &[Values<I>], windows: &[Window], history: usize, rows: &mut [u8]) {
        pad(windows, history, rows, |bucket| buckets.get(bucket).map(|values| values.types.as_slice()));
    }
}

/// Enough rows that handing them to another core costs little beside copying them.
const ROWS_PER_TASK: usize = 64;

fn pad<'a, T: Pod + Zeroable + Send + Sync>(
    windows: &[Window],
    history: usize,
    rows: &mut [T],
    values: impl Fn(usize) -> Option<&'a [T]> + Sync,
) {
    rows.par_chunks_exact_mut(history).zip(windows.par_iter()).with_min_len(ROWS_PER_TASK).for_each(|(row, window)| {
        let start = window.start as usize;
        let source =
            values(window.bucket as usize).and_then(|values| values.get(start..start + window.length as usize));
        let source = source.unwrap_or_default();
        let (filled, padding) = row.split_at_mut(source.len().min(history));
        filled.copy_from_slice(&source[..filled.len()]);
        padding.fill(T::zeroed());
    });
}
