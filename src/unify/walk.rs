//! The columns of a chunk by the paths that a description gives them: a value for each row, or for each element of the row's lists.
//!
//! ```text
//! paths ─► down structs and into lists ─► one numbering of elements ─► without what `where` leaves out
//! ```
//!
//! Several lists of a table are walked together: elements are numbered through all rows, and each column of a list has a value for each
//! number. Where rows of a text file stand beside rows with a list, each of them is an element behind those of the lists.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, UInt64Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{concat, filter, nullif, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::columns::Reader;
use super::lists::list_ranges;
use crate::error::{Error, Invariant, Result};
use crate::read::{Projection, resolve};

/// A column: where it stands and what it holds.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) array: ArrayRef,
    /// Whether it has a value for each element, and not for each row.
    pub(super) in_list: bool,
    /// Whether it is one of the list of items, and stands beside it.
    pub(super) is_flat: bool,
}

/// The elements of rows.
#[derive(Debug)]
pub(super) struct Lists {
    /// For each row the start and end of its elements; empty where a list is null.
    pub(super) ranges: Vec<(usize, usize)>,
    /// Which rows have no list.
    nulls: Option<NullBuffer>,
    /// Rows whose lists are not as long as each other.
    unequal: Option<BooleanBuffer>,
    /// From this element on each is a row that has no list.
    flat_from: usize,
}

/// The columns of a chunk.
pub(super) struct Walk {
    pub(super) rows: usize,
    pub(super) lists: Option<Lists>,
    /// The places in the chunk of the rows that are left, where some are passed over.
    places: Option<Vec<usize>>,
    leaves: Vec<(String, Leaf)>,
}

/// Where a value is: the row, and the element of its lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) row: usize,
    pub(super) element: usize,
}

impl At {
    /// The row itself.
    pub(super) fn row(row: usize) -> Self {
        Self { row, element: row }
    }

    pub(super) fn place(self, in_list: bool) -> usize {
        if in_list { self.element } else { self.row }
    }
}

/// A list on the way to a column: how it is reached, and its elements.
struct Entered {
    path: Vec<usize>,
    ranges: Vec<(usize, usize)>,
    nulls: Option<NullBuffer>,
    values: ArrayRef,
}

impl Walk {
    /// Walks the columns at `paths`.
    pub(super) fn new(reader: &Reader<'_>, batch: &RecordBatch, wanted: &Projection, paths: &[&str]) -> Result<Self> {
        let mut walker = Walker { reader, batch, entered: Vec::new(), entered_one: false };
        let mut columns = Vec::with_capacity(paths.len());
        for &path in paths {
            columns.push((path, walker.column(path, wanted)?));
        }
        let entered = std::mem::take(&mut walker.entered);
        walker.entered_one = entered.len() == 1;
        let mut lists = Lists::new(&entered, &mut columns)?;
        if let Some(lists) = &mut lists
            && reader.origin.text
        {
            lists.add_flat(&walker, wanted, &mut columns)?;
        }
        let leaves = columns.into_iter().map(|(path, column)| {
            let (in_list, is_flat) = (column.list.is_some(), column.is_flat);
            (path.to_owned(), Leaf { array: column.array, in_list, is_flat })
        });
        Ok(Self { rows: batch.num_rows(), lists, places: None, leaves: leaves.collect() })
    }

    /// The lists of a column that is only looked into: for each row of the chunk the range of its values; one value where it is no list.
    pub(super) fn list_of(
        reader: &Reader<'_>,
        batch: &RecordBatch,
        path: &str,
    ) -> Result<(Vec<(usize, usize)>, ArrayRef)> {
        let mut walker = Walker { reader, batch, entered: Vec::new(), entered_one: false };
        let places = resolve(batch.schema_ref().fields(), path).invariant("a chunk has the columns that are wanted")?;
        let (array, _) = walker.descend(path, &places)?;
        let ranges = walker.entered.pop().map(|list| list.ranges);
        Ok((ranges.unwrap_or_else(|| (0..batch.num_rows()).map(|row| (row, row + 1)).collect()), array))
    }

