//! Why no CUDA device can be used, and what the driver's codes are called.

/// Why no CUDA device can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoCuda {
    /// The program was built without it.
    #[error("this build has no CUDA support (cargo feature `cuda`)")]
    NotBuilt,
    /// The driver's library cannot be loaded.
    #[error("no driver library: {problem}")]
    NoLibrary {
        /// What the loader said.
        problem: String,
    },
    /// The driver's library lacks a function.
    #[error("the driver library `{library}` has no `{symbol}`")]
    MissingSymbol {
        /// The library.
        library: String,
        /// The function.
        symbol: &'static str,
    },
    /// The driver refused a call.
    #[error("the driver refuses {call}: {}", cuda_code(*code))]
    Driver {
        /// The function.
        call: &'static str,
        /// The driver's `CUresult`.
        code: u32,
    },
    /// The driver is older than what the kernels need.
    #[error("the driver is for CUDA {}.{}, 12.0 is needed", version / 1000, version % 1000 / 10)]
    DriverTooOld {
        /// 1000 times the major and 10 times the minor version.
        version: i32,
    },
    /// There is no device of that number.
    #[error("the driver sees {count} devices, and none has the number {ordinal}")]
    NoDevice {
        /// The number, from 0.
        ordinal: u32,
        /// The devices that there are.
        count: i32,
    },
    /// The device is older than what the kernels are compiled for.
    #[error("{name} has compute capability {major}.{minor}, 8.0 is needed")]
    DeviceTooOld {
        /// What it calls itself.
        name: String,
        /// The generation.
        major: i32,
        /// And within it.
        minor: i32,
    },
    /// The kernel runs, but does not give what the processor gives.
    #[error("{name} fails the self-test: it pads a row otherwise than the processor")]
    SelfTest {
        /// What it calls itself.
        name: String,
    },
}

/// A driver's code, with its name where it is one that users meet.
pub(super) fn cuda_code(code: u32) -> String {
    let name = match code {
        2 => "CUDA_ERROR_OUT_OF_MEMORY",
        3 => "CUDA_ERROR_NOT_INITIALIZED",
        34 => "CUDA_ERROR_STUB_LIBRARY",
        46 => "CUDA_ERROR_DEVICE_UNAVAILABLE",
        100 => "CUDA_ERROR_NO_DEVICE",
        209 => "CUDA_ERROR_NO_BINARY_FOR_GPU",
        218 => "CUDA_ERROR_INVALID_PTX",
        221 => "CUDA_ERROR_JIT_COMPILER_NOT_FOUND",
        222 => "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        700 => "CUDA_ERROR_ILLEGAL_ADDRESS",
        719 => "CUDA_ERROR_LAUNCH_FAILED",
        802 => "CUDA_ERROR_SYSTEM_NOT_READY",
        803 => "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        804 => "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        999 => "CUDA_ERROR_UNKNOWN",
        _ => return format!("code {code}"),
    };
    format!("{name} ({code})")
}
