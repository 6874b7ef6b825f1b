//! Newline-delimited JSON: blocks of lines, decoded in parallel, every value as text.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;

use crate::error::{Error, Result, quoted};
use crate::read::ahead::work_ahead;
use crate::read::discover::DataFile;
use crate::read::layout::all_columns;
use crate::read::object::{Places, check, read_keys};
use crate::read::stream::{Block, Blocks};
use crate::read::{Chunk, Column, Part, RowNumbers, Visitor, Wanted};
use crate::schema::Compression;

/// Bytes of text decoded at a time.
const BLOCK: usize = 4 << 20;

/// The deepest nesting. A type error prints its value by recursion, which must not exhaust the stack.
const DEEPEST: usize = 4096;

const NOT_UTF8: &str = "not UTF-8";

/// The longest problem text; what the decoder says may hold a whole line.
const LONGEST_PROBLEM: usize = 300;

/// A file of newline-delimited JSON.
pub(super) struct JsonFile {
    file: DataFile,
    compression: Compression,
    columns: Vec<Column>,
    /// Those of the list of items and beside it: a line with none of them shows nothing.
    telling: Places,
    schema: SchemaRef,
}

impl JsonFile {
    /// Every wanted column is read of every line: what a line lacks is null.
    pub(super) fn new(file: &DataFile, compression: Compression, wanted: &Wanted) -> Self {
        let columns = all_columns(wanted, file.day.is_some());
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let flat = || wanted.columns.iter().filter_map(|column| wanted.flat(column));
        let tells = |column: &Column| column.is_list || flat().any(|flat| flat == column.name);
        let telling = columns.iter().enumerate().filter(|(_, column)| tells(column));
        let telling = Places::of(telling.map(|(place, _)| place));
        Self { file: file.clone(), compression, columns, telling, schema }
    }

    fn decode_block(&self, block: &Block) -> Result<Option<Chunk>> {
        let Ok(batch) = self.decode(&block.text, block.lines) else {
            return Err(self.first_fault(block));
        };
        let Some((batch, bare)) = batch else { return Ok(None) };
        let rows = if batch.num_rows() == block.lines {
            RowNumbers::From(block.first_line)
        } else {
            RowNumbers::Each(block.rows().map(|(number, _)| number).collect())
        };
        Ok(Some(Chunk { batch, origin: self.file.origin(rows), bare, bytes: block.bytes }))
    }

    /// The error for a block that cannot be decoded as a whole: that of its first bad line.
    fn first_fault(&self, block: &Block) -> Error {
        let fault = block.rows().find_map(|(number, line)| {
            let decoded = read_keys(line, |_| ()).and_then(|()| self.decode(line, 1));
            decoded.err().map(|problem| self.file.bad_text(number, problem))
        });
        fault.unwrap_or_else(|| self.file.bad_text(block.first_line, "the lines from here on cannot be decoded"))
    }

    /// Decodes whole lines, and counts those with none of the keys of the list of items and beside it; `None` where all are blank, else
    /// what is wrong with one of them.
    fn decode(&self, text: &[u8], lines: usize) -> Result<Option<(RecordBatch, u64)>, String> {
        let has_items = !self.telling.have_none_of(self.telling);
        let mut bare = 0;
        let builder = ReaderBuilder::new(Arc::clone(&self.schema)).with_coerce_primitive(true).with_batch_size(lines);
        let mut decoder = builder.build_decoder().map_err(problem)?;
        // Once for all lines, and not again for each key.
        let mut rest = std::str::from_utf8(text).map_err(|_| NOT_UTF8.to_owned())?;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |place| place + 1);
            let line;
            (line, rest) = rest.split_at(end);
            if line.len() > DEEPEST && depth(line.as_bytes()) > DEEPEST {
                return Err(format!("nested more than {DEEPEST} deep"));
            }
            let before = decoder.len();
            let taken = decoder.decode(line.as_bytes()).map_err(problem)?;
            // The decoder would take objects over several lines, several on one line, and some that are none.
            let one = taken == line.len() && !decoder.has_partial_record() && decoder.len() <= before + 1;
            if !one {
                return Err("not one JSON object on one line".to_owned());
            }
            if decoder.len() > before {
                let keys = check(line, &self.columns)?;
                bare += u64::from(has_items && keys.have_none_of(self.telling));
            }
        }
        Ok(decoder.flush().map_err(problem)?.map(|batch| (batch, bare)))
    }
}

impl Part for JsonFile {
    fn bytes(&self) -> u64 {
        self.file.stamp.size()
    }

    fn read(&self, ahead: usize, visit: &Visitor<'_>) -> Result<()> {
        let mut blocks = Blocks::open(&self.file, self.compression, BLOCK)?;
        let read = work_ahead(ahead, || blocks.next(), |block| self.decode_block(&block)?.map_or(Ok(()), visit));
        self.file.if_unchanged(read)
    }
}

/// The type as which a column is decoded: text, whatever it holds.
fn field(column: &Column) -> Field {
    let data_type = if column.fields.is_empty() {
        DataType::Utf8
    } else {
        DataType::Struct(column.fields.iter().map(field).collect())
    };
    let data_type = if column.is_list { DataType::new_list(data_type, true) } else { data_type };
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
    (!column.is_empty())
        .then(|| format!("column `{}`: expected {expected}, found: {}", column.join("."), quoted(value)))
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
