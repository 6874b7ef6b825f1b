//! The reference against examples that are worked out by hand from the contract.

use serde_json::{Value, json};
use shardback::event::Day;
use shardback::schema::{Schema, from_json};

use super::{BadRow, Number, Request, Tables, bad_rows, day, files};

/// A description of one table of clicks beside the samples; `changes` are merged into it.
fn schema(changes: &Value) -> Schema {
    let mut description = json!({
        "version": 1,
        "types": {"click": 1, "order": 3},
        "samples": {"customer": "user", "item": "item", "day": "dt"},
        "actions": {"clicks": {"type": "click", "customer": "user", "item": "item", "day": "dt", "time": "at"}},
        "history": {"length": 9},
    });
    merge(&mut description, changes);
    from_json(&description).unwrap()
}

fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(into.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

fn rows(value: &Value) -> Vec<Value> {
    value.as_array().unwrap().clone()
}

fn tables(samples: &Value, clicks: &Value) -> Tables {
    Tables { samples: vec![rows(samples).into()], actions: vec![vec![rows(clicks).into()]] }
}

fn on(text: &str) -> Day {
    Day::parse(text.as_bytes()).unwrap()
}

fn requests(schema: &Schema, tables: &Tables, date: &str) -> Vec<Request> {
    day(schema, tables, on(date), false)
}

fn bad(schema: &Schema, tables: &Tables) -> Vec<BadRow> {
    bad_rows(schema, tables, false).into_iter().collect()
}

/// The items of the only request's history.
fn seen(schema: &Schema, tables: &Tables, date: &str) -> Vec<i64> {
    let requests = requests(schema, tables, date);
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests[0].history.iter().map(|seen| seen.item).collect()
}

/// The customers, items and labels of a day's samples.
fn shown(schema: &Schema, tables: &Tables, date: &str) -> Vec<(i64, i64, Vec<Number>, Vec<Number>)> {
    let samples = |request: Request| {
        let row = move |sample: super::Sample| (request.customer, sample.item, sample.labels, sample.kept);
        request.samples.into_iter().map(row)
    };
    requests(schema, tables, date).into_iter().flat_map(samples).collect()
}

#[test]
fn the_day_decides_what_is_seen_and_the_time_in_which_order() {
    let shown = json!([{"user": 7, "item": 1, "dt": "2024-10-04"}]);
    let clicks = json!([
        {"user": 7, "item": 10, "dt": "2024-10-03", "at": "2024-10-03T08:00:00Z"},
        {"user": 7, "item": 11, "dt": "2024-10-04", "at": "2024-10-03T09:00:00Z"}, // known on the day itself: hidden
        {"user": 7, "item": 12, "dt": "2024-10-03", "at": "2024-09-01 00:00:00"},  // late: known long after it happened
        {"user": 7, "item": 13, "dt": "2024-10-02", "at": "2024-10-05T00:00:00Z"}, // before its time: still the newest
        {"user": 7, "item": 14, "dt": "2024-10-02", "at": null},
        {"user": 7, "item": 15, "dt": "2024-10-01", "at": "2024-10-03T12:00:00Z"},
        {"user": 8, "item": 16, "dt": "2024-10-01", "at": "2024-10-03T12:00:00Z"},
        {"user": 7, "item": 10, "dt": "2024-10-03", "at": "2024-10-03T08:00:00Z"},
    ]);
    let tables = tables(&shown, &clicks);
    assert_eq!(seen(&schema(&json!({})), &tables, "2024-10-04"), [13, 15, 10, 10, 12, 14]);
    let looking_back = schema(&json!({"history": {"lookback": "2d"}}));
    assert_eq!(seen(&looking_back, &tables, "2024-10-04"), [13, 10, 10, 12, 14]);
    let short = schema(&json!({"history": {"length": 2}}));
    assert_eq!(seen(&short, &tables, "2024-10-04"), [13, 15]);
    assert!(bad(&short, &tables).is_empty());
}

#[test]
fn equal_times_are_in_an_order_that_means_nothing() {
    let shown = json!([{"user": 7, "item": 1, "dt": "2024-10-04"}]);
    let click = |item: i64| json!({"user": 7, "item": item, "dt": "2024-10-03", "at": "2024-10-03T23:00:00Z"});
    let clicks = Value::Array((1..=5).map(click).collect());
    // By hand in `equal_times.rs` too: the products of 1 to 5 with 2654435761, plus 7 and the time, modulo 2³².
    assert_eq!(seen(&schema(&json!({})), &tables(&shown, &clicks), "2024-10-04"), [1, 3, 5, 2, 4]);
    let nulls = json!([1, 2, 3, 4, 5].map(|item| json!({"user": 7, "item": item, "dt": "2024-10-03", "at": null})));
    assert_eq!(seen(&schema(&json!({})), &tables(&shown, &nulls), "2024-10-04"), [5, 2, 4, 1, 3]);
}

#[test]
fn what_still_ties_ends_in_the_type_the_day_and_the_features() {
    let schema = schema(&json!({"actions": {
        "clicks": {
            "type": {"column": "what", "values": {"click": "click", "order": "order"}},
            "features": {
                "price": {"column": "price", "dtype": "f32"},
                "left": {"column": "left", "dtype": "i32", "null": -1},
            },
        },
    }}));
    let click = |what: &str, dt: &str, price: f64, left: Value| {
        json!({
            "user": 7, "item": 5, "dt": dt, "at": "2024-10-01 10:00:00 UTC", "what": what, "price": price, "left": left,
        })
    };
    let clicks = json!([
        click("click", "2024-10-02", 2.0, json!(3)),
        click("click", "2024-10-03", 9.0, json!(3)),
        click("click", "2024-10-02", 0.5, json!(8)),
        click("order", "2024-10-01", 1.0, json!(1)),
        click("click", "2024-10-02", 0.5, json!(null)),
    ]);
    let tables = tables(&json!([{"user": 7, "item": 1, "dt": "2024-10-04"}]), &clicks);
    let found = requests(&schema, &tables, "2024-10-04").remove(0).history;
    let found: Vec<_> = found.into_iter().map(|seen| (seen.kind, seen.features)).collect();
    let features = |price: f32, left: i32| vec![Number::F32(price), Number::I32(left)];
    assert_eq!(
        found,
        [
            (3, features(1.0, 1)),
            (1, features(9.0, 3)),
            (1, features(0.5, -1)),
            (1, features(0.5, 8)),
            (1, features(2.0, 3))
        ]
    );
}

#[test]
fn a_cutoff_at_the_time_is_strict() {
    let schema = schema(&json!({
        "samples": {"time": "shown"},
        "actions": {"orders": {"type": "order", "customer": "user", "item": "item", "day": "dt"}},
        "history": {"cutoff": "time", "delay": "1s", "lookback": "1h"},
    }));
    let click = |item: i64, dt: &str, at: &str| json!({"user": 7, "item": item, "dt": dt, "at": at});
    let clicks = json!([
        click(10, "2024-10-04", "2024-10-04T09:59:58.999999Z"), // a microsecond before the delay ends
        click(11, "2024-10-04", "2024-10-04T09:59:59Z"),        // exactly then: hidden
        click(12, "2024-10-05", "2024-10-04T09:30:00Z"),        // known a day later: hidden
        click(13, "2024-10-03", "2024-10-04T09:00:00Z"),        // just in the hour
        click(14, "2024-10-04", "2024-10-04T08:59:59.999999Z"),
    ]);
    // An order has a day only: it stands at the end of it.
    let orders = json!([{"user": 7, "item": 20, "dt": "2024-10-04"}, {"user": 7, "item": 21, "dt": "2024-10-03"}]);
    let shown = json!([
        {"user": 7, "item": 1, "dt": "2024-10-04", "shown": "2024-10-04T10:00:00Z"},
        {"user": 7, "item": 2, "dt": "2024-10-04", "shown": "2024-10-04T00:00:00.999999Z"},
        {"user": 7, "item": 3, "dt": "2024-10-04", "shown": "2024-10-04T10:00:00Z"},
        {"user": 7, "item": 4, "dt": "2024-10-04", "shown": null},
    ]);
    let mut tables = tables(&shown, &clicks);
    tables.actions.push(vec![rows(&orders).into()]);
    let found = requests(&schema, &tables, "2024-10-04");
    let midnight = on("2024-10-04").midnight();
    let items = |request: &Request| request.samples.iter().map(|sample| sample.item).collect::<Vec<_>>();
    let history = |request: &Request| request.history.iter().map(|seen| seen.item).collect::<Vec<_>>();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].time, items(&found[0]), history(&found[0])), (Some(midnight + 999_999), vec![2], vec![]));
    let ten = midnight + 36_000_000_000;
    assert_eq!((found[1].time, items(&found[1]), history(&found[1])), (Some(ten), vec![1, 3], vec![10, 13]));
    assert_eq!(bad(&schema, &tables), [(0, 0, 3)]);
    // A microsecond more, and the order of the day before is there.
    tables.samples[0].rows[1]["shown"] = "2024-10-04T00:00:01Z".into();
    let later = requests(&schema, &tables, "2024-10-04");
    assert_eq!(history(&later[0]), [21]);
    assert_eq!(later[0].history[0].time, Some(midnight - 1));
}

