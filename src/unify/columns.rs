//! Typed views of a chunk's columns: every width, unit and spelling of a value as one kind of cell.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, NullArray, NullBufferBuilder};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use xxhash_rust::xxh3::xxh3_64;

use super::times::micros;
use super::view::{CellValue, View, plain_digits};
use crate::error::{Error, Result};
use crate::event::Day;
use crate::read::{Chunk, Origin};
use crate::schema::{Ids, ValueType};
use crate::texts::format_time;

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

/// Cells that are put together. Mostly none is null and none is bad, and then no bits are kept of that.
struct Building {
    values: Vec<i64>,
    nulls: NullBufferBuilder,
    bad: NullBufferBuilder,
}

impl Building {
    fn new(rows: usize) -> Self {
        Self {
            values: Vec::with_capacity(rows),
            nulls: NullBufferBuilder::new(rows),
            bad: NullBufferBuilder::new(rows),
        }
    }

    #[inline]
    fn push(&mut self, cell: Cell) {
        self.values.push(if let Cell::Value(value) = cell { value } else { 0 });
        self.nulls.append(cell != Cell::Null);
        self.bad.append(cell != Cell::Bad);
    }

    fn finish(mut self, array: &ArrayRef) -> Cells {
        let bad = self.bad.finish().map(|good| !good.inner());
        Cells { array: Arc::clone(array), values: self.values.into(), nulls: self.nulls.finish(), bad }
    }
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
        let mut building = Building::new(array.len());
        (0..array.len()).for_each(|row| building.push(cell(row)));
        building.finish(array)
    }

    /// As [`Cells::new`], of what the cells of a view hold.
    pub(super) fn of_view(array: &ArrayRef, view: &View<'_>, mut cell: impl FnMut(CellValue<'_>) -> Cell) -> Self {
        let mut building = Building::new(array.len());
        view.each(array.len(), |found| building.push(cell(found)));
        building.finish(array)
    }

    pub(super) fn from_values(array: &ArrayRef, values: ScalarBuffer<i64>) -> Self {
        Self { array: Arc::clone(array), values, nulls: array.logical_nulls(), bad: None }
    }

    /// The same values, and `value` for null.
    pub(super) fn with_null(self, value: Option<i64>) -> Self {
        let Some(value) = value.filter(|_| self.nulls.as_ref().is_some_and(|nulls| nulls.null_count() > 0)) else {
            return self;
        };
        Self::new(&self.array, |row| if self.get(row) == Cell::Null { Cell::Value(value) } else { self.get(row) })
    }

    /// The number of cells.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// How many of them the source has no value for, whatever stands for it.
    pub(super) fn nulls(&self) -> usize {
        self.array.logical_null_count()
    }

    /// Other cells in the place of these.
    pub(super) fn same(&self, mut cell: impl FnMut(Cell) -> Cell) -> Self {
        Self::new(&self.array, |row| cell(self.get(row)))
    }

    /// Other values in the place of these; what has none is bad.
    pub(super) fn map(self, value: impl Fn(i64) -> Option<i64>) -> Self {
        Self::new(&self.array, |row| match self.get(row) {
            Cell::Value(number) => value(number).map_or(Cell::Bad, Cell::Value),
            other => other,
        })
    }

    /// Values of no column.
    pub(super) fn from_numbers(values: Vec<i64>) -> Self {
        let array: ArrayRef = Arc::new(NullArray::new(values.len()));
        Self { array, values: values.into(), nulls: None, bad: None }
    }

    /// The same cells, but for a value that is none.
    pub(super) fn without(self, value: i64) -> Self {
        if !self.values.contains(&value) {
            return self;
        }
        Self::new(&self.array, |row| if self.get(row) == Cell::Value(value) { Cell::Bad } else { self.get(row) })
    }

    /// The same value for so many rows.
    pub(super) fn constant(value: i64, rows: usize) -> Self {
        Self::from_numbers(vec![value; rows])
    }

    /// Whether a cell that is bad holds an integer, so that it is one which does not fit.
    pub(super) fn is_integer(&self, row: usize) -> bool {
        View::of(&self.array).is_some_and(|view| view.get(row).integer().is_some())
    }

    pub(super) fn all_null(array: &ArrayRef) -> Self {
        Self::new(array, |_| Cell::Null)
    }
}

