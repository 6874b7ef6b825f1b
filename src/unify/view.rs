//! What a cell of any type holds: nothing, a number, a bool or text, so that each kind of value is read by one rule.

use std::borrow::Cow;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float64Array, Int64Array, LargeBinaryArray, LargeStringArray, StringArray, StringViewArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, i256};

use crate::texts::eight_digits;

/// Floats below this in size are told apart from their neighbours when they are whole.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CellValue<'a> {
    Null,
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(&'a [u8]),
}

/// A column, of whatever type, to be looked at cell by cell.
pub(super) enum View<'a> {
    Nothing,
    Integers(Int64Array),
    /// Whole numbers of more than 64 bits, or of 64 without sign; with the digits behind the point.
    Decimals(Decimal128Array, u32),
    /// Numbers of which some are beyond 128 bits, as a text format has them.
    LongDecimals(StringArray),
    Floats(Float64Array),
    Bools(&'a BooleanArray),
    Texts(&'a StringArray),
    LargeTexts(&'a LargeStringArray),
    TextViews(&'a StringViewArray),
    Bytes(&'a BinaryArray),
    LargeBytes(&'a LargeBinaryArray),
    ByteViews(&'a BinaryViewArray),
    FixedBytes(&'a FixedSizeBinaryArray),
}

impl<'a> View<'a> {
    /// `None` where the column holds neither numbers nor bools nor text.
    pub(super) fn of(array: &'a ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Null => Self::Nothing,
            DataType::UInt64 => Self::Decimals(decimals(array, 0)?, 0),
            kind if kind.is_integer() => {
                Self::Integers(cast(array, &DataType::Int64).ok()?.as_primitive::<Int64Type>().clone())
            }
            &(DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale)) => {
                Self::Decimals(decimals(array, scale)?, u32::try_from(scale).ok()?)
            }
            &DataType::Decimal256(_, scale) => long_decimals(array.as_primitive(), u32::try_from(scale).ok()?),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                Self::Floats(cast(array, &DataType::Float64).ok()?.as_primitive::<Float64Type>().clone())
            }
            DataType::Boolean => Self::Bools(array.as_boolean()),
            DataType::Utf8 => Self::Texts(array.as_string()),
            DataType::LargeUtf8 => Self::LargeTexts(array.as_string()),
            DataType::Utf8View => Self::TextViews(array.as_string_view()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            DataType::LargeBinary => Self::LargeBytes(array.as_binary()),
            DataType::BinaryView => Self::ByteViews(array.as_binary_view()),
            DataType::FixedSizeBinary(_) => Self::FixedBytes(array.as_fixed_size_binary()),
            _ => return None,
        })
    }

    pub(super) fn is_bools(&self) -> bool {
        matches!(self, Self::Bools(_))
    }

    pub(super) fn is_text(&self) -> bool {
        !matches!(
            self,
            Self::Nothing
                | Self::Integers(_)
                | Self::Decimals(..)
                | Self::LongDecimals(_)
                | Self::Floats(_)
                | Self::Bools(_)
        )
    }

    /// Each cell in turn.
    pub(super) fn each(&self, rows: usize, mut cell: impl FnMut(CellValue<'_>)) {
        match self {
            // What text formats give.
            Self::Texts(array) if array.null_count() == 0 => {
                let bytes = array.value_data();
                for ends in array.value_offsets().windows(2) {
                    let text = bytes.get(ends[0] as usize..ends[1] as usize);
                    cell(text.map_or(CellValue::Null, CellValue::Text));
                }
            }
            _ => (0..rows).for_each(|row| cell(self.get(row))),
        }
    }

    /// The values of all rows of a text without nulls, where every one has a value.
    pub(super) fn plain(&self, mut value: impl FnMut(&[u8]) -> Option<i64>) -> Option<Vec<i64>> {
        let Self::Texts(array) = self else { return None };
        if array.null_count() > 0 {
            return None;
        }
        let (bytes, mut values) = (array.value_data(), Vec::with_capacity(array.len()));
        for ends in array.value_offsets().windows(2) {
            values.push(value(bytes.get(ends[0] as usize..ends[1] as usize)?)?);
        }
        Some(values)
    }

    pub(super) fn get(&self, row: usize) -> CellValue<'_> {
        fn of<'b>(is_null: bool, found: impl FnOnce() -> CellValue<'b>) -> CellValue<'b> {
            if is_null { CellValue::Null } else { found() }
        }
        match self {
            Self::Nothing => CellValue::Null,
            Self::Integers(array) => of(array.is_null(row), || CellValue::Integer(array.value(row).into())),
            Self::Decimals(array, scale) => of(array.is_null(row), || decimal(array.value(row), *scale)),
            Self::LongDecimals(array) => of(array.is_null(row), || CellValue::Text(array.value(row).as_bytes())),
            Self::Floats(array) => of(array.is_null(row), || CellValue::Float(array.value(row))),
            Self::Bools(array) => of(array.is_null(row), || CellValue::Bool(array.value(row))),
            Self::Texts(array) => of(array.is_null(row), || CellValue::Text(array.value(row).as_bytes())),
            Self::LargeTexts(array) => of(array.is_null(row), || CellValue::Text(array.value(row).as_bytes())),
            Self::TextViews(array) => of(array.is_null(row), || CellValue::Text(array.value(row).as_bytes())),
            Self::Bytes(array) => of(array.is_null(row), || CellValue::Text(array.value(row))),
            Self::LargeBytes(array) => of(array.is_null(row), || CellValue::Text(array.value(row))),
            Self::ByteViews(array) => of(array.is_null(row), || CellValue::Text(array.value(row))),
            Self::FixedBytes(array) => of(array.is_null(row), || CellValue::Text(array.value(row))),
        }
    }
}

fn decimals(array: &ArrayRef, scale: i8) -> Option<Decimal128Array> {
    let wide = cast(array, &DataType::Decimal128(38, scale)).ok()?;
    Some(wide.as_primitive::<Decimal128Type>().clone())
}

/// Numbers of 256 bits: mostly they need no more than 128.
fn long_decimals<'a>(array: &Decimal256Array, scale: u32) -> View<'a> {
    let values = || array.iter().flatten();
    if values().all(|value| value.to_i128().is_some()) {
        let short = array.iter().map(|value| value.and_then(|value| value.to_i128()));
        return View::Decimals(short.collect(), scale);
    }
    let text = |value: i256| {
        let found = value.to_i128().map(|digits| decimal(digits, scale));
        let text = found.and_then(|found| Some(String::from_utf8_lossy(&found.text()?).into_owned()));
        text.unwrap_or_else(|| long_decimal(&value.to_string(), scale as usize))
    };
    View::LongDecimals(array.iter().map(|value| value.map(text)).collect())
}

/// A number beyond 128 bits, without zeros that end what is behind its point.
fn long_decimal(digits: &str, scale: usize) -> String {
    let (whole, fraction) = at_point(digits, scale);
    match fraction.trim_end_matches('0') {
        "" => whole,
        fraction => format!("{whole}.{fraction}"),
    }
}

fn decimal<'a>(digits: i128, scale: u32) -> CellValue<'a> {
    match 10i128.checked_pow(scale) {
        _ if scale == 0 || digits == 0 => CellValue::Integer(digits),
        Some(one) if digits % one == 0 => CellValue::Integer(digits / one),
        _ => {
            let (whole, fraction) = at_point(&digits.to_string(), scale as usize);
            // The nearest float, as of the same digits in a text.
            CellValue::Float(format!("{whole}.{fraction}").parse().unwrap_or(f64::NAN))
        }
    }
}

/// The digits before and behind the point of a number with so many behind it.
fn at_point(digits: &str, scale: usize) -> (String, String) {
    let (sign, unsigned) = digits.strip_prefix('-').map_or(("", digits), |unsigned| ("-", unsigned));
    let padded = format!("{unsigned:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    (format!("{sign}{whole}"), fraction.to_owned())
}

impl CellValue<'_> {
    /// The whole number that it is: also a float or digits that have nothing but zeros behind the point. Text has no zeros in front,
    /// as they would tell apart what is one number.
    pub(super) fn integer(self) -> Option<i128> {
        match self {
            Self::Integer(number) => Some(number),
            // Whole and small, so nothing is cut off.
            Self::Float(number) if number.fract() == 0.0 && number.abs() < EXACT => Some(number as i128),
            Self::Text(text) => digits(text),
            Self::Null | Self::Float(_) | Self::Bool(_) => None,
        }
    }

    /// The number that it is, bools as 0 and 1.
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(number as f64),
            Self::Float(number) => Some(number),
            Self::Bool(value) => Some(f64::from(u8::from(value))),
            Self::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            Self::Null => None,
        }
    }

    /// The bool that it is: also 0 and 1, and what common engines write.
    pub(super) fn bool(self) -> Option<bool> {
        if let Self::Text(text) = self {
            let is = |names: [&[u8]; 2]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
            if is([b"true", b"t"]) {
                return Some(true);
            }
            if is([b"false", b"f"]) {
                return Some(false);
            }
        }
        match (self, self.integer()) {
            (Self::Bool(value), _) => Some(value),
            (_, Some(0)) => Some(false),
            (_, Some(1)) => Some(true),
            _ => None,
        }
    }
}

