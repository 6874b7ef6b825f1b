//! Published days checked and shown, and synthetic tables made, from Python: results as JSON.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use pyo3::{FromPyObject, PyResult, Python, pyfunction};
use shardback::error::Result;
use shardback::event::Day;
use shardback::generate::{Options, TableFormat, generate as make};
use shardback::inspect::Selection;
use shardback::pipeline::Observer;

use crate::build::{TICK, choose};
use crate::error::{raise, to_python};

/// What is wrong with files: each fault with its file.
type Faults = Vec<(PathBuf, String)>;

/// Checks everything at or below a path: the report as JSON, and its faults.
#[pyfunction]
pub(crate) fn verify(py: Python<'_>, path: PathBuf) -> PyResult<(String, Faults)> {
    let report = apart(py, "verify", move |_| shardback::verify::verify(&path))?;
    let text = json(py, &report)?;
    Ok((text, report.faults.into_iter().map(|fault| (fault.path, fault.problem)).collect()))
}

/// What a path holds, as `shardback inspect --json` prints it.
#[pyfunction]
pub(crate) fn inspect(py: Python<'_>, path: PathBuf, rows: usize, customer: Option<i64>) -> PyResult<String> {
    let inspection = apart(py, "inspect", move |_| shardback::inspect::inspect(&path, Selection { rows, customer }))?;
    json(py, &inspection)
}

/// The options of `shardback.generate`; those that are none have the value that the command line has.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Arguments {
    customers: Option<u64>,
    mean_actions: Option<f64>,
    sigma: Option<f64>,
    days: Option<u32>,
    impression_days: Option<u32>,
    rows_per_day: Option<u64>,
    slate: Option<f64>,
    items: Option<u64>,
    last_day: Option<String>,
    seed: Option<u64>,
    late_share: Option<f64>,
    giant_share: Option<f64>,
    cold_share: Option<f64>,
    format: String,
    described: bool,
}

/// Makes synthetic tables: rows of actions and impressions, samples, files, bytes.
#[pyfunction]
pub(crate) fn generate(py: Python<'_>, out: PathBuf, arguments: Arguments) -> PyResult<(u64, u64, u64, u64, u64)> {
    let defaults = Options::default();
    let last_day = arguments.last_day.map(|text| text.parse::<Day>()).transpose();
    let formats = [("parquet", TableFormat::Parquet), ("json", TableFormat::Json)];
    let options = Options {
        customers: arguments.customers.unwrap_or(defaults.customers),
        mean_actions: arguments.mean_actions.unwrap_or(defaults.mean_actions),
        sigma: arguments.sigma.unwrap_or(defaults.sigma),
        days: arguments.days.unwrap_or(defaults.days),
        impression_days: arguments.impression_days.unwrap_or(defaults.impression_days),
        rows_per_day: arguments.rows_per_day.unwrap_or(defaults.rows_per_day),
        slate: arguments.slate.unwrap_or(defaults.slate),
        items: arguments.items.unwrap_or(defaults.items),
        last_day: last_day.map_err(|error| to_python(py, &error))?.unwrap_or(defaults.last_day),
        seed: arguments.seed.unwrap_or(defaults.seed),
        late_share: arguments.late_share.unwrap_or(defaults.late_share),
        giant_share: arguments.giant_share.unwrap_or(defaults.giant_share),
        cold_share: arguments.cold_share.unwrap_or(defaults.cold_share),
        format: choose(py, "format", &arguments.format, &formats)?,
        is_described: arguments.described,
    };
    let made = apart(py, "generate", move |stop| make(&out, &options, stop))?;
    Ok((made.actions, made.impression_rows, made.samples, made.files, made.bytes))
}

/// Whether work in a thread of its own is to stop.
pub(crate) struct Stop(AtomicBool);

impl Observer for Stop {
    fn cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Works in a thread of its own, so that Ctrl-C is heeded, however long it takes. The work is told to stop then; where it does not look, what
/// is left of it goes on until it ends.
pub(crate) fn apart<T: Send + 'static>(
    py: Python<'_>,
    name: &str,
    work: impl FnOnce(&Stop) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let (send, done) = channel();
    let stop = Arc::new(Stop(AtomicBool::new(false)));
    let told = Arc::clone(&stop);
    let work = move || {
        // Nobody listens any more where Ctrl-C was pressed.
        let _ = send.send(work(&told));
    };
    let thread = Builder::new().name(name.to_owned()).spawn(work);
    let thread = thread.map_err(|error| raise(py, "ShardbackError", format!("cannot start a thread: {error}")))?;
    let mut done = Mutex::new(done);
    loop {
        let wait = || done.get_mut().unwrap_or_else(PoisonError::into_inner).recv_timeout(TICK);
        match py.detach(wait) {
            Ok(result) => return result.map_err(|error| to_python(py, &error)),
            Err(RecvTimeoutError::Timeout) => {
                py.check_signals().inspect_err(|_| stop.0.store(true, Ordering::Relaxed))?
            }
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(raise(py, "ShardbackError", format!("{name} ended without a result"))),
            },
        }
    }
}

fn json(py: Python<'_>, result: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(result).map_err(|error| raise(py, "ShardbackError", error.to_string()))
}
