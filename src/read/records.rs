//! The records of a CSV file, with their exact lines.
//!
//! A line feed ends a record, a carriage return before it belongs to the end, and lines without a byte are no records. A field
//! that begins with a quote ends with the next one that is not doubled (and not escaped, where the writer escapes), and only a
//! delimiter or the end of the record may follow: a writer that quotes by other rules would make rows disappear into fields.
//! Where no field is quoted, an escape may stand before a delimiter, a line feed or itself, as MySQL, Hive and PostgreSQL write.

mod find;

use memchr::{memchr, memchr_iter, memmem, memrchr};

use self::find::{unescape, unpack};
use crate::error::{Invariant, Result};
use crate::read::data_file::DataFile;
use crate::read::dialect::Dialect;
use crate::read::room::Room;
use crate::read::stream::{BYTE_ORDER_MARK, LONGEST_RECORD, Meter, TextStream, too_long};
use crate::read::text_buffer::TextBuffer;
use crate::schema::Compression;

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 18;

/// The records of a file in sequence, or of a block of it.
pub(super) struct Records<'a> {
    file: &'a DataFile,
    /// None of a block.
    stream: Option<TextStream>,
    meter: Option<Meter>,
    dialect: Dialect,
    /// What has been read and not yet been passed, from `start` on.
    buffer: TextBuffer,
    start: usize,
    ended: bool,
    /// The line on which what is at `start` begins.
    line: u64,
    /// The record that was found last.
    record: Record,
    /// Whether all of the buffer is UTF-8, as far as is known.
    is_utf8: bool,
    /// Of a block in which nothing but delimiters and ends of lines has a meaning: the delimiter.
    only_delimiter: Option<u8>,
}

/// Some whole records of a file.
pub(super) struct RecordBlock {
    text: TextBuffer,
    /// The line on which it begins.
    line: u64,
    /// Whether a quote or an escape may be in it.
    has_marks: bool,
    /// The bytes of the file that were read for it.
    pub(super) bytes: u64,
}

/// Where a record stands in the buffer.
#[derive(Default)]
struct Record {
    start: usize,
    end: usize,
    fields: Vec<Field>,
}

/// Where a field stands in the buffer, without its quotes.
#[derive(Clone, Copy)]
struct Field {
    start: usize,
    end: usize,
    /// Whether quotes in it are doubled or escaped, or anything is where no field is quoted.
    packed: bool,
}

/// A field's text, and what is behind it.
#[derive(Clone, Copy)]
pub(super) struct FieldText<'b> {
    pub(super) from: &'b [u8],
    pub(super) length: usize,
}

impl<'b> FieldText<'b> {
    pub(super) fn text(self) -> &'b [u8] {
        self.from.get(..self.length).unwrap_or_default()
    }
}

impl Field {
    fn plain(start: usize, end: usize) -> Self {
        Self { start, end, packed: false }
    }
}

/// What a look at the buffer has found of the record at its start.
enum Scanned {
    /// All of it; what follows begins here, so many lines further down.
    Whole { next: usize, lines: u64 },
    /// The buffer ends before it does.
    Begun,
}

impl<'a> Records<'a> {
    pub(super) fn open(
        file: &'a DataFile,
        compression: Compression,
        dialect: Dialect,
        threads: usize,
        room: &Room,
    ) -> Result<Self> {
        let stream = TextStream::open(file, compression, threads)?;
        let mut records = Self {
            file,
            meter: Some(stream.meter()),
            stream: Some(stream),
            dialect,
            buffer: TextBuffer::new(room.recycled()),
            start: 0,
            ended: false,
            line: 1,
            record: Record::default(),
            is_utf8: false,
            only_delimiter: None,
        };
        records.read_more()?;
        if records.buffer.starts_with(BYTE_ORDER_MARK) {
            records.start = BYTE_ORDER_MARK.len();
        }
        Ok(records)
    }

    /// The records of a block.
    pub(super) fn of(file: &'a DataFile, dialect: Dialect, block: RecordBlock) -> Self {
        let RecordBlock { text: buffer, line, has_marks, .. } = block;
        let only_delimiter = match dialect.delimiter.as_slice() {
            &[delimiter] if !has_marks => Some(delimiter),
            _ => None,
        };
        Self {
            file,
            stream: None,
            meter: None,
            dialect,
            // Once for all of them, and not again for each field.
            is_utf8: std::str::from_utf8(&buffer).is_ok(),
            only_delimiter,
            buffer,
            start: 0,
            ended: true,
            line,
            record: Record::default(),
        }
    }

