//! Which device pads the rows of a run, and why.

use std::fmt;

use super::cuda::{CudaDevice, CudaGather};
use super::{Cpu, Gather};
use crate::config::Device;
use crate::error::Result;
use crate::event::ItemId;

/// A device and the reason for it; shows as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// `cpu`, or `cuda` and the device's name.
    pub device: String,
    /// Why this one.
    pub reason: &'static str,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.device, self.reason)
    }
}

/// The device that pads the rows of files.
///
/// [`Device::Auto`] is the processor: rows that go to a file have to be in its memory, and copying padded rows back from a
/// device takes longer than padding them here.
///
/// # Errors
/// [`Error::NoCuda`](crate::error::Error::NoCuda) where [`Device::Cuda`] is asked for and cannot be used.
pub fn choose<I: ItemId>(device: Device) -> Result<(Box<dyn Gather<I>>, Chosen)> {
    let cpu = |reason| -> (Box<dyn Gather<I>>, Chosen) { (Box::new(Cpu), Chosen { device: "cpu".to_owned(), reason }) };
    match device {
        Device::Auto => Ok(cpu("auto: rows of files are padded fastest where they are written from")),
        Device::Cpu => Ok(cpu("as asked")),
        Device::Cuda => {
            let device = CudaDevice::open(0)?;
            let chosen = Chosen { device: format!("cuda, {}", device.description()), reason: "as asked" };
            Ok((Box::new(CudaGather::new(device)), chosen))
        }
    }
}
