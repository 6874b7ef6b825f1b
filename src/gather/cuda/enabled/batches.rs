//! From host to host: windows and their values go to the device in batches, and padded rows come back.
//!
//! ```text
//! slot 1   fill ─► copy in, kernel, copy out ─► take        fill ─► …
//! slot 2               fill ─► copy in, kernel, copy out ─► take
//! ```
//!
//! A lane has two slots, each with a stream and memory of its own: while the device works on one batch, the one before it
//! is written to disk and the one after it is filled. Each thread that pads takes a lane.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::mem::swap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;

use super::context::Stream;
use super::device::CudaDevice;
use super::driver::out_of_memory;
use super::kernel::{Batch, KernelRow, NarrowRow, Source, WideRow, row_bytes};
use super::memory::{DeviceBuffer, PinnedBuffer, copy_from_device, copy_to_device};
use crate::error::{Error, Invariant, Result};
use crate::event::{ItemDtype, ItemId};
use crate::gather::cuda::TypeDtype;
use crate::gather::{Blocks, Gather, Take};
use crate::histories::{Values, Window};

/// The gather from host to host on a CUDA device.
#[derive(Debug)]
pub struct CudaGather {
    device: CudaDevice,
    /// Lanes that no thread uses.
    lanes: Mutex<Vec<Lane>>,
    /// The bytes of padded rows in a batch of a new lane; halved where memory runs out.
    batch_bytes: AtomicUsize,
}

/// The bytes of padded rows in a batch: large enough that starting a kernel and two copies costs little beside them.
const BATCH_BYTES: usize = 4 << 20;
/// More rows than this are not in a batch, however short they are, so that their windows take little room.
const MOST_ROWS: usize = 1 << 15;

/// Values begin on a multiple of this.
const VALUE_ALIGNMENT: usize = 16;

impl CudaGather {
    /// A gather on a device.
    #[must_use]
    pub fn new(device: CudaDevice) -> Self {
        Self { device, lanes: Mutex::new(Vec::new()), batch_bytes: AtomicUsize::new(BATCH_BYTES) }
    }

    /// Pads one column of the blocks' rows.
    fn pad<I: ItemId, T: Pod>(
        &self,
        blocks: Blocks<'_, I>,
        column: &Column<'_, I, T>,
        history: usize,
        take: Take<'_, T>,
    ) -> Result<()> {
        let row_bytes = history * size_of::<T>();
        let mut lane = self.lane(row_bytes)?;
        match column.stored() {
            ItemDtype::I32 => lane.pad::<I, T, NarrowRow>(&self.device, blocks, column, history, take)?,
            ItemDtype::I64 => lane.pad::<I, T, WideRow>(&self.device, blocks, column, history, take)?,
        }
        // After a fault the lane's memory goes, when its streams have come to an end.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
        Ok(())
    }

    /// Pads a column that is neither items nor types, as bytes.
    fn pad_bytes<I: ItemId, T: Pod>(
        &self,
        blocks: Blocks<'_, I>,
        column: usize,
        numbers: Option<ItemDtype>,
        history: usize,
        take: Take<'_, u8>,
    ) -> Result<()> {
        let column = Column { of: &|values: &Values<I>| values.column(column)?.typed::<T>(), numbers };
        self.pad(blocks, &column, history, &mut |padded: &[T]| take(bytemuck::cast_slice(padded)))
    }

    /// A lane for rows of so many bytes: one that is there, or a new one, as large as there is memory for.
    fn lane(&self, row_bytes: usize) -> Result<Lane> {
        let unused = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(lane) = unused.filter(|lane| lane.batch_bytes >= row_bytes) {
            return Ok(lane);
        }
        loop {
            let batch_bytes = self.batch_bytes.load(Ordering::Relaxed).max(row_bytes);
            match Lane::new(&self.device, batch_bytes) {
                Err(error) if out_of_memory(&error) && batch_bytes > row_bytes => {
                    self.batch_bytes.fetch_min(batch_bytes / 2, Ordering::Relaxed);
                }
                made => return made,
            }
        }
    }
}

