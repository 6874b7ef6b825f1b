//! The lists of an impressions column: for each row a range of items and labels.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, OffsetSizeTrait, StructArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::nullif;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::columns::{Cell, Cells, Reader};
use crate::error::{Error, Result};

/// The lists of an impressions column.
pub(super) struct Slates {
    /// For each row the start and end of its elements; empty where the list is null.
    ranges: Vec<(usize, usize)>,
    /// Which lists are null.
    nulls: Option<NullBuffer>,
    items: Cells,
    labels: Cells,
    /// Which elements are null.
    null_elements: Option<NullBuffer>,
}

impl Slates {
    /// The rows of a list column, each a range of `items` and `labels`.
    pub(super) fn read(reader: &Reader<'_>, column: &str) -> Result<Self> {
        let array = reader.column(column)?;
        let (ranges, values) = list_ranges(&array)
            .ok_or_else(|| reader.wrong_type(column, &array, "a list of structs with `item_id` and `is_order`"))?;
        let elements = values
            .as_any()
            .downcast_ref::<StructArray>()
            .ok_or_else(|| reader.wrong_type(column, &array, "a list of structs with `item_id` and `is_order`"))?;
        let field = |name: &str| {
            elements.column_by_name(name).cloned().ok_or_else(|| Error::MissingColumn {
                table: reader.table.to_owned(),
                file: reader.origin.path().map(ToOwned::to_owned),
                column: format!("{column}.{name}"),
                from_folder: false,
                present: elements.column_names().iter().map(|present| format!("{column}.{present}")).collect(),
            })
        };
        // Values of text formats are named by their row, so an element has to find the row that holds it.
        let row_of = |element: usize| ranges.partition_point(|&(start, end)| start <= element && end <= element);
        Ok(Self {
            items: reader.id_cells_at(&format!("{column}.item_id"), &field("item_id")?, &row_of)?,
            labels: reader.label_cells_at(&format!("{column}.is_order"), &field("is_order")?, &row_of)?,
            null_elements: elements.nulls().cloned(),
            nulls: array.logical_nulls(),
            ranges,
        })
    }

    /// The elements of a row; `None` where its list is null.
    pub(super) fn elements(&self, row: usize) -> Option<Range<usize>> {
        let &(start, end) = self.ranges.get(row).filter(|_| !self.has_null_list(row))?;
        Some(start..end)
    }

    fn has_null_list(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// A column beside the lists, null in the rows that have a list.
    pub(super) fn without_lists(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let has_list = BooleanBuffer::collect_bool(column.len(), |row| !self.has_null_list(row));
        nullif(column, &BooleanArray::new(has_list, None))
    }

    pub(super) fn item(&self, element: usize) -> Cell {
        if self.is_null(element) { Cell::Null } else { self.items.get(element) }
    }

    pub(super) fn label(&self, element: usize) -> Cell {
        if self.is_null(element) { Cell::Null } else { self.labels.get(element) }
    }

    pub(super) fn item_text(&self, element: usize) -> Option<String> {
        if self.is_null(element) { None } else { self.items.text(element) }
    }

    /// For each row the start and end of its elements.
    pub(super) fn ranges(&self) -> &[(usize, usize)] {
        &self.ranges
    }

    /// The items and labels of all elements, where none of them is null or bad.
    pub(super) fn plain(&self) -> Option<(&[i64], &[i64])> {
        let whole = self.null_elements.as_ref().is_none_or(|nulls| nulls.null_count() == 0);
        Some((self.items.plain()?, self.labels.plain().filter(|_| whole)?))
    }

    fn is_null(&self, element: usize) -> bool {
        self.null_elements.as_ref().is_some_and(|nulls| nulls.is_null(element))
    }
}

/// For each row of a list-like array the range of its elements, and the elements; `None` for other arrays.
///
/// The range of a null list is empty where the list would be, so that ranges of lists that lie in order ascend.
fn list_ranges(array: &ArrayRef) -> Option<(Vec<(usize, usize)>, ArrayRef)> {
    let ranges = |range: &dyn Fn(usize) -> (usize, usize)| {
        let range = |row| {
            let (start, end) = range(row);
            (start, if array.is_null(row) { start } else { end })
        };
        (0..array.len()).map(range).collect()
    };
    match array.data_type() {
        DataType::List(_) => {
            let (range, values) = offsets::<i32>(array);
            Some((ranges(&range), values))
        }
        DataType::LargeList(_) => {
            let (range, values) = offsets::<i64>(array);
            Some((ranges(&range), values))
        }
        DataType::ListView(_) => Some((ranges(&views::<i32>(array)), Arc::clone(array.as_list_view::<i32>().values()))),
        DataType::LargeListView(_) => {
            Some((ranges(&views::<i64>(array)), Arc::clone(array.as_list_view::<i64>().values())))
        }
        DataType::FixedSizeList(..) => {
            let lists: &FixedSizeListArray = array.as_fixed_size_list();
            let length = usize::try_from(lists.value_length()).ok()?;
            Some((ranges(&|row| (row * length, (row + 1) * length)), Arc::clone(lists.values())))
        }
        _ => None,
    }
}

/// The elements of the lists, without those of other rows where the array is a part of a larger one.
fn offsets<O: OffsetSizeTrait>(array: &ArrayRef) -> (impl Fn(usize) -> (usize, usize), ArrayRef) {
    let lists = array.as_list::<O>();
    let offsets = lists.offsets();
    let (first, end) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
    let values = lists.values().slice(first, end - first);
    (move |row| (offsets[row].as_usize() - first, offsets[row + 1].as_usize() - first), values)
}

fn views<O: OffsetSizeTrait>(array: &ArrayRef) -> impl Fn(usize) -> (usize, usize) {
    let lists = array.as_list_view::<O>();
    |row| {
        let start = lists.offsets()[row].as_usize();
        (start, start + lists.sizes()[row].as_usize())
    }
}
