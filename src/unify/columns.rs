//! Typed views of a chunk's columns: every width, unit and spelling of a value as one kind of cell.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::time::{format_time, parse_time};
use crate::config::Plan;
use crate::error::{Error, Invariant, Result};
use crate::event::{Day, NULL_TIME};
use crate::read::{Chunk, Origin};
use crate::zone::Zone;

/// What a row holds in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Value(i64),
    Null,
    /// There is a value, but none that the column can mean: an id beyond 64 bits, text that is no time, …
    Bad,
}

/// A column of whole numbers: ids, times in microseconds, days since the epoch, labels as 0 and 1.
pub(super) struct Cells {
    array: ArrayRef,
    values: ScalarBuffer<i64>,
    nulls: Option<NullBuffer>,
    bad: Option<BooleanBuffer>,
}

impl Cells {
    pub(super) fn get(&self, row: usize) -> Cell {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            Cell::Null
        } else if self.bad.as_ref().is_some_and(|bad| bad.value(row)) {
            Cell::Bad
        } else {
            Cell::Value(self.values[row])
        }
    }

    /// All values, where every row has one.
    pub(super) fn plain(&self) -> Option<&[i64]> {
        let whole = self.nulls.as_ref().is_none_or(|nulls| nulls.null_count() == 0) && self.bad.is_none();
        whole.then_some(&self.values)
    }

    /// The value as the source spells it, or `None` where it is null.
    pub(super) fn text(&self, row: usize) -> Option<String> {
        if self.get(row) == Cell::Null { None } else { text(&self.array, row) }
    }

    pub(super) fn new(array: &ArrayRef, mut cell: impl FnMut(usize) -> Cell) -> Self {
        let rows = array.len();
        let mut values = Vec::with_capacity(rows);
        let mut valid = Vec::with_capacity(rows);
        let mut bad = Vec::with_capacity(rows);
        for row in 0..rows {
            let cell = cell(row);
            values.push(if let Cell::Value(value) = cell { value } else { 0 });
            valid.push(cell != Cell::Null);
            bad.push(cell == Cell::Bad);
        }
        Self {
            array: Arc::clone(array),
            values: values.into(),
            nulls: Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0),
            bad: Some(BooleanBuffer::from(bad)).filter(|bad| bad.count_set_bits() > 0),
        }
    }

    fn from_values(array: &ArrayRef, values: ScalarBuffer<i64>) -> Self {
        Self { array: Arc::clone(array), values, nulls: array.logical_nulls(), bad: None }
    }

    pub(super) fn all_null(array: &ArrayRef) -> Self {
        Self::new(array, |_| Cell::Null)
    }
}

