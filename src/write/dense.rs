//! Padded rows as safetensors: every column a tensor, histories as `[N, K]`.

use bytemuck::{Pod, Zeroable};

use super::safetensors::{Dtype, Tensor, head, metadata, ordered};
use super::{BLOCK, DayLayout, Reported};
use crate::config::Format;
use crate::cut::ShardRows;
use crate::error::Result;
use crate::event::ItemId;
use crate::fsio::{Folder, Unsynced, Written};
use crate::gather::Gather;
use crate::histories::{Values, Window};
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
            "actions" => write_padded(&mut file, rows, layout.history, |values, windows, block: &mut [I]| {
                gather.items(values, windows, layout.history, block);
                progress(windows.len() as u64)
            })?,
            _ => write_padded(&mut file, rows, layout.history, |values, windows, block: &mut [u8]| {
                gather.types(values, windows, layout.history, block);
                Ok(())
            })?,
        }
    }
    file.file.finish()
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

/// Writes a `[N, K]` tensor, some rows at a time through one buffer.
fn write_padded<I: ItemId, T: Pod + Zeroable>(
    file: &mut Reported<'_>,
    rows: &ShardRows<'_, I>,
    history: usize,
    gather: impl Fn(&Values<I>, &[Window], &mut [T]) -> Result<()>,
) -> Result<()> {
    let most = (BLOCK / (history * size_of::<T>())).max(1);
    let mut padded = Vec::new();
    for block in rows.blocks() {
        let block = block?;
        let windows: Vec<Window> = block.windows().collect();
        for windows in windows.chunks(most) {
            padded.resize(padded.len().max(windows.len() * history), T::zeroed());
            let padded = &mut padded[..windows.len() * history];
            gather(&block.piece().values, windows, padded)?;
            file.write(bytemuck::cast_slice(padded))?;
        }
    }
    Ok(())
}
