//! Rows that stay on the device, gathered into memory that the caller owns.

use std::ffi::c_void;
use std::ptr;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use shardback::error::Error;
use shardback::event::{ItemDtype, ItemId};
use shardback::gather::cuda::{
    BatchColumns, CudaDevice, DeviceMemory, JaggedArrays, ResidentRows, RowNumbers, TypeDtype, resident_bytes,
};

use super::driver;
use super::jagged::Jagged;

fn device() -> CudaDevice {
    driver::load();
    CudaDevice::open(0).unwrap()
}

/// The driver's function of a name.
fn function<F: Copy>(name: &str) -> F {
    // SAFETY: the types below are those in `driver.cpp`.
    *unsafe { driver::load().get::<F>(name) }.unwrap()
}

type SetCurrent = unsafe extern "C" fn(*mut c_void) -> i32;
type GetCurrent = unsafe extern "C" fn(*mut *mut c_void) -> i32;

/// Waits for everything that was submitted to the device.
fn wait() {
    let retain = function::<unsafe extern "C" fn(*mut *mut c_void, i32) -> i32>("cuDevicePrimaryCtxRetain");
    let mut context = ptr::null_mut();
    // SAFETY: as the driver's documentation has it; the context is left as it was.
    unsafe {
        assert_eq!(retain(&mut context, 0), 0);
        assert_eq!(function::<SetCurrent>("cuCtxSetCurrent")(context), 0);
        assert_eq!(function::<unsafe extern "C" fn() -> i32>("cuCtxSynchronize")(), 0);
        assert_eq!(function::<SetCurrent>("cuCtxSetCurrent")(ptr::null_mut()), 0);
    }
}

/// The columns of a batch. A fake device's memory is the host's, so these are addresses on it.
struct Columns {
    /// Items, types, item ids, labels, lengths, as bytes; 64-bit words, so that addresses are aligned.
    columns: [Vec<u64>; 5],
    lengths: [usize; 5],
}

impl Columns {
    fn new(count: usize, history: usize, item: usize, kind: usize) -> Self {
        let lengths = [count * history * item, count * history * kind, count * item, count, count * 4];
        Self { columns: lengths.map(|bytes| vec![0xABAB_ABAB_ABAB_ABAB; bytes / 8 + 2]), lengths }
    }

    fn addresses(&mut self) -> [Option<u64>; 5] {
        self.columns.each_mut().map(|column| Some(column.as_mut_ptr() as u64))
    }

    /// What was written, once nothing was written behind it.
    fn bytes(&self) -> [&[u8]; 5] {
        std::array::from_fn(|place| {
            let (column, behind) = bytemuck::cast_slice(&self.columns[place]).split_at(self.lengths[place]);
            assert!(behind.iter().all(|&byte| byte == 0xAB), "column {place} is written behind its end");
            column
        })
    }
}

/// The rows as parts of some sizes, each with arrays of its own.
fn upload<I: ItemId>(device: &CudaDevice, parts: &[Jagged], history: usize) -> Result<ResidentRows, Error> {
    let narrow = |items: &[i64]| items.iter().map(|&item| I::try_from(item).ok().unwrap()).collect::<Vec<I>>();
    let items: Vec<_> = parts.iter().map(|part| (narrow(&part.items), narrow(&part.item_ids))).collect();
    let arrays: Vec<_> = parts
        .iter()
        .zip(&items)
        .map(|(part, (items, item_ids))| JaggedArrays {
            items,
            types: &part.types,
            starts: &part.starts,
            lengths: &part.lengths,
            item_ids,
            is_order: &part.is_order,
        })
        .collect();
    ResidentRows::upload(device, history, &arrays)
}

/// The parts one after the other, as one.
fn joined(parts: &[Jagged], history: usize) -> Jagged {
    let empty = Vec::new;
    let mut all = Jagged {
        history,
        items: empty(),
        types: Vec::new(),
        starts: empty(),
        lengths: Vec::new(),
        item_ids: empty(),
        is_order: Vec::new(),
    };
    for part in parts {
        all.starts.extend(part.starts.iter().map(|start| start + all.items.len() as i64));
        all.items.extend(&part.items);
        all.types.extend(&part.types);
        all.lengths.extend(&part.lengths);
        all.item_ids.extend(&part.item_ids);
        all.is_order.extend(&part.is_order);
    }
    all
}

