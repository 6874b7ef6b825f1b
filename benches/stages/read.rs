//! Decoding and checking: from the files of a table to batches of actions and samples.

use criterion::{Criterion, Throughput};
use shardback::event::{Action, Sample};
use shardback::generate::TableFormat;
use shardback::pack::Packed;
use shardback::read::Source;
use shardback::unify;

use crate::world::World;

pub(crate) fn bench(criterion: &mut Criterion, world: &World) {
    bench_clicks(criterion, "parquet", world);
    bench_clicks(criterion, "ndjson", &World::new(TableFormat::Json));
    bench_impressions(criterion, world);
}

/// Per row of the clicks that the last day sees, 1.6 million, and per byte of their files. A good third is wanted: busy
/// customers come back, so the few of one day have many of the clicks.
fn bench_clicks(criterion: &mut Criterion, format: &str, world: &World) {
    let table = crate::world::clicks();
    world.customers(|plan, customers| {
        let source = world.actions(&table, plan);
        let pick = |ids: &[i64], rows: &mut Vec<(u32, u32)>| customers.pick(ids, rows);
        let sink = |actions: Packed<'_, Action<i32>>| {
            std::hint::black_box(actions);
            Ok(())
        };
        let read = || unify::read_actions(&table, &source, plan, &pick, &sink, None, &|_| Ok(())).unwrap();
        let rows = read().rows.values().sum();

        let mut group = criterion.benchmark_group("read");
        group.throughput(Throughput::ElementsAndBytes { elements: rows, bytes: source.bytes() });
        group.bench_function(format!("clicks/{format}"), |bencher| bencher.iter(read));
        group.finish();
    });
}

/// Per sample of two weeks, 280,000, and per byte of their files.
fn bench_impressions(criterion: &mut Criterion, world: &World) {
    let plan = &world.plan(14);
    let source = world.impressions(plan);
    let sink = |samples: Packed<'_, Sample<i32>>| {
        std::hint::black_box(samples);
        Ok(())
    };
    let read = || unify::read_impressions(&source, plan, &sink, None, &|_| Ok(())).unwrap();
    let samples = read().samples.iter().sum();

    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::ElementsAndBytes { elements: samples, bytes: source.bytes() });
    group.bench_function("impressions/parquet", |bencher| bencher.iter(read));
    group.finish();
}
