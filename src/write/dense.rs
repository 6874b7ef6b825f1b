//! Padded rows as safetensors: every column a tensor, histories as `[N, K]`.

use std::path::Path;

use bytemuck::{Pod, Zeroable};

use super::safetensors::{Dtype, Tensor, head, ordered};
use super::{BLOCK, DayLayout, FORMAT_VERSION, Reported};
use crate::cut::ShardRows;
use crate::error::Result;
use crate::event::ItemId;
use crate::fsio::{FileWriter, Written};
use crate::gather::Gather;
use crate::histories::Window;
use crate::unify::Progress;

pub(super) fn write<I: ItemId>(
    rows: &ShardRows<'_, I>,
    layout: DayLayout,
    gather: &dyn Gather<I>,
    path: &Path,
    progress: &Progress<'_>,
) -> Result<Written> {
    let tensors = tensors::<I>(rows.samples.len() as u64, layout.history as u64);
    let metadata = [
        ("format", "shardback.dense".to_owned()),
        ("version", FORMAT_VERSION.to_string()),
        ("dt", layout.day.to_string()),
        ("history", layout.history.to_string()),
        ("shard", rows.shard.to_string()),
        ("shards", layout.shards.to_string()),
        ("rows", rows.samples.len().to_string()),
    ];
    let (head, bytes) = head(&metadata, &tensors);
    let mut file = Reported { file: FileWriter::create(path, Some(bytes))?, progress };
    file.write(&head)?;
    for tensor in &tensors {
        match tensor.name {
            "customer_id" => file.write_each(rows.samples.iter(), |sample| sample.customer)?,
            "item_id" => file.write_each(rows.samples.iter(), |sample| sample.item)?,
            "is_order" => file.write_each(rows.samples.iter(), |sample| u8::from(sample.is_order))?,
            "actions" => write_padded(&mut file, rows, layout.history, |windows, block: &mut [I]| {
                gather.items(rows.buckets, windows, layout.history, block);
                progress(windows.len() as u64)
            })?,
            _ => write_padded(&mut file, rows, layout.history, |windows, block: &mut [u8]| {
                gather.types(rows.buckets, windows, layout.history, block);
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

/// Writes a `[N, K]` tensor, a block of rows at a time through one buffer.
fn write_padded<I: ItemId, T: Pod + Zeroable>(
    file: &mut Reported<'_>,
    rows: &ShardRows<'_, I>,
    history: usize,
    gather: impl Fn(&[Window], &mut [T]) -> Result<()>,
) -> Result<()> {
    let count = rows.samples.len();
    let rows_per_block = (BLOCK / (history * size_of::<T>())).clamp(1, count.max(1));
    let mut block = vec![T::zeroed(); rows_per_block * history];
    let mut windows = Vec::with_capacity(rows_per_block);
    for start in (0..count).step_by(rows_per_block) {
        let end = count.min(start + rows_per_block);
        windows.clear();
        windows.extend(rows.windows(start..end));
        let block = &mut block[..(end - start) * history];
        gather(&windows, block)?;
        file.write(bytemuck::cast_slice(block))?;
    }
    Ok(())
}
