//! A value of JSON, by what it is: nothing, one value, a list or an object.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// What is done with a value.
pub(super) trait Look<'de>: Sized {
    /// With text, a number or a bool; with null nothing is done.
    fn one(self);

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error>;

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error>;
}

/// Any value, to be looked at.
pub(super) struct AnyValue<'de, L>(L, PhantomData<&'de ()>);

impl<'de, L: Look<'de>> AnyValue<'de, L> {
    pub(super) fn new(look: L) -> Self {
        Self(look, PhantomData)
    }

    #[expect(clippy::unnecessary_wraps, reason = "what the visitor has to return")]
    fn one<E>(self) -> Result<(), E> {
        self.0.one();
        Ok(())
    }
}

impl<'de, L: Look<'de>> DeserializeSeed<'de> for AnyValue<'de, L> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, L: Look<'de>> Visitor<'de> for AnyValue<'de, L> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.one()
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.one()
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.one()
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.one()
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.one()
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        self.0.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        self.0.object(object)
    }
}