    /// Goes on by some whole records, about as many bytes as `size`, without looking at their fields where no quote and no escape is in
    /// them: then all ends of lines are ends of records. `None` after the last.
    pub(super) fn block(&mut self, size: usize) -> Result<Option<RecordBlock>> {
        self.read_to(size)?;
        let line = self.line;
        let rest = self.buffer.get(self.start..).invariant("what is left stands in the buffer")?;
        let has_marks = self.dialect.mark().is_some_and(|mark| memchr(mark, rest).is_some());
        if has_marks {
            self.pass_records(size)?;
        } else {
            self.pass_lines()?;
        }
        let text = self.buffer.take_front(std::mem::take(&mut self.start));
        let bytes = self.meter.as_mut().map_or(0, Meter::since);
        Ok((!text.is_empty()).then_some(RecordBlock { text, line, has_marks, bytes }))
    }

    /// Passes all whole lines of the buffer, one at least; what has been passed before is dropped.
    fn pass_lines(&mut self) -> Result<()> {
        loop {
            self.buffer.pass(std::mem::take(&mut self.start));
            let end =
                if self.ended { Some(self.buffer.len()) } else { memrchr(b'\n', &self.buffer).map(|end| end + 1) };
            if let Some(end) = end {
                self.line += memchr_iter(b'\n', &self.buffer[..end]).count() as u64;
                self.start = end;
                return Ok(());
            }
            self.read_more()?;
        }
    }

    /// Passes whole records of the buffer, one at least, until they have so many bytes; what has been passed before is dropped.
    fn pass_records(&mut self, size: usize) -> Result<()> {
        self.buffer.pass(std::mem::take(&mut self.start));
        while self.start < size && !(self.ended && self.start == self.buffer.len()) {
            match self.find()? {
                Scanned::Whole { next, lines } => {
                    self.line += lines;
                    self.start = next;
                }
                Scanned::Begun if self.start > 0 => break,
                Scanned::Begun => self.read_more()?,
            }
        }
        Ok(())
    }

    /// Goes to the next record and gives the line on which it begins, or `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<u64>> {
        loop {
            if self.start == self.buffer.len() && self.ended {
                return Ok(None);
            }
            let Scanned::Whole { next, lines } = self.find()? else {
                self.read_more()?;
                continue;
            };
            let line = self.line;
            self.line += lines;
            self.start = next;
            if self.record.start < self.record.end {
                return Ok(Some(line));
            }
        }
    }

    /// The number of fields of the record.
    pub(super) fn width(&self) -> usize {
        self.record.fields.len()
    }

    /// Whether a backslash stands before a delimiter or the end of the record, and nothing says what it means there.
    pub(super) fn seems_escaped(&self) -> bool {
        let record = self.buffer.get(self.record.start..self.record.end).unwrap_or_default();
        let escaped = [b"\\", self.dialect.delimiter.as_slice()].concat();
        self.dialect.bare_escape().is_none() && (record.ends_with(b"\\") || memmem::find(record, &escaped).is_some())
    }

    /// A field of the record; `scratch` is where one is put together that does not stand in the file as it is.
    #[inline]
    pub(super) fn field<'b>(&'b self, place: usize, scratch: &'b mut Vec<u8>) -> Option<FieldText<'b>> {
        let field = self.record.fields.get(place)?;
        if !field.packed {
            return Some(FieldText { from: self.buffer.get(field.start..)?, length: field.end - field.start });
        }
        let bytes = self.buffer.get(field.start..field.end)?;
        match self.dialect.bare_escape() {
            Some(escape) => unescape(bytes, escape, scratch),
            None => unpack(bytes, &self.dialect, scratch),
        }
        Some(FieldText { from: scratch, length: scratch.len() })
    }

    /// Whether all of the text is UTF-8, as far as is known.
    pub(super) fn is_utf8(&self) -> bool {
        self.is_utf8
    }

    /// The bytes that are left of what has been read.
    pub(super) fn left(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Reads until the buffer holds more than it does now, or all of the file.
    fn read_more(&mut self) -> Result<()> {
        self.buffer.pass(std::mem::take(&mut self.start));
        if self.buffer.len() > LONGEST_RECORD {
            return Err(self.file.bad_text(self.line, too_long("record")));
        }
        self.fill((self.buffer.len() * 2).clamp(BUFFER, LONGEST_RECORD + 1))
    }

    /// Reads until so many bytes are left, or all of the file.
    fn read_to(&mut self, size: usize) -> Result<()> {
        self.buffer.pass(std::mem::take(&mut self.start));
        if self.ended || self.buffer.len() >= size { Ok(()) } else { self.fill(size) }
    }

    fn fill(&mut self, size: usize) -> Result<()> {
        let stream = self.stream.as_mut().invariant("a block is read to its end")?;
        let ended = self.buffer.fill(stream, size);
        self.ended = ended.map_err(|source| self.file.unreadable(stream.action(), source))?;
        Ok(())
    }
}