#[test]
fn a_list_is_one_sample_for_each_element() {
    let schema = schema(&json!({
        "samples": {
            "item": "shown.item", "request": "list",
            "labels": {
                "clicked": "shown.clicked", "bought": {"in": "bought"}, "chosen": {"equals": "chosen"}, "yes": {"value": true},
            },
            "keep": {"place": "#", "price": {"column": "prices", "dtype": "f64"}},
        },
    }));
    let shown_rows = json!([
        {"user": 7, "dt": "2024-10-04", "list": "b", "bought": [4, 9], "chosen": "9", "prices": [1.5, 2.5],
         "shown": [{"item": 9, "clicked": true}, {"item": 4, "clicked": 0}]},
        {"user": 7, "dt": "2024-10-04", "list": 5, "bought": null, "chosen": "Rome, Italy", "prices": [3],
         "shown": [{"item": 9, "clicked": 1.0}]},
        {"user": 7, "dt": "2024-10-04", "list": 6, "bought": [], "chosen": null, "prices": null, "shown": null},
        {"user": 7, "dt": "2024-10-04", "list": 6, "bought": [], "chosen": null, "prices": [1], "shown": []},
        {"user": null, "dt": "2024-10-04", "list": 6, "bought": [], "chosen": null, "prices": [], "shown": []},
        {"user": 3, "dt": "2024-10-04", "list": 6, "bought": [], "chosen": null, "prices": [1, 2],
         "shown": [{"item": null, "clicked": 1}, {"item": 5, "clicked": 1}]},
    ]);
    let tables = tables(&shown_rows, &json!([]));
    let labels = |values: [bool; 4]| values.map(Number::Bool).to_vec();
    let kept = |place: i32, price: f64| vec![Number::I32(place), Number::F64(price)];
    // splitmix64 puts 3 before 7; the request 5 is before the hash of `b`.
    assert_eq!(
        shown(&schema, &tables, "2024-10-04"),
        [
            (3, 5, labels([true, false, false, true]), kept(1, 2.0)),
            (7, 9, labels([true, false, false, true]), kept(0, 3.0)),
            (7, 9, labels([true, true, true, true]), kept(0, 1.5)),
            (7, 4, labels([false, true, false, true]), kept(1, 2.5)),
        ]
    );
    // Lists of different lengths, no customer, no item.
    assert_eq!(bad(&schema, &tables), [(0, 0, 3), (0, 0, 4), (0, 0, 5)]);
}

