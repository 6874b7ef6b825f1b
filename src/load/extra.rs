//! The columns of a batch that only some descriptions ask for: times and ids of requests, more labels, other columns of samples, and columns
//! of actions. They lie behind the tensors that every batch has.

use std::ops::Range;

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use super::fill::{ROWS_PER_TASK, aligned, bad_window, locate};
use crate::error::{Error, Invariant, Result};
use crate::layout::{REQUEST_ID, REQUEST_TIME};
use crate::open::{MappedDay, Shard, ShardView};
use crate::pack::Dtype;
use crate::schema::Contents;

/// Where a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    RequestTime,
    RequestId,
    OfSamples(usize),
    OfActions(usize),
}

/// A column of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraColumn {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub dtype: Dtype,
    source: Source,
}

impl ExtraColumn {
    /// Whether it has a value for each action of a padded row, `[rows, width]`, and not one for each row.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        matches!(self.source, Source::OfActions(_))
    }
}

/// The columns that a day has beside those of every batch: all but its first label, where that is a bool.
#[must_use]
pub fn extra_columns(contents: &Contents) -> Vec<ExtraColumn> {
    let column = |name: &str, dtype, source| ExtraColumn { name: name.to_owned(), dtype, source };
    let first = usize::from(contents.labels.first().is_some_and(|label| label.dtype == Dtype::Bool));
    let time = contents.request_time.then(|| column(REQUEST_TIME, Dtype::I64, Source::RequestTime));
    let request = contents.request.then(|| column(REQUEST_ID, Dtype::I64, Source::RequestId));
    let of_samples = contents.of_samples().enumerate().skip(first);
    let of_samples = of_samples.map(|(place, field)| column(&field.name, field.dtype, Source::OfSamples(place)));
    let of_actions = contents.of_actions().enumerate();
    let of_actions = of_actions.map(|(place, field)| column(&field.name, field.dtype, Source::OfActions(place)));
    time.into_iter().chain(request).chain(of_samples).chain(of_actions).collect()
}

/// Where columns lie from `start` on, on multiples of 64, and where all of it ends. Each is said by the bytes of its values, and
/// whether it is wide.
#[must_use]
pub fn places(columns: &[(usize, bool)], start: usize, rows: usize, width: usize) -> (Vec<Range<usize>>, usize) {
    let mut end = start;
    let places = columns.iter().map(|&(bytes, is_wide)| {
        let begin = end;
        let bytes = bytes * rows * if is_wide { width } else { 1 };
        end = aligned(begin + bytes);
        begin..begin + bytes
    });
    (places.collect(), end)
}

/// Gathers the columns of some rows into a block, each from its place on; histories padded or cut to `width`.
///
/// # Errors
/// As [`fill`](super::fill::fill).
pub(super) fn write(
    columns: &[ExtraColumn],
    places: &[Range<usize>],
    day: &MappedDay,
    rows: &[u64],
    width: usize,
    block: &mut [u8],
) -> Result<()> {
    for (column, place) in columns.iter().zip(places) {
        write_column(column, day, rows, width, block.get_mut(place.clone()).invariant(ROOM)?)?;
    }
    Ok(())
}

const ROOM: &str = "a block has room for its columns";

/// Gathers a column of some rows, little-endian; histories padded or cut to `width`.
///
/// # Errors
/// As [`fill`](super::fill::fill), and [`Error::Internal`](crate::error::Error::Internal) where `out` is of another size.
pub fn write_column(column: &ExtraColumn, day: &MappedDay, rows: &[u64], width: usize, out: &mut [u8]) -> Result<()> {
    let bytes = column.dtype.width() * if column.is_wide() { width } else { 1 };
    if rows.len().checked_mul(bytes) != Some(out.len()) {
        return Err(Error::internal(ROOM));
    }
    let shards: Vec<(&Shard, ShardView<'_>, &[u8])> =
        day.shards().iter().map(|shard| (shard, shard.view(), column.bytes(shard))).collect();
    rows.par_chunks(ROWS_PER_TASK).zip(out.par_chunks_mut(ROWS_PER_TASK * bytes)).try_for_each(|(rows, out)| {
        for (&row, out) in rows.iter().zip(out.chunks_exact_mut(bytes)) {
            let (shard, row) = locate(day, row)?;
            let (_, view, values) = &shards[shard];
            let values = column.of_row(view, values, row, width).ok_or_else(|| bad_window(day, shard, row))?;
            let (filled, padding) = out.split_at_mut(values.len().min(out.len()));
            filled.copy_from_slice(&values[..filled.len()]);
            padding.fill(0);
        }
        Ok(())
    })
}

impl ExtraColumn {
    /// All values of a shard.
    fn bytes<'a>(&self, shard: &'a Shard) -> &'a [u8] {
        match self.source {
            Source::RequestTime => bytemuck::cast_slice(shard.request_times()),
            Source::RequestId => bytemuck::cast_slice(shard.request_ids()),
            Source::OfSamples(column) => shard.columns().get(column).copied().unwrap_or_default(),
            Source::OfActions(column) => shard.columns_of_actions().get(column).copied().unwrap_or_default(),
        }
    }

    /// Those of a row: one value, or those of its history, at most `width`; `None` where there is none.
    fn of_row<'a>(&self, view: &ShardView<'_>, values: &'a [u8], row: usize, width: usize) -> Option<&'a [u8]> {
        let bytes = self.dtype.width();
        let range = match (self.source, view) {
            (Source::RequestTime | Source::RequestId, ShardView::Jagged(shard)) => {
                let request = shard.request(row)?;
                request..request + 1
            }
            (Source::RequestTime | Source::RequestId, ShardView::Dense(_)) | (Source::OfSamples(_), _) => row..row + 1,
            (Source::OfActions(_), ShardView::Jagged(shard)) => {
                let window = shard.window(row)?;
                window.start..window.end.min(window.start + width)
            }
            (Source::OfActions(_), ShardView::Dense(shard)) => {
                let start = row.checked_mul(shard.history)?;
                start..start + shard.history.min(width)
            }
        };
        values.get(range.start.checked_mul(bytes)?..range.end.checked_mul(bytes)?)
    }
}
