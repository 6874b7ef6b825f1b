//! The compiled kernel, its names and its parameters: the twin of `kernels/gather_pad.cu`.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DeviceRepr, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

use super::failed;
use crate::error::Result;
use crate::event::ItemDtype;
use crate::gather::cuda::TypeDtype;

/// Made from `kernels/gather_pad.cu` by `kernels/compile.sh`.
const PTX: &str = include_str!("../../../../kernels/gather_pad.ptx");

/// Threads of a block, `THREADS` in the kernel: a warp pads a row.
const THREADS: u32 = 256;
/// Rows that a block pads at a time.
const ROWS_PER_BLOCK: u64 = THREADS as u64 / 32;
/// More blocks than any device runs at once; each then goes on with rows further down.
const MOST_BLOCKS: u64 = 1 << 14;

/// What rows are gathered from, as addresses in the device's memory: `Source` in the kernel.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Source {
    /// `[A]`
    pub(super) items: u64,
    /// `[A] u8`
    pub(super) types: u64,
    /// `[N] i64`
    pub(super) starts: u64,
    /// `[N] i32`
    pub(super) lengths: u64,
    /// `[N]`, or 0.
    pub(super) item_ids: u64,
    /// `[N] u8`, or 0.
    pub(super) is_order: u64,
    /// N
    pub(super) rows: i64,
}

/// Which rows, and where they go: `Batch` in the kernel. A column with the address 0 is not written.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Batch {
    /// `[B] i64`, or 0 for the first B rows in order.
    pub(super) numbers: u64,
    /// B
    pub(super) count: i64,
    /// The length of a padded row.
    pub(super) history: i64,
    /// `[B, history]`
    pub(super) items: u64,
    /// `[B, history]`
    pub(super) types: u64,
    /// `[B]`
    pub(super) item_ids: u64,
    /// `[B] u8`
    pub(super) is_order: u64,
    /// `[B] i32`
    pub(super) lengths: u64,
}

// SAFETY: plain numbers in C's order without padding, as the kernel's struct of the same name.
unsafe impl DeviceRepr for Source {}
// SAFETY: as `Source`.
unsafe impl DeviceRepr for Batch {}

/// The kernel for each combination of dtypes.
#[derive(Debug)]
pub(super) struct Kernels {
    functions: Vec<CudaFunction>,
}

/// The kernels' names, in the order of [`place`].
const NAMES: [&str; 8] = [
    "gather_pad_i32_i32_u8",
    "gather_pad_i32_i32_i32",
    "gather_pad_i32_i64_u8",
    "gather_pad_i32_i64_i64",
    "gather_pad_i64_i32_u8",
    "gather_pad_i64_i32_i32",
    "gather_pad_i64_i64_u8",
    "gather_pad_i64_i64_i64",
];

/// Where the kernel stands that reads and writes these dtypes.
fn place(stored: ItemDtype, written: ItemDtype, types: TypeDtype) -> usize {
    let wide = |dtype: ItemDtype| usize::from(dtype == ItemDtype::I64);
    wide(stored) * 4 + wide(written) * 2 + usize::from(types == TypeDtype::AsItems)
}

impl Kernels {
    /// Has the driver compile the kernels for the context's device; it keeps the result for the next time.
    pub(super) fn load(context: &Arc<CudaContext>) -> Result<Self> {
        let module = context.load_module(Ptx::from_src(PTX)).map_err(failed("loading the kernels"))?;
        let load = |name| module.load_function(name).map_err(failed("finding a kernel"));
        Ok(Self { functions: NAMES.into_iter().map(load).collect::<Result<_>>()? })
    }

    /// Submits the gathering of a batch to a stream.
    ///
    /// # Safety
    /// Until the stream has passed it, the arrays of `source` and the columns of `batch` are there with the dtypes and
    /// lengths that their fields say, every window lies inside the actions, and nobody else uses the columns.
    pub(super) unsafe fn launch(
        &self,
        stream: &CudaStream,
        dtypes: (ItemDtype, ItemDtype, TypeDtype),
        source: &Source,
        batch: &Batch,
    ) -> Result<()> {
        let (stored, written, types) = dtypes;
        let blocks = batch.count.cast_unsigned().div_ceil(ROWS_PER_BLOCK).min(MOST_BLOCKS);
        if blocks == 0 {
            return Ok(());
        }
        let function = &self.functions[place(stored, written, types)];
        // At most `MOST_BLOCKS`.
        let config = LaunchConfig { grid_dim: (blocks as u32, 1, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: both parameters are those of the kernel, in its order; for what they point to the caller speaks.
        unsafe { stream.launch_builder(function).arg(source).arg(batch).launch(config) }
            .map_err(failed("launching the kernel"))?;
        Ok(())
    }
}
