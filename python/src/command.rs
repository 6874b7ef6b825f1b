//! The command line from Python: the console script of the package.

use std::ffi::OsString;

use pyo3::{Python, pyfunction};

/// Runs a command line, the name of the program first, and gives the exit code. For a process that does nothing else.
#[pyfunction]
pub(crate) fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| shardback::cli::run(arguments))
}
