//! Memory of a device and pinned memory of the host, and the copies between them.

use std::ptr::NonNull;
use std::sync::Arc;

use super::context::{Context, Stream};
use super::driver::accepted;
use crate::error::{Error, Result};

/// Bytes in a device's memory; freed when dropped, by when nothing may use them any more.
#[derive(Debug)]
pub struct DeviceBuffer {
    address: u64,
    context: Arc<Context>,
}

impl DeviceBuffer {
    /// Allocates at least so many bytes, 1 or more: whole words, as the kernel reads them, from a multiple of 256 on.
    ///
    /// # Errors
    /// [`Error::Cuda`].
    pub fn new(context: &Arc<Context>, bytes: usize) -> Result<Self> {
        let _entered = context.enter_beside_captures()?;
        let bytes = bytes.next_multiple_of(size_of::<u32>());
        let mut address = 0;
        // SAFETY: the context is current, and the pointer is to a number that outlives the call.
        let code = unsafe { (context.driver().functions.memory_allocate)(&mut address, bytes) };
        accepted("allocating device memory", code)?;
        Ok(Self { address, context: Arc::clone(context) })
    }

    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter_beside_captures() {
            // SAFETY: it was allocated in this context and is freed once.
            unsafe { (self.context.driver().functions.memory_free)(self.address) };
        }
    }
}

/// Pinned memory of the host: copies between it and a device run beside other work, and a kernel can read it where it is.
#[derive(Debug)]
pub(super) struct PinnedBuffer {
    start: NonNull<u8>,
    bytes: usize,
    context: Arc<Context>,
}

// SAFETY: the memory belongs to the buffer alone, and pinned memory may be used and freed on any thread.
unsafe impl Send for PinnedBuffer {}

impl PinnedBuffer {
    /// Allocates some bytes, 1 or more, that begin on a page. They are cached as other memory is: the driver's
    /// write-combined kind is many times slower to read back.
    pub(super) fn new(context: &Arc<Context>, bytes: usize) -> Result<Self> {
        const CALL: &str = "allocating pinned memory";
        let _entered = context.enter_beside_captures()?;
        let mut start = std::ptr::null_mut();
        // SAFETY: the context is current, and the pointer is to a pointer that outlives the call.
        accepted(CALL, unsafe { (context.driver().functions.host_allocate)(&mut start, bytes, 0) })?;
        let Some(start) = NonNull::new(start.cast::<u8>()) else {
            return Err(Error::internal("pinned memory has an address"));
        };
        // SAFETY: the memory is so long and ours. From here on all of it has a value.
        unsafe { start.write_bytes(0, bytes) };
        Ok(Self { start, bytes, context: Arc::clone(context) })
    }

    /// Its address in the device's address space: the same, as 64-bit drivers have one space for both.
    pub(super) fn address(&self) -> u64 {
        self.start.as_ptr().expose_provenance() as u64
    }

    /// The bytes; no copy may be under way.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: so long, initialised, and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    /// The bytes to change; no copy may be under way.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter_beside_captures() {
            // SAFETY: it was allocated there and is freed once.
            unsafe { (self.context.driver().functions.host_free)(self.start.as_ptr().cast()) };
        }
    }
}

/// Submits a copy to a device.
///
/// # Safety
/// As many bytes belong to the address, and until the stream has passed the copy nobody else uses either side; where the
/// source is not pinned, it is read before the call returns.
///
/// # Errors
/// [`Error::Cuda`].
pub unsafe fn copy_to_device(stream: &Stream, address: u64, source: &[u8]) -> Result<()> {
    let context = stream.context();
    let _entered = context.enter()?;
    // SAFETY: the context is current; for both sides the caller speaks.
    let code = unsafe {
        (context.driver().functions.copy_to_device)(address, source.as_ptr().cast(), source.len(), stream.handle())
    };
    accepted("copying to the device", code)
}

/// Submits a copy from a device.
///
/// # Safety
/// As [`copy_to_device`]; a target that is not pinned is written before the call returns.
///
/// # Errors
/// [`Error::Cuda`].
pub unsafe fn copy_from_device(stream: &Stream, target: &mut [u8], address: u64) -> Result<()> {
    let context = stream.context();
    let _entered = context.enter()?;
    // SAFETY: the context is current; for both sides the caller speaks.
    let code = unsafe {
        (context.driver().functions.copy_from_device)(
            target.as_mut_ptr().cast(),
            address,
            target.len(),
            stream.handle(),
        )
    };
    accepted("copying from the device", code)
}

/// Submits a copy from one place on the device to another.
///
/// # Safety
/// As many bytes belong to both addresses, and until the stream has passed the copy nobody else uses either side.
///
/// # Errors
/// [`Error::Cuda`].
pub unsafe fn copy_on_device(stream: &Stream, to: u64, from: u64, bytes: usize) -> Result<()> {
    let context = stream.context();
    let _entered = context.enter()?;
    // SAFETY: the context is current; for both sides the caller speaks.
    let code = unsafe { (context.driver().functions.copy_on_device)(to, from, bytes, stream.handle()) };
    accepted("copying on the device", code)
}