/// A chunk and the table it belongs to: where errors about its columns get their place from.
pub(super) struct Reader<'a> {
    pub(super) table: &'a str,
    pub(super) origin: &'a Origin,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: &'a str, chunk: &'a Chunk) -> Self {
        Self { table, origin: &chunk.origin }
    }

    pub(super) fn wrong_type(&self, column: &str, array: &ArrayRef, expected: &'static str) -> Error {
        Error::ColumnType {
            table: self.table.to_owned(),
            file: self.origin.path().map(ToOwned::to_owned),
            column: column.to_owned(),
            found: array.data_type().to_string(),
            expected: expected.into(),
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

    /// A column, cell by cell; `is_kind` says whether its type can be what is wanted.
    fn cells(
        &self,
        column: &str,
        array: &ArrayRef,
        expected: &'static str,
        is_kind: impl Fn(&View<'_>) -> bool,
        cell: impl Fn(CellValue<'_>) -> Cell,
    ) -> Result<Cells> {
        let array = self.unpacked(column, array)?;
        let Some(view) = View::of(&array).filter(is_kind) else {
            return Err(self.wrong_type(column, &array, expected));
        };
        Ok(Cells::of_view(&array, &view, |found| if found == CellValue::Null { Cell::Null } else { cell(found) }))
    }

    /// Ids; `Bad` where they are none that 64 bits hold.
    pub(super) fn ids(&self, column: &str, array: &ArrayRef, ids: Ids) -> Result<Cells> {
        let array = self.unpacked(column, array)?;
        match (ids, array.data_type()) {
            (_, DataType::Null) => Ok(Cells::all_null(&array)),
            (Ids::Int, DataType::Int64) => {
                Ok(Cells::from_values(&array, array.as_primitive::<Int64Type>().values().clone()))
            }
            (Ids::Int, kind) if kind.is_integer() || matches!(kind, DataType::Decimal128(_, 0)) => {
                // The cast makes what does not fit null: what is null only now is out of range.
                let wide = cast(&array, &DataType::Int64).map_err(|_| self.wrong_type(column, &array, INTEGER))?;
                let wide: &Int64Array = wide.as_primitive();
                let bad = (wide.null_count() > array.null_count())
                    .then(|| BooleanBuffer::collect_bool(array.len(), |row| wide.is_null(row) && array.is_valid(row)));
                let (values, nulls) = (wide.values().clone(), array.logical_nulls());
                Ok(Cells { values, nulls, bad, array: Arc::clone(&array) })
            }
            (Ids::Int, _) => {
                if let Some(ids) = View::of(&array).and_then(|view| view.plain(plain_digits)) {
                    return Ok(Cells::from_values(&array, ids.into()));
                }
                let id = |found: CellValue<'_>| found.integer().and_then(|id| i64::try_from(id).ok());
                let cell = |found: CellValue<'_>| id(found).map_or(Cell::Bad, Cell::Value);
                self.cells(column, &array, INTEGER, |view| !view.is_bools(), cell)
            }
            (Ids::U64, _) => {
                let id = |found: CellValue<'_>| found.integer().and_then(|id| u64::try_from(id).ok());
                let cell = |found: CellValue<'_>| id(found).map_or(Cell::Bad, |id| Cell::Value(id.cast_signed()));
                self.cells(column, &array, INTEGER, |view| !view.is_bools(), cell)
            }
            (Ids::Hash, _) => self.hashes(column, &array),
        }
    }

    /// As [`Reader::ids`], of items, where padding is 0, and a hash has to be told from it.
    pub(super) fn item_ids(&self, column: &str, array: &ArrayRef, ids: Ids) -> Result<Cells> {
        let cells = self.ids(column, array, ids)?;
        Ok(if ids == Ids::Hash { cells.map(|hash| Some(if hash == 0 { 1 } else { hash })) } else { cells })
    }

    /// Hashes of text, or of what a text format would have instead.
    pub(super) fn hashes(&self, column: &str, array: &ArrayRef) -> Result<Cells> {
        let hash = |text: &[u8]| Cell::Value(xxh3_64(text).cast_signed());
        self.cells(column, array, TEXT, |_| true, |found| found.text().map_or(Cell::Null, |text| hash(&text)))
    }

    /// Ids of requests: the integers that they are, or else the hashes of their text.
    pub(super) fn request_ids(&self, column: &str, array: &ArrayRef) -> Result<Cells> {
        let hash = |text: &[u8]| xxh3_64(text).cast_signed();
        let integer = |found: CellValue<'_>| found.integer().and_then(|id| i64::try_from(id).ok());
        let id = |found: CellValue<'_>| integer(found).or_else(|| found.text().map(|text| hash(&text)));
        self.cells(column, array, TEXT, |_| true, |found| id(found).map_or(Cell::Null, Cell::Value))
    }

    /// Values that are kept: numbers as they are, floats as the bits of 64-bit ones, hashes of text.
    pub(super) fn values(&self, column: &str, array: &ArrayRef, dtype: ValueType) -> Result<Cells> {
        if let (ValueType::Bool, DataType::Boolean) = (dtype, array.data_type()) {
            let labels: &BooleanArray = array.as_boolean();
            return Ok(Cells::from_values(array, labels.values().iter().map(i64::from).collect()));
        }
        let value = |value: Option<i64>| value.map_or(Cell::Bad, Cell::Value);
        let whole = |found: CellValue<'_>| match found {
            CellValue::Bool(bool) => Some(i128::from(bool)),
            found => found.integer(),
        };
        match dtype {
            ValueType::Hash => self.hashes(column, array),
            ValueType::Bool => {
                self.cells(column, array, "a boolean", |_| true, |found| value(found.bool().map(i64::from)))
            }
            ValueType::U8 | ValueType::I32 | ValueType::I64 => {
                let (least, most) = match dtype {
                    ValueType::U8 => (0, u8::MAX.into()),
                    ValueType::I32 => (i32::MIN.into(), i32::MAX.into()),
                    _ => (i64::MIN, i64::MAX),
                };
                let fits = |number: &i64| (least..=most).contains(number);
                let cell = |found: CellValue<'_>| {
                    value(whole(found).and_then(|number| i64::try_from(number).ok()).filter(fits))
                };
                self.cells(column, array, "a number", |_| true, cell)
            }
            ValueType::F32 | ValueType::F64 => {
                let fits =
                    |number: &f64| dtype == ValueType::F64 || !number.is_finite() || (*number as f32).is_finite();
                let cell = |found: CellValue<'_>| value(found.number().filter(fits).map(float_bits));
                self.cells(column, array, "a number", |_| true, cell)
            }
        }
    }

    /// Whether numbers are at least so much, as 0 and 1.
    pub(super) fn at_least(&self, column: &str, array: &ArrayRef, threshold: f64) -> Result<Cells> {
        let cell = |found: CellValue<'_>| {
            found.number().map_or(Cell::Bad, |number| Cell::Value(i64::from(number >= threshold)))
        };
        self.cells(column, array, "a number", |_| true, cell)
    }

    /// The place among some texts of the one that is what a text format would have; null where there is none of them.
    pub(super) fn places(&self, column: &str, array: &ArrayRef, texts: &[&str]) -> Result<Cells> {
        let place = |text: &[u8]| texts.iter().position(|known| known.as_bytes() == text);
        let cell = |found: CellValue<'_>| {
            let place = found.text().and_then(|text| place(&text)).and_then(|place| i64::try_from(place).ok());
            place.map_or(Cell::Bad, Cell::Value)
        };
        self.cells(column, array, TEXT, |_| true, cell)
    }
}

/// A float as the integer that a cell holds.
pub(super) fn float_bits(number: f64) -> i64 {
    number.to_bits().cast_signed()
}

const INTEGER: &str = "an integer";
const TEXT: &str = "text, a number or a boolean";

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
