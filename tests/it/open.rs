//! Opened days give back what was written, and refuse what is not whole.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use safetensors::SafeTensors;
use shardback::config::Format;
use shardback::error::Error;
use shardback::layout::Role;
use shardback::load;
use shardback::open::{Access, DayFolder, MappedDay, ParquetPart, PlaceKind, Shard, ShardView, find_days};
use shardback::schema::Contents;

use crate::fixture::{self, Content, DAY};
use crate::watchdog;

fn contents() -> [Content; 4] {
    let small = fixture::small();
    let wide = Content { wide_items: true, ..small.clone() };
    let mut large = wide.clone();
    large.customers[0].history[0].0 = i64::MIN;
    large.customers[2].samples[0].0 = i64::MAX;
    let empty = Content { customers: Vec::new(), ..small.clone() };
    [small, wide, large, empty]
}

/// Every row and every history, in every format and both widths of items.
#[test]
fn rows_are_read_back() {
    for content in contents() {
        let out = tempfile::tempdir().unwrap();
        for format in [Format::Dense, Format::Jagged] {
            let folder = fixture::write_day(out.path(), format, DAY, &content);
            let day = DayFolder::open(&folder).unwrap();
            assert_eq!((day.format(), day.shards(), day.day().to_string()), (format, 2, DAY.to_owned()));
            for shard in 0..2 {
                let mapped = day.shard(shard).unwrap();
                let view = mapped.view();
                let expected = fixture::rows(&content, shard);
                assert_eq!((view.len(), mapped.rows()), (expected.len(), expected.len()));
                for (row, (customer, item, label, history)) in expected.iter().enumerate() {
                    let found = view.history(row).unwrap();
                    let types = found.types.iter().copied();
                    assert_eq!(found.items.iter().zip(types).collect::<Vec<_>>(), *history);
                    assert_eq!(view.customer(row), Some(*customer));
                    assert_eq!(view.item_ids().get(row), Some(*item));
                    assert_eq!(view.label()[row], u8::from(*label));
                }
                assert!(view.history(expected.len()).is_none());
            }
        }
    }
}

#[test]
fn parts_are_read_back() {
    for content in contents() {
        let out = tempfile::tempdir().unwrap();
        let folder = fixture::write_day(out.path(), Format::Parquet, DAY, &content);
        let day = DayFolder::open(&folder).unwrap();
        for shard in 0..2 {
            let part = day.part(shard).unwrap();
            let expected = fixture::rows(&content, shard);
            let customers: Vec<i64> = expected.iter().map(|row| row.0).collect();
            assert_eq!((part.rows(), part.customer_ids().unwrap()), (expected.len() as u64, customers));
            let mut found = Vec::new();
            for batch in part.batches(0..part.rows()).unwrap() {
                let batch = batch.unwrap();
                for row in 0..batch.len() {
                    let (items, types) = batch.history(row).unwrap();
                    let history = items.iter().zip(types.iter().map(|&kind| kind as u8)).collect();
                    let item = batch.item_ids().get(row).unwrap();
                    found.push((batch.customer_ids()[row], item, batch.columns()[0][row] == 1, history));
                    assert_eq!(batch.padded(row).unwrap().1.len(), content.history);
                }
            }
            assert_eq!(found, expected);
        }
    }
}

/// The library that defines the format reads these files too, and data begins on a page.
#[test]
fn safetensors_agrees() {
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Jagged, DAY, &fixture::small());
    let bytes = fixture::read(&folder.join("shard-00000.safetensors"));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let shard = Shard::open(&folder.join("shard-00000.safetensors")).unwrap();
    let ShardView::Jagged(view) = shard.view() else { panic!("not jagged") };
    assert_eq!(tensors.tensor("action_types").unwrap().data(), view.action_types);
    assert_eq!(fixture::tensor(&bytes, "customer_id").start, 4096);
    assert_eq!(view.check_windows(), Ok(()));
}

