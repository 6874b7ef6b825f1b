//! What runs in a cluster: the driver, and the tasks, to which the driver's Python sends a job's arguments.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ffi_stream::RecordBatchStreamReader;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use pyo3::{Bound, FromPyObject, PyAny, PyResult, Python, pyclass, pyfunction, pymethods};
use rayon::{ThreadPool, ThreadPoolBuilder};
use shardback::cluster::{self, Job, Report};
use shardback::config::Plan;
use shardback::error::{Error, Result};
use shardback::event::{Day, TimeSpan};
use shardback::fsio::Attempt;
use shardback::schema::{ActionTable, Schema};
use shardback::{read, unify};

use crate::build::Arguments;
use crate::error::{raise, to_python};
use crate::streams::{self, Stream};

/// What every task of a job is sent.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Sent {
    arguments: Arguments,
    /// The days to build.
    days: Vec<String>,
    /// For each of them the number of its shards; none where the tables are only looked at.
    shards: Option<Vec<u32>>,
    routes: Vec<i32>,
    /// A filter of the customers with impressions.
    customers: Option<PyBackedBytes>,
    /// For each day the first and the last time of its requests; none where it is not known, or the cut-off is the day.
    spans: Option<Spans>,
}

/// For each day the first and the last time of its requests; nothing of a day without any.
type Spans = Vec<Option<(i64, i64)>>;

impl Sent {
    /// The job, and the threads for its tasks.
    fn job(self, py: Python<'_>) -> PyResult<(Arc<Job>, ThreadPool)> {
        let plan = plan(py, self.arguments)?;
        let days = self.days.iter().map(|day| day.parse::<Day>()).collect::<Result<Vec<_>>>();
        let plan = plan.for_days(days.map_err(|error| to_python(py, &error))?);
        // Engines run tasks side by side: one thread each, if nothing else is said.
        let threads = plan.options().threads.unwrap_or(1);
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| raise(py, "OptionError", format!("threads: {error}")))?;
        let job = match self.shards {
            None => Ok(Job::counting(plan)),
            Some(shards) => Job::new(plan, &shards, self.routes),
        };
        let job = job.and_then(|job| match &self.customers {
            None => Ok(job),
            Some(filter) => job.with_customers(filter),
        });
        let spans = self.spans.map(|spans| {
            let span = |span: (i64, i64)| TimeSpan { first: span.0, last: span.1 };
            spans.into_iter().map(|of_day| of_day.map(span)).collect()
        });
        let job = job.and_then(|job| match spans {
            None => Ok(job),
            Some(spans) => job.with_spans(spans),
        });
        Ok((Arc::new(job.map_err(|error| to_python(py, &error))?), pool))
    }
}

fn plan(py: Python<'_>, arguments: Arguments) -> PyResult<Plan> {
    Plan::new(arguments.options(py)?).map_err(|error| to_python(py, &error))
}

/// The table of actions with a name; none for that of samples.
fn table(py: Python<'_>, schema: &Schema, name: &str) -> PyResult<Option<ActionTable>> {
    if name == schema.samples.name {
        return Ok(None);
    }
    let table = schema.action(name).cloned();
    table.map(Some).ok_or_else(|| raise(py, "OptionError", format!("{name}: no such table")))
}

/// The tables that options ask for: that of samples, then those of actions.
#[pyfunction]
pub(crate) fn tables(py: Python<'_>, arguments: Arguments) -> PyResult<Vec<String>> {
    let plan = plan(py, arguments)?;
    let Schema { samples, actions, .. } = &plan.options().schema;
    let names = std::iter::once(&samples.name).chain(actions.iter().map(|table| &table.name));
    Ok(names.cloned().collect())
}

