//! Where the fields of a record stand, and what they say.

use memchr::{memchr, memchr_iter, memchr2, memchr3};

use super::{Field, Records, Scanned};
use crate::error::{Error, Invariant, OptionName, Result, quoted};
use crate::read::dialect::Dialect;
use crate::read::sixteen;

/// How much of what is wrong is shown.
const SHOWN: usize = 40;

impl Records<'_> {
    /// Finds the fields of the record that begins at `start`.
    pub(super) fn find(&mut self) -> Result<Scanned> {
        self.record.fields.clear();
        if let Some(delimiter) = self.only_delimiter {
            return Ok(self.find_plain(delimiter));
        }
        let text = self.buffer.get(self.start..).invariant("a record begins within the buffer")?;
        let end = match memchr(b'\n', text) {
            Some(end) => end,
            None if self.ended => text.len(),
            None => return Ok(Scanned::Begun),
        };
        let line = &text[..end];
        if self.dialect.mark().is_some_and(|mark| memchr(mark, line).is_some()) {
            return match self.dialect.bare_escape() {
                Some(escape) => self.find_escaped(escape),
                None => self.find_quoted(),
            };
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (start, mut field) = (self.start, self.start);
        let mut end_at = |delimiter: usize, width: usize| {
            self.record.fields.push(Field::plain(field, start + delimiter));
            field = start + delimiter + width;
        };
        match &self.dialect.finder {
            None => memchr_iter(self.dialect.delimiter[0], line).for_each(|place| end_at(place, 1)),
            Some(finder) => finder.find_iter(line).for_each(|place| end_at(place, finder.needle().len())),
        }
        let last = start + line.len();
        self.record.fields.push(Field::plain(field, last));
        (self.record.start, self.record.end) = (start, last);
        Ok(Scanned::Whole { next: (start + end + 1).min(self.buffer.len()), lines: 1 })
    }

    /// As [`Records::find`], in a block where fields and records have no other ends than delimiters and ends of lines.
    fn find_plain(&mut self, delimiter: u8) -> Scanned {
        let (text, fields) = (&*self.buffer, &mut self.record.fields);
        let (mut field, mut place) = (self.start, self.start);
        let end = 'record: loop {
            let (mut found, looked) = match text.get(place..).and_then(<[u8]>::first_chunk) {
                Some(chunk) => (sixteen::either(chunk, delimiter, b'\n'), 16),
                None => match text.get(place) {
                    Some(&byte) => (u32::from(byte == delimiter || byte == b'\n'), 1),
                    None => break place,
                },
            };
            while found != 0 {
                let at = place + found.trailing_zeros() as usize;
                if text.get(at) == Some(&b'\n') {
                    break 'record at;
                }
                fields.push(Field::plain(field, at));
                field = at + 1;
                found &= found - 1;
            }
            place += looked;
        };
        let is_return = end > field && text.get(end - 1) == Some(&b'\r');
        let last = end - usize::from(is_return);
        fields.push(Field::plain(field, last));
        (self.record.start, self.record.end) = (self.start, last);
        Scanned::Whole { next: (end + 1).min(text.len()), lines: 1 }
    }

    /// As [`Records::find`], of a record with a quote in it.
    fn find_quoted(&mut self) -> Result<Scanned> {
        let buffer = &*self.buffer;
        let mut place = self.start;
        let mut lines = 0;
        loop {
            let is_quoted = self.dialect.quote.is_some() && buffer.get(place) == self.dialect.quote.as_ref();
            let field = if is_quoted { self.quoted_field(place) } else { self.plain_field(place) };
            let Some((field, end)) = field else {
                if self.ended {
                    return Err(self.file.bad_text(self.line, "a quoted field that does not end"));
                }
                return Ok(Scanned::Begun);
            };
            lines += memchr_iter(b'\n', &buffer[field.start..field.end]).count() as u64;
            self.record.fields.push(field);
            match (self.is_delimiter(end), buffer.get(end)) {
                (None, _) => return Ok(Scanned::Begun),
                (Some(true), _) => place = end + self.dialect.delimiter.len(),
                (Some(false), Some(b'\n') | None) => {
                    // Lines within the record, and its end.
                    (self.record.start, self.record.end) = (self.start, end);
                    return Ok(Scanned::Whole { next: (end + 1).min(buffer.len()), lines: lines + 1 });
                }
                (Some(false), Some(_)) => return Err(self.goes_on(field, end, lines)),
            }
        }
    }

    /// As [`Records::find`], of a record with an escape in it, in a file without quotes.
    fn find_escaped(&mut self, escape: u8) -> Result<Scanned> {
        let buffer = &*self.buffer;
        let (mut field, mut place) = (Field::plain(self.start, self.start), self.start);
        let (mut lines, mut escaped) = (0, self.start);
        let (end, next) = loop {
            let text = buffer.get(place..).invariant("a record is looked at within the buffer")?;
            let found = memchr3(escape, self.dialect.delimiter[0], b'\n', text).map(|found| place + found);
            match found.and_then(|at| Some((at, buffer.get(at)?))) {
                None if self.ended => break (buffer.len(), buffer.len()),
                None => return Ok(Scanned::Begun),
                Some((at, b'\n')) => break (at, at + 1),
                Some((at, byte)) if *byte == escape => {
                    let length = match buffer.get(at + 1..).unwrap_or_default() {
                        [] if self.ended => {
                            let problem = "the file ends behind an escape: its last record is not whole";
                            return Err(self.file.bad_text(self.line, problem));
                        }
                        [] => return Ok(Scanned::Begun),
                        [b'\r'] if !self.ended => return Ok(Scanned::Begun),
                        // The end of a line of a file whose lines end so.
                        [b'\r', b'\n', ..] => 3,
                        _ => 2,
                    };
                    lines += memchr_iter(b'\n', &buffer[at..at + length]).count() as u64;
                    field.packed = true;
                    (place, escaped) = (at + length, at + length);
                }
                Some((at, _)) => match self.is_delimiter(at) {
                    None => return Ok(Scanned::Begun),
                    Some(false) => place = at + 1,
                    Some(true) => {
                        self.record.fields.push(Field { end: at, ..field });
                        place = at + self.dialect.delimiter.len();
                        field = Field::plain(place, place);
                    }
                },
            }
        };
        let last = Field { end, ..field };
        // A carriage return that is escaped belongs to the field.
        let last = if end > escaped { self.without_return(last) } else { last };
        self.record.fields.push(last);
        (self.record.start, self.record.end) = (self.start, last.end);
        Ok(Scanned::Whole { next, lines: lines + 1 })
    }

    /// The field without quotes that begins at `place`, and where it ends; `None` where the buffer ends before.
    fn plain_field(&self, place: usize) -> Option<(Field, usize)> {
        let mut from = place;
        let (end, is_last) = loop {
            let text = self.buffer.get(from..)?;
            match memchr2(self.dialect.delimiter[0], b'\n', text).map(|found| from + found) {
                Some(end) if self.buffer.get(end) == Some(&b'\n') => break (end, true),
                Some(end) if self.is_delimiter(end)? => break (end, false),
                Some(end) => from = end + 1,
                None if self.ended => break (self.buffer.len(), true),
                None => return None,
            }
        };
        let field = Field::plain(place, end);
        Some((if is_last { self.without_return(field) } else { field }, end))
    }

    /// Whether a delimiter begins at a place; `None` where the buffer ends before it can be told.
    fn is_delimiter(&self, place: usize) -> Option<bool> {
        let (rest, delimiter) = (self.buffer.get(place..)?, self.dialect.delimiter.as_slice());
        let begins = rest.starts_with(delimiter);
        let is_cut = !self.ended && rest.len() < delimiter.len() && delimiter.starts_with(rest);
        (!is_cut).then_some(begins)
    }

    fn without_return(&self, field: Field) -> Field {
        let ends_so = field.start < field.end && self.buffer.get(field.end - 1) == Some(&b'\r');
        Field { end: field.end - usize::from(ends_so), ..field }
    }

    /// The field between quotes of which the first is at `quote`, and what is behind the last and behind a carriage return
    /// that ends the record; `None` where the buffer ends before it can be told.
    fn quoted_field(&self, quote: usize) -> Option<(Field, usize)> {
        let mark = self.dialect.quote?;
        let start = quote + 1;
        let mut place = start;
        let mut packed = false;
        loop {
            let text = self.buffer.get(place..)?;
            let found = match self.dialect.escape {
                Some(escape) => memchr2(mark, escape, text),
                None => memchr(mark, text),
            };
            let at = place + found?;
            let following = self.buffer.get(at + 1);
            let is_quote = self.buffer.get(at) == Some(&mark);
            if following.is_none() && !(self.ended && is_quote) {
                return None;
            }
            if !is_quote || following == Some(&mark) {
                packed = true;
                place = at + 2;
                continue;
            }
            let ends_line = match self.buffer.get(at + 2) {
                Some(&byte) => byte == b'\n',
                None if self.ended => true,
                None if following == Some(&b'\r') => return None,
                None => false,
            };
            let returns = following == Some(&b'\r') && ends_line;
            return Some((Field { start, end: at, packed }, at + 1 + usize::from(returns)));
        }
    }

    /// The error for a field that goes on after its closing quote, which is so many lines below the start of the record.
    fn goes_on(&self, field: Field, end: usize, lines: u64) -> Error {
        let shown = &self.buffer[field.start - 1..];
        let (from, to) = (end.saturating_sub(field.start - 1 + SHOWN), end + 1 - (field.start - 1));
        let shown = String::from_utf8_lossy(&shown[from..to]).into_owned();
        let where_it_ends = if lines == 0 { String::new() } else { format!(" on line {}", self.line + lines) };
        let number = self.record.fields.len();
        let problem = format!(
            "field {number} goes on after its closing quote{where_it_ends}: {}; a quote within quotes is doubled (where a \
             character before it escapes it, as Spark writes it, name that: `{}`, or `escape` in a \
             description), and a field that begins with a quote is quoted (where quotes are text like any other, say \
             `quote = \"\"`)",
            quoted(&shown),
            OptionName::CsvEscape.set_to("\\")
        );
        self.file.bad_text(self.line, problem)
    }
}

