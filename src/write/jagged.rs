//! Histories once, and a window into them for each row, as safetensors.

use super::{DayLayout, Reported};
use crate::config::Format;
use crate::cut::ShardRows;
use crate::error::Result;
use crate::event::ItemId;
use crate::fsio::{Folder, Unsynced, Written};
use crate::histories::{Values, Window};
use crate::layout::Role;
use crate::unify::Progress;

pub(super) fn write<I: ItemId>(
    rows: &ShardRows<'_, I>,
    layout: DayLayout<'_>,
    content: &str,
    folder: &Folder,
    progress: &Progress<'_>,
) -> Result<(Written, Unsynced)> {
    let (mut file, tensors) =
        Reported::create(&layout.header(Format::Jagged, rows, Some(rows.actions), content), folder, progress)?;
    for tensor in tensors {
        match tensor.column.role {
            Role::Customer => file.write_customers(rows)?,
            Role::HistoryStart => write_starts(&mut file, rows)?,
            Role::HistoryLength => file.write_blocks(rows, |block, out| {
                // At most K.
                out.extend(block.windows().map(|window| window.length as u32));
                Ok(())
            })?,
            Role::Item => file.write_items(rows)?,
            Role::OfSamples(column) => file.write_column(rows, column, tensor.column.dtype)?,
            Role::Actions => {
                write_values(&mut file, rows, |values, window| Ok(bytemuck::cast_slice(values.history(window)?.0)))?;
            }
            Role::ActionTypes => write_values(&mut file, rows, |values, window| Ok(values.history(window)?.1))?,
            Role::OfActions(column) => {
                write_values(&mut file, rows, |values, window| values.column(column)?.history(window))?;
            }
        }
    }
    progress(rows.rows)?;
    file.finish()
}

/// Writes for each row where its history begins in the file: customers follow each other without gaps.
fn write_starts<I: ItemId>(file: &mut Reported<'_>, rows: &ShardRows<'_, I>) -> Result<()> {
    let mut next = 0;
    file.write_blocks(rows, |block, out: &mut Vec<u64>| {
        for (_, window, count) in block.customers() {
            out.extend(std::iter::repeat_n(next, count));
            next += window.length;
        }
        Ok(())
    })
}

/// Writes each customer's history once.
fn write_values<I: ItemId>(
    file: &mut Reported<'_>,
    rows: &ShardRows<'_, I>,
    column: impl for<'a> Fn(&'a Values<I>, &Window) -> Result<&'a [u8]>,
) -> Result<()> {
    file.write_blocks(rows, |block, out| {
        for (_, window, _) in block.customers() {
            out.extend_from_slice(column(&block.piece().values, &window)?);
        }
        Ok(())
    })
}
