//! Rows that a description makes bad: each with its message, its line and its reason, and left out where that is asked for.

use std::fs;

use shardback::config::InvalidRows;
use shardback::error::Reason;
use shardback::manifest::REJECTED_FILE;

use super::{NO_CLICKS, World, samples};

/// The reasons that are tried here, and where the cut-off is the time, beside those that the built-in tables can have.
pub(crate) const REASONS: [Reason; 9] = [
    Reason::CustomerNoInteger,
    Reason::UnequalLists,
    Reason::UnknownType,
    Reason::ItemNoInteger,
    Reason::NullRequest,
    Reason::NullTime,
    Reason::UnparsableLabel,
    Reason::NullValue,
    Reason::UnparsableValue,
];

const DESCRIPTION: &str = r#"
    version = 1
    [types]
    view = 1
    [samples]
    customer = "user"
    item = "items"
    day = "day"
    request = "list"
    labels = { liked = "liked", stars = { column = "stars", dtype = "u8" } }
    keep = { price = { column = "price", dtype = "f32" } }
    [actions.events]
    type = { column = "event", values = { view = "view" } }
    customer = "user"
    item = "sku"
    time = { column = "ts", unit = "s" }
    features = { price = { column = "price", dtype = "f32" } }
    [history]
    length = 1
"#;

const SAMPLE: &str =
    r#"{"user":1,"day":"2025-08-16","items":[5,6],"liked":[true,false],"stars":[1,2],"price":2,"list":"a"}"#;
const EVENT: &str = r#"{"user":1,"sku":9,"event":"view","ts":1755200000,"price":1.5}"#;

/// The built rows and how many are left out, of a good row before and after a bad one; and what is said without `invalid = skip`.
fn build(bad_sample: &str, bad_event: &str) -> (Vec<String>, String, World) {
    let samples = format!("{SAMPLE}\n{bad_sample}\n{}\n", SAMPLE.replace("\"user\":1", "\"user\":2"));
    let events = format!("{EVENT}\n{bad_event}\n");
    let world = World::new(DESCRIPTION, &[("samples.json", &samples), ("events.json", &events)]);
    let error = world.error();
    world.build(InvalidRows::Skip).unwrap();
    (world.built_rows(), error, world)
}

