//! Builds from Python: arguments to a plan, tables to inputs, progress to a callback.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::types::PyAnyMethods;
use pyo3::{Bound, FromPyObject, Py, PyAny, PyErr, PyResult, Python, pyfunction};
use shardback::config::{self, CutoffOptions, Device, Format, InvalidRows, Options, Plan, Sharding};
use shardback::error::{Error, Result};
use shardback::event::{Day, ItemDtype};
use shardback::pipeline::{self, DaySummary, Input, Observer, Stage, StageTime, Summary, Tables};
use shardback::read::{Batches, Projection};
use shardback::schema::{self, Cutoff, Schema};
use shardback::store::StoreOptions;
use shardback::unify;

use crate::error::{raise, to_python};
use crate::late::{self, Late};
use crate::streams;

/// The options as `shardback.build` hands them over, all of them given.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Arguments {
    out: PathBuf,
    start: String,
    end: String,
    formats: Vec<String>,
    description: Option<Description>,
    history: Option<usize>,
    lookback_days: Option<u32>,
    cutoff: Option<String>,
    lookback: Option<String>,
    delay: Option<String>,
    item_dtype: Option<String>,
    invalid: String,
    day_zone: Option<String>,
    csv_escape: Option<String>,
    store_options: Vec<(String, String)>,
    shard_rows: u64,
    shards: Option<u32>,
    skip_existing: bool,
    allow_empty_days: bool,
    require_fresh: bool,
    replace_non_atomic: bool,
    device: String,
    threads: Option<usize>,
    memory: Option<String>,
    spill_dir: Option<PathBuf>,
}

/// A description of tables.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Description {
    /// The file that it was in; none where it was none, and is JSON.
    file: Option<String>,
    text: String,
}

impl Description {
    pub(crate) fn schema(self) -> Result<Schema> {
        if let Some(file) = &self.file {
            return schema::from_text(file, &self.text);
        }
        let wrong =
            |error: serde_json::Error| Error::Description { place: "config".to_owned(), problem: error.to_string() };
        schema::from_json(&serde_json::from_str(&self.text).map_err(wrong)?)
    }
}

impl Arguments {
    pub(crate) fn options(self, py: Python<'_>) -> PyResult<Options> {
        let day = |text: &str| text.parse::<Day>().map_err(|error| to_python(py, &error));
        let formats = [("parquet", Format::Parquet), ("dense", Format::Dense), ("jagged", Format::Jagged)];
        let invalid = [("fail", InvalidRows::Fail), ("skip", InvalidRows::Skip)];
        let devices = [("auto", Device::Auto), ("cpu", Device::Cpu), ("cuda", Device::Cuda)];
        let csv_escape = self.csv_escape.as_deref().map(|text| character(py, text)).transpose()?;
        let memory = self.memory.map(|text| config::parse_size(&text)).transpose();
        let schema = self.description.map_or_else(|| Ok(Schema::built_in()), Description::schema);
        let schema = schema.map_err(|error| to_python(py, &error))?;
        let cutoffs = [("day", Cutoff::Day), ("time", Cutoff::Time)];
        let duration = |option: &str, text: Option<&String>| {
            let micros = text.map(|text| config::parse_duration(text)).transpose();
            micros.map_err(|problem| raise(py, "OptionError", format!("{option}: {problem}")))
        };
        let cutoff = CutoffOptions {
            cutoff: self.cutoff.as_ref().map(|name| choose(py, "cutoff", name, &cutoffs)).transpose()?,
            lookback_days: self.lookback_days,
            lookback_micros: duration("lookback", self.lookback.as_ref())?,
            delay_micros: duration("delay", self.delay.as_ref())?,
        };
        let defaults = Options::described(schema, self.out, day(&self.start)?, day(&self.end)?);
        let defaults = defaults.with_cutoff(cutoff).map_err(|error| to_python(py, &error))?;
        Ok(Options {
            formats: self
                .formats
                .iter()
                .map(|name| choose(py, "formats", name, &formats))
                .collect::<PyResult<Vec<_>>>()?,
            history: self.history.unwrap_or(defaults.history),
            item_dtype: self.item_dtype.map(|name| choose(py, "item_dtype", &name, &ITEM_DTYPES)).transpose()?,
            invalid: choose(py, "invalid", &self.invalid, &invalid)?,
            day_zone: self.day_zone,
            csv_escape,
            store: defaults.store.clone().with(&store(self.store_options)),
            sharding: self.shards.map_or(Sharding::Rows(self.shard_rows), Sharding::Count),
            skip_existing: self.skip_existing,
            allow_empty_days: self.allow_empty_days,
            require_fresh: self.require_fresh,
            replace_non_atomic: self.replace_non_atomic,
            device: choose(py, "device", &self.device, &devices)?,
            threads: self.threads,
            memory: memory.map_err(|problem| raise(py, "OptionError", format!("memory: {problem}")))?,
            spill_dir: self.spill_dir,
            ..defaults
        })
    }
}

pub(crate) const ITEM_DTYPES: [(&str, ItemDtype); 2] = [("i32", ItemDtype::I32), ("i64", ItemDtype::I64)];

/// Settings of object stores.
pub(crate) fn store(settings: Vec<(String, String)>) -> StoreOptions {
    let mut store = StoreOptions::default();
    settings.into_iter().for_each(|(name, value)| store.set(&name, value));
    store
}

/// The character that escapes quotes of CSV.
pub(crate) fn character(py: Python<'_>, text: &str) -> PyResult<char> {
    let problem = || raise(py, "OptionError", format!("csv_escape: one character is expected, not `{text}`"));
    text.parse().map_err(|_| problem())
}

