//! The bytes of a manifest are part of the format: they must not change.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use shardback::manifest::{Manifest, hash_hex, length_ranges};

use crate::fixture::{self, DAY};
use shardback::config::Format;

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
            manifest.statistics.positive_rate = Some(rate);
            let read = Manifest::from_bytes(&manifest.to_bytes().unwrap()).unwrap();
            assert_eq!(read.statistics.positive_rate, Some(rate), "{positives} of {samples}");
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
