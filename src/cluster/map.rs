//! A map task: batches of one table to the rows of the shuffle.
//!
//! Every row is checked as on a single machine. Of actions, each customer's are collected until memory is full, and what no
//! day can use is dropped before they travel: a customer with millions of actions is K of them per task. Rows that are left out
//! travel too, those of each batch at once.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{RecordBatch, RecordBatchIterator};
use bytemuck::bytes_of;
use rustc_hash::{FxHashMap, FxHashSet};

use super::rows::{Outbox, ROW_BYTES, RecordKind};
use super::{Job, MEMORY_PER_TASK, REPORTS_ROUTE, changed};
use crate::error::{Error, Result};
use crate::event::{Action, ItemDtype, ItemId, Sample};
use crate::histories::{Asked, prune};
use crate::pack::Packed;
use crate::read::{Batches, Projection};
use crate::schema::ActionTable;
use crate::unify::{self, Actions, Impressions, Reject};

/// Takes the batches of a task one after the other, and gives rows as they come.
pub struct Mapper {
    job: Arc<Job>,
    wanted: Projection,
    table: Box<dyn TableTask>,
    out: Outbox,
    /// The name of the table, and the task's number among its tasks.
    name: String,
    task: u64,
    failed: bool,
    finished: bool,
}

/// What is made of the batches of a table.
trait TableTask: Send + Sync {
    fn read(&mut self, job: &Job, source: &Source, out: &mut Outbox) -> Result<()>;

    /// Hands over what is left, and the report on the table.
    fn finish(&mut self, job: &Job, out: &mut Outbox) -> Result<()>;
}

/// A single batch.
type Source = Batches<RecordBatchIterator<[Result<RecordBatch, arrow::error::ArrowError>; 1]>>;

impl Mapper {
    /// A task over a table of actions, or over impressions where none is named; `task` is its number among the tasks of the
    /// table, which are numbered through, from wherever. That is how one that is missing between two others is seen, and one that
    /// counts twice.
    #[must_use]
    pub fn new(job: Arc<Job>, actions: Option<ActionTable>, task: u64) -> Self {
        let memory = job.plan.options().memory.unwrap_or(MEMORY_PER_TASK);
        let parts = job.routes.len();
        let samples = &job.plan.options().schema.samples;
        let name = actions.as_ref().map_or(&samples.name, |table| &table.name).to_owned();
        let wanted =
            actions.as_ref().map_or_else(|| unify::wanted_samples(&job.plan.options().schema), unify::wanted_actions);
        let (table, kind): (Box<dyn TableTask>, RecordKind) = match (actions, job.plan.item_dtype()) {
            (None, ItemDtype::I32) => (Box::new(ImpressionsTask::<i32>::new(&job)), RecordKind::Samples),
            (None, ItemDtype::I64) => (Box::new(ImpressionsTask::<i64>::new(&job)), RecordKind::Samples),
            (Some(table), ItemDtype::I32) => (Box::new(ActionsTask::<i32>::new(table, memory)), RecordKind::Histories),
            (Some(table), ItemDtype::I64) => (Box::new(ActionsTask::<i64>::new(table, memory)), RecordKind::Histories),
        };
        Self { job, wanted, table, out: Outbox::new(kind, parts), name, task, failed: false, finished: false }
    }

