//! Padded rows as Parquet: row groups of 8,192 rows, fewer where K is above 1,024, and lists of exactly K values.
//!
//! ```text
//! row group ──► customer_id, item_id, is_order      the library's own column writers
//!          └──► actions, action_types               list.rs: each history is encoded once, its bytes repeated
//! ```
//!
//! Row groups are encoded in parallel, as many at once as the budget has room for, and appended in order; nothing about them
//! depends on threads or memory.

mod group;
mod hybrid;
mod list;

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{SchemaDescriptor, TypePtr};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::DayLayout;
use crate::config::Format;
use crate::cut::{RowBlock, ShardRows};
use crate::error::{Error, Result};
use crate::event::ItemId;
use crate::fsio::{FileWriter, Folder, Unsynced, Written};
use crate::layout::{Column, Dtype, Extent, columns, rows_per_group};
use crate::unify::Progress;
use group::{ColumnChunk, GroupEncoder};

/// The codec's level: most of what is left after each history is encoded once is repetition, which any level folds.
const ZSTD_LEVEL: i32 = 1;

pub(super) fn write<I: ItemId>(
    rows: &ShardRows<'_, I>,
    layout: DayLayout<'_>,
    folder: &Folder,
    progress: &Progress<'_>,
) -> Result<(Written, Unsynced)> {
    let name = Format::Parquet.shard_file(rows.shard);
    let path = &folder.path().join(&name);
    let encode = |source| Error::Encode { path: path.to_owned(), source };
    let columns = columns(Format::Parquet, I::DTYPE, layout.contents);
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
        let name = &column.name;
        let element = match column.dtype {
            Dtype::Bool if column.extent == Extent::Samples => "boolean",
            // Lists are kept by dictionary, which bools have none of.
            Dtype::Bool | Dtype::U8 | Dtype::I32 => "int32",
            Dtype::I64 => "int64",
            Dtype::F32 => "float",
            Dtype::F64 => "double",
        };
        match column.extent {
            Extent::Samples | Extent::Requests | Extent::Actions => format!("required {element} {name};"),
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

/// Encodes as many row groups at a time as there are threads and memory, and appends them in order.
fn append_groups<I: ItemId>(
    encoder: &GroupEncoder<I>,
    rows: &ShardRows<'_, I>,
    file: &mut SerializedFileWriter<Sink<'_>>,
) -> Result<(), ParquetError> {
    let budget = rows.budget();
    let mut groups = Groups { blocks: rows.blocks(), rest: None, rows: rows_per_group(encoder.history) };
    let most = encoder.most(groups.rows).bytes(encoder.history);
    loop {
        let (mut together, mut large) = (Vec::new(), None);
        while together.len() < rayon::current_num_threads() && large.is_none() {
            // Before its rows are there, a group is as large as any; they may have to be read from the spill disk.
            let Some(mut room) = budget.encode_beside(most) else { break };
            match file.inner_mut().keep(groups.next())? {
                Some(group) if room.resize(encoder.size(&group).bytes(encoder.history)) => together.push((group, room)),
                Some(group) => large = Some(group),
                None if together.is_empty() => return Ok(()),
                None => break,
            }
        }
        let encoded: Vec<_> = together.par_iter().map(|(group, room)| encoder.encode(group, room)).collect();
        for (columns, (group, _)) in encoded.into_iter().zip(&together) {
            append(file, columns?, group)?;
        }
        let is_next_alone = together.is_empty() || large.is_some();
        drop(together);
        if is_next_alone {
            // With what is kept free for this. Nothing in here waits for another thread of the pool.
            let room = budget.encode_alone();
            let group = if large.is_some() { large } else { file.inner_mut().keep(groups.next())? };
            let Some(group) = group else { return Ok(()) };
            append(file, encoder.encode(&group, &room)?, &group)?;
        }
    }
}

fn append<I: ItemId>(
    file: &mut SerializedFileWriter<Sink<'_>>,
    columns: Vec<ColumnChunk>,
    group: &[RowBlock<I>],
) -> Result<(), ParquetError> {
    let mut row_group = file.next_row_group()?;
    for (bytes, close) in columns {
        row_group.append_column(&bytes, close)?;
    }
    row_group.close()?;
    let rows = group.iter().map(|block| block.len() as u64).sum();
    file.inner_mut().report(rows)
}

/// Blocks cut at the row groups' bounds.
struct Groups<I, B> {
    blocks: B,
    /// What the last group left of its last block.
    rest: Option<RowBlock<I>>,
    /// The rows of each group but the last.
    rows: usize,
}

impl<I: ItemId, B: Iterator<Item = Result<RowBlock<I>>>> Groups<I, B> {
    /// The blocks of the next row group.
    fn next(&mut self) -> Result<Option<Vec<RowBlock<I>>>> {
        let (mut group, mut rows) = (Vec::new(), 0);
        while rows < self.rows {
            let block = match self.rest.take() {
                Some(rest) => rest,
                None => match self.blocks.next() {
                    Some(block) => block?,
                    None => break,
                },
            };
            if rows + block.len() > self.rows {
                let (head, rest) = block.split(self.rows - rows);
                self.rest = Some(rest);
                rows = self.rows;
                group.push(head);
            } else {
                rows += block.len();
                group.push(block);
            }
        }
        Ok(Some(group).filter(|group| !group.is_empty()))
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
