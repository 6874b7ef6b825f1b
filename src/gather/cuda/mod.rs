//! The gather on a CUDA device: the driver found, the kernel launched, memory moved.
//!
//! ```text
//! CudaGather     values, windows ─► pinned ─► device ─► kernel ─► device ─► pinned ─► padded rows     two batches at a time
//! ResidentRows   jagged arrays, uploaded once ─► kernel, on the caller's stream ─► the caller's memory
//! ```
//!
//! The kernel is `kernels/gather_pad.cu`; its compiled form is part of the program, and the driver is looked for when a
//! device is opened. Where the cargo feature `cuda` is off, everything here is there all the same, and
//! [`CudaDevice::open`] says that this build has no CUDA support.

mod arrays;
#[cfg(not(feature = "cuda"))]
mod disabled;
#[cfg(feature = "cuda")]
mod enabled;

pub use arrays::{BatchColumns, DeviceMemory, JaggedArrays, RowNumbers, TypeDtype, resident_bytes};
#[cfg(not(feature = "cuda"))]
pub use disabled::{CudaDevice, CudaGather, ResidentRows};
#[cfg(feature = "cuda")]
#[doc(hidden)]
pub use enabled::raw;
#[cfg(feature = "cuda")]
pub use enabled::{CudaDevice, CudaGather, ResidentRows};
