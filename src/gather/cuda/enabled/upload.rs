//! Arrays from pageable memory to a device.

use std::sync::Arc;

use bytemuck::Pod;
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

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

    /// Copies values to an address of the buffer that is being filled.
    pub(super) fn copy<T: Pod + Send + Sync>(&mut self, address: u64, values: &[T]) -> Result<()> {
        self.parts(address, values.len(), |start, target| {
            target.copy_from_slice(&values[start..start + target.len()]);
        })
    }

    /// As many values as `count`, each made from its place.
    pub(super) fn make<T: Pod + Send + Sync>(
        &mut self,
        address: u64,
        count: usize,
        value: impl Fn(usize) -> T + Sync,
    ) -> Result<()> {
        self.parts(address, count, |start, target| {
            target.iter_mut().enumerate().for_each(|(place, target)| *target = value(start + place));
        })
    }

    /// Fills pinned memory in parallel, by parts that begin at a place, and submits it.
    fn parts<T: Pod + Send + Sync>(
        &mut self,
        address: u64,
        count: usize,
        fill: impl Fn(usize, &mut [T]) + Sync,
    ) -> Result<()> {
        let (most, piece) = (HALF_BYTES / size_of::<T>(), PIECE_BYTES / size_of::<T>());
        for first in (0..count).step_by(most) {
            self.halves.swap(0, 1);
            let [half, _] = &mut self.halves;
            half.stream.synchronize("uploading rows")?;
            let staged = &mut half.buffer.bytes_mut()[..(count - first).min(most) * size_of::<T>()];
            let pieces = bytemuck::cast_slice_mut::<u8, T>(staged).par_chunks_mut(piece);
            pieces.enumerate().for_each(|(place, target)| fill(first + place * piece, target));
            let address = address + (first * size_of::<T>()) as u64;
            // SAFETY: the layout has room for the column at its address, and this half is left alone until its stream has
            // been waited for.
            unsafe { copy_to_device(&half.stream, address, staged) }?;
        }
        Ok(())
    }

    /// Waits until all is there.
    pub(super) fn wait(&self) -> Result<()> {
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
