//! Lists of every layout: for each row the range of its elements.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, OffsetSizeTrait};
use arrow::datatypes::DataType;

/// For each row of a list-like array the range of its elements, and the elements; `None` for other arrays.
///
/// The range of a null list is empty where the list would be, so that ranges of lists that lie in order ascend.
pub(super) fn list_ranges(array: &ArrayRef) -> Option<(Vec<(usize, usize)>, ArrayRef)> {
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
