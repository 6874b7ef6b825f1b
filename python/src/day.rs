//! Days opened for reading.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::buffer::PyBuffer;
use pyo3::{PyErr, PyResult, Python, pyclass, pyfunction, pymethods};
use shardback::config::Format;
use shardback::error::Result;
use shardback::layout::{self, Extent, Role, Tensor};
use shardback::load::{self, Dtypes, IndexDtype, Item, Out};
use shardback::open::{self, Access, MappedDay, PlaceKind, ShardView};
use shardback::pack::Dtype;

use crate::error::{raise, to_python};
use crate::memory::{Lender, Memory};

/// A dense or jagged day whose shards are mapped.
#[pyclass(frozen, module = "shardback._native")]
pub(crate) struct Day(pub(crate) Arc<MappedDay>);

#[pymethods]
impl Day {
    /// `mmap` says whether shards are mapped or read; where it is not given, that depends on their file system.
    #[new]
    #[pyo3(signature = (path, mmap = None))]
    fn new(py: Python<'_>, path: PathBuf, mmap: Option<bool>) -> PyResult<Self> {
        let access = match mmap {
            None => Access::Auto,
            Some(true) => Access::Map,
            Some(false) => Access::Read,
        };
        let day = py.detach(|| MappedDay::open_with(&path, access)).map_err(|error| to_python(py, &error))?;
        Ok(Self(Arc::new(day)))
    }