    /// The column at a path that is walked.
    pub(super) fn leaf(&self, path: &str) -> Result<&Leaf> {
        let leaf = self.leaves.iter().find(|(known, _)| known == path);
        leaf.map(|(_, leaf)| leaf).invariant("a column that is asked for has been walked")
    }

    /// Adds a column that the table does not have.
    pub(super) fn add(&mut self, path: &str, array: ArrayRef, in_list: bool) {
        self.leaves.push((path.to_owned(), Leaf { array, in_list, is_flat: false }));
    }

    /// The place of each element in its list, or of each row, which is 0.
    pub(super) fn positions(&self) -> Result<(ArrayRef, bool)> {
        let Some(lists) = &self.lists else { return Ok((Arc::new(Int64Array::from_value(0, self.rows)), false)) };
        let elements = self.leaves.iter().find(|(_, leaf)| leaf.in_list).map(|(_, leaf)| leaf.array.len());
        let mut positions = vec![0; elements.invariant("elements are those of a column")?];
        for &(start, end) in &lists.ranges {
            let range = positions.get_mut(start..end).invariant("the elements of a row are among all elements")?;
            (0..).zip(range).for_each(|(number, position)| *position = number);
        }
        Ok((Arc::new(Int64Array::from(positions)), true))
    }

    /// The place of a row among those of the chunk, of which some may have been passed over.
    pub(super) fn place(&self, row: usize) -> usize {
        self.places.as_ref().and_then(|places| places.get(row)).copied().unwrap_or(row)
    }

    /// Whether the lists of a row differ in length.
    pub(super) fn is_unequal(&self, row: usize) -> bool {
        self.lists.as_ref().and_then(|lists| lists.unequal.as_ref()).is_some_and(|unequal| unequal.value(row))
    }

    /// Whether any row's lists differ in length.
    pub(super) fn has_unequal(&self) -> bool {
        self.lists.as_ref().is_some_and(|lists| lists.unequal.is_some())
    }

    /// The elements of a row: those of its lists, or itself where the table has none.
    pub(super) fn elements(&self, row: usize) -> Range<usize> {
        match &self.lists {
            None => row..row + 1,
            Some(lists) => lists.ranges.get(row).map_or(0..0, |&(start, end)| start..end),
        }
    }

    /// The elements of a row's list, where it has one that is not null.
    pub(super) fn list(&self, row: usize) -> Option<Range<usize>> {
        let lists = self.lists.as_ref()?;
        let is_null = lists.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        Some(self.elements(row)).filter(|_| !is_null)
    }

    /// Whether an element is a row that stands beside the lists.
    pub(super) fn is_flat(&self, element: usize) -> bool {
        self.lists.as_ref().is_some_and(|lists| element >= lists.flat_from)
    }

    /// Passes over the rows, or the elements, for which there is no `true`.
    pub(super) fn keep(&mut self, kept: &BooleanArray, in_list: bool) -> Result<()> {
        if kept.true_count() == kept.len() {
            return Ok(());
        }
        if in_list { self.keep_elements(kept) } else { self.keep_rows(kept) }
    }

    fn keep_rows(&mut self, kept: &BooleanArray) -> Result<()> {
        let places = kept.values().set_indices().map(|row| self.place(row)).collect::<Vec<_>>();
        for (_, leaf) in self.leaves.iter_mut().filter(|(_, leaf)| !leaf.in_list) {
            leaf.array = filter(&leaf.array, kept).map_err(|_| changed())?;
        }
        if let Some(lists) = &mut self.lists {
            let rows = || kept.values().set_indices();
            lists.ranges = rows().filter_map(|row| lists.ranges.get(row).copied()).collect();
            lists.nulls = lists.nulls.as_ref().map(|nulls| rows().map(|row| nulls.is_valid(row)).collect());
            lists.unequal = lists.unequal.as_ref().map(|unequal| rows().map(|row| unequal.value(row)).collect());
        }
        self.rows = places.len();
        self.places = Some(places);
        Ok(())
    }

