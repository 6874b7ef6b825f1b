//! Days in the memory of a CUDA device, and batches gathered there.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use pyo3::buffer::PyBuffer;
use pyo3::{PyErr, PyResult, Python, pyclass, pyfunction, pymethods};
use shardback::error::{Error, Result};
use shardback::event::ItemDtype;
use shardback::gather::cuda::{
    BatchColumns, CudaDevice, JaggedArrays, ResidentRows, RowNumbers, TypeDtype, resident_bytes,
};
use shardback::load::{self, IndexDtype, Layout};
use shardback::open::{Items, JaggedShard, MappedDay, ShardView};

use crate::batches;
use crate::day::Day;
use crate::error::{raise, to_python};

/// A CUDA device that has been opened and tried.
#[pyclass(frozen, module = "shardback._native")]
pub(crate) struct Device(CudaDevice);

#[pymethods]
impl Device {
    #[new]
    fn new(py: Python<'_>, ordinal: u32) -> PyResult<Self> {
        py.detach(|| CudaDevice::open(ordinal)).map(Self).map_err(|error| to_python(py, &error))
    }

    /// Its name, generation and driver.
    #[getter]
    fn description(&self) -> &str {
        self.0.description()
    }
}

/// The rows of a jagged day in the memory of a device, until they are closed.
#[pyclass(frozen, module = "shardback._native")]
pub(crate) struct Resident {
    /// Gathering reads; closing waits for whoever gathers, and writes.
    rows: RwLock<Option<ResidentRows>>,
    /// The device is this process's: in one that was forked from it, nothing can be said to it.
    process: u32,
}

#[pymethods]
impl Resident {
    /// Uploads the day, and returns when it is there.
    #[new]
    fn new(py: Python<'_>, device: &Device, day: &Day) -> PyResult<Self> {
        let uploaded = py.detach(|| {
            day.0.check()?;
            match day.0.folder().item_dtype() {
                ItemDtype::I32 => {
                    upload(&device.0, &day.0, |items| if let Items::I32(items) = items { items } else { &[] })
                }
                ItemDtype::I64 => {
                    upload(&device.0, &day.0, |items| if let Items::I64(items) = items { items } else { &[] })
                }
            }
        });
        let rows = uploaded.map_err(|error| to_python(py, &error))?;
        Ok(Self { rows: RwLock::new(Some(rows)), process: std::process::id() })
    }

    /// The memory it takes.
    #[getter]
    fn bytes(&self, py: Python<'_>) -> PyResult<u64> {
        let bytes = py.detach(|| self.rows().as_ref().map(ResidentRows::device_bytes));
        bytes.ok_or_else(|| closed(py))
    }

    /// Waits for the batches that are under way, and gives the memory back; other threads run meanwhile. Nothing can be
    /// gathered afterwards.
    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.rows.write().unwrap_or_else(PoisonError::into_inner).take()));
    }

    /// Submits the gathering of rows, whose numbers are 64 bits wide, to a stream of the device, into memory of the device
    /// that begins at `address` and has a layout's size. The memory must not be used by another stream until the batch is
    /// done, and nobody may write the numbers meanwhile.
    fn gather(
        &self,
        py: Python<'_>,
        rows: PyBuffer<u8>,
        width: usize,
        dtypes: (String, String),
        address: u64,
        stream: u64,
    ) -> PyResult<()> {
        let bytes = rows.len_bytes();
        let start = rows.buf_ptr() as usize;
        if !rows.is_c_contiguous()
            || !bytes.is_multiple_of(size_of::<i64>())
            || !start.is_multiple_of(align_of::<i64>())
        {
            return Err(raise(py, "OptionError", "rows: no numbers of 64 bits, one after the other".to_owned()));
        }
        let numbers: &[i64] = match bytes {
            0 => &[],
            // SAFETY: the buffer is held until the end, is contiguous, aligned and has these bytes, and the package hands over
            // memory that is lent to this batch alone.
            _ => unsafe { std::slice::from_raw_parts(start as *const i64, bytes / size_of::<i64>()) },
        };
        let dtypes = batches::dtypes(py, &dtypes)?;
        let at = Layout { rows: numbers.len(), width, dtypes }.offsets();
        let place = |offset: usize| Some(address + offset as u64);
        let batch = BatchColumns {
            item_dtype: if dtypes.items == IndexDtype::I64 { ItemDtype::I64 } else { ItemDtype::I32 },
            type_dtype: if dtypes.types == IndexDtype::U8 { TypeDtype::U8 } else { TypeDtype::AsItems },
            history: width,
            items: place(at.actions),
            types: place(at.action_types),
            item_ids: place(at.impressions),
            is_order: place(at.is_order),
            lengths: place(at.lengths),
        };
        let submitted = py.detach(|| {
            // SAFETY: the package hands over memory that torch has allocated on this device, of the layout's size, and
            // torch's current stream, in whose order the memory is freed; the numbers are the host's.
            self.rows().as_ref().map(|held| unsafe { held.gather(RowNumbers::Host(numbers), &batch, stream) })
        });
        submitted.ok_or_else(|| closed(py))?.map_err(|error| to_python(py, &error))
    }
}