    /// The manifest as it is in the folder.
    #[getter]
    fn manifest(&self, py: Python<'_>) -> PyResult<String> {
        let bytes = self.0.folder().manifest().to_bytes().map_err(|error| to_python(py, &error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// `dense` or `jagged`.
    #[getter]
    fn format(&self) -> &'static str {
        self.0.folder().format().name()
    }

    /// The samples of each shard.
    #[getter]
    fn shard_rows(&self) -> Vec<usize> {
        self.0.shards().iter().map(open::Shard::rows).collect()
    }

    /// The file of each shard.
    #[getter]
    fn shard_paths(&self) -> Vec<PathBuf> {
        self.0.shards().iter().map(|shard| shard.path().to_owned()).collect()
    }

    /// The tensors of a shard: name, dtype as safetensors names it, shape.
    fn tensors(&self, py: Python<'_>, shard: usize) -> PyResult<Vec<(String, &'static str, Vec<u64>)>> {
        let shard = self.0.shards().get(shard).ok_or_else(|| no_shard(py, shard))?;
        let said = |Tensor { column, shape, .. }: &Tensor| (column.name.clone(), column.dtype.name(), shape.clone());
        Ok(shard.tensors().iter().map(said).collect())
    }

    /// The bytes of a tensor, read-only.
    fn tensor(&self, py: Python<'_>, shard: usize, name: String) -> PyResult<Memory> {
        let mapped = self.0.shards().get(shard).ok_or_else(|| no_shard(py, shard))?;
        mapped.check().map_err(|error| to_python(py, &error))?;
        let Some(tensor) = mapped.tensors().iter().find(|tensor| tensor.column.name == name) else {
            return Err(raise(py, "ShardbackError", format!("no tensor `{name}`")));
        };
        Ok(Memory(Arc::new(Mapped { day: Arc::clone(&self.0), shard, role: tensor.column.role })))
    }

    /// The names of the tensors that have a value for each row of the day.
    #[getter]
    fn columns(&self) -> Vec<String> {
        let folder = self.0.folder();
        let columns = layout::columns(folder.format(), folder.item_dtype(), folder.contents()).into_iter();
        columns.filter(layout::Column::is_of_samples).map(|column| column.name).collect()
    }

    /// Those of them that have a value for each request, and not for each row.
    #[getter]
    fn columns_of_requests(&self) -> Vec<String> {
        let folder = self.0.folder();
        let columns = layout::columns(folder.format(), folder.item_dtype(), folder.contents()).into_iter();
        columns.filter(|column| column.extent == Extent::Requests).map(|column| column.name).collect()
    }

    /// The columns of its batches beside those of every batch: name, dtype as safetensors names it, whether as wide as a history.
    #[getter]
    fn extra_columns(&self) -> Vec<(String, &'static str, bool)> {
        let columns = load::extra_columns(self.0.folder().contents()).into_iter();
        columns.map(|column| (column.name.clone(), column.dtype.name(), column.is_wide())).collect()
    }

    /// The name of the first label, where it is a bool.
    #[getter]
    fn label(&self) -> Option<String> {
        let first = self.0.folder().contents().labels.first();
        first.filter(|label| label.dtype == Dtype::Bool).map(|label| label.name.clone())
    }

    /// Whether its files are as long as when they were opened; an error where one of them is not.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.check()).map_err(|error| to_python(py, &error))
    }

    /// Where the history of a row lies: the shard, and from where to where in its actions, as if they were one row.
    fn window(&self, py: Python<'_>, row: usize) -> PyResult<(usize, usize, usize)> {
        let place = self.0.locate(row).and_then(|(shard, row)| Some((shard, self.0.shards().get(shard)?.view(), row)));
        let window = place.and_then(|(shard, view, row)| {
            let start = match &view {
                ShardView::Jagged(jagged) => jagged.window(row)?.start,
                ShardView::Dense(dense) => row * dense.history,
            };
            Some((shard, start, start + view.history(row)?.types.len()))
        });
        window.ok_or_else(|| {
            raise(py, "CorruptError", format!("row {row}: there is none, or its history is out of range"))
        })
    }

    /// Gathers rows into two arrays of `[rows, K]`, given as bytes: items and action types as the day stores them.
    ///
    /// Nothing else may use the arrays meanwhile.
    fn dense(
        &self,
        py: Python<'_>,
        rows: Vec<u64>,
        actions: PyBuffer<u8>,
        action_types: PyBuffer<u8>,
        threads: usize,
    ) -> PyResult<()> {
        let wide = rows.len() * self.0.history();
        let dtypes = Dtypes::stored(self.0.folder().item_dtype());
        let fits = |buffer: &PyBuffer<u8>, bytes: usize| {
            buffer.len_bytes() == wide * bytes && buffer.is_c_contiguous() && !buffer.readonly()
        };
        let refuse = |problem: &str| Err(raise(py, "OptionError", format!("out: {problem}")));
        if !fits(&actions, dtypes.items.bytes()) || !fits(&action_types, 1) {
            return refuse("arrays of another size, or not for writing");
        }
        if wide == 0 {
            return Ok(());
        }
        let (actions_at, types_at) = (actions.buf_ptr() as usize, action_types.buf_ptr() as usize);
        if !actions_at.is_multiple_of(dtypes.items.bytes()) {
            return refuse("the array of items does not begin where an item may, on a multiple of its width");
        }
        if actions_at < types_at + wide && types_at < actions_at + actions.len_bytes() {
            return refuse("the two arrays share memory");
        }
        let pool = load::pool(threads).map_err(|error| to_python(py, &error))?;
        py.detach(|| {
            // SAFETY: both buffers are held until the end, are for writing, and were found to have these sizes, to be aligned
            // and to share nothing; the caller leaves them alone meanwhile.
            let types = unsafe { std::slice::from_raw_parts_mut(types_at as *mut u8, wide) };
            pool.install(|| match dtypes.items {
                IndexDtype::I64 => {
                    // SAFETY: as above.
                    let actions = unsafe { std::slice::from_raw_parts_mut(actions_at as *mut i64, wide) };
                    gather(&self.0, &rows, actions, types)
                }
                _ => {
                    // SAFETY: as above.
                    let actions = unsafe { std::slice::from_raw_parts_mut(actions_at as *mut i32, wide) };
                    gather(&self.0, &rows, actions, types)
                }
            })
        })
        .map_err(|error| to_python(py, &error))
    }

    /// Gathers a column of actions of some rows into an array `[rows, K]`, given as bytes.
    ///
    /// Nothing else may use the array meanwhile.
    fn dense_column(
        &self,
        py: Python<'_>,
        name: &str,
        rows: Vec<u64>,
        out: PyBuffer<u8>,
        threads: usize,
    ) -> PyResult<()> {
        let columns = load::extra_columns(self.0.folder().contents());
        let column = columns.iter().find(|column| column.is_wide() && column.name == name);
        let column = column.ok_or_else(|| raise(py, "OptionError", format!("name: no column of actions `{name}`")))?;
        let bytes = rows.len() * self.0.history() * column.dtype.width();
        if out.len_bytes() != bytes || !out.is_c_contiguous() || out.readonly() {
            return Err(raise(py, "OptionError", "out: an array of another size, or not for writing".to_owned()));
        }
        if bytes == 0 {
            return Ok(());
        }
        let at = out.buf_ptr() as usize;
        let pool = load::pool(threads).map_err(|error| to_python(py, &error))?;
        py.detach(|| {
            // SAFETY: the buffer is held until the end, is for writing and has this size; the caller leaves it alone meanwhile.
            let out = unsafe { std::slice::from_raw_parts_mut(at as *mut u8, bytes) };
            pool.install(|| load::write_column(column, &self.0, &rows, self.0.history(), out))
        })
        .map_err(|error| to_python(py, &error))
    }
}

fn gather<T: Item + Default>(day: &MappedDay, rows: &[u64], actions: &mut [T], action_types: &mut [u8]) -> Result<()> {
    let (mut impressions, mut lengths, mut is_order) =
        (vec![T::default(); rows.len()], vec![0; rows.len()], vec![0; rows.len()]);
    let (impressions, lengths, is_order) = (&mut impressions[..], &mut lengths[..], &mut is_order[..]);
    load::fill(day, rows, day.history(), Out { actions, action_types, impressions, lengths, is_order })
}

fn no_shard(py: Python<'_>, shard: usize) -> PyErr {
    raise(py, "ShardbackError", format!("no shard {shard}"))
}

/// A tensor of a mapped shard.
struct Mapped {
    day: Arc<MappedDay>,
    shard: usize,
    role: Role,
}

// SAFETY: a mapping stays where it is until the day is dropped, and is only read.
unsafe impl Lender for Mapped {
    fn bytes(&self) -> (*const u8, usize) {
        let bytes = self.day.shards().get(self.shard).map(|shard| shard.bytes(self.role)).unwrap_or_default();
        (bytes.as_ptr(), bytes.len())
    }

