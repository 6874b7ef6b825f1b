//! Whole days pass; each thing broken once is named where it is.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use shardback::config::Format;
use shardback::open::DayFolder;
use shardback::verify::{Report, verify};

use crate::fixture::{self, Content, DAY};
use crate::watchdog;

/// What breaks a day's folder, the file at fault, and what is said of it.
pub(crate) type Case = (fn(&Path), &'static str, &'static str);

pub(crate) fn faults(report: &Report) -> String {
    report.faults.iter().map(|fault| format!("{}: {}\n", fault.path.display(), fault.problem)).collect()
}

pub(crate) fn named(report: &Report, file: &str, problem: &str) -> bool {
    report.faults.iter().any(|fault| fault.path.ends_with(file) && fault.problem.contains(problem))
}

/// Breaks a whole day in each way and looks for the fault; `rehash` makes the hashes agree with the damage.
pub(crate) fn each(format: Format, rehash: bool, content: &Content, cases: &[Case]) {
    for (damage, file, problem) in cases {
        let out = tempfile::tempdir().unwrap();
        let folder = fixture::write_day(out.path(), format, DAY, content);
        damage(&folder);
        if rehash {
            fixture::rehash(&folder);
        }
        let report = verify(&folder).unwrap();
        assert!(named(&report, file, problem), "expected {file}: {problem}; found\n{}", faults(&report));
        if rehash {
            assert!(!faults(&report).contains("its hash is"), "the damage was not hidden:\n{}", faults(&report));
        }
    }
}

#[test]
fn whole_days_pass_in_every_format_and_width() {
    let small = fixture::small();
    let empty = Content { customers: Vec::new(), ..small.clone() };
    let wide = Content { wide_items: true, ..small.clone() };
    let one = Content { shards: 1, ..small.clone() };
    let many = Content { shards: 50, ..small.clone() };
    for content in [small, empty, wide, one, many, fixture::with_rejects()] {
        let out = tempfile::tempdir().unwrap();
        for format in Format::ALL {
            fixture::write_day(out.path(), format, DAY, &content);
        }
        // A format need not have every day.
        fixture::write_day(out.path(), Format::Jagged, "2025-08-17", &content);
        let report = verify(out.path()).unwrap();
        assert_eq!(faults(&report), "");
        let samples: usize = content.customers.iter().map(|customer| customer.samples.len()).sum();
        assert_eq!((report.days, report.rows, report.notes.len()), (4, 4 * samples as u64, 0));
        assert!(report.bytes > 0);
    }
}

/// One bit anywhere in a file that has a hash.
#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    for format in Format::ALL {
        let out = tempfile::tempdir().unwrap();
        let folder = fixture::write_day(out.path(), format, DAY, &fixture::with_rejects());
        for file in [format.shard_file(0), "_manifest.json".to_owned(), "_rejected.jsonl".to_owned()] {
            let path = folder.join(&file);
            let whole = fixture::read(&path);
            for place in (0..whole.len()).step_by(29).chain([whole.len() - 1]) {
                fixture::edit(&path, |bytes| bytes[place] ^= 1 << (place % 8));
                let report = verify(&folder).unwrap();
                assert!(named(&report, &file, ""), "{file}, byte {place}: not found; {}", faults(&report));
                fixture::write(&path, &whole);
            }
        }
        assert_eq!(faults(&verify(&folder).unwrap()), "");
    }
}

/// Whatever the bytes are, also under hashes that agree, the answer is a report.
#[test]
fn hostile_bytes_never_panic() {
    for format in Format::ALL {
        let out = tempfile::tempdir().unwrap();
        let folder = fixture::write_day(out.path(), format, DAY, &fixture::small());
        let path = folder.join(format.shard_file(0));
        let whole = fixture::read(&path);
        let mut reports = 0;
        for place in (0..whole.len()).step_by(23) {
            for value in [0, 0x7f, 0xff] {
                fixture::edit(&path, |bytes| bytes[place] = value);
                fixture::rehash(&folder);
                reports += verify(&folder).unwrap().days;
                fixture::write(&path, &whole);
            }
        }
        assert_eq!(reports as usize, whole.len().div_ceil(23) * 3);
    }
}

