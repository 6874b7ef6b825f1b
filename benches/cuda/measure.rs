//! The measurements, as one table in text.
//!
//! The tests include this file and run it with small sizes on their own driver: that it runs, not how fast.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use cudarc::driver::{CudaContext, CudaEvent, CudaSlice, CudaStream, DevicePtr, sys};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use shardback::cut::Block;
use shardback::error::Result;
use shardback::event::{ItemDtype, NULL_TIME};
use shardback::gather::cuda::{BatchColumns, CudaDevice, CudaGather, JaggedArrays, ResidentRows, RowNumbers};
use shardback::gather::{Cpu, Gather};
use shardback::histories::{CustomerRows, Piece, Values, Window};

use super::check::{check, failed};

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
    stream: Arc<CudaStream>,
}

/// Columns of one batch, one after the other in one allocation.
struct Target {
    memory: CudaSlice<u8>,
}

impl Target {
    fn columns(&self, bench: &Bench, rows: usize, history: usize) -> BatchColumns {
        let (address, _) = self.memory.device_ptr(&bench.stream);
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
    fn new() -> Result<Self> {
        let context = CudaContext::new(0).map_err(failed)?;
        // SAFETY: all memory here is used on the one stream, in order.
        unsafe { context.disable_event_tracking() };
        Ok(Self { stream: context.new_stream().map_err(failed)? })
    }

    fn allocate(&self, bytes: usize) -> Result<CudaSlice<u8>> {
        self.stream.clone_htod(&vec![0u8; bytes]).map_err(failed)
    }

    fn event(&self) -> Result<CudaEvent> {
        self.stream.record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)).map_err(failed)
    }

    /// The median time of some submissions in milliseconds, by the device's clock.
    ///
    /// Copies of `plug` go ahead of them, so that all are in the stream's queue before the first begins: what is measured
    /// is the device's work, not that of submitting it.
    fn time(
        &self,
        plug: &mut [CudaSlice<u8>; 2],
        repeats: usize,
        mut submit: impl FnMut(usize) -> Result<()>,
    ) -> Result<f64> {
        submit(0)?;
        for _ in 0..4 {
            let [from, to] = plug;
            self.stream.memcpy_dtod(from, to).map_err(failed)?;
        }
        let mut events = Vec::new();
        for repeat in 0..repeats {
            let begin = self.event()?;
            submit(repeat)?;
            events.push((begin, self.event()?));
        }
        let times = events.iter().map(|(begin, end)| begin.elapsed_ms(end).map(f64::from).map_err(failed));
        Ok(median(times.collect::<Result<_>>()?))
    }
}

/// The middle one of some numbers.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Checks the device and says which it is.
pub(crate) fn checked() -> Result<(CudaDevice, Bench, String)> {
    let device = CudaDevice::open(0)?;
    let bench = Bench::new()?;
    check(&device, &bench.stream)?;
    let said = format!("device: {}\nchecked: random rows are the processor's, to the byte\n", device.description());
    Ok((device, bench, said))
}

/// Checks the device, measures it, and tells.
pub(crate) fn table(sizes: &Sizes) -> Result<String> {
    let (device, bench, mut table) = checked()?;
    on_the_device(sizes, &device, &bench, &mut table)?;
    from_host_to_host(sizes, device, &mut table)?;
    Ok(table)
}

