//! Batches that come from Python and go there, by the Arrow PyCapsule interface:
//! <https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>.

use arrow::array::{Array, RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow::error::ArrowError;
use arrow::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use pyo3::types::{PyAnyMethods, PyCapsule, PyCapsuleMethods};
use pyo3::{Bound, PyAny, PyResult, Python, pyclass, pymethods};

/// Takes over the stream of an object that has one; the inner error is the stream's own.
pub(crate) fn take(source: &Bound<'_, PyAny>) -> PyResult<Result<RecordBatchStreamReader, ArrowError>> {
    let capsule = source.call_method0("__arrow_c_stream__")?.cast_into::<PyCapsule>()?;
    let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: a capsule of this name holds a stream, by the Arrow PyCapsule interface; it is moved out, which leaves one
    // that is released, as the interface asks.
    Ok(unsafe { RecordBatchStreamReader::from_raw(stream.as_ptr()) })
}

/// Takes over a stream of which every batch is checked in full before anybody looks at it: what comes over the interface is
/// believed by all that read Arrow, and may lead anywhere in memory.
pub(crate) fn take_checked(
    source: &Bound<'_, PyAny>,
) -> PyResult<Result<impl Iterator<Item = Result<RecordBatch, ArrowError>> + use<>, ArrowError>> {
    let checked = |batch: RecordBatch| {
        batch.columns().iter().try_for_each(|column| column.to_data().validate_full())?;
        Ok(batch)
    };
    Ok(take(source)?.map(|reader| reader.map(move |batch| batch.and_then(checked))))
}

/// A batch as a stream, to be taken over once.
#[pyclass(module = "shardback._native")]
pub(crate) struct Stream(Option<RecordBatch>);

impl Stream {
    pub(crate) fn new(batch: RecordBatch) -> Self {
        Self(Some(batch))
    }
}

#[pymethods]
impl Stream {
    /// The schema is what it is: one who takes it may ask for another, and need not be heeded.
    #[pyo3(signature = (_requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &mut self,
        py: Python<'py>,
        _requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let batch = self.0.take();
        let schema = batch.as_ref().map(RecordBatch::schema).unwrap_or_else(shardback::cluster::schema);
        let reader: Box<dyn RecordBatchReader + Send> =
            Box::new(RecordBatchIterator::new(batch.into_iter().map(Ok).collect::<Vec<_>>(), schema));
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), c"arrow_array_stream")
    }
}
