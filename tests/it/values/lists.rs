//! Slates: lists of every layout, whole and in slices, and rows with one item each.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, GenericListArray, GenericListViewArray, Int64Array,
    OffsetSizeTrait, RecordBatch, StructArray, UInt16Array, UInt64Array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use shardback::error::Reason;

use super::{impressions_of, message, read_impressions, sorted};

/// Six items, of which the last has the wrong width for what it holds; odd ones are ordered.
fn elements(nulls: Option<Vec<bool>>) -> StructArray {
    let items: ArrayRef = Arc::new(UInt16Array::from_iter_values(0..6));
    let labels: ArrayRef = Arc::new(BooleanArray::from_iter((0..6).map(|item| Some(item % 2 == 1))));
    let fields = Fields::from(vec![
        // The order of the fields and what else there is do not matter.
        Field::new("is_order", DataType::Boolean, true),
        Field::new("position", DataType::Int64, true),
        Field::new("item_id", DataType::UInt16, true),
    ]);
    let positions: ArrayRef = Arc::new(Int64Array::from_value(9, 6));
    StructArray::new(fields, vec![labels, positions, items], nulls.map(NullBuffer::from))
}

fn field(elements: &StructArray) -> FieldRef {
    Arc::new(Field::new("item", elements.data_type().clone(), true))
}

/// Lists one after the other; the third is null but has elements underneath, the fourth is empty.
fn list<O: OffsetSizeTrait>(elements: StructArray) -> ArrayRef {
    let offsets = OffsetBuffer::<O>::from_lengths([1, 2, 1, 0, 2]);
    let nulls = NullBuffer::from(vec![true, true, false, true, true]);
    Arc::new(GenericListArray::<O>::new(field(&elements), offsets, Arc::new(elements), Some(nulls)))
}

/// The same lists as views, of which the elements stand in another order.
fn views<O: OffsetSizeTrait>(elements: StructArray) -> ArrayRef {
    let numbers = |numbers: [usize; 5]| numbers.map(O::usize_as).to_vec().into();
    let (offsets, sizes) = (numbers([0, 1, 3, 0, 4]), numbers([1, 2, 1, 0, 2]));
    let nulls = NullBuffer::from(vec![true, true, false, true, true]);
    Arc::new(GenericListViewArray::<O>::new(field(&elements), offsets, sizes, Arc::new(elements), Some(nulls)))
}

/// Impressions whose customer is the number of the row, from 0.
fn batch(lists: ArrayRef) -> RecordBatch {
    let customers = Int64Array::from_iter_values(0..i64::try_from(lists.len()).unwrap());
    impressions_of(vec![("customer_id", Arc::new(customers)), ("impressions", lists)])
}

/// The samples and the reasons of what is left out.
fn read(batch: RecordBatch) -> (Vec<(i64, i64, bool)>, Vec<Reason>) {
    let (samples, found) = read_impressions::<i32>(batch).unwrap();
    (sorted(&samples), found.rejects.iter().map(|reject| reject.reason).collect())
}

/// All layouts of lists give the same samples, whole and in any slice; what is under a null list is nothing.
#[test]
fn every_layout_of_lists_gives_the_same_samples() {
    let samples = [(0, 0, false), (1, 1, true), (1, 2, false), (4, 4, false), (4, 5, true)];
    // The fourth element is below the null list; its own null is not seen either.
    for nulls in [None, Some(vec![true, true, true, false, true, true])] {
        let lists = [
            list::<i32>(elements(nulls.clone())),
            list::<i64>(elements(nulls.clone())),
            views::<i32>(elements(nulls.clone())),
            views::<i64>(elements(nulls)),
        ];
        for lists in lists {
            let batch = batch(lists);
            for start in 0..batch.num_rows() {
                for length in 0..=batch.num_rows() - start {
                    let rows = start as i64..(start + length) as i64;
                    let expected: Vec<_> = samples.iter().copied().filter(|(row, ..)| rows.contains(row)).collect();
                    assert_eq!(read(batch.slice(start, length)), (expected, vec![]), "{rows:?} of {}", batch.schema());
                }
            }
        }
    }
}