/// The example in the description of the format is a shard of the small day, and its hashes are those used here.
#[test]
fn the_description_shows_a_real_header() {
    let text = include_str!("../../docs/format.md");
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Jagged, DAY, &fixture::small());
    let bytes = fixture::read(&folder.join("shard-00000.safetensors"));
    let header = String::from_utf8(bytes[8..4096].to_vec()).unwrap();
    let (metadata, tensors) = header.trim_end().split_once(",\"customer_id\"").unwrap();
    let (figures, counts) = metadata.split_once("\"rows\"").unwrap();
    assert!(text.contains(figures) && text.contains(&format!("\"rows\"{counts}")), "{metadata}");
    let fragments: Vec<&str> = tensors.split_inclusive('}').filter(|fragment| fragment.len() > 1).collect();
    assert_eq!((fragments.len(), bytes.len()), (8, 4216));
    for fragment in fragments {
        assert!(text.contains(fragment.trim_start_matches([',', ':'])), "{fragment}");
    }
    for customer in [1, 3] {
        assert!(text.contains(&format!("0x{:016X}", shardback::event::customer_hash(customer))));
    }
}

#[test]
fn a_window_out_of_range_is_never_followed() {
    let out = tempfile::tempdir().unwrap();
    let content = fixture::small();
    let folder = fixture::write_day(out.path(), Format::Jagged, DAY, &content);
    // The second customer of the first shard.
    let (shard, row) = fixture::place_of(&content, 7);
    let request = 1;
    let path = folder.join(Format::Jagged.shard_file(shard));
    for start in [i64::MIN, -1, 1 << 40, i64::MAX] {
        fixture::set(&path, "history_start", request, start.to_le_bytes());
        let opened = Shard::open(&path).unwrap();
        let ShardView::Jagged(view) = opened.view() else { panic!("not jagged") };
        assert!(view.history(row).is_none());
        assert!(
            view.check_windows().unwrap_err().starts_with(&format!("request 1: start {start}, length 4 is out of"))
        );
    }
}

fn refused(path: &Path) -> String {
    Shard::open(path).unwrap_err().to_string()
}

/// Headers that lie: about lengths, figures, offsets; each with what is said of it.
#[test]
fn headers_are_checked_to_the_byte() {
    let cases: [(&str, &str, &str); 13] = [
        ("\"history\":\"4\"", "\"history\":\"5\"", "`actions` in its header is"),
        ("\"rows\":\"", "\"rows\":\"1", "in its header is"),
        ("\"rows\":\"", "\"rows\":\"x", "`rows` in its header is not a number: x"),
        ("shardback.dense", "shardback.other", "unknown format in its header: shardback.other"),
        (
            "\"version\":\"2\"",
            "\"version\":\"1\"",
            "format version 1, this program reads version 2: build the day again",
        ),
        ("2025-08-16", "2025-02-30", "`dt` in its header cannot be parsed as a day: 2025-02-30"),
        ("\"item_id\":{\"dtype\":\"I32\"", "\"item_id\":{\"dtype\":\"F32\"", "is F32, expected I32 or I64"),
        ("\"dtype\":\"BOOL\"", "\"dtype\":\"U8\"", "`is_order` in its header is"),
        ("\"data_offsets\":[0,", "\"data_offsets\":[8,", "`customer_id` in its header is"),
        ("\"shard\":\"0\"", "\"shard\":\"00\"", "`__metadata__` in its header is"),
        ("}}", "},\"more\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", "not in canonical form"),
        (",\"is_order\"", ", \"is_order\"", "not in canonical form"),
        ("{\"__metadata__\"", "[\"__metadata__\"", "its header is not a JSON object"),
    ];
    for (from, to, problem) in cases {
        let out = tempfile::tempdir().unwrap();
        let folder = fixture::write_day(out.path(), Format::Dense, DAY, &fixture::small());
        let path = folder.join("shard-00000.safetensors");
        fixture::edit_header(&path, from, to);
        let said = refused(&path);
        assert!(said.contains(problem), "{from} to {to}: {said}");
    }
}

#[test]
fn lengths_that_overflow_are_errors() {
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Jagged, DAY, &fixture::small());
    let path = folder.join("shard-00000.safetensors");
    let whole = fixture::read(&path);
    for length in [u64::MAX, u64::MAX - 7, 1 << 63, 1 << 20, 8184, 4089, 0] {
        let mut bytes = whole.clone();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        fixture::write(&path, bytes);
        assert!(refused(&path).contains("header") || refused(&path).contains("data begins at"), "{length}");
    }
    for huge in ["18446744073709551615", "4611686018427387904", "2305843009213693952"] {
        fixture::write(&path, &whole);
        fixture::edit_header(&path, "\"actions\":\"", &format!("\"actions\":\"{huge}\",\"x\":\""));
        assert!(refused(&path).contains("header"), "{huge}");
    }
    for length in [0, 7, 8, 4095, 4096, whole.len() - 1] {
        fixture::write(&path, &whole[..length]);
        let said = refused(&path);
        assert!(said.contains("cut off") || said.contains("bytes"), "{length}: {said}");
    }
}

