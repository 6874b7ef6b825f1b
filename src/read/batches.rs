//! A table that comes as record batches from somewhere that is no file.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, RecordBatch, RecordBatchReader};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::error::{Error, Result};
use crate::read::ahead::work_ahead;
use crate::read::guard::guarded;
use crate::read::layout::choose_fields;
use crate::read::{Chunk, Origin, Projection, RowNumbers, Source, Visitor};

/// A stream of record batches as a table of one part, which can be read once.
///
/// Columns keep their types. `next` of the stream is called from threads of the pool, one call at a time; batches are
/// worked on in parallel. How many bytes there will be is not known, so [`Source::bytes`] is 0.
pub struct Batches<I> {
    wanted: Projection,
    batches: Mutex<Option<I>>,
    numbered: bool,
    /// Of a stream from outside of this program: what it says beforehand its batches hold.
    foreign: Option<SchemaRef>,
}

impl<I: RecordBatchReader + Send> Batches<I> {
    /// A table from a stream of another program's batches, as they come over Arrow's C interface. Nothing that they hold is
    /// believed: their columns are checked also where no batch follows, and each array before anything reads it.
    pub fn foreign(wanted: Projection, batches: I) -> Self {
        let schema = batches.schema();
        Self { foreign: Some(schema), ..Self::new(wanted, batches) }
    }
}

impl<I: Iterator<Item = Result<RecordBatch, ArrowError>> + Send> Batches<I> {
    /// A table from a stream.
    pub fn new(wanted: Projection, batches: I) -> Self {
        Self { wanted, batches: Mutex::new(Some(batches)), numbered: true, foreign: None }
    }

    /// The same table as a part of a larger one, so that the places of its rows mean nothing to anyone.
    #[must_use]
    pub fn without_row_numbers(self) -> Self {
        Self { numbered: false, ..self }
    }

    fn failed(&self, problem: impl ToString) -> Error {
        Error::Source { table: self.wanted.table.clone(), problem: problem.to_string() }
    }

    fn visit(&self, batch: &RecordBatch, first_row: u64, visit: &Visitor<'_>) -> Result<()> {
        let columns = choose_fields(&self.wanted, false, batch.schema_ref(), None)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.foreign.is_some() {
            for (place, column) in &columns {
                let valid = guarded(|| batch.column(*place).to_data().validate_full());
                valid.map_err(|error| self.failed(format!("column `{}` is not valid Arrow: {error}", column.name)))?;
            }
        }
        let places: Vec<usize> = columns.into_iter().map(|(place, _)| place).collect();
        let batch = batch.project(&places).map_err(|error| self.failed(error))?;
        // Collected in order, so that the first error does not depend on the threads.
        let visited: Vec<Result<()>> = cuts(&batch)
            .into_par_iter()
            .map(|rows| {
                let first_row = first_row.saturating_add(rows.start as u64);
                let numbers = if self.numbered { RowNumbers::From(first_row) } else { RowNumbers::Unknown };
                let origin = Origin { file: None, day: None, rows: numbers, text: false };
                visit(Chunk { batch: batch.slice(rows.start, rows.len()), origin, bare: 0, bytes: 0 })
            })
            .collect();
        visited.into_iter().collect()
    }
}

/// Rows that are handed over at a time, unless a dictionary has more entries.
const ROWS: usize = 1 << 16;

/// Elements of lists that are handed over at a time, unless one row has more.
const ELEMENTS: usize = 1 << 18;

/// Where a batch is cut, as other programs make them of any size: what becomes of its rows takes more memory than they do.
fn cuts(batch: &RecordBatch) -> Vec<Range<usize>> {
    let columns = batch.columns();
    if columns.iter().any(|column| matches!(column.data_type(), DataType::ListView(_) | DataType::LargeListView(_))) {
        // The elements of their rows may stand anywhere, so that parts of them are no smaller.
        return std::iter::once(0..batch.num_rows()).collect();
    }
    // Each part looks at all of a dictionary.
    let entries = columns.iter().filter_map(|column| Some(column.as_any_dictionary_opt()?.values().len())).max();
    let rows = entries.unwrap_or(0).max(ROWS);
    let mut cuts = Vec::new();
    let mut start = 0;
    while start < batch.num_rows() {
        let most = (start + rows).min(batch.num_rows());
        let end = columns.iter().map(|column| fitting(column, start, most)).min().unwrap_or(most);
        cuts.push(start..end);
        start = end;
    }
    cuts
}

/// Where the rows from `start` on end that have no more than [`ELEMENTS`] elements together; one row at least, and none from `end` on.
fn fitting(column: &ArrayRef, start: usize, end: usize) -> usize {
    fn of<O: OffsetSizeTrait>(offsets: &[O], start: usize, end: usize) -> usize {
        let most = offsets[start].as_usize().saturating_add(ELEMENTS);
        let fits = offsets[start + 1..=end].partition_point(|offset| offset.as_usize() <= most);
        start + fits.max(1)
    }
    match column.data_type() {
        DataType::List(_) => of(column.as_list::<i32>().value_offsets(), start, end),
        DataType::LargeList(_) => of(column.as_list::<i64>().value_offsets(), start, end),
        _ => end,
    }
}

impl<I: Iterator<Item = Result<RecordBatch, ArrowError>> + Send> Source for Batches<I> {
    fn parts(&self) -> usize {
        1
    }

    fn bytes(&self) -> u64 {
        0
    }

    /// Reads the stream. A second call is an [`Error::Source`]: the rows are gone.
    fn read(&self, _part: usize, visit: &Visitor<'_>) -> Result<()> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut batches = batches.ok_or_else(|| self.failed("a stream of batches can be read only once"))?;
        if let Some(schema) = &self.foreign {
            choose_fields(&self.wanted, false, schema, None)?;
        }
        let (mut next_row, mut end) = (1u64, None);
        // As many batches as keep the threads busy, which may be one; no more than these and the next ones are held.
        let next = || {
            let (mut some, mut parts) = (Vec::new(), 0);
            while parts < rayon::current_num_threads() && end.is_none() {
                match guarded(|| batches.next().transpose()) {
                    Ok(Some(batch)) => {
                        let first_row = next_row;
                        next_row += batch.num_rows() as u64;
                        parts += cuts(&batch).len().max(1);
                        some.push((first_row, batch));
                    }
                    Ok(None) => end = Some(Ok(None)),
                    Err(error) => end = Some(Err(self.failed(error))),
                }
            }
            if some.is_empty() { end.take().unwrap_or(Ok(None)) } else { Ok(Some(some)) }
        };
        work_ahead(1, next, |some| {
            let visited: Vec<Result<()>> =
                some.into_par_iter().map(|(first_row, batch)| self.visit(&batch, first_row, visit)).collect();
            visited.into_iter().collect()
        })
    }

    fn files(&self) -> Vec<&Path> {
        Vec::new()
    }
}
