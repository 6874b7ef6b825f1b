//! A cluster of a few loops: it hands batches to map tasks, mixes their rows, and gives parts to tasks.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int32Array, RecordBatch};
use arrow::datatypes::Int32Type;
use serde_json::json;
use shardback::cluster::{self, Counted, Driver, Job, Mapper, Report, reduce, schema};
use shardback::config::{Options, Plan};
use shardback::event::customer_hash;
use shardback::fsio::Attempt;
use shardback::schema::ActionTable;

use crate::streams;

/// A row of the shuffle.
pub(crate) type Row = (i32, i32, Vec<u8>);

/// The tables of a job: of each its batches, impressions first.
pub(crate) struct Tables(pub(crate) Vec<(Option<ActionTable>, RecordBatch)>);

impl Tables {
    pub(crate) fn new(impressions: RecordBatch, actions: impl Fn(&ActionTable) -> RecordBatch) -> Self {
        let actions = streams::tables().map(|table| (Some(table.clone()), actions(&table)));
        Self(std::iter::once((None, impressions)).chain(actions).collect())
    }

    /// The tables of the tests of streams, bad rows included.
    pub(crate) fn with_bad_rows() -> Self {
        Self::new(streams::impressions(), streams::actions)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().filter_map(|(table, _)| Some(table.as_ref()?.name.clone())).collect()
    }

    /// What one machine makes of them.
    pub(crate) fn build(&self, options: &Options) -> shardback::error::Result<()> {
        use shardback::pipeline::{Input, Tables, build};
        use shardback::read::Batches;
        use shardback::unify;
        let input = |wanted, batch: &RecordBatch| {
            Input::Source(Box::new(Batches::new(wanted, std::iter::once(Ok(batch.clone())))))
        };
        let tables = Tables {
            impressions: input(unify::wanted_samples(&options.schema), &self.0[0].1),
            actions: self.0[1..]
                .iter()
                .map(|(table, batch)| {
                    let table = table.clone().unwrap();
                    (table.clone(), input(unify::wanted_actions(&table), batch))
                })
                .collect(),
        };
        build(&Plan::new(options.clone())?, tables, &()).map(|_| ())
    }
}

/// How a cluster behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    /// The map tasks of each table.
    pub(crate) tasks: usize,
    /// The rows of a batch.
    pub(crate) rows: usize,
    /// The memory of a map task.
    pub(crate) map_memory: Option<u64>,
    /// The tasks that parts share, as hashes of routes may collide.
    pub(crate) part_tasks: usize,
    pub(crate) seed: u64,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { tasks: 2, rows: 100, map_memory: None, part_tasks: usize::MAX, seed: 1 }
    }
}

/// What of a run is left open, to be tampered with before it is published.
pub(crate) struct Reduced {
    pub(crate) driver: Driver,
    pub(crate) shards: Vec<u32>,
    pub(crate) reports: Vec<Report>,
}

impl Reduced {
    pub(crate) fn publish(self, change: impl FnOnce(&mut Vec<Report>, &Path)) -> shardback::error::Result<()> {
        let Self { driver, shards, mut reports } = self;
        change(&mut reports, driver.folder());
        let published = driver.publish(&shards, reports, &json!({ "name": "loops" }));
        driver.close().unwrap();
        published
    }
}

/// Engines number tasks through a stage, so those of a table begin anywhere.
const FIRST_TASK: u64 = 5;

impl Cluster {
    pub(crate) fn build(&self, tables: &Tables, options: &Options) -> shardback::error::Result<()> {
        let plan = Plan::new(options.clone())?;
        let driver = Driver::open(&plan, tables.names(), "run")?;
        let plan = plan.for_days(driver.days().to_vec());
        match self.count(tables, &plan, &driver) {
            Err(error) => {
                driver.close().unwrap();
                Err(error)
            }
            Ok(counted) => self.reduce(tables, plan, driver, counted).publish(|_, _| ()),
        }
    }

    /// Looks at the impressions.
    pub(crate) fn count(&self, tables: &Tables, plan: &Plan, driver: &Driver) -> shardback::error::Result<Counted> {
        let job = Arc::new(Job::counting(plan.clone()));
        let mut rows = self.map(&job, &tables.0[..1]);
        mix(&mut rows, self.seed);
        let rows: Vec<&Row> = rows.iter().collect();
        let counted = cluster::count(&job, &mut rows.chunks(3).map(|rows| Ok(batch(rows)))).unwrap();
        let counted: Vec<Row> = counted.iter().flat_map(unpacked).collect();
        driver.counted(counted.iter().map(|(_, kind, records)| (*kind, records.as_slice())))
    }

