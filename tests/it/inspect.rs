//! What a person is shown.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use shardback::config::Format;
use shardback::inspect::{Inspection, Selection, inspect};

use crate::fixture::{self, DAY};

const THREE: Selection = Selection { rows: 3, customer: None };

fn day(format: Format, wanted: Selection) -> Inspection {
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), format, DAY, &fixture::with_rejects());
    inspect(&folder, wanted).unwrap()
}

#[test]
fn a_day_as_text() {
    let shown = day(Format::Jagged, Selection { rows: 6, customer: Some(7) });
    insta::assert_snapshot!(shown, @r"
    jagged of 2025-08-16
      history          K = 4, of all days before, items i32
      files            2 shards, 8.23 KiB
      samples          9, 2 is_order (22.22 %)
      customers        5, 1 without history
      actions          click 6, cart 2, order 2
      newest action    1 h 2 min before the day begins
      clicks           1,234,567 rows seen, rejected: 1 null_item
      impressions      1,234,567 rows seen, rejected: 1 null_label
      build            5c9f6cd8678075a1199e61e39b2fae0b by shardback 0.1.0

    customers by length of history
                    0 ████████████████████ 1
                    1 ████████████████████ 1
                  2-3 ████████████████████████████████████████ 2
                    4 ████████████████████ 1

      shard    row             customer         item is_order history  newest actions
          0      0                    3           -1       no       3  click 30, click 31, click 32
          0      1                    3            2       no       3  click 30, click 31, click 32
          0      2                    7          100       no       4  click 70, cart 0, order -5, click 70
          0      3                    7          100      yes       4  click 70, cart 0, order -5, click 70
          0      4                    7          500       no       4  click 70, cart 0, order -5, click 70
          1      0                   -8            3       no       0  none

    customer 7 in shard 0: 3 samples
      row 2, item 100, is_order no
      row 3, item 100, is_order yes
      row 4, item 500, is_order no
    history of 4 actions, newest first
      click 70, cart 0, order -5, click 70
    ");
}

/// Rows and customers are the same whatever the format.
#[test]
fn every_format_shows_the_same_rows() {
    let content = fixture::small();
    let expected: Vec<_> = (0..2).flat_map(|shard| fixture::rows(&content, shard)).collect();
    for format in Format::ALL {
        let shown = day(format, Selection { rows: 100, customer: Some(3) });
        assert_eq!(shown.rows.len(), expected.len());
        for (row, (customer, item, label, history)) in shown.rows.iter().zip(&expected) {
            assert_eq!(
                (row.customer_id, row.item_id, &row.columns["is_order"]),
                (*customer, *item, &Value::from(*label))
            );
            assert_eq!(row.history_length as usize, history.len());
            assert!(row.actions.iter().map(|action| action.item_id).eq(history.iter().map(|action| action.0)));
        }
        assert_eq!(shown.rows, day(Format::Dense, Selection { rows: 100, customer: None }).rows);
        assert_eq!(shown.customer, day(Format::Dense, Selection { rows: 0, customer: Some(3) }).customer);
        let customer = shown.customer.unwrap();
        assert_eq!((customer.shard, customer.samples.len(), customer.history.len()), (0, 2, 3));
    }
}

#[test]
fn a_customer_that_is_not_there_is_said_not_to_be() {
    for format in Format::ALL {
        let shown = day(format, Selection { rows: 0, customer: Some(999) });
        assert!(shown.to_string().ends_with("\ncustomer 999 has no samples here\n"), "{shown}");
    }
}

#[test]
fn a_shard_file_as_text() {
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Dense, DAY, &fixture::small());
    let shown = inspect(&folder.join("shard-00001.safetensors"), THREE).unwrap();
    insta::assert_snapshot!(shown, @r"
    dense of 2025-08-16, shard 1 of 0 to 1, K = 4, items i32: 4 samples, 4.13 KiB

      shard    row             customer         item is_order history  newest actions
          1      0                   -8            3       no       0  none
          1      1                   -8            3       no       0  none
          1      2                    1            9      yes       1  order 11
    ");
    let folder = fixture::write_day(out.path(), Format::Parquet, DAY, &fixture::small());
    let shown = inspect(&folder.join("part-00001.parquet"), THREE).unwrap().to_string();
    assert!(shown.starts_with("parquet, items i32: 4 samples, "), "{shown}");
}

#[test]
fn an_output_lists_its_days_and_shows_the_last() {
    let out = tempfile::tempdir().unwrap();
    for (format, dt) in [(Format::Dense, DAY), (Format::Jagged, DAY), (Format::Dense, "2025-08-17")] {
        fixture::write_day(out.path(), format, dt, &fixture::small());
    }
    let shown = inspect(out.path(), THREE).unwrap();
    let listed: Vec<_> = shown.days.iter().map(|day| (day.format, day.dt.as_str())).collect();
    assert_eq!(listed, [("dense", DAY), ("dense", "2025-08-17"), ("jagged", DAY)]);
    assert_eq!(shown.manifest.as_ref().map(|manifest| manifest.dt.as_str()), Some("2025-08-17"));
    assert_eq!(shown.rows.len(), 3);
    let text = shown.to_string();
    assert!(text.contains("2025-08-17  dense") && text.contains("dense of 2025-08-17"), "{text}");
}

/// One of a thing is not many.
#[test]
fn one_shard_is_no_shards() {
    let out = tempfile::tempdir().unwrap();
    fixture::write_day(out.path(), Format::Dense, DAY, &fixture::Content { shards: 1, ..fixture::small() });
    let text = inspect(out.path(), THREE).unwrap().to_string();
    assert!(text.contains(" 1 shard   ") && text.contains("files            1 shard, "), "{text}");
    assert!(!text.contains("1 shards") && text.contains("9 samples"), "{text}");
}

/// A program reads the same, with names that stay.
#[test]
fn a_day_as_json() {
    let shown = day(Format::Jagged, Selection { rows: 1, customer: Some(1) });
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!(json["manifest"]["statistics"]["samples"], 9);
    assert_eq!(json["rows"][0]["actions"][0], serde_json::json!({"action": "click", "item_id": 30}));
    assert_eq!(json["customer"]["history"][0], serde_json::json!({"action": "order", "item_id": 11}));
}
