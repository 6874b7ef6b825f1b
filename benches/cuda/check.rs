//! Random rows against the processor's: batches on the device with every kernel, under the conditions of real work, and rows
//! from host to host.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use shardback::error::{Error, Result};
use shardback::event::{ItemDtype, ItemId};
use shardback::gather::Cpu;
use shardback::gather::cuda::raw::{Context, DeviceBuffer, Stream, copy_from_device, copy_on_device, copy_to_device};
use shardback::gather::cuda::{
    BatchColumns, CudaDevice, CudaGather, JaggedArrays, ResidentRows, RowNumbers, TypeDtype,
};

use super::jagged::Jagged;
use super::pieces::{padded, pieces};

/// Checks every combination of dtypes, many K, starts and rows of any alignment, batches that follow each other, batches larger
/// than what the device works on at once, and a device that is behind the host. Says what it did. `small` leaves out or makes smaller what
/// takes a sanitizer minutes.
///
/// # Errors
/// Says what differs.
pub(crate) fn check(device: &CudaDevice, small: bool) -> Result<String> {
    let stream = Stream::new(device.context())?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    for history in [1, 7, 16, 100, 999, 1000] {
        let jagged = Jagged::random(&mut random, 300, history);
        check_dtypes(&jagged, &upload::<i32>(device, &jagged)?, &stream)?;
        check_dtypes(&jagged, &upload::<i64>(device, &jagged)?, &stream)?;
        check_from_host_to_host::<i32>(&mut random, device, history)?;
        check_from_host_to_host::<i64>(&mut random, device, history)?;
    }
    let mut said = "checked: random rows are the processor's, to the byte\n".to_owned();
    more_rows_than_run_at_once(device, &stream, if small { 20_000 } else { 300_000 })?;
    said.push_str("checked: more rows than run at once\n");
    behind_the_host(device, if small { 1 << 20 } else { 64 << 20 })?;
    said.push_str("checked: a busy device, two streams, rows dropped before their batches are done\n");
    if !small {
        said.push_str(&beyond_32_bits(device, &stream)?);
    }
    Ok(said)
}

fn check_from_host_to_host<I: ItemId>(
    random: &mut Xoshiro256PlusPlus,
    device: &CudaDevice,
    history: usize,
) -> Result<()> {
    let pieces = pieces::<I>(random, history);
    if padded(&CudaGather::new(device.clone()), &pieces, history)? == padded(&Cpu, &pieces, history)? {
        return Ok(());
    }
    differs(format!("rows from host to host: {:?}, K = {history}", I::DTYPE))
}

fn differs(what: String) -> Result<()> {
    Err(Error::Arrays { what: "check", problem: format!("other bytes than the processor's: {what}") })
}

fn upload<I: ItemId>(device: &CudaDevice, jagged: &Jagged) -> Result<ResidentRows> {
    let stored = |items: &[i64]| items.iter().filter_map(|&item| I::try_from(item).ok()).collect::<Vec<I>>();
    let arrays = JaggedArrays {
        items: &stored(&jagged.items),
        types: &jagged.types,
        starts: &jagged.starts,
        lengths: &jagged.lengths,
        item_ids: &stored(&jagged.item_ids),
        is_order: &jagged.is_order,
    };
    ResidentRows::upload(device, jagged.history, &[arrays])
}

fn numbers(random: &mut Xoshiro256PlusPlus, jagged: &Jagged, count: usize) -> Vec<i64> {
    (0..count).map(|_| random.random_range(0..jagged.rows() as i64)).collect()
}

fn check_dtypes(jagged: &Jagged, resident: &ResidentRows, stream: &Stream) -> Result<()> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    for item_dtype in [ItemDtype::I32, ItemDtype::I64] {
        for type_dtype in [TypeDtype::U8, TypeDtype::AsItems] {
            for (history, count) in [(jagged.history, 0), (jagged.history, 1000), (jagged.history.div_ceil(3), 77)] {
                let batch = BatchColumns { type_dtype, ..BatchColumns::new(item_dtype, history) };
                let target = Target::new(stream.context(), jagged, &numbers(&mut random, jagged, count), batch)?;
                target.gather(resident, stream)?;
                target.check(stream)?;
            }
        }
    }
    Ok(())
}

/// Blocks begin when others have come to their end.
fn more_rows_than_run_at_once(device: &CudaDevice, stream: &Stream, rows: usize) -> Result<()> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let jagged = Jagged::random(&mut random, 1000, 20);
    let resident = upload::<i32>(device, &jagged)?;
    let batch = BatchColumns::new(ItemDtype::I32, 20);
    let target = Target::new(device.context(), &jagged, &numbers(&mut random, &jagged, rows), batch)?;
    target.gather(&resident, stream)?;
    target.check(stream)
}

/// The device is kept busy by copies of so many bytes, so that everything is submitted long before it is done: more batches than row numbers are kept
/// apart for, on two streams, and the rows are dropped with all of them under way.
fn behind_the_host(device: &CudaDevice, busy_bytes: usize) -> Result<()> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    let jagged = Jagged::random(&mut random, 2000, 200);
    let resident = upload::<i32>(device, &jagged)?;
    let streams = [Stream::new(device.context())?, Stream::new(device.context())?];
    let busy = [DeviceBuffer::new(device.context(), busy_bytes)?, DeviceBuffer::new(device.context(), busy_bytes)?];
    let mut targets = Vec::new();
    for batch in 0..150 {
        // Now and then so many that their numbers are copied.
        let count = if batch % 50 == 20 { 20_000 } else { 64 };
        let numbers = numbers(&mut random, &jagged, count);
        targets.push(Target::new(device.context(), &jagged, &numbers, BatchColumns::new(ItemDtype::I32, 200))?);
    }
    for (place, target) in targets.iter().enumerate() {
        let stream = &streams[place % 2];
        for _ in 0..4 {
            // SAFETY: both buffers are so long, what they hold does not matter, and they outlive the waits below.
            unsafe { copy_on_device(stream, busy[0].address(), busy[1].address(), busy_bytes) }?;
        }
        target.gather(&resident, stream)?;
    }
    drop(resident);
    targets.iter().enumerate().try_for_each(|(place, target)| target.check(&streams[place % 2]))
}

