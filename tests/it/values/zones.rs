//! Days of instants: those of the zone that the column says or that is asked for, and none where nobody says one.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use shardback::config::{Options, Plan};
use shardback::event::{ActionKey, Day, MICROS_PER_DAY};
use shardback::unify::parse_time;
use shardback::zone::Zone;

use super::{Clicks, LAST};

/// A column of instants.
fn instants(unit: TimeUnit, zone: Option<&str>, texts: &[&str]) -> ArrayRef {
    let per_micro = |micros: i64| match unit {
        TimeUnit::Second => micros / 1_000_000,
        TimeUnit::Millisecond => micros / 1_000,
        TimeUnit::Microsecond => micros,
        TimeUnit::Nanosecond => micros * 1_000,
    };
    let counts = Int64Array::from_iter_values(texts.iter().map(|text| per_micro(parse_time(text.as_bytes()).unwrap())));
    cast(&counts, &DataType::Timestamp(unit, zone.map(Into::into))).unwrap()
}

fn days(day_zone: Option<&str>, array: ArrayRef) -> Result<Vec<String>, String> {
    let clicks = Clicks::<i64>::read_in(day_zone, &[("dt", array)]).map_err(|error| error.to_string())?;
    assert!(clicks.rejects.is_empty());
    Ok(clicks.actions.iter().map(|action| action.key().day().to_string()).collect())
}

/// Midnights and other instants in Berlin, on both sides of a change of the clocks, and the days that people there call them.
const BERLIN: [(&str, &str); 6] = [
    ("2025-08-14T22:00:00Z", "2025-08-15"),
    ("2025-08-15T21:59:59Z", "2025-08-15"),
    ("2025-01-14T23:00:00Z", "2025-01-15"),
    ("2025-10-25T22:00:00Z", "2025-10-26"),
    ("2025-10-26T22:59:59Z", "2025-10-26"),
    ("2025-10-26T23:00:00Z", "2025-10-27"),
];

/// pandas, Polars and Spark write local midnights with their zone: the day is the local one, in every unit.
#[test]
fn the_day_of_an_instant_is_that_of_the_columns_zone() {
    let (texts, expected): (Vec<&str>, Vec<String>) = BERLIN.iter().map(|&(text, day)| (text, day.to_owned())).unzip();
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        assert_eq!(days(None, instants(unit, Some("Europe/Berlin"), &texts)).unwrap(), expected);
    }
    let pacific = ["2025-08-15T00:00:00Z", "2025-08-15T08:00:00Z"];
    let expected = ["2025-08-14", "2025-08-15"];
    assert_eq!(days(None, instants(TimeUnit::Microsecond, Some("-08:00"), &pacific)).unwrap(), expected);
}

/// A column that says no zone is one of days only where all its instants are midnights of UTC; of the first that is not the
/// row is named, also where bad rows are to be left out: all the others' days are in doubt as well.
#[test]
fn instants_of_no_zone_are_refused() {
    let midnights = ["2025-08-15T00:00:00Z", "1969-12-31T00:00:00Z"];
    let array = instants(TimeUnit::Nanosecond, None, &midnights);
    assert_eq!(days(None, array).unwrap(), ["2025-08-15", "1969-12-31"]);
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        let array = instants(unit, None, &["2025-08-15T00:00:00Z", "2025-08-14T22:00:00Z", "2025-08-14T23:00:00Z"]);
        assert_eq!(
            days(None, array).unwrap_err(),
            "clicks: the source, row 2, column `dt`: the day is an instant, 2025-08-14T22:00:00.000000Z, and the column says no \
             time zone; name the zone whose days they are with `day_zone`, as Europe/Berlin or UTC, or write the column as \
             dates"
        );
    }
}

