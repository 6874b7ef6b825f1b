//! CSV: records in sequence, every value as text, an empty one as null.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Invariant, Result};
use crate::read::ahead::work_ahead;
use crate::read::discover::{Compression, DataFile};
use crate::read::layout::choose_flat;
use crate::read::records::Records;
use crate::read::{Chunk, Part, RowNumbers, Visitor, Wanted};

/// Records in a batch.
const RECORDS: usize = 1 << 16;

/// Bytes of text in a batch, about.
const BLOCK: usize = 16 << 20;

/// A CSV file.
pub(super) struct CsvFile {
    file: DataFile,
    compression: Compression,
    /// What comes before a quote that does not end its field, where the writer does not double it.
    escape: Option<u8>,
    /// The fields of a record.
    width: usize,
    /// The place in a record of each column of the schema.
    places: Vec<usize>,
    schema: SchemaRef,
}

impl CsvFile {
    /// Reads the header.
    pub(super) fn open(file: &DataFile, compression: Compression, wanted: &Wanted) -> Result<Self> {
        let mut records = Records::open(file, compression, Self::escape(wanted)?)?;
        let mut header: Vec<String> = Vec::new();
        let line = records.next()?;
        if line.is_some() {
            let mut scratch = Vec::new();
            for place in 0..records.width() {
                let name = records.field(place, &mut scratch).invariant("a record has its fields")?;
                header.push(String::from_utf8_lossy(name).into_owned());
            }
        }
        if header.iter().any(|name| name.contains(['\r', '\n'])) {
            return Err(
                file.bad_text(line.unwrap_or(1), "a line break in a column name; end lines with `\\n` or `\\r\\n`")
            );
        }
        let columns = choose_flat(wanted, file.day.is_some(), &header, &file.path)?;
        let places = columns.iter().map(|(place, _)| *place).collect();
        let fields: Vec<Field> = columns.iter().map(|(_, name)| Field::new(name, DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { file: file.clone(), compression, escape: Self::escape(wanted)?, width: header.len(), places, schema })
    }

    /// What comes before a quote that does not end its field.
    fn escape(wanted: &Wanted) -> Result<Option<u8>> {
        let byte = |escape| u8::try_from(escape).invariant("an escape is one character of ASCII");
        wanted.source.escape.map(byte).transpose()
    }

    /// The next records as a batch, or `None` after the last.
    fn next_chunk(&self, records: &mut Records<'_>) -> Result<Option<Chunk>> {
        let mut columns: Vec<StringBuilder> = self.places.iter().map(|_| StringBuilder::new()).collect();
        let mut scratch = Vec::new();
        let mut lines = Vec::with_capacity(RECORDS);
        let mut size = 0;
        while lines.len() < RECORDS
            && size < BLOCK
            && let Some(line) = records.next()?
        {
            self.add_record(line, records, &mut columns, &mut scratch)?;
            lines.push(line);
            size += records.size();
        }
        let (Some(&first), Some(&last)) = (lines.first(), lines.last()) else { return Ok(None) };
        let consecutive = last - first + 1 == lines.len() as u64;
        let rows = if consecutive { RowNumbers::From(first) } else { RowNumbers::Each(lines) };
        let columns: Vec<ArrayRef> = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|_| Error::internal("the columns of a batch are as long as each other"))?;
        Ok(Some(Chunk { batch, origin: self.file.origin(rows), bare: 0, bytes: records.meter.since() }))
    }

    /// Appends the record on a line to the columns.
    fn add_record(
        &self,
        line: u64,
        records: &Records<'_>,
        columns: &mut [StringBuilder],
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        let width = records.width();
        if width != self.width {
            return Err(self.file.bad_text(line, format!("{width} fields, but the header has {}", self.width)));
        }
        for (column, &place) in columns.iter_mut().zip(&self.places) {
            let field = records.field(place, scratch).invariant("a record has as many fields as the header")?;
            match std::str::from_utf8(field) {
                Ok("") => column.append_null(),
                Ok(value) => column.append_value(value),
                Err(_) => return Err(self.file.bad_text(line, format!("field {} is not UTF-8", place + 1))),
            }
        }
        Ok(())
    }
}

impl Part for CsvFile {
    fn bytes(&self) -> u64 {
        self.file.stamp.size()
    }

    fn read(&self, ahead: usize, visit: &Visitor<'_>) -> Result<()> {
        let mut records = Records::open(&self.file, self.compression, self.escape)?;
        let header = records.next().map(drop);
        let read = header.and_then(|()| work_ahead(ahead, || self.next_chunk(&mut records), visit));
        self.file.if_unchanged(read)
    }
}
