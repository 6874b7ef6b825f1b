//! Histories once, and a window into them for each row, as safetensors.

use super::safetensors::{Dtype, Tensor, head, metadata, ordered};
use super::{DayLayout, Reported};
use crate::config::Format;
use crate::cut::ShardRows;
use crate::error::Result;
use crate::event::ItemId;
use crate::fsio::{Folder, Unsynced, Written};
use crate::unify::Progress;

pub(super) fn write<I: ItemId>(
    rows: &ShardRows<'_, I>,
    layout: DayLayout,
    folder: &Folder,
    progress: &Progress<'_>,
) -> Result<(Written, Unsynced)> {
    let tensors = tensors::<I>(rows.rows, rows.actions);
    let mut metadata = metadata("shardback.jagged", rows, layout);
    metadata.push(("actions", rows.actions.to_string()));
    let (head, bytes) = head(&metadata, &tensors);
    let file = folder.create(&Format::Jagged.shard_file(rows.shard), bytes)?;
    let mut file = Reported { file, progress };
    file.write(&head)?;
    for tensor in &tensors {
        match tensor.name {
            "customer_id" => file.write_customers(rows)?,
            "history_start" => write_starts(&mut file, rows)?,
            "history_length" => file.write_blocks(rows, |block, out| {
                // At most K.
                out.extend(block.windows().map(|window| window.length as u32));
                Ok(())
            })?,
            "item_id" => file.write_items(rows)?,
            "is_order" => file.write_labels(rows)?,
            "actions" => write_values(&mut file, rows, |(items, _)| bytemuck::cast_slice(items))?,
            _ => write_values(&mut file, rows, |(_, types)| types)?,
        }
    }
    progress(rows.rows)?;
    file.finish(bytes)
}

fn tensors<I: ItemId>(rows: u64, actions: u64) -> Vec<Tensor> {
    let item = Dtype::of_item(I::DTYPE);
    ordered(vec![
        Tensor { name: "customer_id", dtype: Dtype::I64, shape: vec![rows] },
        Tensor { name: "history_start", dtype: Dtype::I64, shape: vec![rows] },
        Tensor { name: "history_length", dtype: Dtype::I32, shape: vec![rows] },
        Tensor { name: "item_id", dtype: item, shape: vec![rows] },
        Tensor { name: "actions", dtype: item, shape: vec![actions] },
        Tensor { name: "action_types", dtype: Dtype::U8, shape: vec![actions] },
        Tensor { name: "is_order", dtype: Dtype::Bool, shape: vec![rows] },
    ])
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
    column: impl for<'a> Fn((&'a [I], &'a [u8])) -> &'a [u8],
) -> Result<()> {
    file.write_blocks(rows, |block, out| {
        for (_, window, _) in block.customers() {
            out.extend_from_slice(column(block.history(&window)?));
        }
        Ok(())
    })
}
