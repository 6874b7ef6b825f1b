//! The CUDA driver's library: found, tried, and called through a table of the functions that are used here.
//!
//! It belongs to the system and is looked for when a device is asked for, so the program starts and says why not where there
//! is none. Function types are those of `cuda.h`:
//! <https://docs.nvidia.com/cuda/cuda-driver-api/index.html>.

use std::error::Error as _;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;

use crate::error::{Error, NoCuda, Result};

/// What the driver calls an object: a context, a stream, an event, a module, a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Handle(pub(super) *mut c_void);

// SAFETY: the driver's objects may be used on any thread, and whoever holds the number does not look behind it.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    pub(super) const NULL: Self = Self(ptr::null_mut());
}

/// Declares the table: a field for each function, looked up by its name.
macro_rules! functions {
    ($($name:ident = $symbol:literal ($($parameter:ty),*);)*) => {
        /// The functions of the driver; each returns a `CUresult`, 0 for success.
        #[derive(Clone, Copy, Debug)]
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($parameter),*) -> c_uint,)*
        }

        impl Functions {
            /// Looks every function up; the name of the first that is not there.
            ///
            /// # Safety
            /// The library is a CUDA driver's: functions of these names have these types.
            unsafe fn load(library: &Library) -> Result<Self, &'static str> {
                // SAFETY: the caller says that the types are right; the addresses are used only while the library is loaded,
                // which is for ever where they are kept.
                Ok(Self { $($name: *unsafe { library.get($symbol) }.map_err(|_| $symbol)?,)* })
            }
        }
    };
}

functions! {
    init = "cuInit" (c_uint);
    driver_get_version = "cuDriverGetVersion" (*mut c_int);
    device_get_count = "cuDeviceGetCount" (*mut c_int);
    device_get = "cuDeviceGet" (*mut c_int, c_int);
    device_get_name = "cuDeviceGetName" (*mut c_char, c_int, c_int);
    device_get_attribute = "cuDeviceGetAttribute" (*mut c_int, c_uint, c_int);
    primary_context_retain = "cuDevicePrimaryCtxRetain" (*mut Handle, c_int);
    primary_context_release = "cuDevicePrimaryCtxRelease_v2" (c_int);
    context_get_current = "cuCtxGetCurrent" (*mut Handle);
    context_set_current = "cuCtxSetCurrent" (Handle);
    context_synchronize = "cuCtxSynchronize" ();
    exchange_capture_mode = "cuThreadExchangeStreamCaptureMode" (*mut c_uint);
    module_load_data = "cuModuleLoadData" (*mut Handle, *const c_void);
    module_unload = "cuModuleUnload" (Handle);
    module_get_function = "cuModuleGetFunction" (*mut Handle, Handle, *const c_char);
    launch_kernel = "cuLaunchKernel" (Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void);
    stream_create = "cuStreamCreate" (*mut Handle, c_uint);
    stream_destroy = "cuStreamDestroy_v2" (Handle);
    stream_synchronize = "cuStreamSynchronize" (Handle);
    event_create = "cuEventCreate" (*mut Handle, c_uint);
    event_destroy = "cuEventDestroy_v2" (Handle);
    event_record = "cuEventRecord" (Handle, Handle);
    event_synchronize = "cuEventSynchronize" (Handle);
    event_elapsed_time = "cuEventElapsedTime" (*mut f32, Handle, Handle);
    memory_allocate = "cuMemAlloc_v2" (*mut u64, usize);
    memory_free = "cuMemFree_v2" (u64);
    memory_get_info = "cuMemGetInfo_v2" (*mut usize, *mut usize);
    host_allocate = "cuMemHostAlloc" (*mut *mut c_void, usize, c_uint);
    host_free = "cuMemFreeHost" (*mut c_void);
    copy_to_device = "cuMemcpyHtoDAsync_v2" (u64, *const c_void, usize, Handle);
    copy_from_device = "cuMemcpyDtoHAsync_v2" (*mut c_void, u64, usize, Handle);
    copy_on_device = "cuMemcpyDtoDAsync_v2" (u64, u64, usize, Handle);
}