#[test]
fn samples_without_a_position_are_in_the_order_of_their_values() {
    let schema = schema(&json!({
        "samples": {
            "labels": {"rating": {"column": "stars", "dtype": "f32"}, "good": {"column": "stars", "ge": 4}},
            "keep": {
                "device": {"column": "device", "dtype": "hash"},
                "age": {"column": "age", "dtype": "u8", "null": 0},
            },
        },
    }));
    let row = |item: i64, stars: &str, device: &str, age: Value| {
        json!({
            "user": 1, "item": item, "dt": "2024-10-04", "stars": stars, "device": device, "age": age,
        })
    };
    let shown_rows = json!([
        row(2, "4", "a", json!(30)),
        row(2, "-0.5", "abc", json!(30)),
        row(2, "-0.5", "a", json!(31)),
        row(2, "-0.5", "a", json!(null)),
        row(-1, "5", "a", json!("30")),
        row(1, "5", "a", json!(256)),
    ]);
    let tables = tables(&shown_rows, &json!([]));
    let values = |stars: f32, good: bool| vec![Number::F32(stars), Number::Bool(good)];
    // The hashes of `a` and `abc`, as `xxhsum -H3` prints them: e6c632b61e964e1f, which is negative, and 78af5f94892f3950.
    let (a, abc) = (-1_817_709_641_818_812_897, 8_696_274_497_037_089_104);
    let kept = |device: i64, age: u8| vec![Number::I64(device), Number::U8(age)];
    assert_eq!(
        shown(&schema, &tables, "2024-10-04"),
        [
            (1, -1, values(5.0, true), kept(a, 30)),
            (1, 2, values(-0.5, false), kept(a, 0)),
            (1, 2, values(-0.5, false), kept(a, 31)),
            (1, 2, values(-0.5, false), kept(abc, 30)),
            (1, 2, values(4.0, true), kept(a, 30)),
        ]
    );
    assert_eq!(bad(&schema, &tables), [(0, 0, 5)]);
}

