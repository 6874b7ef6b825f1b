//! Protects: one run per output, files that are whole and durable, days that are old or new whatever stops a run.

#![expect(clippy::disallowed_methods, reason = "the tests set up folders by hand")]
#![expect(clippy::expect_used, reason = "a test stops where its set-up fails")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;
use shardback::config::Format;
use shardback::error::{Error, Result};
use shardback::event::Day;
use shardback::fsio::{self, FileWriter, Folder, Output, STAGING_FOLDER, SpillFolder, StagedFile, Written};
use shardback::manifest::hash_hex;
use tempfile::TempDir;

use crate::shim::{FaultRun, assert_durable, contents};
use crate::tables::message;

const DAY: Day = Day(20_316);
const FORMATS: [Format; 2] = [Format::Parquet, Format::Jagged];

/// Puts a day of two files per format into the output; the files say `text`.
fn build(output: &Output, text: &str, replace_non_atomic: bool) -> Result<()> {
    output.check_replace(&[DAY], &FORMATS, replace_non_atomic)?;
    let staged = output.stage(DAY, &FORMATS)?;
    for format in FORMATS {
        let mut file = staged.folder(format)?.create("data", 100)?;
        file.write(text.as_bytes())?;
        file.finish()?.1.sync()?;
        staged.folder(format)?.write_file("mark", text.as_bytes())?;
    }
    output.publish(staged, &FORMATS.map(|_| files(text)), replace_non_atomic)
}

/// The files of a format of a day that says `text`.
fn files(text: &str) -> Vec<StagedFile> {
    ["data", "mark"].map(|name| StagedFile { name: name.to_owned(), bytes: text.len() as u64 }).to_vec()
}

/// A run from its start to its end, as the pipeline makes it.
///
/// A process that another test has just forked holds the lock of a run that is over until it becomes its program.
fn run(out: &Path, text: &str, replace_non_atomic: bool) -> Result<()> {
    let mut opened = Output::open(out);
    for _ in 0..100 {
        if !matches!(opened, Err(Error::Locked { .. })) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        opened = Output::open(out);
    }
    let output = opened?;
    let result = build(&output, text, replace_non_atomic);
    let cleaned = output.clean();
    result.and(cleaned)
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().canonicalize().expect("it exists");
    (folder, path)
}

/// Stops the test unless the day is whole and all its files say `text`.
fn assert_says(day: &Path, text: &str) {
    let expected = ["data", "mark"].map(|name| (PathBuf::from(name), text.as_bytes().to_vec()));
    assert_eq!(contents(day), expected.into(), "{}", day.display());
}

#[test]
fn a_second_run_over_the_same_output_is_refused_until_the_first_ends() {
    let (_guard, root) = folder();
    let out = root.join("a/b/out");
    let first = Output::open(&out).expect("parents are created");
    let staged = first.stage(DAY, &FORMATS).expect("staged");
    let error = Output::open(&out).expect_err("locked");
    assert!(matches!(&error, Error::Locked { path } if *path == out), "{error}");
    assert!(staged.folder(Format::Jagged).expect("staged").path().is_dir(), "a run that is refused touches nothing");
    drop(first);
    Output::open(&out).expect("free again");
}

#[test]
fn what_a_dead_run_left_is_removed_and_days_are_not() {
    let (_guard, out) = folder();
    run(&out, "old", false).expect("published");
    fs::create_dir_all(out.join(STAGING_FOLDER).join("dt=2025-08-16/parquet")).expect("created");
    fs::write(out.join(STAGING_FOLDER).join("stray"), "x").expect("written");
    drop(Output::open(&out).expect("opened"));
    assert!(!out.join(STAGING_FOLDER).exists());
    for format in FORMATS {
        assert_says(&out.join(format.name()).join("dt=2025-08-16"), "old");
    }
}

#[test]
fn an_output_that_cannot_be_says_why() {
    let (_guard, root) = folder();
    let file = root.join("file");
    fs::write(&file, "x").expect("written");
    let error = Output::open(&file).expect_err("no folder");
    assert_eq!(message(&error), format!("cannot create folder `{}`: not a directory", file.display()));
    let error = Output::open(&file.join("out")).expect_err("no folder above");
    assert!(message(&error).contains(&format!("`{}`", file.display())), "{error}");
}

#[test]
fn a_day_is_put_in_place_and_replaced() {
    let (_guard, out) = folder();
    let output = Output::open(&out).expect("opened");
    for text in ["first", "second"] {
        build(&output, text, false).expect("published");
        for format in FORMATS {
            assert_says(&output.day_folder(format, DAY), text);
        }
        assert!(contents(&out.join(STAGING_FOLDER)).is_empty(), "what was replaced is gone");
    }
    output.clean().expect("cleaned");
    assert_eq!(fs::read_dir(&out).expect("readable").count(), FORMATS.len(), "nothing beside the formats");
}

