//! Writing: from a day's pieces to a shard on disk, synced.

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use shardback::config::Format;
use shardback::cut::cut;
use shardback::fsio::Folder;
use shardback::gather::Cpu;
use shardback::write::{DayLayout, write_shard};

use crate::general;
use crate::world::{World, temporary_folder};

/// Per row, and per byte of the file. A shard of some 20,000 rows is two full row groups of Parquet and a rest, and
/// 100 MB of dense tensors: a disk takes that in a fraction of a second, and still the data outweighs what a file costs.
pub(crate) fn bench(criterion: &mut Criterion, world: &World) {
    world.histories(|histories, plan| {
        let shards = cut(histories, 0, 1).unwrap();
        let elements = shards.iter().map(|rows| rows.rows).sum();
        let layout =
            DayLayout { day: plan.days()[0], history: plan.options().history, shards: 1, contents: plan.contents() };
        let mut group = criterion.benchmark_group("write");
        // A run takes long, and each needs a folder of its own.
        group.sampling_mode(SamplingMode::Flat);
        for format in Format::ALL {
            let write = |folder: tempfile::TempDir| {
                let target = Folder::open(folder.path()).unwrap();
                for rows in &shards {
                    let (_, unsynced) = write_shard(format, rows, layout, "", &Cpu, &target, &|_| Ok(())).unwrap();
                    unsynced.sync().unwrap();
                }
                folder
            };
            let folder = write(temporary_folder());
            let bytes = folder.path().join(format.shard_file(0)).metadata().unwrap().len();
            group.throughput(Throughput::ElementsAndBytes { elements, bytes });
            group.bench_function(format.name(), |bencher| {
                // The folder is handed back, so that deleting it is not timed.
                bencher.iter_batched(temporary_folder, write, BatchSize::PerIteration);
            });
        }
        let padded = general::padded(&shards[0], layout.history);
        group.throughput(Throughput::Elements(elements));
        group.bench_function("parquet by the general writer", |bencher| {
            let write = |folder: tempfile::TempDir| {
                general::write(&padded, &folder.path().join("lists.parquet"));
                folder
            };
            bencher.iter_batched(temporary_folder, write, BatchSize::PerIteration);
        });
        group.finish();
    });
}
