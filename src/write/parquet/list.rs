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

use super::group::ColumnChunk;
use super::{ZSTD_LEVEL, hybrid};
use crate::error::OptionName;

/// Values of a page: cuts depend on K alone, and a page is about as large as a core's cache.
const VALUES_PER_PAGE: usize = 1 << 19;

fn rows_per_page(length: usize) -> usize {
    (VALUES_PER_PAGE / length).max(1)
}

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

/// Asks for so many bytes; its error ends the encoding.
pub(super) type Need<'a> = dyn Fn(u64) -> Result<()> + 'a;

/// Encodes the lists of a row group: each history with the number of rows that share it. `need` is asked before memory is taken.
pub(super) fn encode<V: ListValue>(
    column: ColumnDescPtr,
    histories: &[(&[V], usize)],
    length: usize,
    need: &Need<'_>,
) -> Result<ColumnChunk> {
    let mut dictionary = Dictionary::new(need);
    let kept = kept_indices(histories, &mut dictionary)?;
    let width = (usize::BITS - (dictionary.values.len() - 1).leading_zeros()).max(1);
    dictionary.need(1, stored_values(histories, length) as u64 * u64::from(width) / 8)?;
    let mut chunk = ChunkWriter::new(length, width)?;
    chunk.dictionary(&dictionary.values)?;
    let (mut row, mut looked_up) = (Vec::new(), Vec::new());
    let mut rest = kept.as_slice();
    for &(history, rows) in histories {
        let own = match rest.split_at_checked(history.len()) {
            Some((own, others)) => {
                rest = others;
                own
            }
            None => {
                looked_up.clear();
                for &value in history {
                    looked_up.push(dictionary.place(value)?);
                }
                &looked_up
            }
        };
        row.clear();
        encode_row(own, length, width, &mut row);
        chunk.rows(&row, rows)?;
    }
    chunk.finish(column)
}

/// The places of this many values are kept from when the dictionary is made until they are packed, which is all in most row
/// groups; the others' are looked up again.
const MOST_KEPT: usize = 1 << 20;

/// What pages take as they are filled and compressed, whatever is in them.
const PAGE_BYTES: u64 = 8 << 20;

/// The bytes that `values` values, all different, take at most to encode in pages of `stored` values.
pub(super) fn most_bytes<V>(values: usize, stored: usize) -> u64 {
    let dictionary = dictionary_bytes::<V>(2 * values.next_power_of_two(), values);
    let width = u64::from(usize::BITS - values.leading_zeros());
    // The types come after the items, and are a byte each at most.
    dictionary + (values.min(MOST_KEPT) * size_of::<u32>()) as u64 + PAGE_BYTES + stored as u64 * (width + 8) / 8
}

/// What a dictionary takes: its table while it grows to so many entries, and its values while they grow beyond so many.
fn dictionary_bytes<V>(entries: usize, values: usize) -> u64 {
    // Entries have a byte each beside what they hold; half as many are there still, and the values likewise.
    (entries / 2 * 3 * (size_of::<(V, u32)>() + 1) + values * 3 * size_of::<V>()) as u64
}

/// The values in all pages, where each page folds the rows that share a history.
fn stored_values<V>(histories: &[(&[V], usize)], length: usize) -> usize {
    let rows_per_page = rows_per_page(length);
    let mut row = 0;
    let mut stored = 0;
    for &(history, rows) in histories.iter().filter(|(_, rows)| *rows > 0) {
        let pages = (row + rows - 1) / rows_per_page - row / rows_per_page + 1;
        stored += pages * history.len();
        row += rows;
    }
    stored
}

/// The places of the values of the first histories, as many as are kept; all values are in the dictionary then.
fn kept_indices<V: ListValue>(histories: &[(&[V], usize)], dictionary: &mut Dictionary<'_, V>) -> Result<Vec<u32>> {
    let values = histories.iter().map(|(history, _)| history.len()).sum::<usize>();
    let mut kept = Vec::with_capacity(values.min(MOST_KEPT));
    let mut is_kept = true;
    for &(history, _) in histories {
        is_kept &= kept.len() + history.len() <= MOST_KEPT;
        if is_kept {
            for &value in history {
                kept.push(dictionary.place(value)?);
            }
        } else {
            for &value in history {
                dictionary.place(value)?;
            }
        }
    }
    Ok(kept)
}

/// The distinct values in the order in which they come, zero first, and the place of each value among them.
struct Dictionary<'a, V> {
    values: Vec<V>,
    places: FxHashMap<V, u32>,
    need: &'a Need<'a>,
}

impl<'a, V: ListValue> Dictionary<'a, V> {
    fn new(need: &'a Need<'a>) -> Self {
        Self { values: vec![V::default()], places: FxHashMap::from_iter([(V::default(), 0)]), need }
    }

    /// The place of a value, which is added where it is new.
    fn place(&mut self, value: V) -> Result<u32> {
        if let Some(&place) = self.places.get(&value) {
            return Ok(place);
        }
        let next = u32::try_from(self.values.len()).map_err(|_| too_large())?;
        self.places.insert(value, next);
        self.values.push(value);
        if self.places.len() == self.places.capacity() {
            // The next one makes the table twice as large.
            self.need(2, 0)?;
        }
        Ok(next)
    }

    /// Asks for the dictionary, grown so many times, what is kept while it is made, and so many bytes beside.
    fn need(&self, growth: usize, bytes: u64) -> Result<()> {
        let entries = growth * self.places.capacity().next_power_of_two();
        let kept = (MOST_KEPT * size_of::<u32>()) as u64;
        (self.need)(dictionary_bytes::<V>(entries, self.values.len()) + kept + PAGE_BYTES + bytes)
    }
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
        let mut plain = Vec::with_capacity(size_of_val(dictionary).max(dictionary.len() * size_of::<i32>()));
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
        let rows_per_page = rows_per_page(self.length);
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
    ParquetError::General(format!(
        "a page is larger than Parquet can hold; build with a shorter `{}`",
        OptionName::History
    ))
}
