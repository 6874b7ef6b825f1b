//! Objects that the decoder does not take as they are, before a row is given up.
//!
//! Real logs have text cut within a character, bytes of other encodings, tabs as they are, and numbers that JSON has not: mostly in
//! search terms and notes. In what nobody wants they are blanked out. Where a value is wanted, a number that JSON has not becomes a
//! text, so that it is read by the rules of text; and keys are spelled as the decoder knows them. All else that is wanted is left
//! alone, and so are brackets and commas, on which the rows depend.

use std::borrow::Cow;
use std::ops::Range;

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

/// Other bytes in the place of some of an object.
pub(super) type Edit = (Range<usize>, Vec<u8>);

/// An object that is open.
struct Open<'a> {
    is_object: bool,
    want: Want<'a>,
    /// The keys of its columns.
    keys: Vec<WantedKey>,
}

/// A key that is a column, exactly or but for case.
struct WantedKey {
    /// The place of the column among those that are wanted.
    column: usize,
    /// Where it stands, between its quotes.
    place: Range<usize>,
    /// Whether it is spelled as it is wanted, and as the decoder knows it.
    is_exact: bool,
    is_known: bool,
}

/// A copy of an object in which what nobody wants is blank, and null stands where a number is none: that tells nothing of its column.
pub(super) fn mended(object: &[u8], columns: &[Column]) -> Vec<u8> {
    let (mut object, mut mended) = (object.to_vec(), Vec::with_capacity(object.len()));
    // What is wrong with keys is for the reading to say.
    let mut edits = blank_unwanted(&mut object, columns).unwrap_or_default();
    // All that is no key is a number.
    let numbers = edits.iter_mut().filter(|(place, _)| object.get(place.start) != Some(&b'"'));
    numbers.for_each(|(_, bytes)| *bytes = b"null".to_vec());
    edited(&object, &edits, &mut mended);
    mended
}

/// Adds an object to a text, with other bytes in some places, which are in order.
pub(super) fn edited(object: &[u8], edits: &[Edit], text: &mut Vec<u8>) {
    let mut place = 0;
    for (range, bytes) in edits {
        text.extend_from_slice(object.get(place..range.start).unwrap_or_default());
        text.extend_from_slice(bytes);
        place = range.end;
    }
    text.extend_from_slice(object.get(place..).unwrap_or_default());
}

/// Blanks the texts of an object that are below none of the wanted columns, keys that are no JSON or not wanted beside another,
/// and numbers that are none. Nothing is moved: an error behind a blank is where it was. What has to be written otherwise for the
/// decoder, in other lengths, is given: wanted numbers that are none, as text, and wanted keys in another case.
///
/// # Errors
/// Two keys of which either may be a wanted one.
pub(super) fn blank_unwanted(object: &mut [u8], columns: &[Column]) -> Result<Vec<Edit>, String> {
    let mut edits = Vec::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    let (mut want, mut is_key) = (Want::Keys(columns), false);
    let mut place = 0;
    while let Some(&byte) = object.get(place) {
        match byte {
            b'{' | b'[' => {
                is_key = byte == b'{';
                open.push(Open { is_object: is_key, want, keys: Vec::new() });
                if open.len() > DEEPEST {
                    break;
                }
            }
            b'}' | b']' => {
                if let Some(Open { is_object: true, want: Want::Keys(columns), keys }) = open.pop() {
                    spell(object, columns, &keys, &mut edits)?;
                }
                is_key = false;
            }
            b',' => {
                if let Some(outer) = open.last() {
                    (is_key, want) = (outer.is_object, outer.want);
                }
            }
            b':' => is_key = false,
            b'"' => {
                let Some(end) = text_end(object, place) else { break };
                let Some(inner) = object.get_mut(place + 1..end - 1) else { break };
                if is_key {
                    let outer = open.last_mut();
                    want = outer.map_or(Want::Nothing, |outer| outer.key(inner, place + 1));
                    if matches!(want, Want::Nothing) && plain_key(inner).is_none() {
                        inner.fill(b' ');
                    }
                } else if matches!(want, Want::Nothing) {
                    inner.fill(b' ');
                }
                place = end;
                continue;
            }
            b'N' | b'I' if !is_key => {
                let rest = object.get(place..).unwrap_or_default();
                if let Some((found, blank)) = NO_NUMBERS.iter().find(|(found, _)| rest.starts_with(found)) {
                    let (start, end) = (place - usize::from(object[..place].ends_with(b"-")), place + found.len());
                    if !matches!(want, Want::Nothing) {
                        edits.push((start..end, [b"\"", &object[start..end], b"\""].concat()));
                    }
                    object[place..end].copy_from_slice(blank);
                    place = end;
                    continue;
                }
            }
            _ => {}
        }
        place += 1;
    }
    edits.sort_by_key(|(place, _)| place.start);
    Ok(edits)
}

impl<'a> Open<'a> {
    /// What is wanted of the value of a key, between its quotes, which stands at a place.
    fn key(&mut self, key: &[u8], start: usize) -> Want<'a> {
        let Want::Keys(columns) = self.want else { return self.want };
        let Some(name) = plain_key(key) else { return Want::Nothing };
        let Some((place, column)) =
            Column::place_of(columns, &name).and_then(|place| Some((place, columns.get(place)?)))
        else {
            return Want::Nothing;
        };
        let (is_exact, is_known) = (*name == *column.wanted, *name == *column.name);
        self.keys.push(WantedKey { column: place, place: start..start + key.len(), is_exact, is_known });
        if column.fields.is_empty() { Want::All } else { Want::Keys(&column.fields) }
    }
}

/// Sees to it that of the keys of an object those that are columns are spelled as the decoder knows them: the one that is as it is
/// wanted, or else the only one but for case. Others are blanked: they are other keys.
fn spell(object: &mut [u8], columns: &[Column], keys: &[WantedKey], edits: &mut Vec<Edit>) -> Result<(), String> {
    for (place, column) in columns.iter().enumerate() {
        let own = || keys.iter().filter(|key| key.column == place);
        let any_exact = own().any(|key| key.is_exact);
        for key in own() {
            if any_exact && !key.is_exact {
                object.get_mut(key.place.clone()).into_iter().for_each(|key| key.fill(b' '));
            } else if !key.is_known {
                let name = serde_json::to_vec(&column.name).map_err(|error| error.to_string())?;
                edits.push((key.place.start - 1..key.place.end + 1, name));
            }
        }
        let text = |key: &WantedKey| String::from_utf8_lossy(object.get(key.place.clone()).unwrap_or_default());
        let mut others = own().filter(|_| !any_exact).map(text);
        if let Some(first) = others.next()
            && let Some(other) = others.find(|other| *other != first)
        {
            return Err(format!(
                "the keys `{first}` and `{other}` in one object are both `{}` but for case: name the one that is meant",
                column.wanted
            ));
        }
    }
    Ok(())
}
