//! The twin with CUDA, through `cudarc`.
//!
//! `cudarc` loads the driver at its first call and panics where the library or a function is missing; so nothing here
//! calls it before [`probe`] has seen that all of it is there.

mod batches;
mod current;
mod device;
mod kernel;
mod memory;
mod probe;
mod resident;

pub use batches::CudaGather;
pub use device::CudaDevice;
pub use resident::ResidentRows;

use cudarc::driver::DriverError;

use crate::error::Error;

/// Wraps what the driver said with what was tried.
fn failed(call: &'static str) -> impl Fn(DriverError) -> Error {
    // Showing a `DriverError` calls the driver; its number says as much.
    move |error| Error::Cuda { call, code: error.0 as u32 }
}

/// Whether the driver had no memory left, of the device or of pages to pin.
fn out_of_memory(error: &Error) -> bool {
    matches!(error, Error::Cuda { code, .. } if *code == cudarc::driver::sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY as u32)
}