/// The kernel beside a copy on the device of as much memory as it moves.
fn on_the_device(sizes: &Sizes, device: &CudaDevice, bench: &Bench, table: &mut String) -> Result<()> {
    let mut plug = [bench.allocate(sizes.bytes)?, bench.allocate(sizes.bytes)?];
    let (from, mut to) = (bench.allocate(sizes.bytes)?, bench.allocate(sizes.bytes)?);
    let time = bench.time(&mut plug, sizes.repeats, |_| bench.stream.memcpy_dtod(&from, &mut to).map_err(failed))?;
    drop((from, to));
    let copied = gigabytes_per_second(2 * sizes.bytes, time);
    let _ =
        writeln!(table, "\non the device, K = {}, i32 items and u8 types, medians of {}", sizes.history, sizes.repeats);
    let _ = writeln!(
        table,
        "{:>10} {:>7} {:>9} {:>10} {:>9} {:>12}",
        "rows", "length", "order", "time, ms", "GB/s", "of the copy"
    );
    let _ = writeln!(table, "{:>10} {:>7} {:>9} {time:>10.4} {copied:>9.0} {:>12}", "(copy)", "", "", "100 %");
    for &mean in sizes.lengths {
        let rows = Rows::new(sizes, mean);
        let resident = rows.upload(device)?;
        for &batch in sizes.batches {
            for shuffled in [false, true] {
                let (time, moved) = batches(sizes, bench, &mut plug, &rows, &resident, batch, shuffled)?;
                let speed = gigabytes_per_second(moved, time);
                let order = if shuffled { "shuffled" } else { "in order" };
                let share = 100.0 * speed / copied;
                let _ = writeln!(table, "{batch:>10} {mean:>7} {order:>9} {time:>10.4} {speed:>9.0} {share:>10.0} %");
            }
        }
    }
    Ok(())
}

/// The median time of a batch, and the bytes that one reads and writes on average.
fn batches(
    sizes: &Sizes,
    bench: &Bench,
    plug: &mut [CudaSlice<u8>; 2],
    rows: &Rows,
    resident: &ResidentRows,
    batch: usize,
    shuffled: bool,
) -> Result<(f64, usize)> {
    let mut numbers: Vec<i64> = (0..resident.len() as i64).collect();
    if shuffled {
        numbers.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(2));
    }
    let batch_bytes = Target::bytes(batch, sizes.history);
    let targets =
        (0..sizes.bytes.div_ceil(batch_bytes).max(2)).map(|_| Ok(Target { memory: bench.allocate(batch_bytes)? }));
    let targets = targets.collect::<Result<Vec<Target>>>()?;
    let on_device = bench.stream.clone_htod(&numbers).map_err(failed)?;
    let (address, _) = on_device.device_ptr(&bench.stream);
    let last = numbers.len() / batch;
    let time = bench.time(plug, sizes.repeats, |repeat| {
        let first = repeat % last * batch;
        let chosen = RowNumbers::Device { address: address + (first * 8) as u64, count: batch };
        let columns = targets[repeat % targets.len()].columns(bench, batch, sizes.history);
        // SAFETY: numbers and columns are in the device's memory until `time` has waited for the stream.
        unsafe { resident.gather(chosen, &columns, bench.stream.cu_stream() as u64) }
    })?;
    let actions: i64 = rows.lengths.iter().map(|&length| i64::from(length)).sum();
    let mean = actions as usize / rows.lengths.len();
    // Number, start, length, item and label are read; the last three of them are written, too.
    Ok((time, batch * (mean * 5 + 8 + 8 + 4 + 4 + 1) + batch_bytes))
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
    let values = Arc::new(Values { items: rows.items.clone(), types: rows.types.clone() });
    let customers: Vec<Window> =
        (0..rows.starts.len()).step_by(rows_per_customer).map(|row| rows.window(row as i64)).collect();
    let piece = |windows: &[Window]| {
        let of_customer = |(place, &window): (usize, &Window)| CustomerRows {
            customer: place as i64,
            end: ((place + 1) * rows_per_customer) as u64,
            window,
        };
        let items = vec![0; windows.len() * rows_per_customer];
        Arc::new(Piece {
            customers: windows.iter().enumerate().map(of_customer).collect(),
            labels: vec![0; items.len()],
            items,
            values: Arc::clone(&values),
        })
    };
    customers.chunks(customers.len().div_ceil(count)).map(piece).collect()
}

fn pad_all(gather: &dyn Gather<i32>, pieces: &[Arc<Piece<i32>>], history: usize) -> Result<()> {
    pieces.into_par_iter().try_for_each(|piece| {
        let blocks = || std::iter::once(Ok(Block::whole(Arc::clone(piece))));
        gather.items(&mut blocks(), history, &mut |_| Ok(()))?;
        gather.types(&mut blocks(), history, &mut |_| Ok(()))
    })
}

fn gigabytes_per_second(bytes: usize, milliseconds: f64) -> f64 {
    bytes as f64 / 1e6 / milliseconds
}