/// A zone that is asked for counts for instants with a zone and without one, and not for dates and texts.
#[test]
fn a_zone_that_is_asked_for_counts() {
    let (texts, expected): (Vec<&str>, Vec<String>) = BERLIN.iter().map(|&(text, day)| (text, day.to_owned())).unzip();
    for own in [None, Some("UTC"), Some("America/New_York"), Some("no/zone")] {
        let array = instants(TimeUnit::Microsecond, own, &texts);
        assert_eq!(days(Some("Europe/Berlin"), array).unwrap(), expected, "{own:?}");
    }
    let utc: Vec<String> = texts.iter().map(|text| text[..10].to_owned()).collect();
    assert_eq!(days(Some("UTC"), instants(TimeUnit::Microsecond, None, &texts)).unwrap(), utc);
    let dates: ArrayRef = Arc::new(arrow::array::Date32Array::from(vec![20_315]));
    assert_eq!(days(Some("America/New_York"), dates).unwrap(), ["2025-08-15"]);
}

/// A midnight that stands for one day by the column and for another by the zone that is asked for may be a date that was
/// written as a time: taking it for an instant would move it by a day.
#[test]
fn a_midnight_of_two_days_is_refused() {
    let array = instants(TimeUnit::Microsecond, None, &["2025-08-15T04:00:00Z", "2025-08-15T00:00:00Z"]);
    assert_eq!(
        days(Some("America/New_York"), array).unwrap_err(),
        "clicks: the source, row 2, column `dt`: the instant 2025-08-15T00:00:00.000000Z is a midnight in UTC, and on another \
         day in America/New_York: which day it means is not known; write the column as dates"
    );
    let berlin = instants(TimeUnit::Microsecond, Some("Europe/Berlin"), &["2025-08-14T22:00:00Z"]);
    assert!(
        days(Some("UTC"), berlin).unwrap_err().contains("is a midnight in Europe/Berlin, and on another day in UTC")
    );
    // East of the column's zone both are one day.
    let utc = instants(TimeUnit::Microsecond, None, &["2025-08-15T00:00:00Z"]);
    assert_eq!(days(Some("Asia/Tokyo"), utc).unwrap(), ["2025-08-15"]);
}

#[test]
fn unknown_zones_are_named() {
    let array = instants(TimeUnit::Microsecond, Some("Mars/Olympus"), &["2025-08-15T00:00:00Z"]);
    assert_eq!(
        days(None, array).unwrap_err(),
        "clicks: the source, column `dt`: its days are instants in the time zone `Mars/Olympus`, which is not known; name the \
         zone whose days they are with `day_zone`, as Europe/Berlin or UTC, or write the column as dates"
    );
    let options = Options { day_zone: Some("Berlin".to_owned()), ..Options::new("", LAST, LAST) };
    assert_eq!(
        Plan::new(options).unwrap_err().to_string(),
        "day_zone: `Berlin` is not a time zone; name one as Europe/Berlin or UTC"
    );
}

/// The days that are found from the last instant's are those that are found afresh, across all changes of the clocks.
#[test]
fn neighbouring_instants_do_not_change_a_day() {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 16) as i64
    };
    for name in ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata", "+05:45"] {
        let zone = Zone::new(name).unwrap();
        let mut days = zone.days();
        let mut at = parse_time(b"1900-01-01T00:00:00Z").unwrap();
        for _ in 0..20_000 {
            at += random() % (MICROS_PER_DAY * 5);
            for micros in [at, at + random() % 1_000_000, at - random() % (MICROS_PER_DAY * 200)] {
                assert_eq!(days.day(micros), zone.days().day(micros), "{name} {micros}");
            }
        }
    }
    // Samoa had no 30th of December 2011: at the midnight that ends the 29th the 31st begins.
    let samoa = Zone::new("Pacific/Apia").unwrap();
    let day = |text: &str| samoa.days().day(parse_time(text.as_bytes()).unwrap()).unwrap().to_string();
    assert_eq!(day("2011-12-30T09:59:59.999999Z"), "2011-12-29");
    assert_eq!(day("2011-12-30T10:00:00Z"), "2011-12-31");
    // Beyond the database there are days still, and beyond 64 bits none.
    let berlin = Zone::new("europe/berlin").unwrap();
    assert_eq!(berlin.name(), "Europe/Berlin");
    assert_eq!(berlin.days().day(LAST.midnight()), Some(LAST));
    assert_eq!(berlin.days().day(i64::MIN).map(|day| day < Day(0)), Some(true));
    assert_eq!(berlin.days().day(i64::MAX), None);
}
