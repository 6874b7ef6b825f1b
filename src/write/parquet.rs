//! Padded rows as Parquet: one flat row group after another, lists of exactly K values.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

use super::DayLayout;
use crate::cut::ShardRows;
use crate::error::{Error, Result};
use crate::event::{ItemDtype, ItemId};
use crate::fsio::{FileWriter, Written};
use crate::gather::Gather;
use crate::unify::Progress;

/// Rows of every row group but the last of a file.
pub(crate) const ROWS_PER_GROUP: usize = 8192;
/// Rows encoded at a time; a row group is a whole number of these, so page cuts do not depend on anything else.
const ROWS_PER_BATCH: usize = 1024;

pub(super) fn write<I: ItemId>(
    rows: &ShardRows<'_, I>,
    layout: DayLayout,
    gather: &dyn Gather<I>,
    path: &Path,
    progress: &Progress<'_>,
) -> Result<Written> {
    let schema = schema(I::DTYPE);
    let encode = |source| Error::Encode { path: path.to_owned(), source };
    let options =
        ArrowWriterOptions::new().with_properties(properties().map_err(encode)?).with_skip_arrow_metadata(true);
    let sink = Sink { file: Some(FileWriter::create(path, None)?), progress, error: None };
    let mut writer = ArrowWriter::try_new_with_options(sink, Arc::clone(&schema), options).map_err(encode)?;
    let mut encode_all = || -> Result<(), ParquetError> {
        for start in (0..rows.samples.len()).step_by(ROWS_PER_BATCH) {
            let end = rows.samples.len().min(start + ROWS_PER_BATCH);
            writer.write(&batch(rows, start, end, layout.history, gather, &schema)?)?;
            writer.inner_mut().report((end - start) as u64)?;
        }
        writer.finish().map(drop)
    };
    let encoded = encode_all();
    let sink = writer.inner_mut();
    match (sink.error.take(), sink.file.take(), encoded) {
        (Some(error), ..) => Err(error),
        (None, _, Err(error)) => Err(encode(error)),
        (None, Some(file), Ok(())) => file.finish(),
        (None, None, Ok(())) => Err(encode(ParquetError::General("finished twice".to_owned()))),
    }
}

fn properties() -> Result<WriterProperties, ParquetError> {
    Ok(WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("shardback".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build())
}

fn schema(item: ItemDtype) -> Arc<Schema> {
    let item = match item {
        ItemDtype::I32 => DataType::Int32,
        ItemDtype::I64 => DataType::Int64,
    };
    let list = |element: &DataType| DataType::List(element_field(element));
    Arc::new(Schema::new(vec![
        Field::new("customer_id", DataType::Int64, false),
        Field::new("item_id", item.clone(), false),
        Field::new("is_order", DataType::Boolean, false),
        Field::new("actions", list(&item), false),
        Field::new("action_types", list(&DataType::Int32), false),
    ]))
}

fn element_field(element: &DataType) -> Arc<Field> {
    Arc::new(Field::new("element", element.clone(), false))
}

fn batch<I: ItemId>(
    rows: &ShardRows<'_, I>,
    start: usize,
    end: usize,
    history: usize,
    gather: &dyn Gather<I>,
    schema: &Arc<Schema>,
) -> Result<RecordBatch, ParquetError> {
    let samples = &rows.samples[start..end];
    let windows: Vec<_> = rows.windows(start..end).collect();
    let mut items = vec![I::zeroed(); samples.len() * history];
    gather.items(rows.buckets, &windows, history, &mut items);
    let mut types = vec![0; samples.len() * history];
    gather.types(rows.buckets, &windows, history, &mut types);
    let list = |values: ArrayRef| {
        let offsets = OffsetBuffer::from_repeated_length(history, samples.len());
        ListArray::try_new(element_field(values.data_type()), offsets, values, None)
    };
    let types: Int32Array = types.into_iter().map(i32::from).collect::<Vec<_>>().into();
    Ok(RecordBatch::try_new(
        Arc::clone(schema),
        vec![
            Arc::new(
                samples.iter().map(|sample| sample.customer).collect::<Vec<_>>().into_iter().collect::<Int64Array>(),
            ),
            item_array(samples.iter().map(|sample| sample.item).collect()),
            Arc::new(samples.iter().map(|sample| Some(sample.is_order)).collect::<BooleanArray>()),
            Arc::new(list(item_array(items))?),
            Arc::new(list(Arc::new(types))?),
        ],
    )?)
}

fn item_array<I: ItemId>(items: Vec<I>) -> ArrayRef {
    match I::DTYPE {
        ItemDtype::I32 => Arc::new(Int32Array::from(bytemuck::cast_vec::<I, i32>(items))),
        ItemDtype::I64 => Arc::new(Int64Array::from(bytemuck::cast_vec::<I, i64>(items))),
    }
}

/// What the encoder writes to. It keeps the first error as it is, since the encoder would make text of it.
struct Sink<'a> {
    /// Taken out once the encoder is done.
    file: Option<FileWriter>,
    progress: &'a Progress<'a>,
    error: Option<Error>,
}

impl Sink<'_> {
    fn report(&mut self, rows: u64) -> Result<(), ParquetError> {
        (self.progress)(rows).map_err(|error| {
            self.error.get_or_insert(error);
            ParquetError::General("told to stop".to_owned())
        })
    }
}

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Err(io::Error::other("the file is finished")) };
        match file.write(bytes).and_then(|()| (self.progress)(0)) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.error.get_or_insert(error);
                Err(io::Error::other("the file cannot be written"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
