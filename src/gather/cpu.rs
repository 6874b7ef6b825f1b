//! The gather on the processor's cores: a copy and a fill for each row.

use std::borrow::Cow;

use bytemuck::{Pod, Zeroable};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::{Blocks, Gather, Take};
use crate::error::{Error, Invariant, Result};
use crate::event::ItemId;
use crate::histories::{Values, Window};

/// The processor.
#[derive(Clone, Copy, Debug)]
pub struct Cpu;

impl<I: ItemId> Gather<I> for Cpu {
    fn items(&self, blocks: Blocks<'_, I>, history: usize, take: Take<'_, I>) -> Result<()> {
        batches(blocks, |values| Ok(Cow::Borrowed(&values.items[..])), history, take)
    }

    fn types(&self, blocks: Blocks<'_, I>, history: usize, take: Take<'_, u8>) -> Result<()> {
        batches(blocks, |values| Ok(Cow::Borrowed(&values.types[..])), history, take)
    }

    fn column(&self, blocks: Blocks<'_, I>, column: (usize, usize), history: usize, take: Take<'_, u8>) -> Result<()> {
        let (column, width) = column;
        match width {
            1 => padded::<I, u8>(blocks, column, history, take),
            4 => padded::<I, u32>(blocks, column, history, take),
            8 => padded::<I, u64>(blocks, column, history, take),
            _ => Err(Error::internal("values of columns are 1, 4 or 8 bytes wide")),
        }
    }
}

impl Cpu {
    /// Writes the values of each window, `[A]`, into a row, `[N, K]`, with zeros behind them.
    ///
    /// # Errors
    /// [`Error::Internal`] where a window does not lie within the values or is longer than K, or there are not as many rows as
    /// windows.
    pub fn pad<T: Pod + Send + Sync>(values: &[T], windows: &[Window], history: usize, rows: &mut [T]) -> Result<()> {
        if windows.len().checked_mul(history) != Some(rows.len()) {
            return Err(Error::internal("there is a row for each window"));
        }
        rows.par_chunks_exact_mut(history).zip(windows.par_iter()).with_min_len(ROWS_PER_TASK).try_for_each(
            |(row, window)| {
                let values = window.range().and_then(|range| values.get(range));
                let values = values.filter(|values| values.len() <= row.len());
                pad_row(values.invariant("a window lies within its values and is at most K long")?, row, |value| value);
                Ok(())
            },
        )
    }
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

/// Bytes of padded rows in a batch: few enough that they are still in a core's cache when they are handed on.
const BATCH_BYTES: usize = 256 << 10;

/// Enough rows that handing them to another core costs little beside copying them.
const ROWS_PER_TASK: usize = 64;

/// Pads a column of actions whose values are as wide as `T`, as bytes.
fn padded<I: ItemId, T: Pod + Send + Sync>(
    blocks: Blocks<'_, I>,
    column: usize,
    history: usize,
    take: Take<'_, u8>,
) -> Result<()> {
    let mut take = |padded: &[T]| take(bytemuck::cast_slice(padded));
    batches(blocks, |values| values.column(column)?.typed(), history, &mut take)
}

/// Pads block after block through one buffer.
fn batches<I: ItemId, T: Pod + Zeroable + Send + Sync>(
    blocks: Blocks<'_, I>,
    column: impl Fn(&Values<I>) -> Result<Cow<'_, [T]>>,
    history: usize,
    take: Take<'_, T>,
) -> Result<()> {
    let most = (BATCH_BYTES / (history * size_of::<T>())).max(1);
    let mut padded = Vec::new();
    for block in blocks {
        let block = block?;
        let values = column(&block.piece().values)?;
        let windows: Vec<Window> = block.windows().collect();
        for windows in windows.chunks(most) {
            padded.resize(padded.len().max(windows.len() * history), T::zeroed());
            let padded = &mut padded[..windows.len() * history];
            Cpu::pad(&values, windows, history, padded)?;
            take(padded)?;
        }
    }
    Ok(())
}
