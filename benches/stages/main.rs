//! The stages of a build, each for itself, on synthetic tables.
//!
//! `cargo bench` runs them all in some minutes; `cargo bench -- gather` only those whose name has `gather` in it.
//! The stages use every core, as a build does; `RAYON_NUM_THREADS=1 cargo bench` shows what one gives.

#![expect(clippy::unwrap_used, reason = "a benchmark stops where its set-up fails")]

mod gather;
mod general;
mod histories;
mod read;
mod world;
mod write;

use std::time::Duration;

use criterion::Criterion;
use shardback::generate::TableFormat;

use world::World;

fn main() {
    // Differences between versions that matter are larger than what few and short samples leave uncertain.
    let criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    let mut criterion = criterion.configure_from_args();
    let world = World::new(TableFormat::Parquet);
    read::bench(&mut criterion, &world);
    histories::bench(&mut criterion, &world);
    gather::bench(&mut criterion);
    write::bench(&mut criterion, &world);
    criterion.final_summary();
}
