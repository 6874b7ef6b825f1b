//! The library's errors as exceptions: one match, one base class (`shardback.ShardbackError`).

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAnyMethods, PyType};
use pyo3::{Bound, Py, PyErr, PyResult, Python};
use shardback::error::{Error, OptionName};

/// The exception of an error. Raises another one where the package itself cannot be imported.
pub(crate) fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error {
        Error::Interrupted => return PyKeyboardInterrupt::new_err(()),
        Error::Option { .. } | Error::Day { .. } | Error::Description { .. } | Error::Address { .. } => "OptionError",
        Error::Corrupt { .. } | Error::Arrays { .. } => "CorruptError",
        Error::NoCuda(_) | Error::Cuda { .. } | Error::DeviceMemory { .. } | Error::PinnedMemory { .. } => {
            "DeviceError"
        }
        Error::Io { .. } | Error::Unreadable { .. } => "IoError",
        Error::NoFiles { .. }
        | Error::UnknownFormat { .. }
        | Error::NoDayInPath { .. }
        | Error::MissingColumn { .. }
        | Error::ColumnType { .. }
        | Error::BadRow(_)
        | Error::Parquet { .. }
        | Error::Text { .. }
        | Error::Source { .. }
        | Error::TableFormat { .. }
        | Error::SameFile { .. }
        | Error::SameName { .. }
        | Error::Changed { .. }
        | Error::TwoColumns { .. }
        | Error::DayZone { .. }
        | Error::NothingShown { .. }
        | Error::EmptyDay { .. }
        | Error::Late { .. }
        | Error::Task { .. } => "InputError",
        _ => "ShardbackError",
    };
    let raised = raise(py, class, chain(error));
    if let Error::DeviceMemory { needed, free } = error {
        let exception = raised.value(py);
        // Attributes that the class declares.
        let said = exception.setattr("needed", needed).and_then(|()| exception.setattr("free", free));
        return said.err().unwrap_or(raised);
    }
    raised
}

/// An exception of the package, by the name of its class.
pub(crate) fn raise(py: Python<'_>, class: &str, message: String) -> PyErr {
    match errors(py).and_then(|module| module.getattr(class)).and_then(|class| Ok(class.cast_into::<PyType>()?)) {
        Ok(class) => PyErr::from_type(class, message),
        Err(error) => error,
    }
}

fn errors(py: Python<'_>) -> PyResult<&Bound<'_, pyo3::PyAny>> {
    static MODULE: PyOnceLock<Py<pyo3::PyAny>> = PyOnceLock::new();
    let module =
        MODULE.get_or_try_init(py, || py.import("shardback.errors").map(|module| module.into_any().unbind()))?;
    Ok(module.bind(py))
}

/// The error and what it came from, in one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// An option as an argument: `shard_rows`, or `invalid="skip"`.
pub(crate) fn argument(option: OptionName, value: Option<&str>) -> String {
    let name = option.name();
    match (option, value) {
        (_, None) => name.to_owned(),
        (OptionName::Tables | OptionName::StoreOptions, Some(pair)) => {
            let (key, value) = pair.split_once('=').unwrap_or((pair, "…"));
            let value = if option == OptionName::Tables { value.to_owned() } else { format!("{value:?}") };
            format!("{name}={{{key:?}: {value}}}")
        }
        (_, Some(value)) if value.parse::<u64>().is_ok() => format!("{name}={value}"),
        (_, Some(value)) => format!("{name}={value:?}"),
    }
}
