//! Descriptions: what each primitive becomes, and that each way to get one wrong says which key is wrong and what to do.

use serde_json::json;
use shardback::schema::{
    Cutoff, DayOf, FileFormat, Ids, LabelOf, POSITION, Schema, TypeOf, Unit, ValueType, from_json, from_toml,
};

/// A description that uses every primitive.
const SHOP: &str = include_str!("golden/shop.toml");

fn shop() -> Schema {
    from_toml(SHOP).unwrap()
}

#[test]
fn every_primitive_is_read() {
    let Schema { types, samples, actions, customer_ids, item_ids, history, store: _ } = shop();
    assert_eq!(types.iter().collect::<Vec<_>>(), [(1, "click"), (2, "add_to_cart"), (3, "order")]);
    assert_eq!((customer_ids, item_ids), (Ids::Hash, Ids::Int));

    assert_eq!(samples.source.paths, ["impressions"]);
    assert_eq!((samples.customer.as_str(), samples.item.as_str()), ("customer_id", "slate.item"));
    assert_eq!(samples.day, DayOf::Column { column: "dt".into(), zone: Some("Europe/Berlin".into()) });
    assert_eq!(samples.time.as_ref().map(|time| time.column.as_str()), Some("shown_at"));
    assert_eq!(samples.request.as_deref(), Some("ranking_id"));
    let split = &samples.source.splits[0];
    assert_eq!((split.column.as_str(), split.by.as_str(), split.at.as_deref()), ("slate", " ", Some("-")));
    assert_eq!(split.fields, ["item", "clicked"]);
    let filters: Vec<_> = samples.source.filters.iter().map(|f| (f.column.as_str(), f.values.join("|"))).collect();
    assert_eq!(filters, [("event", "shown|seen".to_owned()), ("is_test", "0".to_owned())]);
    // In the order in which they are written, which is that of the outputs.
    let labels: Vec<_> = samples.labels.iter().map(|label| (label.name.as_str(), label.of.clone())).collect();
    let column = |column: &str, dtype| LabelOf::Column { column: column.into(), dtype };
    assert_eq!(
        labels,
        [
            ("clicked", column("slate.clicked", ValueType::Bool)),
            ("watched", column("seconds", ValueType::F32)),
            ("liked", LabelOf::AtLeast { column: "rating".into(), threshold: 4.0 }),
            ("bought", LabelOf::Is { column: "result".into(), values: vec!["buy".into(), "1".into()] }),
            ("reordered", LabelOf::In { column: "ordered_items".into() }),
            ("chosen", LabelOf::Equals { column: "reference".into() }),
            ("all", LabelOf::Value(true)),
        ]
    );
    let kept: Vec<_> = samples.kept.iter().map(|kept| (kept.name.as_str(), kept.column.as_str(), kept.dtype)).collect();
    assert_eq!(kept, [("position", POSITION, ValueType::I32), ("price", "slate.price", ValueType::F32)]);

    assert_eq!(actions[0].kind, TypeOf::Constant(1));
    assert_eq!(actions[0].day, DayOf::Path("{year}/{month}/{day}".into()));
    let purchases = &actions[1];
    assert_eq!(purchases.name, "purchases");
    let values = vec![("buy".to_owned(), 3), ("basket".to_owned(), 2)];
    assert_eq!(purchases.kind, TypeOf::Column { column: "event".into(), values, ignore_others: true });
    assert_eq!(purchases.day, DayOf::Time { zone: Some("Asia/Shanghai".into()) });
    assert_eq!(purchases.time.as_ref().and_then(|time| time.unit), Some(Unit::Milliseconds));
    assert_eq!(purchases.features[0].null, Some(0.5));
    let source = &purchases.source;
    assert_eq!((source.format, source.delimiter.as_deref()), (Some(FileFormat::Csv), Some("::")));
    assert_eq!((source.quote, source.escape), (Some('\''), Some('\\')));
    assert_eq!(source.nulls, ["\\N", "NULL"]);
    assert_eq!(source.columns.as_ref().map(Vec::len), Some(5));

    assert_eq!((history.length, history.cutoff, history.times), (1000, Cutoff::Time, Some(Unit::Seconds)));
    assert_eq!((history.lookback_micros, history.delay_micros), (Some(90 * 86_400_000_000), 1_500_000));
}

/// The same description as data, as Python hands it over.
#[test]
fn json_is_read_like_toml() {
    let small = "version = 1\ntypes = { click = 1 }\nsamples = { customer = 'c', item = 'i', day = 'dt' }\n\
        [actions.clicks]\ntype = 'click'\ncustomer = 'c'\nitem = 'i'\nday = 'dt'\n[history]\nlength = 5\n";
    let table = json!({"customer": "c", "item": "i", "day": "dt"});
    let mut clicks = table.clone();
    clicks["type"] = "click".into();
    let same = json!({
        "version": 1, "types": {"click": 1}, "samples": table, "actions": {"clicks": clicks}, "history": {"length": 5},
    });
    assert_eq!(from_json(&same).unwrap(), from_toml(small).unwrap());
}

/// What is missing means what the documents say.
#[test]
fn what_is_not_said_has_a_meaning() {
    let text = "version = 1\ntypes = { click = 1 }\nsamples = { customer = 'c', item = 'i', time = 't' }\n\
        [actions.clicks]\ntype = 'click'\ncustomer = 'c'\nitem = 'i'\nday = 'dt'\n[history]\nlength = 5\n";
    let schema = from_toml(text).unwrap();
    assert_eq!(schema.samples.day, DayOf::Time { zone: None });
    assert_eq!((schema.customer_ids, schema.item_ids), (Ids::Int, Ids::Int));
    assert_eq!((schema.history.cutoff, schema.history.lookback_micros), (Cutoff::Day, None));
    assert_eq!((schema.samples.labels.len(), schema.samples.kept.len()), (0, 0));
    assert!(schema.actions[0].time.is_none() && schema.actions[0].source.paths.is_empty());
}

/// Each case changes the description of the shop in one place.
#[test]
fn what_is_wrong_is_named() {
    let cases = include_str!("golden/shop-errors.txt");
    let (mut number, mut wrong) = (0, Vec::new());
    for case in cases.split("\n\n").filter(|case| !case.starts_with('#') && !case.trim().is_empty()) {
        let lines: Vec<&str> = case.trim().lines().collect();
        let [old, new, expected] = lines[..] else { panic!("not three lines: {case}") };
        assert!(SHOP.contains(old), "{old} is not in the description");
        let changed = SHOP.replacen(old, &new.replace("\\n", "\n"), 1);
        let found = match from_toml(&changed) {
            Ok(_) => "nothing is wrong".to_owned(),
            Err(error) => error.to_string(),
        };
        if found != expected {
            wrong.push(format!("{old}\n{new}\n{found}\n"));
        }
        number += 1;
    }
    assert!(number > 60, "{number} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
