//! Checks of tables from Python: a report as JSON.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::exceptions::PyValueError;
use pyo3::{Bound, FromPyObject, PyAny, PyErr, PyResult, Python, pyfunction};
use shardback::check::Options;
use shardback::pipeline::Tables;
use shardback::schema::Schema;

use crate::build::{Description, ITEM_DTYPES, TICK, character, choose, described, store};
use crate::error::to_python;

/// The options as `shardback.check` hands them over, all of them given.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Arguments {
    description: Option<Description>,
    item_dtype: Option<String>,
    day_zone: Option<String>,
    csv_escape: Option<String>,
    store_options: Vec<(String, String)>,
    rows: u64,
}

impl Arguments {
    fn options(self, py: Python<'_>) -> PyResult<Options> {
        let schema = self.description.map_or_else(|| Ok(Schema::built_in()), Description::schema);
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Options {
            schema: schema.map_err(|error| to_python(py, &error))?,
            item_dtype: self.item_dtype.map(|name| choose(py, "item_dtype", &name, &ITEM_DTYPES)).transpose()?,
            day_zone: self.day_zone,
            csv_escape: self.csv_escape.as_deref().map(|text| character(py, text)).transpose()?,
            store: store(self.store_options),
            rows: self.rows,
            now: i64::try_from(now.as_micros())?,
        })
    }
}

/// Looks at tables, which are those of `build`; the report is JSON.
#[pyfunction]
pub(crate) fn check(
    py: Python<'_>,
    tables: Vec<(String, Bound<'_, PyAny>)>,
    arguments: Arguments,
    folder: Option<PathBuf>,
) -> PyResult<String> {
    let options = arguments.options(py)?;
    let tables = described(py, &options.schema, tables, folder)?;
    run(py, options, tables)
}

/// Reads in a thread of its own; this one listens for Ctrl-C.
fn run(py: Python<'_>, options: Options, tables: Tables) -> PyResult<String> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let (done, finished) = channel::<()>();
    let finished = Mutex::new(finished);
    let asked = Arc::clone(&cancelled);
    let worker = std::thread::spawn(move || {
        // Dropped when the work ends, however it does.
        let _done = done;
        shardback::check::check(options, tables, &|| asked.load(Ordering::Relaxed))
    });
    let mut fault: Option<PyErr> = None;
    loop {
        let waited = py.detach(|| finished.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(TICK));
        if let Err(error) = py.check_signals()
            && fault.is_none()
        {
            cancelled.store(true, Ordering::Relaxed);
            fault = Some(error);
        }
        if waited != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    let report = py.detach(|| worker.join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match (fault, report) {
        (Some(fault), _) => Err(fault),
        (None, Err(error)) => Err(to_python(py, &error)),
        (None, Ok(report)) => serde_json::to_string(&report).map_err(|error| PyValueError::new_err(error.to_string())),
    }
}
