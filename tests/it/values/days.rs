//! Days: texts with and without their prefix, dates of both widths, and timestamps.

use shardback::event::ActionKey;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Date64Array, DictionaryArray, Int8Array, Int32Array, Int64Array, LargeStringArray,
    RunArray, StringArray, StringViewArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int8Type, TimeUnit};
use shardback::error::Reason;
use shardback::event::{Day, MICROS_PER_DAY};

use super::{Clicks, message};

const MILLIS_PER_DAY: i64 = 86_400_000;

/// Reads a column of days: those that are accepted, and of the others the reason and how they are recorded.
fn days(array: ArrayRef) -> (Vec<String>, Vec<(Reason, Option<String>)>) {
    let clicks = Clicks::<i64>::read(&[("dt", array)]).unwrap();
    let value = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["value"], record["row"]["dt"]);
        record["value"].as_str().map(str::to_owned)
    };
    assert!(clicks.rejects.iter().all(|reject| reject.day.is_none()));
    let days = clicks.actions.iter().map(|action| action.key().day().to_string()).collect();
    (days, clicks.rejects.iter().map(|reject| (reject.reason, value(&reject.line))).collect())
}

fn bad(value: &str) -> (Reason, Option<String>) {
    (Reason::UnparsableDay, Some(value.to_owned()))
}

const NULL: (Reason, Option<String>) = (Reason::NullDay, None);

/// Every spelling in every layout of text, packed or not.
#[test]
fn texts_are_days_with_and_without_their_prefix() {
    let texts = [
        Some("2025-08-15"),
        Some("dt=2025-08-16"),
        Some("dt=2025-08-16"),
        None,
        Some("2025-02-30"),
        Some("2025-02-30"),
        Some(""),
        Some("2024-02-29"),
        Some("0001-01-01"),
        Some("2025-8-1"),
        Some("2025-08-15T00:00:00Z"),
        Some("dt=dt=2025-08-15"),
        Some("DT=2025-08-15"),
        Some(" 2025-08-15"),
        Some("0000-12-31"),
        Some("20250815"),
        Some("dt=20250816"),
        Some("2025-08-15 00:00:00.000"),
        Some("2025-08-15 00:00:01"),
        Some("2025-08-15T00:00:00+02:00"),
        Some("20250230"),
        Some("2025081"),
        Some("20250817 00:00:00"),
        Some("dt=20250817T00:00:00Z"),
        Some("20250817 00:00:01"),
    ];
    let good = ["2025-08-15", "2025-08-16", "2025-08-16", "2024-02-29", "0001-01-01"];
    // As numbers, and with a midnight behind them.
    let good =
        good.into_iter().chain(["2025-08-15", "2025-08-15", "2025-08-16", "2025-08-15", "2025-08-17", "2025-08-17"]);
    let good: Vec<String> = good.map(str::to_owned).collect();
    let wrong = [
        "2025-02-30",
        "2025-02-30",
        "",
        "2025-8-1",
        "dt=dt=2025-08-15",
        "DT=2025-08-15",
        " 2025-08-15",
        "0000-12-31",
        "2025-08-15 00:00:01",
        "2025-08-15T00:00:00+02:00",
        "20250230",
        "2025081",
        "20250817 00:00:01",
    ];
    let rejected: Vec<_> = [NULL].into_iter().chain(wrong.map(bad)).collect();
    let dictionary: DictionaryArray<Int8Type> = texts.into_iter().collect();
    let plain: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    let arrays: [ArrayRef; 5] = [
        plain.clone(),
        Arc::new(LargeStringArray::from(texts.to_vec())),
        Arc::new(StringViewArray::from(texts.to_vec())),
        Arc::new(dictionary),
        cast(&plain, &DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::LargeUtf8))).unwrap(),
    ];
    for array in arrays {
        assert_eq!(days(array.clone()), (good.clone(), rejected.clone()), "{}", array.data_type());
        assert_eq!(days(array.slice(1, 3)), (good[1..3].to_vec(), vec![NULL]), "{}, sliced", array.data_type());
    }
}

/// A null among the distinct values of a dictionary is a null like any other.
#[test]
fn a_dictionary_may_hold_a_null() {
    let values = StringArray::from(vec![Some("2025-08-15"), None, Some("never")]);
    let keys = Int8Array::from(vec![Some(1), Some(0), None, Some(2)]);
    let packed: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::new(keys, Arc::new(values)));
    assert_eq!(days(packed), (vec!["2025-08-15".to_owned()], vec![NULL, NULL, bad("never")]));
}

/// A key that leads out of its dictionary stands for no day, and least of all for the first one.
#[test]
fn a_key_that_leads_nowhere_is_no_day() {
    let values = Arc::new(StringArray::from(vec!["2025-08-15"]));
    // SAFETY: the keys are checked where they are used, which is what is tested.
    let packed = unsafe { DictionaryArray::<Int8Type>::new_unchecked(Int8Array::from(vec![-1, 0, 1]), values) };
    let clicks = Clicks::<i64>::read(&[("dt", Arc::new(packed))]).unwrap();
    assert_eq!(clicks.reasons(), [Reason::UnparsableDay, Reason::UnparsableDay]);
    assert_eq!(clicks.actions.len(), 1);
}