#[test]
fn a_day_behind_a_link_is_replaced_and_what_it_leads_to_stays() {
    let (_guard, root) = folder();
    let (out, elsewhere) = (root.join("out"), root.join("elsewhere"));
    fs::create_dir_all(out.join("jagged")).expect("created");
    fs::create_dir(&elsewhere).expect("created");
    fs::write(elsewhere.join("keep"), "x").expect("written");
    symlink(&elsewhere, out.join("jagged/dt=2025-08-16")).expect("linked");
    run(&out, "new", false).expect("published");
    assert_says(&out.join("jagged/dt=2025-08-16"), "new");
    assert_eq!(fs::read(elsewhere.join("keep")).expect("still there"), b"x");
}

#[test]
fn a_format_on_another_file_system_is_refused_at_the_start() {
    let (_guard, out) = folder();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    symlink(elsewhere.path(), out.join("jagged")).expect("linked");
    let output = Output::open(&out).expect("opened");
    let error = output.check_replace(&[DAY], &[Format::Jagged], true).expect_err("outside of the output");
    assert!(matches!(&error, Error::Corrupt { path, .. } if *path == out.join("jagged")), "{error}");
}

#[test]
fn a_day_cannot_be_staged_twice() {
    let (_guard, out) = folder();
    let output = Output::open(&out).expect("opened");
    output.stage(DAY, &FORMATS).expect("staged");
    let error = output.stage(DAY, &FORMATS).expect_err("not fresh");
    assert!(matches!(&error, Error::Io { action: "create folder", .. }), "{error}");
}

#[test]
fn a_file_is_hashed_counted_and_cut_to_what_was_written() {
    let (_guard, root) = folder();
    let folder = Folder::open(&root).expect("there");
    let bytes: Vec<u8> = (0..30_000_000u32).map(|number| (number % 251) as u8).collect();
    // Small pieces, pieces as large as the buffer and larger, and both ways of writing.
    for (name, length, piece, expected) in [
        ("a", 3_000_000, 1000, None),
        ("b", 3_000_000, 1 << 20, Some(3_500_000)),
        ("c", 3_000_000, 2_500_000, Some(10)),
        ("direct", 3_000_000, 700_001, Some(64 << 20)),
        ("many buffers", 30_000_000, 700_001, Some(64 << 20)),
    ] {
        let bytes = &bytes[..length];
        let path = root.join(name);
        let created = expected.map_or_else(|| FileWriter::create(&path), |bytes| folder.create(name, bytes));
        let mut file = created.expect("created");
        for (number, part) in bytes.chunks(piece).enumerate() {
            if number % 2 == 0 {
                file.write(part).expect("written");
            } else {
                file.write_all(part).expect("written");
            }
        }
        let (Written { bytes: length, hash }, unsynced) = file.finish().expect("finished");
        unsynced.sync().expect("synced");
        assert!(fs::read(&path).expect("readable") == *bytes, "{name} holds other bytes");
        assert_eq!((length, format!("{hash:032x}")), (bytes.len() as u64, hash_hex(bytes)), "{name}");
    }
    let (empty, _) = folder.create("d", 1000).expect("created").finish().expect("finished");
    assert_eq!((empty.bytes, fs::read(root.join("d")).expect("readable").len()), (0, 0));
}

#[test]
fn modes_follow_the_umask() {
    let (_guard, root) = folder();
    fs::write(root.join("plain"), "x").expect("written");
    fs::create_dir(root.join("folder")).expect("created");
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o7777;
    run(&root.join("out"), "x", false).expect("published");
    let day = root.join("out/parquet/dt=2025-08-16");
    // The plain ways give 0666 and 0777 without the umask, which is the process's and must not change under other tests.
    assert_eq!(mode(&day.join("data")), mode(&root.join("plain")));
    assert_eq!(mode(&day), mode(&root.join("folder")));
    assert_eq!(mode(&root.join("plain")) & 0o600, 0o600);
}

#[test]
fn what_cannot_be_written_is_named() {
    let (_guard, root) = folder();
    fsio::write_file(&root.join("once"), b"x").expect("written");
    let error = fsio::write_file(&root.join("once"), b"y").expect_err("there already");
    assert!(message(&error).starts_with(&format!("cannot create `{}`: ", root.join("once").display())), "{error}");
    // Far more than any disk has.
    let path = root.join("huge");
    let error = Folder::open(&root).expect("there").create("huge", 1 << 60).err().expect("no room");
    assert!(message(&error).starts_with(&format!("cannot reserve space for `{}`: ", path.display())), "{error}");
}

