//! Faults of JSON in what nobody wants: they are blanked out before a row is given up.
//!
//! Real logs have text cut within a character, bytes of other encodings, tabs as they are, and numbers that JSON has not: mostly in
//! search terms and notes. Whatever is wanted is left alone, and so are brackets and commas, on which the rows depend.

use std::borrow::Cow;

use crate::read::Column;
use crate::read::objects::text_end;

/// The deepest nesting that is followed; what is deeper is refused anyway.
const DEEPEST: usize = 4096;

/// Numbers that other languages write, perhaps behind a minus, and what stands in their places.
const NO_NUMBERS: [(&[u8], &[u8]); 2] = [(b"NaN", b"0  "), (b"Infinity", b"0       ")];

/// What is wanted of a value.
#[derive(Clone, Copy)]
enum Want<'a> {
    All,
    /// These keys of its objects.
    Keys(&'a [Column]),
    Nothing,
}

impl<'a> Want<'a> {
    /// What is wanted of the value of a key, between its quotes.
    fn of_key(self, key: &[u8]) -> Self {
        let Self::Keys(columns) = self else { return self };
        let Some(key) = plain_key(key) else { return Self::Nothing };
        match columns.iter().find(|column| column.name.eq_ignore_ascii_case(&key)) {
            None => Self::Nothing,
            Some(column) if column.fields.is_empty() => Self::All,
            Some(column) => Self::Keys(&column.fields),
        }
    }
}

/// A key without its escapes; `None` where it is not JSON.
fn plain_key(key: &[u8]) -> Option<Cow<'_, str>> {
    if key.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\') {
        return std::str::from_utf8(key).ok().map(Cow::Borrowed);
    }
    let mut text = Vec::with_capacity(key.len() + 2);
    text.push(b'"');
    text.extend_from_slice(key);
    text.push(b'"');
    serde_json::from_slice(&text).ok().map(Cow::Owned)
}

/// A copy of an object in which what nobody wants is blank.
pub(super) fn mended(object: &[u8], columns: &[Column]) -> Vec<u8> {
    let mut object = object.to_vec();
    blank_unwanted(&mut object, columns);
    object
}

/// Blanks the texts of an object that are below none of the wanted columns, keys that are no JSON, and what stands for numbers that
/// are none. Nothing is moved: an error behind a blank is where it was.
pub(super) fn blank_unwanted(object: &mut [u8], columns: &[Column]) {
    let mut open: Vec<(bool, Want<'_>)> = Vec::new();
    let (mut want, mut is_key) = (Want::Keys(columns), false);
    let mut place = 0;
    while let Some(&byte) = object.get(place) {
        match byte {
            b'{' | b'[' => {
                is_key = byte == b'{';
                open.push((is_key, want));
                if open.len() > DEEPEST {
                    return;
                }
            }
            b'}' | b']' => {
                open.pop();
                is_key = false;
            }
            b',' => {
                if let Some((is_object, outer)) = open.last() {
                    (is_key, want) = (*is_object, *outer);
                }
            }
            b':' => is_key = false,
            b'"' => {
                let Some(end) = text_end(object, place) else { return };
                let Some(inner) = object.get_mut(place + 1..end - 1) else { return };
                let outer = open.last().map_or(Want::Nothing, |(_, want)| *want);
                if is_key {
                    want = outer.of_key(inner);
                    if matches!(want, Want::Nothing) && plain_key(inner).is_none() {
                        inner.fill(b' ');
                    }
                } else if matches!(want, Want::Nothing) {
                    inner.fill(b' ');
                }
                place = end;
                continue;
            }
            b'N' | b'I' if matches!(want, Want::Nothing) => {
                let rest = object.get_mut(place..).unwrap_or_default();
                if let Some((found, blank)) = NO_NUMBERS.iter().find(|(found, _)| rest.starts_with(found)) {
                    rest[..found.len()].copy_from_slice(blank);
                    place += found.len();
                    continue;
                }
            }
            _ => {}
        }
        place += 1;
    }
}
