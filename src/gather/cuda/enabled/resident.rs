//! Jagged rows that stay in the memory of a device, and batches of them in memory that somebody else owns.

use std::sync::{Mutex, PoisonError};

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::context::Stream;
use super::device::CudaDevice;
use super::driver::out_of_memory;
use super::kernel::{Batch, KernelRow, NarrowRow, Source, WideRow};
use super::memory::DeviceBuffer;
use super::numbers::Numbers;
use super::upload::Upload;
use crate::error::{Error, Result};
use crate::event::{ItemDtype, ItemId};
use crate::gather::cuda::arrays::Layout;
use crate::gather::cuda::{BatchColumns, JaggedArrays, RowNumbers, TypeDtype};

/// Jagged rows in the memory of a CUDA device: uploaded once, gathered from as often as wanted.
///
/// It may be shared between threads. Dropping it waits for the device, so that nothing still reads the rows.
#[derive(Debug)]
pub struct ResidentRows {
    history: usize,
    item_dtype: ItemDtype,
    /// Whether each item fits 32 bits.
    items_fit_32: bool,
    source: Source,
    device_bytes: u64,
    held: Held,
}

/// What the device works with.
#[derive(Debug)]
struct Held {
    numbers: Mutex<Numbers>,
    /// The memory that the source names.
    _buffer: DeviceBuffer,
    /// Its kernels may be unloaded with it.
    device: CudaDevice,
}

