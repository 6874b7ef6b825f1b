//! The same rows by the general Parquet writer: what our own encoder of lists is measured against.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, ListArray, RecordBatch};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use shardback::cut::{RowBlock, ShardRows};
use shardback::fsio::FileWriter;
use shardback::gather::Cpu;
use shardback::histories::Window;

/// The padded histories of a shard, block by block; what it costs to pad them is not part of the measurement.
pub(crate) fn padded(rows: &ShardRows<'_, i32>, history: usize) -> Vec<RecordBatch> {
    let batch = |block: RowBlock<i32>| {
        let windows: Vec<Window> = block.windows().collect();
        let mut items = vec![0i32; windows.len() * history];
        let mut types = vec![0u8; windows.len() * history];
        Cpu::pad(&block.piece().values.items, &windows, history, &mut items).unwrap();
        Cpu::pad(&block.piece().values.types, &windows, history, &mut types).unwrap();
        let types = types.into_iter().map(i32::from).collect();
        RecordBatch::try_from_iter([("actions", lists(items, history)), ("action_types", lists(types, history))])
            .unwrap()
    };
    rows.blocks().map(|block| batch(block.unwrap())).collect()
}

fn lists(values: Vec<i32>, history: usize) -> ArrayRef {
    let ends = (0..=values.len() / history).map(|row| (row * history) as i32).collect::<ScalarBuffer<i32>>();
    let element = Arc::new(Field::new("element", DataType::Int32, false));
    Arc::new(ListArray::new(element, OffsetBuffer::new(ends), Arc::new(Int32Array::from(values)), None))
}

/// Writes them with the compression that ours has, and syncs.
pub(crate) fn write(batches: &[RecordBatch], path: &Path) {
    let compression = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer =
        ArrowWriter::try_new(FileWriter::create(path).unwrap(), batches[0].schema(), Some(properties)).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.into_inner().unwrap().finish().unwrap().1.sync().unwrap();
}
