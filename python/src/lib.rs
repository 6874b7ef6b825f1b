//! The extension module of the Python package: what Python sees of the library.
//!
//! Converts arguments, releases the interpreter's lock, and turns errors into exceptions. Everything that can be said in
//! Python (typed results, defaults, documentation) is in `python/shardback`; everything that works on data is in the library.

mod batches;
mod build;
mod check;
mod cluster;
mod command;
mod day;
mod error;
mod late;
mod look;
mod memory;
mod remote;
mod resident;
mod streams;

/// The processors that this process can keep busy: those that it may run on, or less where a control group limits their time.
#[pyo3::pyfunction]
fn processors() -> usize {
    shardback::machine::processors()
}

/// The part of the package that is written in Rust; private, `shardback` is what to use.
#[pyo3::pymodule]
mod _native {
    use shardback::layout as tensors;

    /// Messages name options as Python's users write them.
    #[pymodule_init]
    fn spell_options(_module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        shardback::error::spell_options(super::error::argument);
        Ok(())
    }

    #[pymodule_export]
    use super::batches::{Batches, steps};
    #[pymodule_export]
    use super::build::build;
    #[pymodule_export]
    use super::check::check;
    #[pymodule_export]
    use super::cluster::{Driver, Mapper, columns, count, parts, reduce, tables};
    #[pymodule_export]
    use super::command::command;
    #[pymodule_export]
    use super::day::{Day, find_days, manifest};
    #[pymodule_export]
    use super::look::{generate, inspect, verify};
    #[pymodule_export]
    use super::memory::Memory;
    #[pymodule_export]
    use super::processors;
    #[pymodule_export]
    use super::remote::{fetch, is_in_store, remote_manifests};
    #[pymodule_export]
    use super::resident::{Device, Resident, device_bytes, layout};
    #[pymodule_export]
    use super::streams::Stream;

    /// The version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// The most threads that can be asked for.
    #[pymodule_export]
    const MAX_THREADS: usize = shardback::config::MAX_THREADS;

    // The names of tensors, for what works on them.
    #[pymodule_export]
    const ITEM: &str = tensors::ITEM;
    #[pymodule_export]
    const REQUEST: &str = tensors::REQUEST;
    #[pymodule_export]
    const HISTORY_START: &str = tensors::HISTORY_START;
    #[pymodule_export]
    const HISTORY_LENGTH: &str = tensors::HISTORY_LENGTH;
    #[pymodule_export]
    const ACTION_TIMES: &str = shardback::schema::ACTION_TIMES;
    /// What the names of features begin with in files.
    #[pymodule_export]
    const FEATURE: &str = shardback::schema::FEATURE;
    #[pymodule_export]
    const ACTIONS: &str = tensors::ACTIONS;
    #[pymodule_export]
    const ACTION_TYPES: &str = tensors::ACTION_TYPES;
}
