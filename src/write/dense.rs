//! Padded rows as safetensors: every column a tensor, histories as `[N, K]`.

use super::{DayLayout, Reported};
use crate::config::Format;
use crate::cut::ShardRows;
use crate::error::{Error, Result};
use crate::event::ItemId;
use crate::fsio::{Folder, Unsynced, Written};
use crate::gather::Gather;
use crate::layout::Role;
use crate::unify::Progress;

pub(super) fn write<I: ItemId>(
    rows: &ShardRows<'_, I>,
    layout: DayLayout<'_>,
    content: &str,
    gather: &dyn Gather<I>,
    folder: &Folder,
    progress: &Progress<'_>,
) -> Result<(Written, Unsynced)> {
    let (mut file, tensors) = Reported::create(&layout.header(Format::Dense, rows, None, content), folder, progress)?;
    for tensor in tensors {
        match tensor.column.role {
            Role::Customer => file.write_of_requests(rows, |request| request.customer)?,
            Role::RequestTime => file.write_of_requests(rows, |request| request.time)?,
            Role::RequestId => file.write_of_requests(rows, |request| request.id)?,
            Role::Item => file.write_items(rows)?,
            Role::OfSamples(column) => file.write_column(rows, column, tensor.column.dtype)?,
            Role::Actions => gather.items(&mut rows.blocks(), layout.history, &mut |padded| {
                file.write(bytemuck::cast_slice(padded))?;
                progress((padded.len() / layout.history) as u64)
            })?,
            Role::ActionTypes => {
                gather.types(&mut rows.blocks(), layout.history, &mut |padded| file.write(padded))?;
            }
            Role::OfActions(column) => {
                let width = tensor.column.dtype.width();
                gather.column(&mut rows.blocks(), (column, width), layout.history, &mut |padded| file.write(padded))?;
            }
            Role::Request | Role::HistoryStart | Role::HistoryLength => {
                return Err(Error::internal("dense shards have no windows"));
            }
        }
    }
    file.finish()
}
