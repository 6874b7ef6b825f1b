//! What it takes to read a row group of Parquet, in memory and of the file: known from its page headers, and of long lists from their levels, before anything
//! else is decoded.

use std::iter;
use std::ops::Range;
use std::sync::Arc;

use parquet::arrow::ProjectionMask;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use crate::parquet_file::ParquetFile;

/// What an element of a list takes in memory at most, about, from where it is decoded to where it is a sample that is handed over.
pub(super) const ELEMENT_BYTES: u64 = 100;

/// Column chunks of fewer bytes have no large pages.
const SMALL_CHUNK: u64 = 4 << 20;

/// What it takes to read a row group, beside its batches.
pub(super) struct Weight {
    pub(super) bytes: u64,
    /// What of it takes most.
    pub(super) largest: String,
}

/// What the pages take that are held at once: of each column a dictionary, and a page of data.
pub(super) fn of_pages(handle: &ParquetFile, group: &RowGroupMetaData, leaves: &ProjectionMask) -> Weight {
    let mut weight = Weight { bytes: 0, largest: String::new() };
    let mut most = 0;
    for column in included(group, leaves) {
        let stored = u64::try_from(column.uncompressed_size()).unwrap_or(u64::MAX);
        let (start, length) = column.byte_range();
        // A header that cannot be read is for the reader to tell of.
        let pages = if stored.max(length) > SMALL_CHUNK { handle.largest_pages(start, length).ok() } else { None };
        let Some(pages) = pages else {
            weight.bytes = weight.bytes.saturating_add(stored.min(SMALL_CHUNK));
            continue;
        };
        // A dictionary is unpacked, and then decoded. What is not packed needs no unpacking.
        let is_packed = column.compression() != Compression::UNCOMPRESSED;
        let held = |(packed_too, unpacked): (u64, u64)| if is_packed { packed_too } else { unpacked };
        let of_column = held(pages.data) + held(pages.dictionary) + pages.dictionary.1;
        weight.bytes = weight.bytes.saturating_add(of_column);
        if of_column > most {
            most = of_column;
            let (kind, unpacked) = if pages.dictionary.1 > pages.data.1 {
                ("dictionary", pages.dictionary.1)
            } else {
                ("page", pages.data.1)
            };
            weight.largest = format!(
                "column `{}` has a {kind} of {} MiB when it is unpacked",
                column.column_path().string(),
                unpacked >> 20
            );
        }
    }
    weight
}

/// The most bytes that a row may take by its elements, as far as the footer tells: all of them but one for each other row.
pub(super) fn most_of_a_row(group: &RowGroupMetaData, leaves: &ProjectionMask) -> u64 {
    let rows = u64::try_from(group.num_rows()).unwrap_or(u64::MAX);
    let lists = included(group, leaves).filter(|column| column.column_descr().max_rep_level() > 0);
    let values = lists.map(|column| u64::try_from(column.num_values()).unwrap_or(u64::MAX)).max().unwrap_or(0);
    values.saturating_sub(rows).saturating_mul(ELEMENT_BYTES)
}

/// What the row takes that has the longest list, and the number of the row in its group. `None` where there are no lists, or such
/// that are not written as usual.
///
/// # Errors
/// What the reader of pages says.
pub(super) fn of_longest_row(
    handle: &ParquetFile,
    group: &RowGroupMetaData,
    leaves: &ProjectionMask,
) -> Result<Option<(u64, u64)>, ParquetError> {
    let lists = included(group, leaves).filter(|column| column.column_descr().max_rep_level() == 1);
    let Some(column) = lists.min_by_key(|column| column.uncompressed_size()) else { return Ok(None) };
    let rows = usize::try_from(group.num_rows()).map_err(|error| ParquetError::External(error.into()))?;
    let mut pages = SerializedPageReader::new(Arc::new(handle.clone()), column, rows, None)?;
    let mut lists = Lists::default();
    while let Some(page) = pages.get_next_page()? {
        let (levels, values) = match &page {
            Page::DictionaryPage { .. } => continue,
            Page::DataPage { buf, num_values, rep_level_encoding: Encoding::RLE, .. } => {
                let levels = buf
                    .split_first_chunk::<4>()
                    .and_then(|(length, rest)| rest.get(..u32::from_le_bytes(*length) as usize));
                (levels, *num_values)
            }
            Page::DataPage { .. } => return Ok(None),
            Page::DataPageV2 { buf, num_values, rep_levels_byte_len, .. } => {
                (buf.get(..*rep_levels_byte_len as usize), *num_values)
            }
        };
        let Some(levels) = levels else { return Ok(None) };
        lists.page(levels, u64::from(values));
    }
    let (elements, row) = lists.longest();
    Ok(Some((elements.saturating_mul(ELEMENT_BYTES), row)))
}

/// What is read of a file for a row group: the wanted columns, and the footer, which is all from where it begins.
pub(super) fn ranges(group: &RowGroupMetaData, leaves: &ProjectionMask, footer_start: u64) -> Vec<Range<u64>> {
    let range = |(start, length): (u64, u64)| start..start.saturating_add(length);
    included(group, leaves).map(|column| range(column.byte_range())).chain(iter::once(footer_start..u64::MAX)).collect()
}

fn included<'a>(
    group: &'a RowGroupMetaData,
    leaves: &'a ProjectionMask,
) -> impl Iterator<Item = &'a ColumnChunkMetaData> {
    group.columns().iter().enumerate().filter(|(leaf, _)| leaves.leaf_included(*leaf)).map(|(_, column)| column)
}

/// Lists, counted by where they begin.
#[derive(Default)]
struct Lists {
    /// The elements of the last one so far.
    elements: u64,
    /// The number of the last one, from 1.
    row: u64,
    /// The longest one before, and its number.
    longest: (u64, u64),
}

impl Lists {
    fn begin(&mut self) {
        self.longest = self.longest();
        self.elements = 0;
        self.row += 1;
    }

    fn longest(&self) -> (u64, u64) {
        if self.elements > self.longest.0 { (self.elements, self.row) } else { self.longest }
    }

    /// Counts the repetition levels of a page, as many as it has values: runs, and groups of eight bits, lowest first. A list begins
    /// where the level is 0.
    fn page(&mut self, mut levels: &[u8], mut values: u64) {
        while values > 0 {
            let Some(head) = varint(&mut levels) else { return };
            let Some((&first, rest)) = levels.split_first() else { return };
            if head & 1 == 0 {
                let run = (head >> 1).min(values);
                levels = rest;
                values -= run;
                if first == 0 {
                    for _ in 0..run {
                        self.begin();
                        self.elements = 1;
                    }
                } else {
                    self.elements += run;
                }
                continue;
            }
            let groups = usize::try_from(head >> 1).unwrap_or(usize::MAX).min(levels.len());
            let (packed, rest) = levels.split_at(groups);
            levels = rest;
            for byte in packed {
                for bit in 0..values.min(8) {
                    if byte >> bit & 1 == 0 {
                        self.begin();
                    }
                    self.elements += 1;
                }
                values -= values.min(8);
            }
        }
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
