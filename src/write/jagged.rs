//! Histories once, and a window into them for each row, as safetensors.

use std::path::Path;

use super::safetensors::{Dtype, Tensor, head, ordered};
use super::{DayLayout, FORMAT_VERSION, Reported};
use crate::cut::ShardRows;
use crate::error::Result;
use crate::event::ItemId;
use crate::fsio::{FileWriter, Written};
use crate::unify::Progress;

pub(super) fn write<I: ItemId>(
    rows: &ShardRows<'_, I>,
    layout: DayLayout,
    path: &Path,
    progress: &Progress<'_>,
) -> Result<Written> {
    let actions: u64 = rows.customers.iter().map(|customer| u64::from(customer.window.length)).sum();
    let tensors = tensors::<I>(rows.samples.len() as u64, actions);
    let metadata = [
        ("format", "shardback.jagged".to_owned()),
        ("version", FORMAT_VERSION.to_string()),
        ("dt", layout.day.to_string()),
        ("history", layout.history.to_string()),
        ("shard", rows.shard.to_string()),
        ("shards", layout.shards.to_string()),
        ("rows", rows.samples.len().to_string()),
        ("actions", actions.to_string()),
    ];
    let (head, bytes) = head(&metadata, &tensors);
    let mut file = Reported { file: FileWriter::create(path, Some(bytes))?, progress };
    file.write(&head)?;
    for tensor in &tensors {
        match tensor.name {
            "customer_id" => file.write_each(rows.samples.iter(), |sample| sample.customer)?,
            "history_start" => file.write_each(starts(rows), |start| start)?,
            "history_length" => file.write_each(rows.windows(0..rows.samples.len()), |window| window.length)?,
            "item_id" => file.write_each(rows.samples.iter(), |sample| sample.item)?,
            "is_order" => file.write_each(rows.samples.iter(), |sample| u8::from(sample.is_order))?,
            "actions" => write_values(&mut file, rows, |(items, _)| bytemuck::cast_slice(items))?,
            _ => write_values(&mut file, rows, |(_, types)| types)?,
        }
    }
    progress(rows.samples.len() as u64)?;
    file.file.finish()
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

/// For each row where its history begins in the file: customers follow each other without gaps.
fn starts<I>(rows: &ShardRows<'_, I>) -> impl Iterator<Item = u64> {
    let mut next = 0;
    rows.customers.iter().flat_map(move |customer| {
        let start = next;
        next += u64::from(customer.window.length);
        std::iter::repeat_n(start, customer.rows())
    })
}

/// Writes each customer's history once.
fn write_values<'a, I: ItemId>(
    file: &mut Reported<'_>,
    rows: &ShardRows<'a, I>,
    column: impl Fn((&'a [I], &'a [u8])) -> &'a [u8],
) -> Result<()> {
    let mut block = Vec::with_capacity(super::BLOCK);
    for customer in rows.customers {
        block.extend_from_slice(column(rows.history(&customer.window)));
        if block.len() >= super::BLOCK {
            file.write(&block)?;
            block.clear();
        }
    }
    file.write(&block)
}