/// The content of a field, with doubled and escaped quotes as one.
pub(super) fn unpack(bytes: &[u8], dialect: &Dialect, unpacked: &mut Vec<u8>) {
    let (quote, escape) = (dialect.quote, dialect.escape);
    unpacked.clear();
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let escapes = Some(*first) == quote || Some(*first) == escape;
        rest = match tail {
            [second, tail @ ..] if escapes && (Some(*second) == quote || Some(*second) == escape) => {
                unpacked.push(*second);
                tail
            }
            _ => {
                unpacked.push(*first);
                tail
            }
        };
    }
}

/// The content of a field in which an escape gives the next character its plain meaning, or names one that is hard to see, by the
/// letters of MySQL and PostgreSQL. An `N` alone is a null, which is an empty field.
pub(super) fn unescape(bytes: &[u8], escape: u8, unescaped: &mut Vec<u8>) {
    unescaped.clear();
    if bytes == [escape, b'N'] {
        return;
    }
    let mut rest = bytes;
    while let Some(at) = memchr(escape, rest) {
        let (before, from) = rest.split_at(at);
        unescaped.extend_from_slice(before);
        let Some((&next, behind)) = from[1..].split_first() else { break };
        unescaped.push(match next {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'v' => 11,
            b'f' => 12,
            b'0' => 0,
            b'Z' => 26,
            other => other,
        });
        rest = behind;
    }
    unescaped.extend_from_slice(rest);
}
