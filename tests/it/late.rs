//! Protects: a table of actions that has not arrived in full is seen before anybody trains on what it lacks.

use serde_json::Value;
use shardback::config::{Format, Options};
use shardback::error::Error;
use shardback::open::DayFolder;
use shardback::pipeline::LateTable;

use crate::reference::{Action, Impression};
use crate::tables::{Folder, message, options, published};

/// 2024-10-04.
const DAY: i32 = 20_000;

/// Impressions on three days; actions of a type on some days, counted from [`DAY`].
fn world(root: &std::path::Path, days_of_actions: &[(u8, &[i32])]) -> Folder {
    let shown = |day| Impression { day, customer: 7, items: Some(vec![(3, true)]) };
    let done = |kind, day| Action { day, customer: 7, item: 40, time: Some(i64::from(day) * 86_400_000_000), kind };
    let actions: Vec<Action> =
        days_of_actions.iter().flat_map(|&(kind, days)| days.iter().map(move |&day| done(kind, DAY + day))).collect();
    Folder::write(root, &[shown(DAY), shown(DAY + 1), shown(DAY + 2)], &actions, 1)
}

fn late_since(out: &std::path::Path, day: &str, table: &str) -> Option<String> {
    let day = DayFolder::open(&out.join(Format::Jagged.name()).join(format!("dt={day}"))).unwrap();
    day.manifest().tables[table].late_since.clone()
}

/// What has no row on the day before, though it has some before that, is named in the summary and in the manifest; and what has is not.
#[test]
fn a_table_without_rows_on_the_day_before_is_noted() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    // Clicks stop on the second day; orders have one row long ago; carts are complete.
    let folder = world(root.path(), &[(1, &[-3, -1, 0]), (2, &[-1, 0, 1, 2]), (3, &[-90])]);
    let summary = folder.build(options(&out, DAY, DAY + 2)).unwrap();
    let late: Vec<Vec<LateTable>> = summary.days.iter().map(|day| day.late.clone()).collect();
    let of = |table: &str, last: &str| LateTable { table: table.to_owned(), last: last.to_owned() };
    let orders = of("previous_orders", "2024-07-06");
    assert_eq!(late, [vec![orders.clone()], vec![orders.clone()], vec![of("clicks", "2024-10-04"), orders]]);
    for (day, clicks) in [("2024-10-04", None), ("2024-10-05", None), ("2024-10-06", Some("2024-10-04"))] {
        assert_eq!(late_since(&out, day, "clicks").as_deref(), clicks, "{day}");
        assert_eq!(late_since(&out, day, "add_to_carts"), None, "{day}");
        assert_eq!(late_since(&out, day, "previous_orders").as_deref(), Some("2024-07-06"), "{day}");
    }
    let manifest = std::fs::read_to_string(out.join("jagged/dt=2024-10-04/_manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert!(manifest["tables"]["clicks"].get("late_since").is_none(), "a table that is not late has no such key");
}

/// What a day says of late tables does not depend on the days that are built with it.
#[test]
fn a_day_alone_says_the_same_as_in_a_range() {
    let root = tempfile::tempdir().unwrap();
    let folder = world(root.path(), &[(1, &[-3, -1, 0, 2])]);
    for lookback_days in [None, Some(1), Some(2), Some(3)] {
        let of = |name: &str, from, to| {
            let out = root.path().join(format!("{name}-{lookback_days:?}"));
            folder.build(Options { lookback_days, ..options(&out, from, to) }).unwrap();
            out
        };
        let range = of("range", DAY, DAY + 2);
        for day in DAY..=DAY + 2 {
            for (file, bytes) in published(&of(&format!("day-{day}"), day, day)) {
                let same = published(&range).into_iter().any(|other| other == (file.clone(), bytes.clone()));
                assert!(same, "{} with a look-back of {lookback_days:?}", file.display());
            }
        }
        // With a look-back of a day nothing before the day before is seen, so nothing can be said.
        let expected = lookback_days.is_none_or(|days| days > 1).then_some("2024-10-04");
        assert_eq!(late_since(&range, "2024-10-06", "clicks").as_deref(), expected, "{lookback_days:?}");
    }
}

/// Where fresh tables are asked for, a late one stops the run before anything is published, also of the days before it.
#[test]
fn a_late_table_is_an_error_on_request() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let folder = world(root.path(), &[(1, &[-3, -1, 0]), (2, &[-1, 0, 1])]);
    let fresh = |from, to| folder.build(Options { require_fresh: true, ..options(&out, from, to) });
    let error = fresh(DAY, DAY + 2).unwrap_err();
    assert!(matches!(&error, Error::Late { table, .. } if table == "clicks"));
    assert_eq!(
        message(&error),
        "clicks: no row on the day before 2024-10-06, though there are some up to 2024-10-04: the table may be late; build when it is complete, or without `require_fresh`"
    );
    assert!(published(&out).is_empty());
    fresh(DAY, DAY + 1).unwrap();
    assert!(!published(&out).is_empty());
}
