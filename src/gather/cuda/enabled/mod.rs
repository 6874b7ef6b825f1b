//! The twin with CUDA: the driver is called by this crate itself, through a table of functions.

mod batches;
mod context;
mod device;
mod driver;
mod kernel;
mod memory;
mod numbers;
mod resident;
mod upload;

pub use batches::CudaGather;
pub use device::CudaDevice;
pub use resident::ResidentRows;

/// The driver's objects, for the benchmark; no part of the interface.
#[doc(hidden)]
pub mod raw {
    pub use super::context::{Context, Event, Stream};
    pub use super::memory::{DeviceBuffer, copy_from_device, copy_on_device, copy_to_device};
}