impl<'a> CellValue<'a> {
    /// As what a text format would have it: of whole numbers their digits. `None` where it is null.
    pub(super) fn text(self) -> Option<Cow<'a, [u8]>> {
        let owned = |text: String| Some(Cow::Owned(text.into_bytes()));
        match self {
            Self::Null => None,
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Bool(value) => owned(value.to_string()),
            Self::Integer(number) => owned(number.to_string()),
            Self::Float(number) => owned(self.integer().map_or_else(|| number.to_string(), |whole| whole.to_string())),
        }
    }
}

/// The value of digits: without zeros in front, and with nothing but zeros behind a point.
fn digits(text: &[u8]) -> Option<i128> {
    let (is_negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if let Some(number) = plain_digits(unsigned) {
        return Some((if is_negative { -number } else { number }).into());
    }
    let length = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (whole, rest) = unsigned.split_at(length);
    let is_whole = match rest {
        [] => true,
        [b'.', zeros @ ..] => !zeros.is_empty() && zeros.iter().all(|&byte| byte == b'0'),
        _ => false,
    };
    if !is_whole || whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') || (is_negative && whole == b"0") {
        return None;
    }
    // What is beyond 128 bits is a number all the same, and as far from every id.
    let sum = whole.iter().fold(0i128, |sum, digit| sum.saturating_mul(10).saturating_add(i128::from(digit - b'0')));
    Some(if is_negative { -sum } else { sum })
}

