//! Histories once, and a window into them for each row, as safetensors.

use bytemuck::Pod;

use super::{DayLayout, Reported};
use crate::config::Format;
use crate::cut::ShardRows;
use crate::error::{Invariant, Result};
use crate::event::ItemId;
use crate::fsio::{Folder, Unsynced, Written};
use crate::histories::{Request, Values, Window};
use crate::layout::{Role, Stored};
use crate::unify::Progress;

pub(super) fn write<I: ItemId>(
    rows: &ShardRows<'_, I>,
    layout: DayLayout<'_>,
    content: &str,
    folder: &Folder,
    progress: &Progress<'_>,
) -> Result<(Written, Unsynced)> {
    let stored = Stored { requests: rows.requests, actions: rows.actions };
    let (mut file, tensors) =
        Reported::create(&layout.header(Format::Jagged, rows, Some(stored), content), folder, progress)?;
    for tensor in tensors {
        match tensor.column.role {
            Role::Customer => write_requests(&mut file, rows, |request| request.customer)?,
            Role::RequestTime => write_requests(&mut file, rows, |request| request.time)?,
            Role::RequestId => write_requests(&mut file, rows, |request| request.id)?,
            Role::HistoryStart => write_starts(&mut file, rows)?,
            // At most K.
            Role::HistoryLength => write_requests(&mut file, rows, |request| request.length)?,
            Role::Request => write_places(&mut file, rows)?,
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

/// Writes something of each request.
fn write_requests<I: ItemId, T: Pod>(
    file: &mut Reported<'_>,
    rows: &ShardRows<'_, I>,
    value: impl Fn(&Request) -> T,
) -> Result<()> {
    file.write_blocks(rows, |block, out| {
        out.extend(block.requests().map(|(request, _)| value(request)));
        Ok(())
    })
}

/// Writes for each row which request of the shard it is of.
fn write_places<I: ItemId>(file: &mut Reported<'_>, rows: &ShardRows<'_, I>) -> Result<()> {
    let mut next = 0_u32;
    file.write_blocks(rows, |block, out: &mut Vec<u32>| {
        for (_, count) in block.requests() {
            out.extend(std::iter::repeat_n(next, count));
            next = next.checked_add(1).filter(|&next| next <= MOST_REQUESTS).invariant("requests have 31 bits")?;
        }
        Ok(())
    })
}

/// They are numbered with 32 bits, signed.
const MOST_REQUESTS: u32 = 1 << 31;

/// Writes for each request where its history begins in the file: stretches follow each other without gaps.
fn write_starts<I: ItemId>(file: &mut Reported<'_>, rows: &ShardRows<'_, I>) -> Result<()> {
    let mut start = 0;
    file.write_blocks(rows, |block, out: &mut Vec<u64>| {
        let mut requests = block.requests();
        for stretch in block.stretches() {
            let own = requests.by_ref().take(stretch.requests);
            out.extend(own.map(|(request, _)| start + stretch.offset(request)));
            start += stretch.length;
        }
        Ok(())
    })
}

/// Writes the values of each stretch once.
fn write_values<I: ItemId>(
    file: &mut Reported<'_>,
    rows: &ShardRows<'_, I>,
    column: impl for<'a> Fn(&'a Values<I>, &Window) -> Result<&'a [u8]>,
) -> Result<()> {
    file.write_blocks(rows, |block, out| {
        for stretch in block.stretches() {
            out.extend_from_slice(column(&block.piece().values, &stretch.window())?);
        }
        Ok(())
    })
}