#[test]
fn text_is_split_and_where_leaves_out() {
    let schema = schema(&json!({
        "samples": {
            "split": {"slate": {"by": " ", "at": "-", "fields": ["item", "clicked"]}},
            "where": {"kind": ["list", 2], "slate.clicked": 1},
            "item": "slate.item", "labels": {"clicked": "slate.clicked"}, "keep": {"place": "#"},
        },
        "actions": {"clicks": {
            "split": {"seen": {"by": "|"}}, "item": "seen",
            "type": {"column": "what", "values": {"1": "click", "buy": "order"}, "other": "ignore"},
        }},
        "ids": {"item": "hash"},
    }));
    let shown_rows = json!([
        {"user": 7, "dt": "2024-10-04", "kind": "list", "slate": "x-0 a-b-1 abc-1"},
        {"user": 7, "dt": "2024-10-04", "kind": 2, "slate": "abc"},
        {"user": 7, "dt": "2024-10-04", "kind": "2", "slate": ""},
        {"user": "nobody", "dt": "2024-10-04", "kind": null, "slate": "abc-1"},
    ]);
    let clicks = json!([
        {"user": 7, "dt": "2024-10-03", "at": "2024-10-03T01:00:00+02:00", "what": 1, "seen": "a|abc"},
        {"user": 7, "dt": "2024-10-03", "at": "2024-10-03T08:00:00Z", "what": "buy", "seen": "a"},
        {"user": "nobody", "dt": "2024-10-03", "at": "no time", "what": "look", "seen": "a"},
    ]);
    let tables = tables(&shown_rows, &clicks);
    let found = shown(&schema, &tables, "2024-10-04");
    let (a, abc) = (-1_817_709_641_818_812_897, 8_696_274_497_037_089_104);
    assert_eq!(found.iter().map(|row| row.3.clone()).collect::<Vec<_>>(), [[Number::I32(1)], [Number::I32(2)]]);
    assert_eq!(found[1].1, abc);
    let history = &requests(&schema, &tables, "2024-10-04")[0].history;
    let midnight = on("2024-10-03").midnight();
    assert_eq!((history[0].item, history[0].kind, history[0].time), (a, 3, Some(midnight + 28_800_000_000)));
    assert_eq!((history[2].kind, history[2].time), (1, Some(midnight - 3_600_000_000)));
    assert!(bad(&schema, &tables).is_empty(), "what is passed over is not looked at");

    let strict = json!({"types": {"order": 3}, "actions": {"clicks": {
        "type": {"column": "what", "values": {"buy": "order"}},
    }}});
    let clicks = json!([{"user": 7, "item": 1, "dt": "2024-10-03", "what": "look"}]);
    let tables = self::tables(&json!([]), &clicks);
    assert_eq!(bad(&self::schema(&strict), &tables), [(1, 0, 0)]);
}

