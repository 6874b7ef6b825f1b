//! Random tables against the reference, in all formats, and what must not change the bytes.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use shardback::config::{Format, Options, Sharding};
use shardback::event::{Day, ItemDtype};
use tempfile::TempDir;

use crate::reference::{self, Action, Impression};
use crate::tables::{Folder, options, published, read_day};

/// The first day that has impressions; actions reach back twelve days from here.
pub(crate) const FIRST: i32 = 20_000;
pub(crate) const DAYS: i32 = 3;
const MICROS_PER_DAY: i64 = 86_400_000_000;

fn customer() -> impl Strategy<Value = i64> {
    // Few, so that histories grow and ties are common; the extremes must hash like all others.
    prop_oneof![8 => 0..6i64, 1 => Just(-1), 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

fn item() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -2..5i64, 1 => Just(i64::from(i32::MAX)), 1 => Just(i64::from(i32::MIN))]
}

pub(crate) fn impression() -> impl Strategy<Value = Impression> {
    let items = option::weighted(0.9, vec((item(), any::<bool>()), 0..5));
    (FIRST - 1..FIRST + DAYS, customer(), items).prop_map(|(day, customer, items)| Impression { day, customer, items })
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    // Late arrivals: the time is up to four days before the day, or after it, now and then null; few distinct times.
    let late = prop_oneof![6 => Just(0i64), 2 => -4..0i64, 1 => Just(1i64)];
    let time = option::weighted(0.9, (late, 0..4i64));
    (FIRST - 12..FIRST + DAYS, customer(), item(), time, 1..4u8).prop_map(|(day, customer, item, time, kind)| {
        let midnight = i64::from(day) * MICROS_PER_DAY;
        let time = match kind {
            3 => Some(midnight),
            _ => time.map(|(late, tick)| midnight + late * MICROS_PER_DAY + tick * (MICROS_PER_DAY / 4)),
        };
        Action { day, customer, item, time, kind }
    })
}

fn history() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1..12usize, 2 => 12..70usize, 1 => Just(1000), 1 => 1..1501usize]
}

fn check(impressions: &[Impression], actions: &[Action], options: &Options, files: usize) {
    let folder = TempDir::new().unwrap();
    let tables = Folder::write(folder.path(), impressions, actions, files);
    let out = folder.path().join("out");
    let options = Options { out: out.clone(), allow_empty_days: true, ..options.clone() };
    tables.build(options.clone()).unwrap();
    let (history, lookback) = (options.history, options.lookback_days);
    for day in FIRST..FIRST + DAYS {
        let samples = |row: &Impression| row.items.as_ref().map_or(0, Vec::len) as u64;
        let samples = impressions.iter().filter(|row| row.day == day).map(samples).sum();
        let shards = u64::from(options.sharding.shards(samples).unwrap());
        let expected = reference::day(impressions, actions, day, history, lookback, shards);
        for format in Format::ALL {
            assert_eq!(read_day(&out, format, day, history), expected, "{} of day {}", format.name(), Day(day));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Point in time, order, ties, late arrivals, null times, length, padding, look-back, shards and canonical order.
    #[test]
    fn every_format_holds_what_the_reference_says(
        impressions in vec(impression(), 0..40),
        actions in vec(action(), 0..150),
        history in history(),
        lookback in option::of(1..15u32),
        shards in 1..6u32,
        wide in any::<bool>(),
        files in 1..4usize,
    ) {
        let options = Options {
            history,
            lookback_days: lookback,
            sharding: Sharding::Count(shards),
            item_dtype: Some(if wide { ItemDtype::I64 } else { ItemDtype::I32 }),
            ..options(std::path::Path::new(""), FIRST, FIRST + DAYS - 1)
        };
        check(&impressions, &actions, &options, files);
    }

    /// The same content gives the same bytes: another order of rows, other files, other threads, a day alone or in a range.
    #[test]
    fn the_bytes_follow_from_the_content_alone(
        impressions in vec(impression(), 1..40),
        actions in vec(action(), 0..150),
        rotate in any::<proptest::sample::Index>(),
        history in 1..9usize,
    ) {
        let folder = TempDir::new().unwrap();
        let one = Folder::write(&folder.path().join("one"), &impressions, &actions, 1);
        let rotated = |rows: usize| rotate.index(rows.max(1));
        let (mut impressions, mut actions) = (impressions, actions);
        let (by, actions_by) = (rotated(impressions.len()), rotated(actions.len()));
        impressions.rotate_left(by);
        actions.rotate_left(actions_by);
        actions.reverse();
        let other = Folder::write(&folder.path().join("other"), &impressions, &actions, 3);
        let build = |tables: &Folder, name: &str, from: i32, to: i32, threads: usize| {
            let out = folder.path().join(name);
            let sharding = Sharding::Rows(7);
            tables.build(Options { history, sharding, allow_empty_days: true, threads: Some(threads), ..options(&out, from, to) }).unwrap();
            out
        };
        let range = published(&build(&one, "range", FIRST, FIRST + DAYS - 1, 1));
        prop_assert_eq!(&published(&build(&other, "threads", FIRST, FIRST + DAYS - 1, 4)), &range);
        let mut alone = Vec::new();
        for day in FIRST..FIRST + DAYS {
            alone.extend(published(&build(&other, &format!("day{day}"), day, day, 2)));
        }
        alone.sort();
        prop_assert_eq!(alone, range);
    }
}

/// A history longer than K, with many ties, cut where K falls among actions of one instant.
#[test]
fn long_histories_are_cut_at_k_among_ties() {
    let impressions = [Impression { day: FIRST, customer: 7, items: Some(vec![(1, true), (1, true), (0, false)]) }];
    let actions: Vec<Action> = (0..3000)
        .map(|index| {
            let (day, kind) = (FIRST - 1 - index / 700, 1 + (index % 2) as u8);
            let time = Some(i64::from(day) * MICROS_PER_DAY + (index / 90 % 3) as i64);
            Action { day, customer: 7, item: (index * 7 % 13) as i64, time, kind }
        })
        .collect();
    for history in [999, 1000, 1001, 1500] {
        let options = Options { history, ..options(std::path::Path::new(""), FIRST, FIRST) };
        check(&impressions, &actions, &Options { end: Day(FIRST + DAYS - 1), ..options }, 2);
    }
}
