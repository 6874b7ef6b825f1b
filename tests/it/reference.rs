//! The contract computed in the most obvious way: for each sample, look at every action.
//!
//! Shares nothing with the library but the meaning of the columns; slow on purpose.

use std::cmp::Reverse;

/// A row of the impressions table.
#[derive(Clone, Debug)]
pub(crate) struct Impression {
    pub(crate) day: i32,
    pub(crate) customer: i64,
    /// `None` is a null list.
    pub(crate) items: Option<Vec<(i64, bool)>>,
}

/// A row of a table of actions.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub(crate) day: i32,
    pub(crate) customer: i64,
    pub(crate) item: i64,
    /// Microseconds since the epoch; `None` is null. Orders have their day's midnight.
    pub(crate) time: Option<i64>,
    pub(crate) kind: u8,
}

/// A finished training row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) customer: i64,
    pub(crate) item: i64,
    pub(crate) is_order: bool,
    /// K items and K types, padded.
    pub(crate) actions: Vec<i64>,
    pub(crate) types: Vec<u8>,
}

/// The first output of splitmix64 seeded with a customer.
pub(crate) fn hash(customer: i64) -> u64 {
    let mut state = (customer as u64).wrapping_add(11_400_714_819_323_198_485);
    state = (state ^ (state >> 30)).wrapping_mul(13_787_848_793_156_543_929);
    state = (state ^ (state >> 27)).wrapping_mul(10_723_151_780_598_845_931);
    state ^ (state >> 31)
}

/// What orders a customer's actions of one time, ascending.
pub(crate) fn equal_times(item: i64, customer: i64, time: i64) -> i128 {
    let low = |number: i64| i128::from(number) & 0xffff_ffff;
    (low(item) * 2_654_435_761 + low(customer) + low(time)) & 0xffff_ffff
}

/// The shards of a day, each with its rows in canonical order.
pub(crate) fn day(
    impressions: &[Impression],
    actions: &[Action],
    day: i32,
    history: usize,
    lookback: Option<u32>,
    shards: u64,
) -> Vec<Vec<Row>> {
    let mut rows = Vec::new();
    for impression in impressions.iter().filter(|impression| impression.day == day) {
        for &(item, is_order) in impression.items.iter().flatten() {
            let mut seen: Vec<&Action> = actions
                .iter()
                .filter(|action| action.customer == impression.customer && action.day < day)
                .filter(|action| lookback.is_none_or(|days| action.day >= day - days as i32))
                .collect();
            // `None` sorts before every time, so it is the oldest.
            seen.sort_by_key(|action| {
                let tie = equal_times(action.item, impression.customer, action.time.unwrap_or(0));
                (Reverse(action.time), tie, Reverse(action.item), Reverse(action.kind))
            });
            seen.truncate(history);
            let mut actions: Vec<i64> = seen.iter().map(|action| action.item).collect();
            let mut types: Vec<u8> = seen.iter().map(|action| action.kind).collect();
            actions.resize(history, 0);
            types.resize(history, 0);
            rows.push(Row { customer: impression.customer, item, is_order, actions, types });
        }
    }
    rows.sort_by_key(|row| (hash(row.customer), row.item, row.is_order));
    let mut cut = vec![Vec::new(); shards as usize];
    for row in rows {
        let shard = (u128::from(hash(row.customer)) * u128::from(shards)) >> 64;
        cut[shard as usize].push(row);
    }
    cut
}
