//! The tokens of JSON, as RFC 8259 has them: found, checked, and passed. Nothing is lenient here, and nothing is built.
//!
//! What is accepted is what `serde_json` accepts: numbers of any size, any keys, and in strings any escape that is well formed. Half a
//! surrogate pair is no text: it is let through only in strings that nobody reads, keys of unwanted objects among them.

use std::borrow::Cow;
use std::ops::Range;

use crate::read::sixteen;

/// A place in a text that is JSON, or is found not to be.
pub(super) struct Scan<'t> {
    text: &'t str,
    place: usize,
    /// Whether the end of a line is no white space, as each object has a line of its own.
    by_line: bool,
    /// The brackets that are open in a value that is passed: whether each is an object's.
    open: Vec<bool>,
}

/// Where a string stands, between its quotes.
#[derive(Clone, Copy)]
pub(super) struct Quoted {
    start: usize,
    end: usize,
    has_escapes: bool,
}

/// Bytes that are expected, to be compared with others sixteen at once.
pub(super) struct Known {
    bytes: Box<[u8]>,
    /// The first ones, and which bits of sixteen bytes are theirs.
    first: u128,
    mask: u128,
}

impl Known {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let (mut first, mut mask) = ([0; 16], [0; 16]);
        first.iter_mut().zip(bytes).for_each(|(byte, from)| *byte = *from);
        mask.iter_mut().zip(bytes).for_each(|(byte, _)| *byte = 0xFF);
        Self { bytes: bytes.into(), first: u128::from_le_bytes(first), mask: u128::from_le_bytes(mask) }
    }

    /// Whether a text that begins as these bytes do goes on as they do.
    #[inline]
    fn is_continued(&self, text: &[u8]) -> bool {
        self.bytes.get(16..).is_none_or(|more| text.get(16..).is_some_and(|text| text.starts_with(more)))
    }
}

/// The text is not JSON; where and why is found out elsewhere, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotJson;

/// The deepest nesting of lists and objects.
pub(super) const DEEPEST: usize = 4096;

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, place: 0, by_line: false, open: Vec::new() }
    }

    /// A text whose lines are looked at one by one.
    pub(super) fn by_line(text: &'t str) -> Self {
        Self { by_line: true, ..Self::new(text) }
    }

    /// The next byte that is no white space, which it stays before; `None` at the end.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.place) {
                Some(b' ' | b'\r' | b'\t') => self.place += 1,
                Some(b'\n') if !self.by_line => self.place += 1,
                other => return other.copied(),
            }
        }
    }

    /// Passes the end of a line, which has to come next but for white space; true at the end of the text too.
    #[inline]
    pub(super) fn ends_line(&mut self) -> bool {
        match self.peek() {
            Some(b'\n') => {
                self.place += 1;
                true
            }
            other => other.is_none(),
        }
    }

    /// Where the next byte stands.
    pub(super) fn place(&self) -> usize {
        self.place
    }

    /// What has been passed since a place.
    pub(super) fn since(&self, start: usize) -> Result<&'t str, NotJson> {
        self.text.get(start..self.place).ok_or(NotJson)
    }

    /// The bytes from a place on, to the end of the text.
    #[inline]
    pub(super) fn bytes_from(&self, start: usize) -> &'t [u8] {
        self.text.as_bytes().get(start..).unwrap_or_default()
    }

    /// Passes the byte that `peek` gave.
    #[inline]
    pub(super) fn step(&mut self) {
        self.place += 1;
    }

    /// Passes a byte, which has to come next but for white space.
    #[inline]
    pub(super) fn pass(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.peek() == Some(byte) {
            self.place += 1;
            Ok(())
        } else {
            Err(NotJson)
        }
    }

    /// Passes bytes that come next as they are; false where others do.
    #[inline]
    pub(super) fn pass_if(&mut self, known: &Known) -> bool {
        let rest = self.bytes_from(self.place);
        let is = match rest.first_chunk() {
            Some(first) => u128::from_le_bytes(*first) & known.mask == known.first && known.is_continued(rest),
            None => rest.starts_with(&known.bytes),
        };
        self.place += if is { known.bytes.len() } else { 0 };
        is
    }

    /// Whether the object, or list, that ends with `close` has another element; passes the comma before it, or what closes it.
    #[inline]
    pub(super) fn goes_on(&mut self, is_first: bool, close: u8) -> Result<bool, NotJson> {
        match self.peek() {
            Some(byte) if byte == close => {
                self.place += 1;
                Ok(false)
            }
            Some(b',') if !is_first => {
                self.place += 1;
                Ok(true)
            }
            Some(_) if is_first => Ok(true),
            _ => Err(NotJson),
        }
    }

    /// Passes a key and the colon behind it.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Quoted, NotJson> {
        self.pass(b'"')?;
        let key = self.string()?;
        self.pass(b':')?;
        Ok(key)
    }

    /// Passes what is left of a string whose first quote has been passed.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Quoted, NotJson> {
        let (bytes, start) = (self.text.as_bytes(), self.place);
        let (mut place, mut has_escapes) = (start, false);
        loop {
            place = plain_end(bytes, place);
            match bytes.get(place) {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    place = escape_end(bytes, place).ok_or(NotJson)?;
                }
                _ => return Err(NotJson),
            }
        }
        self.place = place + 1;
        Ok(Quoted { start, end: place, has_escapes })
    }

    /// What a string says; `None` where half a surrogate pair is in it.
    pub(super) fn text_of(&self, string: Quoted) -> Option<Cow<'t, str>> {
        let raw = self.text.get(string.start..string.end)?;
        if string.has_escapes { unescaped(raw).map(Cow::Owned) } else { Some(Cow::Borrowed(raw)) }
    }

    /// Passes a number, a bool or null, and says where it stands.
    #[inline]
    pub(super) fn literal(&mut self) -> Result<Range<usize>, NotJson> {
        let start = self.place;
        let rest = self.bytes_from(start);
        self.place += match rest.first() {
            Some(b'-' | b'0'..=b'9') => number_length(rest).ok_or(NotJson)?,
            _ => word_length(rest).ok_or(NotJson)?,
        };
        Ok(start..self.place)
    }

    /// Passes any value.
    #[inline]
    pub(super) fn value(&mut self) -> Result<(), NotJson> {
        match self.peek() {
            Some(b'"') => {
                self.step();
                self.string().map(drop)
            }
            Some(b'{' | b'[') => self.nested(),
            _ => self.literal().map(drop),
        }
    }

    /// Passes a list or an object.
    fn nested(&mut self) -> Result<(), NotJson> {
        self.open.clear();
        loop {
            // A value stands here.
            match self.peek() {
                Some(b'"') => {
                    self.place += 1;
                    self.string()?;
                }
                Some(byte @ (b'{' | b'[')) => {
                    self.place += 1;
                    self.open.push(byte == b'{');
                    if self.open.len() > DEEPEST {
                        return Err(NotJson);
                    }
                    if self.element(true)? {
                        continue;
                    }
                }
                _ => self.literal().map(drop)?,
            }
            // A value has ended, and perhaps those around it.
            loop {
                if self.open.is_empty() {
                    return Ok(());
                }
                if self.element(false)? {
                    break;
                }
            }
        }
    }

    /// Goes to the next element of the innermost bracket that is open, or closes it.
    fn element(&mut self, is_first: bool) -> Result<bool, NotJson> {
        let is_object = self.open.last() == Some(&true);
        let goes_on = self.goes_on(is_first, if is_object { b'}' } else { b']' })?;
        if !goes_on {
            self.open.pop();
        } else if is_object {
            self.key()?;
        }
        Ok(goes_on)
    }

    /// Whether all has been passed.
    #[inline]
    pub(super) fn is_done(&self) -> bool {
        self.place >= self.text.len()
    }

    /// Whether all has been passed but for white space.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }
}

