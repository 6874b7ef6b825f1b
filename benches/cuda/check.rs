//! Random rows against the processor's: batches on the device with every kernel, and rows from host to host.

use std::sync::Arc;

use cudarc::driver::{CudaStream, DevicePtr, DriverError};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use shardback::error::{Error, Result};
use shardback::event::{ItemDtype, ItemId};
use shardback::gather::Cpu;
use shardback::gather::cuda::{
    BatchColumns, CudaDevice, CudaGather, JaggedArrays, ResidentRows, RowNumbers, TypeDtype,
};

use super::jagged::Jagged;
use super::pieces::{padded, pieces};

/// Checks every combination of dtypes, many K, starts and rows of any alignment, and batches that follow each other.
///
/// # Errors
/// Says what differs.
pub(crate) fn check(device: &CudaDevice, stream: &Arc<CudaStream>) -> Result<()> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    for history in [1, 7, 16, 100, 999, 1000] {
        let jagged = Jagged::random(&mut random, 300, history);
        check_dtypes(&jagged, &upload::<i32>(device, &jagged)?, stream)?;
        check_dtypes(&jagged, &upload::<i64>(device, &jagged)?, stream)?;
        check_from_host_to_host::<i32>(&mut random, device, history)?;
        check_from_host_to_host::<i64>(&mut random, device, history)?;
    }
    Ok(())
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
    let problem = format!("rows from host to host differ from the processor's: {:?}, K = {history}", I::DTYPE);
    Err(Error::Arrays { what: "check", problem })
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

fn check_dtypes(jagged: &Jagged, resident: &ResidentRows, stream: &Arc<CudaStream>) -> Result<()> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    for item_dtype in [ItemDtype::I32, ItemDtype::I64] {
        for type_dtype in [TypeDtype::U8, TypeDtype::AsItems] {
            for (history, count) in [(jagged.history, 0), (jagged.history, 1000), (jagged.history.div_ceil(3), 77)] {
                let numbers: Vec<i64> = (0..count).map(|_| random.random_range(0..jagged.rows() as i64)).collect();
                let batch = BatchColumns { type_dtype, ..BatchColumns::new(item_dtype, history) };
                check_batch(jagged, resident, &numbers, batch, stream)?;
            }
        }
    }
    Ok(())
}

fn check_batch(
    jagged: &Jagged,
    resident: &ResidentRows,
    numbers: &[i64],
    mut batch: BatchColumns,
    stream: &Arc<CudaStream>,
) -> Result<()> {
    let as_items = batch.type_dtype == TypeDtype::AsItems;
    let expected = jagged.batch(numbers, batch.history, batch.item_dtype == ItemDtype::I64, as_items);
    // Poisoned, with some elements before the rows so that they begin anywhere, and some bytes behind each column.
    let place = |column: &Vec<u8>| (POISON.len() + column.len() + POISON.len()).next_multiple_of(8);
    let mut offsets = Vec::new();
    let mut bytes = 0;
    for column in &expected {
        offsets.push(bytes + POISON.len());
        bytes += place(column);
    }
    let memory = stream.clone_htod(&vec![POISON[0]; bytes]).map_err(failed)?;
    let (start, _) = memory.device_ptr(stream);
    let [items, types, item_ids, is_order, lengths] =
        std::array::from_fn(|column| Some(start + offsets[column] as u64));
    batch = BatchColumns { items, types, item_ids, is_order, lengths, ..batch };
    // SAFETY: every column has as much memory as is expected of it, read back only after the stream has passed the batch.
    unsafe { resident.gather(RowNumbers::Host(numbers), &batch, stream.cu_stream() as u64) }?;
    let found = stream.clone_dtoh(&memory).map_err(failed)?;
    stream.synchronize().map_err(failed)?;
    for (column, (offset, expected)) in offsets.iter().zip(&expected).enumerate() {
        let behind = &found[offset + expected.len()..][..POISON.len()];
        if found[*offset..][..expected.len()] != **expected || behind != POISON {
            let problem = format!("column {column} of {} rows differs from the processor's: {batch:?}", numbers.len());
            return Err(Error::Arrays { what: "check", problem });
        }
    }
    Ok(())
}

/// What is around each column before and after it is written.
const POISON: [u8; 8] = [0xAB; 8];

/// Wraps what the driver said.
pub(crate) fn failed(error: DriverError) -> Error {
    Error::Cuda { call: "the benchmark", code: error.0 as u32 }
}
