//! A JSON file as blocks of whole objects.
//!
//! Most files have one object on a line: their lines are told apart by their ends alone, and nobody looks into them here. How a file
//! is written its beginning says: with a list, with an object over several lines, or with two on its first line, every object's
//! end is looked for.

use memchr::{memchr, memchr_iter, memrchr};

use crate::error::Result;
use crate::read::data_file::DataFile;
use crate::read::objects::{Piece, Walk, object_end, pieces_of_line, skip_blanks};
use crate::read::room::Room;
use crate::read::stream::{BYTE_ORDER_MARK, LONGEST_RECORD, Meter, TextStream, too_long};
use crate::read::text_buffer::TextBuffer;
use crate::schema::Compression;

/// Some whole objects of a file.
pub(super) struct TextBlock {
    /// Whole lines, each with its `\n`, which only the last line of the file may lack; or objects and what is between them.
    pub(super) text: TextBuffer,
    /// The number of the first line.
    pub(super) first_line: u64,
    /// How many lines, or else how many objects.
    pub(super) count: usize,
    /// The bytes of the file that were read for them.
    pub(super) bytes: u64,
    /// Where the objects stand, where they are not one a line.
    pub(super) pieces: Option<Vec<Piece>>,
}

impl TextBlock {
    /// Where the objects stand. On lines too, several may.
    pub(super) fn pieces(&self) -> Vec<Piece> {
        if let Some(pieces) = &self.pieces {
            return pieces.clone();
        }
        let (mut pieces, mut start) = (Vec::with_capacity(self.count), 0);
        for (line, text) in (self.first_line..).zip(self.text.split_inclusive(|&byte| byte == b'\n')) {
            pieces_of_line(&self.text, start, start + text.len(), line, &mut pieces);
            start += text.len();
        }
        pieces
    }

    /// The objects, and where they stand.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Piece, &[u8])> {
        let object = |piece: Piece| Some((piece, self.text.get(piece.start..piece.end)?));
        self.pieces().into_iter().filter_map(object)
    }
}

/// How the objects of a file are told apart.
enum Form {
    /// By the ends of lines.
    Lines { next_line: u64 },
    /// By their own ends.
    Objects(Walk),
}

/// A JSON file in blocks.
pub(super) struct Blocks<'a> {
    file: &'a DataFile,
    stream: TextStream,
    meter: Meter,
    size: usize,
    /// What has been read and not been handed out.
    text: TextBuffer,
    /// So much of it has been searched for the end of a line.
    searched: usize,
    ended: bool,
    /// None before the first block.
    form: Option<Form>,
}

impl<'a> Blocks<'a> {
    /// Blocks of about `size` bytes, more where a line or object is longer; so many threads may unpack the file.
    pub(super) fn open(
        file: &'a DataFile,
        compression: Compression,
        size: usize,
        threads: usize,
        room: &Room,
    ) -> Result<Self> {
        let stream = TextStream::open(file, compression, threads)?;
        let (meter, text) = (stream.meter(), TextBuffer::new(room.recycled()));
        Ok(Self { file, stream, meter, size, text, searched: 0, ended: false, form: None })
    }

    /// The next block, not empty, or `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<TextBlock>> {
        let mut form = match self.form.take() {
            Some(form) => form,
            None => self.find_form()?,
        };
        let block = match &mut form {
            Form::Lines { next_line } => self.next_lines(next_line),
            Form::Objects(walk) => self.next_objects(walk),
        };
        self.form = Some(form);
        block
    }

    /// Reads until `text` has about `length` bytes or the file ends.
    fn read_to(&mut self, length: usize) -> Result<()> {
        if !self.ended {
            let ended = self.text.fill(&mut self.stream, length);
            self.ended = ended.map_err(|source| self.file.unreadable(self.stream.action(), source))?;
        }
        Ok(())
    }

    /// So much is read next where what has been read has no end.
    fn longer(&self) -> usize {
        (self.text.len() * 2).clamp(self.size, LONGEST_RECORD + 1)
    }

    /// Reads the beginning. What is not the beginning of an object or a list is taken for lines, and so is what is too long: both
    /// are errors there.
    fn find_form(&mut self) -> Result<Form> {
        let lines = || Ok(Form::Lines { next_line: 1 });
        self.read_to(self.size)?;
        if self.text.starts_with(BYTE_ORDER_MARK) {
            self.text.pass(BYTE_ORDER_MARK.len());
        }
        loop {
            let start = skip_blanks(&self.text, 0);
            let end = match self.text.get(start) {
                Some(b'[') => return Ok(Form::Objects(Walk::new())),
                Some(b'{') => object_end(&self.text, start),
                Some(_) => return lines(),
                None => None,
            };
            if let Some(end) = end {
                if memchr(b'\n', &self.text[start..end]).is_some() {
                    return Ok(Form::Objects(Walk::new()));
                }
                let behind = self.text[end..].iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
                match behind {
                    Some(b'{') => return Ok(Form::Objects(Walk::new())),
                    Some(_) => return lines(),
                    None => {}
                }
            }
            if self.ended || self.text.len() > LONGEST_RECORD {
                return lines();
            }
            self.read_to(self.longer())?;
        }
    }

    fn next_lines(&mut self, next_line: &mut u64) -> Result<Option<TextBlock>> {
        self.read_to(self.size.max(self.text.len() + 1))?;
        let end = loop {
            if self.ended {
                break self.text.len();
            }
            if let Some(last) = self.text.get(self.searched..).and_then(|text| memrchr(b'\n', text)) {
                break self.searched + last + 1;
            }
            self.searched = self.text.len();
            if self.text.len() > LONGEST_RECORD {
                return Err(self.file.bad_text(*next_line, too_long("line")));
            }
            self.read_to(self.longer())?;
        };
        let text = self.text.take_front(end);
        self.searched = self.text.len();
        if text.is_empty() {
            return Ok(None);
        }
        let unfinished = usize::from(text.last() != Some(&b'\n'));
        let count = memchr_iter(b'\n', &text).count() + unfinished;
        let first_line = *next_line;
        *next_line += count as u64;
        Ok(Some(TextBlock { text, first_line, count, bytes: self.meter.since(), pieces: None }))
    }

    fn next_objects(&mut self, walk: &mut Walk) -> Result<Option<TextBlock>> {
        let mut pieces = Vec::new();
        self.read_to(self.size.max(self.text.len() + 1))?;
        let bad_text = |(line, problem)| self.file.bad_text(line, problem);
        loop {
            let passed = walk.pieces(&self.text, &mut pieces).map_err(bad_text)?;
            let text = self.text.take_front(passed);
            if let Some(first) = pieces.first() {
                let (first_line, count) = (first.line, pieces.len());
                return Ok(Some(TextBlock {
                    text,
                    first_line,
                    count,
                    bytes: self.meter.since(),
                    pieces: Some(pieces),
                }));
            }
            if self.ended {
                return walk.end(&self.text).map_or(Ok(None), |fault| Err(bad_text(fault)));
            }
            if self.text.len() > LONGEST_RECORD {
                return Err(self.file.bad_text(walk.line(), too_long("object")));
            }
            self.read_to(self.longer())?;
        }
    }
}