/// A driver that is there, initialised, and new enough.
#[derive(Debug)]
pub(super) struct Driver {
    /// 1000 times the major and 10 times the minor version of CUDA.
    pub(super) version: i32,
    /// The devices that it sees.
    pub(super) devices: i32,
    pub(super) functions: Functions,
}

/// CUDA 12.0.
const OLDEST_DRIVER: i32 = 12_000;

/// The names under which the library is looked for: the one that drivers install, and the one that programs are linked with,
/// which a toolkit has as a stub.
const NAMES: [&str; 2] = ["libcuda.so.1", "libcuda.so"];

/// `CUDA_ERROR_STUB_LIBRARY`
const STUB_LIBRARY: c_uint = 34;

/// The driver; looked for once, and then remembered.
pub(super) fn driver() -> Result<&'static Driver, NoCuda> {
    static DRIVER: OnceLock<Result<Driver, NoCuda>> = OnceLock::new();
    DRIVER.get_or_init(look).as_ref().map_err(Clone::clone)
}

/// The first library that works; where none does, why the most telling one does not.
fn look() -> Result<Driver, NoCuda> {
    let mut fault = NoCuda::NoLibrary { problem: String::new() };
    for name in NAMES {
        // SAFETY: a driver's library may be loaded at any time; if it is another one of that name, its initialisers are
        // the system's responsibility, as with every library that a program links to.
        let tried = match unsafe { Library::new(name) } {
            Ok(library) => try_library(name, library),
            Err(error) => {
                let problem = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                Err(NoCuda::NoLibrary { problem })
            }
        };
        match tried {
            Ok(driver) => return Ok(driver),
            Err(found) if name == NAMES[0] || telling(&found) > telling(&fault) => fault = found,
            Err(_) => {}
        }
    }
    Err(fault)
}

/// How much a fault says about this machine: a library that is not there less than a stub, a stub less than all others.
fn telling(fault: &NoCuda) -> u8 {
    match fault {
        NoCuda::NoLibrary { .. } => 0,
        NoCuda::Driver { code: STUB_LIBRARY, .. } => 1,
        _ => 2,
    }
}

fn try_library(name: &str, library: Library) -> Result<Driver, NoCuda> {
    // SAFETY: a library of this name is a CUDA driver's.
    let functions = unsafe { Functions::load(&library) }
        .map_err(|symbol| NoCuda::MissingSymbol { library: name.to_owned(), symbol })?;
    let accepted = |call, code| if code == 0 { Ok(()) } else { Err(NoCuda::Driver { call, code }) };
    // SAFETY: it may be called at any time; the only flags that there are are 0.
    accepted("cuInit", unsafe { (functions.init)(0) })?;
    let (mut version, mut devices) = (0, 0);
    // SAFETY: the pointer is to a number that outlives the call.
    accepted("cuDriverGetVersion", unsafe { (functions.driver_get_version)(&mut version) })?;
    if version < OLDEST_DRIVER {
        return Err(NoCuda::DriverTooOld { version });
    }
    // SAFETY: as above.
    accepted("cuDeviceGetCount", unsafe { (functions.device_get_count)(&mut devices) })?;
    // The functions are called as long as the program runs.
    std::mem::forget(library);
    Ok(Driver { version, devices, functions })
}

/// What a call of the driver said.
pub(super) fn accepted(call: &'static str, code: c_uint) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(Error::Cuda { call, code }) }
}

/// Whether the driver had no memory left, of the device or of pages to pin.
pub(super) fn out_of_memory(error: &Error) -> bool {
    /// `CUDA_ERROR_OUT_OF_MEMORY`
    const OUT_OF_MEMORY: c_uint = 2;
    matches!(error, Error::Cuda { code: OUT_OF_MEMORY, .. })
}
