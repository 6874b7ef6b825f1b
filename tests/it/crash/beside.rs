//! A reader beside the runs that are killed and begun again: it sees whole days of one build, or none.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use shardback::config::Format;
use shardback::error::{Error, Result};
use shardback::open::{DayFolder, MappedDay};

use super::{DAYS, VERSIONS, World, day_name};

/// The item that both versions have.
const OF_BOTH: i64 = 7;

/// Every item of a day, of its samples and of their histories.
fn items(folder: &Path, format: Format) -> Result<BTreeSet<i64>> {
    let mut items = BTreeSet::new();
    if format == Format::Parquet {
        let day = DayFolder::open(folder)?;
        for part in 0..day.shards() {
            let part = day.part(part)?;
            for batch in part.batches(0..part.rows())? {
                let batch = batch?;
                items.extend(batch.item_ids().iter());
                for row in 0..batch.len() {
                    items.extend(batch.history(row).expect("a row").0.iter());
                }
            }
        }
    } else {
        let day = MappedDay::open(folder)?;
        for shard in day.shards() {
            items.extend(shard.view().item_ids().iter());
            for row in 0..shard.rows() {
                items.extend(shard.view().history(row).expect("a row").items.iter());
            }
        }
    }
    Ok(items)
}

/// What a reader has seen of a format: how often each version, and how often nothing.
#[derive(Debug, Default)]
struct Seen {
    versions: [usize; 2],
    nothing: usize,
}

/// Opens days of a format until it is told to stop.
fn read(out: &Path, format: Format, stop: &AtomicBool) -> Seen {
    let folder = out.join(day_name(format, DAYS[0]));
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        match items(&folder, format) {
            Err(error) => {
                // A part is opened later than its day, which may have been replaced and deleted meanwhile.
                let gone = matches!(&error, Error::Io { source, .. } if source.kind() == ErrorKind::NotFound);
                assert!(gone, "{}: {error:?}", format.name());
                seen.nothing += 1;
            }
            Ok(mut found) => {
                found.remove(&OF_BOTH);
                let of =
                    |first: i32| found.iter().all(|&item| (i64::from(first)..i64::from(first) + 100).contains(&item));
                let version = VERSIONS.iter().position(|&(_, first)| of(first));
                seen.versions[version.expect("all of one version")] += 1;
                assert!(!found.is_empty(), "a day without rows");
            }
        }
    }
    seen
}

/// Runs builds of both versions in turns, each killed at some call and then made again, beside readers of all formats.
fn beside(world: &World, more: &[&str], with_exchange: bool) -> Vec<Seen> {
    let out = world.reset();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = world
            .formats()
            .into_iter()
            .map(|format| {
                scope.spawn({
                    let (out, stop) = (&out, &stop);
                    move || read(out, format, stop)
                })
            })
            .collect();
        let work = || {
            for number in (1..).step_by(4) {
                let version = VERSIONS[number / 4 % 2].0;
                let build = || {
                    let run = world.build(version, "out", &DAYS[..1], more);
                    if with_exchange { run } else { run.without_exchange() }
                };
                let killed = build().kill_at(number).run().killed();
                build().run().expect_code(0);
                if !killed {
                    break;
                }
            }
        };
        // The readers end also where the work fails.
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        let seen = readers.into_iter().map(|reader| reader.join().expect("it saw what it may see")).collect();
        worked.expect("the builds go through");
        seen
    })
}

#[test]
fn a_reader_sees_whole_days_of_one_build() {
    let world = World::new(&DAYS[..1]);
    for (seen, format) in beside(&world, &[], true).into_iter().zip(world.formats()) {
        assert!(seen.versions.iter().all(|&count| count > 10), "{}: {seen:?}", format.name());
        // Only parts are opened one by one.
        assert!(format == Format::Parquet || seen.nothing == 0, "{}: {seen:?}", format.name());
    }
}

/// Where folders cannot be exchanged there may be nothing for a moment.
#[test]
fn a_reader_sees_whole_days_or_none_where_folders_cannot_be_exchanged() {
    let world = World::new(&DAYS[..1]);
    for seen in beside(&world, &["--replace-non-atomic"], false) {
        assert!(seen.versions.iter().all(|&count| count > 10), "{seen:?}");
    }
}