/// A batch of more elements than 31 bits count, where the device has room for it.
fn beyond_32_bits(device: &CudaDevice, stream: &Stream) -> Result<String> {
    const HISTORY: usize = 1000;
    const ROWS: usize = (1 << 31) / HISTORY + 50_000;
    const SAMPLE: usize = 500;
    let (items, types) = (ROWS * HISTORY * 4, ROWS * HISTORY);
    let (free, needed) = (device.memory()?.free, (items + types) as u64 + (1 << 30));
    if free < needed {
        let (free, needed) = (free >> 30, needed >> 30);
        return Ok(format!("not checked: more than 2^31 elements, which takes {needed} GiB; {free} GiB are free\n"));
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    let jagged = Jagged::random(&mut random, 1000, HISTORY);
    let resident = upload::<i32>(device, &jagged)?;
    let numbers = numbers(&mut random, &jagged, ROWS);
    let memory = DeviceBuffer::new(device.context(), items + types)?;
    let (items_at, types_at) = (memory.address(), memory.address() + items as u64);
    let batch =
        BatchColumns { items: Some(items_at), types: Some(types_at), ..BatchColumns::new(ItemDtype::I32, HISTORY) };
    // SAFETY: both columns have their memory, which is read only after the stream has been waited for.
    unsafe { resident.gather(RowNumbers::Host(&numbers), &batch, stream.number()) }?;
    for first in [0, 131_072, ROWS / 2, ROWS - SAMPLE] {
        let [items, types, ..] = jagged.batch(&numbers[first..first + SAMPLE], HISTORY, false, false);
        for (at, width, expected) in [(items_at, 4, items), (types_at, 1, types)] {
            let mut found = vec![0; expected.len()];
            // SAFETY: the rows are inside of the column.
            unsafe { copy_from_device(stream, &mut found, at + (first * HISTORY * width) as u64) }?;
            stream.synchronize("reading a batch")?;
            if found != expected {
                differs(format!("rows from {first} on of {ROWS}, elements of {width} bytes"))?;
            }
        }
    }
    Ok("checked: more than 2^31 elements\n".to_owned())
}

/// What is around each column before and after it is written.
const POISON: [u8; 8] = [0xAB; 8];

/// Memory for a batch, poisoned, and what has to be in it.
struct Target {
    memory: DeviceBuffer,
    bytes: usize,
    offsets: Vec<usize>,
    expected: [Vec<u8>; 5],
    numbers: Vec<i64>,
    batch: BatchColumns,
}

impl Target {
    fn new(context: &Arc<Context>, jagged: &Jagged, numbers: &[i64], batch: BatchColumns) -> Result<Self> {
        let as_items = batch.type_dtype == TypeDtype::AsItems;
        let expected = jagged.batch(numbers, batch.history, batch.item_dtype == ItemDtype::I64, as_items);
        // Some elements before the rows, so that they begin anywhere, and some bytes behind each column.
        let place = |column: &Vec<u8>| (POISON.len() + column.len() + POISON.len()).next_multiple_of(8);
        let mut offsets = Vec::new();
        let mut bytes = 0;
        for column in &expected {
            offsets.push(bytes + POISON.len());
            bytes += place(column);
        }
        let memory = DeviceBuffer::new(context, bytes)?;
        let stream = Stream::new(context)?;
        // SAFETY: the buffer is so long, and the host's memory is read before the call returns.
        unsafe { copy_to_device(&stream, memory.address(), &vec![POISON[0]; bytes]) }?;
        stream.synchronize("poisoning a batch")?;
        let start = memory.address();
        let [items, types, item_ids, is_order, lengths] =
            std::array::from_fn(|column| Some(start + offsets[column] as u64));
        let batch = BatchColumns { items, types, item_ids, is_order, lengths, ..batch };
        Ok(Self { memory, bytes, offsets, expected, numbers: numbers.to_vec(), batch })
    }

    fn gather(&self, resident: &ResidentRows, stream: &Stream) -> Result<()> {
        // A copy that is gone when the call has returned.
        let numbers = self.numbers.clone();
        // SAFETY: every column has as much memory as is expected of it, read back only after the stream has passed the batch.
        unsafe { resident.gather(RowNumbers::Host(&numbers), &self.batch, stream.number()) }
    }

    fn check(&self, stream: &Stream) -> Result<()> {
        let mut found = vec![0; self.bytes];
        // SAFETY: the buffer is so long, and the host's memory is left alone until the stream has been waited for.
        unsafe { copy_from_device(stream, &mut found, self.memory.address()) }?;
        stream.synchronize("reading a batch")?;
        for (column, (offset, expected)) in self.offsets.iter().zip(&self.expected).enumerate() {
            let (before, behind) =
                (&found[offset - POISON.len()..*offset], &found[offset + expected.len()..][..POISON.len()]);
            if found[*offset..][..expected.len()] != **expected || behind != POISON || before != POISON {
                differs(format!("column {column} of {} rows: {:?}", self.numbers.len(), self.batch))?;
            }
        }
        Ok(())
    }
}