#[test]
fn a_day_whose_files_do_not_fit_its_manifest_is_refused() {
    type Break = fn(&Path);
    let cases: [(Break, &str); 4] = [
        (|folder| fixture::remove(&folder.join("shard-00001.safetensors")), "cannot read"),
        (|folder| fixture::edit(&folder.join("shard-00001.safetensors"), |bytes| bytes.push(0)), "the manifest says"),
        (|folder| fixture::edit_manifest(folder, |manifest| manifest.shards.swap(0, 1)), "expected `shard-00000.safe"),
        (
            |folder| fixture::edit_manifest(folder, |manifest| manifest.dt = "2025-08-17".into()),
            "in the folder of 2025-08-16",
        ),
    ];
    for (damage, problem) in cases {
        let out = tempfile::tempdir().unwrap();
        let folder = fixture::write_day(out.path(), Format::Jagged, DAY, &fixture::small());
        damage(&folder);
        let said = DayFolder::open(&folder).unwrap_err().to_string();
        assert!(said.contains(problem), "{said}");
    }
}

/// A shard of another day or another place, put where it does not belong.
#[test]
fn a_shard_in_the_place_of_another_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Jagged, DAY, &fixture::small());
    let bytes = fixture::read(&folder.join("shard-00001.safetensors"));
    fixture::write(&folder.join("shard-00000.safetensors"), bytes);
    fixture::rehash(&folder);
    let said = DayFolder::open(&folder).unwrap().shard(0).unwrap_err().to_string();
    assert!(said.contains("its header says shard 1, the manifest says 0"), "{said}");
}

#[test]
fn days_are_found_below_a_day_a_format_and_an_output() {
    let out = tempfile::tempdir().unwrap();
    let content = fixture::small();
    for (format, dt) in [(Format::Jagged, "2025-08-17"), (Format::Jagged, DAY), (Format::Parquet, DAY)] {
        fixture::write_day(out.path(), format, dt, &content);
    }
    let names = |path: &Path| {
        let found = find_days(path).unwrap();
        let name = |folder: &Path| folder.strip_prefix(out.path()).unwrap().display().to_string();
        (found.kind, found.days.iter().map(|place| name(&place.folder)).collect::<Vec<_>>())
    };
    let all = ["parquet/dt=2025-08-16", "jagged/dt=2025-08-16", "jagged/dt=2025-08-17"].map(str::to_owned);
    assert_eq!(names(out.path()), (PlaceKind::Output, all.to_vec()));
    assert_eq!(names(&out.path().join("jagged")), (PlaceKind::Format, all[1..].to_vec()));
    assert_eq!(names(&out.path().join("jagged/dt=2025-08-17")), (PlaceKind::Day, all[2..].to_vec()));
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(find_days(elsewhere.path()).unwrap_err().to_string().contains("no days here"));
    assert!(find_days(&elsewhere.path().join("none")).unwrap_err().to_string().starts_with("cannot read"));
}

/// The page's type is made one that the decoder does not expect before data: it panics, and that must not get out.
#[test]
fn a_decoder_that_gives_up_is_an_error() {
    let out = tempfile::tempdir().unwrap();
    let folder = fixture::write_day(out.path(), Format::Parquet, DAY, &fixture::small());
    let path = folder.join("part-00000.parquet");
    fixture::edit(&path, |bytes| bytes[5] = 2);
    let part = ParquetPart::open(&path, &Contents::built_in()).unwrap();
    let said = part.batches(0..part.rows()).unwrap().find_map(Result::err).unwrap().to_string();
    assert!(said.contains("not readable Parquet: ") && said.contains("damaged: "), "{said}");
}

/// A day of other items than the small one, of the same shape: nothing but the items tells their files apart.
fn other_build(content: &Content) -> Content {
    let mut other = content.clone();
    for customer in &mut other.customers {
        customer.samples.iter_mut().for_each(|sample| sample.0 += 1000);
    }
    other
}

