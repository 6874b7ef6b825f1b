//! The columns of samples and the features of actions as rows of bytes, as wide as a description asks for.
//!
//! ```text
//! values of a row ──► pack ──► one row of bytes, which compares as its values do ──► unpack ──► a column for each field
//! ```
//!
//! Between tables and outputs nobody has to know what a row holds: rows are kept, moved and ordered as bytes. Knows types and
//! widths; knows no names and no tables.

use crate::error::{Error, Invariant, Result};

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// The fields of rows as columns: their values one after the other, little-endian.
    #[must_use]
    pub fn unpack<'a>(&self, rows: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<Vec<u8>> {
        let mut start = 0;
        let columns = self.fields.iter().map(|&field| {
            let at = start..start + field.width();
            start = at.end;
            let mut column = Vec::with_capacity(rows.size_hint().0 * field.width());
            rows.clone().for_each(|row| unpack(field, row.get(at.clone()).unwrap_or(&[]), &mut column));
            column
        });
        columns.collect()
    }
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

/// Adds the value of a field, little-endian; the inverse of [`pack`].
fn unpack(field: Dtype, packed: &[u8], column: &mut Vec<u8>) {
    let start = column.len();
    column.extend_from_slice(packed);
    let bytes = column.get_mut(start..).unwrap_or(&mut []);
    match (field, &mut *bytes) {
        (Dtype::Bool | Dtype::U8, _) | (_, []) => {}
        // What was negative begins without the bit.
        (Dtype::F32 | Dtype::F64, [0..SIGN, ..]) => bytes.iter_mut().for_each(|byte| *byte = !*byte),
        (Dtype::I32 | Dtype::I64 | Dtype::F32 | Dtype::F64, [first, ..]) => *first ^= SIGN,
    }
    bytes.reverse();
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