/// A day for each way to say it.
#[test]
fn days() {
    let found = |day: Value, path: &str, row: Value| {
        let schema = schema(&json!({"samples": {"day": day, "time": {"column": "at", "unit": "s"}}}));
        let file = super::File { path: path.to_owned(), rows: vec![row] };
        let shown = super::rows::samples(&schema, &[file], false, &mut Default::default());
        shown.first().map(|shown| shown.day.to_string())
    };
    let in_column = |value: Value| found(json!("dt"), "part-0", json!({"user": 1, "item": 1, "dt": value}));
    let in_berlin = |value: Value| {
        let day = json!({"column": "dt", "zone": "Europe/Berlin"});
        found(day, "part-0", json!({"user": 1, "item": 1, "dt": value}))
    };
    let good = Some("2024-10-04".to_owned());
    for text in ["2024-10-04", "dt=2024-10-04", "20241004", "2024-10-04 00:00:00", "2024-10-04T00:00:00.000Z"] {
        assert_eq!(in_column(json!(text)), good, "{text}");
    }
    assert_eq!(in_column(json!(20_241_004)), good);
    for value in [json!(null), json!("2024-10-04 22:00:00"), json!("2024-02-30"), json!(""), json!("20241304")] {
        assert_eq!(in_column(value.clone()), None, "{value}");
    }
    assert_eq!(in_berlin(json!("2024-10-03T22:00:00Z")), good);
    assert_eq!(in_berlin(json!("2024-10-03T21:59:59Z")), Some("2024-10-03".to_owned()));
    let row = json!({"user": 1, "item": 1, "at": 1_727_971_200});
    assert_eq!(found(json!("dt"), "dt=2024-10-04/part-0", row.clone()), good);
    assert_eq!(found(json!("dt"), "dt=2024-10-04", row.clone()), None, "that is a file");
    assert_eq!(found(json!({"path": "{year}/{month}/{day}"}), "x/2024/10/04/part-0", row.clone()), good);
    let named = json!({"path": "events-{year}{month}{day}"});
    assert_eq!(found(named.clone(), "events-1/events-20241004.csv", row.clone()), good);
    assert_eq!(found(named, "events-2024-10-04.csv", row.clone()), None);
    // 16:00 in UTC is midnight in Shanghai.
    assert_eq!(found(json!({"of": "time", "zone": "Asia/Shanghai"}), "part-0", row.clone()), good);
    assert_eq!(found(json!({"of": "time"}), "part-0", row), Some("2024-10-03".to_owned()));
}

