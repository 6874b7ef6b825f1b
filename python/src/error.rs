//! The library's errors as exceptions: one match, one base class (`shardback.ShardbackError`).

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAnyMethods, PyType};
use pyo3::{Bound, Py, PyErr, PyResult, Python};
use shardback::error::Error;

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
        | Error::Late { .. }
        | Error::Task { .. } => "InputError",
        _ => "ShardbackError",
    };
    let raised = raise(py, class, in_python(&chain(error)));
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

/// Options as arguments: `--shard-rows` is `shard_rows`, and `--from` is `start`, as `from` is a word of Python; where a value
/// follows within the same quotes, `--device cpu` is `device="cpu"`. What stands inside a word, such as a path, stays as it is.
fn in_python(text: &str) -> String {
    let mut parts = text.split("--");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if !out.is_empty() && !out.ends_with(['`', ' ']) {
            out.push_str("--");
            out.push_str(part);
            continue;
        }
        let is_quoted = out.ends_with('`');
        let end = part.find(|letter: char| !letter.is_ascii_lowercase() && letter != '-').unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        match name {
            "from" => out.push_str("start"),
            "to" => out.push_str("end"),
            "format" => out.push_str("formats"),
            name => out.push_str(&name.replace('-', "_")),
        }
        match rest.strip_prefix(' ').and_then(|rest| rest.split_once('`')) {
            Some((value, rest)) if is_quoted && !value.contains(char::is_whitespace) => {
                let quote = if value.parse::<u64>().is_ok() { "" } else { "\"" };
                out.extend(["=", quote, value, quote, "`", rest]);
            }
            _ => out.push_str(rest),
        }
    }
    out
}
