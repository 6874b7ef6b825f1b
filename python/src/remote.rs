//! Days in object stores, from Python.

use std::path::PathBuf;

use pyo3::{PyResult, Python, pyfunction};
use shardback::config::{self, Format};
use shardback::event::Day;
use shardback::remote::{self, Cache};

use crate::build::{choose, store};
use crate::error::{raise, to_python};
use crate::look::apart;

/// The path on this machine of days at a path or an address, which are fetched where they lie in an object store.
#[pyfunction]
pub(crate) fn fetch(
    py: Python<'_>,
    path: PathBuf,
    cache_dir: Option<PathBuf>,
    cache_limit: Option<String>,
    store_options: Vec<(String, String)>,
) -> PyResult<PathBuf> {
    let limit = cache_limit.map(|text| config::parse_size(&text)).transpose();
    let limit = limit.map_err(|problem| raise(py, "OptionError", format!("cache_limit: {problem}")))?;
    let cache = Cache { folder: cache_dir.unwrap_or_else(remote::cache_folder), limit };
    apart(py, "fetch", move |_| remote::fetch(&path, &cache, &store(store_options)))
}

/// The manifests of days of an output in an object store, as JSON, format after format.
#[pyfunction]
pub(crate) fn remote_manifests(
    py: Python<'_>,
    out: PathBuf,
    formats: Vec<String>,
    days: Vec<String>,
    store_options: Vec<(String, String)>,
) -> PyResult<Vec<String>> {
    let known = Format::ALL.map(|format| (format.name(), format));
    let formats = formats.iter().map(|name| choose(py, "formats", name, &known)).collect::<PyResult<Vec<Format>>>()?;
    let days = days.iter().map(|day| day.parse::<Day>().map_err(|error| to_python(py, &error)));
    let days = days.collect::<PyResult<Vec<Day>>>()?;
    let read = move || {
        let manifests = remote::manifests(&out, &formats, &days, &store(store_options))?;
        manifests.iter().map(|manifest| Ok(String::from_utf8_lossy(&manifest.to_bytes()?).into_owned())).collect()
    };
    apart(py, "read manifests", |_| read())
}

/// Whether a path is an address in an object store.
#[pyfunction]
pub(crate) fn is_in_store(path: PathBuf) -> bool {
    shardback::store::is_in_store(&path)
}
