//! One line of JSON: whether it is one object, which keys it has, and why it is none.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

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
