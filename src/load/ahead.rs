//! Batches of an epoch, made in threads ahead of whoever asks for them.
//!
//! One thread goes through the steps and hands each batch over a channel that holds a few; within a batch the rows are
//! shared out among the threads of a pool. Both end when the receiver is dropped.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::block::{Allocate, BatchBuffer, Pool};
use super::extra::{self, ExtraColumn, extra_columns, places};
use super::fill::{Dtypes, Layout, longest};
use super::order::Order;
use super::ranks::{Ranks, Step};
use crate::config::{Format, MAX_THREADS};
use crate::error::{Error, OptionName, Result};
use crate::machine;
use crate::open::MappedDay;

/// What a batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The tensors of a [`Layout`].
    Tensors(Dtypes),
    /// The numbers of the rows, `[rows] i64`, for a device that holds the days and gathers by itself.
    Rows,
}

/// An epoch, or what is left of one.
pub struct Epoch {
    /// The days in order.
    pub days: Vec<Arc<MappedDay>>,
    /// Seeds the order of each day; `None` for rows as they lie.
    pub seed: Option<u64>,
    /// The number of the epoch.
    pub epoch: u64,
    /// The place of the day to begin with.
    pub day: usize,
    /// The rows of it that have been given out before.
    pub delivered: u64,
    /// Which rows this rank takes.
    pub ranks: Ranks,
    /// What the batches hold.
    pub content: Content,
    /// Whether rows are as wide as the longest history of the batch, and not K.
    pub trim: bool,
    /// How many batches may wait.
    pub depth: usize,
    /// How many threads gather.
    pub threads: usize,
    /// What provides the memory; `None` for memory of the process.
    pub allocate: Option<Allocate>,
}

/// A batch.
pub struct Batch {
    /// Its memory.
    pub block: BatchBuffer,
    /// Its rows.
    pub rows: usize,
    /// The width of its rows: K, or with [`Epoch::trim`] less, and at least 1.
    pub width: usize,
    /// The bytes of its memory that are its own.
    pub bytes: usize,
    /// The place of its day.
    pub day: usize,
    /// The rows of the day that all ranks together have been given with it.
    pub delivered: u64,
}

/// The batches to come.
pub struct Prefetcher {
    receiver: Receiver<Result<Batch>>,
    /// Gone once it has ended and somebody has asked how.
    thread: Option<JoinHandle<()>>,
}

