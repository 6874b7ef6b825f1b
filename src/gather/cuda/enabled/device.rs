//! One device: opened, tried, described.

use std::ffi::{CStr, c_char, c_int};
use std::sync::Arc;

use super::context::{Context, Stream};
use super::driver::{Driver, accepted, driver};
use super::kernel::{Batch, KernelRow, Kernels, NarrowRow, Source};
use super::memory::{DeviceBuffer, copy_from_device, copy_to_device};
use crate::error::{Error, NoCuda, Result};
use crate::event::ItemDtype;
use crate::gather::cuda::{DeviceMemory, TypeDtype};

/// A CUDA device that has been tried; clones are the same one.
#[derive(Clone, Debug)]
pub struct CudaDevice {
    opened: Arc<Opened>,
}

#[derive(Debug)]
struct Opened {
    ordinal: u32,
    description: String,
    kernels: Kernels,
    context: Arc<Context>,
}

/// The generation that the kernels are compiled for.
const OLDEST_CAPABILITY: (i32, i32) = (8, 0);

impl CudaDevice {
    /// Opens the device of a number, from 0, as the driver counts them (`CUDA_VISIBLE_DEVICES` decides which it sees), and
    /// pads a row on it to see whether it can.
    ///
    /// The device's primary context is used: the one that PyTorch and the CUDA runtime use. The context that is current
    /// on the calling thread stays so.
    ///
    /// # Errors
    /// [`Error::NoCuda`] says why there is no such device to use, and [`Error::Cuda`] what failed when it was tried.
    pub fn open(ordinal: u32) -> Result<Self> {
        let driver = driver().map_err(Error::NoCuda)?;
        let number = c_int::try_from(ordinal).ok().filter(|&number| number < driver.devices);
        let Some(number) = number else {
            return Err(Error::NoCuda(NoCuda::NoDevice { ordinal, count: driver.devices }));
        };
        let mut id = 0;
        // SAFETY: the pointer is to a number that outlives the call.
        accepted("finding the device", unsafe { (driver.functions.device_get)(&mut id, number) })?;
        let (name, description) = describe(driver, id)?;
        let context = Context::retain(driver, id)?;
        let kernels = Kernels::load(&context)?;
        let device = Self { opened: Arc::new(Opened { ordinal, description, kernels, context }) };
        if device.pads_as_the_processor()? { Ok(device) } else { Err(Error::NoCuda(NoCuda::SelfTest { name })) }
    }

    /// Its number.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.opened.ordinal
    }

    /// Its name, generation and driver, for people.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.opened.description
    }

    /// Its memory.
    ///
    /// # Errors
    /// [`Error::Cuda`] when the driver does not say.
    pub fn memory(&self) -> Result<DeviceMemory> {
        let (free, total) = self.context().memory()?;
        Ok(DeviceMemory { free: free as u64, total: total as u64 })
    }

    /// What its streams and its memory belong to, for the benchmark.
    #[doc(hidden)]
    #[must_use]
    pub fn context(&self) -> &Arc<Context> {
        &self.opened.context
    }

    pub(super) fn kernels(&self) -> &Kernels {
        &self.opened.kernels
    }

    /// The self-test: three items and their types into a row of five, from a start that no store is aligned with.
    fn pads_as_the_processor(&self) -> Result<bool> {
        const ITEMS: usize = 0;
        const ROWS: usize = 32;
        const TYPES: usize = 48;
        const ROW: usize = 64;
        const TYPE_ROW: usize = 96;
        const END: usize = 112;
        let context = self.context();
        let stream = Stream::new(context)?;
        let buffer = DeviceBuffer::new(context, END)?;
        let mut host = [0xABu8; END];
        let items: [i32; 5] = [-1, 7, 0, i32::MIN, 9];
        host[ITEMS..][..20].copy_from_slice(bytemuck::cast_slice(&items));
        host[ROWS..][..16].copy_from_slice(bytemuck::bytes_of(&NarrowRow::new(1, 3, false, 0)));
        host[TYPES..][..5].copy_from_slice(&[9, 1, 2, 3, 9]);
        let at = |offset: usize| buffer.address() + offset as u64;
        let source = Source { items: at(ITEMS), types: at(TYPES), rows: at(ROWS), count: 1 };
        let batch = Batch { count: 1, history: 5, items: at(ROW), types: at(TYPE_ROW), ..Batch::default() };
        let dtypes = (ItemDtype::I32, ItemDtype::I32, TypeDtype::U8);
        // SAFETY: the buffer is as long as the host's array and holds all that source and batch name; both outlive the wait.
        unsafe {
            copy_to_device(&stream, buffer.address(), &host)?;
            self.kernels().launch(&stream, dtypes, &source, &batch)?;
            copy_from_device(&stream, &mut host, buffer.address())?;
        }
        stream.synchronize("the self-test")?;
        let padded: [i32; 5] = [7, 0, i32::MIN, 0, 0];
        Ok(host[ROW..][..20] == *bytemuck::cast_slice::<_, u8>(&padded)
            && host[TYPE_ROW..][..5] == [1, 2, 3, 0, 0]
            // Nothing beside them.
            && host[ROW + 20..TYPE_ROW].iter().chain(&host[TYPE_ROW + 5..]).all(|&byte| byte == 0xAB))
    }
}

/// The name of a device and its description, if it is new enough.
fn describe(driver: &Driver, device: c_int) -> Result<(String, String)> {
    let mut name = [0; 256];
    // SAFETY: the driver writes a string of C that is no longer than the array.
    let code = unsafe { (driver.functions.device_get_name)(name.as_mut_ptr(), name.len() as c_int, device) };
    accepted("asking for the device's name", code)?;
    let name = name.map(c_char::cast_unsigned);
    let name = CStr::from_bytes_until_nul(&name).map_err(|_| Error::internal("a device's name ends"))?;
    let name = name.to_string_lossy().into_owned();
    let attribute = |attribute| {
        let mut value = 0;
        // SAFETY: the pointer is to a number that outlives the call, and the device is one of the driver's.
        let code = unsafe { (driver.functions.device_get_attribute)(&mut value, attribute, device) };
        accepted("asking for the device's generation", code).map(|()| value)
    };
    let (major, minor) = (attribute(CAPABILITY_MAJOR)?, attribute(CAPABILITY_MINOR)?);
    if (major, minor) < OLDEST_CAPABILITY {
        return Err(Error::NoCuda(NoCuda::DeviceTooOld { name, major, minor }));
    }
    let (cuda, of_cuda) = (driver.version / 1000, driver.version % 1000 / 10);
    let description = format!("{name}, compute capability {major}.{minor}, driver for CUDA {cuda}.{of_cuda}");
    Ok((name, description))
}

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR`
const CAPABILITY_MAJOR: u32 = 75;
/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR`
const CAPABILITY_MINOR: u32 = 76;
