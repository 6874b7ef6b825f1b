//! The compiled kernel, its names and its parameters: the twin of `kernels/gather_pad.cu`.

use std::ffi::{CStr, CString, c_void};
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::context::{Context, Stream};
use super::driver::{Handle, accepted};
use crate::error::{Error, Invariant, Result};
use crate::event::ItemDtype;
use crate::gather::cuda::TypeDtype;

/// Machine code for devices of compute capability 8, 9 and 10. Made from `kernels/gather_pad.cu` by `kernels/compile.sh`, as the PTX.
const MACHINE_CODE: &[u8] = include_bytes!("../../../../kernels/gather_pad.fatbin");
/// What the driver compiles for all other devices.
const PTX: &str = include_str!("../../../../kernels/gather_pad.ptx");

/// Threads of a block, `THREADS` in the kernel, and the most rows of a tile: each looks one up.
const THREADS: u32 = 256;
/// Elements of a tile, about, and of one where a batch has few, so that there are more blocks than a device runs at once.
const TILE: u64 = 1 << 13;
const SMALL_TILE: u64 = 1 << 12;
/// Elements of a batch that is large.
const LARGE: u64 = 1 << 25;

/// What rows are gathered from, as addresses in the device's memory: `Source` in the kernel.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Source {
    /// `[A]`
    pub(super) items: u64,
    /// `[A] u8`
    pub(super) types: u64,
    /// `[N]`: [`NarrowRow`] or [`WideRow`], as items.
    pub(super) rows: u64,
    /// N
    pub(super) count: i64,
}

/// All that the kernel knows of a row; `Row` there.
pub(super) trait KernelRow: Pod + Send + Sync {
    /// A row whose history is `length` actions from `start` on.
    fn new(start: i64, length: i32, label: bool, item: i64) -> Self;
}

/// A row whose item has 32 bits.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(16))]
pub(super) struct NarrowRow {
    start: i64,
    length_and_label: u32,
    item: i32,
}

/// A row whose item has 64 bits.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct WideRow {
    start: i64,
    item: i64,
    length_and_label: u32,
    unused: u32,
}

/// The label is the highest bit, which a length has not.
fn length_and_label(length: i32, label: bool) -> u32 {
    length.cast_unsigned() | u32::from(label) << 31
}

impl KernelRow for NarrowRow {
    fn new(start: i64, length: i32, label: bool, item: i64) -> Self {
        // It was stored with as many bits.
        Self { start, length_and_label: length_and_label(length, label), item: item as i32 }
    }
}

impl KernelRow for WideRow {
    fn new(start: i64, length: i32, label: bool, item: i64) -> Self {
        Self { start, item, length_and_label: length_and_label(length, label), unused: 0 }
    }
}

