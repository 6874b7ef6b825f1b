//! Protects: a customer's actions of one time are in an order that means nothing, with values worked out by hand from
//! `docs/format.md`; that random tables follow it is for `properties`.

use shardback::config::{Format, Options};
use shardback::event::ItemDtype;
use tempfile::TempDir;

use crate::reference::{Action, Impression};
use crate::tables::{Folder, options, read_day};

const DAY: i32 = 20_000;
/// An hour before the day.
const TIME: i64 = 20_000 * 86_400_000_000 - 3_600_000_000;

/// The history of a customer who clicked on items, all at one time.
fn history(customer: i64, items: &[i64], item_dtype: ItemDtype) -> Vec<i64> {
    let folder = TempDir::new().unwrap();
    let shown = Impression { day: DAY, customer, items: Some(vec![(1, true)]) };
    let click = |&item: &i64| Action { day: DAY - 1, customer, item, time: Some(TIME), kind: 1 };
    let actions: Vec<Action> = items.iter().map(click).collect();
    let out = folder.path().join("out");
    let tables = Folder::write(folder.path(), &[shown], &actions, 1);
    tables.build(Options { item_dtype: Some(item_dtype), history: items.len(), ..options(&out, DAY, DAY) }).unwrap();
    read_day(&out, Format::Jagged, DAY, items.len()).concat().remove(0).actions
}

#[test]
fn equal_times_are_in_the_order_of_their_hash() {
    assert_eq!(history(7, &[1, 2, 3, 4, 5], ItemDtype::I32), [1, 3, 5, 2, 4]);
    assert_eq!(history(-3, &[-1, 0, 1], ItemDtype::I32), [1, 0, -1]);
}

/// Only the lower 32 bits of an item are hashed; items that agree in them are in descending order.
#[test]
fn equal_hashes_are_in_the_order_of_items() {
    let (one, two) = ((1 << 32) + 1, (1 << 32) + 2);
    let found = history(7, &[1, one, 2, two, one - (1 << 33)], ItemDtype::I64);
    assert_eq!(found, [one, 1, one - (1 << 33), two, 2]);
}
