//! Parquet files that keep a trusting reader busy for ever: footers and page headers whose lists are longer than they are.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, ListArray, RecordBatch};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};
use parquet::file::metadata::ParquetMetaDataReader;
use shardback::open::ParquetPart;
use shardback::read::open;
use shardback::schema::Contents;

use super::{Table, click_batch, clicks, parquet_bytes, read};
use crate::watchdog::soon;

/// The list of 2^31 - 1 elements of a type, in field 15 further than the last.
fn endless(element: u8) -> Vec<u8> {
    vec![0xf9, 0xf0 | element, 0xff, 0xff, 0xff, 0xff, 0x07]
}

fn file_with_footer(footer: &[u8]) -> Vec<u8> {
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    [b"PAR1", footer, &length, b"PAR1"].concat()
}

fn said(content: Vec<u8>) -> String {
    soon("a file of a few bytes", move || Table::new().file("a.parquet", content).error(clicks()))
}

/// The same of a published part.
fn said_of_part(content: Vec<u8>) -> String {
    soon("a file of a few bytes", move || {
        let table = Table::new().file("part-00000.parquet", content);
        let part = ParquetPart::open(Path::new(&table.path("part-00000.parquet")), &Contents::built_in());
        part.and_then(|part| part.customer_ids()).unwrap_err().to_string()
    })
}

/// Booleans take the reader no byte each; of anything else there are at most as many as bytes.
#[test]
fn lists_that_are_longer_than_the_footer_are_refused() {
    let nested = [vec![0xfc], vec![0x1c; 60], vec![0; 61]].concat();
    // A field that the reader takes for a number, whatever the bytes call it: what follows would be read as fields.
    let hidden = [vec![0x18, 8], endless(1), vec![0]].concat();
    for (footer, problem) in [
        ([endless(1), vec![0]].concat(), "malformed: a list of booleans"),
        ([endless(2), vec![0]].concat(), "malformed: a list of booleans"),
        // Two of a map.
        (vec![0xfb, 0xff, 0xff, 0xff, 0xff, 0x07, 0x11, 0], "malformed: a list of booleans"),
        ([endless(7), vec![0]].concat(), "ends too soon"),
        ([endless(12), vec![0]].concat(), "ends too soon"),
        (vec![0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "ends too soon"),
        (vec![0x15; 1], "ends too soon"),
        (vec![0xff; 20], "malformed"),
        (nested, "malformed: it nests too deep"),
        (hidden, "malformed: a field is of another type than the format says"),
        (Vec::new(), "ends too soon"),
    ] {
        let (table, part) = (said(file_with_footer(&footer)), said_of_part(file_with_footer(&footer)));
        let shown = format!("{footer:02x?}");
        assert!(
            table.starts_with("clicks: `TABLE/a.parquet` is not readable Parquet: ") && table.contains(problem),
            "{shown}: {table}"
        );
        assert!(part.contains("not readable Parquet: ") && part.contains(problem), "{shown}: {part}");
    }
}

/// The reader goes down a schema by recursion: one that nests a thousand deep takes more stack than there is.
#[test]
fn columns_that_nest_too_deep_are_refused() {
    let footer = |depth: usize| {
        // A name of one letter, one element below (zigzag of 1), and a repetition.
        let group = [vec![0x35, 0, 0x18, 1, b'a', 0x15, 2, 0]];
        let leaf = vec![0x15, 2, 0x25, 0, 0x18, 1, b'a', 0];
        let mut count = Vec::new();
        let mut left = depth + 1;
        while left >= 0x80 {
            count.push(left as u8 | 0x80);
            left >>= 7;
        }
        count.push(left as u8);
        let elements = group.iter().cycle().take(depth).flatten().copied().chain(leaf);
        [vec![0x15, 2, 0x19, 0xfc], count, elements.collect(), vec![0x16, 0, 0x19, 0x0c, 0]].concat()
    };
    for depth in [101, 2_000, 300_000] {
        let error = said(file_with_footer(&footer(depth)));
        assert!(error.ends_with("the footer is malformed: its columns nest too deep"), "{depth}: {error}");
    }
    // Down to a hundred there may be columns, if not those that are wanted.
    let error = said(file_with_footer(&footer(100)));
    assert_eq!(error, "clicks: no column `customer_id` in `TABLE/a.parquet`; its columns: a");
}

/// A page's header is looked over like a footer, and reading on behind the file's end is an error.
#[test]
fn lists_that_are_longer_than_a_pages_header_are_refused() {
    let good = parquet_bytes(&click_batch(3), 10);
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(good.clone())).unwrap();
    // Of the column `dt`, which is read first.
    let (page, _) = metadata.row_group(0).column(1).byte_range();
    let page = usize::try_from(page).unwrap();
    for (header, problem) in [
        (endless(1), "a list of booleans"),
        (endless(7), "the file ends within it"),
        (vec![0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "the file ends within it"),
        (vec![0x18, 4, 1, 2, 3, 4], "a field is of another type than the format says"),
    ] {
        let mut content = good.clone();
        content[page..page + header.len()].copy_from_slice(&header);
        let error = said(content);
        assert!(error.contains(&format!("the header of the page at byte {page}: {problem}")), "{error}");
    }
}

/// A page is unpacked as a whole, and a row is read as a whole: what says that it is larger than any is refused before.
#[test]
fn pages_and_rows_that_are_too_large_are_refused() {
    let good = parquet_bytes(&click_batch(3), 10);
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(good.clone())).unwrap();
    let (page, _) = metadata.row_group(0).column(1).byte_range();
    let page = usize::try_from(page).unwrap();
    // A page of data of 600 MiB, in one byte of the file.
    let header = [0x15, 0, 0x15, 0x80, 0x80, 0x80, 0xd8, 0x04, 0x15, 2, 0x2c, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0];
    let mut content = good;
    content[page..page + header.len()].copy_from_slice(&header);
    let error = said(content);
    assert!(error.contains("it is of a page of more than 512 MiB; write smaller pages or row groups"), "{error}");

    let count = 9 << 20;
    let field = Arc::new(Field::new("element", DataType::Boolean, false));
    let values = Arc::new(BooleanArray::from(vec![false; count]));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, i32::try_from(count).unwrap()]));
    let lists: ArrayRef = Arc::new(ListArray::new(field, offsets, values, None));
    let one = |name: &str| (name.to_owned(), Arc::new(Int64Array::from(vec![1])) as ArrayRef);
    let columns = [one("customer_id"), one("item_id"), ("dt".to_owned(), lists), one("click_time")];
    let content = parquet_bytes(&RecordBatch::try_from_iter(columns).unwrap(), 10);
    let error = said(content);
    assert!(error.ends_with("row group 0 has rows of more than 8388608 values, which are read as a whole"), "{error}");
}

/// Every footer and page of what writers write passes: of this library's own files, of lists, dictionaries, and statistics.
#[test]
fn footers_of_writers_pass() {
    for batch in [click_batch(1), click_batch(5000)] {
        let table = Table::new().file("a.parquet", parquet_bytes(&batch, 700));
        let files = open(table.folder.path(), clicks(), &|_| true).unwrap();
        let rows: usize = read(&files).unwrap().iter().map(|chunk| chunk.batch.num_rows()).sum();
        assert_eq!(rows, batch.num_rows());
    }
}
