//! Random descriptions, and the reference on random tables of them.

use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use shardback::event::Day;
use shardback::schema::{from_json, from_toml};

use super::strategies::{DAYS, FIRST, case, text};
use super::{Number, bad_rows, day, feature_columns};

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Every description that is drawn is one, and is the same as data, as JSON text and as TOML text.
    #[test]
    fn every_description_is_read_back(case in case()) {
        let schema = from_json(&case.description).unwrap();
        let text = text::toml(&case.description);
        prop_assert_eq!(from_toml(&text).unwrap(), schema.clone(), "{}", text);
        let json = serde_json::to_string(&case.description).unwrap();
        prop_assert_eq!(from_json(&serde_json::from_str(&json).unwrap()).unwrap(), schema);
    }

    /// The reference keeps what can be said of every day without knowing its tables, and follows from the content alone.
    #[test]
    fn the_reference_holds_its_own_rules(case in case(), rotate in any::<usize>()) {
        let schema = from_json(&case.description).unwrap();
        let mut other = case.tables.clone();
        for files in other.actions.iter_mut().chain([&mut other.samples]) {
            files.reverse();
            for file in files {
                let by = rotate % file.rows.len().max(1);
                file.rows.rotate_left(by);
            }
        }
        for date in (FIRST..FIRST + DAYS).map(Day) {
            let requests = day(&schema, &case.tables, date, case.wide);
            for request in &requests {
                prop_assert!(!request.samples.is_empty() && request.history.len() <= schema.history.length);
                prop_assert!(request.history.is_sorted_by(|newer, older| newer.time >= older.time));
                let times = request.history.iter().filter_map(|seen| seen.time);
                prop_assert!(request.time.is_none_or(|moment| times.into_iter().all(|time| time < moment)));
                for seen in &request.history {
                    prop_assert!(schema.types.name(seen.kind).is_some());
                    prop_assert_eq!(seen.features.len(), feature_columns(&schema).len());
                }
                for sample in &request.samples {
                    let widths = (sample.labels.len(), sample.kept.len());
                    prop_assert_eq!(widths, (schema.samples.labels.len(), schema.samples.kept.len()));
                }
            }
            prop_assert_eq!(day(&schema, &other, date, case.wide), requests);
        }
        let bad = bad_rows(&schema, &case.tables, case.wide);
        prop_assert!(case.faulty || bad.is_empty(), "{:?}", bad);
        prop_assert_eq!(bad_rows(&schema, &other, case.wide).len(), bad.len());
    }
}

/// Protects the strategies: cases that are empty, or all good, or all bad, would find nothing.
#[test]
fn cases_have_samples_histories_and_bad_rows() {
    use proptest::strategy::{Strategy, ValueTree};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut cases, mut shown, mut seen, mut bad, mut positive) = (0, 0, 0, 0, 0);
    for _ in 0..64 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let schema = from_json(&case.description).unwrap();
        let requests = day(&schema, &case.tables, Day(FIRST), case.wide);
        let samples = requests.iter().flat_map(|request| &request.samples);
        cases += usize::from(!requests.is_empty());
        shown += samples.clone().count();
        positive += samples.flat_map(|sample| &sample.labels).filter(|label| **label == Number::Bool(true)).count();
        seen += requests.iter().map(|request| request.history.len()).sum::<usize>();
        bad += usize::from(!bad_rows(&schema, &case.tables, case.wide).is_empty());
    }
    let found = (cases, shown, seen, bad, positive);
    assert!(cases > 40 && shown > 150 && seen > 200 && (10..50).contains(&bad) && positive > 50, "{found:?}");
}
