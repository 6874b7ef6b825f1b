//! CSV: records in sequence, every value as text, an empty one as null.

use std::io::{Chain, Read};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder, Terminator};
use memchr::memchr_iter;

use crate::error::Result;
use crate::read::ahead::work_ahead;
use crate::read::discover::{Compression, DataFile};
use crate::read::layout::{Lists, choose, missing};
use crate::read::stream::{LONGEST_RECORD, Meter, TextStream};
use crate::read::{Chunk, Part, RowNumbers, Visitor, Wanted};

/// Records in a batch.
const RECORDS: usize = 1 << 16;

/// Bytes of text in a batch, about.
const BLOCK: usize = 16 << 20;

/// A CSV file.
pub(super) struct CsvFile {
    file: DataFile,
    compression: Compression,
    /// The fields of a record.
    width: usize,
    /// The place in a record of each column of the schema.
    places: Vec<usize>,
    schema: SchemaRef,
    bytes: u64,
}

impl CsvFile {
    /// Reads the header.
    pub(super) fn open(file: &DataFile, compression: Compression, bytes: u64, wanted: &Wanted) -> Result<Self> {
        let mut records = Records::open(file, compression)?;
        let header: Vec<String> = match records.next()? {
            Some(_) => records.fields().map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
            None => Vec::new(),
        };
        if header.iter().any(|name| name.contains(['\r', '\n'])) {
            return Err(file.bad_text(1, "a line break in a column name; end lines with `\\n` or `\\r\\n`"));
        }
        let place = |name: &str| header.iter().position(|present| present == name);
        let chosen = choose(wanted, file.day.is_some(), Lists::Impossible, |column| place(&column.name).is_some());
        let columns = match chosen {
            Ok(columns) => columns,
            Err(column) => return Err(missing(wanted, Some(file.path.as_path()), column, header)),
        };
        let places = columns.iter().filter_map(|column| place(&column.name)).collect();
        let fields: Vec<Field> = columns.iter().map(|column| Field::new(&column.name, DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { file: file.clone(), compression, width: header.len(), places, schema, bytes })
    }

    /// The next records as a batch, or `None` after the last.
    fn next_chunk(&self, records: &mut Records<'_>) -> Result<Option<Chunk>> {
        let mut columns: Vec<StringBuilder> = self.places.iter().map(|_| StringBuilder::new()).collect();
        let mut lines = Vec::with_capacity(RECORDS);
        let mut size = 0;
        while lines.len() < RECORDS && size < BLOCK {
            let Some(line) = self.next_record(records, &mut columns)? else { break };
            lines.push(line);
            size += records.record.as_slice().len();
        }
        let (Some(&first), Some(&last)) = (lines.first(), lines.last()) else { return Ok(None) };
        let consecutive = last - first + 1 == lines.len() as u64;
        let rows = if consecutive { RowNumbers::From(first) } else { RowNumbers::Each(lines) };
        let columns: Vec<ArrayRef> = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| self.file.bad_text(first, error.to_string()))?;
        Ok(Some(Chunk { batch, origin: self.file.origin(rows), bytes: records.meter.since() }))
    }

    /// Appends the next record to the columns and gives its line.
    fn next_record(&self, records: &mut Records<'_>, columns: &mut [StringBuilder]) -> Result<Option<u64>> {
        let Some(line) = records.next()? else { return Ok(None) };
        let width = records.record.len();
        if width != self.width {
            return Err(self.file.bad_text(line, format!("{width} fields, but the header has {}", self.width)));
        }
        for (column, &place) in columns.iter_mut().zip(&self.places) {
            match std::str::from_utf8(records.field(place)) {
                Ok("") => column.append_null(),
                Ok(value) => column.append_value(value),
                Err(_) => return Err(self.file.bad_text(line, format!("field {} is not UTF-8", place + 1))),
            }
        }
        Ok(Some(line))
    }
}

impl Part for CsvFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, ahead: usize, visit: &Visitor<'_>) -> Result<()> {
        let mut records = Records::open(&self.file, self.compression)?;
        records.next()?;
        work_ahead(ahead, || self.next_chunk(&mut records), visit)
    }
}

/// The records of a file with their exact lines.
///
/// The parser counts the line feeds that it has passed. Two things make that the line of a record: only a line feed ends
/// a record (a carriage return before it is cut off here), and every record is ended by one, as one more is put after the
/// end of the file.
struct Records<'a> {
    file: &'a DataFile,
    reader: Reader<Chain<TextStream, &'static [u8]>>,
    action: &'static str,
    meter: Meter,
    record: ByteRecord,
}

impl<'a> Records<'a> {
    fn open(file: &'a DataFile, compression: Compression) -> Result<Self> {
        let stream = TextStream::open(file, compression)?;
        let (action, meter) = (stream.action(), stream.meter());
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).terminator(Terminator::Any(b'\n')).buffer_capacity(1 << 18);
        let reader = builder.from_reader(stream.chain(b"\n".as_slice()));
        Ok(Self { file, reader, action, meter, record: ByteRecord::new() })
    }

    /// Reads the next record that is not blank and gives the line on which it begins, or `None` after the last.
    fn next(&mut self) -> Result<Option<u64>> {
        loop {
            let before = self.reader.position().line();
            let any = self.reader.read_byte_record(&mut self.record).map_err(|error| match error.into_kind() {
                ErrorKind::Io(source) => self.file.unreadable(self.action, source),
                other => self.file.bad_text(before, format!("{other:?}")),
            })?;
            if !any {
                return Ok(None);
            }
            let inside = memchr_iter(b'\n', self.record.as_slice()).count() as u64;
            let passed = self.reader.position().line() - before;
            let line = before + passed.saturating_sub(inside + 1);
            if passed == inside {
                // The end of the file came before the end of the record, so the last quote is still open.
                return Err(self.file.bad_text(line, "a quoted field that does not end"));
            }
            if self.record.as_slice().len() > LONGEST_RECORD {
                return Err(self.file.bad_text(line, "the record is longer than 1 GiB"));
            }
            if self.record.as_slice() != b"\r" {
                return Ok(Some(line));
            }
        }
    }

    /// A field of the record, without the carriage return that belongs to the end of the line.
    fn field(&self, place: usize) -> &[u8] {
        let field = self.record.get(place).unwrap_or_default();
        if place + 1 == self.record.len() { field.strip_suffix(b"\r").unwrap_or(field) } else { field }
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.record.len()).map(|place| self.field(place))
    }
}
