//! JSON: blocks of objects, decoded in parallel, every value as text.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::error::{Error, Invariant, Result};
use crate::read::ahead::work_ahead;
use crate::read::blocks::{Blocks, TextBlock};
use crate::read::data_file::DataFile;
use crate::read::mend::{Edit, blank_unwanted, edited, mended};
use crate::read::object::read_keys;
use crate::read::objects::{Piece, depth};
use crate::read::rows::{Fault, Rows};
use crate::read::scan::{DEEPEST, Scan};
use crate::read::shapes::{are_known, note};
use crate::read::text_column::MOST_TOGETHER;
use crate::read::{Chunk, Column, Projection, Room, RowNumbers, Split, SplitFacts, Visitor};
use crate::schema::Compression;

/// Bytes of text decoded at a time, where no fewer rows are asked for.
const BLOCK: usize = 4 << 20;

/// What an object takes, about.
const ROW_BYTES: usize = 256;

const NOT_UTF8: &str = "not UTF-8";

/// A file of JSON objects.
pub(super) struct JsonFile {
    file: DataFile,
    compression: Compression,
    columns: Vec<Column>,
    /// Those of the list of items and beside it, as bits, the first column as the lowest: an object with none of them shows nothing.
    telling: u64,
    schema: SchemaRef,
    /// Bytes of text decoded at a time.
    block: usize,
    room: Room,
    /// Whether it has been seen to be no JSON in what nobody wants, or to have several objects on a line. Then it is most likely so
    /// everywhere.
    has_faults: AtomicBool,
}

impl JsonFile {
    /// Every wanted column is read of every object: what one lacks is null.
    pub(super) fn new(file: &DataFile, compression: Compression, wanted: &Projection, columns: Vec<Column>) -> Self {
        let flat = || wanted.columns.iter().filter_map(|column| wanted.flat(column));
        let list = wanted.list.as_deref();
        let is = |name: &str, column: &Column| name == column.wanted;
        let tells = |column: &Column| list.is_some_and(|list| is(list, column)) || flat().any(|flat| is(flat, column));
        let telling = columns.iter().enumerate().filter(|(_, column)| tells(column));
        let telling = telling.fold(0, |bits, (place, _)| bits | 1u64.checked_shl(place as u32).unwrap_or(0));
        let has_faults = AtomicBool::new(false);
        let room = wanted.room.clone();
        let block = BLOCK.min(room.rows().saturating_mul(ROW_BYTES));
        Self { file: file.clone(), compression, schema: schema_of(&columns), columns, telling, block, room, has_faults }
    }

    fn decode_block(&self, block: &TextBlock) -> Result<Option<Chunk>> {
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
        let (file, room, schema) = (self.file.clone(), self.room.clone(), schema_of(&columns));
        Self { file, room, schema, columns, has_faults, ..*self }.decode_known(block)
    }

