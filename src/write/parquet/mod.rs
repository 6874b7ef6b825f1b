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
use std::iter::repeat_n;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor, TypePtr};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::DayLayout;
use crate::config::Format;
use crate::cut::{Block, ShardRows};
use crate::error::{Error, Result};
use crate::event::{ItemDtype, ItemId};
use crate::fsio::{FileWriter, Folder, Unsynced, Written};
use crate::layout::{Column, Dtype, Extent, ROWS_PER_GROUP, Role, columns};
use crate::unify::Progress;
use list::ListValue;

/// The codec's level: most of what is left after each history is encoded once is repetition, which any level folds.
const ZSTD_LEVEL: i32 = 1;

/// An encoded column of a row group, and what the file's footer says of it.
type ColumnChunk = (Bytes, ColumnCloseResult);

pub(super) fn write<I: ItemId>(
    rows: &ShardRows<'_, I>,
    layout: DayLayout,
    folder: &Folder,
    progress: &Progress<'_>,
) -> Result<(Written, Unsynced)> {
    let name = Format::Parquet.shard_file(rows.shard);
    let path = &folder.path().join(&name);
    let encode = |source| Error::Encode { path: path.to_owned(), source };
    let columns = columns(Format::Parquet, I::DTYPE);
    let schema = schema(&columns).map_err(encode)?;
    let properties = Arc::new(properties().map_err(encode)?);
    let encoder = GroupEncoder {
        history: layout.history,
        columns,
        descriptors: SchemaDescriptor::new(Arc::clone(&schema)),
        properties: Arc::clone(&properties),
        item: PhantomData,
    };
    let sink = Sink { file: Some(folder.create(&name, 0)?), progress, error: None };
    let mut file = SerializedFileWriter::new(sink, schema, properties).map_err(encode)?;
    let encoded = append_groups(&encoder, rows, &mut file).and_then(|()| Ok(file.finish()?.file_metadata().num_rows()));
    let sink = file.inner_mut();
    // What the disk or `progress` said comes before what the encoder makes of it.
    match (sink.error.take(), encoded, sink.file.take()) {
        (Some(error), ..) => Err(error),
        (None, Err(ParquetError::External(error)), _) => {
            Err(error.downcast::<Error>().map_or_else(|error| encode(ParquetError::External(error)), |error| *error))
        }
        (None, Err(error), _) => Err(encode(error)),
        (None, Ok(written), Some(_)) if u64::try_from(written) != Ok(rows.rows) => {
            Err(Error::internal("a part has as many rows as its shard"))
        }
        (None, Ok(_), Some(file)) => file.finish(),
        (None, Ok(_), None) => Err(encode(ParquetError::General("the file is finished already".to_owned()))),
    }
}

fn schema(columns: &[Column]) -> Result<TypePtr, ParquetError> {
    let field = |column: &Column| {
        let name = column.role.name();
        let element = match column.dtype {
            Dtype::Bool => "boolean",
            Dtype::U8 | Dtype::I32 => "int32",
            Dtype::I64 => "int64",
        };
        match column.extent {
            Extent::Samples | Extent::Actions => format!("required {element} {name};"),
            Extent::Histories => {
                format!("required group {name} (LIST) {{ repeated group list {{ required {element} element; }} }}")
            }
        }
    };
    let fields: String = columns.iter().map(field).collect();
    parse_message_type(&format!("message schema {{ {fields} }}")).map(Arc::new)
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
    encoder: &GroupEncoder<I>,
    rows: &ShardRows<'_, I>,
    file: &mut SerializedFileWriter<Sink<'_>>,
) -> Result<(), ParquetError> {
    let mut groups = Groups { blocks: rows.blocks(), rest: None };
    loop {
        let mut together = Vec::new();
        while together.len() < rayon::current_num_threads() {
            match file.inner_mut().keep(groups.next())? {
                Some(group) => together.push(group),
                None => break,
            }
        }
        if together.is_empty() {
            return Ok(());
        }
        let encoded: Vec<_> = together.par_iter().map(|group| encoder.encode(group)).collect();
        for (columns, group) in encoded.into_iter().zip(&together) {
            let mut row_group = file.next_row_group()?;
            for (bytes, close) in columns? {
                row_group.append_column(&bytes, close)?;
            }
            row_group.close()?;
            let rows = group.iter().map(|block| block.len() as u64).sum();
            file.inner_mut().report(rows)?;
        }
    }
}

/// Blocks cut at the row groups' bounds.
struct Groups<I, B> {
    blocks: B,
    /// What the last group left of its last block.
    rest: Option<Block<I>>,
}