/// Dates, and times of which the day is taken in UTC; days that no text can name are none.
#[test]
fn dates_and_timestamps_are_days() {
    let (first, last) = (Day::parse(b"0001-01-01").unwrap().0, Day::parse(b"9999-12-31").unwrap().0);
    let counts = [Some(0), Some(-1), None, Some(20_315), Some(first), Some(last), Some(first - 1), Some(last + 1)];
    let good = ["1970-01-01", "1969-12-31", "2025-08-15", "0001-01-01"].map(str::to_owned).to_vec();
    // The last is a day, too, but none comes after it that could see it.
    let expected = (good, vec![NULL, bad("0000-12-31"), bad("10000-01-01")]);
    assert_eq!(days(Arc::new(Date32Array::from(counts.to_vec()))), expected);
    // Some writers keep a time of day in it.
    let millis = counts.map(|count| count.map(|day| i64::from(day) * MILLIS_PER_DAY + 3_600_000));
    assert_eq!(days(Arc::new(Date64Array::from(millis.to_vec()))), expected);
    let packed = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Date32));
    assert_eq!(days(cast(&Date32Array::from(counts.to_vec()), &packed).unwrap()), expected);

    assert_eq!(days(Arc::new(Date32Array::from(vec![i32::MAX]))), (vec![], vec![bad("5881580-07-11")]));
    let beyond = Arc::new(Date64Array::from(vec![i64::MAX]));
    assert_eq!(days(beyond), (vec![], vec![bad("day 106751991167")]));
}

/// Midnights of UTC are days, and so is every instant in a zone that the column says; times beyond all days are none.
#[test]
fn timestamps_are_days() {
    for zone in [None, Some("UTC"), Some("+00:00")] {
        for (unit, per_day) in [
            (TimeUnit::Second, 86_400),
            (TimeUnit::Millisecond, MILLIS_PER_DAY),
            (TimeUnit::Microsecond, MICROS_PER_DAY),
            (TimeUnit::Nanosecond, 1_000 * MICROS_PER_DAY),
        ] {
            let late = if zone.is_some() { per_day - 1 } else { 0 };
            let counts = [Some(0), Some(late), Some(late - per_day), None, Some(20_315 * per_day)];
            let kind = DataType::Timestamp(unit, zone.map(Into::into));
            let array = cast(&Int64Array::from(counts.to_vec()), &kind).unwrap();
            let expected = ["1970-01-01", "1970-01-01", "1969-12-31", "2025-08-15"].map(str::to_owned).to_vec();
            assert_eq!(days(array), (expected, vec![NULL]), "{kind}");
        }
    }
    let seconds = Int64Array::from(vec![253_402_300_800, i64::MAX]);
    let beyond = cast(&seconds, &DataType::Timestamp(TimeUnit::Second, None)).unwrap();
    assert_eq!(days(beyond), (vec![], vec![bad("10000-01-01T00:00:00.000000Z"), bad("9223372036854775807 s")]));
}

/// Runs of equal days, and a column without a type.
#[test]
fn runs_and_columns_of_nulls_are_days_too() {
    let runs = RunArray::try_new(&Int32Array::from(vec![2, 3]), &StringArray::from(vec!["2025-08-15", "x"])).unwrap();
    assert_eq!(days(Arc::new(runs)), (vec!["2025-08-15".to_owned(); 2], vec![bad("x")]));
    assert_eq!(days(new_null_array(&DataType::Null, 1)), (vec![], vec![NULL]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(20_250_815), None, Some(2_025_081)]));
    assert_eq!(days(numbers), (vec!["2025-08-15".to_owned()], vec![NULL, bad("2025081")]));
    let error = message(Clicks::<i64>::read(&[("dt", new_null_array(&DataType::Float64, 1))]));
    assert_eq!(
        error,
        "clicks: column `dt` of the source is Float64, expected text as `2025-08-15` or `dt=2025-08-15`, or a date"
    );
}

/// The calendar, day by day: months follow one another, and each day's text is read back as the day.
#[test]
fn every_day_of_the_calendar_is_written_and_read_back() {
    let mut day = Day::parse(b"0001-01-01").unwrap();
    for year in 1..=9999 {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (month, length) in (1..).zip([31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
            for of_month in 1..=length {
                assert_eq!(day.ymd(), (year, month, of_month));
                let text = day.to_string();
                assert_eq!(text, format!("{year:04}-{month:02}-{of_month:02}"));
                assert_eq!(Day::parse(text.as_bytes()), Some(day));
                assert!(day.in_calendar());
                day.0 += 1;
            }
            assert_eq!(Day::parse(format!("{year:04}-{month:02}-{:02}", length + 1).as_bytes()), None);
        }
    }
    assert!(!day.in_calendar() && !Day(Day::parse(b"0001-01-01").unwrap().0 - 1).in_calendar());
    assert_eq!(Day::parse(b"1970-01-01"), Some(Day(0)));
}
