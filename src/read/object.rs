//! One line of JSON: whether it is one object, which keys it has, and that none that is wanted stands in it twice.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as JsonError, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::read::Column;
use crate::read::value::{AnyValue, Look};

/// Hands the keys of the object on a line to `note`, or says why the line is no object.
pub(super) fn read_keys(line: &[u8], note: impl FnMut(&str)) -> Result<(), String> {
    // Without its end, so that a fault at the end is placed there.
    let line = line.trim_ascii_end();
    let mut json = serde_json::Deserializer::from_slice(line);
    let read = json.deserialize_map(KeyVisitor(note)).and_then(|()| json.end());
    read.map_err(|error| {
        let text = problem(&error);
        match error.column() {
            0 => format!("not one JSON object: {text}"),
            column => format!("not one JSON object: {text}, column {column}"),
        }
    })
}

/// What the parser said, without the place: it counts lines within what it is given, which is one line.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text).to_owned()
}

/// Checks that a line which the decoder of blocks has taken is JSON, as that takes some text that is not (missing commas and
/// too many), that none of the wanted keys stands twice in one object, of which that takes the last, and that none is there in a
/// case in which that does not see it. Gives the keys that are there, by their places among the wanted ones.
pub(super) fn check(line: &str, wanted: &[Column]) -> Result<Places, String> {
    let mut json = serde_json::Deserializer::from_str(line);
    let seen = Object { wanted }.deserialize(&mut json).and_then(|seen| json.end().map(|()| seen));
    seen.map_err(|error| problem(&error))
}

struct KeyVisitor<F>(F);

impl<'de, F: FnMut(&str)> Visitor<'de> for KeyVisitor<F> {
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

/// A row.
#[derive(Clone, Copy)]
struct Object<'a> {
    wanted: &'a [Column],
}

/// What stands at a column of which some fields are wanted: an object, a list of them, or whatever: the decoder has an opinion on that.
#[derive(Clone, Copy)]
struct Below<'a> {
    fields: &'a [Column],
    in_list: bool,
}

/// What a key is.
enum Key {
    /// The column at a place, as the decoder spells it.
    Column(usize),
    /// The column at a place, but for case.
    OtherCase(usize),
    Unwanted,
}

/// Tells what a key is.
struct KeyOf<'a>(&'a [Column]);

impl<'de> DeserializeSeed<'de> for KeyOf<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyOf<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: JsonError>(self, key: &str) -> Result<Key, E> {
        let exact = self.0.iter().position(|column| column.name == key);
        let other_case = || self.0.iter().position(|column| column.name.eq_ignore_ascii_case(key));
        Ok(match exact {
            Some(place) => Key::Column(place),
            None => other_case().map_or(Key::Unwanted, Key::OtherCase),
        })
    }
}

/// Some of the wanted keys, by their places. There are fewer than 64, and of one that is beyond nothing is known.
#[derive(Clone, Copy, Default)]
pub(super) struct Places(u64);

impl Places {
    pub(super) fn of(places: impl IntoIterator<Item = usize>) -> Self {
        Self(places.into_iter().fold(0, |bits, place| bits | bit(place)))
    }

    pub(super) fn have_none_of(self, others: Self) -> bool {
        self.0 & others.0 == 0
    }

    fn has(self, place: usize) -> bool {
        self.0 & bit(place) != 0
    }

    fn add<E: JsonError>(&mut self, place: usize, key: &str) -> Result<(), E> {
        if self.has(place) {
            return Err(E::custom(format_args!("the key `{key}` twice in one object")));
        }
        self.0 |= bit(place);
        Ok(())
    }
}

fn bit(place: usize) -> u64 {
    u32::try_from(place).ok().and_then(|place| 1u64.checked_shl(place)).unwrap_or(0)
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Places;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Places, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Places;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Places, A::Error> {
        let mut seen = Places::default();
        // Mostly empty, and then nothing is allocated.
        let mut other_case = Vec::new();
        while let Some(key) = map.next_key_seed(KeyOf(self.wanted))? {
            let place = match key {
                Key::Column(place) => place,
                Key::OtherCase(place) => {
                    other_case.push(place);
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Key::Unwanted => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let Some(column) = self.wanted.get(place) else { continue };
            seen.add(place, &column.name)?;
            match column.fields.as_slice() {
                [] => map.next_value::<IgnoredAny>().map(|_| ())?,
                fields => map.next_value_seed(AnyValue::new(Below { fields, in_list: false }))?,
            }
        }
        // Beside a key that is spelled as it is wanted, those of another case are other keys.
        let stands_alone = |place: &usize| {
            self.wanted.get(*place).is_some_and(|column| !(seen.has(*place) && column.name == column.wanted))
        };
        if other_case.iter().any(stands_alone) {
            return Err(A::Error::custom(OTHER_CASE));
        }
        Ok(seen)
    }
}

/// What is said of an object whose keys have to be spelled as the decoder knows them before it is decoded.
const OTHER_CASE: &str = "a key in another case than those before it";

impl<'de> Look<'de> for Below<'_> {
    fn one(self) {}

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.in_list {
            return IgnoredAny.visit_seq(list).map(|_| ());
        }
        while list.next_element_seed(AnyValue::new(Self { in_list: true, ..self }))?.is_some() {}
        Ok(())
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        Object { wanted: self.fields }.visit_map(object).map(|_| ())
    }
}