/// The value of nothing but digits, of which the first is not 0, where they are at most 16: all at once.
#[inline]
pub(super) fn plain_digits(text: &[u8]) -> Option<i64> {
    if !matches!(text.first(), Some(b'1'..=b'9')) {
        return None;
    }
    // Eight bytes that begin with the digits; those of a later place, or none, are shifted out, and zeros stand before the digits.
    let front = |word: u64, digits: usize| {
        let lacking = 8 * (8 - digits) as u32;
        eight_digits(word << lacking | 0x3030_3030_3030_3030 & !(u64::MAX << lacking))
    };
    let sum = match text.len() {
        length @ 1..=3 => front((0..length).rev().fold(0, |word, place| word << 8 | u64::from(text[place])), length)?,
        length @ 4..=7 => {
            let (first, last) = (u32::from_le_bytes(*text.first_chunk()?), u32::from_le_bytes(*text.last_chunk()?));
            front(u64::from(first) | u64::from(last) << (8 * (length - 4)), length)?
        }
        8 => eight_digits(u64::from_le_bytes(*text.first_chunk()?))?,
        length @ 9..=16 => {
            let (first, last) = (u64::from_le_bytes(*text.first_chunk()?), u64::from_le_bytes(*text.last_chunk()?));
            front(first, length - 8)? * 100_000_000 + eight_digits(last)?
        }
        _ => return None,
    };
    Some(sum.cast_signed())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::digits;

    /// Digits have the value that the library of Rust gives them, whatever their number, and other texts have none.
    #[test]
    fn digits_have_their_value() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
        let letters = b"00123456789999-+. eE/:";
        let mut numbers = 0;
        for _ in 0..300_000 {
            let most = if random.random_bool(0.5) { 15 } else { letters.len() };
            let text: Vec<u8> =
                (0..random.random_range(0..25)).map(|_| letters[random.random_range(0..most)]).collect();
            let text = String::from_utf8_lossy(&text);
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
            let unsigned = whole.strip_prefix('-').unwrap_or(whole);
            let is_plain =
                unsigned.bytes().all(|byte| byte.is_ascii_digit()) && (unsigned == "0" || !unsigned.starts_with('0'));
            let is_whole = !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0') && whole != "-0";
            let expected = if is_plain && is_whole { whole.parse::<i128>().ok() } else { None };
            assert_eq!(digits(text.as_bytes()), expected, "{text}");
            numbers += u32::from(expected.is_some());
        }
        assert!(numbers > 50_000, "{numbers}");
    }
}
