//! CSV: records in sequence, every value as text, an empty one as null, and those that are said to be null.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Invariant, Result, quoted};
use crate::read::ahead::work_ahead;
use crate::read::data_file::DataFile;
use crate::read::dialect::Dialect;
use crate::read::layout::choose_flat;
use crate::read::records::{RecordBlock, Records};
use crate::read::text_column::Texts;
use crate::read::{Chunk, Projection, Room, RowNumbers, Split, SplitFacts, Visitor};
use crate::schema::Compression;

/// Bytes of text that are worked on at a time, where no fewer records are asked for.
const BLOCK: usize = 4 << 20;

/// What a record takes, about.
const RECORD_BYTES: usize = 64;

/// A CSV file.
pub(super) struct CsvFile {
    file: DataFile,
    compression: Compression,
    dialect: Dialect,
    /// Whether the first record is one of names.
    has_header: bool,
    /// The fields of a record.
    width: usize,
    /// The place in a record of each column of the schema.
    places: Vec<usize>,
    /// Fields that are null, beside empty ones.
    nulls: Vec<String>,
    room: Room,
    schema: SchemaRef,
}

impl CsvFile {
    /// Reads the header, unless the names of the columns are said. The inner error is that of a file which lacks a header because
    /// it holds nothing at all.
    pub(super) fn open(file: &DataFile, compression: Compression, wanted: &Projection) -> Result<Result<Self>> {
        let dialect = Dialect::of(&file.path, wanted)?;
        let mut records = Records::open(file, compression, dialect.clone(), 1, &wanted.room)?;
        let line = records.next()?;
        let mut first: Vec<String> = Vec::new();
        if line.is_some() {
            let mut scratch = Vec::new();
            for place in 0..records.width() {
                let name = records.field(place, &mut scratch).invariant("a record has its fields")?;
                first.push(String::from_utf8_lossy(name.text()).into_owned());
            }
        }
        let said = wanted.source.columns.as_ref();
        if said == Some(&first) {
            let problem = "this is a header line, with the names that `columns` says: leave `columns` out";
            return Err(file.bad_text(line.unwrap_or(1), problem));
        }
        let (has_header, header) = (said.is_none(), said.cloned().unwrap_or(first));
        if has_header && header.iter().any(|name| name.contains(['\r', '\n'])) {
            let problem = "a line break in a column name; end lines with `\\n` or `\\r\\n`";
            return Err(file.bad_text(line.unwrap_or(1), problem));
        }
        let columns = match choose_flat(wanted, file.day.is_some(), &header, &file.path) {
            Err(missing @ Error::MissingColumn { .. }) => {
                return match (line.filter(|_| has_header), another_delimiter(&header)) {
                    (Some(line), Some(problem)) => Err(file.bad_text(line, problem)),
                    _ if line.is_none() => Ok(Err(missing)),
                    _ => Err(missing),
                };
            }
            columns => columns?,
        };
        let places = columns.iter().map(|(place, _)| *place).collect();
        let fields: Vec<Field> = columns.iter().map(|(_, name)| Field::new(name, DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let (file, width, nulls) = (file.clone(), header.len(), wanted.source.nulls.clone());
        let room = wanted.room.clone();
        Ok(Ok(Self { file, compression, dialect, has_header, width, places, nulls, room, schema }))
    }

    /// Reads the records of a block.
    fn read_block(&self, block: RecordBlock, visit: &Visitor<'_>) -> Result<()> {
        let mut bytes = block.bytes;
        let mut records = Records::of(&self.file, self.dialect.clone(), block);
        while let Some(chunk) = self.next_chunk(&mut records, std::mem::take(&mut bytes))? {
            visit(chunk)?;
        }
        Ok(())
    }

    /// The next records as a batch, or `None` after the last.
    fn next_chunk(&self, records: &mut Records<'_>, bytes: u64) -> Result<Option<Chunk>> {
        let rows = records.left().min(self.room.rows().saturating_mul(RECORD_BYTES)) / RECORD_BYTES;
        let mut columns: Vec<Texts> = self.places.iter().map(|_| Texts::new(rows)).collect();
        let mut scratch = Vec::new();
        let mut lines = Vec::new();
        while lines.len() < self.room.rows()
            && let Some(line) = records.next()?
        {
            self.add_record(line, records, &mut columns, &mut scratch)?;
            lines.push(line);
        }
        let (Some(&first), Some(&last)) = (lines.first(), lines.last()) else { return Ok(None) };
        let consecutive = last - first + 1 == lines.len() as u64;
        let rows = if consecutive { RowNumbers::From(first) } else { RowNumbers::Each(lines) };
        let finished = |column: Texts| column.finish().map(|column| Arc::new(column) as ArrayRef);
        let batch = columns.into_iter().map(finished).collect::<Result<Vec<ArrayRef>, _>>();
        let batch = batch.and_then(|columns| RecordBatch::try_new(Arc::clone(&self.schema), columns));
        let batch = batch.map_err(|_| Error::internal("columns are of UTF-8, and as long as each other"))?;
        Ok(Some(Chunk { batch, origin: self.file.origin(rows), bare: 0, bytes }))
    }

    /// Appends the record on a line to the columns.
    fn add_record(&self, line: u64, records: &Records<'_>, columns: &mut [Texts], scratch: &mut Vec<u8>) -> Result<()> {
        let width = records.width();
        if width != self.width {
            let said = if self.has_header { "the header has" } else { "`columns` names" };
            let advice = if records.seems_escaped() { ESCAPES } else { "" };
            return Err(self.file.bad_text(line, format!("{width} fields, but {said} {}{advice}", self.width)));
        }
        for (column, &place) in columns.iter_mut().zip(&self.places) {
            let field = records.field(place, scratch).invariant("a record has as many fields as the header")?;
            if !records.is_utf8() && std::str::from_utf8(field.text()).is_err() {
                return Err(self.file.bad_text(line, format!("field {} is not UTF-8", place + 1)));
            }
            let is_null = field.length == 0 || self.nulls.iter().any(|null| null.as_bytes() == field.text());
            if is_null { column.null() } else { column.push_front(field.from, field.length) }
        }
        Ok(())
    }
}

/// What to say of a record in which a backslash may mean something.
const ESCAPES: &str = "; where a backslash keeps a delimiter or a line feed from ending a field, as MySQL and Hive write them, say so in \
                       the description: `quote = \"\"` and `escape = \"\\\\\"`";

/// What to say of a header that seems to have another delimiter.
fn another_delimiter(header: &[String]) -> Option<String> {
    let [only] = header else { return None };
    let other = [',', ';', '\t', '|'].into_iter().find(|&other| only.contains(other))?;
    let (shown, other) = (quoted(only), other.escape_default());
    Some(format!(
        "the header is one field: {shown}; if `{other}` stands between fields, say so in the description: `delimiter = \"{other}\"`"
    ))
}

impl Split for CsvFile {
    fn bytes(&self) -> u64 {
        self.file.stamp.size()
    }

    fn facts(&self) -> SplitFacts<'_> {
        self.file.facts(self.bytes(), None)
    }

    fn begin(&self, before_turn: bool) -> bool {
        !before_turn || self.file.begin_read()
    }

    fn read(&self, ahead: usize, visit: &Visitor<'_>) -> Result<()> {
        let mut records = Records::open(&self.file, self.compression, self.dialect.clone(), ahead, &self.room)?;
        let header = if self.has_header { records.next().map(drop) } else { Ok(()) };
        let size = BLOCK.min(self.room.rows().saturating_mul(RECORD_BYTES));
        let read =
            header.and_then(|()| work_ahead(ahead, || records.block(size), |block| self.read_block(block, visit)));
        self.file.if_unchanged(read)
    }
}
