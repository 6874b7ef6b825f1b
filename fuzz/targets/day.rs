//! A day's folder with changed bytes: readers answer, and `verify` finds what is not as it was.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use shardback::config::Format;
use shardback::open::DayFolder;
use shardback::verify::verify;
use shardback_fuzz::{built, told};
use tempfile::TempDir;

#[derive(Arbitrary, Debug)]
struct Input {
    format: u8,
    changes: Vec<(u8, u16, u8)>,
    /// Cuts a file off there.
    cut: Option<(u8, u16)>,
}

/// The files of a day that is right, in each format.
type Right = Vec<Vec<(PathBuf, Vec<u8>)>>;

fuzz_target!(|input: Input| {
    static RIGHT: OnceLock<(TempDir, Right)> = OnceLock::new();
    let (_, right) = RIGHT.get_or_init(right);
    let files = &right[usize::from(input.format) % right.len()];
    let folder = tempfile::tempdir().expect("a folder");
    let day = folder.path().join("dt=2025-08-16");
    fs::create_dir(&day).expect("a folder");
    let mut changed: Vec<(PathBuf, Vec<u8>)> = files.clone();
    for (file, place, value) in &input.changes {
        let count = changed.len();
        let (_, bytes) = &mut changed[usize::from(*file) % count];
        if !bytes.is_empty() {
            let place = usize::from(*place) % bytes.len();
            bytes[place] = *value;
        }
    }
    if let Some((file, length)) = input.cut {
        let count = changed.len();
        changed[usize::from(file) % count].1.truncate(length.into());
    }
    for (name, bytes) in &changed {
        fs::write(day.join(name), bytes).expect("a file");
    }
    match DayFolder::open(&day) {
        Err(error) => told(&error),
        Ok(opened) => {
            for shard in 0..opened.shards() {
                if let Err(error) = opened.shard(shard) {
                    told(&error);
                }
            }
        }
    }
    // What a run notes beside the day is not part of it.
    let is_part = |name: &PathBuf| !name.ends_with("_run.json");
    let same = changed.iter().zip(files).all(|(one, other)| !is_part(&one.0) || one == other);
    match verify(&day) {
        Err(error) => told(&error),
        Ok(report) => assert!(same || !report.faults.is_empty(), "verify is content with {input:?}"),
    }
});

fn right() -> (TempDir, Right) {
    let folder = tempfile::tempdir().expect("a folder");
    let files = Format::ALL.map(|format| {
        let day = built(&folder.path().join(format.name()), format);
        let mut files: Vec<_> = fs::read_dir(&day)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into())
            .map(|name: PathBuf| {
                let bytes = fs::read(day.join(&name)).expect("a file");
                (name, bytes)
            })
            .collect();
        files.sort();
        files
    });
    (folder, files.to_vec())
}
