//! A shard's rows as a file of one of the formats.
//!
//! Knows formats and their bytes; knows nothing of where rows come from. Every file is written front to back as a stream,
//! so that no shard is ever held in memory, and its bytes follow from its rows and [`DayLayout`] alone.

mod dense;
mod jagged;
mod parquet;

use bytemuck::Pod;

use crate::config::Format;
use crate::cut::{RowBlock, ShardRows};
use crate::error::{Error, Result};
use crate::event::{Day, ItemId};
use crate::fsio::{FileWriter, Folder, Unsynced, Written};
use crate::gather::Gather;
use crate::histories::Request;
use crate::layout::{Dtype, Header, Stored, Tensor};
use crate::schema::Contents;
use crate::unify::Progress;

// Every format here is little-endian, and values are written as they stand in memory.
const _: () =
    assert!(cfg!(target_endian = "little"), "shardback writes memory as it is, so it needs a little-endian target");

/// What all the files of a day share.
#[derive(Clone, Copy, Debug)]
pub struct DayLayout<'a> {
    /// The day.
    pub day: Day,
    /// K, the length of a padded row.
    pub history: usize,
    /// The number of shards.
    pub shards: u32,
    /// The columns of samples and of actions.
    pub contents: &'a Contents,
}

impl DayLayout<'_> {
    fn header<I: ItemId>(
        &self,
        format: Format,
        rows: &ShardRows<'_, I>,
        stored: Option<Stored>,
        content: &str,
    ) -> Header {
        Header {
            format,
            day: self.day,
            history: self.history as u64,
            shard: rows.shard,
            shards: self.shards,
            rows: rows.rows,
            stored,
            item_dtype: I::DTYPE,
            contents: self.contents.clone(),
            content: content.to_owned(),
        }
    }
}

/// Writes one shard into a day's staged folder; it is yet to be synced.
///
/// `content` is the hash of what the shard holds, which its header has. `progress` takes the rows as they are written, and is asked between blocks whether to go on.
///
/// # Errors
/// What the disk, the encoder or `progress` says.
pub fn write_shard<I: ItemId>(
    format: Format,
    rows: &ShardRows<'_, I>,
    layout: DayLayout<'_>,
    content: &str,
    gather: &dyn Gather<I>,
    folder: &Folder,
    progress: &Progress<'_>,
) -> Result<(Written, Unsynced)> {
    match format {
        Format::Parquet => parquet::write(rows, layout, folder, progress),
        Format::Dense => dense::write(rows, layout, content, gather, folder, progress),
        Format::Jagged => jagged::write(rows, layout, content, folder, progress),
    }
}

/// A shard's file, which asks between blocks whether to go on.
struct Reported<'a> {
    file: FileWriter,
    /// What the file has to have in the end.
    bytes: u64,
    progress: &'a Progress<'a>,
}

impl<'a> Reported<'a> {
    /// Begins a shard's file with its header; what has to follow are the tensors, in their order.
    fn create(header: &Header, folder: &Folder, progress: &'a Progress<'a>) -> Result<(Self, Vec<Tensor>)> {
        let (head, tensors, bytes) = header.to_bytes()?;
        let file = folder.create(&header.format.shard_file(header.shard), bytes)?;
        let mut file = Self { file, bytes, progress };
        file.write(&head)?;
        Ok((file, tensors))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write(bytes)?;
        (self.progress)(0)
    }

    /// Ends the file, which has as many bytes as its header asks for: no row was left out and none written twice.
    fn finish(self) -> Result<(Written, Unsynced)> {
        let (written, unsynced) = self.file.finish()?;
        if written.bytes != self.bytes {
            return Err(Error::internal("a shard has as many bytes as its header asks for"));
        }
        Ok((written, unsynced))
    }

    /// Writes what `values_of` makes of each block of rows.
    fn write_blocks<I: ItemId, T: Pod>(
        &mut self,
        rows: &ShardRows<'_, I>,
        mut values_of: impl FnMut(&RowBlock<I>, &mut Vec<T>) -> Result<()>,
    ) -> Result<()> {
        let mut values = Vec::new();
        for block in rows.blocks() {
            values_of(&block?, &mut values)?;
            if values.len() * size_of::<T>() >= BLOCK {
                self.write(bytemuck::cast_slice(&values))?;
                values.clear();
            }
        }
        self.write(bytemuck::cast_slice(&values))
    }

    /// Writes what each request has, once for each of its samples.
    fn write_of_requests<I: ItemId>(&mut self, rows: &ShardRows<'_, I>, value: impl Fn(&Request) -> i64) -> Result<()> {
        self.write_blocks(rows, |block, out: &mut Vec<i64>| {
            out.extend(block.requests().flat_map(|(request, count)| std::iter::repeat_n(value(request), count)));
            Ok(())
        })
    }

    fn write_items<I: ItemId>(&mut self, rows: &ShardRows<'_, I>) -> Result<()> {
        self.write_blocks(rows, |block, out| {
            out.extend_from_slice(block.items());
            Ok(())
        })
    }

    /// Writes a column of samples.
    fn write_column<I: ItemId>(&mut self, rows: &ShardRows<'_, I>, column: usize, dtype: Dtype) -> Result<()> {
        self.write_blocks(rows, |block, out| {
            out.extend_from_slice(block.column(column, dtype.width())?);
            Ok(())
        })
    }
}

/// Bytes handed to a file at a time: few enough that they are still in a core's cache when they are hashed and copied.
const BLOCK: usize = 256 << 10;
