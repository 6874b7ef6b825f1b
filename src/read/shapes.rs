//! What stands at the wanted columns of JSON: values and objects, or lists of them, which only the lines themselves say.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::read::value::{AnyValue, Look};
use crate::read::{Column, Shape};

/// Notes what stands at the columns of which nothing is known yet; whether the object could be read to its end.
pub(super) fn note(object: &[u8], columns: &mut [Column]) -> bool {
    serde_json::Deserializer::from_slice(object).deserialize_map(Object(columns)).is_ok()
}

/// Whether it is known of all columns what stands there.
pub(super) fn are_known(columns: &[Column]) -> bool {
    columns.iter().all(|column| column.shape != Shape::Unknown && are_known(&column.fields))
}

/// Takes over what is known of columns of the same names, and how those below them are spelled.
pub(super) fn take_over(columns: &mut [Column], known: &[Column]) {
    for column in columns {
        let Some(known) = known.iter().find(|known| known.wanted == column.wanted) else { continue };
        if known.shape != Shape::Unknown {
            column.shape = known.shape;
        }
        take_over(&mut column.fields, &known.fields);
        for (field, known) in column.fields.iter_mut().zip(&known.fields) {
            if field.wanted == known.wanted {
                field.name.clone_from(&known.name);
            }
        }
    }
}

/// What is to be noted of a key's value: the column that it is, exactly or else without case. A column is spelled as it is seen first,
/// unless it is seen as it is wanted: then nothing else counts.
fn named<'a>(columns: &'a mut [Column], key: &str) -> Option<&'a mut Column> {
    let column = columns.get_mut(Column::place_of(columns, key)?)?;
    if column.name != key {
        if column.wanted == key {
            column.forget();
        } else if column.shape != Shape::Unknown {
            return None;
        }
        key.clone_into(&mut column.name);
    }
    Some(column)
}

impl Column {
    /// Nothing is known of it any more.
    fn forget(&mut self) {
        self.shape = Shape::Unknown;
        self.fields.iter_mut().for_each(Self::forget);
    }
}

/// An object, of which some keys are columns.
struct Object<'a>(&'a mut [Column]);

/// What stands at a column, or is an element of the list there.
struct Value<'a> {
    column: &'a mut Column,
    is_element: bool,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match named(self.0, &key) {
                Some(column) => map.next_value_seed(AnyValue::new(Value { column, is_element: false }))?,
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

impl Value<'_> {
    fn is(self, shape: Shape) {
        if !self.is_element && self.column.shape == Shape::Unknown {
            self.column.shape = shape;
        }
    }
}

impl<'de> Look<'de> for Value<'_> {
    fn one(self) {
        self.is(Shape::One);
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.is_element {
            return IgnoredAny.visit_seq(list).map(|_| ());
        }
        let column = &mut *self.column;
        while list.next_element_seed(AnyValue::new(Value { column: &mut *column, is_element: true }))?.is_some() {}
        self.is(Shape::Many);
        Ok(())
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        Object(&mut self.column.fields).visit_map(object)?;
        self.is(Shape::One);
        Ok(())
    }
}
