//! The columns of samples and the features of actions as rows of bytes, as wide as a description asks for.
//!
//! ```text
//! values of a row ──► pack ──► one row of bytes, which compares as its values do ──► unpack ──► a column for each field
//! ```
//!
//! Between tables and outputs nobody has to know what a row holds: rows are kept, moved and ordered as bytes. Knows types and
//! widths; knows no names and no tables.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Invariant, Result};

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Dtype {
    /// One byte, 0 or 1.
    Bool,
    /// 8 bits, unsigned.
    U8,
    /// 32 bits, signed.
    I32,
    /// 64 bits, signed.
    I64,
    /// 32 bits, floating.
    F32,
    /// 64 bits, floating.
    F64,
}

impl Dtype {
    /// Every type.
    pub const ALL: [Self; 6] = [Self::Bool, Self::U8, Self::I32, Self::I64, Self::F32, Self::F64];

    /// Its name in safetensors.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::U8 => "U8",
            Self::I32 => "I32",
            Self::I64 => "I64",
            Self::F32 => "F32",
            Self::F64 => "F64",
        }
    }

    /// The bytes of an element, packed or not.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::Bool | Self::U8 => 1,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }
}

/// A value of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Of `bool` (0 or 1), `u8`, `i32` and `i64`.
    Integer(i64),
    /// Of `f32` and `f64`.
    Float(f64),
}

/// What a packed row holds: fields one after the other.
///
/// ```
/// use shardback::pack::{Dtype, Packing, Value};
///
/// let packing = Packing::new([Dtype::I32, Dtype::Bool]);
/// let mut rows = Vec::new();
/// for (place, label) in [(-1, 0), (7, 1)] {
///     packing.pack(&[Value::Integer(place), Value::Integer(label)], &mut rows)?;
/// }
/// let (first, second) = rows.split_at(packing.width());
/// assert!(first < second);
/// let columns = packing.unpack([first, second].into_iter());
/// assert_eq!(columns, [[(-1i32).to_le_bytes(), 7i32.to_le_bytes()].concat(), vec![0, 1]]);
/// # Ok::<(), shardback::error::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packing {
    fields: Vec<Dtype>,
    width: usize,
}

impl Packing {
    /// Rows of such fields.
    #[must_use]
    pub fn new(fields: impl IntoIterator<Item = Dtype>) -> Self {
        let fields: Vec<Dtype> = fields.into_iter().collect();
        let width = fields.iter().map(|field| field.width()).sum();
        Self { fields, width }
    }

    /// The types of the fields, in their order.
    #[must_use]
    pub fn fields(&self) -> &[Dtype] {
        &self.fields
    }

    /// The bytes of a row; 0 where there is no field.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Adds a row, which compares with others byte by byte as its values do, field by field.
    ///
    /// Floats are in the total order of IEEE 754; every NaN is the same one.
    ///
    /// # Errors
    /// [`Error::Internal`] where there are other values than fields, or a value is none that its type has.
    pub fn pack(&self, values: &[Value], rows: &mut Vec<u8>) -> Result<()> {
        if values.len() != self.fields.len() {
            return Err(Error::internal("a packed row has a value for each field"));
        }
        self.fields.iter().zip(values).try_for_each(|(&field, &value)| pack(field, value, rows))
    }

    /// Adds the row that columns hold at a place, as [`Packing::unpack`] gave them; the other way round.
    ///
    /// # Errors
    /// [`Error::Internal`] where there are other columns than fields, or they are shorter.
    pub fn pack_columns(&self, columns: &[&[u8]], row: usize, packed: &mut Vec<u8>) -> Result<()> {
        const SHAPE: &str = "there is a value in each column";
        if columns.len() != self.fields.len() {
            return Err(Error::internal(SHAPE));
        }
        for (&field, column) in self.fields.iter().zip(columns) {
            let value = column.get(row * field.width()..(row + 1) * field.width()).invariant(SHAPE)?;
            match (field, value) {
                // Also a bool that is neither 0 nor 1, which is a fault of the columns and said of them.
                (Dtype::Bool | Dtype::U8, bytes) => packed.extend_from_slice(bytes),
                (field, bytes) => pack(field, read(field, bytes).invariant(SHAPE)?, packed)?,
            }
        }
        Ok(())
    }

    /// Where a field lies in a row.
    ///
    /// # Panics
    /// Where there is no such field.
    #[must_use]
    pub fn range(&self, field: usize) -> Range<usize> {
        let start = self.fields[..field].iter().map(|field| field.width()).sum();
        start..start + self.fields[field].width()
    }

