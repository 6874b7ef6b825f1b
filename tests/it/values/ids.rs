//! Ids: any width, signed or not, plain or packed.

use shardback::event::ActionKey;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Decimal128Array, Decimal256Array, DictionaryArray, Float64Array, Int32Array, Int64Array, RunArray,
    StringArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, TimeUnit, i256};
use shardback::error::Reason;

use super::{Clicks, message};

/// Customers and items of every integer type, at both ends of what it holds, and null.
#[test]
fn every_integer_width_is_an_id() {
    let types = [
        (DataType::Int8, i128::from(i8::MIN), i128::from(i8::MAX)),
        (DataType::Int16, i16::MIN.into(), i16::MAX.into()),
        (DataType::Int32, i32::MIN.into(), i32::MAX.into()),
        (DataType::Int64, i64::MIN.into(), i64::MAX.into()),
        (DataType::UInt8, 0, u8::MAX.into()),
        (DataType::UInt16, 0, u16::MAX.into()),
        (DataType::UInt32, 0, u32::MAX.into()),
        (DataType::UInt64, 0, u64::MAX.into()),
        (DataType::Decimal128(20, 0), -99_999_999_999_999_999_999, 99_999_999_999_999_999_999),
        (DataType::Decimal256(40, 0), -99_999_999_999_999_999_999, 99_999_999_999_999_999_999),
    ];
    for (kind, least, most) in types {
        let values = [Some(0), Some(1), Some(least), None, Some(most)];
        let wide = Decimal128Array::from(values.to_vec());
        let array = cast(&wide.with_precision_and_scale(38, 0).unwrap(), &kind).unwrap();
        assert_eq!(array.null_count(), 1, "{kind} holds its own ends");
        for array in [array.clone(), dictionary(&array), array.slice(1, 4)] {
            let values = &values[values.len() - array.len()..];
            let fits = |value: &i128| i64::try_from(*value).ok();
            let expected: Vec<i64> = values.iter().flatten().filter_map(fits).collect();

            let as_item = Clicks::<i64>::read(&[("item_id", array.clone())]).unwrap();
            assert_eq!(
                as_item.actions.iter().map(|action| action.key().item()).collect::<Vec<_>>(),
                expected,
                "{kind}"
            );
            let reasons = |null, range| -> Vec<Reason> {
                let bad = values.iter().filter(|value| value.as_ref().and_then(fits).is_none());
                bad.map(|value| if value.is_none() { null } else { range }).collect()
            };
            assert_eq!(as_item.reasons(), reasons(Reason::NullItem, Reason::ItemOutOfRange), "{kind}");

            let as_customer = Clicks::<i64>::read(&[("customer_id", array.clone())]).unwrap();
            let mut picked = Vec::new();
            super::pick(&expected, &mut picked);
            let places: Vec<_> = picked.into_iter().map(|(_, place)| place).collect();
            assert_eq!(
                as_customer.actions.iter().map(|action| action.customer()).collect::<Vec<_>>(),
                places,
                "{kind}"
            );
            assert_eq!(as_customer.reasons(), reasons(Reason::NullCustomer, Reason::CustomerOutOfRange), "{kind}");
        }
    }
}

fn dictionary(array: &ArrayRef) -> ArrayRef {
    let keys = Int32Array::from_iter_values(0..i32::try_from(array.len()).unwrap());
    Arc::new(DictionaryArray::<Int32Type>::new(keys, array.clone()))
}