/// Is also the child process of the tests below: a run over the folder that the environment names.
#[test]
fn one_run() {
    let (_guard, fresh) = folder();
    let out = std::env::var_os("FSIO_OUT").map_or(fresh, PathBuf::from);
    let text = std::env::var("FSIO_TEXT").unwrap_or_else(|_| "text".to_owned());
    run(&out, &text, std::env::var_os("FSIO_NON_ATOMIC").is_some())
        .unwrap_or_else(|error| panic!("failed: {}", message(&error)));
    for format in FORMATS {
        assert_says(&out.join(format.name()).join("dt=2025-08-16"), &text);
    }
}

fn child(out: &Path, non_atomic: bool) -> FaultRun {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "fsio::one_run"]).env("FSIO_OUT", out).env("FSIO_TEXT", "new");
    if non_atomic {
        command.env("FSIO_NON_ATOMIC", "1");
    }
    FaultRun::new(command, out)
}

/// How many formats are new, when the first ones are and the rest are old.
fn count_new(out: &Path) -> usize {
    let days = FORMATS.map(|format| out.join(format.name()).join("dt=2025-08-16"));
    let new = days.iter().take_while(|day| fs::read(day.join("data")).is_ok_and(|data| data == b"new")).count();
    for (number, day) in days.iter().enumerate() {
        assert_says(day, if number < new { "new" } else { "old" });
    }
    new
}

#[test]
fn everything_is_synced_before_it_is_seen_or_deleted() {
    for replaces in [false, true] {
        let (_guard, out) = folder();
        if replaces {
            run(&out, "old", false).expect("published");
        }
        let outcome = child(&out, false).run().expect_code(0);
        assert_durable(&outcome.calls, &out.join(STAGING_FOLDER));
        let exchanged = outcome.calls.iter().filter(|call| call.name == "exchange").count();
        assert_eq!(exchanged, if replaces { 1 + FORMATS.len() } else { 0 }, "{:?}", outcome.calls);
    }
}

#[test]
fn a_run_killed_at_any_call_leaves_each_format_old_or_new() {
    let mut seen = [0; FORMATS.len() + 1];
    for number in 1.. {
        let (_guard, out) = folder();
        run(&out, "old", false).expect("published");
        let outcome = child(&out, false).kill_at(number).run();
        seen[count_new(&out)] += 1;
        run(&out, "new", false).expect("the next run gets through");
        assert_eq!(count_new(&out), FORMATS.len());
        assert!(!out.join(STAGING_FOLDER).exists());
        if !outcome.killed() {
            outcome.expect_code(0);
            break;
        }
    }
    assert!(seen.iter().all(|&count| count > 0), "kills before, between and after the renames: {seen:?}");
}

#[test]
fn a_call_that_fails_stops_the_run_and_names_the_path() {
    for error in [Errno::NOSPC, Errno::IO] {
        for number in 1.. {
            let (_guard, out) = folder();
            run(&out, "old", false).expect("published");
            let outcome = child(&out, false).fail_at(number, error).run();
            count_new(&out);
            if number > outcome.calls.len() {
                outcome.expect_code(0);
                break;
            }
            let (said, call) = (String::from_utf8_lossy(&outcome.output.stdout), outcome.calls[number - 1].clone());
            let message = format!("{}{said}", outcome.stderr());
            assert!(!outcome.output.status.success(), "{call:?} failed unseen");
            assert!(message.contains(&std::io::Error::from(error).to_string()), "{call:?}: {message}");
            assert!(
                message.contains("failed: cannot ") && message.contains(&*out.to_string_lossy()),
                "{call:?}: {message}"
            );
            // A call that fails while cleaning up leaves that for the next run.
            if call.name != "unlink" {
                assert!(!out.join(STAGING_FOLDER).exists(), "{call:?}");
            }
        }
    }
}

#[test]
fn without_exchange_a_replacement_is_refused_at_the_start_or_done_in_two_steps() {
    let (_guard, out) = folder();
    child(&out, false).without_exchange().run().expect_code(0);
    fs::remove_dir_all(&out).expect("removed");
    run(&out, "old", false).expect("published");
    let outcome = child(&out, false).without_exchange().run().expect_code(101);
    let message = format!("{}{}", outcome.stderr(), String::from_utf8_lossy(&outcome.output.stdout));
    assert!(message.contains("`replace_non_atomic`"), "{message}");
    assert!(!outcome.calls.iter().any(|call| call.name == "write"), "it is refused before any work");
    assert_eq!(count_new(&out), 0);

    let outcome = child(&out, true).without_exchange().run().expect_code(0);
    assert_durable(&outcome.calls, &out.join(STAGING_FOLDER));
    assert_eq!(count_new(&out), FORMATS.len());
}

