//! Arrays from pageable memory to a device.

use std::sync::Arc;

use bytemuck::Pod;
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use super::context::{Context, Stream};
use super::memory::{PinnedBuffer, copy_to_device};
use crate::error::Result;

/// Copies from pageable memory, by way of two pinned buffers that take turns.
pub(super) struct Upload {
    halves: [Half; 2],
}

struct Half {
    stream: Stream,
    buffer: PinnedBuffer,
}

/// Bytes of a pinned buffer: enough to keep the bus busy while the other one is filled.
const HALF_BYTES: usize = 8 << 20;
/// Bytes that a thread copies at a time.
const PIECE_BYTES: usize = 1 << 18;

impl Upload {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self> {
        let half = || -> Result<Half> {
            Ok(Half { stream: Stream::new(context)?, buffer: PinnedBuffer::new(context, HALF_BYTES)? })
        };
        Ok(Self { halves: [half()?, half()?] })
    }

    /// Copies values to an address of the buffer that is being filled, each as `change` makes it.
    pub(super) fn copy<T: Pod + Send + Sync>(
        &mut self,
        address: u64,
        values: &[T],
        change: impl Fn(T) -> T + Sync,
    ) -> Result<()> {
        let mut address = address;
        for values in values.chunks(HALF_BYTES / size_of::<T>()) {
            self.halves.swap(0, 1);
            let [half, _] = &mut self.halves;
            half.stream.synchronize("uploading rows")?;
            let staged = &mut half.buffer.bytes_mut()[..size_of_val(values)];
            let pieces = PIECE_BYTES / size_of::<T>();
            let targets = bytemuck::cast_slice_mut::<u8, T>(staged).par_chunks_mut(pieces);
            targets.zip(values.par_chunks(pieces)).for_each(|(target, source)| {
                target.iter_mut().zip(source).for_each(|(target, &value)| *target = change(value));
            });
            // SAFETY: the layout has room for the column at its address, and this half is left alone until its stream has
            // been waited for.
            unsafe { copy_to_device(&half.stream, address, staged) }?;
            address += staged.len() as u64;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<()> {
        self.halves.iter().try_for_each(|half| half.stream.synchronize("uploading rows"))
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // A copy may be under way when something else has failed; the buffer goes after it.
        // Whether it has failed is of no interest any more.
        let _ = self.stream.synchronize("uploading rows");
    }
}