impl ResidentRows {
    /// Uploads the rows of some shards, one after the other: row r of the second is row (rows of the first) + r.
    ///
    /// Returns when they are there. `history` is K. Takes [`resident_bytes`](super::super::resident_bytes) of the
    /// device's memory, and some MiB of pinned memory while it works.
    ///
    /// # Errors
    /// [`Error::Arrays`] where the arrays do not fit together ([`JaggedArrays::check`]), [`Error::DeviceMemory`] where
    /// there is no room, and [`Error::Cuda`].
    pub fn upload<I: ItemId>(device: &CudaDevice, history: usize, parts: &[JaggedArrays<'_, I>]) -> Result<Self> {
        parts.iter().try_for_each(|part| part.check(history))?;
        let rows: usize = parts.iter().map(|part| part.starts.len()).sum();
        let actions: usize = parts.iter().map(|part| part.items.len()).sum();
        let layout = Layout::new(I::DTYPE, rows as u64, actions as u64);
        let context = device.context();
        let buffer = match DeviceBuffer::new(context, layout.bytes as usize) {
            Err(error) if out_of_memory(&error) => {
                return Err(Error::DeviceMemory { needed: layout.bytes, free: device.memory()?.free });
            }
            made => made?,
        };
        let at = |offset: u64| buffer.address() + offset;
        let source = Source {
            items: at(layout.items),
            types: at(layout.types),
            rows: at(layout.rows),
            // Rows are slices in memory.
            count: rows as i64,
        };
        let mut upload = Upload::new(context)?;
        // The kernel reads types in words; what is behind the last one in its word is never used, but it is read.
        let last_word = source.types + actions.saturating_sub(1) as u64 / 4 * 4;
        upload.copy(last_word, &[0u32])?;
        upload.wait()?;
        match I::DTYPE {
            ItemDtype::I32 => upload_parts::<I, NarrowRow>(&mut upload, &source, parts)?,
            ItemDtype::I64 => upload_parts::<I, WideRow>(&mut upload, &source, parts)?,
        }
        upload.wait()?;
        Ok(Self {
            history,
            item_dtype: I::DTYPE,
            items_fit_32: parts.iter().all(|part| fit_32(part.items) && fit_32(part.item_ids)),
            source,
            device_bytes: layout.bytes,
            held: Held { numbers: Mutex::new(Numbers::new(context)), _buffer: buffer, device: device.clone() },
        })
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        // It was a length when it was uploaded.
        self.source.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// K, the longest that a history can be.
    #[must_use]
    pub fn history(&self) -> usize {
        self.history
    }

    /// The dtype of the items as they are stored.
    #[must_use]
    pub fn item_dtype(&self) -> ItemDtype {
        self.item_dtype
    }

    /// The device memory that the rows take, in bytes.
    #[must_use]
    pub fn device_bytes(&self) -> u64 {
        self.device_bytes
    }

    /// Submits the gathering of B rows into device memory, and returns.
    ///
    /// `stream` is a `CUstream` as a number, as `torch.cuda.current_stream().cuda_stream` gives it; 0 is the default
    /// stream. What is submitted to that stream afterwards sees the batch; the host sees it after waiting for the stream.
    ///
    /// # Errors
    /// [`Error::Arrays`] where the request makes no sense (a row number from the host that is none of the rows, a row of
    /// length 0, an address that is not a multiple of its element's width, 32-bit items that do not hold every item), before
    /// anything is submitted, and [`Error::Cuda`].
    ///
    /// # Safety
    /// - Every address in `batch` and `rows` is of memory of this device, as long as its column says for B rows, and no two
    ///   of them overlap.
    /// - `stream` is a stream of this device's primary context.
    /// - Until the stream has passed the batch, the memory stays allocated, and no other stream and nobody on the host reads
    ///   or writes the columns, or writes the row numbers.
    /// - Row numbers in device memory are written by what was submitted to `stream` before, or have been waited for.
    pub unsafe fn gather(&self, rows: RowNumbers<'_>, batch: &BatchColumns, stream: u64) -> Result<()> {
        let count = match rows {
            RowNumbers::Host(numbers) => numbers.len(),
            RowNumbers::Device { count, .. } => count,
        };
        self.check(rows, batch)?;
        let target = Batch {
            numbers: 0,
            // A slice's length, or one that the caller says memory has.
            count: count as i64,
            history: batch.history as i64,
            tile: 0,
            items: batch.items.unwrap_or_default(),
            types: batch.types.unwrap_or_default(),
            item_ids: batch.item_ids.unwrap_or_default(),
            is_order: batch.is_order.unwrap_or_default(),
            lengths: batch.lengths.unwrap_or_default(),
        };
        if count == 0 {
            return Ok(());
        }
        // SAFETY: the caller says that it is a stream of this context.
        let stream = unsafe { Stream::borrowed(self.held.device.context(), stream) };
        let dtypes = (self.item_dtype, batch.item_dtype, batch.type_dtype);
        let launch = |numbers| {
            let target = Batch { numbers, ..target };
            // SAFETY: the windows were checked when they were uploaded, the source lives as long as `self`, whose drop waits
            // for the device, and so do the numbers from the host; for the rest the caller speaks.
            unsafe { self.held.device.kernels().launch(&stream, dtypes, &self.source, &target) }
        };
        match rows {
            RowNumbers::Device { address, .. } => launch(address),
            RowNumbers::Host(numbers) => {
                let mut under_way = self.held.numbers.lock().unwrap_or_else(PoisonError::into_inner);
                under_way.lend(&stream, numbers, launch)
            }
        }
    }

    /// Whether the kernel may be given this.
    fn check(&self, rows: RowNumbers<'_>, batch: &BatchColumns) -> Result<()> {
        let wrong = |what, problem: String| Err(Error::Arrays { what, problem });
        match rows {
            RowNumbers::Host(numbers) => {
                let outside = |&&number: &&i64| !(0..self.source.count).contains(&number);
                if let Some(number) = numbers.iter().find(outside) {
                    return wrong("rows", format!("there is no row {number}: {} rows", self.source.count));
                }
            }
            RowNumbers::Device { address, count } => {
                if (address == 0 && count > 0) || !address.is_multiple_of(8) {
                    return wrong("rows", format!("{address:#x} is not the address of 64-bit numbers"));
                }
            }
        }
        if batch.history == 0 {
            return wrong("history", "a row needs a length of 1 or more".to_owned());
        }
        // The kernel counts positions in a row with as many.
        if i32::try_from(batch.history).is_err() {
            return wrong("history", format!("a row of {} is longer than 31 bits count", batch.history));
        }
        if batch.item_dtype == ItemDtype::I32 && !self.items_fit_32 {
            return wrong("item_dtype", "some items do not fit 32 bits".to_owned());
        }
        let item = match batch.item_dtype {
            ItemDtype::I32 => 4,
            ItemDtype::I64 => 8,
        };
        let kind = if batch.type_dtype == TypeDtype::U8 { 1 } else { item };
        let columns = [
            ("items", batch.items, item),
            ("types", batch.types, kind),
            ("item_ids", batch.item_ids, item),
            ("lengths", batch.lengths, 4),
        ];
        for (what, address, width) in columns {
            if let Some(address) = address.filter(|address| !address.is_multiple_of(width)) {
                return wrong(what, format!("{address:#x} is not a multiple of {width}"));
            }
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A batch may still read the rows, by a kernel that goes with the device.
        // Whether it has failed is of no interest any more.
        let _ = self.device.context().synchronize();
    }
}

/// Brings shards to where the source says, one after the other.
fn upload_parts<I: ItemId, R: KernelRow>(
    upload: &mut Upload,
    source: &Source,
    parts: &[JaggedArrays<'_, I>],
) -> Result<()> {
    let (mut rows, mut actions) = (0, 0);
    for part in parts {
        upload.copy(source.items + (actions * size_of::<I>()) as u64, part.items)?;
        upload.copy(source.types + actions as u64, part.types)?;
        let row = |place: usize| {
            let (start, length) = (part.starts[place] + actions as i64, part.lengths[place]);
            R::new(start, length, part.is_order[place] != 0, part.item_ids[place].into())
        };
        upload.make(source.rows + (rows * size_of::<R>()) as u64, part.starts.len(), row)?;
        rows += part.starts.len();
        actions += part.items.len();
    }
    Ok(())
}

/// Whether each item is one of 32 bits.
fn fit_32<I: ItemId>(items: &[I]) -> bool {
    I::DTYPE == ItemDtype::I32 || items.par_iter().with_min_len(1 << 16).all(|&item| i32::try_from(item.into()).is_ok())
}
