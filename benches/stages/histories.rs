//! Grouping and sorting: from spooled samples and actions to pieces, and from pieces to shards.

use criterion::{BenchmarkId, Criterion, Throughput};
use shardback::cut::cut;
use shardback::histories::Histories;

use crate::world::World;

/// One day, and two weeks in one pass, which should cost little more.
const DAYS: [i32; 2] = [1, 14];
/// The fewest and the most that days usually have.
const SHARDS: [u32; 2] = [1, 1024];

pub(crate) fn bench(criterion: &mut Criterion, world: &World) {
    bench_histories(criterion, world);
    bench_cut(criterion, world);
}

/// Per action of the days' customers: those of one day have 0.7 million of the two, those of two weeks 1.7 million.
fn bench_histories(criterion: &mut Criterion, world: &World) {
    let mut group = criterion.benchmark_group("histories");
    for days in DAYS {
        world.read(days, |input, budget| {
            let actions: usize = (0..world.buckets()).map(|bucket| input.actions.len(bucket)).sum();
            group.throughput(Throughput::Elements(actions as u64));
            group.bench_function(BenchmarkId::new("days", days), |bencher| {
                bencher.iter(|| Histories::new(input, budget, &|_| Ok(())).unwrap());
            });
        });
    }
    group.finish();
}

/// Per customer of a day, some 1,500: their rows are not touched.
fn bench_cut(criterion: &mut Criterion, world: &World) {
    world.histories(|histories, _| {
        let mut group = criterion.benchmark_group("cut");
        for shards in SHARDS {
            let customers = cut(histories, 0, shards).unwrap().iter().map(|rows| rows.customers).sum();
            group.throughput(Throughput::Elements(customers));
            group.bench_function(BenchmarkId::new("shards", shards), |bencher| {
                bencher.iter(|| cut(histories, 0, shards).unwrap());
            });
        }
        group.finish();
    });
}
