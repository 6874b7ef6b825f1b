//! The row numbers of batches, on their way from the host.

use std::sync::Arc;

use super::context::{Context, Event, Stream};
use super::memory::{DeviceBuffer, PinnedBuffer, copy_to_device};
use crate::error::Result;

/// The numbers of a few batches: each keeps its own until the device has read them.
#[derive(Debug)]
pub(super) struct Numbers {
    /// The one that was used longest ago is at `oldest`.
    slots: Vec<Slot>,
    oldest: usize,
    context: Arc<Context>,
}

/// So many batches may be under way before the next one waits for the first. They are many, so that nobody waits here for the
/// work of a model that the device does between the batches; each takes 8 bytes a row.
const UNDER_WAY: usize = 64;

/// Up to so many numbers are read by the kernel where they are, over the bus, each once. More are copied first: the copy takes
/// the bus in larger pieces, and beside the work on so many rows its start is nothing.
const READ_IN_PLACE: usize = 1 << 14;

#[derive(Debug)]
struct Slot {
    pinned: Option<PinnedBuffer>,
    on_device: Option<DeviceBuffer>,
    /// Recorded when the batch is submitted.
    used: Event,
}

impl Numbers {
    pub(super) fn new(context: &Arc<Context>) -> Self {
        Self { slots: Vec::new(), oldest: 0, context: Arc::clone(context) }
    }

    /// Keeps the numbers of a batch, one or more, where `submit` finds them on the device; waits for the batch that was there
    /// before. What `submit` puts on the stream may read them.
    pub(super) fn lend(
        &mut self,
        stream: &Stream,
        numbers: &[i64],
        submit: impl FnOnce(u64) -> Result<()>,
    ) -> Result<()> {
        let place = self.slots.len();
        let slot = if place < UNDER_WAY {
            let used = Event::new(&self.context)?;
            self.slots.push(Slot { pinned: None, on_device: None, used });
            &mut self.slots[place]
        } else {
            let slot = &mut self.slots[self.oldest];
            self.oldest = (self.oldest + 1) % UNDER_WAY;
            slot
        };
        let submitted = slot.put(&self.context, stream, numbers).and_then(submit);
        // Also where the launch has failed: a copy of the numbers may be under way.
        slot.used.record(stream)?;
        submitted
    }
}

impl Slot {
    /// Copies numbers to where the device finds them, and says where that is.
    fn put(&mut self, context: &Arc<Context>, stream: &Stream, numbers: &[i64]) -> Result<u64> {
        self.used.synchronize()?;
        let bytes: &[u8] = bytemuck::cast_slice(numbers);
        let room = bytes.len().next_power_of_two();
        let pinned = match self.pinned.take().filter(|pinned| pinned.bytes().len() >= bytes.len()) {
            Some(pinned) => self.pinned.insert(pinned),
            None => {
                // It is as long as the other one.
                self.on_device = None;
                self.pinned.insert(PinnedBuffer::new(context, room)?)
            }
        };
        pinned.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        if numbers.len() <= READ_IN_PLACE {
            return Ok(pinned.address());
        }
        let on_device = match self.on_device.take() {
            Some(on_device) => self.on_device.insert(on_device),
            None => self.on_device.insert(DeviceBuffer::new(context, pinned.bytes().len())?),
        };
        // SAFETY: the device's memory is as long as the pinned one, and both are left alone until `used` has passed.
        unsafe { copy_to_device(stream, on_device.address(), &pinned.bytes()[..bytes.len()]) }?;
        Ok(on_device.address())
    }
}
