//! One row group: what it takes to encode, and its columns.

use std::iter::repeat_n;
use std::marker::PhantomData;
use std::sync::Arc;

use bytemuck::Pod;
use bytes::Bytes;
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::list::{self, ListValue, Need};
use crate::cut::RowBlock;
use crate::error::{Error, Result};
use crate::event::{ItemDtype, ItemId};
use crate::histories::{Request, Room};
use crate::layout::{Column, Dtype, Extent, Role};

/// An encoded column of a row group, and what the file's footer says of it.
pub(super) type ColumnChunk = (Bytes, ColumnCloseResult);

/// What it takes to encode a row group follows from this.
pub(super) struct GroupSize<I> {
    rows: usize,
    /// Of each of the lists, the values of histories: those of a customer once.
    values: usize,
    /// What was read back from the spill disk for it.
    read_back: u64,
    /// The bytes of a row's flat values.
    flat: usize,
    /// The lists beside items and types.
    lists: usize,
    item: PhantomData<I>,
}

impl<I: ItemId> GroupSize<I> {
    /// The bytes that are needed whatever the values are.
    fn own_bytes(&self) -> u64 {
        // As values, as the encoder has them, and encoded.
        let flat = 4 * self.rows * self.flat;
        self.read_back + flat as u64
    }

    /// The bytes that are needed at most: where no value is there twice, and no two rows share a history.
    pub(super) fn bytes(&self, history: usize) -> u64 {
        let lists = (self.lists as u64).saturating_mul(list::most_bytes::<i64>(self.values, self.rows * history));
        self.own_bytes() + list::most_bytes::<I>(self.values, self.rows * history) + lists
    }
}

/// Encodes row groups.
pub(super) struct GroupEncoder<I> {
    pub(super) history: usize,
    pub(super) columns: Vec<Column>,
    /// Of each column; a list has one leaf, as has a flat column, so their places are the same.
    pub(super) descriptors: SchemaDescriptor,
    pub(super) properties: WriterPropertiesPtr,
    pub(super) item: PhantomData<I>,
}

impl<I: ItemId> GroupEncoder<I> {
    /// What a row group takes to encode at most.
    pub(super) fn most(&self, rows: usize) -> GroupSize<I> {
        let values = rows * self.history;
        let of_actions = |column: &Column| if column.extent == Extent::Histories { column.dtype.width() } else { 0 };
        let wide: usize = self.columns.iter().map(of_actions).sum();
        let read_back = values * wide + rows * (size_of::<Request>() + self.flat_bytes());
        self.group_size(rows, values, read_back as u64)
    }

    /// What this row group takes to encode.
    pub(super) fn size(&self, blocks: &[RowBlock<I>]) -> GroupSize<I> {
        let values = |block: &RowBlock<I>| block.requests().map(|(request, _)| request.length as usize).sum::<usize>();
        self.group_size(
            blocks.iter().map(RowBlock::len).sum(),
            blocks.iter().map(values).sum(),
            blocks.iter().map(RowBlock::read_back_bytes).sum(),
        )
    }

    fn group_size(&self, rows: usize, values: usize, read_back: u64) -> GroupSize<I> {
        let lists = self.columns.iter().filter(|column| matches!(column.role, Role::OfActions(_))).count();
        GroupSize { rows, values, read_back, flat: self.flat_bytes(), lists, item: PhantomData }
    }

    fn flat_bytes(&self) -> usize {
        let flat = self.columns.iter().filter(|column| column.extent == Extent::Samples);
        flat.map(|column| column.dtype.width()).sum()
    }

    /// The columns of a row group, in the order of the schema.
    ///
    /// # Errors
    /// What the encoder says, and [`Error::Memory`](crate::error::Error::Memory) where more room is needed than there is.
    pub(super) fn encode(&self, blocks: &[RowBlock<I>], room: &Room<'_>) -> Result<Vec<ColumnChunk>, ParquetError> {
        let own = self.size(blocks).own_bytes();
        let requests = || {
            let of_block = |block| RowBlock::requests(block).map(move |(request, count)| (block, request, count));
            blocks.iter().flat_map(of_block)
        };
        let of_requests = |value: fn(&Request) -> i64| {
            Flat::I64(requests().flat_map(|(_, request, count)| repeat_n(value(request), count)).collect())
        };
        let mut histories = Vec::new();
        for (block, request, count) in requests() {
            let history = block.history(&request.window()).map_err(|error| ParquetError::External(Box::new(error)))?;
            histories.push((history, count));
        }
        let items: Vec<_> = histories.iter().map(|&((items, _), count)| (items, count)).collect();
        let types: Vec<_> = histories.iter().map(|&((_, types), count)| (types, count)).collect();
        // The lists that are encoded, which are held until all of them are.
        let mut encoded = 0;
        let encode = |place: usize, column: &Column, encoded: u64| {
            let need =
                |bytes: u64| room.need(own + encoded + bytes).map_err(|error| ParquetError::External(Box::new(error)));
            let descriptor = self.descriptors.column(place);
            match column.role {
                Role::Customer => self.flat(descriptor, of_requests(|request| request.customer)),
                Role::RequestTime => self.flat(descriptor, of_requests(|request| request.time)),
                Role::RequestId => self.flat(descriptor, of_requests(|request| request.id)),
                Role::Item => {
                    self.flat(descriptor, Flat::items(blocks.iter().flat_map(|block| block.items().iter().copied())))
                }
                Role::OfSamples(place) => {
                    let values = Flat::column(blocks, place, column.dtype);
                    self.flat(descriptor, values.map_err(|error| ParquetError::External(Box::new(error)))?)
                }
                Role::Actions => self.items(descriptor, &items, &need),
                Role::ActionTypes => list::encode(descriptor, &types, self.history, &need),
                Role::OfActions(place) => {
                    let histories = requests().map(|(block, request, count)| {
                        Ok((block.piece().values.column(place)?.history(&request.window())?, count))
                    });
                    let histories = histories.collect::<Result<Vec<_>>>();
                    let histories = histories.map_err(|error| ParquetError::External(Box::new(error)))?;
                    match column.dtype {
                        Dtype::Bool | Dtype::U8 => list::encode(descriptor, &histories, self.history, &need),
                        Dtype::I32 | Dtype::F32 => self.list::<i32>(descriptor, &histories, &need),
                        Dtype::I64 | Dtype::F64 => self.list::<i64>(descriptor, &histories, &need),
                    }
                }
                Role::Request | Role::HistoryStart | Role::HistoryLength => {
                    Err(ParquetError::External(Box::new(Error::internal("Parquet parts have no windows"))))
                }
            }
        };
        let chunks = self.columns.iter().enumerate().map(|(place, column)| {
            let chunk = encode(place, column, encoded)?;
            encoded += chunk.0.len() as u64;
            Ok(chunk)
        });
        chunks.collect()
    }