    /// The fields of rows as columns: their values one after the other, little-endian.
    ///
    /// # Panics
    /// Where a row is shorter than [`Packing::width`].
    #[must_use]
    pub fn unpack<'a>(&self, rows: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<Vec<u8>> {
        let mut columns = vec![Vec::new(); self.fields.len()];
        self.unpack_into(rows, &mut columns);
        columns
    }

    /// As [`Packing::unpack`], behind what columns hold already; there is one for each field.
    ///
    /// # Panics
    /// As [`Packing::unpack`].
    pub fn unpack_into<'a>(&self, rows: impl Iterator<Item = &'a [u8]> + Clone, columns: &mut [Vec<u8>]) {
        let mut start = 0;
        for (&field, column) in self.fields.iter().zip(columns) {
            let (at, rows) = (start, rows.clone());
            start += field.width();
            match field {
                Dtype::Bool | Dtype::U8 => column.extend(rows.map(|row| row[at])),
                Dtype::I32 => extend(column, rows, |row| signed::<4>(&row[at..])),
                Dtype::I64 => extend(column, rows, |row| signed::<8>(&row[at..])),
                Dtype::F32 => extend(column, rows, |row| floating::<4>(&row[at..])),
                Dtype::F64 => extend(column, rows, |row| floating::<8>(&row[at..])),
            }
        }
    }
}

/// Records, each with a packed row.
#[derive(Debug)]
pub struct Packed<'a, T> {
    records: &'a [T],
    rows: &'a [u8],
    width: usize,
}

impl<T> Clone for Packed<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Packed<'_, T> {}

impl<'a, T> Packed<'a, T> {
    /// Records, and their rows one after the other, each of `width` bytes.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is not a row for each record.
    pub fn new(records: &'a [T], rows: &'a [u8], width: usize) -> Result<Self> {
        if records.len().checked_mul(width) != Some(rows.len()) {
            return Err(Error::internal("there is a packed row for each record"));
        }
        Ok(Self { records, rows, width })
    }

    /// As [`Packed::new`], where the caller has cut both out of what was checked.
    pub(crate) fn of_slices(records: &'a [T], rows: &'a [u8], width: usize) -> Self {
        debug_assert_eq!(records.len() * width, rows.len(), "there is a row for each record");
        Self { records, rows, width }
    }

    /// The records.
    #[must_use]
    pub fn records(self) -> &'a [T] {
        self.records
    }

    /// Their rows, one after the other.
    #[must_use]
    pub fn rows(self) -> &'a [u8] {
        self.rows
    }

    /// The bytes of a row.
    #[must_use]
    pub fn width(self) -> usize {
        self.width
    }

    /// How many records there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.records.is_empty()
    }

    /// The row of a record.
    ///
    /// # Panics
    /// Where there is no such record.
    #[must_use]
    pub fn row(self, record: usize) -> &'a [u8] {
        &self.rows[record * self.width..(record + 1) * self.width]
    }

    /// The first records, at most so many, and the others.
    #[must_use]
    pub fn split_at(self, records: usize) -> (Self, Self) {
        let middle = records.min(self.len());
        let (first, others) = self.records.split_at(middle);
        let (first_rows, other_rows) = self.rows.split_at(middle * self.width);
        let part = |records, rows| Self { records, rows, width: self.width };
        (part(first, first_rows), part(others, other_rows))
    }

    /// Some consecutive ones at a time, at most so many.
    ///
    /// # Panics
    /// Where `records` is 0.
    pub fn chunks(self, records: usize) -> impl Iterator<Item = Self> {
        assert!(records > 0, "chunks have records");
        let mut rest = self;
        std::iter::from_fn(move || {
            let chunk;
            (chunk, rest) = rest.split_at(records);
            (!chunk.is_empty()).then_some(chunk)
        })
    }
}

/// The value that little-endian bytes are; `None` where they are not as many as its type has, or a bool is neither 0 nor 1.
#[must_use]
pub fn read(dtype: Dtype, bytes: &[u8]) -> Option<Value> {
    let value = match dtype {
        Dtype::Bool | Dtype::U8 => Value::Integer(i64::from(*<&[u8; 1]>::try_from(bytes).ok()?.first()?)),
        Dtype::I32 => Value::Integer(i64::from(i32::from_le_bytes(bytes.try_into().ok()?))),
        Dtype::I64 => Value::Integer(i64::from_le_bytes(bytes.try_into().ok()?)),
        Dtype::F32 => Value::Float(f64::from(f32::from_le_bytes(bytes.try_into().ok()?))),
        Dtype::F64 => Value::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
    };
    (dtype != Dtype::Bool || matches!(value, Value::Integer(0..=1))).then_some(value)
}

/// The upper bit of a byte: inverted it makes signed numbers, big-endian, compare as their bytes.
const SIGN: u8 = 0x80;