    /// Takes a batch, and says whether the task wants more.
    ///
    /// A fault of the table is no error here, where an engine would only try again: it travels to the driver, and ends the
    /// task and the run.
    ///
    /// # Errors
    /// What has nothing to do with the table.
    pub fn push(&mut self, batch: RecordBatch) -> Result<bool> {
        if self.failed {
            return Ok(false);
        }
        let schema = batch.schema();
        let batch = RecordBatchIterator::new([Ok(batch)], schema);
        let source = Batches::foreign(self.wanted.clone(), batch).without_row_numbers();
        match self.table.read(&self.job, &source, &mut self.out) {
            Ok(()) => Ok(true),
            Err(
                error @ (Error::BadRow(_)
                | Error::MissingColumn { .. }
                | Error::ColumnType { .. }
                | Error::TwoColumns { .. }
                | Error::DayZone { .. }
                | Error::Source { .. }
                | Error::Tasks { .. }),
            ) => {
                self.out.clear();
                let message = error.to_string();
                let no_parts = [REPORTS_ROUTE];
                let routes = if self.job.routes.is_empty() { &no_parts[..] } else { &self.job.routes };
                for &route in routes {
                    self.out.row(RecordKind::Fault, route, message.as_bytes());
                }
                self.failed = true;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The rows that are ready.
    ///
    /// # Errors
    /// [`Error::Internal`] where records could not be put into rows.
    pub fn take(&mut self) -> Result<Vec<RecordBatch>> {
        self.out.take()
    }

    /// All rows that are left; the task is over.
    ///
    /// # Errors
    /// As [`Mapper::take`].
    pub fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        if !self.failed {
            self.table.finish(&self.job, &mut self.out)?;
        }
        self.failed = true;
        if !self.finished {
            self.out.close_task(&self.job.routes, reports_route(&self.job), &self.name, self.task);
        }
        self.finished = true;
        self.out.take()
    }
}

/// Reports go to the first part.
fn reports_route(job: &Job) -> i32 {
    job.routes.first().copied().unwrap_or(REPORTS_ROUTE)
}

/// Sends rows of a batch that were left out, and gives their number. Where tables are only counted nobody asks for them.
fn send_rejects(table: &str, rejects: &mut Vec<Reject>, job: &Job, out: &mut Outbox) -> u64 {
    let rejects = std::mem::take(rejects);
    let mut rest = if job.routes.is_empty() { &[][..] } else { &rejects[..] };
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|reject| {
            let fits = bytes < ROW_BYTES;
            bytes += reject.line.len();
            fits
        });
        let (now, later) = rest.split_at(fits.count());
        out.report(RecordKind::Rejects, reports_route(job), &(table, now));
        rest = later;
    }
    rejects.len() as u64
}

/// Impressions.
struct ImpressionsTask<I: ItemId> {
    found: Impressions,
    samples: Mutex<(Vec<Sample<I>>, Vec<u8>)>,
    /// Where impressions are only counted, some of the customers.
    customers: FxHashSet<i64>,
}

/// Customers that are kept apart at a time, so that most are named once by a task.
const CUSTOMERS_AT_A_TIME: usize = 1 << 18;

impl<I: ItemId> ImpressionsTask<I> {
    fn new(job: &Job) -> Self {
        Self { found: Impressions::none(&job.plan), samples: Mutex::default(), customers: FxHashSet::default() }
    }

    fn name_customers(&mut self, out: &mut Outbox) {
        let customers: Vec<i64> = self.customers.drain().collect();
        for customers in customers.chunks(ROW_BYTES / size_of::<i64>()) {
            out.row(RecordKind::Customers, REPORTS_ROUTE, bytemuck::cast_slice(customers));
        }
    }
}

impl<I: ItemId> TableTask for ImpressionsTask<I> {
    fn read(&mut self, job: &Job, source: &Source, out: &mut Outbox) -> Result<()> {
        let sink = |samples: Packed<'_, Sample<I>>| {
            let mut kept = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
            kept.0.extend_from_slice(samples.records());
            kept.1.extend_from_slice(samples.rows());
            Ok(())
        };
        let mut found = unify::read_impressions(source, &job.plan, &sink, None, &|_| Ok(()))?;
        found.sent = send_rejects(&job.plan.options().schema.samples.name, &mut found.rejects, job, out);
        self.found.merge(found)?;
        let (samples, rows) = self.samples.get_mut().unwrap_or_else(PoisonError::into_inner);
        let packed = Packed::new(samples, rows, job.plan.contents().sample_packing().width())?;
        for (place, sample) in packed.records().iter().enumerate() {
            let Some(&(group, day)) = job.group_of_day.get(sample.day() as usize) else {
                self.customers.insert(sample.customer());
                continue;
            };
            if !job.may_matter(sample.customer()) {
                return Err(changed());
            }
            let part = job.groups[group].part_of(sample.customer());
            let sample = Sample::new(day, sample.customer(), sample.item());
            out.add(part, &job.routes, |bytes| {
                bytes.extend_from_slice(bytes_of(&sample));
                bytes.extend_from_slice(packed.row(place));
            });
        }
        samples.clear();
        rows.clear();
        if self.customers.len() >= CUSTOMERS_AT_A_TIME {
            self.name_customers(out);
        }
        Ok(())
    }

    fn finish(&mut self, job: &Job, out: &mut Outbox) -> Result<()> {
        self.name_customers(out);
        out.report(RecordKind::Impressions, reports_route(job), &self.found);
        Ok(())
    }
}

/// Actions.
struct ActionsTask<I: ItemId> {
    table: ActionTable,
    found: Actions,
    /// The most bytes of actions that are collected.
    most: usize,
    collected: Mutex<Collected<I>>,
}