/// The value that a name stands for.
pub(crate) fn choose<T: Copy>(py: Python<'_>, option: &str, name: &str, values: &[(&str, T)]) -> PyResult<T> {
    let found = values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known: Vec<&str> = values.iter().map(|(known, _)| *known).collect();
        raise(py, "OptionError", format!("{option}: `{name}` is none of {}", known.join(", ")))
    })
}

/// Builds days; `tables` are by name, each a path or something with `__arrow_c_stream__`. Those of a description that are not there
/// lie where it says, from `folder` on. `progress` is called with a stage, what is done and the total, in this thread. Gives the summary as
/// JSON.
#[pyfunction]
pub(crate) fn build(
    py: Python<'_>,
    tables: Vec<(String, Bound<'_, PyAny>)>,
    arguments: Arguments,
    folder: Option<PathBuf>,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let plan = Plan::new(arguments.options(py)?).map_err(|error| to_python(py, &error))?;
    let tables = described(py, &plan.options().schema, tables, folder)?;
    run(py, plan, tables, progress.as_ref())
}

/// The tables of a description, as they are given or from where it says they lie.
pub(crate) fn described(
    py: Python<'_>,
    schema: &Schema,
    tables: Vec<(String, Bound<'_, PyAny>)>,
    folder: Option<PathBuf>,
) -> PyResult<Tables> {
    let mut given = Vec::new();
    for (name, source) in tables {
        let wanted = schema.action(&name).map_or_else(|| unify::wanted_samples(schema), unify::wanted_actions);
        given.push((name, input(&source, wanted)?));
    }
    Tables::described(schema, folder.as_deref(), given).map_err(|error| to_python(py, &error))
}

/// A path, or a stream that is taken over: now, or when it is read.
fn input(source: &Bound<'_, PyAny>, wanted: Projection) -> PyResult<Input> {
    if let Ok(path) = source.extract::<PathBuf>() {
        return Ok(Input::Path(path));
    }
    if !source.hasattr("__arrow_c_stream__")? {
        let kind = source.get_type();
        let problem = format!("{}: a table is a path or has `__arrow_c_stream__`, not {kind}", wanted.table);
        return Err(PyTypeError::new_err(problem));
    }
    if late::belongs(source)? {
        return Ok(Input::Source(Box::new(Late::new(source, wanted))));
    }
    let reader = streams::take(source)?
        .map_err(|error| raise(source.py(), "InputError", format!("{}: the source failed: {error}", wanted.table)))?;
    Ok(Input::Source(Box::new(Batches::foreign(wanted, reader))))
}

/// How often the interpreter is asked for signals, and progress is shown.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Builds in a thread of its own; this one shows progress and listens for Ctrl-C.
fn run(py: Python<'_>, plan: Plan, tables: Tables, progress: Option<&Py<PyAny>>) -> PyResult<String> {
    let shared = Arc::new(Watch::default());
    let (done, finished) = channel();
    let finished = Mutex::new(finished);
    let watch = Watched(Arc::clone(&shared));
    let worker = std::thread::spawn(move || {
        let result = pipeline::build(&plan, tables, &watch);
        // Whoever listens may be gone; then nobody asks.
        let _ = done.send(());
        result
    });
    let mut fault: Option<PyErr> = None;
    loop {
        let waited = py.detach(|| finished.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(TICK));
        let shown = progress.map_or(Ok(()), |progress| shared.show(py, progress));
        if let Err(error) = shown.and_then(|()| py.check_signals())
            && fault.is_none()
        {
            shared.cancelled.store(true, Ordering::Relaxed);
            fault = Some(error);
        }
        // A worker that panics drops its end.
        if waited != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    let result: Result<Summary> = py.detach(|| worker.join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match (fault, result) {
        (Some(fault), _) => Err(fault),
        (None, Err(error)) => Err(to_python(py, &error)),
        (None, Ok(summary)) => summary.to_json().map_err(|error| to_python(py, &error)),
    }
}

/// Where a build stands.
#[derive(Default)]
struct Watch {
    stages: Mutex<Vec<Progress>>,
    cancelled: AtomicBool,
}

/// A stage, and how far it is.
struct Progress {
    name: String,
    done: u64,
    total: u64,
    ended: bool,
}

impl Watch {
    /// Tells the callback of each stage that is at work or has ended since it was last called.
    fn show(&self, py: Python<'_>, progress: &Py<PyAny>) -> PyResult<()> {
        let stages: Vec<(String, u64, u64)> = {
            let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
            let now = stages.iter().map(|stage| (stage.name.clone(), stage.done, stage.total)).collect();
            stages.retain(|stage| !stage.ended);
            now
        };
        stages.into_iter().try_for_each(|stage| progress.call1(py, stage).map(drop))
    }
}

/// The end of the watch that the build holds.
struct Watched(Arc<Watch>);

impl Watched {
    fn change(&self, change: impl FnOnce(&mut Vec<Progress>)) {
        change(&mut self.0.stages.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Observer for Watched {
    fn begin(&self, stage: Stage, total: u64) {
        self.change(|stages| stages.push(Progress { name: stage.to_string(), done: 0, total, ended: false }));
    }

    fn advance(&self, stage: Stage, units: u64) {
        let name = stage.to_string();
        self.change(|stages| {
            if let Some(stage) = stages.iter_mut().rfind(|known| known.name == name) {
                stage.done += units;
            }
        });
    }

    fn end(&self, time: &StageTime) {
        let name = time.stage.to_string();
        self.change(|stages| {
            if let Some(stage) = stages.iter_mut().rfind(|known| known.name == name) {
                // A stream does not say beforehand how much there is.
                stage.done = stage.total;
                stage.ended = true;
            }
        });
    }

    fn published(&self, _: &DaySummary) {}

    fn cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }
}
