//! Times: any unit and zone, and RFC 3339 with what common engines write beside it.

use shardback::event::ActionKey;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Int64Array, LargeStringArray, StringArray, StringViewArray, TimestampSecondArray,
    new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int16Type, TimeUnit};
use proptest::prelude::{Strategy, prop_assert_eq, prop_oneof, proptest};
use shardback::error::Reason;
use shardback::event::{Day, MICROS_PER_DAY, NULL_TIME};
use shardback::unify::{format_time, parse_time};

use super::{Clicks, message};

const ZONES: [Option<&str>; 5] = [None, Some("UTC"), Some("+00:00"), Some("+05:30"), Some("Europe/Berlin")];

/// A timestamp column of counts of a unit.
fn timestamps(counts: &[Option<i64>], unit: TimeUnit, zone: Option<&str>) -> ArrayRef {
    cast(&Int64Array::from(counts.to_vec()), &DataType::Timestamp(unit, zone.map(Into::into))).unwrap()
}

/// Reads a column of times: those that are accepted, and how the others are recorded.
fn times(array: ArrayRef) -> (Vec<i64>, Vec<String>) {
    let clicks = Clicks::<i64>::read(&[("click_time", array)]).unwrap();
    assert!(clicks.reasons().iter().all(|&reason| reason == Reason::UnparsableTime));
    let value = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["value"], record["row"]["click_time"]);
        record["value"].as_str().unwrap().to_owned()
    };
    let times = clicks.actions.iter().map(|action| action.key().time()).collect();
    (times, clicks.rejects.iter().map(|reject| value(&reject.line)).collect())
}

/// A zone says how a time is shown, not which it is; nanoseconds are cut downwards, also before 1970.
#[test]
fn every_unit_and_zone_is_microseconds() {
    for zone in ZONES {
        for (unit, micros) in
            [(TimeUnit::Second, 1_000_000), (TimeUnit::Millisecond, 1_000), (TimeUnit::Microsecond, 1)]
        {
            let counts = [Some(0), None, Some(-1), Some(1_754_827_200)];
            let expected = [0, NULL_TIME, -micros, 1_754_827_200 * micros];
            let array = timestamps(&counts, unit, zone);
            assert_eq!(times(array.clone()), (expected.to_vec(), vec![]), "{unit} {zone:?}");
            assert_eq!(times(array.slice(2, 2)), (expected[2..].to_vec(), vec![]), "{unit} {zone:?}, sliced");
        }
        let counts = [-1, -999, -1000, -1001, 999, 1000, 1_999, i64::MIN, i64::MAX].map(Some);
        let expected = [-1, -1, -1, -2, 0, 1, 1, -9_223_372_036_854_776, 9_223_372_036_854_775];
        assert_eq!(times(timestamps(&counts, TimeUnit::Nanosecond, zone)), (expected.to_vec(), vec![]), "{zone:?}");
    }
}

/// Times that microseconds cannot hold are no times, nor is the one that stands for null.
#[test]
fn times_beyond_64_bits_of_microseconds_are_rejected() {
    let (most, least) = (i64::MAX / 1_000_000, i64::MIN / 1_000_000);
    let counts = [Some(most), Some(most + 1), Some(least), Some(least - 1), None, Some(i64::MIN)];
    assert_eq!(
        times(timestamps(&counts, TimeUnit::Second, None)),
        (
            vec![most * 1_000_000, least * 1_000_000, NULL_TIME],
            ["9223372036855 s", "-9223372036855 s", "-9223372036854775808 s"].map(str::to_owned).to_vec()
        )
    );
    let counts = [Some(i64::MAX), Some(5)];
    assert_eq!(
        times(timestamps(&counts, TimeUnit::Millisecond, Some("UTC"))),
        (vec![5_000], vec!["9223372036854775807 ms".to_owned()])
    );
    let counts = [Some(NULL_TIME), Some(NULL_TIME + 1), None];
    assert_eq!(
        times(timestamps(&counts, TimeUnit::Microsecond, None)),
        (vec![NULL_TIME + 1, NULL_TIME], vec!["-290308-12-21T19:59:05.224192Z".to_owned()])
    );
}

/// Texts of every layout, packed timestamps, and a column without a type.
#[test]
fn texts_and_packed_columns_are_times() {
    let texts = [Some("2025-08-10T12:00:00+02:00"), None, Some("noon"), Some("1969-12-31 23:59:59.9999999")];
    let noon = 1_754_820_000_000_000;
    let expected = (vec![noon, NULL_TIME, -1], vec!["noon".to_owned()]);
    let dictionary: DictionaryArray<Int16Type> = texts.into_iter().collect();
    let arrays: [ArrayRef; 4] = [
        Arc::new(StringArray::from(texts.to_vec())),
        Arc::new(LargeStringArray::from(texts.to_vec())),
        Arc::new(StringViewArray::from(texts.to_vec())),
        Arc::new(dictionary),
    ];
    for array in arrays {
        assert_eq!(times(array.clone()), expected, "{}", array.data_type());
    }
    let packed = DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::Timestamp(TimeUnit::Second, None)));
    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(1), None, Some(1)]));
    assert_eq!(times(cast(&seconds, &packed).unwrap()), (vec![1_000_000, NULL_TIME, 1_000_000], vec![]));
    assert_eq!(times(new_null_array(&DataType::Null, 2)), (vec![NULL_TIME; 2], vec![]));
}