/// Whether all rows of a day are of one of two builds: `true` for those of [`other_build`].
fn is_other(day: &MappedDay) -> bool {
    let rows: Vec<bool> = day
        .shards()
        .iter()
        .flat_map(|shard| shard.view().item_ids().iter().map(|item| item >= 900).collect::<Vec<_>>())
        .collect();
    assert!(rows.iter().all(|&row| row == rows[0]), "shards of two builds: {rows:?}");
    rows[0]
}

/// What a day's folder was opened as is what it stays, whatever is put in its place: a manifest never goes with another's shards.
#[test]
fn an_open_day_is_of_one_build() {
    for format in Format::ALL {
        let out = tempfile::tempdir().unwrap();
        let place = fixture::write_day(out.path(), format, DAY, &fixture::small());
        let new = fixture::write_day(&out.path().join("new"), format, DAY, &other_build(&fixture::small()));
        let day = DayFolder::open(&place).unwrap();
        let old = out.path().join("old");
        fixture::rename(&place, &old);
        fixture::rename(&new, &place);
        let first_item = |day: &DayFolder| match format {
            Format::Parquet => {
                let part = day.part(0).unwrap();
                part.batches(0..1).unwrap().next().unwrap().unwrap().item_ids().get(0).unwrap()
            }
            _ => day.shard(0).unwrap().view().item_ids().get(0).unwrap(),
        };
        assert!(first_item(&day) < 900, "{}", format.name());
        assert!(first_item(&DayFolder::open(&place).unwrap()) >= 900);
        // What was replaced is deleted at last: then there is nothing to open, and nothing else is.
        std::fs::remove_dir_all(&old).unwrap();
        match format {
            Format::Parquet => assert!(day.part(0).is_err()),
            _ => assert!(day.shard(0).is_err()),
        }
    }
}

/// A day that has been mapped as a whole is not held open; what is opened of it later is still of its build.
#[test]
fn a_mapped_day_knows_when_it_was_replaced() {
    let out = tempfile::tempdir().unwrap();
    let place = fixture::write_day(out.path(), Format::Jagged, DAY, &fixture::small());
    let new = fixture::write_day(&out.path().join("new"), Format::Jagged, DAY, &other_build(&fixture::small()));
    let day = MappedDay::open(&place).unwrap();
    day.folder().shard(1).unwrap();
    fixture::rename(&place, &out.path().join("old"));
    fixture::rename(&new, &place);
    let error = day.folder().shard(1).unwrap_err().to_string();
    assert!(error.contains("it was replaced since it was opened"), "{error}");
    assert!(!is_other(&day));
}

/// Opened again and again while builds replace it back to back, a day is always whole and of one build, and never not there.
#[test]
fn a_day_that_is_replaced_again_and_again_is_opened_whole() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let out = tempfile::tempdir().unwrap();
    let small = Content { shards: 40, ..fixture::small() };
    let place = fixture::write_day(out.path(), Format::Jagged, DAY, &small);
    let done = AtomicBool::new(false);
    /// Also where an assertion fails, whoever replaces the day must come to an end.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        let _end = End(&done);
        scope.spawn(|| {
            for number in 0.. {
                let content = if number % 2 == 0 { other_build(&small) } else { small.clone() };
                let staged = fixture::write_day(&out.path().join("staging"), Format::Jagged, DAY, &content);
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(rustix::fs::CWD, &staged, rustix::fs::CWD, &place, flags).unwrap();
                std::fs::remove_dir_all(&staged).unwrap();
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let mut seen = [0; 2];
        for number in 0..400 {
            seen[usize::from(is_other(&MappedDay::open(&place).unwrap()))] += 1;
            if number % 20 == 0 {
                let report = shardback::verify::verify(&place).unwrap();
                assert_eq!(report.faults, []);
                let wanted = shardback::inspect::Selection { rows: 3, customer: None };
                assert_eq!(shardback::inspect::inspect(&place, wanted).unwrap().rows.len(), 3);
            }
        }
        assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
    });
}

/// Whether this system can tell that a mapped file was cut.
fn tells_of_cuts() -> bool {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(5), Some(14))
}

