//! JSON: blocks of objects, decoded in parallel, every value as text.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;

use crate::error::{Error, Invariant, Result, quoted};
use crate::read::ahead::work_ahead;
use crate::read::blocks::{Block, Blocks};
use crate::read::data_file::DataFile;
use crate::read::mend::{Edit, blank_unwanted, edited, mended};
use crate::read::object::{Places, check, read_keys};
use crate::read::objects::Piece;
use crate::read::shapes::{are_known, note};
use crate::read::{Chunk, Column, Part, PartFacts, RowNumbers, Shape, Visitor, Wanted};
use crate::schema::Compression;

/// Bytes of text decoded at a time, where no fewer rows are asked for.
const BLOCK: usize = 4 << 20;

/// What an object takes, about.
const ROW_BYTES: usize = 256;

/// The deepest nesting. A type error prints its value by recursion, which must not exhaust the stack.
const DEEPEST: usize = 4096;

const NOT_UTF8: &str = "not UTF-8";

/// The longest problem text; what the decoder says may hold a whole line.
const LONGEST_PROBLEM: usize = 300;

/// A file of JSON objects.
pub(super) struct JsonFile {
    file: DataFile,
    compression: Compression,
    columns: Vec<Column>,
    /// Those of the list of items and beside it: an object with none of them shows nothing.
    telling: Places,
    schema: SchemaRef,
    /// Bytes of text decoded at a time.
    block: usize,
    /// Whether it has been seen to be no JSON in what nobody wants, or to have several objects on a line. Then it is most likely so
    /// everywhere.
    has_faults: AtomicBool,
}

impl JsonFile {
    /// Every wanted column is read of every object: what one lacks is null.
    pub(super) fn new(file: &DataFile, compression: Compression, wanted: &Wanted, columns: Vec<Column>) -> Self {
        let flat = || wanted.columns.iter().filter_map(|column| wanted.flat(column));
        let list = wanted.list.as_deref();
        let is = |name: &str, column: &Column| name == column.wanted;
        let tells = |column: &Column| list.is_some_and(|list| is(list, column)) || flat().any(|flat| is(flat, column));
        let telling = columns.iter().enumerate().filter(|(_, column)| tells(column));
        let telling = Places::of(telling.map(|(place, _)| place));
        let has_faults = AtomicBool::new(false);
        let block = BLOCK.min(wanted.room.rows().saturating_mul(ROW_BYTES));
        Self { file: file.clone(), compression, schema: schema_of(&columns), columns, telling, block, has_faults }
    }

    fn decode_block(&self, block: &Block) -> Result<Option<Chunk>> {
        if are_known(&self.columns) {
            return self.decode_known(block);
        }
        // What the first objects of the file have not told, those of the block may.
        let mut columns = self.columns.clone();
        for (_, object) in block.rows() {
            if are_known(&columns) {
                break;
            }
            if !note(object, &mut columns) {
                note(&mended(object, &self.columns), &mut columns);
            }
        }
        let has_faults = AtomicBool::new(self.has_faults.load(Ordering::Relaxed));
        let (file, schema) = (self.file.clone(), schema_of(&columns));
        Self { file, schema, columns, has_faults, ..*self }.decode_known(block)
    }

    fn decode_known(&self, block: &Block) -> Result<Option<Chunk>> {
        // Most files have one object a line and no fault, so that nobody looks for the ends of objects.
        let faultless = if self.has_faults.load(Ordering::Relaxed) {
            None
        } else {
            match &block.pieces {
                None => self.decode(&block.text, lines, block.count).ok(),
                Some(pieces) => self.decode(&block.text, |text| objects(text, pieces), block.count).ok(),
            }
        };
        let ((batch, bare), pieces) = match faultless {
            Some(None) => return Ok(None),
            Some(Some(decoded)) => (decoded, block.pieces.as_deref().map(Cow::Borrowed)),
            None => match self.decode_mended(block)? {
                None => return Ok(None),
                Some((decoded, pieces)) => (decoded, Some(Cow::Owned(pieces))),
            },
        };
        let rows = match pieces {
            Some(pieces) if pieces.len() != batch.num_rows() => return Err(Error::internal("each object is a row")),
            Some(pieces) => RowNumbers::Each(pieces.iter().map(|piece| piece.line).collect()),
            None if batch.num_rows() == block.count => RowNumbers::From(block.first_line),
            None => RowNumbers::Each(block.rows().map(|(piece, _)| piece.line).collect()),
        };
        Ok(Some(Chunk { batch, origin: self.file.origin(rows), bare, bytes: block.bytes }))
    }

    /// Decodes a block object by object, with all blank that nobody wants, and the rest as the decoder knows it; what is wrong then is
    /// an error.
    fn decode_mended(&self, block: &Block) -> Result<Option<(Decoded, Vec<Piece>)>> {
        let pieces = block.pieces();
        let (mut text, mut places) = (Vec::with_capacity(block.text.len()), Vec::with_capacity(pieces.len()));
        let mut object = Vec::new();
        for piece in &pieces {
            let edits = self.blanked(block, piece, &mut object)?;
            let start = text.len();
            edited(&object, &edits, &mut text);
            places.push(Piece { start, end: text.len(), ..*piece });
        }
        let Ok(decoded) = self.decode(&text, |text| objects(text, &places), pieces.len()) else {
            return Err(self.first_fault(block, &text, &places));
        };
        self.has_faults.store(true, Ordering::Relaxed);
        Ok(decoded.map(|decoded| (decoded, pieces)))
    }

