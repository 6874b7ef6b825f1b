//! The measurements, as one table in text.
//!
//! The tests include this file and run it with small sizes on their own driver: that it runs, not how fast.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use shardback::cut::RowBlock;
use shardback::error::Result;
use shardback::event::{ItemDtype, NULL_TIME};
use shardback::gather::cuda::raw::{Context, DeviceBuffer, Event, Stream, copy_on_device, copy_to_device};
use shardback::gather::cuda::{BatchColumns, CudaDevice, CudaGather, JaggedArrays, ResidentRows, RowNumbers};
use shardback::gather::{Cpu, Gather};
use shardback::histories::{Piece, Request, Values, Window};

use super::check::check;

/// How much is measured.
pub(crate) struct Sizes {
    /// Rows of one customer, which see the same history.
    pub(crate) rows_per_customer: usize,
    pub(crate) customers: usize,
    /// K
    pub(crate) history: usize,
    /// Mean lengths of histories.
    pub(crate) lengths: &'static [usize],
    /// Rows of a batch.
    pub(crate) batches: &'static [usize],
    /// Bytes of the buffer that is copied on the device, and at least of those that batches take turns in: many times what its
    /// caches hold.
    pub(crate) bytes: usize,
    /// Rows that are padded from host to host.
    pub(crate) host_rows: usize,
    pub(crate) repeats: usize,
    /// Submissions to the device that are timed together, and how many such groups there are.
    pub(crate) group: usize,
    pub(crate) groups: usize,
}

/// Jagged rows in host memory, those of a customer one after the other.
struct Rows {
    history: usize,
    items: Vec<i32>,
    types: Vec<u8>,
    starts: Vec<i64>,
    lengths: Vec<i32>,
    item_ids: Vec<i32>,
    is_order: Vec<u8>,
}

impl Rows {
    /// Histories of a mean length, spread evenly and none longer than K.
    fn new(sizes: &Sizes, mean: usize) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(mean as u64);
        let spread = mean.min(sizes.history - mean);
        let (mut starts, mut lengths, mut actions) = (Vec::new(), Vec::new(), 0);
        for _ in 0..sizes.customers {
            let length = random.random_range(mean - spread..=mean + spread);
            starts.extend(std::iter::repeat_n(actions as i64, sizes.rows_per_customer));
            lengths.extend(std::iter::repeat_n(length as i32, sizes.rows_per_customer));
            actions += length;
        }
        let rows = starts.len();
        Self {
            history: sizes.history,
            items: (0..actions).map(|_| random.random_range(1..300_000)).collect(),
            types: (0..actions).map(|_| random.random_range(1..=3)).collect(),
            starts,
            lengths,
            item_ids: (0..rows).map(|_| random.random_range(1..300_000)).collect(),
            is_order: (0..rows).map(|_| random.random_range(0..=1)).collect(),
        }
    }

    fn upload(&self, device: &CudaDevice) -> Result<ResidentRows> {
        let arrays = JaggedArrays {
            items: &self.items,
            types: &self.types,
            starts: &self.starts,
            lengths: &self.lengths,
            item_ids: &self.item_ids,
            is_order: &self.is_order,
        };
        ResidentRows::upload(device, self.history, &[arrays])
    }

    fn window(&self, row: i64) -> Window {
        let row = row as usize;
        Window { start: self.starts[row] as u64, length: self.lengths[row] as u64, newest: NULL_TIME }
    }
}

/// What is measured goes on one stream.
pub(crate) struct Bench {
    context: Arc<Context>,
    stream: Stream,
    /// Two buffers of as many bytes as are copied, of which the first is filled.
    copied: [DeviceBuffer; 2],
    bytes: usize,
    /// Submissions in a row that are timed together, so that the clock's own events cost little beside them.
    group: usize,
    /// Such groups, of whose times the median counts.
    groups: usize,
}

/// Columns of one batch, one after the other in one allocation.
struct Target {
    memory: DeviceBuffer,
}

impl Target {
    fn columns(&self, rows: usize, history: usize) -> BatchColumns {
        let address = self.memory.address();
        let lengths = address + (rows * history * 4) as u64;
        let item_ids = lengths + (rows * 4) as u64;
        let types = item_ids + (rows * 4) as u64;
        let is_order = types + (rows * history) as u64;
        BatchColumns {
            items: Some(address),
            lengths: Some(lengths),
            item_ids: Some(item_ids),
            types: Some(types),
            is_order: Some(is_order),
            ..BatchColumns::new(ItemDtype::I32, history)
        }
    }

    /// Bytes of a batch.
    fn bytes(rows: usize, history: usize) -> usize {
        rows * (history * 5 + 4 + 4 + 1)
    }
}

