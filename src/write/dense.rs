//! Padded rows as safetensors: every column a tensor, histories as `[N, K]`.

use super::safetensors::{Dtype, Tensor, head, metadata, ordered};
use super::{DayLayout, Reported};
use crate::config::Format;
use crate::cut::ShardRows;
use crate::error::Result;
use crate::event::ItemId;
use crate::fsio::{Folder, Unsynced, Written};
use crate::gather::Gather;
use crate::unify::Progress;

pub(super) fn write<I: ItemId>(
    rows: &ShardRows<'_, I>,
    layout: DayLayout,
    gather: &dyn Gather<I>,
    folder: &Folder,
    progress: &Progress<'_>,
) -> Result<(Written, Unsynced)> {
    let tensors = tensors::<I>(rows.rows, layout.history as u64);
    let metadata = metadata("shardback.dense", rows, layout);
    let (head, bytes) = head(&metadata, &tensors);
    let file = folder.create(&Format::Dense.shard_file(rows.shard), bytes)?;
    let mut file = Reported { file, progress };
    file.write(&head)?;
    for tensor in &tensors {
        match tensor.name {
            "customer_id" => file.write_customers(rows)?,
            "item_id" => file.write_items(rows)?,
            "is_order" => file.write_labels(rows)?,
            "actions" => gather.items(&mut rows.blocks(), layout.history, &mut |padded| {
                file.write(bytemuck::cast_slice(padded))?;
                progress((padded.len() / layout.history) as u64)
            })?,
            _ => gather.types(&mut rows.blocks(), layout.history, &mut |padded| file.write(padded))?,
        }
    }
    file.finish(bytes)
}

fn tensors<I: ItemId>(rows: u64, history: u64) -> Vec<Tensor> {
    let item = Dtype::of_item(I::DTYPE);
    ordered(vec![
        Tensor { name: "customer_id", dtype: Dtype::I64, shape: vec![rows] },
        Tensor { name: "item_id", dtype: item, shape: vec![rows] },
        Tensor { name: "actions", dtype: item, shape: vec![rows, history] },
        Tensor { name: "action_types", dtype: Dtype::U8, shape: vec![rows, history] },
        Tensor { name: "is_order", dtype: Dtype::Bool, shape: vec![rows] },
    ])
}