#[test]
fn files_that_are_cut_missing_or_foreign() {
    let content = fixture::with_rejects();
    let shared: [Case; 12] = [
        (|day| fixture::remove(&day.join("_SUCCESS")), "_SUCCESS", "cannot read it"),
        (|day| fixture::write(&day.join("_SUCCESS"), "x"), "_SUCCESS", "it has 1 bytes, it should be empty"),
        (|day| fixture::remove(&day.join("_run.json")), "_run.json", "cannot read it"),
        (
            |day| fixture::remove(&day.join("_manifest.json")),
            "_manifest.json",
            "nothing else in the folder was checked",
        ),
        (|day| fixture::write(&day.join("_manifest.json"), "{"), "_manifest.json", "not a manifest"),
        (|day| fixture::remove(&day.join("_rejected.jsonl")), "_rejected.jsonl", "cannot read it"),
        (|day| fixture::write(&day.join("notes.txt"), ""), "notes.txt", "does not belong"),
        (|day| fixture::create_folder(&day.join("more")), "more", "does not belong"),
        (|day| fixture::edit_manifest(day, |m| m.rejected = None), "_rejected.jsonl", "does not belong"),
        (|day| fixture::edit_manifest(day, |m| drop(m.shards.pop())), "_manifest.json", "its shards have 5 rows"),
        (|day| fixture::edit_manifest(day, |m| m.shards.swap(0, 1)), "_manifest.json", "shard 0 is in `"),
        (|day| fixture::edit_manifest(day, |m| m.shards.clear()), "_manifest.json", "it names no shard"),
    ];
    for format in Format::ALL {
        each(format, false, &content, &shared);
    }
    each(
        Format::Dense,
        false,
        &content,
        &[
            (|day| fixture::remove(&day.join("shard-00001.safetensors")), "shard-00001.safetensors", "cannot read it"),
            (
                |day| fixture::cut(&day.join("shard-00000.safetensors")),
                "shard-00000.safetensors",
                "bytes, the manifest says",
            ),
            (
                |day| fixture::edit(&day.join("shard-00000.safetensors"), |bytes| bytes.push(0)),
                "shard-00000.safetensors",
                "bytes, its header asks for",
            ),
            (
                |day| fixture::write(&day.join("shard-00000.safetensors"), ""),
                "shard-00000.safetensors",
                "too few for a header",
            ),
        ],
    );
    each(
        Format::Parquet,
        false,
        &content,
        &[
            (|day| fixture::remove(&day.join("part-00001.parquet")), "part-00001.parquet", "cannot read it"),
            (|day| fixture::cut(&day.join("part-00000.parquet")), "part-00000.parquet", "bytes, the manifest says"),
            (|day| fixture::write(&day.join("part-00000.parquet"), ""), "part-00000.parquet", "it has 0 bytes"),
        ],
    );
}

/// A pipe would block whoever opens it, and a folder can be opened but not read.
#[test]
fn only_files_are_opened() {
    watchdog::in_a_process("verify::pipes_and_folders_in_the_place_of_files");
}

#[test]
#[ignore = "another test runs it in a process of its own"]
fn pipes_and_folders_in_the_place_of_files() {
    let replace = |path: &Path, by: &str| {
        fixture::remove(path);
        let made = std::process::Command::new(by).arg(path).status().unwrap();
        assert!(made.success());
    };
    for format in Format::ALL {
        let shard = format.shard_file(0);
        for name in [shard.as_str(), "_manifest.json", "_rejected.jsonl", "_run.json", "_SUCCESS"] {
            for by in ["mkfifo", "mkdir"] {
                let out = tempfile::tempdir().unwrap();
                let folder = fixture::write_day(out.path(), format, DAY, &fixture::with_rejects());
                replace(&folder.join(name), by);
                let report = verify(&folder).unwrap();
                assert!(named(&report, name, "it is not a file"), "{by} {name}: {}", faults(&report));
                let opened = DayFolder::open(&folder).err();
                let needed = name == "_manifest.json" || name == shard;
                assert_eq!(
                    opened.is_some_and(|error| error.to_string().contains("it is not a file")),
                    needed,
                    "{name}"
                );
            }
        }
    }
}

/// Whoever checks a single file, or something that is none, is told what can be checked.
#[test]
fn a_file_is_no_day() {
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Dense, DAY, &fixture::small());
    let shard = folder.join("shard-00000.safetensors");
    let error = verify(&shard).unwrap_err().to_string();
    let expected =
        "it is not a folder: expected a day's folder (`dt=2025-08-15`), the folder of a format, or an output folder";
    assert_eq!(error, format!("`{}`: {expected}", shard.display()));
}

