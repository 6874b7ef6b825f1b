//! Calls of decoders that panic over some of what they are given: the panic becomes an error.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

thread_local! {
    /// Whether this thread is in a call of [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread is about to become an error, so that a panic hook has nothing to tell of it.
#[must_use]
pub fn panic_becomes_error() -> bool {
    GUARDED.get()
}

/// What a decoder says.
pub(crate) trait Fault: std::fmt::Display {
    /// The error for what a panic says.
    fn of_panic(text: &str) -> Self;
}

impl Fault for ParquetError {
    fn of_panic(text: &str) -> Self {
        Self::General(format!("damaged: {text}"))
    }
}

impl Fault for ArrowError {
    fn of_panic(text: &str) -> Self {
        Self::InvalidArgumentError(format!("damaged: {text}"))
    }
}

/// Calls a decoder.
pub(crate) fn guarded<T, E: Fault>(call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    GUARDED.set(true);
    // What was called is given up on the first error, so nobody sees what a panic leaves half done.
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(false);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(E::of_panic(text))
    })
}