/// A time for each way to say it, in microseconds since midnight of 4 October 2024.
#[test]
fn times() {
    let midnight = on("2024-10-04").midnight();
    let found = |of: Value, value: Value| {
        let schema = schema(&json!({"samples": {"time": of}, "history": {"cutoff": "time"}}));
        let row = json!({"user": 1, "item": 1, "dt": "2024-10-04", "at": value});
        let shown = super::rows::samples(&schema, &[vec![row].into()], false, &mut Default::default());
        shown.first().and_then(|shown| shown.time).map(|time| time - midnight)
    };
    let plain = |text: &str| found(json!("at"), json!(text));
    let unit = |unit: &str, value: Value| found(json!({"column": "at", "unit": unit}), value);
    assert_eq!(plain("2024-10-04T00:00:01.2345678Z"), Some(1_234_567));
    assert_eq!(plain("2024-10-04 02:00:00+02:00"), Some(0));
    assert_eq!(plain("2024-10-04 00:00:00 UTC"), Some(0));
    assert_eq!(plain("2024-10-04 00:00:00.5 +0000"), Some(500_000));
    assert_eq!(plain("2024-10-04 00:00:60"), Some(60_000_000));
    assert_eq!((plain("2024-10-04 24:00:00"), plain("now"), plain("2024-10-04 00:00:00 CEST")), (None, None, None));
    assert_eq!(found(json!("at"), json!(1_728_000_000)), None, "a bare number is no time");
    assert_eq!(unit("s", json!(1_728_000_001)), Some(1_000_000));
    assert_eq!(unit("s", json!("1728000000.1234567")), Some(123_456));
    assert_eq!(unit("ms", json!(1_727_999_999_999_u64)), Some(-1_000));
    assert_eq!(unit("us", json!("1728000000000001")), Some(1));
    // Floored: a nanosecond before midnight is a microsecond before it.
    assert_eq!(unit("ns", json!(1_727_999_999_999_999_999_u64)), Some(-1));
    assert_eq!(unit("s", json!("today")), None);
    // Before 1970 as well.
    assert_eq!(unit("ns", json!(-1)), Some(-1 - midnight));
    assert_eq!(unit("s", json!("-0.0000001")), Some(-1 - midnight));
    let american = |zone: Value, text: &str| {
        let format = json!({"column": "at", "format": "%m/%d/%Y %I:%M:%S %p", "zone": zone});
        found(format, json!(text))
    };
    assert_eq!(american(json!("UTC"), "10/4/2024 9:05:58 AM"), Some(32_758_000_000));
    assert_eq!(american(json!("UTC"), "10/4/2024 12:00:01 AM"), Some(1_000_000));
    assert_eq!(american(json!("UTC"), "10/4/2024 12:00:01 PM"), Some(43_201_000_000));
    assert_eq!(american(json!("Europe/Berlin"), "10/4/2024 2:00:00 AM"), Some(0));
    assert_eq!(american(json!("UTC"), "2024-10-04"), None);
    let berlin = json!({"column": "at", "zone": "Europe/Berlin"});
    assert_eq!(found(berlin.clone(), json!("2024-10-04 02:00:00")), Some(0));
    assert_eq!(found(berlin, json!("2024-10-04T02:00:00Z")), Some(7_200_000_000), "its own zone is what counts");
}

/// An id for each kind, and what is none.
#[test]
fn ids() {
    let found = |kind: &str, wide: bool, value: Value| {
        let schema = schema(&json!({"ids": {"item": kind}}));
        let row = json!({"user": 1, "item": value, "dt": "2024-10-04"});
        let shown = super::rows::samples(&schema, &[vec![row].into()], wide, &mut Default::default());
        shown.first().map(|shown| shown.sample.item)
    };
    let int = |value: Value| found("int", true, value);
    for value in [json!(-5), json!("-5"), json!(-5.0), json!("-5.0"), json!("-5.00")] {
        assert_eq!(int(value.clone()), Some(-5), "{value}");
    }
    assert_eq!(int(json!("0")), Some(0));
    assert_eq!(int(json!(i64::MAX)), Some(i64::MAX));
    for value in [
        json!("00123"),
        json!("+5"),
        json!("-0"),
        json!("1.5"),
        json!("1."),
        json!("-0.0"),
        json!(1.5),
        json!(9.1e15),
        json!(u64::MAX),
        json!(null),
    ] {
        assert_eq!(int(value.clone()), None, "{value}");
    }
    assert_eq!(found("int", false, json!(2_147_483_647)), Some(2_147_483_647));
    assert_eq!(found("int", false, json!(2_147_483_648_u64)), None);
    assert_eq!(found("u64", false, json!(u64::MAX)), Some(-1));
    assert_eq!(found("u64", false, json!("9223372036854775808")), Some(i64::MIN));
    assert_eq!(found("u64", false, json!(-1)), None);
    // `xxhsum -H3` of `abc`, of nothing, and of the digits of a number, however it is stored.
    assert_eq!(found("hash", false, json!("abc")), Some(0x78af_5f94_892f_3950));
    assert_eq!(found("hash", false, json!("")), Some(0x2d06_8005_38d3_94c2));
    assert_eq!(found("hash", false, json!(123)), Some(4_632_645_163_541_105_818));
    assert_eq!(found("hash", false, json!("123")), Some(4_632_645_163_541_105_818));
}