/// The name of a table's day column, where it has one, and of its columns those that are worth reading.
#[pyfunction]
pub(crate) fn columns(
    py: Python<'_>,
    arguments: Arguments,
    name: &str,
    names: Vec<String>,
) -> PyResult<(Option<String>, Vec<String>)> {
    let plan = plan(py, arguments)?;
    let schema = &plan.options().schema;
    let table = table(py, schema, name)?;
    let wanted = table.map_or_else(|| unify::wanted_samples(schema), |table| unify::wanted_actions(&table));
    let columns = read::columns_by_name(&wanted, &names).map_err(|error| to_python(py, &error))?;
    Ok((wanted.day_column().map(ToOwned::to_owned), columns))
}

/// How many parts days with so many shards make.
#[pyfunction]
pub(crate) fn parts(shards: Vec<u32>) -> u64 {
    cluster::parts(&shards)
}

/// The process that holds the output.
#[pyclass(module = "shardback._native")]
pub(crate) struct Driver {
    driver: Option<cluster::Driver>,
    plan: Plan,
}

#[pymethods]
impl Driver {
    /// Locks the output; `run` names the run, and no other may ever have the same name.
    #[new]
    fn new(py: Python<'_>, arguments: Arguments, tables: Vec<String>, run: &str) -> PyResult<Self> {
        let plan = plan(py, arguments)?;
        let driver = py.detach(|| cluster::Driver::open(&plan, tables, run)).map_err(|error| to_python(py, &error))?;
        Ok(Self { plan: plan.for_days(driver.days().to_vec()), driver: Some(driver) })
    }

    /// The days to build.
    #[getter]
    fn days(&self) -> Vec<String> {
        self.plan.days().iter().map(Day::to_string).collect()
    }

    /// The folder of the run's tasks.
    #[getter]
    fn folder(&self, py: Python<'_>) -> PyResult<PathBuf> {
        Ok(self.open(py)?.folder().to_owned())
    }

    /// The first and the last day of actions that any of the days sees; no first where all of the past is seen.
    #[getter]
    fn visible(&self) -> (Option<String>, Option<String>) {
        let (first, last) = self.plan.visible_days();
        (first.map(|day| day.to_string()), last.map(|day| day.to_string()))
    }

    /// The number of shards of each day, a filter of the customers with impressions, and for each day the first and the last time of its
    /// requests; from the rows of [`count`]: kinds and records.
    fn counted<'py>(
        &self,
        py: Python<'py>,
        rows: Vec<(i32, Vec<u8>)>,
    ) -> PyResult<(Vec<u32>, Option<Bound<'py, PyBytes>>, Spans)> {
        let rows = rows.iter().map(|(kind, records)| (*kind, records.as_slice()));
        let counted = self.open(py)?.counted(rows).map_err(|error| to_python(py, &error))?;
        let spans = counted.spans.iter().map(|span| span.map(|span| (span.first, span.last))).collect();
        Ok((counted.shards, counted.customers.map(|filter| PyBytes::new(py, &filter)), spans))
    }

    /// Publishes the days.
    fn publish(&self, py: Python<'_>, shards: Vec<u32>, reports: Vec<Vec<u8>>, engine: String) -> PyResult<()> {
        let driver = self.open(py)?;
        let publish = || {
            let reports = reports.iter().map(|report| Report::from_bytes(report)).collect::<Result<Vec<_>>>()?;
            driver.publish(&shards, reports, &serde_json::from_str(&engine).unwrap_or_default())
        };
        py.detach(publish).map_err(|error| to_python(py, &error))
    }

    /// Ends the run, and gives the output free.
    fn close(&mut self, py: Python<'_>) -> PyResult<()> {
        let Some(driver) = self.driver.take() else { return Ok(()) };
        py.detach(|| driver.close()).map_err(|error| to_python(py, &error))
    }
}

impl Driver {
    fn open(&self, py: Python<'_>) -> PyResult<&cluster::Driver> {
        self.driver.as_ref().ok_or_else(|| raise(py, "ShardbackError", "the run is closed".to_owned()))
    }
}

/// A map task.
#[pyclass(module = "shardback._native")]
pub(crate) struct Mapper {
    mapper: cluster::Mapper,
    pool: ThreadPool,
}