/// A number without a unit, or a date, is no time.
#[test]
fn other_types_are_no_times() {
    for kind in [DataType::Int64, DataType::Float64, DataType::Date32, DataType::Time64(TimeUnit::Microsecond)] {
        let error = message(Clicks::<i64>::read(&[("click_time", new_null_array(&kind, 1))]));
        assert_eq!(
            error,
            format!(
                "clicks: column `click_time` of the source is {kind}, expected a timestamp, or text as in RFC 3339"
            )
        );
    }
}

/// The texts that are times, each with its UTC form.
#[test]
fn texts_that_are_times() {
    for (text, expected) in [
        ("2025-08-15T12:34:56Z", "2025-08-15T12:34:56.000000Z"),
        ("2025-08-15t12:34:56z", "2025-08-15T12:34:56.000000Z"),
        ("2025-08-15 12:34:56", "2025-08-15T12:34:56.000000Z"),
        ("2025-08-15T12:34:56", "2025-08-15T12:34:56.000000Z"),
        ("2025-08-15T12:34:56.5Z", "2025-08-15T12:34:56.500000Z"),
        ("2025-08-15T12:34:56.12Z", "2025-08-15T12:34:56.120000Z"),
        ("2025-08-15T12:34:56.123Z", "2025-08-15T12:34:56.123000Z"),
        ("2025-08-15T12:34:56.123456Z", "2025-08-15T12:34:56.123456Z"),
        ("2025-08-15T12:34:56.1234567Z", "2025-08-15T12:34:56.123456Z"),
        ("2025-08-15T12:34:56.999999999Z", "2025-08-15T12:34:56.999999Z"),
        ("2025-08-15T12:34:56.0000000000001", "2025-08-15T12:34:56.000000Z"),
        ("1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999Z"),
        ("2025-08-15T12:34:56+02:00", "2025-08-15T10:34:56.000000Z"),
        ("2025-08-15 12:34:56.25+0200", "2025-08-15T10:34:56.250000Z"),
        ("2025-08-15T12:34:56-05", "2025-08-15T17:34:56.000000Z"),
        ("2025-08-15T00:00:00+23:59", "2025-08-14T00:01:00.000000Z"),
        ("2025-08-15T12:34:56-00:00", "2025-08-15T12:34:56.000000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
        ("2017-01-01T00:59:60+01:00", "2017-01-01T00:00:00.000000Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ] {
        assert_eq!(parse_time(text.as_bytes()).map(format_time).as_deref(), Some(expected), "{text}");
    }
}

/// The texts that are none.
#[test]
fn texts_that_are_no_times() {
    for text in [
        "",
        " ",
        "null",
        "noon",
        "1754827200",
        "1754827200.5",
        "2025-08-15",
        "2025-08-15T",
        "2025-08-15Z",
        "2025-08-15T12",
        "2025-08-15T12:34",
        "2025-08-15T12:34Z",
        "2025-08-15T12:34:5",
        "2025-08-15T1:34:56Z",
        "2025-08-15T24:00:00Z",
        "2025-08-15T12:60:00Z",
        "2025-08-15T12:34:61Z",
        "2025-02-30T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2025-00-10T00:00:00Z",
        "2025-13-10T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "dt=2025-08-15T12:34:56Z",
        "2025-08-15T12:34:56.Z",
        "2025-08-15T12:34:56,5Z",
        "2025-08-15T12:34:56 Z",
        " 2025-08-15T12:34:56Z",
        "2025-08-15T12:34:56Z ",
        "2025-08-15T12:34:56ZZ",
        "2025-08-15T12:34:56+2",
        "2025-08-15T12:34:56+24:00",
        "2025-08-15T12:34:56+02:60",
        "2025-08-15T12:34:56+02:00:00",
        "2025-08-15T12:34:56 +02:00",
        "2025-08-15T12:34:56+",
        "2025-08-15T12:34:56UTC",
        "2025-08-15_12:34:56Z",
        "2025-08-15  12:34:56",
        "+2025-08-15T12:34:56Z",
        "-2025-08-15T12:34:56Z",
        "12025-08-15T12:34:56Z",
        "20250815T123456Z",
        "2025/08/15 12:34:56",
        "2025-8-5T12:34:56Z",
        "२०२५-08-15T12:34:56Z",
        "\u{0}",
    ] {
        assert_eq!(parse_time(text.as_bytes()), None, "{text:?}");
    }
}

/// Times within the calendar, of which texts can tell.
fn calendar_time() -> impl Strategy<Value = i64> {
    let (first, last) = (Day::parse(b"0001-01-01").unwrap().midnight(), Day::parse(b"9999-12-31").unwrap().midnight());
    prop_oneof![first..last + MICROS_PER_DAY, -10i64..10]
}

proptest! {
    #[test]
    fn a_formatted_time_is_read_back(time in calendar_time()) {
        prop_assert_eq!(parse_time(format_time(time).as_bytes()), Some(time));
    }

    /// The offset and the digits of a fraction are worked out as anyone would.
    #[test]
    fn offsets_and_fractions_are_arithmetic(time in calendar_time(), minutes in -1439i64..1440, digits in "[0-9]{1,12}") {
        let second = time.div_euclid(1_000_000) * 1_000_000;
        let utc = format_time(second);
        let (sign, ahead) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
        let text = format!("{}.{digits}{sign}{:02}:{:02}", &utc[..19], ahead / 60, ahead % 60);
        let micros: i64 = format!("{digits:0<6}")[..6].parse().unwrap();
        prop_assert_eq!(parse_time(text.as_bytes()), Some(second + micros - minutes * 60_000_000));
    }
}
