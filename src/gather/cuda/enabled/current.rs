//! The context that is current on a thread belongs to whoever called: it is put back.

use std::mem::ManuallyDrop;
use std::ops::Deref;

use cudarc::driver::{result, sys};

use super::failed;
use crate::error::Result;

/// Puts the calling thread's current context back at the end: whoever called may work with another device.
#[derive(Debug)]
pub(super) struct Current {
    context: sys::CUcontext,
}

impl Current {
    pub(super) fn keep() -> Result<Self> {
        let context = result::ctx::get_current().map_err(failed("asking for the current context"))?;
        Ok(Self { context: context.unwrap_or(std::ptr::null_mut()) })
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        // SAFETY: it was current on this thread before. If the driver no longer knows it, its owner will be told so.
        let _ = unsafe { result::ctx::set_current(self.context) };
    }
}

/// Something whose drop makes another context current, and that leaves none behind.
#[derive(Debug)]
pub(super) struct KeepsCurrent<T> {
    value: ManuallyDrop<T>,
}

impl<T> KeepsCurrent<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value) }
    }
}

impl<T> Deref for KeepsCurrent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for KeepsCurrent<T> {
    fn drop(&mut self) {
        let _current = Current::keep();
        // SAFETY: this is the one place that drops it, and nothing comes after.
        unsafe { ManuallyDrop::drop(&mut self.value) };
    }
}
