//! Labels, what is kept and features, as they have been seen so far.

use serde_json::Value;

use super::report::KeptValue;
use crate::pack;
use crate::schema::ValueType;

/// A label, what is kept or a feature, of those that each row of the table has.
pub(super) struct ValueOf<'a> {
    pub(super) name: &'a str,
    pub(super) role: &'static str,
    pub(super) dtype: ValueType,
    /// What stands for a null.
    pub(super) null: Option<f64>,
    /// Whether it is made of the table's rows, and the same for all of them where not.
    pub(super) is_of_rows: bool,
    least: Option<pack::Value>,
    most: Option<pack::Value>,
    positives: u64,
}

impl<'a> ValueOf<'a> {
    /// Nothing yet of a value.
    pub(super) fn new(
        name: &'a str,
        role: &'static str,
        dtype: ValueType,
        null: Option<f64>,
        is_of_rows: bool,
    ) -> Self {
        Self { name, role, dtype, null, is_of_rows, least: None, most: None, positives: 0 }
    }

    /// Adds the value of a row.
    pub(super) fn add(&mut self, found: pack::Value) {
        let is_less = |one: pack::Value, other: pack::Value| match (one, other) {
            (pack::Value::Integer(one), pack::Value::Integer(other)) => one < other,
            (one, other) => number(one) < number(other),
        };
        // What is no number is neither less nor more than another.
        if number(found).is_nan() {
            return;
        }
        if self.least.is_none_or(|least| is_less(found, least)) {
            self.least = Some(found);
        }
        if self.most.is_none_or(|most| is_less(most, found)) {
            self.most = Some(found);
        }
        self.positives += u64::from(number(found) > 0.0);
    }

    /// The value that all rows have, where it is one.
    pub(super) fn only(&self) -> Option<f64> {
        let (least, most) = (number(self.least?), number(self.most?));
        Some(least).filter(|least| *least == most)
    }

    /// What is to be shown of it.
    pub(super) fn report(&self) -> KeptValue {
        let is_bool = self.dtype == ValueType::Bool;
        let has_bounds = !is_bool && self.dtype != ValueType::Hash;
        let bound = |bound: Option<pack::Value>| bound.filter(|_| has_bounds).map(|bound| shown(bound, self.dtype));
        KeptValue {
            name: self.name.to_owned(),
            role: self.role,
            least: bound(self.least),
            most: bound(self.most),
            positives: Some(self.positives).filter(|_| is_bool),
        }
    }
}

fn number(value: pack::Value) -> f64 {
    match value {
        pack::Value::Integer(value) => value as f64,
        pack::Value::Float(value) => value,
    }
}

/// A value for a person.
pub(super) fn shown(value: pack::Value, dtype: ValueType) -> Value {
    match value {
        pack::Value::Integer(value) if dtype == ValueType::Bool => (value != 0).into(),
        pack::Value::Integer(value) => value.into(),
        pack::Value::Float(value) => float(value, dtype),
    }
}

/// A float with the digits that its type has; JSON has no number for what is none.
fn float(value: f64, dtype: ValueType) -> Value {
    let text = if dtype == ValueType::F32 { (value as f32).to_string() } else { value.to_string() };
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => number.into(),
        _ => text.into(),
    }
}
