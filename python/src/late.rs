//! Tables whose stream is taken when they are read, one after the other: relations of DuckDB, of which a connection executes one
//! at a time, and holds no other's result meanwhile.

use std::path::Path;

use pyo3::types::{PyAnyMethods, PyStringMethods, PyTypeMethods};
use pyo3::{Bound, Py, PyAny, PyResult, Python};
use shardback::error::{Error, Result};
use shardback::read::{Batches, Projection, Source, Visitor};

use crate::streams;

/// A relation, and what is wanted of it.
pub(crate) struct Late {
    source: Py<PyAny>,
    wanted: Projection,
}

/// Whether a source is one of those.
pub(crate) fn belongs(source: &Bound<'_, PyAny>) -> PyResult<bool> {
    let module = source.get_type().module()?;
    let module = module.to_string_lossy();
    Ok(matches!(module.split('.').next(), Some("duckdb" | "_duckdb")))
}

impl Late {
    pub(crate) fn new(source: &Bound<'_, PyAny>, wanted: Projection) -> Self {
        Self { source: source.clone().unbind(), wanted }
    }

    fn failed(&self, problem: impl ToString) -> Error {
        Error::Source { table: self.wanted.table.clone(), problem: problem.to_string() }
    }
}

impl Source for Late {
    fn parts(&self) -> usize {
        1
    }

    fn bytes(&self) -> u64 {
        0
    }

    /// Executes the relation, and reads it to its end; the connection is then free for the next one.
    fn read(&self, part: usize, visit: &Visitor<'_>) -> Result<()> {
        let taken = Python::attach(|py| streams::take(self.source.bind(py)));
        let reader = taken.map_err(|error| self.failed(error))?.map_err(|error| self.failed(error))?;
        Batches::foreign(self.wanted.clone(), reader).read(part, visit)
    }

    fn files(&self) -> Vec<&Path> {
        Vec::new()
    }

    fn alone(&self) -> bool {
        true
    }
}