/// A batch's columns by the device, with the row numbers from the host or on the device.
fn gathered(resident: &ResidentRows, numbers: &[i64], on_device: bool, mut batch: BatchColumns) -> Columns {
    let item = if batch.item_dtype == ItemDtype::I64 { 8 } else { 4 };
    let kind = if batch.type_dtype == TypeDtype::AsItems { item } else { 1 };
    let mut columns = Columns::new(numbers.len(), batch.history, item, kind);
    [batch.items, batch.types, batch.item_ids, batch.is_order, batch.lengths] = columns.addresses();
    let rows = if on_device {
        RowNumbers::Device { address: numbers.as_ptr() as u64, count: numbers.len() }
    } else {
        RowNumbers::Host(numbers)
    };
    // SAFETY: every column is as long as it has to be, the stream is the default one, and all of it is waited for.
    unsafe { resident.gather(rows, &batch, 0) }.unwrap();
    wait();
    columns
}

fn gathers_as_the_processor<I: ItemId>(seed: u64) {
    let device = device();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    for history in [1, 9, 64, 1000] {
        let parts: Vec<Jagged> = (0..3).map(|_| Jagged::random(&mut random, 30, history)).collect();
        let all = joined(&parts, history);
        let resident = upload::<I>(&device, &parts, history).unwrap();
        assert_eq!((resident.len(), resident.history(), resident.item_dtype()), (90, history, I::DTYPE));
        assert_eq!(resident.device_bytes(), resident_bytes(I::DTYPE, 90, all.items.len() as u64));
        for item_dtype in [ItemDtype::I32, ItemDtype::I64] {
            for type_dtype in [TypeDtype::U8, TypeDtype::AsItems] {
                let shorter = random.random_range(1..=history);
                for (history, on_device) in [(history, true), (history, false), (shorter, true), (shorter, false)] {
                    let numbers: Vec<i64> =
                        (0..random.random_range(0..200)).map(|_| random.random_range(0..90)).collect();
                    let batch = BatchColumns { type_dtype, ..BatchColumns::new(item_dtype, history) };
                    let columns = gathered(&resident, &numbers, on_device, batch);
                    let (wide, as_items) = (item_dtype == ItemDtype::I64, type_dtype == TypeDtype::AsItems);
                    let expected = all.batch(&numbers, history, wide, as_items);
                    assert!(columns.bytes() == expected.each_ref().map(Vec::as_slice), "K {history}, {item_dtype:?}");
                }
            }
        }
    }
}

/// Rows of several shards, in any order and repeated, in every dtype and with shorter rows: the processor's columns.
#[test]
fn batches_are_those_of_the_processor() {
    gathers_as_the_processor::<i32>(5);
    gathers_as_the_processor::<i64>(6);
}

/// Columns that nobody asked for are not written, and a number on the device that is no row gives zeros.
#[test]
fn what_is_not_asked_for_is_not_written() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let jagged = Jagged::random(&mut random, 20, 50);
    let resident = upload::<i32>(&device(), std::slice::from_ref(&jagged), jagged.history).unwrap();
    let numbers = [3, -1, 20, i64::MAX, i64::MIN, 0];
    let columns = gathered(&resident, &numbers, true, BatchColumns::new(ItemDtype::I32, 50));
    assert!(columns.bytes() == jagged.batch(&numbers, 50, false, false).each_ref().map(Vec::as_slice));
    let mut columns = Columns::new(2, 50, 4, 1);
    let lengths = columns.addresses()[4];
    // SAFETY: as in `gathered`.
    unsafe {
        resident.gather(
            RowNumbers::Host(&[1, 2]),
            &BatchColumns { lengths, ..BatchColumns::new(ItemDtype::I32, 50) },
            0,
        )
    }
    .unwrap();
    wait();
    assert_eq!(columns.bytes()[4], bytemuck::cast_slice::<i32, u8>(&jagged.lengths[1..3]));
    assert!(columns.columns[..4].iter().flatten().all(|&word| word == 0xABAB_ABAB_ABAB_ABAB));
}

