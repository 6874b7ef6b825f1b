//! Batches of an epoch, as Python takes them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::buffer::PyBuffer;
use pyo3::{Bound, Py, PyAny, PyRef, PyResult, Python, pyclass, pyfunction, pymethods};
use shardback::error::Error;
use shardback::load::{self, Batch, BatchBuffer, Content, Dtypes, Epoch, IndexDtype, Prefetcher, Ranks, Remainder};

use crate::build::choose;
use crate::day::Day;
use crate::error::{raise, to_python};
use crate::memory::{Lender, Memory};

/// The batches that are left of an epoch, made ahead by threads of Rust.
#[pyclass(frozen, module = "shardback._native")]
pub(crate) struct Batches {
    ahead: Mutex<Option<Prefetcher>>,
    /// The threads are this process's: one that is forked from it has none of them, and would wait for ever.
    process: u32,
}

/// A batch: its memory, its rows, its width, the place of its day, and the rows of the day delivered with it.
type Parts = (Memory, usize, usize, usize, u64);

#[pymethods]
impl Batches {
    /// `dtypes` are those of items and of action types (`u8`, `i32`, `i64`), or none for the rows' numbers alone.
    /// `allocate` is called with a number of bytes and returns writable memory; without it memory is the process's.
    #[new]
    #[expect(clippy::too_many_arguments, reason = "one call of the package, by name")]
    #[pyo3(signature = (*, days, seed, epoch, day, delivered, rank, world_size, batch_size, last, dtypes, trim, depth, threads, allocate))]
    fn new(
        py: Python<'_>,
        days: Vec<PyRef<'_, Day>>,
        seed: Option<u64>,
        epoch: u64,
        day: usize,
        delivered: u64,
        rank: u32,
        world_size: u32,
        batch_size: usize,
        last: &str,
        dtypes: Option<(String, String)>,
        trim: bool,
        depth: usize,
        threads: usize,
        allocate: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let dtypes = dtypes.map(|names| self::dtypes(py, &names)).transpose()?;
        let epoch = Epoch {
            days: days.iter().map(|day| Arc::clone(&day.0)).collect(),
            seed,
            epoch,
            day,
            delivered,
            ranks: ranks(py, rank, world_size, batch_size, last)?,
            content: dtypes.map_or(Content::Rows, Content::Tensors),
            trim,
            depth,
            threads,
            allocate: allocate.map(pinned),
        };
        let ahead = Prefetcher::new(epoch).map_err(|error| to_python(py, &error))?;
        Ok(Self { ahead: Mutex::new(Some(ahead)), process: std::process::id() })
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Parts>> {
        if std::process::id() != self.process {
            return Err(raise(py, "ShardbackError", OTHER_PROCESS.to_owned()));
        }
        loop {
            let waited = py.detach(|| {
                let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
                ahead.as_mut().map_or(Some(None), |ahead| ahead.next(TICK))
            });
            match waited {
                Some(Some(batch)) => {
                    let batch = batch.map_err(|error| to_python(py, &error))?;
                    return Ok(Some(parts(batch)));
                }
                Some(None) => return Ok(None),
                None => py.check_signals()?,
            }
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            // Its channel may have been in use when this process was forked, by a thread that is not here to let go of it.
            std::mem::forget(self.ahead.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

const OTHER_PROCESS: &str = "this pass was begun in another process, and a forked process has none of its threads: begin a new \
    pass here, with iter(loader)";

/// How often a wait asks for signals.
const TICK: Duration = Duration::from_millis(100);

fn parts(batch: Batch) -> Parts {
    let Batch { block, rows, width, bytes, day, delivered } = batch;
    (Memory(Arc::new(Lent::new(block, bytes))), rows, width, day, delivered)
}

pub(crate) fn dtypes(py: Python<'_>, (items, types): &(String, String)) -> PyResult<Dtypes> {
    let index = |name: &str| {
        choose(py, "dtypes", name, &[("u8", IndexDtype::U8), ("i32", IndexDtype::I32), ("i64", IndexDtype::I64)])
    };
    Ok(Dtypes { items: index(items)?, types: index(types)? })
}

fn ranks(py: Python<'_>, rank: u32, world_size: u32, batch_size: usize, last: &str) -> PyResult<Ranks> {
    let last = choose(
        py,
        "last",
        last,
        &[("drop", Remainder::Drop), ("uneven", Remainder::Uneven), ("repeat", Remainder::Repeat)],
    )?;
    let problem = || format!("rank: there is no rank {rank} among {world_size} with batches of {batch_size}");
    Ranks::new(rank, world_size, batch_size, last).ok_or_else(|| raise(py, "OptionError", problem()))
}

/// How many steps a rank makes in a day of which `delivered` rows have been given out.
#[pyfunction]
#[pyo3(signature = (*, rows, delivered, rank, world_size, batch_size, last))]
pub(crate) fn steps(
    py: Python<'_>,
    rows: u64,
    delivered: u64,
    rank: u32,
    world_size: u32,
    batch_size: usize,
    last: &str,
) -> PyResult<u64> {
    Ok(ranks(py, rank, world_size, batch_size, last)?.steps(rows, delivered))
}

/// A block on loan to Python; it goes back to its pool with the last view.
struct Lent {
    start: usize,
    bytes: usize,
    _block: BatchBuffer,
}

impl Lent {
    fn new(mut block: BatchBuffer, bytes: usize) -> Self {
        let memory = block.bytes();
        Self { start: memory.as_mut_ptr() as usize, bytes: bytes.min(memory.len()), _block: block }
    }
}

// SAFETY: the memory of a block stays where it is and is nobody else's until the block is dropped, with this.
unsafe impl Lender for Lent {
    fn bytes(&self) -> (*const u8, usize) {
        (self.start as *const u8, self.bytes)
    }

    fn writable(&self) -> bool {
        true
    }
}

/// Memory that Python has allocated.
struct Foreign {
    start: usize,
    bytes: usize,
    _buffer: PyBuffer<u8>,
}

impl load::Memory for Foreign {
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the exporter keeps the range while the buffer is held; it was made for this, and is lent to one batch at a
        // time.
        unsafe { std::slice::from_raw_parts_mut(self.start as *mut u8, self.bytes) }
    }
}

/// Allocates through a callable of Python.
fn pinned(allocate: Py<PyAny>) -> Box<dyn Fn(usize) -> shardback::error::Result<Box<dyn load::Memory>> + Send + Sync> {
    Box::new(move |bytes| {
        let memory = Python::attach(|py| {
            let buffer = PyBuffer::<u8>::get(allocate.call1(py, (bytes,))?.bind(py))?;
            let enough = buffer.len_bytes() >= bytes && !buffer.readonly() && buffer.is_c_contiguous();
            let memory = Foreign { start: buffer.buf_ptr() as usize, bytes: buffer.len_bytes(), _buffer: buffer };
            Ok::<_, pyo3::PyErr>(enough.then_some(memory))
        });
        match memory {
            Ok(Some(memory)) => Ok(Box::new(memory)),
            Ok(None) => Err(no_memory("it is too small, or not for writing")),
            Err(error) => Err(no_memory(error)),
        }
    })
}

fn no_memory(problem: impl ToString) -> Error {
    Error::PinnedMemory { problem: problem.to_string() }
}
