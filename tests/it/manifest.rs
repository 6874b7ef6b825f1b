//! The bytes of a manifest are part of the format: they must not change.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use shardback::config::{Format, Options};
use shardback::manifest::{LabelFigures, Manifest, hash_hex, length_ranges};
use shardback::open::DayFolder;

use crate::fixture::{self, DAY};
use crate::reference::{Action, Impression};
use crate::tables::{Folder, options};

const GOLDEN: &str = include_str!("golden/manifest.json");

fn manifest() -> Manifest {
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Jagged, DAY, &fixture::with_rejects());
    Manifest::from_bytes(&fixture::read(&folder.join("_manifest.json"))).unwrap()
}

#[test]
fn its_bytes_are_these() {
    assert_eq!(String::from_utf8(manifest().to_bytes().unwrap()).unwrap(), GOLDEN);
}

#[test]
fn its_hash_covers_all_bytes_before_its_name() {
    let bytes = manifest().to_bytes().unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let at = text.rfind("\"hash\"").unwrap();
    assert_eq!(Manifest::from_bytes(&bytes).unwrap().hash, hash_hex(&bytes[..at]));
    for place in (0..bytes.len()).step_by(7) {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1;
        assert!(Manifest::from_bytes(&bytes).is_err(), "a flip at {place} went unseen");
    }
}

#[test]
fn every_positive_rate_is_read_back_as_it_was() {
    let mut manifest = manifest();
    for samples in 1..400_u64 {
        for positives in [0, 1, samples / 3, samples / 2, samples - 1, samples] {
            let rate = positives as f64 / samples as f64;
            manifest.statistics.labels.insert("is_order".to_owned(), LabelFigures { positives, rate: Some(rate) });
            let read = Manifest::from_bytes(&manifest.to_bytes().unwrap()).unwrap();
            assert_eq!(read.statistics.labels["is_order"].rate, Some(rate), "{positives} of {samples}");
        }
    }
}

#[test]
fn other_forms_are_refused_with_a_reason() {
    let bytes = manifest().to_bytes().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let refused = |text: &str| Manifest::from_bytes(text.as_bytes()).unwrap_err();
    assert!(refused("").starts_with("not a manifest: EOF"));
    assert!(refused("{}").contains("missing field `version`"));
    assert_eq!(
        refused(&text.replace("\"version\": 2,", "\"version\": 3, \"more\": true,")),
        "format version 3, this program reads version 2: use a newer shardback"
    );
    assert!(
        refused(&text.replace("\"history\": 4,", "\"history\": 4, \"more\": true,")).contains("unknown field `more`")
    );
    assert!(refused(&text.replace("\"history\": 4", "\"history\": 5")).starts_with("its hash is "));
    assert_eq!(refused(&format!("{text} ")), "not in canonical form");
}

#[test]
fn ranges_of_lengths_double_and_end_at_the_longest() {
    let ranges = |history| length_ranges(history).iter().map(|range| (range.from, range.to)).collect::<Vec<_>>();
    assert_eq!(ranges(0), [(0, 0)]);
    assert_eq!(ranges(1), [(0, 0), (1, 1)]);
    assert_eq!(ranges(4), [(0, 0), (1, 1), (2, 3), (4, 4)]);
    assert_eq!(ranges(1000).last(), Some(&(512, 1000)));
    assert_eq!(ranges(u64::MAX).last(), Some(&(1 << 63, u64::MAX)));
}

/// `content` in a header and in the manifest is the hash that `docs/format.md` describes, of what a shard holds; another computation.
#[test]
fn the_content_of_a_shard_is_hashed_as_described() {
    let folder = tempfile::tempdir().unwrap();
    let shown =
        |customer: i64, items: &[(i64, bool)]| Impression { day: 20_000, customer, items: Some(items.to_vec()) };
    let click = |customer: i64, item: i64| Action { day: 19_999, customer, item, time: Some(item), kind: 1 };
    let impressions = [shown(7, &[(3, true), (1, false)]), shown(8, &[(2, false)]), shown(7, &[(1, true)])];
    let out = folder.path().join("out");
    let tables = Folder::write(folder.path(), &impressions, &[click(7, 40), click(7, 41), click(9, 42)], 1);
    tables.build(Options { history: 2, ..options(&out, 20_000, 20_000) }).unwrap();
    let day = DayFolder::open(&out.join("jagged/dt=2024-10-04")).unwrap();
    let shard = day.shard(0).unwrap();
    let mut bytes: Vec<u8> = Vec::new();
    let of = |customer: i64, samples: &[(i32, u8)], history: &[i32], bytes: &mut Vec<u8>| {
        bytes.extend(customer.to_le_bytes());
        bytes.extend((samples.len() as u64).to_le_bytes());
        bytes.extend((history.len() as u64).to_le_bytes());
        samples.iter().for_each(|(item, _)| bytes.extend(item.to_le_bytes()));
        samples.iter().for_each(|(_, label)| bytes.push(*label));
        history.iter().for_each(|item| bytes.extend(item.to_le_bytes()));
        history.iter().for_each(|_| bytes.push(1));
    };
    let mut customers = [7, 8];
    customers.sort_by_key(|&customer| crate::reference::hash(customer));
    for customer in customers {
        if customer == 7 {
            of(7, &[(1, 0), (1, 1), (3, 1)], &[41, 40], &mut bytes);
        } else {
            of(8, &[(2, 0)], &[], &mut bytes);
        }
    }
    let expected = hash_hex(&bytes);
    assert_eq!((&shard.header().content, &day.manifest().shards[0].content), (&expected, &expected));
    for format in ["dense", "parquet"] {
        let other = DayFolder::open(&out.join(format).join("dt=2024-10-04")).unwrap();
        assert_eq!(other.manifest().shards[0].content, expected, "{format}");
    }
}

/// A shard of another build, as long and with as many rows, is not taken for the day's.
#[test]
fn a_shard_of_another_build_is_refused() {
    for format in [Format::Dense, Format::Jagged] {
        let folder = tempfile::tempdir().unwrap();
        let day = fixture::write_day(&folder.path().join("out"), format, "2025-08-16", &fixture::small());
        let mut other = fixture::small();
        other.customers.iter_mut().for_each(|customer| customer.samples.iter_mut().for_each(|sample| sample.0 += 1));
        let other = fixture::write_day(&folder.path().join("other"), format, "2025-08-16", &other);
        let file = format.shard_file(0);
        std::fs::copy(other.join(&file), day.join(&file)).unwrap();
        let error = DayFolder::open(&day).unwrap().shard(0).unwrap_err().to_string();
        assert!(error.contains("its header says content ") && error.contains(", the manifest says "), "{error}");
    }
}