#[test]
fn a_replacement_in_two_steps_that_is_killed_is_put_right_by_the_next_run() {
    let mut missing = 0;
    for number in 1.. {
        let (_guard, out) = folder();
        run(&out, "old", false).expect("published");
        let outcome = child(&out, true).without_exchange().kill_at(number).run();
        missing += usize::from(FORMATS.iter().any(|format| !out.join(format.name()).join("dt=2025-08-16").exists()));
        drop(Output::open(&out).expect("opened"));
        count_new(&out);
        if !outcome.killed() {
            outcome.expect_code(0);
            break;
        }
    }
    assert_eq!(missing, FORMATS.len(), "one kill per format falls between the two steps");
}

/// Everything below a folder, with what links lead to and what files hold.
fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let look = |entry: walkdir::Result<walkdir::DirEntry>| {
        let entry = entry.expect("readable");
        let content = if entry.file_type().is_file() { fs::read(entry.path()).expect("readable") } else { Vec::new() };
        (entry.into_path(), content)
    };
    entries.map(look).collect()
}

/// Whoever may write to an output can put links into it, and must not get a run to touch what they lead to.
#[test]
fn links_in_an_output_lead_a_run_nowhere() {
    let (_guard, root) = folder();
    let (out, elsewhere) = (root.join("out"), root.join("elsewhere"));
    for folder in ["dt=2025-08-16/jagged", "run", "dt=2025-08-16/parquet.old"] {
        fs::create_dir_all(elsewhere.join(folder)).expect("created");
    }
    fs::write(elsewhere.join("id_rsa"), "x").expect("written");
    fs::write(elsewhere.join("dt=2025-08-16/jagged/keep"), "x").expect("written");
    let before = everything(&elsewhere);
    // In place of the staging, of a folder in it, of a file that a killed run left, and of the folders of its days.
    for place in [STAGING_FOLDER, ".staging/link", ".staging/dt=2025-08-16", ".staging/dt=2025-08-16/jagged"] {
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(out.join(place).parent().expect("not the root")).expect("created");
        symlink(&elsewhere, out.join(place)).expect("linked");
        run(&out, "new", false).expect("published");
        assert_says(&out.join("jagged/dt=2025-08-16"), "new");
        assert!(!out.join(STAGING_FOLDER).exists());
        assert_eq!(everything(&elsewhere), before, "{place}");
    }
    // In place of the folder of a format.
    fs::remove_dir_all(&out).expect("removed");
    fs::create_dir_all(&out).expect("created");
    symlink(&elsewhere, out.join("jagged")).expect("linked");
    let error = run(&out, "new", false).expect_err("refused");
    assert!(matches!(&error, Error::Corrupt { path, .. } if *path == out.join("jagged")), "{error}");
    assert_eq!(everything(&elsewhere), before);
}

/// A link or a folder of somebody else's that takes the place of the staging while a run is at work is not published.
#[test]
fn what_takes_the_place_of_the_staging_is_not_published() {
    type Swap = fn(&Path, &Path);
    let swaps: [Swap; 3] = [
        |out, elsewhere| {
            fs::rename(out.join(STAGING_FOLDER), out.join("aside")).expect("renamed");
            symlink(elsewhere, out.join(STAGING_FOLDER)).expect("linked");
        },
        |out, elsewhere| {
            let staged = out.join(STAGING_FOLDER).join("dt=2025-08-16/jagged");
            fs::rename(&staged, out.join("aside")).expect("renamed");
            symlink(elsewhere.join("dt=2025-08-16/jagged"), staged).expect("linked");
        },
        |out, _| {
            let staged = out.join(STAGING_FOLDER).join("dt=2025-08-16/jagged");
            fs::write(staged.join("stray"), "x").expect("written");
        },
    ];
    for (number, swap) in swaps.into_iter().enumerate() {
        let (_guard, root) = folder();
        let (out, elsewhere) = (root.join("out"), root.join("elsewhere"));
        for format in FORMATS {
            let day = elsewhere.join("dt=2025-08-16").join(format.name());
            fs::create_dir_all(&day).expect("created");
            fs::write(day.join("data"), "evil").expect("written");
        }
        let before = everything(&elsewhere);
        let output = Output::open(&out).expect("opened");
        let staged = output.stage(DAY, &FORMATS).expect("staged");
        swap(&out, &elsewhere);
        for format in FORMATS {
            for name in ["data", "mark"] {
                staged.folder(format).expect("staged").write_file(name, b"new").expect("written");
            }
        }
        let published = output.publish(staged, &FORMATS.map(|_| files("new")), false);
        // The first swap only moves the staging, which is held open; the others are seen.
        assert_eq!(published.is_ok(), number == 0, "{number}: {published:?}");
        for format in FORMATS.into_iter().filter(|&format| output.day_folder(format, DAY).exists()) {
            assert_says(&output.day_folder(format, DAY), "new");
        }
        output.clean().expect("cleaned");
        assert_eq!(everything(&elsewhere), before, "{number}");
    }
}

