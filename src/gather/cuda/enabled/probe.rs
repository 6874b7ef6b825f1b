//! Looks whether there is a driver that `cudarc` can work with, without a way to panic.
//!
//! It opens the library that `cudarc` will open, by the same names in the same order, and looks every function up that is
//! used here: `cudarc` would do so at their first call, and panic.

use std::error::Error;
use std::ffi::{CStr, c_int, c_uint};
use std::sync::OnceLock;

use libloading::Library;

use crate::error::NoCuda;

/// A driver that is there, initialised, and new enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct Driver {
    /// 1000 times the major and 10 times the minor version of CUDA.
    pub(super) version: i32,
    /// The devices that it sees.
    pub(super) devices: i32,
}

/// CUDA 12.0.
const OLDEST_DRIVER: i32 = 12_000;

/// Every function of the driver that anything here makes `cudarc` call.
const SYMBOLS: [&CStr; 29] = [
    c"cuInit",
    c"cuDriverGetVersion",
    c"cuDeviceGetCount",
    c"cuDeviceGet",
    c"cuDeviceGetName",
    c"cuDeviceGetAttribute",
    c"cuDevicePrimaryCtxRetain",
    c"cuDevicePrimaryCtxRelease_v2",
    c"cuCtxGetCurrent",
    c"cuCtxSetCurrent",
    c"cuCtxSynchronize",
    c"cuModuleLoadData",
    c"cuModuleUnload",
    c"cuModuleGetFunction",
    c"cuLaunchKernel",
    c"cuStreamCreate",
    c"cuStreamDestroy_v2",
    c"cuStreamSynchronize",
    c"cuEventCreate",
    c"cuEventDestroy_v2",
    c"cuEventRecord",
    c"cuEventSynchronize",
    c"cuMemAlloc_v2",
    c"cuMemFree_v2",
    c"cuMemGetInfo_v2",
    c"cuMemHostAlloc",
    c"cuMemFreeHost",
    c"cuMemcpyHtoDAsync_v2",
    c"cuMemcpyDtoHAsync_v2",
];

type Init = unsafe extern "C" fn(c_uint) -> c_uint;
type GetNumber = unsafe extern "C" fn(*mut c_int) -> c_uint;

/// The driver; looked for once, and then remembered.
pub(super) fn driver() -> Result<Driver, NoCuda> {
    static DRIVER: OnceLock<Result<Driver, NoCuda>> = OnceLock::new();
    DRIVER.get_or_init(look).clone()
}

fn look() -> Result<Driver, NoCuda> {
    let (name, library) = open()?;
    for symbol in SYMBOLS {
        // SAFETY: the address is not used, so its type does not matter.
        if unsafe { library.get::<*const ()>(symbol) }.is_err() {
            let symbol = symbol.to_str().unwrap_or_default();
            return Err(NoCuda::MissingSymbol { library: name, symbol });
        }
    }
    // SAFETY: the type is that of `cuInit` in `cuda.h`, whose result is an enum of C.
    let init = unsafe { function::<Init>(&library, &name, c"cuInit", "cuInit") }?;
    // SAFETY: it may be called at any time; the only flags that there are are 0.
    accepted("cuInit", unsafe { init(0) })?;
    let version = number(&library, &name, c"cuDriverGetVersion", "cuDriverGetVersion")?;
    if version < OLDEST_DRIVER {
        return Err(NoCuda::DriverTooOld { version });
    }
    let devices = number(&library, &name, c"cuDeviceGetCount", "cuDeviceGetCount")?;
    // `cudarc` gets the same library, because it stays loaded.
    std::mem::forget(library);
    Ok(Driver { version, devices })
}

/// Opens the first library that there is, as `cudarc` does.
fn open() -> Result<(String, Library), NoCuda> {
    let names = ["cuda", "nvcuda"].into_iter().flat_map(cudarc::get_lib_name_candidates);
    let mut problem = String::new();
    for name in names {
        // SAFETY: a driver's library may be loaded at any time; if it is another one of that name, its initialisers are
        // the system's responsibility, as with every library that a program links to.
        match unsafe { Library::new(&name) } {
            Ok(library) => return Ok((name, library)),
            // What the loader says of the name under which drivers install it.
            Err(error) if name == "libcuda.so.1" => {
                problem = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            }
            Err(_) => {}
        }
    }
    Err(NoCuda::NoLibrary { problem })
}

/// # Safety
/// `F` is the type of the function.
unsafe fn function<F: Copy>(library: &Library, name: &str, symbol: &CStr, call: &'static str) -> Result<F, NoCuda> {
    // SAFETY: the caller says that the type is right.
    let found = unsafe { library.get::<F>(symbol) };
    found.map(|symbol| *symbol).map_err(|_| NoCuda::MissingSymbol { library: name.to_owned(), symbol: call })
}

/// Asks the driver for one number.
fn number(library: &Library, name: &str, symbol: &CStr, call: &'static str) -> Result<i32, NoCuda> {
    // SAFETY: this is the type of the two functions that are asked for, both in `cuda.h`.
    let get = unsafe { function::<GetNumber>(library, name, symbol, call) }?;
    let mut value = 0;
    // SAFETY: the pointer is to a number that outlives the call.
    accepted(call, unsafe { get(&mut value) })?;
    Ok(value)
}

fn accepted(call: &'static str, code: c_uint) -> Result<(), NoCuda> {
    if code == 0 { Ok(()) } else { Err(NoCuda::Driver { call, code }) }
}