/// Row numbers from the host may change as soon as the call returns, also while more batches are under way than are kept apart.
#[test]
fn row_numbers_are_copied_at_once() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(8);
    let jagged = Jagged::random(&mut random, 500, 20);
    let resident = upload::<i32>(&device(), std::slice::from_ref(&jagged), 20).unwrap();
    let mut numbers = Vec::new();
    let mut batches = Vec::new();
    for batch in 0..150 {
        numbers.clear();
        // So many that they are copied to the device, now and then.
        let count = if batch % 40 == 7 { 20_000 + batch } else { 10 + 13 * (batch % 20) };
        numbers.extend((0..count).map(|_| random.random_range(0..500)));
        let mut columns = Columns::new(numbers.len(), 20, 4, 1);
        let mut batch = BatchColumns::new(ItemDtype::I32, 20);
        [batch.items, batch.types, batch.item_ids, batch.is_order, batch.lengths] = columns.addresses();
        // SAFETY: as in `gathered`; moving the columns does not move what they hold.
        unsafe { resident.gather(RowNumbers::Host(&numbers), &batch, 0) }.unwrap();
        batches.push((numbers.clone(), columns));
    }
    wait();
    for (numbers, columns) in batches {
        assert!(columns.bytes() == jagged.batch(&numbers, 20, false, false).each_ref().map(Vec::as_slice));
    }
}

/// What a kernel would follow out of bounds, or could not write, is refused before it runs.
#[test]
fn requests_that_make_no_sense_are_refused() {
    let device = device();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(9);
    let whole = || Jagged::random(&mut Xoshiro256PlusPlus::seed_from_u64(9), 10, 8);
    let mut said = String::new();
    let mut refused = |result: Result<(), Error>| said.push_str(&format!("{}\n", result.unwrap_err()));
    for broken in [
        Jagged { starts: vec![-1; 10], ..whole() },
        Jagged { starts: vec![i64::MAX; 10], lengths: vec![8; 10], ..whole() },
        Jagged { lengths: vec![9; 10], starts: vec![0; 10], ..whole() },
        Jagged { lengths: vec![-1; 10], starts: vec![0; 10], ..whole() },
        Jagged { types: vec![1], ..whole() },
        Jagged { is_order: vec![1], ..whole() },
    ] {
        let result = upload::<i32>(&device, &[whole(), broken], 8).map(drop);
        refused(result);
    }
    let mut jagged = whole();
    let resident = upload::<i32>(&device, std::slice::from_ref(&jagged), 8).unwrap();
    let batch = BatchColumns::new(ItemDtype::I32, 8);
    // SAFETY: these are refused before anything is submitted.
    let mut gather = |resident: &ResidentRows, rows, batch| refused(unsafe { resident.gather(rows, &batch, 0) });
    gather(&resident, RowNumbers::Host(&[0, 10]), batch);
    gather(&resident, RowNumbers::Host(&[-1]), batch);
    gather(&resident, RowNumbers::Device { address: 0, count: 1 }, batch);
    gather(&resident, RowNumbers::Host(&[0]), BatchColumns { history: 0, ..batch });
    gather(&resident, RowNumbers::Host(&[0]), BatchColumns { history: 1 << 31, ..batch });
    gather(&resident, RowNumbers::Host(&[0]), BatchColumns { items: Some(6), ..batch });
    gather(&resident, RowNumbers::Host(&[0]), BatchColumns { types: Some(6), type_dtype: TypeDtype::AsItems, ..batch });
    jagged.item_ids[random.random_range(0..10)] = 1 << 31;
    let wide = upload::<i64>(&device, std::slice::from_ref(&jagged), 8).unwrap();
    gather(&wide, RowNumbers::Host(&[0]), batch);
    insta::assert_snapshot!(said);
}