/// The default width of items is 32 bits; what does not fit is kept with its digits.
#[test]
fn items_beyond_the_output_dtype_are_rejected_with_their_digits() {
    let ids = Int64Array::from(vec![i64::from(i32::MIN), i64::from(i32::MIN) - 1, i64::from(i32::MAX), 1 << 31]);
    let narrow = Clicks::<i32>::read(&[("item_id", Arc::new(ids.clone()))]).unwrap();
    assert_eq!(narrow.actions.iter().map(|action| action.key().item()).collect::<Vec<_>>(), [i32::MIN, i32::MAX]);
    assert_eq!(narrow.reasons(), [Reason::ItemOutOfRange; 2]);
    assert!(narrow.rejects[0].line.contains(r#""value":"-2147483649","row""#), "{}", narrow.rejects[0].line);
    assert!(narrow.rejects[1].line.contains(r#""item_id":2147483648"#), "{}", narrow.rejects[1].line);
    assert_eq!(Clicks::<i64>::read(&[("item_id", Arc::new(ids))]).unwrap().actions.len(), 4);
}

/// Runs of equal ids, and a column that has no type as it holds nothing.
#[test]
fn runs_and_columns_of_nulls_are_ids_too() {
    let ends = Int32Array::from(vec![2, 3, 5]);
    let runs = RunArray::try_new(&ends, &Int64Array::from(vec![Some(7), None, Some(9)])).unwrap();
    let clicks = Clicks::<i64>::read(&[("item_id", Arc::new(runs))]).unwrap();
    assert_eq!(clicks.actions.iter().map(|action| action.key().item()).collect::<Vec<_>>(), [7, 7, 9, 9]);
    assert_eq!(clicks.reasons(), [Reason::NullItem]);
    let nulls = Clicks::<i64>::read(&[("customer_id", new_null_array(&DataType::Null, 2))]).unwrap();
    assert_eq!((nulls.actions.len(), nulls.reasons()), (0, vec![Reason::NullCustomer; 2]));
}

/// Ids are ids in whatever type they come: digits as text and bytes, whole floats and decimals; what is no whole number is not, nor are
/// digits behind zeros, which would make one number of several names.
#[test]
fn numbers_are_ids_in_any_type() {
    let texts =
        [Some("1"), Some("-7"), Some("007"), Some("1.5"), None, Some("9223372036854775808"), Some("5.0"), Some("+5")];
    let text: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    let mut arrays = vec![];
    for kind in [
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Binary,
        DataType::LargeBinary,
        DataType::BinaryView,
    ] {
        arrays.push(cast(&text, &kind).unwrap());
    }
    for array in arrays {
        let clicks = Clicks::<i64>::read(&[("item_id", array.clone())]).unwrap();
        let items: Vec<i64> = clicks.actions.iter().map(|action| action.key().item()).collect();
        assert_eq!(items, [1, -7, 5], "{}", array.data_type());
        let (no, null, range) = (Reason::ItemNoInteger, Reason::NullItem, Reason::ItemOutOfRange);
        assert_eq!(clicks.reasons(), [no, no, null, range, no], "{}", array.data_type());
    }
    let floats = Float64Array::from(vec![Some(3.0), Some(-4.0), None, Some(2.5), Some(9_007_199_254_740_992.0)]);
    let floats: ArrayRef = Arc::new(floats);
    let decimals = Decimal128Array::from(vec![Some(300), Some(-400), None, Some(250), Some(251)]);
    let decimals: ArrayRef = Arc::new(decimals.with_precision_and_scale(20, 2).unwrap());
    for array in [floats, decimals] {
        let clicks = Clicks::<i64>::read(&[("item_id", array.clone())]).unwrap();
        let items: Vec<i64> = clicks.actions.iter().map(|action| action.key().item()).collect();
        assert_eq!(items, [3, -4], "{}", array.data_type());
        let (no, null) = (Reason::ItemNoInteger, Reason::NullItem);
        assert_eq!(clicks.reasons(), [null, no, no], "{}", array.data_type());
    }
}

/// Bools, days and lists are no ids, whatever they hold.
#[test]
fn other_types_are_no_ids() {
    for kind in [DataType::Boolean, DataType::Date32, DataType::Timestamp(TimeUnit::Second, None)] {
        let error = message(Clicks::<i64>::read(&[("customer_id", new_null_array(&kind, 1))]));
        assert_eq!(error, format!("clicks: column `customer_id` of the source is {kind}, expected an integer"));
    }
}

/// Decimals of 256 bits are the numbers that they are with as many digits as they have: of any scale, and beyond 128 bits.
#[test]
fn long_decimals_are_numbers() {
    let decimals = |scale: i8, digits: &[Option<&str>]| {
        let array: Decimal256Array =
            digits.iter().map(|digits| digits.map(|digits| i256::from_string(digits).unwrap())).collect();
        Arc::new(array.with_precision_and_scale(76, scale).unwrap()) as ArrayRef
    };
    let (no, null, range) = (Reason::ItemNoInteger, Reason::NullItem, Reason::ItemOutOfRange);
    let long = "9".repeat(60);
    for array in [
        decimals(0, &[Some("7"), None, Some("-3"), Some("9223372036854775808")]),
        decimals(0, &[Some("7"), None, Some("-3"), Some(&long)]),
        decimals(2, &[Some("700"), None, Some("-300"), Some("150")]),
        decimals(2, &[Some("700"), None, Some("-300"), Some(&format!("-{long}00")), Some("150"), Some(&long)]),
        decimals(
            40,
            &[
                Some(&format!("7{}", "0".repeat(40))),
                None,
                Some(&format!("-3{}", "0".repeat(40))),
                Some("1"),
                Some("-1"),
            ],
        ),
    ] {
        let clicks = Clicks::<i64>::read(&[("item_id", array.clone())]).unwrap();
        let items: Vec<i64> = clicks.actions.iter().map(|action| action.key().item()).collect();
        assert_eq!(items, [7, -3], "{array:?}");
        let reasons = clicks.reasons();
        assert_eq!(reasons[0], null, "{array:?}");
        assert!(reasons.len() >= 2 && reasons[1..].iter().all(|reason| [no, range].contains(reason)), "{reasons:?}");
    }
    let last = |array| Clicks::<i64>::read(&[("item_id", array)]).unwrap().reasons().pop().unwrap();
    assert_eq!(last(decimals(0, &[Some(&long)])), range);
    assert_eq!(last(decimals(2, &[Some(&format!("-{long}00"))])), range);
    assert_eq!(last(decimals(2, &[Some(&long)])), no);
    assert_eq!(last(decimals(40, &[Some("1")])), no);
    // The value that is kept of a row that is left out has all of its digits.
    let rejects = Clicks::<i64>::read(&[("item_id", decimals(0, &[Some(&long)]))]).unwrap().rejects;
    assert!(rejects[0].line.contains(&format!(r#""value":"{long}""#)), "{}", rejects[0].line);
}