    fn decode_known(&self, block: &TextBlock) -> Result<Option<Chunk>> {
        // Most files have one object a line and no fault, so that nobody looks for the ends of objects.
        let faultless = if self.has_faults.load(Ordering::Relaxed) {
            None
        } else {
            self.decode(&block.text, block.pieces.as_deref(), block.count).ok()
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
    fn decode_mended(&self, block: &TextBlock) -> Result<Option<(Decoded, Vec<Piece>)>> {
        let pieces = block.pieces();
        let (mut text, mut places) = (Vec::with_capacity(block.text.len()), Vec::with_capacity(pieces.len()));
        let mut object = Vec::new();
        for piece in &pieces {
            let edits = self.blanked(block, piece, &mut object)?;
            let start = text.len();
            edited(&object, &edits, &mut text);
            places.push(Piece { start, end: text.len(), ..*piece });
        }
        let Ok(decoded) = self.decode(&text, Some(&places), pieces.len()) else {
            return Err(self.first_fault(block, &text, &places));
        };
        self.has_faults.store(true, Ordering::Relaxed);
        Ok(decoded.map(|decoded| (decoded, pieces)))
    }

    /// Copies an object of a block with all blank that nobody wants, and gives what else is to be written otherwise.
    fn blanked(&self, block: &TextBlock, piece: &Piece, object: &mut Vec<u8>) -> Result<Vec<Edit>> {
        object.clear();
        object.extend_from_slice(block.text.get(piece.start..piece.end).invariant("an object stands in its block")?);
        blank_unwanted(object, &self.columns).map_err(|problem| {
            let (line, problem) = piece.in_file(object, problem);
            self.file.bad_text(line, problem)
        })
    }

    /// The error for objects that cannot be decoded together: that of the first bad one. They stand in `text` as they were decoded.
    fn first_fault(&self, block: &TextBlock, text: &[u8], places: &[Piece]) -> Error {
        let mut object = Vec::new();
        for (piece, place) in block.pieces().iter().zip(places) {
            if let Err(error) = self.blanked(block, piece, &mut object) {
                return error;
            }
            let Some(decoded) = text.get(place.start..place.end) else { continue };
            // Columns are those of the object as it stands in the file.
            let all = Piece { start: 0, end: decoded.len(), ..*piece };
            let fault = read_keys(&object, |_| ()).and_then(|()| self.decode(decoded, Some(&[all]), 1)).err();
            if let Some(problem) = fault {
                let (line, problem) = piece.in_file(&object, problem);
                return self.file.bad_text(line, problem);
            }
        }
        self.file.bad_text(block.first_line, "the lines from here on cannot be decoded")
    }

    /// Decodes the objects that stand at some places of a text, or one on each line, and counts those with none of the keys of the list
    /// of items and beside it; `None` where there are none, else what is wrong with one of them.
    fn decode(&self, text: &[u8], pieces: Option<&[Piece]>, count: usize) -> Result<Option<Decoded>, String> {
        // Once for all objects, and not again for each value.
        let text = std::str::from_utf8(text).map_err(|_| NOT_UTF8.to_owned())?;
        if text.len() > MOST_TOGETHER {
            return Err("more text than fits one batch".to_owned());
        }
        let mut rows = Rows::new(&self.columns, count);
        let mut bare = 0;
        let mut count_bare = |seen: Option<u64>| {
            bare += u64::from(seen.is_some_and(|seen| self.telling != 0 && seen & self.telling == 0));
        };
        match pieces {
            None => {
                let mut lines = Scan::by_line(text);
                while !lines.is_done() {
                    count_bare(rows.read_line(&mut lines).map_err(|fault| told(fault, ""))?);
                }
            }
            Some(pieces) => {
                for object in pieces.iter().filter_map(|piece| text.get(piece.start..piece.end)) {
                    count_bare(rows.read(object).map_err(|fault| told(fault, object))?);
                }
            }
        }
        let batch = rows.finish(Arc::clone(&self.schema)).map_err(|error| error.to_string())?;
        Ok(batch.map(|batch| (batch, bare)))
    }
}

/// Rows, and how many of them have none of the keys of the list of items and beside it.
type Decoded = (RecordBatch, u64);

/// What to say of an object that is no row.
fn told(fault: Fault, object: &str) -> String {
    match fault {
        Fault::Wrong(problem) => problem,
        Fault::NotJson if depth(object.as_bytes()) > DEEPEST => format!("nested more than {DEEPEST} deep"),
        Fault::NotJson => "not one JSON object on one line".to_owned(),
    }
}

impl Split for JsonFile {
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
        let mut blocks = Blocks::open(&self.file, self.compression, self.block, ahead, &self.room)?;
        let read = work_ahead(ahead, || blocks.next(), |block| self.decode_block(&block)?.map_or(Ok(()), visit));
        self.file.if_unchanged(read)
    }
}

fn schema_of(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
}
