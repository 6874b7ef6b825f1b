//! The twin without CUDA: no device can be opened, so nothing else can be reached.

use std::convert::Infallible;

use super::{BatchColumns, DeviceMemory, JaggedArrays, RowNumbers};
use crate::error::{Error, NoCuda, Result};
use crate::event::{ItemDtype, ItemId};
use crate::gather::{Blocks, Gather, Take};

/// A CUDA device; there is none in a build without the feature `cuda`.
#[derive(Clone, Debug)]
pub struct CudaDevice {
    none: Infallible,
}

impl CudaDevice {
    /// Says that this build has no CUDA support.
    ///
    /// # Errors
    /// Always [`Error::NoCuda`].
    pub fn open(_ordinal: u32) -> Result<Self> {
        Err(Error::NoCuda(NoCuda::NotBuilt))
    }

    /// Its number.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        match self.none {}
    }

    /// Its name, generation and driver, for people.
    #[must_use]
    pub fn description(&self) -> &str {
        match self.none {}
    }

    /// Its memory.
    ///
    /// # Errors
    /// None can come: there is no device.
    pub fn memory(&self) -> Result<DeviceMemory> {
        match self.none {}
    }
}

/// The gather from host to host on a CUDA device.
#[derive(Debug)]
pub struct CudaGather {
    none: Infallible,
}

impl CudaGather {
    /// A gather on a device.
    #[must_use]
    pub fn new(device: CudaDevice) -> Self {
        Self { none: device.none }
    }
}

impl<I: ItemId> Gather<I> for CudaGather {
    fn items(&self, _: Blocks<'_, I>, _: usize, _: Take<'_, I>) -> Result<()> {
        match self.none {}
    }

    fn types(&self, _: Blocks<'_, I>, _: usize, _: Take<'_, u8>) -> Result<()> {
        match self.none {}
    }

    fn column(&self, _: Blocks<'_, I>, _: (usize, usize), _: usize, _: Take<'_, u8>) -> Result<()> {
        match self.none {}
    }
}

/// Jagged rows in the memory of a CUDA device.
#[derive(Debug)]
pub struct ResidentRows {
    none: Infallible,
}

impl ResidentRows {
    /// Uploads rows.
    ///
    /// # Errors
    /// None can come: there is no device.
    pub fn upload<I: ItemId>(device: &CudaDevice, _history: usize, _parts: &[JaggedArrays<'_, I>]) -> Result<Self> {
        match device.none {}
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.none {}
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self.none {}
    }

    /// K, the longest that a history can be.
    #[must_use]
    pub fn history(&self) -> usize {
        match self.none {}
    }

    /// The dtype of the items as they are stored.
    #[must_use]
    pub fn item_dtype(&self) -> ItemDtype {
        match self.none {}
    }

    /// The device memory that the rows take, in bytes.
    #[must_use]
    pub fn device_bytes(&self) -> u64 {
        match self.none {}
    }

    /// Gathers rows into device memory.
    ///
    /// # Errors
    /// None can come: there is no device.
    ///
    /// # Safety
    /// There is nothing to keep: it cannot be called.
    pub unsafe fn gather(&self, _rows: RowNumbers<'_>, _batch: &BatchColumns, _stream: u64) -> Result<()> {
        match self.none {}
    }
}