impl<I: ItemId, B: Iterator<Item = Result<Block<I>>>> Groups<I, B> {
    /// The blocks of the next row group.
    fn next(&mut self) -> Result<Option<Vec<Block<I>>>> {
        let (mut group, mut rows) = (Vec::new(), 0);
        while rows < ROWS_PER_GROUP {
            let block = match self.rest.take() {
                Some(rest) => rest,
                None => match self.blocks.next() {
                    Some(block) => block?,
                    None => break,
                },
            };
            if rows + block.len() > ROWS_PER_GROUP {
                let (head, rest) = block.split(ROWS_PER_GROUP - rows);
                self.rest = Some(rest);
                rows = ROWS_PER_GROUP;
                group.push(head);
            } else {
                rows += block.len();
                group.push(block);
            }
        }
        Ok(Some(group).filter(|group| !group.is_empty()))
    }
}

/// Encodes row groups.
struct GroupEncoder<I> {
    history: usize,
    columns: Vec<Column>,
    /// Of each column; a list has one leaf, as has a flat column, so their places are the same.
    descriptors: SchemaDescriptor,
    properties: WriterPropertiesPtr,
    item: PhantomData<I>,
}

impl<I: ItemId> GroupEncoder<I> {
    /// The columns of a row group, in the order of the schema.
    fn encode(&self, blocks: &[Block<I>]) -> Result<Vec<ColumnChunk>, ParquetError> {
        let customers = || blocks.iter().flat_map(|block| block.customers().map(move |customer| (block, customer)));
        let mut histories = Vec::new();
        for (block, (_, window, count)) in customers() {
            let history = block.history(&window).map_err(|error| ParquetError::External(Box::new(error)))?;
            histories.push((history, count));
        }
        let items: Vec<_> = histories.iter().map(|&((items, _), count)| (items, count)).collect();
        let types: Vec<_> = histories.iter().map(|&((_, types), count)| (types, count)).collect();
        let encode = |(place, column): (usize, &Column)| {
            let descriptor = self.descriptors.column(place);
            match column.role {
                Role::Customer => {
                    let ids = customers().flat_map(|(_, (customer, _, count))| repeat_n(customer, count));
                    self.flat(descriptor, Flat::I64(ids.collect()))
                }
                Role::Item => {
                    self.flat(descriptor, Flat::items(blocks.iter().flat_map(|block| block.items().iter().copied())))
                }
                Role::Label => {
                    let labels = blocks.iter().flat_map(|block| block.labels().iter().map(|&label| label != 0));
                    self.flat(descriptor, Flat::Bool(labels.collect()))
                }
                Role::Actions => self.items(descriptor, &items),
                Role::ActionTypes => list::encode(descriptor, &types, self.history),
                Role::HistoryStart | Role::HistoryLength => {
                    Err(ParquetError::External(Box::new(Error::internal("Parquet parts have no windows"))))
                }
            }
        };
        self.columns.iter().enumerate().map(encode).collect()
    }

    fn items(&self, column: ColumnDescPtr, histories: &[(&[I], usize)]) -> Result<ColumnChunk, ParquetError> {
        fn cast<'a, I: ItemId, V: ListValue + bytemuck::Pod>(histories: &[(&'a [I], usize)]) -> Vec<(&'a [V], usize)> {
            histories.iter().map(|&(items, count)| (bytemuck::cast_slice(items), count)).collect()
        }
        match I::DTYPE {
            ItemDtype::I32 => list::encode(column, &cast::<I, i32>(histories), self.history),
            ItemDtype::I64 => list::encode(column, &cast::<I, i64>(histories), self.history),
        }
    }

    fn flat(&self, column: ColumnDescPtr, values: Flat) -> Result<ColumnChunk, ParquetError> {
        let mut sink = TrackedWrite::new(Vec::new());
        let pages = Box::new(SerializedPageWriter::new(&mut sink));
        let mut writer = get_column_writer(Arc::clone(&column), Arc::clone(&self.properties), pages);
        match (&mut writer, values) {
            (ColumnWriter::Int64ColumnWriter(writer), Flat::I64(values)) => writer.write_batch(&values, None, None)?,
            (ColumnWriter::Int32ColumnWriter(writer), Flat::I32(values)) => writer.write_batch(&values, None, None)?,
            (ColumnWriter::BoolColumnWriter(writer), Flat::Bool(values)) => writer.write_batch(&values, None, None)?,
            _ => return Err(ParquetError::General(format!("`{}` has another type than its values", column.path()))),
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
        let result = (self.progress)(rows);
        self.keep(result)
    }

    /// Passes a result on; an error of ours is kept and stands for it.
    fn keep<T>(&mut self, result: Result<T>) -> Result<T, ParquetError> {
        result.map_err(|error| {
            self.error.get_or_insert(error);
            ParquetError::General("the rows cannot be had".to_owned())
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