/// A file that is cut while it is mapped would end the process; asked first, it is an error. One that was read is as it was.
#[test]
fn a_shard_that_is_cut_is_an_error_and_no_signal() {
    let content = Content { history: 4000, ..fixture::small() };
    for access in [Access::Map, Access::Read] {
        let out = tempfile::tempdir().unwrap();
        let folder = fixture::write_day(out.path(), Format::Dense, DAY, &content);
        let day = MappedDay::open_with(&folder, access).unwrap();
        day.check().unwrap();
        let path = folder.join(Format::Dense.shard_file(0));
        let whole = fixture::read(&path);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(whole.len() as u64 / 2).unwrap();
        let rows = [0, 1];
        let mut out = (vec![0; 8000], vec![0; 8000], vec![0; 2], vec![0; 2], vec![0; 2]);
        let mut filled = || {
            load::fill::<i32, u8>(
                &day,
                &rows,
                4000,
                load::Out {
                    actions: &mut out.0,
                    action_types: &mut out.1,
                    impressions: &mut out.2,
                    lengths: &mut out.3,
                    is_order: &mut out.4,
                },
            )
        };
        if access == Access::Read {
            day.check().unwrap();
            filled().unwrap();
            assert_eq!(day.shards()[0].bytes(Role::Actions), &whole[fixture::tensor(&whole, "actions")]);
        } else if tells_of_cuts() {
            let error = filled().unwrap_err();
            assert!(matches!(&error, Error::Corrupt { path: at, .. } if *at == path), "{error}");
            assert!(load::longest(&day, &rows).is_err() && day.check().is_err());
            assert!(MappedDay::open_with(&folder, access).is_err(), "it has another size than its manifest says");
        }
    }
}

/// What stands in a manifest's place is read as far as a manifest can be, and not waited for.
#[test]
fn no_file_in_a_manifests_place_is_read_for_ever() {
    watchdog::in_a_process("open::whatever_stands_in_a_manifests_place");
}

#[test]
#[ignore = "another test runs it in a process of its own"]
fn whatever_stands_in_a_manifests_place() {
    type Put = fn(&Path);
    let puts: [(Put, &str); 5] = [
        (
            |path| {
                rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap()
            },
            "it is not a file",
        ),
        (|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(), "it is not a file"),
        (|path| std::os::unix::fs::symlink("/dev/tty", path).unwrap(), ""),
        (|path| fixture::create_folder(path), "it is not a file"),
        (
            |path| {
                fixture::write(path, "{");
                std::fs::File::options().write(true).open(path).unwrap().set_len(8 << 30).unwrap();
            },
            "it is larger than any manifest",
        ),
    ];
    for (put, problem) in puts {
        let out = tempfile::tempdir().unwrap();
        let folder = fixture::write_day(out.path(), Format::Jagged, DAY, &fixture::small());
        fixture::remove(&folder.join("_manifest.json"));
        put(&folder.join("_manifest.json"));
        for error in [DayFolder::open(&folder).unwrap_err(), MappedDay::open(&folder).unwrap_err()] {
            assert!(error.to_string().contains(problem), "{problem}: {error}");
        }
        let report = shardback::verify::verify(&folder).unwrap();
        assert!(report.faults[0].problem.contains(problem), "{problem}: {:?}", report.faults);
        let wanted = shardback::inspect::Selection { rows: 3, customer: None };
        assert!(shardback::inspect::inspect(&folder, wanted).is_err());
    }
}

/// A K that no build takes is refused where it is read: what is computed from it would not fit.
#[test]
fn an_impossible_history_is_refused() {
    for history in [0, (1 << 16) + 1, 1 << 31, 1 << 63, u64::MAX] {
        let out = tempfile::tempdir().unwrap();
        let folder = fixture::write_day(out.path(), Format::Jagged, DAY, &fixture::small());
        let shard = folder.join(Format::Jagged.shard_file(0));
        fixture::edit_header(&shard, r#""history":"4""#, &format!(r#""history":"{history}""#));
        assert!(
            Shard::open(&shard).unwrap_err().to_string().contains(&format!("in its header `history` is {history}"))
        );
        fixture::edit_manifest(&folder, |manifest| manifest.history = history);
        fixture::rehash(&folder);
        let error = MappedDay::open(&folder).unwrap_err().to_string();
        assert!(error.contains(&format!("`history` is {history}, not between 1 and 65536")), "{error}");
        let report = shardback::verify::verify(&folder).unwrap();
        assert!(
            report.faults.iter().any(|fault| fault.problem.contains("not between 1 and 65536")),
            "{:?}",
            report.faults
        );
    }
}
