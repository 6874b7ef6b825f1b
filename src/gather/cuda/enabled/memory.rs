//! Memory of a device and pinned memory of the host, and the copies between them.

use std::ptr::NonNull;
use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaStream, DriverError, result, sys};

use super::failed;
use crate::error::Result;

/// Bytes in a device's memory; freed when dropped, by when nothing may use them any more.
#[derive(Debug)]
pub(super) struct DeviceBuffer {
    address: u64,
    context: Arc<CudaContext>,
}

impl DeviceBuffer {
    /// Allocates at least so many bytes, 1 or more: whole words, as the kernel reads them, from a multiple of 256 on.
    pub(super) fn new(context: &Arc<CudaContext>, bytes: usize) -> Result<Self> {
        context.bind_to_thread().map_err(failed("using the device"))?;
        let bytes = bytes.next_multiple_of(size_of::<u32>());
        // SAFETY: the context is bound, and the size is not 0.
        let address = unsafe { result::malloc_sync(bytes) }.map_err(failed("allocating device memory"))?;
        Ok(Self { address, context: Arc::clone(context) })
    }

    pub(super) fn address(&self) -> u64 {
        self.address
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        self.context.record_err(self.context.bind_to_thread());
        // SAFETY: it was allocated in this context and is freed once.
        self.context.record_err(unsafe { result::free_sync(self.address) });
    }
}

/// Pinned memory of the host: copies between it and a device run beside other work.
#[derive(Debug)]
pub(super) struct PinnedBuffer {
    start: NonNull<u8>,
    bytes: usize,
    context: Arc<CudaContext>,
}

// SAFETY: the memory belongs to the buffer alone, and pinned memory may be used and freed on any thread.
unsafe impl Send for PinnedBuffer {}

impl PinnedBuffer {
    /// Allocates some bytes, 1 or more, that begin on a page. They are cached as other memory is: the driver's
    /// write-combined kind is many times slower to read back.
    pub(super) fn new(context: &Arc<CudaContext>, bytes: usize) -> Result<Self> {
        context.bind_to_thread().map_err(failed("using the device"))?;
        // SAFETY: the context is bound.
        let start = unsafe { result::malloc_host(bytes, 0) }.map_err(failed("allocating pinned memory"))?;
        let Some(start) = NonNull::new(start.cast::<u8>()) else {
            return Err(failed("allocating pinned memory")(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)));
        };
        // SAFETY: the memory is so long and ours. From here on all of it has a value.
        unsafe { start.write_bytes(0, bytes) };
        Ok(Self { start, bytes, context: Arc::clone(context) })
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
        self.context.record_err(self.context.bind_to_thread());
        // SAFETY: it was allocated there and is freed once.
        self.context.record_err(unsafe { result::free_host(self.start.as_ptr().cast()) });
    }
}

/// Submits a copy to a device.
///
/// # Safety
/// As many bytes belong to the address, and until the stream has passed the copy nobody else uses either side; where the
/// source is not pinned, it is read before the call returns.
pub(super) unsafe fn copy_to_device(stream: &CudaStream, address: u64, source: &[u8]) -> Result<()> {
    stream.context().bind_to_thread().map_err(failed("using the device"))?;
    // SAFETY: the caller says so.
    unsafe { result::memcpy_htod_async(address, source, stream.cu_stream()) }.map_err(failed("copying to the device"))
}

/// Submits a copy from a device.
///
/// # Safety
/// As [`copy_to_device`]; a target that is not pinned is written before the call returns.
pub(super) unsafe fn copy_from_device(stream: &CudaStream, target: &mut [u8], address: u64) -> Result<()> {
    stream.context().bind_to_thread().map_err(failed("using the device"))?;
    // SAFETY: the caller says so.
    unsafe { result::memcpy_dtoh_async(target, address, stream.cu_stream()) }.map_err(failed("copying from the device"))
}
