//! The memory of batches: allocated a few times and used again as soon as a batch is dropped.
//!
//! Fresh memory is slow memory: the system zeroes each page when it is first touched, which costs about as much as the
//! gather itself.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytemuck::allocation::try_zeroed_vec;
use bytemuck::{Pod, Zeroable};

use crate::error::{Error, OptionName, Result};

/// Bytes that a batch can lie in, on an address that is a multiple of 64.
pub trait Memory: Send + Sync {
    /// The bytes, where they always are.
    fn bytes(&mut self) -> &mut [u8];
}

/// What allocates memory of so many bytes.
pub type Allocate = Box<dyn Fn(usize) -> Result<Box<dyn Memory>> + Send + Sync>;

/// Memory for batches, all of one size.
pub struct Pool {
    bytes: usize,
    allocate: Allocate,
    free: Mutex<Vec<Box<dyn Memory>>>,
}

impl Pool {
    /// Memory of the process, in blocks of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        Self::of(
            bytes,
            Box::new(|bytes| match try_zeroed_vec(bytes.div_ceil(LINE)) {
                Ok(lines) => Ok(Box::new(Lines(lines))),
                Err(()) => Err(Error::Option {
                    option: OptionName::BatchSize,
                    problem: format!("there is no memory for batches of {bytes} bytes"),
                }),
            }),
        )
    }

    /// Memory that `allocate` provides, such as is pinned for a device.
    #[must_use]
    pub fn of(bytes: usize, allocate: Allocate) -> Arc<Self> {
        Arc::new(Self { bytes, allocate, free: Mutex::new(Vec::new()) })
    }

    /// A block that nobody else uses; what it holds is left from before.
    ///
    /// # Errors
    /// What the allocation says.
    pub fn take(self: &Arc<Self>) -> Result<BatchBuffer> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = match free {
            Some(memory) => memory,
            None => (self.allocate)(self.bytes)?,
        };
        Ok(BatchBuffer { memory: Some(memory), pool: Arc::downgrade(self) })
    }
}

/// The memory of one batch; it goes back to its pool when it is dropped.
pub struct BatchBuffer {
    /// Always there until it is dropped.
    memory: Option<Box<dyn Memory>>,
    pool: Weak<Pool>,
}

impl BatchBuffer {
    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.memory.as_mut().map(|memory| memory.bytes()).unwrap_or_default()
    }
}

impl Drop for BatchBuffer {
    fn drop(&mut self) {
        if let (Some(memory), Some(pool)) = (self.memory.take(), self.pool.upgrade()) {
            pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        }
    }
}

/// The bytes of a line of the processor's cache.
const LINE: usize = 64;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// Memory of the process.
struct Lines(Vec<Line>);

impl Memory for Lines {
    fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}