const MANIFEST: &str = "_manifest.json";
const SHARD: &str = "shard-00000.safetensors";

/// A case of a manifest that is changed, the file at fault, and what is said.
macro_rules! changed {
    ($edit:expr, $file:expr, $said:expr) => {
        (|day| fixture::edit_manifest(day, $edit), $file, $said)
    };
}

/// A manifest that lies under a hash that agrees.
#[test]
fn figures_of_a_manifest_are_compared_with_the_files() {
    // One line each.
    #[rustfmt::skip]
    let cases: [Case; 20] = [
        changed!(|m| m.shards[0].rows += 1, MANIFEST, "its shards have 10 rows, `samples` is 9"),
        changed!(|m| m.statistics.samples = 8, MANIFEST, "`samples` is 8, the files have 9"),
        changed!(|m| m.statistics.labels.get_mut("is_order").unwrap().positives = 3, MANIFEST, "`labels.is_order.positives` is 3, the files have 2"),
        changed!(|m| m.statistics.labels.get_mut("is_order").unwrap().rate = None, MANIFEST, "`labels.is_order.rate` is null"),
        changed!(|m| m.statistics.customers = 6, MANIFEST, "`customers` is 6, the files have 5"),
        changed!(|m| m.statistics.customers_without_history = 0, MANIFEST, "`customers_without_history` is 0, the files have 1"),
        changed!(|m| *m.statistics.actions.get_mut("order").unwrap() = 1, MANIFEST, "`actions.order` is 1, the files have 2"),
        changed!(|m| assert!(m.statistics.actions.insert("view".into(), 0).is_none()), MANIFEST, "the types in `actions` are not exactly add_to_cart, click, order"),
        changed!(|m| m.statistics.history_lengths[2].customers = 7, MANIFEST, "`history_lengths 2 to 3` is 7, the files have 2"),
        changed!(|m| m.statistics.history_lengths[3].to = 7, MANIFEST, "the ranges of `history_lengths` are not those of K = 4: 0 to 0, 1 to 1, 2 to 3, 4 to 7"),
        changed!(|m| m.dt = "2025-08-17".into(), MANIFEST, "it is of 2025-08-17, in the folder of 2025-08-16"),
        changed!(|m| m.dt = "dt=2025-08-16".into(), MANIFEST, "`dt` cannot be parsed as a day: dt=2025-08-16"),
        changed!(|m| m.format = "shardback.csv".into(), MANIFEST, "unknown format: shardback.csv"),
        changed!(|m| m.item_dtype = "u8".into(), MANIFEST, "unknown item dtype: u8"),
        changed!(|m| m.version = 9, MANIFEST, "format version 9, this program reads version 2: use a newer shardback"),
        changed!(|m| m.build = "Z".into(), MANIFEST, "`build` is not a hash: Z"),
        changed!(|m| m.shards[0].hash = "0".repeat(32), SHARD, "the manifest says 00000000"),
        changed!(|m| m.shards[0].rows = 4, SHARD, "it has 5 rows, the manifest says 4"),
        changed!(|m| m.history = u64::MAX, SHARD, "its header says history 4, the manifest says 18446744073709551615"),
        changed!(|m| m.shards[0].file = "../../x".into(), MANIFEST, "shard 0 is in `../../x`"),
    ];
    each(Format::Jagged, false, &fixture::small(), &cases);
}

const REJECTED: &str = "_rejected.jsonl";