impl Bench {
    fn new(sizes: &Sizes, device: &CudaDevice) -> Result<Self> {
        let context = Arc::clone(device.context());
        let stream = Stream::new(&context)?;
        let copied = [DeviceBuffer::new(&context, sizes.bytes)?, DeviceBuffer::new(&context, sizes.bytes)?];
        // Memory that holds one value alone may be faster than any other.
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let noise: Vec<u8> = (0..sizes.bytes.min(1 << 24)).map(|_| random.random()).collect();
        for start in (0..sizes.bytes).step_by(noise.len()) {
            let part = &noise[..noise.len().min(sizes.bytes - start)];
            // SAFETY: the part is inside of the buffer, and pageable memory is read before the call returns.
            unsafe { copy_to_device(&stream, copied[0].address() + start as u64, part) }?;
        }
        stream.synchronize("filling a buffer")?;
        Ok(Self { context, stream, copied, bytes: sizes.bytes, group: sizes.group, groups: sizes.groups })
    }

    fn copy(&self) -> Result<()> {
        let [from, to] = &self.copied;
        // SAFETY: both are so long, and they live as long as the stream.
        unsafe { copy_on_device(&self.stream, to.address(), from.address(), self.bytes) }
    }

    /// The median time of a submission in milliseconds, by the device's clock.
    ///
    /// Copies go ahead of each group, so that all of it is in the stream's queue before the first begins: what is measured is
    /// the device's work, not that of submitting it.
    fn time(&self, mut submit: impl FnMut(usize) -> Result<()>) -> Result<f64> {
        submit(0)?;
        let mut times = Vec::new();
        for group in 0..self.groups {
            for _ in 0..4 {
                self.copy()?;
            }
            let (begin, end) = (Event::timed(&self.context)?, Event::timed(&self.context)?);
            begin.record(&self.stream)?;
            for place in 0..self.group {
                submit(group * self.group + place)?;
            }
            end.record(&self.stream)?;
            self.stream.synchronize("a measurement")?;
            times.push(begin.milliseconds_until(&end)? / self.group as f64);
        }
        Ok(median(times))
    }
}

/// The middle one of some numbers.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Checks the device and says which it is.
pub(crate) fn checked(small: bool) -> Result<(CudaDevice, String)> {
    let device = CudaDevice::open(0)?;
    let said = format!("device: {}\n{}", device.description(), check(&device, small)?);
    Ok((device, said))
}

/// Checks the device, measures it, and tells.
pub(crate) fn table(sizes: &Sizes) -> Result<String> {
    let (device, mut table) = checked(false)?;
    on_the_device(sizes, &device, &mut table)?;
    from_host_to_host(sizes, device, &mut table)?;
    Ok(table)
}

/// The kernel beside a copy on the device of as much memory as it moves.
fn on_the_device(sizes: &Sizes, device: &CudaDevice, table: &mut String) -> Result<()> {
    let bench = Bench::new(sizes, device)?;
    let time = bench.time(|_| bench.copy())?;
    let copied = gigabytes_per_second(2 * sizes.bytes, time);
    let Sizes { history, group, groups, .. } = sizes;
    let _ = writeln!(
        table,
        "\non the device, K = {history}, i32 items and u8 types, medians of {groups} times {group}; row numbers on the device,\n\
         or from the host, as a loader gives them"
    );
    let _ = writeln!(
        table,
        "{:>10} {:>7} {:>9} {:>8} {:>10} {:>9} {:>12}",
        "rows", "length", "order", "numbers", "time, ms", "GB/s", "of the copy"
    );
    let _ =
        writeln!(table, "{:>10} {:>7} {:>9} {:>8} {time:>10.4} {copied:>9.0} {:>12}", "(copy)", "", "", "", "100 %");
    for &mean in sizes.lengths {
        let rows = Rows::new(sizes, mean);
        let resident = rows.upload(device)?;
        for &batch in sizes.batches {
            for (order, place) in [("in order", "device"), ("shuffled", "device"), ("shuffled", "host")] {
                let chosen = Chosen { batch, shuffled: order == "shuffled", from_host: place == "host" };
                let (time, moved) = batches(sizes, &bench, &rows, &resident, &chosen)?;
                let speed = gigabytes_per_second(moved, time);
                let share = 100.0 * speed / copied;
                let _ = writeln!(
                    table,
                    "{batch:>10} {mean:>7} {order:>9} {place:>8} {time:>10.4} {speed:>9.0} {share:>10.0} %"
                );
            }
        }
    }
    Ok(())
}

/// Which rows a batch has, and where their numbers are.
struct Chosen {
    batch: usize,
    shuffled: bool,
    from_host: bool,
}