impl<I: ItemId> Gather<I> for CudaGather {
    fn items(&self, blocks: Blocks<'_, I>, history: usize, take: Take<'_, I>) -> Result<()> {
        let column = Column { of: &|values: &Values<I>| Ok(Cow::Borrowed(&values.items[..])), numbers: Some(I::DTYPE) };
        self.pad(blocks, &column, history, take)
    }

    fn types(&self, blocks: Blocks<'_, I>, history: usize, take: Take<'_, u8>) -> Result<()> {
        let column = Column { of: &|values: &Values<I>| Ok(Cow::Borrowed(&values.types[..])), numbers: None };
        self.pad(blocks, &column, history, take)
    }

    fn column(&self, blocks: Blocks<'_, I>, column: (usize, usize), history: usize, take: Take<'_, u8>) -> Result<()> {
        // To the kernel a value of four or eight bytes is an item of that width: it is copied, whatever it means.
        let (column, width) = column;
        match width {
            1 => self.pad_bytes::<I, u8>(blocks, column, None, history, take),
            4 => self.pad_bytes::<I, u32>(blocks, column, Some(ItemDtype::I32), history, take),
            8 => self.pad_bytes::<I, u64>(blocks, column, Some(ItemDtype::I64), history, take),
            _ => Err(Error::internal("values of columns are 1, 4 or 8 bytes wide")),
        }
    }
}

/// Finds a column among values.
type ColumnOf<'a, I, T> = dyn for<'b> Fn(&'b Values<I>) -> Result<Cow<'b, [T]>> + 'a;

/// Which of the values are padded.
struct Column<'a, I, T: Clone> {
    of: &'a ColumnOf<'a, I, T>,
    /// Whether they are numbers, of which width, or else bytes.
    numbers: Option<ItemDtype>,
}

impl<I, T: Clone> Column<'_, I, T> {
    /// As what items the kernel reads the batch: bytes go with those of 32 bits.
    fn stored(&self) -> ItemDtype {
        self.numbers.unwrap_or(ItemDtype::I32)
    }
}

/// Two batches at different points of their way.
#[derive(Debug)]
struct Lane {
    /// The most bytes of padded rows in a batch.
    batch_bytes: usize,
    slots: [Slot; 2],
}

/// The memory of one batch and the stream that it goes on.
#[derive(Debug)]
struct Slot {
    stream: Stream,
    /// Rows, values.
    input: PinnedBuffer,
    device_input: DeviceBuffer,
    /// Padded rows.
    output: PinnedBuffer,
    device_output: DeviceBuffer,
}

impl Lane {
    fn new(device: &CudaDevice, batch_bytes: usize) -> Result<Self> {
        let slots = [Slot::new(device, batch_bytes)?, Slot::new(device, batch_bytes)?];
        Ok(Self { batch_bytes, slots })
    }

    fn pad<I: ItemId, T: Pod, R: KernelRow>(
        &mut self,
        device: &CudaDevice,
        blocks: Blocks<'_, I>,
        column: &Column<'_, I, T>,
        history: usize,
        take: Take<'_, T>,
    ) -> Result<()> {
        let most_rows = (self.batch_bytes / (history * size_of::<T>())).clamp(1, MOST_ROWS);
        let [first, second] = &mut self.slots;
        let mut filling = Filling::<R>::new(first, most_rows, history);
        let mut working = Filling::<R>::new(second, most_rows, history);
        for block in blocks {
            let block = block?;
            let values = (column.of)(&block.piece().values)?;
            for (request, mut count) in block.requests() {
                while count > 0 {
                    if filling.rows == most_rows {
                        filling.submit::<T>(device, column.numbers)?;
                        working.hand_over(take)?;
                        swap(&mut filling, &mut working);
                    }
                    count -= filling.add(&values, &request.window(), count)?;
                }
            }
        }
        filling.submit::<T>(device, column.numbers)?;
        working.hand_over(take)?;
        filling.hand_over(take)
    }
}