/// The bytes of a row in the device's memory.
pub(super) fn row_bytes(items: ItemDtype) -> usize {
    match items {
        ItemDtype::I32 => size_of::<NarrowRow>(),
        ItemDtype::I64 => size_of::<WideRow>(),
    }
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
    /// The rows of a tile; set when it is submitted.
    pub(super) tile: i64,
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

/// The kernel for each combination of dtypes.
#[derive(Debug)]
pub(super) struct Kernels {
    functions: [Handle; NAMES.len()],
    module: Handle,
    context: Arc<Context>,
}

/// The kernels' names, in the order of [`place`].
const NAMES: [&CStr; 8] = [
    c"gather_pad_i32_i32_u8",
    c"gather_pad_i32_i32_i32",
    c"gather_pad_i32_i64_u8",
    c"gather_pad_i32_i64_i64",
    c"gather_pad_i64_i32_u8",
    c"gather_pad_i64_i32_i32",
    c"gather_pad_i64_i64_u8",
    c"gather_pad_i64_i64_i64",
];

/// Where the kernel stands that reads and writes these dtypes.
fn place(stored: ItemDtype, written: ItemDtype, types: TypeDtype) -> usize {
    let wide = |dtype: ItemDtype| usize::from(dtype == ItemDtype::I64);
    wide(stored) * 4 + wide(written) * 2 + usize::from(types == TypeDtype::AsItems)
}

/// The rows of a tile: few enough elements that many blocks write close together, and enough for the threads of each.
fn rows_of_tile(count: u64, history: u64) -> u64 {
    let elements = if count.saturating_mul(history) < LARGE { SMALL_TILE } else { TILE };
    (elements / history).clamp(1, u64::from(THREADS))
}

impl Kernels {
    /// Brings the kernels to the context's device: as machine code, or compiled by the driver, which keeps the result for the
    /// next time. For that the driver needs a library of its own that containers often lack, so it comes second.
    pub(super) fn load(context: &Arc<Context>) -> Result<Self> {
        let _entered = context.enter_beside_captures()?;
        let module = match load_module(context, MACHINE_CODE) {
            Ok(module) => module,
            Err(_) => {
                let source = CString::new(PTX).map_err(|_| Error::internal("the PTX has no byte of 0 in it"))?;
                load_module(context, source.as_bytes_with_nul())?
            }
        };
        // From here on the module is unloaded where something fails.
        let mut kernels = Self { functions: [Handle::NULL; NAMES.len()], module, context: Arc::clone(context) };
        for (function, name) in kernels.functions.iter_mut().zip(NAMES) {
            // SAFETY: the context is current, the module is its, and the name is a string of C.
            let code = unsafe { (context.driver().functions.module_get_function)(function, module, name.as_ptr()) };
            accepted("finding a kernel", code)?;
        }
        Ok(kernels)
    }

    /// Submits the gathering of a batch to a stream.
    ///
    /// # Safety
    /// Until the stream has passed it, the arrays of `source` and the columns of `batch` are there with the dtypes and
    /// lengths that their fields say, every window lies inside the actions, and nobody else uses the columns.
    pub(super) unsafe fn launch(
        &self,
        stream: &Stream,
        dtypes: (ItemDtype, ItemDtype, TypeDtype),
        source: &Source,
        batch: &Batch,
    ) -> Result<()> {
        let (stored, written, types) = dtypes;
        if batch.count == 0 {
            return Ok(());
        }
        let (count, history) = (batch.count.cast_unsigned(), batch.history.cast_unsigned());
        let tile = rows_of_tile(count, history);
        let blocks = u32::try_from(count.div_ceil(tile)).ok().filter(|&blocks| i32::try_from(blocks).is_ok());
        let blocks = blocks.invariant("a batch of so many rows has no room in any memory")?;
        let function = self.functions[place(stored, written, types)];
        let (mut source, mut batch) = (*source, Batch { tile: tile as i64, ..*batch });
        let mut parameters: [*mut c_void; 2] = [(&raw mut source).cast(), (&raw mut batch).cast()];
        let _entered = self.context.enter()?;
        // SAFETY: the context is current; the parameters are those of the kernel, in its order, and are copied before the
        // call returns; for what they point to the caller speaks.
        let code = unsafe {
            (self.context.driver().functions.launch_kernel)(
                function,
                blocks,
                1,
                1,
                THREADS,
                1,
                1,
                0,
                stream.handle(),
                parameters.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        accepted("launching the kernel", code)
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter_beside_captures() {
            // SAFETY: it was loaded in this context and is unloaded once; whoever uses kernels waits for them first.
            unsafe { (self.context.driver().functions.module_unload)(self.module) };
        }
    }
}

/// Loads a fatbin, or PTX that ends with a byte of 0; the context is current.
fn load_module(context: &Context, image: &[u8]) -> Result<Handle> {
    let mut module = Handle::NULL;
    // SAFETY: the pointer is to a handle that outlives the call, and the image says itself how long it is.
    let code = unsafe { (context.driver().functions.module_load_data)(&mut module, image.as_ptr().cast()) };
    accepted("loading the kernels", code)?;
    Ok(module)
}