/// Rows that are dropped while a batch of theirs is under way wait for it, also where they are the last to know the device.
#[test]
fn dropped_rows_wait_for_their_batches() {
    let device = device();
    let jagged = Jagged::random(&mut Xoshiro256PlusPlus::seed_from_u64(12), 10, 8);
    let resident = upload::<i32>(&device, std::slice::from_ref(&jagged), 8).unwrap();
    drop(device);
    let mut columns = Columns::new(10, 8, 4, 1);
    let mut batch = BatchColumns::new(ItemDtype::I32, 8);
    [batch.items, batch.types, batch.item_ids, batch.is_order, batch.lengths] = columns.addresses();
    let numbers: Vec<i64> = (0..10).collect();
    // SAFETY: as in `gathered`; dropping the rows waits for it.
    unsafe { resident.gather(RowNumbers::Host(&numbers), &batch, 0) }.unwrap();
    drop(resident);
    assert!(columns.bytes() == jagged.batch(&numbers, 8, false, false).each_ref().map(Vec::as_slice));
}

/// Another thread may record a graph while rows are uploaded and dropped: the driver would refuse that and spoil the recording,
/// and is told each time that it has nothing to do with it.
#[test]
fn uploads_do_not_spoil_a_recording() {
    let device = device();
    let capture = function::<extern "C" fn(i32) -> i32>("fake_cuda_capture");
    let jagged = Jagged::random(&mut Xoshiro256PlusPlus::seed_from_u64(13), 10, 8);
    capture(1);
    let resident = upload::<i32>(&device, std::slice::from_ref(&jagged), 8);
    let uploaded = resident.map(drop);
    let opened = CudaDevice::open(0).map(drop);
    assert_eq!(capture(0), 0, "a call has spoilt it");
    assert!(uploaded.is_ok() && opened.is_ok(), "{uploaded:?} {opened:?}");
}

/// Rows that the device has no room for are an error with both numbers.
#[test]
fn rows_without_room_are_refused() {
    let device = device();
    let jagged = Jagged::random(&mut Xoshiro256PlusPlus::seed_from_u64(10), 10, 8);
    driver::limit_memory(1);
    let refused = upload::<i32>(&device, std::slice::from_ref(&jagged), 8);
    let memory = device.memory();
    driver::limit_memory(1 << 40);
    let needed = resident_bytes(ItemDtype::I32, 10, jagged.items.len() as u64);
    assert!(matches!(refused, Err(Error::DeviceMemory { needed: said, free: ..=1 }) if said == needed), "{refused:?}");
    assert!(matches!(memory, Ok(DeviceMemory { free: ..=1, total: 1 })), "{memory:?}");
}

/// A thread that works with another context has it still after every call.
#[test]
fn the_current_context_stays() {
    let (set, get) = (function::<SetCurrent>("cuCtxSetCurrent"), function::<GetCurrent>("cuCtxGetCurrent"));
    let other = ptr::without_provenance_mut(0x1234);
    let still = |after: &str| {
        let mut current = ptr::null_mut();
        // SAFETY: the pointer is to a pointer that outlives the call.
        assert_eq!(unsafe { get(&mut current) }, 0);
        assert_eq!(current, other, "after {after}");
    };
    driver::load();
    // SAFETY: the fake driver does not look at contexts that are not its own.
    unsafe { set(other) };
    let device = CudaDevice::open(0).unwrap();
    still("opening");
    device.memory().unwrap();
    still("asking for memory");
    let jagged = Jagged::random(&mut Xoshiro256PlusPlus::seed_from_u64(11), 10, 8);
    let resident = upload::<i32>(&device, std::slice::from_ref(&jagged), 8).unwrap();
    still("uploading");
    let mut lengths = [0i32; 2];
    let batch = BatchColumns { lengths: Some(lengths.as_mut_ptr() as u64), ..BatchColumns::new(ItemDtype::I32, 8) };
    // SAFETY: as in `gathered`; dropping the rows waits for it.
    unsafe { resident.gather(RowNumbers::Host(&[1, 2]), &batch, 0) }.unwrap();
    still("gathering");
    drop(resident);
    still("dropping the rows");
    drop(device);
    still("dropping the device");
}