/// Actions whose customers are numbered as they come.
struct Collected<I: ItemId> {
    numbers: FxHashMap<i64, u32>,
    customers: Vec<i64>,
    batches: Vec<(Vec<Action<I>>, Vec<u8>)>,
    bytes: usize,
}

/// Actions are held so often while they are packed: as they came, as they are grouped, as they are kept, as rows.
const COPIES: u64 = 4;
/// What a customer takes beside its actions.
const BYTES_PER_CUSTOMER: usize = 40;
/// A customer's actions that are packed at a time.
const ACTIONS_PER_RECORD: usize = 200;

impl<I: ItemId> ActionsTask<I> {
    fn new(table: ActionTable, memory: u64) -> Self {
        let collected =
            Collected { numbers: FxHashMap::default(), customers: Vec::new(), batches: Vec::new(), bytes: 0 };
        let most = usize::try_from(memory / COPIES).unwrap_or(usize::MAX);
        Self { table, found: Actions::default(), most, collected: Mutex::new(collected) }
    }

    fn flush(&mut self, job: &Job, out: &mut Outbox) -> Result<()> {
        let collected = self.collected.get_mut().unwrap_or_else(PoisonError::into_inner);
        let width = job.plan.contents().feature_packing().width();
        let batches = collected.batches.iter().map(|(actions, rows)| Packed::new(actions, rows, width));
        let batches: Vec<Packed<'_, Action<I>>> = batches.collect::<Result<_>>()?;
        for group in &job.groups {
            let asked = Asked { plan: &group.plan, spans: &job.spans_of(group)? };
            let (kept, rows) = prune(&batches, &collected.customers, asked)?;
            let mut rest = Packed::new(&kept, &rows, width)?;
            for actions in kept.chunk_by(|a, b| a.customer() == b.customer()) {
                let customer = collected.customers[actions[0].customer() as usize];
                let part = group.part_of(customer);
                let of_customer;
                (of_customer, rest) = rest.split_at(actions.len());
                for actions in of_customer.chunks(ACTIONS_PER_RECORD) {
                    out.add(part, &job.routes, |bytes| {
                        bytes.extend_from_slice(&customer.to_le_bytes());
                        bytes.extend_from_slice(&(actions.len() as u32).to_le_bytes());
                        for action in actions.records() {
                            bytes.extend_from_slice(bytes_of(&I::store(action.key())));
                        }
                        bytes.extend_from_slice(actions.rows());
                    });
                }
            }
        }
        drop(batches);
        collected.numbers.clear();
        collected.customers.clear();
        collected.batches.clear();
        collected.bytes = 0;
        Ok(())
    }
}

impl<I: ItemId> TableTask for ActionsTask<I> {
    fn read(&mut self, job: &Job, source: &Source, out: &mut Outbox) -> Result<()> {
        let collected = || self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        let pick = |customers: &[i64], rows: &mut Vec<(u32, u32)>| {
            rows.clear();
            let mut collected = collected();
            let matter = (0..).zip(customers).filter(|(_, customer)| job.may_matter(**customer));
            rows.extend(matter.map(|(row, &customer)| (row, collected.number(customer))));
        };
        let sink = |actions: Packed<'_, Action<I>>| {
            let mut collected = collected();
            collected.bytes += size_of_val(actions.records()) + size_of_val(actions.rows());
            collected.batches.push((actions.records().to_vec(), actions.rows().to_vec()));
            Ok(())
        };
        let mut found = unify::read_actions(&self.table, source, &job.plan, &pick, &sink, None, &|_| Ok(()))?;
        found.sent = send_rejects(&self.table.name, &mut found.rejects, job, out);
        self.found.merge(found);
        let collected = self.collected.get_mut().unwrap_or_else(PoisonError::into_inner);
        if collected.bytes + collected.customers.len() * BYTES_PER_CUSTOMER > self.most {
            self.flush(job, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, job: &Job, out: &mut Outbox) -> Result<()> {
        self.flush(job, out)?;
        out.report(RecordKind::Actions, reports_route(job), &(&self.table.name, &self.found));
        Ok(())
    }
}

impl<I: ItemId> Collected<I> {
    fn number(&mut self, customer: i64) -> u32 {
        *self.numbers.entry(customer).or_insert_with(|| {
            self.customers.push(customer);
            // What memory holds of actions is far fewer than 32 bits number.
            self.customers.len() as u32 - 1
        })
    }
}
