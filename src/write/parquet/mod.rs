//! Padded rows as Parquet: row groups of exactly 8,192 rows, lists of exactly K values.
//!
//! ```text
//! row group ──► customer_id, item_id, is_order      the library's own column writers
//!          └──► actions, action_types               list.rs: each history is encoded once, its bytes repeated
//! ```
//!
//! Row groups are encoded in parallel and appended in order; nothing about them depends on threads or memory.

mod hybrid;
mod list;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor, TypePtr};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::DayLayout;
use crate::cut::ShardRows;
use crate::error::{Error, Result};
use crate::event::{ItemDtype, ItemId};
use crate::fsio::{FileWriter, Written};
use crate::unify::Progress;
use list::ListValue;

/// Rows of every row group but the last of a file.
pub(super) const ROWS_PER_GROUP: usize = 8192;

/// The codec's level: most of what is left after each history is encoded once is repetition, which any level folds.
const ZSTD_LEVEL: i32 = 1;

/// An encoded column of a row group, and what the file's footer says of it.
type ColumnChunk = (Bytes, ColumnCloseResult);

pub(super) fn write<I: ItemId>(
    rows: &ShardRows<'_, I>,
    layout: DayLayout,
    path: &Path,
    progress: &Progress<'_>,
) -> Result<Written> {
    let encode = |source| Error::Encode { path: path.to_owned(), source };
    let schema = schema(I::DTYPE).map_err(encode)?;
    let properties = Arc::new(properties().map_err(encode)?);
    let encoder = GroupEncoder {
        rows,
        history: layout.history,
        columns: SchemaDescriptor::new(Arc::clone(&schema)),
        properties: Arc::clone(&properties),
    };
    let sink = Sink { file: Some(FileWriter::create(path, None)?), progress, error: None };
    let mut file = SerializedFileWriter::new(sink, schema, properties).map_err(encode)?;
    let encoded = append_groups(&encoder, &mut file).and_then(|()| file.finish().map(drop));
    let sink = file.inner_mut();
    // What the disk or `progress` said comes before what the encoder makes of it.
    match (sink.error.take(), encoded, sink.file.take()) {
        (Some(error), ..) => Err(error),
        (None, Err(error), _) => Err(encode(error)),
        (None, Ok(()), Some(file)) => file.finish(),
        (None, Ok(()), None) => Err(encode(ParquetError::General("the file is finished already".to_owned()))),
    }
}

fn schema(item: ItemDtype) -> Result<TypePtr, ParquetError> {
    let item = match item {
        ItemDtype::I32 => "int32",
        ItemDtype::I64 => "int64",
    };
    let message = format!(
        "message schema {{
            required int64 customer_id;
            required {item} item_id;
            required boolean is_order;
            required group actions (LIST) {{ repeated group list {{ required {item} element; }} }}
            required group action_types (LIST) {{ repeated group list {{ required int32 element; }} }}
        }}"
    );
    parse_message_type(&message).map(Arc::new)
}

fn properties() -> Result<WriterProperties, ParquetError> {
    Ok(WriterProperties::builder()
        .set_created_by("shardback".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build())
}

/// Encodes as many row groups at a time as there are threads, and appends them in order.
fn append_groups<I: ItemId>(
    encoder: &GroupEncoder<'_, I>,
    file: &mut SerializedFileWriter<Sink<'_>>,
) -> Result<(), ParquetError> {
    let count = encoder.rows.samples.len();
    let groups: Vec<Range<usize>> =
        (0..count).step_by(ROWS_PER_GROUP).map(|start| start..count.min(start + ROWS_PER_GROUP)).collect();
    for groups in groups.chunks(rayon::current_num_threads()) {
        let encoded: Vec<_> = groups.into_par_iter().map(|group| encoder.encode(group)).collect();
        for (columns, group) in encoded.into_iter().zip(groups) {
            let mut row_group = file.next_row_group()?;
            for (bytes, close) in columns? {
                row_group.append_column(&bytes, close)?;
            }
            row_group.close()?;
            file.inner_mut().report(group.len() as u64)?;
        }
    }
    Ok(())
}

/// Encodes row groups of one shard.
struct GroupEncoder<'a, I> {
    rows: &'a ShardRows<'a, I>,
    history: usize,
    columns: SchemaDescriptor,
    properties: WriterPropertiesPtr,
}

impl<I: ItemId> GroupEncoder<'_, I> {
    /// The columns of some rows, in the order of the schema.
    fn encode(&self, rows: &Range<usize>) -> Result<Vec<ColumnChunk>, ParquetError> {
        let samples = &self.rows.samples[rows.clone()];
        let histories: Vec<_> =
            self.rows.histories(rows.clone()).map(|(window, count)| (self.rows.history(&window), count)).collect();
        let items: Vec<_> = histories.iter().map(|&((items, _), count)| (items, count)).collect();
        let types: Vec<_> = histories.iter().map(|&((_, types), count)| (types, count)).collect();
        Ok(vec![
            self.flat(0, Flat::I64(samples.iter().map(|sample| sample.customer).collect()))?,
            self.flat(1, Flat::items(samples.iter().map(|sample| sample.item)))?,
            self.flat(2, Flat::Bool(samples.iter().map(|sample| sample.is_order).collect()))?,
            self.items(&items)?,
            list::encode(self.columns.column(4), &types, self.history)?,
        ])
    }

    fn items(&self, histories: &[(&[I], usize)]) -> Result<ColumnChunk, ParquetError> {
        fn cast<'a, I: ItemId, V: ListValue + bytemuck::Pod>(histories: &[(&'a [I], usize)]) -> Vec<(&'a [V], usize)> {
            histories.iter().map(|&(items, count)| (bytemuck::cast_slice(items), count)).collect()
        }
        let column: ColumnDescPtr = self.columns.column(3);
        match I::DTYPE {
            ItemDtype::I32 => list::encode(column, &cast::<I, i32>(histories), self.history),
            ItemDtype::I64 => list::encode(column, &cast::<I, i64>(histories), self.history),
        }
    }

    fn flat(&self, column: usize, values: Flat) -> Result<ColumnChunk, ParquetError> {
        let mut sink = TrackedWrite::new(Vec::new());
        let pages = Box::new(SerializedPageWriter::new(&mut sink));
        let mut writer = get_column_writer(self.columns.column(column), Arc::clone(&self.properties), pages);
        match (&mut writer, values) {
            (ColumnWriter::Int64ColumnWriter(writer), Flat::I64(values)) => writer.write_batch(&values, None, None)?,
            (ColumnWriter::Int32ColumnWriter(writer), Flat::I32(values)) => writer.write_batch(&values, None, None)?,
            (ColumnWriter::BoolColumnWriter(writer), Flat::Bool(values)) => writer.write_batch(&values, None, None)?,
            _ => return Err(ParquetError::General(format!("column {column} has another type than its values"))),
        };
        let close = writer.close()?;
        Ok((sink.into_inner()?.into(), close))
    }
}

/// The values of a flat column.
enum Flat {
    I64(Vec<i64>),
    I32(Vec<i32>),
    Bool(Vec<bool>),
}

impl Flat {
    fn items<I: ItemId>(items: impl Iterator<Item = I>) -> Self {
        match I::DTYPE {
            ItemDtype::I32 => Self::I32(bytemuck::cast_vec(items.collect::<Vec<I>>())),
            ItemDtype::I64 => Self::I64(bytemuck::cast_vec(items.collect::<Vec<I>>())),
        }
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
        match file.write(bytes) {
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