/// A chunk and the table it belongs to: where errors about its columns get their place from.
pub(super) struct Reader<'a> {
    pub(super) table: &'a str,
    pub(super) batch: &'a RecordBatch,
    pub(super) origin: &'a Origin,
    /// The zone in which days that come as instants count, where one is asked for.
    pub(super) day_zone: Option<&'a Zone>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: &'a str, chunk: &'a Chunk, plan: &'a Plan) -> Self {
        Self { table, batch: &chunk.batch, origin: &chunk.origin, day_zone: plan.day_zone() }
    }

    /// Customer and item ids; `Bad` where the id is beyond 64 bits, signed.
    pub(super) fn ids(&self, column: &str) -> Result<Cells> {
        self.id_cells(column, &self.column(column)?)
    }

    /// Times in microseconds since the epoch, floored; `Bad` where text is no time or a time is beyond 64 bits.
    pub(super) fn times(&self, column: &str) -> Result<Cells> {
        self.time_cells(column, &self.column(column)?)
    }

    pub(super) fn time_cells(&self, column: &str, array: &ArrayRef) -> Result<Cells> {
        let array = self.unpacked(column, array)?;
        match array.data_type() {
            DataType::Null => Ok(Cells::all_null(&array)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let times = array.as_primitive::<TimestampMicrosecondType>();
                Ok(guarded(Cells::from_values(&array, times.values().clone())))
            }
            DataType::Timestamp(unit, _) => scaled(&array, *unit),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                let texts = Texts::new(&array);
                Ok(Cells::new(&array, |row| match texts.get(row) {
                    None => Cell::Null,
                    Some(text) => parse_time(text).map_or(Cell::Bad, Cell::Value),
                }))
            }
            _ => Err(self.wrong_type(column, &array, "a timestamp, or text as in RFC 3339")),
        }
    }

    /// Labels as 0 and 1.
    pub(super) fn labels(&self, column: &str) -> Result<Cells> {
        self.label_cells(column, &self.column(column)?)
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.batch.column_by_name(column).is_some()
    }

    pub(super) fn column(&self, column: &str) -> Result<ArrayRef> {
        self.batch.column_by_name(column).cloned().ok_or_else(|| Error::MissingColumn {
            table: self.table.to_owned(),
            file: self.origin.path().map(ToOwned::to_owned),
            column: column.to_owned(),
            from_folder: false,
            present: self.batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect(),
        })
    }

    pub(super) fn wrong_type(&self, column: &str, array: &ArrayRef, expected: &'static str) -> Error {
        Error::ColumnType {
            table: self.table.to_owned(),
            file: self.origin.path().map(ToOwned::to_owned),
            column: column.to_owned(),
            found: array.data_type().to_string(),
            expected,
        }
    }

    fn wrong_value(&self, column: &str, row: usize, value: &[u8], expected: &'static str) -> Error {
        let Some(row) = self.origin.rows.number(row) else {
            return Error::internal("lines of text files are numbered");
        };
        Error::ValueType {
            table: self.table.to_owned(),
            file: self.origin.path().map(ToOwned::to_owned),
            row,
            column: column.to_owned(),
            value: String::from_utf8_lossy(value).into_owned(),
            expected,
        }
    }

    /// Dictionaries and runs as plain arrays.
    pub(super) fn unpacked(&self, column: &str, array: &ArrayRef) -> Result<ArrayRef> {
        let plain = match array.data_type() {
            DataType::Dictionary(_, values) => values.as_ref(),
            DataType::RunEndEncoded(_, values) => values.data_type(),
            _ => return Ok(Arc::clone(array)),
        };
        cast(array, plain).map_err(|_| self.wrong_type(column, array, "plain values"))
    }

    pub(super) fn id_cells(&self, column: &str, array: &ArrayRef) -> Result<Cells> {
        self.id_cells_at(column, array, &|row| row)
    }

    pub(super) fn id_cells_at(&self, column: &str, array: &ArrayRef, row_of: &dyn Fn(usize) -> usize) -> Result<Cells> {
        let array = self.unpacked(column, array)?;
        match array.data_type() {
            DataType::Null => Ok(Cells::all_null(&array)),
            DataType::Int64 => Ok(Cells::from_values(&array, array.as_primitive::<Int64Type>().values().clone())),
            kind if kind.is_integer() || matches!(kind, DataType::Decimal128(_, 0)) => {
                // The cast makes what does not fit null: what is null only now is out of range.
                let wide = cast(&array, &DataType::Int64).map_err(|_| self.wrong_type(column, &array, INTEGER))?;
                let wide: &Int64Array = wide.as_primitive();
                let bad = (wide.null_count() > array.null_count())
                    .then(|| BooleanBuffer::collect_bool(array.len(), |row| wide.is_null(row) && array.is_valid(row)));
                Ok(Cells {
                    values: wide.values().clone(),
                    nulls: array.logical_nulls(),
                    bad,
                    array: Arc::clone(&array),
                })
            }
            DataType::Utf8 if self.origin.text => {
                let texts = Texts::new(&array);
                let wrong = (0..array.len())
                    .find_map(|row| texts.get(row).filter(|text| !is_integer(text)).map(|text| (row, text)));
                if let Some((row, text)) = wrong {
                    return Err(self.wrong_value(column, row_of(row), text, INTEGER));
                }
                Ok(Cells::new(&array, |row| match texts.get(row) {
                    None => Cell::Null,
                    Some(text) => integer(text).map_or(Cell::Bad, Cell::Value),
                }))
            }
            _ => Err(self.wrong_type(column, &array, INTEGER)),
        }
    }

    pub(super) fn label_cells(&self, column: &str, array: &ArrayRef) -> Result<Cells> {
        self.label_cells_at(column, array, &|row| row)
    }

    pub(super) fn label_cells_at(
        &self,
        column: &str,
        array: &ArrayRef,
        row_of: &dyn Fn(usize) -> usize,
    ) -> Result<Cells> {
        match array.data_type() {
            DataType::Null => Ok(Cells::all_null(array)),
            DataType::Boolean => {
                let labels: &BooleanArray = array.as_boolean();
                let values = labels.values().iter().map(i64::from).collect();
                Ok(Cells::from_values(array, values))
            }
            DataType::Utf8 if self.origin.text => {
                let texts = Texts::new(array);
                let wrong = (0..array.len())
                    .find_map(|row| texts.get(row).filter(|text| label(text).is_none()).map(|text| (row, text)));
                if let Some((row, text)) = wrong {
                    return Err(self.wrong_value(column, row_of(row), text, "true or false"));
                }
                Ok(Cells::new(array, |row| {
                    texts.get(row).and_then(label).map_or(Cell::Null, |label| Cell::Value(i64::from(label)))
                }))
            }
            _ => Err(self.wrong_type(column, array, "a boolean")),
        }
    }
}

