//! What a single value means: ids, numbers, and equality with what a description says.

use serde_json::Value;
use shardback::schema::{Ids, ValueType};
use xxhash_rust::xxh3::xxh3_64;

use super::Number;

/// A value, or what is wrong with it.
pub(super) type Checked<T> = Result<T, &'static str>;

/// Whole floats up to here are the number that they look like.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The id of a customer or an item.
pub(super) fn id(value: &Value, ids: Ids) -> Checked<i64> {
    if value.is_null() {
        return Err("the id is null");
    }
    match ids {
        Ids::Int => integer(value).and_then(|number| i64::try_from(number).ok()).ok_or("no integer of 64 bits"),
        Ids::U64 => {
            let number = integer(value).and_then(|number| u64::try_from(number).ok());
            number.map(u64::cast_signed).ok_or("no unsigned integer of 64 bits")
        }
        Ids::Hash => hash_of(value),
    }
}

/// The id of a request: the integer that the value is, or else the hash of its text.
pub(super) fn request_id(value: &Value) -> Checked<i64> {
    if value.is_null() {
        return Err("the request is null");
    }
    match integer(value).and_then(|number| i64::try_from(number).ok()) {
        Some(number) => Ok(number),
        None => hash_of(value),
    }
}

/// A label, a kept column or a feature.
pub(super) fn number(value: &Value, dtype: ValueType, null: Option<f64>) -> Checked<Number> {
    if value.is_null() {
        return null.map(|null| of_float(null, dtype)).ok_or("the value is null")?;
    }
    match dtype {
        ValueType::Hash => hash_of(value).map(Number::I64),
        ValueType::Bool => bool_of(value).map(Number::Bool),
        ValueType::U8 | ValueType::I32 | ValueType::I64 => whole(value, dtype),
        ValueType::F32 | ValueType::F64 => match value {
            Value::Bool(value) => of_float(f64::from(u8::from(*value)), dtype),
            Value::Number(number) => of_float(number.as_f64().ok_or("no number")?, dtype),
            Value::String(text) => of_float(text.parse().map_err(|_| "no number")?, dtype),
            _ => Err("no number"),
        },
    }
}

/// Whether a value is one of some texts. Whole numbers are their digits; a null is nothing.
pub(super) fn is_one_of(value: &Value, texts: &[String]) -> bool {
    text(value).is_some_and(|text| texts.contains(&text))
}

/// A value as text, as a table in a text format would have it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(integer(value).map_or_else(|| number.to_string(), |number| number.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn hash_of(value: &Value) -> Checked<i64> {
    text(value).map(|text| xxh3_64(text.as_bytes()).cast_signed()).ok_or("no text")
}

/// Digits in canonical form, also with zeros behind a point; whole numbers; floats that are whole and small enough to be exact.
fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => {
            let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            let float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < EXACT);
            whole.or_else(|| float().map(|float| float as i128))
        }
        Value::String(text) => {
            // In a text format a whole float is text.
            let (whole, zeros) = text.split_once('.').unwrap_or((text, "0"));
            let is_whole = !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0');
            whole.parse::<i128>().ok().filter(|number| is_whole && number.to_string() == whole)
        }
        _ => None,
    }
}

fn whole(value: &Value, dtype: ValueType) -> Checked<Number> {
    let number = match value {
        Value::Bool(value) => i128::from(*value),
        _ => integer(value).ok_or("no whole number")?,
    };
    let fits = match dtype {
        ValueType::U8 => u8::try_from(number).ok().map(Number::U8),
        ValueType::I32 => i32::try_from(number).ok().map(Number::I32),
        _ => i64::try_from(number).ok().map(Number::I64),
    };
    fits.ok_or("the number does not fit")
}

fn bool_of(value: &Value) -> Checked<bool> {
    let text = match value {
        Value::Bool(value) => return Ok(*value),
        Value::Number(_) => integer(value).ok_or("neither 0 nor 1")?.to_string(),
        Value::String(text) => text.to_ascii_lowercase(),
        _ => return Err("no bool"),
    };
    match text.as_str() {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err("no bool"),
    }
}

/// A float in another type; what the description says for a null fits.
fn of_float(value: f64, dtype: ValueType) -> Checked<Number> {
    match dtype {
        ValueType::Bool => Ok(Number::Bool(value != 0.0)),
        ValueType::U8 => Ok(Number::U8(value as u8)),
        ValueType::I32 => Ok(Number::I32(value as i32)),
        ValueType::I64 => Ok(Number::I64(value as i64)),
        ValueType::F32 if value.is_finite() && (value as f32).is_infinite() => Err("the number does not fit"),
        ValueType::F32 => Ok(Number::F32(value as f32)),
        ValueType::F64 => Ok(Number::F64(value)),
        ValueType::Hash => Err("no hash"),
    }
}