/// Each way to be bad of a sample: the message, the reason, and how many samples of the bad row are left.
#[test]
fn bad_samples_are_named_and_left_out() {
    let cases = [
        (
            "\"user\":1",
            "\"user\":\"007\"",
            "customer_no_integer",
            "column `user`: the customer id is not an integer: `007`; fix the row, or describe such ids with `hash`",
            0,
        ),
        (
            "[5,6]",
            "[5,6,7]",
            "unequal_lists",
            "column `items`: the lists of the row are not as long as each other; fix the row",
            0,
        ),
        (
            "[5,6]",
            "[5,\"x\"]",
            "item_no_integer",
            "column `items`: the item id is not an integer: `x`; fix the row, or describe such ids with `hash`",
            1,
        ),
        (
            "[true,false]",
            "[true,2]",
            "unparsable_label",
            "column `liked`: the label is not what its type can hold (of a bool: true, false, 1 or 0): `2`; fix the row",
            1,
        ),
        (
            "[1,2]",
            "[1,256]",
            "unparsable_label",
            "column `stars`: the label is not what its type can hold (of a bool: true, false, 1 or 0): `256`; fix the row",
            1,
        ),
        ("[1,2]", "[null,2]", "null_label", "column `stars`: the label is null; fix the row", 1),
        ("\"list\":\"a\"", "\"list\":null", "null_request", "column `list`: the request is null; fix the row", 0),
        (
            "\"price\":2",
            "\"price\":null",
            "null_value",
            "column `price`: what is kept is null; say with `null` what stands for it",
            0,
        ),
        (
            "\"price\":2",
            "\"price\":\"cheap\"",
            "unparsable_value",
            "column `price`: not what the type can hold in which it is kept: `cheap`; fix the row",
            0,
        ),
    ];
    for (good, bad, reason, message, left) in cases {
        let bad_row = SAMPLE.replace("\"user\":1,", "\"user\":1,\"x\":0,").replace(good, bad);
        let (rows, error, world) = build(&bad_row, EVENT);
        let advice = ", or leave such rows out with `invalid = skip`";
        assert_eq!(error, format!("samples: `WORLD/samples.json`, line 2, {message}{advice}"), "{reason}");
        assert_eq!(rows.len(), 4 + left, "{reason}: {rows:#?}");
        let tables = world.manifest().tables;
        assert!(tables["samples"].rejected.contains_key(reason), "{reason}: {:?}", tables["samples"].rejected);
        let record = fs::read_to_string(world.day_folder().join(REJECTED_FILE)).unwrap();
        assert!(record.contains(&format!(r#""reason":"{reason}""#)), "{record}");
    }
}

/// The same of an action.
#[test]
fn bad_actions_are_named_and_left_out() {
    let cases = [
        (
            "\"view\"",
            "\"ping\"",
            "unknown_type",
            "column `event`: the type of the action is none of those that are listed: `ping`; list it, or ignore such rows with `other = \"ignore\"`",
        ),
        (
            "\"view\"",
            "null",
            "unknown_type",
            "column `event`: the type of the action is none of those that are listed: `null`; list it, or ignore such rows with `other = \"ignore\"`",
        ),
        ("1755200000", "\"noon\"", "unparsable_time", "column `ts`: not a time (RFC 3339): `noon`; fix the row"),
        ("1755200000", "null", "null_day", "column `ts`: the day is null; fix the row"),
        (
            "1.5",
            "1e39",
            "unparsable_value",
            "column `price`: not what the type can hold in which it is kept: `1e39`; fix the row",
        ),
    ];
    for (good, bad, reason, message) in cases {
        let (rows, error, world) = build(SAMPLE, &EVENT.replace(good, bad));
        let advice = ", or leave such rows out with `invalid = skip`";
        assert_eq!(error, format!("events: `WORLD/events.json`, line 2, {message}{advice}"), "{reason}");
        assert!(rows[0].contains(r#""actions":[9],"action_types":[1],"action_price":[1.5]"#), "{rows:#?}");
        assert_eq!(world.manifest().tables["events"].rejected.get(reason), Some(&1), "{reason}");
    }
}

/// Numbers that JSON has not, as Python writes them, are floats where floats are asked for, as in CSV, and bad rows elsewhere.
#[test]
fn numbers_that_are_none_are_floats_or_bad_rows() {
    let keys = r#"
        customer = "user"
        item = "sku"
        day = "day"
        labels = { bought = "bought", stars = { column = "stars", dtype = "f32" } }
        keep = { price = { column = "price", dtype = "f64", null = 0.5 }, n = { column = "n", dtype = "i32" } }
    "#;
    let good = r#"{"user":1,"sku":2,"day":"2025-08-16","bought":1,"stars":NaN,"price":-Infinity,"n":3}"#;
    let bad = [
        ("\"user\":1", "\"user\":NaN", Reason::CustomerNoInteger),
        ("\"sku\":2", "\"sku\":Infinity", Reason::ItemNoInteger),
        ("\"2025-08-16\"", "NaN", Reason::UnparsableDay),
        ("\"bought\":1", "\"bought\":NaN", Reason::UnparsableLabel),
        ("\"n\":3", "\"n\":-Infinity", Reason::UnparsableValue),
    ];
    let lines: Vec<String> = bad.iter().map(|(from, to, _)| good.replace(from, to)).collect();
    let json = format!(
        "{good}\n{}\n{}\n",
        lines.join("\n"),
        good.replace("-Infinity", "null").replace("\"user\":1", "\"user\":7")
    );
    let world = World::new(&samples(keys, ""), &[("samples.json", &json), NO_CLICKS]);
    assert_eq!(
        world.error(),
        "samples: `WORLD/samples.json`, line 2, column `user`: the customer id is not an integer: `NaN`; fix the row, or describe \
         such ids with `hash`, or leave such rows out with `invalid = skip`"
    );
    world.build(InvalidRows::Skip).unwrap();
    let rejected = &world.manifest().tables["samples"].rejected;
    assert_eq!(rejected.values().sum::<u64>(), bad.len() as u64);
    for (.., reason) in bad {
        assert_eq!(rejected[reason.name()], 1, "{reason:?}");
    }
    // CSV has the same rows.
    let header = "user,sku,day,bought,stars,price,n\n";
    let csv = format!(
        "{header}1,2,2025-08-16,1,NaN,-Infinity,3\nNaN,2,2025-08-16,1,NaN,1,3\n1,Infinity,2025-08-16,1,NaN,1,3\n1,2,NaN,1,NaN,1,3\n\
         1,2,2025-08-16,NaN,NaN,1,3\n1,2,2025-08-16,1,NaN,1,-Infinity\n7,2,2025-08-16,1,NaN,,3\n"
    );
    let other = World::new(&samples(keys, ""), &[("samples.csv", &csv), NO_CLICKS]);
    other.build(InvalidRows::Skip).unwrap();
    assert_eq!(other.manifest().tables["samples"].rejected, *rejected);
    let part = |world: &World| fs::read(world.day_folder().join("part-00000.parquet")).unwrap();
    assert_eq!(part(&other), part(&world));
}