    fn items(
        &self,
        column: ColumnDescPtr,
        histories: &[(&[I], usize)],
        need: &Need<'_>,
    ) -> Result<ColumnChunk, ParquetError> {
        fn cast<'a, I: ItemId, V: ListValue + bytemuck::Pod>(histories: &[(&'a [I], usize)]) -> Vec<(&'a [V], usize)> {
            histories.iter().map(|&(items, count)| (bytemuck::cast_slice(items), count)).collect()
        }
        match I::DTYPE {
            ItemDtype::I32 => list::encode(column, &cast::<I, i32>(histories), self.history, need),
            ItemDtype::I64 => list::encode(column, &cast::<I, i64>(histories), self.history, need),
        }
    }

    /// A list of numbers, by their bits: they are told apart and stored by those alone.
    fn list<V: ListValue + Pod>(
        &self,
        column: ColumnDescPtr,
        histories: &[(&[u8], usize)],
        need: &Need<'_>,
    ) -> Result<ColumnChunk, ParquetError> {
        let values = |bytes: &'_ [u8]| bytemuck::pod_collect_to_vec::<u8, V>(bytes);
        let owned: Vec<(Vec<V>, usize)> = histories.iter().map(|&(bytes, count)| (values(bytes), count)).collect();
        let histories: Vec<(&[V], usize)> = owned.iter().map(|(values, count)| (values.as_slice(), *count)).collect();
        list::encode(column, &histories, self.history, need)
    }

    fn flat(&self, column: ColumnDescPtr, values: Flat) -> Result<ColumnChunk, ParquetError> {
        let mut sink = TrackedWrite::new(Vec::new());
        let pages = Box::new(SerializedPageWriter::new(&mut sink));
        let mut writer = get_column_writer(Arc::clone(&column), Arc::clone(&self.properties), pages);
        match (&mut writer, values) {
            (ColumnWriter::Int64ColumnWriter(writer), Flat::I64(values)) => writer.write_batch(&values, None, None)?,
            (ColumnWriter::Int32ColumnWriter(writer), Flat::I32(values)) => writer.write_batch(&values, None, None)?,
            (ColumnWriter::BoolColumnWriter(writer), Flat::Bool(values)) => writer.write_batch(&values, None, None)?,
            (ColumnWriter::FloatColumnWriter(writer), Flat::F32(values)) => writer.write_batch(&values, None, None)?,
            (ColumnWriter::DoubleColumnWriter(writer), Flat::F64(values)) => writer.write_batch(&values, None, None)?,
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
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Flat {
    /// A column of samples.
    fn column<I: ItemId>(blocks: &[RowBlock<I>], column: usize, dtype: Dtype) -> Result<Self> {
        let mut bytes = Vec::new();
        for block in blocks {
            bytes.extend_from_slice(block.column(column, dtype.width())?);
        }
        Ok(match dtype {
            Dtype::Bool => Self::Bool(bytes.iter().map(|&byte| byte != 0).collect()),
            // Parquet has nothing narrower.
            Dtype::U8 => Self::I32(bytes.iter().map(|&byte| i32::from(byte)).collect()),
            Dtype::I32 => Self::I32(bytemuck::pod_collect_to_vec(&bytes)),
            Dtype::I64 => Self::I64(bytemuck::pod_collect_to_vec(&bytes)),
            Dtype::F32 => Self::F32(bytemuck::pod_collect_to_vec(&bytes)),
            Dtype::F64 => Self::F64(bytemuck::pod_collect_to_vec(&bytes)),
        })
    }

    fn items<I: ItemId>(items: impl Iterator<Item = I>) -> Self {
        match I::DTYPE {
            ItemDtype::I32 => Self::I32(bytemuck::cast_vec(items.collect::<Vec<I>>())),
            ItemDtype::I64 => Self::I64(bytemuck::cast_vec(items.collect::<Vec<I>>())),
        }
    }
}
