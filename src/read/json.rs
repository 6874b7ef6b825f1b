//! Newline-delimited JSON: blocks of lines, decoded in parallel, every value as text.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor as JsonVisitor};

use crate::error::{Error, Result};
use crate::read::ahead::work_ahead;
use crate::read::discover::{Compression, DataFile};
use crate::read::layout::{Lists, choose, missing};
use crate::read::stream::{Block, Blocks};
use crate::read::{Chunk, Column, Part, RowNumbers, SLATE_FIELDS, Shape, Visitor, Wanted};

/// Bytes of text decoded at a time.
const BLOCK: usize = 4 << 20;

/// Bytes looked at, at the least, before a column is taken to be absent.
const FIRST_LOOK: usize = 64 << 10;

/// How many names of a file's columns an error lists at most, beside the wanted ones.
const NAMES_LISTED: usize = 64;

/// The deepest nesting. A type error prints its value by recursion, which must not exhaust the stack.
const DEEPEST: usize = 4096;

/// The longest problem text; what the decoder says may hold a whole line.
const LONGEST_PROBLEM: usize = 300;

/// A file of newline-delimited JSON.
pub(super) struct JsonFile {
    file: DataFile,
    compression: Compression,
    schema: SchemaRef,
    bytes: u64,
}

impl JsonFile {
    /// Finds out which columns the file has; `None` where it has no rows.
    pub(super) fn open(file: &DataFile, compression: Compression, bytes: u64, wanted: &Wanted) -> Result<Option<Self>> {
        let Some(columns) = look(file, compression, wanted)? else { return Ok(None) };
        let fields: Vec<Field> = columns.iter().map(field).collect();
        Ok(Some(Self { file: file.clone(), compression, schema: Arc::new(Schema::new(fields)), bytes }))
    }

    fn decode_block(&self, block: &Block) -> Result<Option<Chunk>> {
        let Ok(batch) = decode(&block.text, block.lines, &self.schema) else {
            return Err(self.first_fault(block));
        };
        let Some(batch) = batch else { return Ok(None) };
        let rows = if batch.num_rows() == block.lines {
            RowNumbers::From(block.first_line)
        } else {
            RowNumbers::Each(rows(block).map(|(number, _)| number).collect())
        };
        Ok(Some(Chunk { batch, origin: self.file.origin(rows), bytes: block.bytes }))
    }

    /// The error for a block that cannot be decoded as a whole: that of its first bad line.
    fn first_fault(&self, block: &Block) -> Error {
        let fault = rows(block).find_map(|(number, line)| {
            let decoded = read_keys(line, |_| ()).and_then(|()| decode(line, 1, &self.schema));
            decoded.err().map(|problem| self.file.bad_text(number, problem))
        });
        fault.unwrap_or_else(|| self.file.bad_text(block.first_line, "the lines from here on cannot be decoded"))
    }
}

impl Part for JsonFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, ahead: usize, visit: &Visitor<'_>) -> Result<()> {
        let mut blocks = Blocks::open(&self.file, self.compression, BLOCK)?;
        work_ahead(ahead, || blocks.next(), |block| self.decode_block(&block)?.map_or(Ok(()), visit))
    }
}

/// The type as which a column is decoded: text, whatever it holds.
fn field(column: &Column) -> Field {
    let data_type = match column.shape {
        Shape::Scalar => DataType::Utf8,
        Shape::Slate => {
            let fields = SLATE_FIELDS.iter().map(|name| Field::new(*name, DataType::Utf8, true));
            DataType::new_list(DataType::Struct(fields.collect()), true)
        }
    };
    Field::new(&column.name, data_type, true)
}

/// The lines that hold rows: those that are not blank.
fn rows(block: &Block) -> impl Iterator<Item = (u64, &[u8])> {
    block.numbered_lines().filter(|(_, line)| !line.trim_ascii().is_empty())
}

/// Decodes whole lines; `None` where all are blank, else what is wrong with one of them.
fn decode(text: &[u8], lines: usize, schema: &SchemaRef) -> Result<Option<RecordBatch>, String> {
    let builder = ReaderBuilder::new(Arc::clone(schema)).with_coerce_primitive(true).with_batch_size(lines);
    let mut decoder = builder.build_decoder().map_err(problem)?;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if line.len() > DEEPEST && depth(line) > DEEPEST {
            return Err(format!("nested more than {DEEPEST} deep"));
        }
        let before = decoder.len();
        let taken = decoder.decode(line).map_err(problem)?;
        // The decoder would take objects over several lines, and several on one line.
        if taken < line.len() || decoder.has_partial_record() || decoder.len() > before + 1 {
            return Err("not one JSON object on one line".to_owned());
        }
    }
    decoder.flush().map_err(problem)
}

fn problem(error: ArrowError) -> String {
    let mut text = match error {
        ArrowError::JsonError(text) => text,
        other => other.to_string(),
    };
    if let Some((end, _)) = text.char_indices().nth(LONGEST_PROBLEM) {
        text.truncate(end);
        text.push('…');
    }
    text
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

/// The columns to read, or `None` where there are no rows.
///
/// Keys may be absent from some lines, so a column is missing only if no line has it. The search ends with the first
/// block after which some layout is complete.
fn look(file: &DataFile, compression: Compression, wanted: &Wanted) -> Result<Option<Vec<Column>>> {
    let mut blocks = Blocks::open(file, compression, FIRST_LOOK)?;
    let is_wanted =
        |name: &str| name == wanted.day_column || wanted.layouts.iter().flatten().any(|column| column.name == name);
    let mut present: Vec<String> = Vec::new();
    let mut any_rows = false;
    let choose_among = |present: &[String]| {
        choose(wanted, file.day.is_some(), Lists::Possible, |column| present.contains(&column.name))
    };
    while let Some(block) = blocks.next()? {
        for (number, line) in rows(&block) {
            any_rows = true;
            let note = |key: &str| {
                if !present.iter().any(|name| name == key) && (present.len() < NAMES_LISTED || is_wanted(key)) {
                    present.push(key.to_owned());
                }
            };
            read_keys(line, note).map_err(|problem| file.bad_text(number, problem))?;
        }
        if let Ok(columns) = choose_among(&present) {
            return Ok(Some(columns));
        }
    }
    if !any_rows {
        return Ok(None);
    }
    match choose_among(&present) {
        Ok(columns) => Ok(Some(columns)),
        Err(column) => Err(missing(wanted, Some(file.path.as_path()), column, present)),
    }
}

/// Hands the keys of the object on a line to `note`, or says why the line is no object.
fn read_keys(line: &[u8], note: impl FnMut(&str)) -> Result<(), String> {
    // Without its end, so that a fault at the end is placed there.
    let line = line.trim_ascii_end();
    let mut json = serde_json::Deserializer::from_slice(line);
    let read = json.deserialize_map(Keys(note)).and_then(|()| json.end());
    read.map_err(|error| {
        // The parser counts lines within what it is given, which is one line.
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
        match error.column() {
            0 => format!("not one JSON object: {text}"),
            column => format!("not one JSON object: {text}, column {column}"),
        }
    })
}

struct Keys<F>(F);

impl<'de, F: FnMut(&str)> JsonVisitor<'de> for Keys<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, IgnoredAny)) = map.next_entry::<Cow<'de, str>, IgnoredAny>()? {
            (self.0)(&key);
        }
        Ok(())
    }
}
