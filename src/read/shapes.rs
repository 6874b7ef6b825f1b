//! What stands at the wanted columns of JSON: values and objects, or lists of them, which only the lines themselves say.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::read::{Column, Shape};

/// Notes what stands at the columns of which nothing is known yet; whether the object could be read to its end.
pub(super) fn note(object: &[u8], columns: &mut [Column]) -> bool {
    let mut json = serde_json::Deserializer::from_slice(object);
    Object { columns, is_nested: false }.deserialize(&mut json).is_ok()
}

/// Whether it is known of all columns what stands there.
pub(super) fn are_known(columns: &[Column]) -> bool {
    columns.iter().all(|column| column.shape != Shape::Unknown && are_known(&column.fields))
}

/// Takes over what is known of columns of the same names, and how those below them are spelled.
pub(super) fn take_over(columns: &mut [Column], known: &[Column]) {
    for column in columns {
        let same = known.iter().find(|known| known.name == column.name);
        let same = same.or_else(|| known.iter().find(|known| known.name.eq_ignore_ascii_case(&column.name)));
        let Some(known) = same else { continue };
        if known.shape != Shape::Unknown {
            column.shape = known.shape;
        }
        take_over(&mut column.fields, &known.fields);
        for (field, known) in column.fields.iter_mut().zip(&known.fields) {
            if field.name.eq_ignore_ascii_case(&known.name) {
                field.name.clone_from(&known.name);
            }
        }
    }
}

/// The column that a key names: exactly, or else without case.
fn named<'a>(columns: &'a mut [Column], key: &str) -> Option<&'a mut Column> {
    let same = columns.iter().position(|column| column.name == key);
    let place = same.or_else(|| columns.iter().position(|column| column.name.eq_ignore_ascii_case(key)))?;
    columns.get_mut(place)
}

/// An object, of which some keys are columns.
struct Object<'a> {
    columns: &'a mut [Column],
    /// Whether it stands in another one. The keys of lines have been looked at; those below are spelled as they are seen first.
    is_nested: bool,
}

/// What stands at a column, or is an element of the list there.
struct Value<'a> {
    column: &'a mut Column,
    is_element: bool,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let column = named(self.columns, &key);
            match column {
                Some(column) => {
                    if self.is_nested && column.shape == Shape::Unknown && column.name != key {
                        column.name = key.into_owned();
                    }
                    map.next_value_seed(Value { column, is_element: false })?;
                }
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

impl Value<'_> {
    fn is<E>(self, shape: Shape) -> Result<(), E> {
        if !self.is_element && self.column.shape == Shape::Unknown {
            self.column.shape = shape;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.is(Shape::One)
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.is(Shape::One)
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.is(Shape::One)
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.is(Shape::One)
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.is(Shape::One)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { column, is_element } = self;
        if is_element {
            return IgnoredAny.visit_seq(list).map(|_| ());
        }
        while list.next_element_seed(Value { column: &mut *column, is_element: true })?.is_some() {}
        Self { column, is_element }.is(Shape::Many)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Self { column, is_element } = self;
        Object { columns: &mut column.fields, is_nested: true }.visit_map(map)?;
        Self { column, is_element }.is(Shape::One)
    }
}
