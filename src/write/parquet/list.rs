//! A column of lists of exactly K values, where neighbouring rows share their list.
//!
//! A list without nulls has levels known in closed form, and rows of one customer hold the same values. So a history's
//! dictionary indices are packed once, as runs that end with the row, and the bytes are repeated for every row:
//!
//! ```text
//! row    bit-packed run: the history          run of index 0: the padding
//!        (up to the next multiple of eight,   or, where K leaves no room for that multiple,
//!         zeros are padding)                  short runs for the last values
//! page   repetition levels · definition levels · index width · row · row · row …
//! ```

use std::hash::Hash;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use rustc_hash::FxHashMap;

use super::{ColumnChunk, ZSTD_LEVEL, hybrid};

/// Values of a page: cuts depend on K alone, and a page is about as large as a core's cache.
const VALUES_PER_PAGE: usize = 1 << 19;

/// A value of a list, as a page holds it.
pub(super) trait ListValue: Copy + Eq + Hash + Default {
    /// Appends the value as PLAIN encodes it.
    fn plain(self, out: &mut Vec<u8>);
}

impl ListValue for i32 {
    fn plain(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl ListValue for i64 {
    fn plain(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

/// Action types are 32 bits wide in Parquet, which has nothing narrower.
impl ListValue for u8 {
    fn plain(self, out: &mut Vec<u8>) {
        i32::from(self).plain(out);
    }
}

/// Encodes the lists of a row group: each history with the number of rows that share it.
pub(super) fn encode<V: ListValue>(
    column: ColumnDescPtr,
    histories: &[(&[V], usize)],
    length: usize,
) -> Result<ColumnChunk> {
    let (dictionary, indices) = index(histories)?;
    let width = (usize::BITS - (dictionary.len() - 1).leading_zeros()).max(1);
    let mut chunk = ChunkWriter::new(length, width)?;
    chunk.dictionary(&dictionary)?;
    let mut row = Vec::new();
    let mut rest = indices.as_slice();
    for &(history, rows) in histories {
        let (own, others) = rest.split_at(history.len());
        rest = others;
        row.clear();
        encode_row(own, length, width, &mut row);
        chunk.rows(&row, rows)?;
    }
    chunk.finish(column)
}

/// The distinct values in the order in which they come, zero first, and the place of each value among them.
fn index<V: ListValue>(histories: &[(&[V], usize)]) -> Result<(Vec<V>, Vec<u32>)> {
    let mut dictionary = vec![V::default()];
    let mut places = FxHashMap::from_iter([(V::default(), 0u32)]);
    let mut indices = Vec::with_capacity(histories.iter().map(|(history, _)| history.len()).sum());
    for value in histories.iter().flat_map(|(history, _)| history.iter()) {
        let next = u32::try_from(dictionary.len()).map_err(|_| too_large())?;
        indices.push(*places.entry(*value).or_insert_with(|| {
            dictionary.push(*value);
            next
        }));
    }
    Ok((dictionary, indices))
}

/// Appends the runs of one row: the indices of its history, and zeros up to `length`.
fn encode_row(indices: &[u32], length: usize, width: u32, row: &mut Vec<u8>) {
    let padded = indices.len().next_multiple_of(8);
    let (packed, covered) =
        if padded <= length { (indices.len(), padded) } else { (indices.len() / 8 * 8, indices.len() / 8 * 8) };
    let (packed, rest) = indices.split_at(packed);
    hybrid::packed(packed, width, row);
    for &index in rest {
        hybrid::run(index, 1, width, row);
    }
    hybrid::run(0, length - covered - rest.len(), width, row);
}

/// The pages of a column chunk.
struct ChunkWriter {
    length: usize,
    width: u32,
    sink: TrackedWrite<Vec<u8>>,
    compressor: zstd::bulk::Compressor<'static>,
    /// The values of the page that is being filled.
    body: Vec<u8>,
    rows_in_page: usize,
    rows: usize,
    dictionary_bytes: usize,
    uncompressed_bytes: usize,
}

impl ChunkWriter {
    fn new(length: usize, width: u32) -> Result<Self> {
        Ok(Self {
            length,
            width,
            sink: TrackedWrite::new(Vec::new()),
            compressor: zstd::bulk::Compressor::new(ZSTD_LEVEL)?,
            body: Vec::new(),
            rows_in_page: 0,
            rows: 0,
            dictionary_bytes: 0,
            uncompressed_bytes: 0,
        })
    }

    fn dictionary<V: ListValue>(&mut self, dictionary: &[V]) -> Result<()> {
        let mut plain = Vec::new();
        dictionary.iter().for_each(|value| value.plain(&mut plain));
        let num_values = u32::try_from(dictionary.len()).map_err(|_| too_large())?;
        let buf = self.compress(&plain)?;
        let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
        self.page(page, plain.len())?;
        self.dictionary_bytes = self.sink.bytes_written();
        Ok(())
    }

    /// Adds `count` rows with the same bytes.
    fn rows(&mut self, row: &[u8], mut count: usize) -> Result<()> {
        let rows_per_page = (VALUES_PER_PAGE / self.length).max(1);
        while count > 0 {
            let now = count.min(rows_per_page - self.rows_in_page);
            for _ in 0..now {
                self.body.extend_from_slice(row);
            }
            self.rows_in_page += now;
            count -= now;
            if self.rows_in_page == rows_per_page {
                self.data_page()?;
            }
        }
        Ok(())
    }

    fn data_page(&mut self) -> Result<()> {
        let mut plain = levels(self.rows_in_page, self.length);
        plain.push(self.width as u8);
        plain.extend_from_slice(&self.body);
        let page = Page::DataPage {
            buf: self.compress(&plain)?,
            num_values: u32::try_from(self.rows_in_page * self.length).map_err(|_| too_large())?,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.page(page, plain.len())?;
        self.rows += self.rows_in_page;
        self.rows_in_page = 0;
        self.body.clear();
        Ok(())
    }

    fn compress(&mut self, plain: &[u8]) -> Result<Bytes> {
        // Page headers count bytes with 31 bits.
        i32::try_from(plain.len()).map_err(|_| too_large())?;
        Ok(self.compressor.compress(plain)?.into())
    }

    fn page(&mut self, page: Page, plain_bytes: usize) -> Result<()> {
        let written = SerializedPageWriter::new(&mut self.sink).write_page(CompressedPage::new(page, plain_bytes))?;
        self.uncompressed_bytes += written.uncompressed_size;
        Ok(())
    }

    fn finish(mut self, column: ColumnDescPtr) -> Result<ColumnChunk> {
        if self.rows_in_page > 0 {
            self.data_page()?;
        }
        let bytes = self.sink.bytes_written();
        let metadata = ColumnChunkMetaData::builder(column)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_num_values((self.rows * self.length) as i64)
            .set_total_compressed_size(bytes as i64)
            .set_total_uncompressed_size(self.uncompressed_bytes as i64)
            .set_dictionary_page_offset(Some(0))
            .set_data_page_offset(self.dictionary_bytes as i64)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: bytes as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((self.sink.into_inner()?.into(), close))
    }
}

/// The levels of `rows` lists of `length` values: each list begins once, and every value is there.
fn levels(rows: usize, length: usize) -> Vec<u8> {
    let mut repetition = Vec::new();
    if length == 1 {
        hybrid::run(0, rows, 1, &mut repetition);
    } else {
        for _ in 0..rows {
            hybrid::run(0, 1, 1, &mut repetition);
            hybrid::run(1, length - 1, 1, &mut repetition);
        }
    }
    let mut definition = Vec::new();
    hybrid::run(1, rows * length, 1, &mut definition);
    let mut levels = Vec::new();
    for bytes in [repetition, definition] {
        // A page's levels take a few bytes for each of its rows.
        levels.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        levels.extend_from_slice(&bytes);
    }
    levels
}

fn too_large() -> ParquetError {
    ParquetError::General("a page is larger than Parquet can hold; build with a shorter `--history`".to_owned())
}