impl Prefetcher {
    /// Starts the threads.
    ///
    /// # Errors
    /// As [`pool`].
    pub fn new(epoch: Epoch) -> Result<Self> {
        let pool = pool(epoch.threads)?;
        let (sender, receiver) = sync_channel(epoch.depth.max(1));
        let work = move || {
            // All of it in the pool: a thread that goes on with its own batch need not be woken up.
            if let Err(error) = pool.install(|| run(epoch, &sender)) {
                // Nobody may be there to hear it.
                let _ = sender.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("shardback-load".to_owned()).spawn(work).map_err(no_threads)?;
        Ok(Self { receiver, thread: Some(thread) })
    }

    /// The next batch; the outer `None` where none came in time, the inner one after the last.
    ///
    /// # Errors
    /// What went wrong while it was made; nothing comes after that.
    ///
    /// # Panics
    /// As the thread did that makes them: an epoch must not look as if it were over.
    pub fn next(&mut self, timeout: Duration) -> Option<Option<Result<Batch>>> {
        match self.receiver.recv_timeout(timeout) {
            Ok(batch) => Some(Some(batch)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(panic)) => resume_unwind(panic),
                _ => Some(None),
            },
        }
    }
}

/// Threads that gather; one for each processor where 0 are asked for.
///
/// # Errors
/// [`Error::Option`] where there are more than [`MAX_THREADS`], or where they cannot be started.
pub fn pool(threads: usize) -> Result<ThreadPool> {
    if threads > MAX_THREADS {
        let problem = format!("{threads} is not between 1 and {MAX_THREADS}; leave it out for one per processor");
        return Err(no_threads(problem));
    }
    let threads = if threads == 0 { machine::processors().min(MAX_THREADS) } else { threads };
    ThreadPoolBuilder::new().num_threads(threads).build().map_err(no_threads)
}

fn no_threads(error: impl ToString) -> Error {
    Error::Option { option: OptionName::Threads, problem: error.to_string() }
}

/// Enough positions that handing them to another core costs little beside looking up their rows.
const ROWS_PER_TASK: usize = 256;

/// Makes all batches of the epoch, until they are done or nobody wants them.
fn run(mut epoch: Epoch, sender: &SyncSender<Result<Batch>>) -> Result<()> {
    let bytes = epoch.days.iter().map(|day| epoch.block_bytes(day)).max().unwrap_or_default();
    let blocks = match epoch.allocate.take() {
        Some(allocate) => Pool::of(bytes, allocate),
        None => Pool::new(bytes),
    };
    for place in epoch.day..epoch.days.len() {
        let day = &epoch.days[place];
        read_ahead(day);
        let before = if place == epoch.day { epoch.delivered } else { 0 };
        let rows = day.rows() as u64;
        let order = match epoch.seed {
            Some(seed) => Order::shuffled(seed, day.folder().day(), epoch.epoch, day.rows()),
            None => Order::as_stored(day.rows()),
        };
        for step in 0..epoch.ranks.steps(rows, before) {
            let Some(step) = epoch.ranks.step(rows, before, step) else { break };
            let batch = epoch.batch(place, step, &order, &blocks)?;
            if sender.send(Ok(batch)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Rows are drawn at random, so a day that is not in memory would be read page by page. Days of padded rows may be larger
/// than memory, and are.
fn read_ahead(day: &MappedDay) {
    if day.folder().format() == Format::Jagged {
        day.shards().iter().for_each(|shard| shard.will_need());
    }
}

/// The bytes of a value of each column, and whether it is wide.
fn shapes(columns: &[ExtraColumn]) -> Vec<(usize, bool)> {
    columns.iter().map(|column| (column.dtype.width(), column.is_wide())).collect()
}

impl Epoch {
    /// The bytes that the largest batch of a day takes.
    fn block_bytes(&self, day: &MappedDay) -> usize {
        let rows = self.ranks.batch().min(day.rows());
        match self.content {
            Content::Tensors(dtypes) => {
                let start = Layout { rows, width: day.history(), dtypes }.offsets().end;
                places(&shapes(&extra_columns(day.folder().contents())), start, rows, day.history()).1
            }
            Content::Rows => rows * size_of::<i64>(),
        }
    }

    fn batch(&self, place: usize, step: Step, order: &Order, blocks: &Arc<Pool>) -> Result<Batch> {
        let day = &self.days[place];
        let positions: Vec<u64> = step.positions(day.rows() as u64).collect();
        let rows = positions.into_par_iter().with_min_len(ROWS_PER_TASK).filter_map(|position| order.row(position));
        let rows: Vec<u64> = rows.collect();
        let width = match self.trim {
            true => longest(day, &rows)?.max(1),
            false => day.history(),
        };
        let mut block = blocks.take()?;
        let bytes = match self.content {
            Content::Tensors(dtypes) => {
                let layout = Layout { rows: rows.len(), width, dtypes };
                let start = layout.offsets().end;
                layout.write(day, &rows, &mut block.bytes()[..start])?;
                let columns = extra_columns(day.folder().contents());
                let (places, end) = places(&shapes(&columns), start, rows.len(), width);
                extra::write(&columns, &places, day, &rows, width, &mut block.bytes()[..end])?;
                end
            }
            Content::Rows => {
                let bytes: &[u8] = bytemuck::cast_slice(&rows);
                block.bytes()[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            }
        };
        Ok(Batch { block, rows: rows.len(), width, bytes, day: place, delivered: step.delivered })
    }
}