    fn keep_elements(&mut self, kept: &BooleanArray) -> Result<()> {
        let lists = self.lists.as_mut().invariant("elements are those of lists")?;
        let mut left: Vec<usize> = Vec::new();
        // Rows beside the lists stay behind all elements of lists, as they are numbered.
        let (of_lists, flat): (Vec<usize>, Vec<usize>) =
            (0..lists.ranges.len()).partition(|&row| lists.ranges[row].0 < lists.flat_from);
        for rows in [of_lists, flat] {
            let start = left.len();
            for row in rows {
                let (first, end) = lists.ranges[row];
                let from = left.len();
                left.extend((first..end).filter(|&element| kept.value(element)));
                lists.ranges[row] = (from, left.len());
            }
            if start == 0 && lists.flat_from != usize::MAX {
                lists.flat_from = left.len();
            }
        }
        take_elements(self.leaves.iter_mut().map(|(_, leaf)| leaf), &left)
    }
}

fn take_elements<'a>(leaves: impl Iterator<Item = &'a mut Leaf>, elements: &[usize]) -> Result<()> {
    let places = UInt64Array::from_iter_values(elements.iter().map(|&element| element as u64));
    for leaf in leaves.filter(|leaf| leaf.in_list) {
        leaf.array = take(&leaf.array, &places, None).map_err(|_| changed())?;
    }
    Ok(())
}

fn changed() -> Error {
    Error::internal("some of the values of a column are a column")
}

/// A column on its way.
struct Column {
    array: ArrayRef,
    /// The list that it is in, by its place among those that have been entered.
    list: Option<usize>,
    is_flat: bool,
}

struct Walker<'a, 'b> {
    reader: &'a Reader<'b>,
    batch: &'a RecordBatch,
    entered: Vec<Entered>,
    /// Whether all columns of lists are of the same one.
    entered_one: bool,
}

impl Walker<'_, '_> {
    fn column(&mut self, path: &str, wanted: &Projection) -> Result<Column> {
        let fields = self.batch.schema();
        let (places, is_flat) = match (resolve(fields.fields(), path), wanted.flat(path)) {
            (Some(places), _) => (Some(places), false),
            (None, Some(flat)) => (resolve(fields.fields(), flat), true),
            (None, None) => (None, false),
        };
        let places = places.invariant("a chunk has the columns that are wanted")?;
        let (array, list) = self.descend(path, &places)?;
        Ok(Column { array, list, is_flat })
    }

    /// Goes down structs, and into a list.
    fn descend(&mut self, path: &str, places: &[usize]) -> Result<(ArrayRef, Option<usize>)> {
        let (&root, below) = places.split_first().invariant("a column has a root")?;
        let mut array = Arc::clone(self.batch.columns().get(root).invariant("a column is in its batch")?);
        let mut list = None;
        for depth in 0..=below.len() {
            let known = self.entered.iter().position(|entered| entered.path == places[..=depth]);
            let known = known.or_else(|| self.enter(&places[..=depth], &array));
            if let Some(known) = known {
                if list.is_some() {
                    return Err(self.reader.wrong_type(path, &array, "a value in no more than one list"));
                }
                list = Some(known);
                array = Arc::clone(&self.entered[known].values);
            }
            if let Some(&place) = below.get(depth) {
                array = field(&array, place).ok_or_else(|| self.reader.wrong_type(path, &array, "a struct"))?;
            }
        }
        if list_ranges_of_type(array.data_type()) {
            return Err(self.reader.wrong_type(path, &array, "a value in no more than one list"));
        }
        Ok((array, list))
    }

    /// Notes a list that is entered for the first time; `None` where there is none.
    fn enter(&mut self, path: &[usize], array: &ArrayRef) -> Option<usize> {
        let (ranges, values) = list_ranges(array)?;
        self.entered.push(Entered { path: path.to_vec(), ranges, nulls: array.logical_nulls(), values });
        Some(self.entered.len() - 1)
    }
}

fn list_ranges_of_type(kind: &DataType) -> bool {
    crate::read::element_type(kind).is_some()
}

