//! Memory of Rust that Python reads and writes through the buffer protocol.

use std::ffi::c_int;
use std::sync::Arc;

use pyo3::{Bound, PyErr, PyResult, ffi, pyclass, pymethods};

/// What lends its bytes; they stay where they are, and as many, for as long as it lives.
///
/// # Safety
/// [`Lender::bytes`] gives the same range each time, readable until the lender is dropped; where [`Lender::writable`] is
/// true nothing in Rust reads or writes it meanwhile.
pub(crate) unsafe trait Lender: Send + Sync {
    /// Where the bytes begin, and how many they are.
    fn bytes(&self) -> (*const u8, usize);
    /// Whether Python may write them.
    fn writable(&self) -> bool;
}

/// Bytes that Python sees as a buffer; whatever lends them lives as long as the last view.
#[pyclass(frozen, module = "shardback._native")]
pub(crate) struct Memory(pub(crate) Arc<dyn Lender>);

#[pymethods]
impl Memory {
    /// How many bytes.
    fn __len__(&self) -> usize {
        self.0.bytes().1
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let (start, length) = slf.get().0.bytes();
        let read_only = c_int::from(!slf.get().0.writable());
        let length = length.try_into()?;
        // SAFETY: `view` is the caller's, to be filled; the range is valid as long as the lender, which `slf` keeps and of
        // which the filled view keeps a reference; where the range is not for writing the view says so.
        let filled =
            unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start.cast_mut().cast(), length, read_only, flags) };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