#[test]
fn lists_of_a_fixed_size_give_samples() {
    let elements = elements(None);
    let nulls = NullBuffer::from(vec![true, false, true]);
    let lists: ArrayRef = Arc::new(FixedSizeListArray::new(field(&elements), 2, Arc::new(elements), Some(nulls)));
    let batch = batch(lists);
    let samples = vec![(0, 0, false), (0, 1, true), (2, 4, false), (2, 5, true)];
    assert_eq!(read(batch.clone()), (samples.clone(), vec![]));
    assert_eq!(read(batch.slice(1, 2)), (samples[2..].to_vec(), vec![]));
    assert_eq!(read(batch.slice(0, 2)), (samples[..2].to_vec(), vec![]));
}

/// Views may overlap, and each row has its own samples all the same.
#[test]
fn overlapping_views_each_give_their_samples() {
    let elements = elements(None);
    let (offsets, sizes) = (vec![1, 0].into(), vec![2, 2].into());
    let lists = GenericListViewArray::<i32>::new(field(&elements), offsets, sizes, Arc::new(elements), None);
    let samples = vec![(0, 1, true), (0, 2, false), (1, 0, false), (1, 1, true)];
    assert_eq!(read(batch(Arc::new(lists))), (samples, vec![]));
}

/// Within a list, a null struct, item or label, or an item that does not fit, is left out alone.
#[test]
fn bad_elements_are_left_out_alone() {
    let items = UInt64Array::from(vec![Some(1), Some(2), None, Some(4), Some(1 << 31), Some(6)]);
    let labels = BooleanArray::from(vec![Some(true), Some(true), Some(true), None, Some(true), Some(false)]);
    let fields = Fields::from(vec![
        Field::new("item_id", DataType::UInt64, true),
        Field::new("is_order", DataType::Boolean, true),
    ]);
    let nulls = NullBuffer::from(vec![true, false, true, true, true, true]);
    let elements = StructArray::new(fields, vec![Arc::new(items), Arc::new(labels)], Some(nulls));
    let offsets = OffsetBuffer::from_lengths([6]);
    let lists = GenericListArray::<i32>::new(field(&elements), offsets, Arc::new(elements), None);
    let reasons = vec![Reason::NullItem, Reason::NullItem, Reason::NullLabel, Reason::ItemOutOfRange];
    assert_eq!(read(batch(Arc::new(lists))), (vec![(0, 1, true), (0, 6, false)], reasons));
}

/// Without a list column each row is one item; other types are refused by name.
#[test]
fn rows_of_one_item_and_columns_of_other_types() {
    let customers: ArrayRef = Arc::new(Int64Array::from(vec![5, 5, 6]));
    let items: ArrayRef = Arc::new(UInt16Array::from(vec![Some(7), None, Some(8)]));
    let labels: ArrayRef = Arc::new(BooleanArray::from(vec![true, true, false]));
    let flat = |items: &ArrayRef, labels: &ArrayRef| {
        impressions_of(vec![
            ("customer_id", customers.clone()),
            ("item_id", items.clone()),
            ("is_order", labels.clone()),
        ])
    };
    assert_eq!(read(flat(&items, &labels)), (vec![(5, 7, true), (6, 8, false)], vec![Reason::NullItem]));
    // Labels may be 0 and 1 in any type of numbers.
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(1), Some(0)]));
    assert_eq!(read(flat(&items, &numbers)), (vec![(5, 7, true), (6, 8, false)], vec![Reason::NullItem]));
    assert_eq!(
        read(flat(&items, &customers)),
        (vec![], vec![Reason::UnparsableLabel, Reason::NullItem, Reason::UnparsableLabel])
    );
    let days: ArrayRef = new_null_array(&DataType::Date32, 3);
    assert_eq!(
        message(read_impressions::<i32>(flat(&items, &days))),
        "impressions: column `is_order` of the source is Date32, expected a boolean"
    );
    assert_eq!(
        message(read_impressions::<i32>(flat(&labels, &labels))),
        "impressions: column `item_id` of the source is Boolean, expected an integer"
    );
    let numbers = impressions_of(vec![("customer_id", customers.clone()), ("impressions", customers.clone())]);
    assert_eq!(
        message(read_impressions::<i32>(numbers)),
        "impressions: column `impressions` of the source is Int64, expected a list of structs with the fields `item_id` and `is_order`"
    );
}