const INTEGER: &str = "an integer";

/// The bytes of a text column of any layout.
pub(super) enum Texts<'a> {
    Small(&'a arrow::array::StringArray),
    Large(&'a arrow::array::LargeStringArray),
    View(&'a arrow::array::StringViewArray),
}

impl<'a> Texts<'a> {
    /// The caller has seen that the array is one of the three.
    pub(super) fn new(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::LargeUtf8 => Self::Large(array.as_string()),
            DataType::Utf8View => Self::View(array.as_string_view()),
            _ => Self::Small(array.as_string()),
        }
    }

    pub(super) fn get(&self, row: usize) -> Option<&'a [u8]> {
        match self {
            Self::Small(array) => array.is_valid(row).then(|| array.value(row).as_bytes()),
            Self::Large(array) => array.is_valid(row).then(|| array.value(row).as_bytes()),
            Self::View(array) => array.is_valid(row).then(|| array.value(row).as_bytes()),
        }
    }
}

/// Times of another unit than microseconds.
fn scaled(array: &ArrayRef, unit: TimeUnit) -> Result<Cells> {
    // Every unit is stored as 64-bit counts, so this cast only renames the type.
    let counts = cast(array, &DataType::Int64).invariant("timestamps are kept as 64-bit counts")?;
    let counts = counts.as_primitive::<Int64Type>();
    Ok(Cells::new(array, |row| {
        if counts.is_null(row) {
            return Cell::Null;
        }
        micros(counts.value(row), unit).filter(|&micros| micros != NULL_TIME).map_or(Cell::Bad, Cell::Value)
    }))
}

/// A count of units since the epoch in microseconds, floored, or `None` beyond 64 bits.
fn micros(count: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => count.checked_mul(1_000_000),
        TimeUnit::Millisecond => count.checked_mul(1_000),
        TimeUnit::Microsecond => Some(count),
        TimeUnit::Nanosecond => Some(count.div_euclid(1_000)),
    }
}

/// The one time that stands for null is no time.
fn guarded(times: Cells) -> Cells {
    if !times.values.contains(&NULL_TIME) {
        return times;
    }
    Cells::new(&Arc::clone(&times.array), |row| match times.get(row) {
        Cell::Value(NULL_TIME) => Cell::Bad,
        cell => cell,
    })
}

pub(super) fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// The value of text that [`is_integer`], or `None` beyond 64 bits.
fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn label(text: &[u8]) -> Option<bool> {
    let is = |names: [&[u8]; 3]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    if is([b"true", b"t", b"1"]) { Some(true) } else { is([b"false", b"f", b"0"]).then_some(false) }
}

/// A value as text.
///
/// The formatter of Arrow prints an error for days and times beyond its calendar, and just those are asked for.
fn text(array: &ArrayRef, row: usize) -> Option<String> {
    let count = || {
        let count = cast(&array.slice(row, 1), &DataType::Int64).ok()?;
        Some(count.as_primitive::<Int64Type>().value(0))
    };
    match array.data_type() {
        DataType::Timestamp(unit, _) => {
            count().map(|count| micros(count, *unit).map_or_else(|| format!("{count} {unit}"), format_time))
        }
        kind @ (DataType::Date32 | DataType::Date64) => count().map(|count| {
            let day = if *kind == DataType::Date64 { count.div_euclid(86_400_000) } else { count };
            i32::try_from(day).map_or_else(|_| format!("day {day}"), |day| Day(day).to_string())
        }),
        // The formatter panics over a key that leads out of its dictionary.
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let key = cast(&dictionary.keys().slice(row, 1), &DataType::Int64).ok()?;
            let (key, values) = (key.as_primitive::<Int64Type>().value(0), dictionary.values());
            match usize::try_from(key) {
                Ok(place) if place < values.len() => text(values, place),
                _ => Some(format!("entry {key} of a dictionary of {}", values.len())),
            }
        }
        _ => {
            let options = FormatOptions::default();
            // Plain texts and numbers only, which can always be printed; else there would be no text, and none of an error.
            ArrayFormatter::try_new(array, &options).ok()?.value(row).try_to_string().ok()
        }
    }
}