/// The median time of a batch, and the bytes that one reads and writes on average.
fn batches(
    sizes: &Sizes,
    bench: &Bench,
    rows: &Rows,
    resident: &ResidentRows,
    chosen: &Chosen,
) -> Result<(f64, usize)> {
    let mut numbers: Vec<i64> = (0..resident.len() as i64).collect();
    if chosen.shuffled {
        numbers.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(2));
    }
    let batch = chosen.batch;
    let batch_bytes = Target::bytes(batch, sizes.history);
    // In turns, so that none is written into the caches.
    let targets = (0..sizes.bytes.div_ceil(batch_bytes).max(2))
        .map(|_| Ok(Target { memory: DeviceBuffer::new(&bench.context, batch_bytes)? }))
        .collect::<Result<Vec<Target>>>()?;
    let on_device = DeviceBuffer::new(&bench.context, numbers.len() * 8)?;
    // SAFETY: the buffer is so long, and pageable memory is read before the call returns.
    unsafe { copy_to_device(&bench.stream, on_device.address(), bytemuck::cast_slice(&numbers)) }?;
    let last = numbers.len() / batch;
    let time = bench.time(|repeat| {
        let first = repeat % last * batch;
        let rows = if chosen.from_host {
            RowNumbers::Host(&numbers[first..first + batch])
        } else {
            RowNumbers::Device { address: on_device.address() + (first * 8) as u64, count: batch }
        };
        let columns = targets[repeat % targets.len()].columns(batch, sizes.history);
        // SAFETY: numbers and columns are in the device's memory until `time` has waited for the stream.
        unsafe { resident.gather(rows, &columns, bench.stream.number()) }
    })?;
    let actions: i64 = rows.lengths.iter().map(|&length| i64::from(length)).sum();
    let mean = actions as usize / rows.lengths.len();
    // Its number and what is known of a row are read: start, length with the label, item.
    Ok((time, batch * (mean * 5 + 8 + 8 + 4 + 4) + batch_bytes))
}

/// Rows padded as a build does, shards in parallel, and nothing done with them: by the device and by the processor.
fn from_host_to_host(sizes: &Sizes, device: CudaDevice, table: &mut String) -> Result<()> {
    let threads = rayon::current_num_threads();
    let _ = writeln!(
        table,
        "\nfrom host to host, {} rows, K = {}, {threads} threads, medians of {}",
        sizes.host_rows, sizes.history, sizes.repeats
    );
    let _ =
        writeln!(table, "{:>10} {:>12} {:>12} {:>12} {:>12}", "length", "cuda, rows/s", "GB/s", "cpu, rows/s", "GB/s");
    let gather = CudaGather::new(device);
    for &mean in sizes.lengths {
        let customers = (sizes.host_rows / sizes.rows_per_customer).max(1);
        let pieces = pieces(&Rows::new(&Sizes { customers, ..*sizes }, mean), sizes.rows_per_customer, 4 * threads);
        let mut said = format!("{mean:>10}");
        for gather in [&gather as &dyn Gather<i32>, &Cpu] {
            let time = |_| {
                let begun = Instant::now();
                pad_all(gather, &pieces, sizes.history).map(|()| begun.elapsed().as_secs_f64())
            };
            // The first one allocates what the others use.
            time(0)?;
            let seconds = median((0..sizes.repeats).map(time).collect::<Result<_>>()?);
            let rows: usize = pieces.iter().map(|piece| piece.items.len()).sum();
            let gigabytes = (rows * sizes.history * 5) as f64 / 1e9;
            let _ = write!(said, " {:>12.0} {:>12.1}", rows as f64 / seconds, gigabytes / seconds);
        }
        let _ = writeln!(table, "{said}");
    }
    Ok(())
}

/// The rows as pieces of a day, about as many as given.
fn pieces(rows: &Rows, rows_per_customer: usize, count: usize) -> Vec<Arc<Piece<i32>>> {
    let values = Arc::new(Values { items: rows.items.clone(), types: rows.types.clone(), columns: Vec::new() });
    let customers: Vec<Window> =
        (0..rows.starts.len()).step_by(rows_per_customer).map(|row| rows.window(row as i64)).collect();
    let piece = |windows: &[Window]| {
        let of_customer = |(place, &window): (usize, &Window)| Request {
            customer: place as i64,
            time: 0,
            id: 0,
            start: window.start,
            newest: window.newest,
            length: window.length as u32,
            end: ((place + 1) * rows_per_customer) as u32,
            at_cutoff: 0,
            hidden_late: 0,
        };
        let items = vec![0; windows.len() * rows_per_customer];
        Arc::new(Piece {
            requests: windows.iter().enumerate().map(of_customer).collect(),
            columns: Vec::new(),
            items,
            values: Arc::clone(&values),
        })
    };
    customers.chunks(customers.len().div_ceil(count)).map(piece).collect()
}

fn pad_all(gather: &dyn Gather<i32>, pieces: &[Arc<Piece<i32>>], history: usize) -> Result<()> {
    pieces.into_par_iter().try_for_each(|piece| {
        let blocks = || std::iter::once(Ok(RowBlock::whole(Arc::clone(piece))));
        gather.items(&mut blocks(), history, &mut |_| Ok(()))?;
        gather.types(&mut blocks(), history, &mut |_| Ok(()))
    })
}

fn gigabytes_per_second(bytes: usize, milliseconds: f64) -> f64 {
    bytes as f64 / 1e6 / milliseconds
}