impl Quoted {
    /// Where it stands as it is written, where it says that too.
    #[inline]
    pub(super) fn plain(self) -> Option<Range<usize>> {
        (!self.has_escapes).then_some(self.start..self.end)
    }
}

/// The first byte from `place` on that ends a string, begins an escape, or must not be in one.
#[inline]
fn plain_end(bytes: &[u8], mut place: usize) -> usize {
    while let Some(chunk) = bytes.get(place..).and_then(<[u8]>::first_chunk) {
        let marked = sixteen::no_plain_text(chunk);
        if marked != 0 {
            return place + marked.trailing_zeros() as usize;
        }
        place += 16;
    }
    while bytes.get(place).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | ..b' ')) {
        place += 1;
    }
    place
}

/// The end of the escape that begins at a place.
fn escape_end(bytes: &[u8], place: usize) -> Option<usize> {
    match bytes.get(place + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(place + 2),
        b'u' => bytes.get(place + 2..place + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(place + 6),
        _ => None,
    }
}

/// The length of `true`, `false` or `null` at the start of a text.
fn word_length(text: &[u8]) -> Option<usize> {
    [&b"true"[..], b"false", b"null"].iter().find(|word| text.starts_with(word)).map(|word| word.len())
}

/// The length of the number at the start of a text.
#[inline]
fn number_length(text: &[u8]) -> Option<usize> {
    // Most numbers are whole, and few have sixteen digits.
    if let Some(first) = text.first_chunk() {
        let digits = sixteen::no_digits(first).trailing_zeros() as usize;
        let behind = first.get(digits);
        if first[0] != b'0' && digits > 0 && behind.is_some_and(|byte| !matches!(byte, b'.' | b'e' | b'E')) {
            return Some(digits);
        }
    }
    let start = usize::from(text.first() == Some(&b'-'));
    let mut end = digits_end(text, start)?;
    if end > start + 1 && text.get(start) == Some(&b'0') {
        return None;
    }
    if let Some(b'.') = text.get(end) {
        end = digits_end(text, end + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        end = digits_end(text, end + 1 + sign)?;
    }
    Some(end)
}

/// Where the digits end that stand from a place on, of which there has to be one.
#[inline]
fn digits_end(text: &[u8], start: usize) -> Option<usize> {
    let mut place = start;
    while let Some(chunk) = text.get(place..).and_then(<[u8]>::first_chunk) {
        let others = sixteen::no_digits(chunk);
        if others != 0 {
            place += others.trailing_zeros() as usize;
            return (place > start).then_some(place);
        }
        place += 16;
    }
    while text.get(place).is_some_and(u8::is_ascii_digit) {
        place += 1;
    }
    (place > start).then_some(place)
}

/// A string without its escapes.
fn unescaped(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let (kind, behind) = escape.split_at_checked(1)?;
        rest = behind;
        text.push(match kind {
            "b" => '\u{8}',
            "f" => '\u{c}',
            "n" => '\n',
            "r" => '\r',
            "t" => '\t',
            "u" => {
                let (first, behind) = unit(rest)?;
                rest = behind;
                let mut units = vec![first];
                if (0xD800..0xDC00).contains(&first) {
                    let (second, behind) = unit(rest.strip_prefix("\\u")?)?;
                    rest = behind;
                    units.push(second);
                }
                char::decode_utf16(units).next()?.ok()?
            }
            other => other.chars().next()?,
        });
    }
    text.push_str(rest);
    Some(text)
}

/// The four digits of a `\u` escape, and what is behind them.
fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use serde::de::IgnoredAny;

    use super::{NotJson, Scan};

    const TEXTS: [&str; 8] = [
        r#"{"a": 1, "b": [true, false, null, -0.5e+10, "x\u00e9\n"], "c": {"d": {}, "e": []}}"#,
        r#"[[[1,2],[3]],{"k":"v"},"", "a string of some length, with a \" in it and a \\ too"]"#,
        r#""\ud83d\ude00 and \u0041""#,
        r#"  [ 1 , 2.0 , -3e5 , 0 , 10 , 1E-2 ]  "#,
        r#"{"":{"":[{"":0}]}}"#,
        r#""ünïcödé, 漢字, and a tab: \t""#,
        "-12345678901234567890.12345e-300",
        r#"{"a":"b","a":"c","long key that has more than eight bytes":"and a value of more than sixteen"}"#,
    ];
    const BYTES: &[u8] = b"{}[]\":,\\ \n\t\x01\x7f0123456789-+.eEtrufalsn/bcdDuxX";

    fn accepted(text: &str) -> Result<(), NotJson> {
        let mut scan = Scan::new(text);
        scan.value()?;
        if scan.is_at_end() { Ok(()) } else { Err(NotJson) }
    }

    /// What is accepted is what `serde_json` accepts, on texts that are JSON but for a few bytes.
    #[test]
    fn the_scan_accepts_what_serde_json_does() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let (mut right, mut wrong) = (0, 0);
        for _ in 0..200_000 {
            let mut text = TEXTS[random.random_range(0..TEXTS.len())].as_bytes().to_vec();
            for _ in 0..random.random_range(0..4) {
                let (place, byte) = (random.random_range(0..text.len()), BYTES[random.random_range(0..BYTES.len())]);
                match random.random_range(0..3) {
                    0 => text[place] = byte,
                    1 => text.insert(place, byte),
                    _ => text.truncate(place.max(1)),
                }
            }
            let Ok(text) = std::str::from_utf8(&text) else { continue };
            let expected = serde_json::from_str::<IgnoredAny>(text).is_ok();
            assert_eq!(accepted(text).is_ok(), expected, "{text}");
            *(if expected { &mut right } else { &mut wrong }) += 1;
        }
        assert!(right > 40_000 && wrong > 40_000, "{right} and {wrong}");
    }

    /// A string that is wanted says what it says to `serde_json`, or is refused by both.
    #[test]
    fn texts_are_those_of_serde_json() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
        let parts = [
            "a",
            "é",
            "\\n",
            "\\\\",
            "\\\"",
            "\\/",
            "\\u0041",
            "\\ud83d",
            "\\ude00",
            "\\u00e9",
            "some plain text",
            "漢",
            "\\x",
            "\\u12",
        ];
        let mut read = 0;
        for _ in 0..50_000 {
            let inner: String =
                (0..random.random_range(0..6)).map(|_| parts[random.random_range(0..parts.len())]).collect();
            let json = format!("\"{inner}\"");
            let expected = serde_json::from_str::<String>(&json).ok();
            let mut scan = Scan::new(&json);
            let found = scan.pass(b'"').and_then(|()| scan.string()).ok().and_then(|string| scan.text_of(string));
            assert_eq!(found.as_deref(), expected.as_deref(), "{json}");
            read += u32::from(expected.is_some());
        }
        assert!(read > 10_000, "{read}");
    }
}