    /// Copies an object of a block with all blank that nobody wants, and gives what else is to be written otherwise.
    fn blanked(&self, block: &Block, piece: &Piece, object: &mut Vec<u8>) -> Result<Vec<Edit>> {
        object.clear();
        object.extend_from_slice(block.text.get(piece.start..piece.end).invariant("an object stands in its block")?);
        blank_unwanted(object, &self.columns).map_err(|problem| {
            let (line, problem) = piece.in_file(object, problem);
            self.file.bad_text(line, problem)
        })
    }

    /// The error for objects that cannot be decoded together: that of the first bad one. They stand in `text` as they were decoded.
    fn first_fault(&self, block: &Block, text: &[u8], places: &[Piece]) -> Error {
        let mut object = Vec::new();
        for (piece, place) in block.pieces().iter().zip(places) {
            if let Err(error) = self.blanked(block, piece, &mut object) {
                return error;
            }
            let Some(decoded) = text.get(place.start..place.end) else { continue };
            // Columns are those of the object as it stands in the file.
            let fault = read_keys(&object, |_| ()).and_then(|()| self.decode(decoded, std::iter::once, 1)).err();
            if let Some(problem) = fault {
                let (line, problem) = piece.in_file(&object, problem);
                return self.file.bad_text(line, problem);
            }
        }
        self.file.bad_text(block.first_line, "the lines from here on cannot be decoded")
    }

    /// Decodes the objects that `cut` finds in a text, and counts those with none of the keys of the list of items and beside it; `None` where
    /// there are none, else what is wrong with one of them.
    fn decode<'t, I: Iterator<Item = &'t str>>(
        &self,
        text: &'t [u8],
        cut: impl FnOnce(&'t str) -> I,
        count: usize,
    ) -> Result<Option<Decoded>, String> {
        let has_items = !self.telling.have_none_of(self.telling);
        let mut bare = 0;
        let builder = ReaderBuilder::new(Arc::clone(&self.schema)).with_coerce_primitive(true).with_batch_size(count);
        let mut decoder = builder.build_decoder().map_err(problem)?;
        // Once for all objects, and not again for each key.
        let text = std::str::from_utf8(text).map_err(|_| NOT_UTF8.to_owned())?;
        for object in cut(text) {
            if object.len() > DEEPEST && depth(object.as_bytes()) > DEEPEST {
                return Err(format!("nested more than {DEEPEST} deep"));
            }
            let before = decoder.len();
            let taken = decoder.decode(object.as_bytes()).map_err(problem)?;
            // The decoder would take several objects together, and some that are none.
            let one = taken == object.len() && !decoder.has_partial_record() && decoder.len() <= before + 1;
            if !one {
                return Err("not one JSON object on one line".to_owned());
            }
            if decoder.len() > before {
                let keys = check(object, &self.columns)?;
                bare += u64::from(has_items && keys.have_none_of(self.telling));
            }
        }
        Ok(decoder.flush().map_err(problem)?.map(|batch| (batch, bare)))
    }
}

/// Rows, and how many of them have none of the keys of the list of items and beside it.
type Decoded = (RecordBatch, u64);

/// Lines, each with its end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |place| place + 1);
        let line;
        (line, rest) = rest.split_at(end);
        (!line.is_empty()).then_some(line)
    })
}

/// The objects that stand at some places of a text.
fn objects<'t>(text: &'t str, pieces: &[Piece]) -> impl Iterator<Item = &'t str> {
    pieces.iter().filter_map(move |piece| text.get(piece.start..piece.end))
}

impl Part for JsonFile {
    fn bytes(&self) -> u64 {
        self.file.stamp.size()
    }

    fn facts(&self) -> PartFacts<'_> {
        self.file.facts(self.bytes(), None)
    }

    fn begin(&self, before_turn: bool) -> bool {
        !before_turn || self.file.begin_read()
    }

    fn read(&self, ahead: usize, visit: &Visitor<'_>) -> Result<()> {
        let mut blocks = Blocks::open(&self.file, self.compression, self.block)?;
        let read = work_ahead(ahead, || blocks.next(), |block| self.decode_block(&block)?.map_or(Ok(()), visit));
        self.file.if_unchanged(read)
    }
}

fn schema_of(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// The type as which a column is decoded: text, whatever it holds.
fn field(column: &Column) -> Field {
    let data_type = if column.fields.is_empty() {
        DataType::Utf8
    } else {
        DataType::Struct(column.fields.iter().map(field).collect())
    };
    let data_type = if column.shape == Shape::Many { DataType::new_list(data_type, true) } else { data_type };
    Field::new(&column.name, data_type, true)
}

/// What the decoder said, in our words where it is one of its usual sayings.
fn problem(error: ArrowError) -> String {
    let mut text = match error {
        ArrowError::JsonError(text) => text,
        other => other.to_string(),
    };
    if let Some(wrong) = wrong_value(&text) {
        return wrong;
    }
    if let Some((end, _)) = text.char_indices().nth(LONGEST_PROBLEM) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// What is wrong with a value that the decoder calls `whilst decoding field 'x': expected string got 1`.
fn wrong_value(text: &str) -> Option<String> {
    let mut column = Vec::new();
    let mut rest = text;
    while let Some((name, inner)) = rest.strip_prefix("whilst decoding field '").and_then(|rest| rest.split_once("': "))
    {
        column.push(name);
        rest = inner;
    }
    let (expected, value) = rest.strip_prefix("expected ")?.split_once(" got ")?;
    let expected = match expected {
        "string" => "one value",
        "[" => "a list",
        "{" => "an object",
        _ => return None,
    };
    let is_no_number = matches!(value, "\"NaN\"" | "\"Infinity\"" | "\"-Infinity\"");
    let advice = if is_no_number { "; write null where there is none" } else { "" };
    (!column.is_empty())
        .then(|| format!("column `{}`: expected {expected}, found: {}{advice}", column.join("."), quoted(value)))
}

/// How deep lists and objects are nested in a line.
fn depth(line: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for &byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