impl Slot {
    fn new(device: &CudaDevice, batch_bytes: usize) -> Result<Self> {
        let context = device.context();
        // No row has more values than its padded form.
        let input_bytes = MOST_ROWS * row_bytes(ItemDtype::I64) + VALUE_ALIGNMENT + batch_bytes;
        Ok(Self {
            stream: Stream::new(context)?,
            input: PinnedBuffer::new(context, input_bytes)?,
            device_input: DeviceBuffer::new(context, input_bytes)?,
            output: PinnedBuffer::new(context, batch_bytes)?,
            device_output: DeviceBuffer::new(context, batch_bytes)?,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Copies may be under way when something else has failed; the memory goes after them.
        // Whether they have failed is of no interest any more.
        let _ = self.stream.synchronize("padding a batch");
    }
}

/// A batch that is being filled, or that the device works on.
struct Filling<'a, R> {
    slot: &'a mut Slot,
    /// The rows that the batch has room for: where its values begin follows from it.
    most_rows: usize,
    history: usize,
    rows: usize,
    /// The values that its rows point into, each window once.
    values: usize,
    of: PhantomData<R>,
}

impl<'a, R: KernelRow> Filling<'a, R> {
    fn new(slot: &'a mut Slot, most_rows: usize, history: usize) -> Self {
        Self { slot, most_rows, history, rows: 0, values: 0, of: PhantomData }
    }

    fn values_offset(&self) -> usize {
        (self.most_rows * size_of::<R>()).next_multiple_of(VALUE_ALIGNMENT)
    }

    /// Adds rows of one window, as many as there is room for, and says how many.
    fn add<T: Pod>(&mut self, values: &[T], window: &Window, count: usize) -> Result<usize> {
        let count = count.min(self.most_rows - self.rows);
        let range = window.start as usize..(window.start + window.length) as usize;
        let source = values.get(range).invariant("a window lies inside its values")?;
        let source = &source[..source.len().min(self.history)];
        let values_offset = self.values_offset();
        let (rows, staged) = self.slot.input.bytes_mut().split_at_mut(values_offset);
        let staged = &mut staged[self.values * size_of::<T>()..][..size_of_val(source)];
        staged.copy_from_slice(bytemuck::cast_slice(source));
        // The buffer begins on a page. A length is at most K, of which a batch's bytes are a multiple.
        let rows = bytemuck::cast_slice_mut::<u8, R>(&mut rows[..self.most_rows * size_of::<R>()]);
        rows[self.rows..self.rows + count].fill(R::new(self.values as i64, source.len() as i32, false, 0));
        self.rows += count;
        self.values += source.len();
        Ok(count)
    }

    /// Sends the batch on its way: copied in, padded, copied out.
    fn submit<T: Pod>(&mut self, device: &CudaDevice, numbers: Option<ItemDtype>) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let values_offset = self.values_offset();
        let Slot { stream, input, device_input, output, device_output } = &mut *self.slot;
        let at = |offset: usize| device_input.address() + offset as u64;
        // A batch has few enough.
        let mut source = Source { rows: at(0), count: self.rows as i64, ..Source::default() };
        let mut batch = Batch { count: self.rows as i64, history: self.history as i64, ..Batch::default() };
        match numbers {
            Some(_) => (source.items, batch.items) = (at(values_offset), device_output.address()),
            None => (source.types, batch.types) = (at(values_offset), device_output.address()),
        }
        let stored = numbers.unwrap_or(ItemDtype::I32);
        let input = &input.bytes()[..values_offset + self.values * size_of::<T>()];
        let output = &mut output.bytes_mut()[..self.rows * self.history * size_of::<T>()];
        // SAFETY: the device's buffers are as long as the host's; the rows are windows into the values that stand
        // behind them, and what becomes of them fills `output`. Nobody touches any of it before `hand_over` or the slot's drop
        // has waited for the stream.
        unsafe {
            copy_to_device(stream, device_input.address(), input)?;
            device.kernels().launch(stream, (stored, stored, TypeDtype::U8), &source, &batch)?;
            copy_from_device(stream, output, device_output.address())
        }
    }

    /// Waits for the batch and hands its rows over; the slot is free again.
    fn hand_over<T: Pod>(&mut self, take: Take<'_, T>) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        self.slot.stream.synchronize("padding a batch")?;
        let bytes = self.rows * self.history * size_of::<T>();
        take(bytemuck::cast_slice(&self.slot.output.bytes()[..bytes]))?;
        (self.rows, self.values) = (0, 0);
        Ok(())
    }
}