fn pack(field: Dtype, value: Value, row: &mut Vec<u8>) -> Result<()> {
    let start = row.len();
    match (field, value) {
        (Dtype::Bool, Value::Integer(value @ 0..=1)) => row.push(u8::from(value != 0)),
        (Dtype::U8, Value::Integer(value)) => row.push(u8::try_from(value).ok().invariant(FITS)?),
        (Dtype::I32, Value::Integer(value)) => {
            row.extend_from_slice(&i32::try_from(value).ok().invariant(FITS)?.to_be_bytes());
        }
        (Dtype::I64, Value::Integer(value)) => row.extend_from_slice(&value.to_be_bytes()),
        (Dtype::F32, Value::Float(value)) => {
            let value = if value.is_nan() { f32::NAN } else { value as f32 };
            row.extend_from_slice(&value.to_be_bytes());
        }
        (Dtype::F64, Value::Float(value)) => {
            let value = if value.is_nan() { f64::NAN } else { value };
            row.extend_from_slice(&value.to_be_bytes());
        }
        (Dtype::Bool | Dtype::U8 | Dtype::I32 | Dtype::I64 | Dtype::F32 | Dtype::F64, _) => {
            return Err(Error::internal(FITS));
        }
    }
    let bytes = row.get_mut(start..).invariant("a field has been added")?;
    match (field, bytes) {
        (Dtype::Bool | Dtype::U8, _) | (_, []) => {}
        // Negative floats descend as their bits ascend.
        (Dtype::F32 | Dtype::F64, bytes @ [SIGN..=u8::MAX, ..]) => bytes.iter_mut().for_each(|byte| *byte = !*byte),
        (Dtype::I32 | Dtype::I64 | Dtype::F32 | Dtype::F64, [first, ..]) => *first ^= SIGN,
    }
    Ok(())
}

const FITS: &str = "a value that is packed is one of its field's type";

/// Adds a value for each row.
fn extend<'a, const N: usize>(
    column: &mut Vec<u8>,
    rows: impl Iterator<Item = &'a [u8]>,
    value: impl Fn(&'a [u8]) -> [u8; N],
) {
    column.reserve(rows.size_hint().0 * N);
    rows.for_each(|row| column.extend_from_slice(&value(row)));
}

/// The little-endian bytes of a signed number at the start of a row.
fn signed<const N: usize>(row: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&row[..N]);
    bytes[0] ^= SIGN;
    bytes.reverse();
    bytes
}

/// The same of a float: what was negative begins without the bit.
fn floating<const N: usize>(row: &[u8]) -> [u8; N] {
    let mut bytes = signed(row);
    if row[0] < SIGN {
        // The sign is set again, and all else was inverted.
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        bytes[N - 1] ^= SIGN;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the order of rows, and with it the order of samples: bytes compare as values do, and come back as they were.
    #[test]
    fn bytes_compare_as_values() {
        let integers = [i64::MIN, -1 << 40, -70_000, -2, -1, 0, 1, 2, 255, 256, 70_000, 1 << 40, i64::MAX];
        let floats = [f64::NEG_INFINITY, -1e30, -1.5, -1e-30, -0.0, 0.0, 1e-30, 1.5, 1e30, f64::INFINITY, f64::NAN];
        for field in Dtype::ALL {
            let values: Vec<Value> = match field {
                Dtype::Bool => (0..=1).map(Value::Integer).collect(),
                Dtype::U8 => {
                    integers.into_iter().filter(|value| (0..=255).contains(value)).map(Value::Integer).collect()
                }
                Dtype::I32 => {
                    integers.into_iter().filter(|&value| i32::try_from(value).is_ok()).map(Value::Integer).collect()
                }
                Dtype::I64 => integers.into_iter().map(Value::Integer).collect(),
                Dtype::F32 | Dtype::F64 => floats.into_iter().map(Value::Float).collect(),
            };
            let packing = Packing::new([field]);
            let rows = values.iter().map(|&value| {
                let mut row = Vec::new();
                packing.pack(&[value], &mut row).unwrap();
                row
            });
            let rows: Vec<Vec<u8>> = rows.collect();
            assert!(rows.is_sorted_by(|a, b| a < b), "{field:?}: {rows:?}");
            let plain = values.iter().flat_map(|&value| match (field, value) {
                (Dtype::Bool | Dtype::U8, Value::Integer(value)) => vec![value as u8],
                (Dtype::I32, Value::Integer(value)) => (value as i32).to_le_bytes().to_vec(),
                (_, Value::Integer(value)) => value.to_le_bytes().to_vec(),
                (Dtype::F32, Value::Float(value)) => (value as f32).to_le_bytes().to_vec(),
                (_, Value::Float(value)) => value.to_le_bytes().to_vec(),
            });
            assert_eq!(packing.unpack(rows.iter().map(Vec::as_slice)), [plain.collect::<Vec<u8>>()], "{field:?}");
        }
    }

    /// Protects against rows that silently hold other values than they were given.
    #[test]
    fn refuses_values_that_a_field_has_not() {
        let wrong = [
            (Dtype::Bool, Value::Integer(2)),
            (Dtype::U8, Value::Integer(256)),
            (Dtype::U8, Value::Integer(-1)),
            (Dtype::I32, Value::Integer(1 << 31)),
            (Dtype::I64, Value::Float(1.0)),
            (Dtype::F32, Value::Integer(1)),
        ];
        for (field, value) in wrong {
            assert!(Packing::new([field]).pack(&[value], &mut Vec::new()).is_err(), "{field:?} {value:?}");
        }
        assert!(Packing::new([]).pack(&[Value::Integer(1)], &mut Vec::new()).is_err());
    }
}