/// A field of structs, null where they are; `None` where they are none.
fn field(array: &ArrayRef, place: usize) -> Option<ArrayRef> {
    let structs = arrow::array::AsArray::as_struct_opt(array)?;
    let values = structs.columns().get(place)?;
    let Some(nulls) = structs.nulls().filter(|nulls| nulls.null_count() > 0) else { return Some(Arc::clone(values)) };
    nullif(values, &BooleanArray::new(!nulls.inner(), None)).ok()
}

impl Lists {
    /// The lists that have been entered, as one numbering of elements; several are brought into the order of rows.
    fn new(entered: &[Entered], columns: &mut [(&str, Column)]) -> Result<Option<Self>> {
        let Some((first, others)) = entered.split_first() else { return Ok(None) };
        let lists = |ranges, nulls, unequal| Some(Self { ranges, nulls, unequal, flat_from: usize::MAX });
        if others.is_empty() {
            return Ok(lists(first.ranges.clone(), first.nulls.clone(), None));
        }
        let rows = first.ranges.len();
        let length = |list: &Entered, row: usize| list.ranges.get(row).map_or(0, |(start, end)| end - start);
        let unequal: BooleanBuffer =
            (0..rows).map(|row| others.iter().any(|other| length(other, row) != length(first, row))).collect();
        let mut ranges = Vec::with_capacity(rows);
        let mut elements = 0;
        for row in 0..rows {
            let start = elements;
            elements += if unequal.value(row) { 0 } else { length(first, row) };
            ranges.push((start, elements));
        }
        for (number, list) in entered.iter().enumerate() {
            let whole = (0..rows).filter(|&row| !unequal.value(row)).filter_map(|row| list.ranges.get(row));
            let places = UInt64Array::from_iter_values(whole.flat_map(|&(start, end)| start as u64..end as u64));
            for (_, column) in columns.iter_mut().filter(|(_, column)| column.list == Some(number)) {
                column.array = take(&column.array, &places, None).map_err(|_| changed())?;
            }
        }
        // Only where all of them are null there is no list.
        let valid = |row| entered.iter().any(|list| list.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)));
        let nulls = (0..rows).map(valid).collect();
        Ok(lists(ranges, Some(nulls), Some(unequal).filter(|unequal| unequal.count_set_bits() > 0)))
    }

    /// Adds, as elements behind those of the lists, the rows that have no list and something in the columns that may stand beside it.
    fn add_flat(&mut self, walker: &Walker<'_, '_>, wanted: &Projection, columns: &mut [(&str, Column)]) -> Result<()> {
        let fields = walker.batch.schema();
        let find = |path: &str| match resolve(fields.fields(), wanted.flat(path)?).as_deref() {
            Some(&[place]) => walker.batch.columns().get(place),
            _ => None,
        };
        let mut flat: Vec<(usize, ArrayRef)> = Vec::new();
        for (number, (path, _)) in columns.iter().enumerate().filter(|(_, (_, column))| column.list.is_some()) {
            // A column of the lists that has nothing beside them would have no value there.
            let Some(array) = find(path).filter(|_| walker.entered_one) else { return Ok(()) };
            flat.push((number, Arc::clone(array)));
        }
        let (Some(nulls), Some((first, _))) = (self.nulls.take(), flat.first()) else { return Ok(()) };
        let elements = columns.get(*first).map_or(0, |(_, column)| column.array.len());
        let is_there = |row: usize| nulls.is_null(row) && flat.iter().any(|(_, array)| array.is_valid(row));
        let mut any = false;
        for row in 0..self.ranges.len() {
            if is_there(row) {
                any = true;
                self.ranges[row] = (elements + row, elements + row + 1);
            }
        }
        if any {
            for (number, array) in flat {
                let joined = |column: &Column| -> Result<ArrayRef, ArrowError> { concat(&[&column.array, &array]) };
                if let Some((_, column)) = columns.get_mut(number) {
                    column.array = joined(column).map_err(|_| walker.reader.wrong_type("", &array, "text"))?;
                }
            }
            self.flat_from = elements;
        }
        self.nulls = Some(nulls);
        Ok(())
    }
}
