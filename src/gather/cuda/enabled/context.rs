//! What the driver works with on one device: its primary context, and streams and events in it.
//!
//! A context is current on a thread only while a call needs it: whoever called may work with another device, and finds the
//! context that was current before.

use std::ffi::c_int;
use std::sync::Arc;

use super::driver::{Driver, Handle, accepted};
use crate::error::Result;

/// A device's primary context, the one that PyTorch and the CUDA runtime use; kept alive as long as this.
#[derive(Debug)]
pub struct Context {
    driver: &'static Driver,
    device: c_int,
    handle: Handle,
}

/// `CU_STREAM_NON_BLOCKING`: it does not wait for the default stream, nor that for it.
const NON_BLOCKING: u32 = 1;
/// `CU_EVENT_DISABLE_TIMING`
const WITHOUT_TIMING: u32 = 2;
/// `CU_STREAM_CAPTURE_MODE_RELAXED`
const RELAXED: u32 = 2;

impl Context {
    /// Keeps the primary context of a device of the driver's alive.
    pub(super) fn retain(driver: &'static Driver, device: c_int) -> Result<Arc<Self>> {
        let mut handle = Handle::NULL;
        // SAFETY: the pointer is to a handle that outlives the call, and the device is one of the driver's.
        accepted("opening the device", unsafe { (driver.functions.primary_context_retain)(&mut handle, device) })?;
        Ok(Arc::new(Self { driver, device, handle }))
    }

    pub(super) fn driver(&self) -> &'static Driver {
        self.driver
    }

    /// Makes it current on this thread until what is returned is dropped.
    pub(super) fn enter(&self) -> Result<Entered> {
        let mut before = Handle::NULL;
        // SAFETY: the pointer is to a handle that outlives the call.
        accepted("asking for the current context", unsafe {
            (self.driver.functions.context_get_current)(&mut before)
        })?;
        // SAFETY: the context is alive as long as `self`.
        accepted("using the device", unsafe { (self.driver.functions.context_set_current)(self.handle) })?;
        Ok(Entered { driver: self.driver, before, capture_mode: None })
    }

    /// As [`Context::enter`], for calls that allocate, free or wait. While another thread records a graph, the driver refuses
    /// them and spoils that recording, unless the thread says that they have nothing to do with it; nothing here has.
    pub(super) fn enter_beside_captures(&self) -> Result<Entered> {
        let mut entered = self.enter()?;
        let mut mode = RELAXED;
        // SAFETY: the pointer is to a number that outlives the call, which writes the mode that was there before.
        accepted("using the device", unsafe { (self.driver.functions.exchange_capture_mode)(&mut mode) })?;
        entered.capture_mode = Some(mode);
        Ok(entered)
    }

    /// Waits for all that was submitted to the device, also by others.
    pub(super) fn synchronize(&self) -> Result<()> {
        let _entered = self.enter_beside_captures()?;
        // SAFETY: the context is current.
        accepted("waiting for the device", unsafe { (self.driver.functions.context_synchronize)() })
    }

    /// The free and the total memory of the device, in bytes.
    pub(super) fn memory(&self) -> Result<(usize, usize)> {
        let _entered = self.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: the context is current, and the pointers are to numbers that outlive the call.
        let code = unsafe { (self.driver.functions.memory_get_info)(&mut free, &mut total) };
        accepted("asking for the device's memory", code)?;
        Ok((free, total))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was retained once, and everything in it holds an `Arc` of this. What the driver says now helps nobody.
        unsafe { (self.driver.functions.primary_context_release)(self.device) };
    }
}

/// A context is current on this thread; the one before it is again when this is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    driver: &'static Driver,
    before: Handle,
    /// The thread's mode of before, where another one was set.
    capture_mode: Option<u32>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(mode) = &mut self.capture_mode {
            // SAFETY: the pointer is to a number that outlives the call.
            unsafe { (self.driver.functions.exchange_capture_mode)(mode) };
        }
        // SAFETY: it was current on this thread before. If the driver no longer knows it, its owner will be told so.
        unsafe { (self.driver.functions.context_set_current)(self.before) };
    }
}

/// A stream of a context: what is submitted to it is done in order.
#[derive(Debug)]
pub struct Stream {
    context: Arc<Context>,
    handle: Handle,
    /// Whether it ends with this.
    owned: bool,
}