impl Resident {
    fn rows(&self) -> RwLockReadGuard<'_, Option<ResidentRows>> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            // The memory is the other process's, which gives it back.
            std::mem::forget(self.rows.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

fn closed(py: Python<'_>) -> PyErr {
    raise(py, "ShardbackError", "the day's rows were closed: they are not on the device any more".to_owned())
}

fn upload<'a, I: shardback::event::ItemId>(
    device: &CudaDevice,
    day: &'a MappedDay,
    items: impl Fn(Items<'a>) -> &'a [I],
) -> Result<ResidentRows> {
    // The kernel wants a window for each row; that of its request.
    let windows = jagged(day).map(|shard| {
        let windows = (0..shard.requests.len()).map(|row| {
            let window = shard.window(row).ok_or_else(|| bad_window(day, &shard))?;
            // A checked window lies within the actions and is at most K long.
            Ok((window.start as i64, window.len() as i32))
        });
        windows.collect::<Result<(Vec<i64>, Vec<i32>)>>()
    });
    let windows = windows.collect::<Result<Vec<_>>>()?;
    let parts: Vec<JaggedArrays<'_, I>> = jagged(day)
        .zip(&windows)
        .map(|(shard, (starts, lengths))| JaggedArrays {
            items: items(shard.actions),
            types: shard.action_types,
            starts,
            lengths,
            item_ids: items(shard.item_ids),
            is_order: shard.label,
        })
        .collect();
    ResidentRows::upload(device, day.history(), &parts)
}

fn bad_window(day: &MappedDay, shard: &JaggedShard<'_>) -> Error {
    let problem = shard.check_windows().err().unwrap_or_else(|| "a window is out of range".to_owned());
    Error::Corrupt { path: day.folder().folder().to_owned(), problem }
}

fn jagged(day: &MappedDay) -> impl Iterator<Item = JaggedShard<'_>> {
    day.shards().iter().filter_map(|shard| match shard.view() {
        ShardView::Jagged(shard) => Some(shard),
        ShardView::Dense(_) => None,
    })
}

/// The device memory that a jagged day takes.
#[pyfunction]
pub(crate) fn device_bytes(day: &Day) -> u64 {
    let actions = jagged(&day.0).map(|shard| shard.actions.len() as u64).sum();
    resident_bytes(day.0.folder().item_dtype(), day.0.rows() as u64, actions)
}

/// Where the tensors of a batch lie: actions, action types, impressions, lengths, first labels; then the columns that only some
/// days have, each said by the bytes of its values and whether it is as wide as a history; and the end of all.
#[pyfunction]
pub(crate) fn layout(
    py: Python<'_>,
    rows: usize,
    width: usize,
    dtypes: (String, String),
    columns: Vec<(usize, bool)>,
) -> PyResult<([usize; 5], Vec<usize>, usize)> {
    let dtypes = batches::dtypes(py, &dtypes)?;
    let too_large =
        || -> PyErr { raise(py, "OptionError", format!("batch_size: {rows} rows of {width} are too many")) };
    let most = 24 + 8 * columns.len();
    rows.checked_mul(width).and_then(|wide| wide.checked_mul(most)).ok_or_else(too_large)?;
    let at = Layout { rows, width, dtypes }.offsets();
    let (places, end) = load::places(&columns, at.end, rows, width);
    let starts = places.into_iter().map(|place| place.start).collect();
    Ok(([at.actions, at.action_types, at.impressions, at.lengths, at.is_order], starts, end))
}
