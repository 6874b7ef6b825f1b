//! One line of JSON: whether it is one object, which keys it has, and that none that is wanted stands in it twice.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as JsonError, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::read::Column;

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
/// too many), and that none of the wanted keys stands twice in one object, of which that takes the last. Gives the keys that are
/// there, by their places among the wanted ones.
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

/// The place of a key among some.
struct PlaceOf<F>(F);

impl<'de, F: Fn(&str) -> Option<usize>> DeserializeSeed<'de> for PlaceOf<F> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<F: Fn(&str) -> Option<usize>> Visitor<'_> for PlaceOf<F> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: JsonError>(self, key: &str) -> Result<Self::Value, E> {
        Ok((self.0)(key))
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

    fn add<E: JsonError>(&mut self, place: usize, key: &str) -> Result<(), E> {
        if self.0 & bit(place) != 0 {
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
        let place_of = |key: &str| self.wanted.iter().position(|column| column.name == key);
        let mut seen = Places::default();
        while let Some(place) = map.next_key_seed(PlaceOf(place_of))? {
            let Some((place, column)) = place.and_then(|place| Some((place, self.wanted.get(place)?))) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            seen.add(place, &column.name)?;
            match column.fields.as_slice() {
                [] => map.next_value::<IgnoredAny>().map(|_| ())?,
                fields => map.next_value_seed(Below { fields, in_list: false })?,
            }
        }
        Ok(seen)
    }
}

/// Takes every value that is not looked into.
macro_rules! take_the_rest {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON value")
        }

        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }

        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }

        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }

        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }

        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }

        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
    };
}

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below<'_> {
    type Value = ();

    take_the_rest!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.in_list {
            return IgnoredAny.visit_seq(list).map(|_| ());
        }
        while list.next_element_seed(Self { in_list: true, ..self })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        Object { wanted: self.fields }.visit_map(map).map(|_| ())
    }
}
