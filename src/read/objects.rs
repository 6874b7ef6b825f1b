//! Where the objects of a JSON file begin and end, however they are written: by lines, glued, over several lines, in a list.
//!
//! Only brackets and quotes are looked at. Whether what is between them is JSON is for the decoder to say.

use memchr::{memchr_iter, memchr2};
use serde::de::IgnoredAny;

use crate::error::quoted;
use crate::read::stream::BYTE_ORDER_MARK;

/// An object in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The line on which it begins, the first is 1.
    pub(super) line: u64,
    /// The bytes before it on that line.
    pub(super) column: usize,
}

impl Piece {
    /// The line of the file on which something is wrong with the object, and what it is, with its column on that line.
    pub(super) fn in_file(&self, object: &[u8], problem: String) -> (u64, String) {
        let fault = serde_json::from_slice::<IgnoredAny>(object.trim_ascii_end()).err();
        let below = fault.map_or(0, |fault| fault.line().saturating_sub(1));
        let on_first_line = problem.rsplit_once(COLUMN).filter(|_| below == 0 && self.column > 0);
        let moved = on_first_line.and_then(|(text, column)| {
            let column = column.parse::<usize>().ok()? + self.column;
            Some(format!("{text}{COLUMN}{column}"))
        });
        (self.line + below as u64, moved.unwrap_or(problem))
    }
}

/// What stands before a column in a problem.
const COLUMN: &str = ", column ";

/// How deep lists and objects are nested in a line.
pub(super) fn depth(line: &[u8]) -> usize {
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

/// The end of the object that begins at `start`, behind the bracket that closes it; `None` where the text ends before.
pub(super) fn object_end(text: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut place) = (0usize, start);
    loop {
        match text.get(place)? {
            b'"' => {
                place = text_end(text, place)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(place + 1);
                }
            }
            _ => {}
        }
        place += 1;
    }
}

/// The end of the text whose quote is at `quote`, behind the quote that closes it.
pub(super) fn text_end(text: &[u8], quote: usize) -> Option<usize> {
    let mut place = quote + 1;
    loop {
        let found = place + memchr2(b'"', b'\\', text.get(place..)?)?;
        if text.get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        place = found + 2;
    }
}

/// The place of the first byte from `start` on that is neither white space nor a mark that stands where files were joined.
pub(super) fn skip_blanks(text: &[u8], start: usize) -> usize {
    let mut place = start;
    while let Some(rest) = text.get(place..).filter(|rest| !rest.is_empty()) {
        match rest[0] {
            b' ' | b'\t' | b'\r' | b'\n' => place += 1,
            _ if rest.starts_with(BYTE_ORDER_MARK) => place += BYTE_ORDER_MARK.len(),
            _ => break,
        }
    }
    place
}

/// The objects of a line that begins at `start` and ends at `end`, of which there should be one. What is no object, and all behind
/// it, is taken for one, so that the decoder says what is wrong with it.
pub(super) fn pieces_of_line(text: &[u8], start: usize, end: usize, line: u64, pieces: &mut Vec<Piece>) {
    let Some(text) = text.get(..end) else { return };
    let mut place = skip_blanks(text, start);
    while place < end {
        let object = object_end(text, place).filter(|_| text[place] == b'{');
        let next = object.map(|end| (end, skip_blanks(text, end)));
        let (stop, next) = next.filter(|(_, next)| matches!(text.get(*next), None | Some(b'{'))).unwrap_or((end, end));
        pieces.push(Piece { start: place, end: stop, line, column: place - start });
        place = next;
    }
}

/// Goes through a text whose objects are not one a line, block after block.
pub(super) struct Walk {
    place: Place,
    /// The line of what comes next.
    line: u64,
    /// The bytes before it on that line.
    column: usize,
}

/// Where a walk is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between objects, and lists of them.
    Outside,
    /// Behind the bracket that opens a list.
    First,
    /// Behind an object of a list.
    After,
    /// Behind a comma of a list.
    Next,
}

/// What is wrong, and on which line.
pub(super) type Fault = (u64, String);

impl Walk {
    pub(super) fn new() -> Self {
        Self { place: Place::Outside, line: 1, column: 0 }
    }

    /// Finds the objects that end within `text`, which goes on where the walk is. Gives the bytes that have been passed: what is
    /// left is the beginning of an object, or of a mark.
    pub(super) fn pieces(&mut self, text: &[u8], pieces: &mut Vec<Piece>) -> Result<usize, Fault> {
        let mut passed = 0;
        loop {
            let place = skip_blanks(text, passed);
            self.pass(&text[passed..place]);
            passed = place;
            let Some(&byte) = text.get(place) else { return Ok(passed) };
            let (end, next) = match (self.place, byte) {
                (Place::Outside | Place::First | Place::Next, b'{') => {
                    let Some(end) = object_end(text, place) else { return Ok(passed) };
                    pieces.push(Piece { start: place, end, line: self.line, column: self.column });
                    (end, if self.place == Place::Outside { Place::Outside } else { Place::After })
                }
                (Place::Outside, b'[') => (place + 1, Place::First),
                (Place::First | Place::After, b']') => (place + 1, Place::Outside),
                (Place::After, b',') => (place + 1, Place::Next),
                _ if BYTE_ORDER_MARK.starts_with(&text[place..]) => return Ok(passed),
                _ => return Err(self.unexpected(&text[place..])),
            };
            self.pass(&text[place..end]);
            (passed, self.place) = (end, next);
        }
    }

    /// What is wrong where the file ends with `rest` left over.
    pub(super) fn end(&self, rest: &[u8]) -> Option<Fault> {
        let problem = match (rest.first(), self.place) {
            (Some(b'{'), _) => "the object that begins here does not end",
            (Some(_), _) => return Some(self.unexpected(rest)),
            (None, Place::Outside) => return None,
            (None, _) => "the file ends within a list: it is not whole",
        };
        Some((self.line, problem.to_owned()))
    }

    /// The line of what comes next.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    fn pass(&mut self, text: &[u8]) {
        let mut behind_break = None;
        for place in memchr_iter(b'\n', text) {
            self.line += 1;
            behind_break = Some(place + 1);
        }
        self.column = behind_break.map_or(self.column + text.len(), |place| text.len() - place);
    }

    fn unexpected(&self, rest: &[u8]) -> Fault {
        let expected = match self.place {
            Place::Outside | Place::Next => "an object",
            Place::First => "an object or the end of the list",
            Place::After => "a comma or the end of the list",
        };
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let found = quoted(&String::from_utf8_lossy(&line[..line.len().min(SHOWN)]));
        (self.line, format!("expected {expected}, found: {found}, column {}", self.column + 1))
    }
}

/// How much of what is wrong is shown.
const SHOWN: usize = 40;