/// What a cluster's run left behind, half taken away, does not keep the next run from starting.
#[test]
fn a_run_that_was_being_ended_does_not_stop_the_next_one() {
    let (_guard, out) = folder();
    for name in ["run", "over-run", "over-0-run", "over-1-run"] {
        fs::create_dir_all(out.join(STAGING_FOLDER).join(name).join("attempt")).expect("created");
    }
    run(&out, "new", false).expect("published");
    assert!(!out.join(STAGING_FOLDER).exists());
}

/// A bit that changes on its way to the disk and back is an error that says where, and nothing is read from there.
#[test]
fn spilled_blocks_are_compared_when_they_are_read_back() {
    use std::os::unix::fs::FileExt;
    let (_guard, root) = folder();
    let spill = SpillFolder::new(&root);
    let file = spill.file().expect("created");
    let bytes: Vec<u8> = (0..10_000u32).flat_map(u32::to_le_bytes).collect();
    let blocks = file.append(&bytes, &[4_000, 4_000, 40_000]).expect("written");
    assert_eq!(blocks.iter().map(|block| block.bytes()).collect::<Vec<_>>(), [4_000, 0, 36_000]);
    assert_eq!(file.read::<u32>(&blocks[2]).expect("read"), (1_000..10_000).collect::<Vec<u32>>());
    assert_eq!(fs::read_dir(&root).expect("readable").count(), 0, "it has no name");
    // The only way to a file without a name: as this process has it open.
    let open = fs::read_dir("/proc/self/fd").expect("readable").map(|entry| entry.expect("readable").path());
    let is_spill = |path: &PathBuf| fs::read_link(path).is_ok_and(|target| target.starts_with(&root));
    let path = open.into_iter().find(is_spill).expect("it is open");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let handle = fs::File::options().read(true).write(true).open(&path).expect("opened");
    for place in [0, 3_999, 4_000, 39_999] {
        let mut byte = [0];
        handle.read_exact_at(&mut byte, place).expect("read");
        for bit in [1, 128] {
            handle.write_all_at(&[byte[0] ^ bit], place).expect("written");
            let hit = usize::from(place >= 4_000) * 2;
            let error = file.read::<u32>(&blocks[hit]).expect_err("it has changed");
            assert!(matches!(&error, Error::Corrupt { path, .. } if *path == root), "{error}");
            file.read::<u32>(&blocks[2 - hit]).expect("the others are as they were");
        }
        handle.write_all_at(&byte, place).expect("written");
    }
    file.read::<u32>(&blocks[0]).expect("all is as it was");
}

/// Where a file system has no locks, a file stands for one: it keeps other runs out as long as it is there, from this machine and from
/// others, and goes with the run.
#[test]
fn without_locks_a_file_is_the_lock() {
    let (_guard, out) = folder();
    let outcome = child(&out, false).without_flock().run().expect_code(0);
    let of_lock = |name: &str| outcome.calls.iter().any(|call| call.name == name && call.path == out.join(".lock"));
    assert!(of_lock("open") && of_lock("unlink"), "{:?}", outcome.calls);
    assert!(!out.join(".lock").exists());
    // A run that was killed leaves it behind.
    fs::write(out.join(".lock"), "").expect("written");
    let outcome = child(&out, false).without_flock().run().expect_code(101);
    let said = format!("{}{}", outcome.stderr(), String::from_utf8_lossy(&outcome.output.stdout));
    assert!(said.contains(&*out.join(".lock").to_string_lossy()) && said.contains("remove this file"), "{said}");
    assert!(outcome.calls.iter().all(|call| call.name == "open"), "it touches nothing: {:?}", outcome.calls);
    let error = Output::open(&out).expect_err("also where there are locks");
    assert!(message(&error).contains("remove this file"), "{error}");
    fs::remove_file(out.join(".lock")).expect("removed");
    run(&out, "new", false).expect("free again");
}