#[pymethods]
impl Mapper {
    /// Over the table of an argument's name; `task` is its number among the tasks of the table.
    #[new]
    fn new(py: Python<'_>, job: Sent, name: &str, task: u64) -> PyResult<Self> {
        let (job, pool) = job.job(py)?;
        let table = table(py, &job.plan().options().schema, name)?;
        Ok(Self { mapper: cluster::Mapper::new(job, table, task), pool })
    }

    /// Takes the batches of a stream, and says whether the task wants more.
    fn push(&mut self, py: Python<'_>, batches: &Bound<'_, PyAny>) -> PyResult<bool> {
        let batches = stream(py, batches)?;
        let Self { mapper, pool } = self;
        let push = || {
            for batch in batches {
                if !pool.install(|| mapper.push(batch.map_err(broken)?))? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        py.detach(push).map_err(|error| to_python(py, &error))
    }

    /// The rows that are ready, each batch a stream of its own.
    fn take(&mut self, py: Python<'_>) -> PyResult<Vec<Stream>> {
        let rows = self.mapper.take().map_err(|error| to_python(py, &error))?;
        Ok(rows.into_iter().map(Stream::new).collect())
    }

    /// All rows that are left.
    fn finish(&mut self, py: Python<'_>) -> PyResult<Vec<Stream>> {
        let Self { mapper, pool } = self;
        let rows = py.detach(|| pool.install(|| mapper.finish())).map_err(|error| to_python(py, &error))?;
        Ok(rows.into_iter().map(Stream::new).collect())
    }
}

/// What all map tasks have counted, in a few rows, each batch a stream of its own.
#[pyfunction]
pub(crate) fn count(py: Python<'_>, job: Sent, rows: &Bound<'_, PyAny>) -> PyResult<Vec<Stream>> {
    let (job, _) = job.job(py)?;
    let mut rows = self::rows(py, rows)?.map(|batch| batch.map_err(broken));
    let counted = py.detach(|| cluster::count(&job, &mut rows)).map_err(|error| to_python(py, &error))?;
    Ok(counted.into_iter().map(Stream::new).collect())
}

/// Does the tasks of the parts that have rows in a stream; gives their reports.
///
/// `run` is the folder of the run, `attempt` a name that no other attempt at any task of the run has.
#[pyfunction]
pub(crate) fn reduce<'py>(
    py: Python<'py>,
    job: Sent,
    rows: &Bound<'py, PyAny>,
    run: PathBuf,
    attempt: &str,
    spill: PathBuf,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let (job, pool) = job.job(py)?;
    let rows = self::rows(py, rows)?;
    let reduce = || {
        let attempt = Attempt::create(&run, attempt)?;
        let mut rows = rows.map(|batch| batch.map_err(broken));
        pool.install(|| cluster::reduce(&job, &attempt, &spill, &mut rows))
    };
    let to_bytes = |reports: Vec<Report>| reports.iter().map(Report::to_bytes).collect::<Result<Vec<_>>>();
    let reports = py.detach(|| reduce().and_then(to_bytes)).map_err(|error| to_python(py, &error))?;
    Ok(reports.iter().map(|report| PyBytes::new(py, report)).collect())
}

/// The rows of the shuffle, checked as what they are: Arrow that has gone through another program.
fn rows(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
) -> PyResult<impl Iterator<Item = std::result::Result<RecordBatch, ArrowError>> + use<>> {
    streams::take_checked(source)?.map_err(|error| to_python(py, &broken(error)))
}

/// The batches of a table, which are checked where they are read.
fn stream(py: Python<'_>, source: &Bound<'_, PyAny>) -> PyResult<RecordBatchStreamReader> {
    streams::take(source)?.map_err(|error| to_python(py, &broken(error)))
}

fn broken(error: ArrowError) -> Error {
    Error::Tasks { problem: format!("a stream of rows broke off: {error}") }
}