#[test]
fn rows_left_out() {
    let cases: [Case; 6] = [
        (
            |day| {
                fixture::edit(&day.join(REJECTED), |bytes| {
                    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').rev().collect();
                    *bytes = lines.concat();
                });
            },
            REJECTED,
            "line 2: out of order",
        ),
        (|day| fixture::cut(&day.join(REJECTED)), REJECTED, "line 2: it does not end in"),
        (|day| fixture::write(&day.join(REJECTED), "{\n"), REJECTED, "line 1: no JSON object"),
        (|day| fixture::write(&day.join(REJECTED), "{}\n"), REJECTED, "it has 1 lines, the manifest says 2"),
        (
            |day| {
                fixture::edit(&day.join(REJECTED), |bytes| {
                    *bytes = String::from_utf8_lossy(bytes).replace("null_item", "bad_item").into_bytes();
                });
            },
            REJECTED,
            "line 1: unknown reason: bad_item",
        ),
        (
            |day| {
                fixture::edit(&day.join(REJECTED), |bytes| {
                    *bytes = String::from_utf8_lossy(bytes).replace("null_item", "null_label").into_bytes();
                });
            },
            REJECTED,
            "1 lines of clicks, null_label; the manifest says 0",
        ),
    ];
    each(Format::Jagged, true, &fixture::with_rejects(), &cases);
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Jagged, DAY, &fixture::with_rejects());
    fixture::edit_manifest(&folder, |manifest| manifest.tables.clear());
    assert!(named(&verify(&folder).unwrap(), "_manifest.json", "its tables reject 0 rows, `rejected` has 2"));
}

#[test]
fn formats_of_one_day_are_compared() {
    let out = tempfile::tempdir().unwrap();
    let content = fixture::small();
    let [parquet, dense, jagged] = Format::ALL.map(|format| fixture::write_day(out.path(), format, DAY, &content));
    fixture::edit_manifest(&dense, |manifest| manifest.build = "0".repeat(32));
    fixture::edit_manifest(&jagged, |manifest| manifest.statistics.smallest_gap_micros = Some(1));
    let report = verify(out.path()).unwrap();
    assert!(named(&report, "dense/dt=2025-08-16/_manifest.json", "another build than the parquet of this day: 0000"));
    assert!(named(&report, "jagged/dt=2025-08-16/_manifest.json", "other figures than the parquet of this day"));
    assert_eq!(report.faults.len(), 2);
    assert_eq!(faults(&verify(&parquet).unwrap()), "");
}

#[test]
fn what_stands_beside_days() {
    let out = tempfile::tempdir().unwrap();
    let content = fixture::small();
    let dense = fixture::write_day(out.path(), Format::Dense, DAY, &content);
    fixture::write_day(out.path(), Format::Jagged, DAY, &content);
    fixture::create_folder(&out.path().join(".staging"));
    fixture::create_folder(&out.path().join("jagged/dt=2025-02-30"));
    fixture::write(&out.path().join("jagged/dt=2025-08-18"), "");
    let report = verify(out.path()).unwrap();
    assert!(named(&report, "jagged/dt=2025-02-30", "does not belong beside days"), "{}", faults(&report));
    assert!(named(&report, "jagged/dt=2025-08-18", "does not belong beside days"));
    assert_eq!((report.faults.len(), report.notes.len()), (2, 1));
    assert!(report.notes[0].contains(".staging"));
    // A day under the folder of another format.
    fixture::create_folder(&out.path().join("parquet"));
    fixture::rename(&dense, &out.path().join("parquet/dt=2025-08-16"));
    let report = verify(out.path()).unwrap();
    assert!(named(&report, "parquet/dt=2025-08-16/_manifest.json", "it is of format dense, in the folder of parquet"));
}

/// A check that found nothing to check has not passed.
#[test]
fn nothing_to_check_is_a_fault() {
    let out = tempfile::tempdir().unwrap();
    fixture::create_folder(&out.path().join("dense"));
    assert!(faults(&verify(out.path()).unwrap()).contains("it has no days"));
    assert!(verify(&out.path().join("none")).is_err());
}

/// One broken day does not hide another, and the order of the faults is that of the days.
#[test]
fn faults_come_in_the_order_of_the_days() {
    let out = tempfile::tempdir().unwrap();
    let days = ["2025-08-14", "2025-08-15", "2025-08-16", "2025-08-17"];
    for (place, dt) in days.into_iter().enumerate() {
        let folder = fixture::write_day(out.path(), Format::Jagged, dt, &fixture::small());
        if place % 2 == 0 {
            fixture::write(&folder.join("_manifest.json"), "");
        } else {
            fixture::remove(&folder.join("_SUCCESS"));
        }
    }
    let report = verify(out.path()).unwrap();
    let paths: Vec<String> = report.faults.iter().map(|fault| fault.path.display().to_string()).collect();
    assert_eq!(paths.len(), 4);
    assert!(paths.iter().zip(days).all(|(path, dt)| path.contains(dt)), "{paths:?}");
    assert_eq!(report, verify(out.path()).unwrap());
}
