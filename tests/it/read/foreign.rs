//! Arrow that comes from another program: nothing that it says is believed before it has been checked.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int8Array, Int32Array, Int64Array, ListArray,
    RecordBatch, RecordBatchIterator, StringArray, StructArray, make_array,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Int8Type, Schema};
use arrow::error::ArrowError;
use shardback::read::{Batches, Projection};

use super::{click_batch, clicks, impressions, read, rows};

fn stream(wanted: Projection, batch: RecordBatch) -> Batches<impl arrow::array::RecordBatchReader + Send> {
    let schema = batch.schema();
    Batches::foreign(wanted, RecordBatchIterator::new([Ok::<_, ArrowError>(batch)], schema))
}

/// Clicks of which one column is another.
fn with_column(name: &str, column: ArrayRef) -> RecordBatch {
    let batch = click_batch(column.len() as i64);
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, own)| {
        let column = if field.name() == name { Arc::clone(&column) } else { Arc::clone(own) };
        (field.name().clone(), column)
    });
    RecordBatch::try_from_iter(columns.collect::<Vec<_>>()).unwrap()
}

fn text(offsets: &[i32], bytes: &[u8]) -> ArrayRef {
    let (offsets, bytes) = (Buffer::from_slice_ref(offsets), Buffer::from_slice_ref(bytes));
    let data = ArrayData::builder(DataType::Utf8).len(2).add_buffer(offsets).add_buffer(bytes);
    // SAFETY: only what checks it looks at it.
    make_array(unsafe { data.build_unchecked() })
}

fn packed(keys: Vec<i8>) -> ArrayRef {
    let (keys, values) = (Int8Array::from(keys), Arc::new(StringArray::from(vec!["2025-08-10", "2025-08-17"])));
    // SAFETY: as above.
    Arc::new(unsafe { DictionaryArray::<Int8Type>::new_unchecked(keys, values) })
}

fn slates(offsets: Vec<i32>) -> RecordBatch {
    let fields = [Field::new("item_id", DataType::Int64, true), Field::new("is_order", DataType::Boolean, true)];
    let elements: [ArrayRef; 2] =
        [Arc::new(Int64Array::from(vec![1, 2])), Arc::new(BooleanArray::from(vec![true, false]))];
    let elements = StructArray::new(fields.into_iter().collect(), elements.to_vec(), None);
    let field = Arc::new(Field::new("element", elements.data_type().clone(), true));
    // SAFETY: as above.
    let offsets = unsafe { OffsetBuffer::new_unchecked(ScalarBuffer::from(offsets)) };
    let data = ArrayData::builder(DataType::List(field)).len(2).add_buffer(offsets.into_inner().into_inner());
    // SAFETY: as above.
    let lists = make_array(unsafe { data.add_child_data(elements.to_data()).build_unchecked() });
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let days: ArrayRef = Arc::new(StringArray::from(vec!["2025-08-16"; 2]));
    let _: &ListArray = lists.as_list();
    RecordBatch::try_from_iter([("dt", days), ("customer_id", ids), ("impressions", lists)]).unwrap()
}

/// Text that is no UTF-8, offsets and keys that lead out of their arrays: each is an error that names the column, and none is
/// looked at further, where it would show memory that is not the text's, or end the process.
#[test]
fn arrays_that_break_the_rules_are_refused() {
    let good = [0, 10, 20];
    let days = b"2025-08-102025-08-11";
    let cases: Vec<(&str, &str, RecordBatch)> = vec![
        ("dt", "UTF", with_column("dt", text(&good, b"2025-08-10\xff\xfe25-08-11"))),
        ("click_time", "UTF", with_column("click_time", text(&[0, 8, 10], b"10. M\xff\xfe\xfe\xc3\x28"))),
        ("dt", "ffset", with_column("dt", text(&[0, 10, 4_000_000], days))),
        ("dt", "ffset", with_column("dt", text(&[0, 15, 10], days))),
        ("dt", "ffset", with_column("dt", text(&[-10, 0, 10], days))),
        ("dt", "-1", with_column("dt", packed(vec![0, -1]))),
        ("dt", "99", with_column("dt", packed(vec![99, 0]))),
    ];
    for (column, said, batch) in cases {
        let error = read(&stream(clicks(), batch)).unwrap_err().to_string();
        let start = format!("clicks: the source failed: column `{column}` is not valid Arrow: ");
        assert!(error.starts_with(&start) && error.contains(said), "{error}");
        assert!(!error.contains('\0'), "{error}");
    }
    for offsets in [vec![0, 1, 900], vec![0, 2, 1], vec![-1, 0, 1]] {
        let error = read(&stream(impressions(), slates(offsets))).unwrap_err().to_string();
        assert!(
            error.starts_with("impressions: the source failed: column `impressions` is not valid Arrow: "),
            "{error}"
        );
    }
    // Right ones are taken, and columns that nobody asks for are not looked at.
    assert_eq!(rows(&stream(clicks(), with_column("dt", text(&good, days)))).len(), 2);
    assert_eq!(rows(&stream(impressions(), slates(vec![0, 1, 2]))).len(), 2);
    assert_eq!(
        rows(&stream(
            clicks(),
            with_column("unused", text(&good, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xffxxxxxxxxxx"))
        ))
        .len(),
        2
    );
}

/// A stream of no batches is a table of no rows only if it has the table's columns.
#[test]
fn a_stream_without_batches_must_have_the_columns() {
    let empty = |fields: Vec<Field>| {
        let none: [Result<RecordBatch, ArrowError>; 0] = [];
        Batches::foreign(clicks(), RecordBatchIterator::new(none, Arc::new(Schema::new(fields))))
    };
    let error = read(&empty(vec![Field::new("x", DataType::Int32, true)])).unwrap_err().to_string();
    assert_eq!(error, "clicks: no column `customer_id` in the source; its columns: x");
    let fields = click_batch(1).schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    assert!(read(&empty(fields)).unwrap().is_empty());
}

/// What panics in a producer, or over what it hands out, is an error of the source.
#[test]
fn a_stream_that_panics_is_an_error() {
    let batches = std::iter::once_with(|| -> Result<RecordBatch, ArrowError> {
        let array = Int32Array::from(vec![1]);
        let data = array.to_data();
        panic!("no such buffer: {}", data.len())
    });
    let schema = click_batch(1).schema();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let error = read(&Batches::foreign(clicks(), RecordBatchIterator::new(batches, schema))).unwrap_err().to_string();
    std::panic::set_hook(hook);
    assert_eq!(error, "clicks: the source failed: Invalid argument error: damaged: no such buffer: 1");
}