    fn writable(&self) -> bool {
        false
    }
}

/// The days at or below a path, by day: whether the path is a day itself, and their folders.
///
/// Of an output's formats jagged is taken where it is there, else dense.
#[pyfunction]
pub(crate) fn find_days(py: Python<'_>, path: PathBuf) -> PyResult<(bool, Vec<PathBuf>)> {
    let found = py.detach(|| open::find_days(&path)).map_err(|error| to_python(py, &error))?;
    let of = |format: Format| {
        let days = found.days.iter().filter(move |place| place.format.is_none_or(|of| of == format));
        days.map(|place| place.folder.clone()).collect::<Vec<_>>()
    };
    let folders = [Format::Jagged, Format::Dense].into_iter().map(of).find(|folders| !folders.is_empty());
    match folders {
        Some(folders) => Ok((found.kind == PlaceKind::Day, folders)),
        None => {
            let path = path.display();
            Err(raise(
                py,
                "CorruptError",
                format!("`{path}`: it has no jagged and no dense days; build them with formats=\"jagged\""),
            ))
        }
    }
}

/// The manifest of a day's folder in any format.
#[pyfunction]
pub(crate) fn manifest(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    let read = || open::DayFolder::open(&path).and_then(|folder| folder.manifest().to_bytes());
    let bytes = py.detach(read).map_err(|error| to_python(py, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