impl Stream {
    /// Makes a stream that runs beside all others.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::error::Error::Cuda).
    pub fn new(context: &Arc<Context>) -> Result<Self> {
        let _entered = context.enter_beside_captures()?;
        let mut handle = Handle::NULL;
        // SAFETY: the context is current, and the pointer is to a handle that outlives the call.
        let code = unsafe { (context.driver.functions.stream_create)(&mut handle, NON_BLOCKING) };
        accepted("creating a stream", code)?;
        Ok(Self { context: Arc::clone(context), handle, owned: true })
    }

    /// A stream that somebody else owns, as the number that is its `CUstream`; 0 is the default stream.
    ///
    /// # Safety
    /// It is a stream of this context and outlives this.
    pub(super) unsafe fn borrowed(context: &Arc<Context>, stream: u64) -> Self {
        let handle = Handle(std::ptr::with_exposed_provenance_mut(stream as usize));
        Self { context: Arc::clone(context), handle, owned: false }
    }

    /// Its `CUstream` as a number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.handle.0.expose_provenance() as u64
    }

    /// Waits for all that was submitted to it; `call` is what an error calls that.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::error::Error::Cuda): what went wrong meanwhile on the device.
    pub fn synchronize(&self, call: &'static str) -> Result<()> {
        let _entered = self.context.enter_beside_captures()?;
        // SAFETY: the context is current, and the stream is its.
        accepted(call, unsafe { (self.context.driver.functions.stream_synchronize)(self.handle) })
    }

    /// What it belongs to.
    #[must_use]
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.owned
            && let Ok(_entered) = self.context.enter_beside_captures()
        {
            // SAFETY: the stream was made here and is destroyed once; what was submitted to it still runs to its end.
            unsafe { (self.context.driver.functions.stream_destroy)(self.handle) };
        }
    }
}

/// A point in a stream that can be waited for.
#[derive(Debug)]
pub struct Event {
    context: Arc<Context>,
    handle: Handle,
}

impl Event {
    /// An event that only tells whether it has passed. One that was never recorded has.
    pub(super) fn new(context: &Arc<Context>) -> Result<Self> {
        Self::with_flags(context, WITHOUT_TIMING)
    }

    /// An event that also knows when it passed.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::error::Error::Cuda).
    pub fn timed(context: &Arc<Context>) -> Result<Self> {
        Self::with_flags(context, 0)
    }

    fn with_flags(context: &Arc<Context>, flags: u32) -> Result<Self> {
        let _entered = context.enter()?;
        let mut handle = Handle::NULL;
        // SAFETY: the context is current, and the pointer is to a handle that outlives the call.
        accepted("creating an event", unsafe { (context.driver.functions.event_create)(&mut handle, flags) })?;
        Ok(Self { context: Arc::clone(context), handle })
    }

    /// Stands from now on behind all that was submitted to the stream.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::error::Error::Cuda).
    pub fn record(&self, stream: &Stream) -> Result<()> {
        let _entered = self.context.enter()?;
        // SAFETY: the context is current, and both are its.
        let code = unsafe { (self.context.driver.functions.event_record)(self.handle, stream.handle) };
        accepted("recording an event", code)
    }

    /// Waits until it has passed.
    pub(super) fn synchronize(&self) -> Result<()> {
        let _entered = self.context.enter()?;
        // SAFETY: the context is current, and the event is its.
        accepted("waiting for a batch", unsafe { (self.context.driver.functions.event_synchronize)(self.handle) })
    }

    /// Milliseconds from this to a later one; both are timed and have passed.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::error::Error::Cuda).
    pub fn milliseconds_until(&self, later: &Self) -> Result<f64> {
        let _entered = self.context.enter()?;
        let mut milliseconds = 0.0;
        // SAFETY: the context is current, both are its, and the pointer is to a number that outlives the call.
        let code =
            unsafe { (self.context.driver.functions.event_elapsed_time)(&mut milliseconds, self.handle, later.handle) };
        accepted("asking for a time", code)?;
        Ok(f64::from(milliseconds))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Ok(_entered) = self.context.enter() {
            // SAFETY: it was made here and is destroyed once.
            unsafe { (self.context.driver.functions.event_destroy)(self.handle) };
        }
    }
}