/// A value for each type that is kept, and what none is.
#[test]
fn kept_values() {
    let found = |dtype: &str, null: Value, value: Value| {
        let mut column = json!({"column": "x", "dtype": dtype});
        if !null.is_null() {
            column["null"] = null;
        }
        let schema = schema(&json!({"samples": {"keep": {"x": column}}}));
        let row = json!({"user": 1, "item": 1, "dt": "2024-10-04", "x": value});
        let shown = super::rows::samples(&schema, &[vec![row].into()], false, &mut Default::default());
        shown.first().map(|shown| shown.sample.kept[0])
    };
    let kept = |dtype: &str, value: Value| found(dtype, Value::Null, value);
    for value in [json!(true), json!(1), json!(1.0), json!("1"), json!("T"), json!("true")] {
        assert_eq!(kept("bool", value.clone()), Some(Number::Bool(true)), "{value}");
    }
    assert_eq!(kept("bool", json!("F")), Some(Number::Bool(false)));
    assert_eq!((kept("bool", json!(2)), kept("bool", json!("yes")), kept("bool", json!(0.5))), (None, None, None));
    assert_eq!(kept("u8", json!(255)), Some(Number::U8(255)));
    assert_eq!((kept("u8", json!(256)), kept("u8", json!(-1)), kept("u8", json!(0.5))), (None, None, None));
    assert_eq!((kept("i32", json!(true)), kept("i32", json!(false))), (Some(Number::I32(1)), Some(Number::I32(0))));
    assert_eq!((kept("i32", json!("-7")), kept("i32", json!(1i64 << 31))), (Some(Number::I32(-7)), None));
    assert_eq!(kept("i64", json!(i64::MIN)), Some(Number::I64(i64::MIN)));
    assert_eq!((kept("i64", json!(u64::MAX)), kept("i64", json!("07"))), (None, None));
    // The float of 32 bits that is nearest to the one of 64.
    assert_eq!(kept("f32", json!(0.1)), Some(Number::F32(0.1)));
    assert_eq!((kept("f32", json!("2")), kept("f32", json!(1e39))), (Some(Number::F32(2.0)), None));
    assert_eq!((kept("f64", json!("1e39")), kept("f64", json!("much"))), (Some(Number::F64(1e39)), None));
    assert_eq!(kept("hash", json!("abc")), Some(Number::I64(0x78af_5f94_892f_3950)));
    assert_eq!((kept("hash", json!(null)), kept("f64", json!(null))), (None, None));
    assert_eq!(found("i32", json!(-1), json!(null)), Some(Number::I32(-1)));
    assert_eq!(found("bool", json!(true), json!(null)), Some(Number::Bool(true)));
}

/// A table of actions that lacks a feature has the value that stands for a null.
#[test]
fn features_are_those_of_all_tables() {
    let schema = schema(&json!({"actions": {
        "clicks": {"features": {"dwell": {"column": "dwell", "dtype": "u8", "null": 0}}},
        "orders": {
            "type": "order", "customer": "user", "item": "item", "day": "dt",
            "features": {"price": {"column": "price", "dtype": "f32", "null": -1.0}},
        },
    }}));
    let names: Vec<String> = super::feature_columns(&schema).into_iter().map(|column| column.name).collect();
    assert_eq!(names, ["dwell", "price"]);
    let clicks = json!([{"user": 7, "item": 10, "dt": "2024-10-03", "at": "2024-10-03T08:00:00Z", "dwell": 3}]);
    let mut tables = tables(&json!([{"user": 7, "item": 1, "dt": "2024-10-04"}]), &clicks);
    tables.actions.push(vec![rows(&json!([{"user": 7, "item": 11, "dt": "2024-10-03", "price": "2.5"}])).into()]);
    let history = requests(&schema, &tables, "2024-10-04").remove(0).history;
    let found: Vec<_> = history.into_iter().map(|seen| (seen.item, seen.features)).collect();
    assert_eq!(found, [(10, vec![Number::U8(3), Number::F32(-1.0)]), (11, vec![Number::U8(0), Number::F32(2.5)])]);
}

/// The readers of text that the presets' examples go through.
#[test]
fn csv_is_read() {
    let schema = schema(&json!({"samples": {"delimiter": "::", "nulls": ["NULL"]}}));
    let found = files::csv("a::b::c\n1::\"x::\"\"y\"\"\"::\nNULL::2::3\n", &schema.samples.source);
    assert_eq!(found, [json!({"a": "1", "b": "x::\"y\"", "c": null}), json!({"a": null, "b": "2", "c": "3"})]);
}