    /// All of it but the publishing.
    pub(crate) fn reduce(&self, tables: &Tables, plan: Plan, driver: Driver, counted: Counted) -> Reduced {
        self.reduce_changed(tables, plan, driver, counted, |_| ()).unwrap()
    }

    /// The same, with rows that are changed on their way through the shuffle.
    pub(crate) fn reduce_changed(
        &self,
        tables: &Tables,
        plan: Plan,
        driver: Driver,
        counted: Counted,
        change: impl FnOnce(&mut Vec<Row>),
    ) -> Result<Reduced, Box<(Driver, shardback::error::Error)>> {
        let Counted { shards, customers, spans } = counted;
        let routes: Vec<i32> = (0..cluster::parts(&shards) as i32).map(|part| 1000 - 7 * part).collect();
        let map_plan = Plan::new(Options { memory: self.map_memory, ..plan.options().clone() }).unwrap();
        let map_plan = map_plan.for_days(driver.days().to_vec());
        let job = Job::new(plan, &shards, routes.clone()).unwrap();
        let map_job = Job::new(map_plan, &shards, routes.clone()).unwrap();
        let map_job = match customers {
            None => map_job,
            Some(filter) => map_job.with_customers(&filter).unwrap(),
        };
        let map_job = if spans.is_empty() { map_job } else { map_job.with_spans(spans).unwrap() };
        let map_job = Arc::new(map_job);
        let mut rows = self.map(&map_job, &tables.0);
        rows.extend(routes.iter().map(|&route| (route, 0, Vec::new())));
        mix(&mut rows, self.seed);
        change(&mut rows);
        rows.sort_by_key(|&(route, kind, _)| (route, kind));
        let mut reports = Vec::new();
        let tasks = self.part_tasks.min(routes.len());
        for task in 0..tasks {
            let of_task = |route: i32| routes.iter().position(|&known| known == route).unwrap() % tasks == task;
            let rows: Vec<&Row> = rows.iter().filter(|(route, ..)| of_task(*route)).collect();
            // An attempt whose report never arrives, then one that counts.
            for attempt in ["lost", "taken"] {
                let attempt = Attempt::create(driver.folder(), &format!("{task}-{attempt}")).unwrap();
                let spill = attempt.path().with_extension("spill");
                let mut batches = rows.chunks(50).map(|rows| Ok(batch(rows)));
                let done = match reduce(&job, &attempt, &spill, &mut batches) {
                    Ok(done) => done,
                    Err(error) => return Err(Box::new((driver, error))),
                };
                if attempt.name().ends_with("taken") {
                    reports.extend(done.iter().map(|report| Report::from_bytes(&report.to_bytes().unwrap()).unwrap()));
                }
            }
        }
        mix(&mut reports, self.seed);
        Ok(Reduced { driver, shards, reports })
    }

    /// Runs the map tasks of some tables.
    pub(crate) fn map(&self, job: &Arc<Job>, tables: &[(Option<ActionTable>, RecordBatch)]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (table, batch) in tables {
            let each = batch.num_rows().div_ceil(self.tasks).max(1);
            for task in 0..self.tasks {
                let mut mapper = Mapper::new(Arc::clone(job), table.clone(), FIRST_TASK + task as u64);
                let end = ((task + 1) * each).min(batch.num_rows());
                let mut start = (task * each).min(end);
                while start < end {
                    let count = self.rows.min(end - start);
                    if !mapper.push(batch.slice(start, count)).unwrap() {
                        break;
                    }
                    rows.extend(mapper.take().unwrap().iter().flat_map(unpacked));
                    start += count;
                }
                rows.extend(mapper.finish().unwrap().iter().flat_map(unpacked));
            }
        }
        rows
    }
}

pub(crate) fn unpacked(batch: &RecordBatch) -> Vec<Row> {
    assert_eq!(batch.schema(), schema());
    let numbers = |column: usize| batch.column(column).as_primitive::<Int32Type>().values();
    let records = batch.column(2).as_binary::<i32>();
    (0..batch.num_rows()).map(|row| (numbers(0)[row], numbers(1)[row], records.value(row).to_vec())).collect()
}

pub(crate) fn batch(rows: &[&Row]) -> RecordBatch {
    let columns: [ArrayRef; 3] = [
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.2))),
    ];
    RecordBatch::try_new(schema(), columns.to_vec()).unwrap()
}

/// Another order of things, the same for the same seed.
pub(crate) fn mix<T>(things: &mut [T], seed: u64) {
    for place in (1..things.len()).rev() {
        things.swap(place, customer_hash((seed + place as u64).cast_signed()) as usize % (place + 1));
    }
}

/// Shards as if customers had not been looked at.
pub(crate) fn of_all(shards: Vec<u32>) -> Counted {
    Counted { shards, customers: None, spans: Vec::new() }
}
