//! Decoding and checking: from the files of a table to batches of actions and samples.

use std::fs::File;
use std::io::{Read, Write};

use criterion::{Criterion, Throughput};
use flate2::write::GzEncoder;
use shardback::event::{Action, Sample};
use shardback::generate::TableFormat;
use shardback::pack::Packed;
use shardback::read::{Files, Source};
use shardback::unify;

use crate::world::World;

pub(crate) fn bench(criterion: &mut Criterion, world: &World) {
    let table = crate::world::clicks();
    let plan = &world.plan(1);
    bench_clicks(criterion, "parquet", world, &world.actions(&table, plan));
    let lines = &World::new(TableFormat::Json);
    let ndjson = lines.actions(&table, plan);
    bench_scan(criterion, "ndjson", &ndjson);
    bench_clicks(criterion, "ndjson", world, &ndjson);
    bench_clicks(criterion, "ndjson.gz", world, &lines.clicks_as("json.gz", gzip, plan));
    bench_clicks(criterion, "ndjson.zst", world, &lines.clicks_as("json.zst", zstandard, plan));
    let csv = lines.clicks_as("csv", csv, plan);
    bench_scan(criterion, "csv", &csv);
    bench_clicks(criterion, "csv", world, &csv);
    bench_impressions(criterion, world);
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn zstandard(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).unwrap()
}

/// Lines of JSON as CSV.
fn csv(lines: &[u8]) -> Vec<u8> {
    let mut text = b"dt,customer_id,item_id,click_time\n".to_vec();
    for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let click: serde_json::Value = serde_json::from_slice(line).unwrap();
        let [day, customer, item, time] = ["dt", "customer_id", "item_id", "click_time"].map(|key| &click[key]);
        writeln!(text, "{},{customer},{item},{}", day.as_str().unwrap(), time.as_str().unwrap()).unwrap();
    }
    text
}

/// What any reader of lines does at least: the files are read, and the ends of their lines are looked for. Per byte, on one core.
fn bench_scan(criterion: &mut Criterion, format: &str, source: &Files) {
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Bytes(source.bytes()));
    let mut text = Vec::new();
    group.bench_function(format!("scan/{format}"), |bencher| {
        bencher.iter(|| {
            let mut lines = 0;
            for file in source.files() {
                text.clear();
                File::open(file).unwrap().read_to_end(&mut text).unwrap();
                lines += memchr::memchr_iter(b'\n', &text).count();
            }
            lines
        });
    });
    group.finish();
}

/// Per row of the clicks that the last day sees, 1.6 million, and per byte of their files. A good third is wanted: busy
/// customers come back, so the few of one day have many of the clicks.
fn bench_clicks(criterion: &mut Criterion, format: &str, world: &World, source: &Files) {
    let table = crate::world::clicks();
    world.customers(|plan, customers| {
        let pick = |ids: &[i64], rows: &mut Vec<(u32, u32)>| customers.pick(ids, rows);
        let sink = |actions: Packed<'_, Action<i32>>| {
            std::hint::black_box(actions);
            Ok(())
        };
        let read = || unify::read_actions(&table, source, plan, &pick, &sink, None, &|_| Ok(())).unwrap();
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
