//! Parquet: one part per row group, only the wanted leaves decoded.

use std::cell::Cell;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::schema::types::SchemaDescriptor;

use crate::error::Result;
use crate::read::ahead::work_ahead;
use crate::read::discover::DataFile;
use crate::read::layout::choose_fields;
use crate::read::{Chunk, Column, Part, RowNumbers, SLATE_FIELDS, Shape, Visitor, Wanted};

/// Rows in a batch.
const BATCH: usize = 1 << 16;

/// A row group of a Parquet file.
pub(super) struct RowGroup {
    file: Arc<DataFile>,
    metadata: ArrowReaderMetadata,
    leaves: ProjectionMask,
    index: usize,
    /// The number of its first row in the file.
    first_row: u64,
    rows: u64,
    bytes: u64,
}

impl RowGroup {
    /// Reads a file's footer and gives its row groups.
    pub(super) fn open(file: &DataFile, wanted: &Wanted) -> Result<Vec<Self>> {
        let handle = File::open(file.path.as_path()).map_err(|source| file.unreadable("read", source))?;
        let metadata = guarded(file, || ArrowReaderMetadata::load(&handle, ArrowReaderOptions::new()))?;
        let columns = choose_fields(wanted, file.day.is_some(), metadata.schema(), Some(file.path.as_path()))?;
        let leaves = leaves(metadata.parquet_schema(), &columns);
        let metadata = match wanted_types(&metadata, &columns, &wanted.day_column) {
            None => metadata,
            Some(schema) => {
                let options = ArrowReaderOptions::new().with_schema(schema);
                guarded(file, || ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options))?
            }
        };
        let file = Arc::new(file.clone());
        let mut next_row = 1u64;
        let groups = metadata.metadata().row_groups().iter().enumerate().map(|(index, group)| {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            let first_row = next_row;
            next_row = next_row.saturating_add(rows);
            let bytes = u64::try_from(group.compressed_size()).unwrap_or(0);
            let (file, metadata, leaves) = (Arc::clone(&file), metadata.clone(), leaves.clone());
            Self { file, metadata, leaves, index, first_row, rows, bytes }
        });
        Ok(groups.collect())
    }

    fn chunk(&self, batch: RecordBatch, before: u64) -> Chunk {
        let origin = self.file.origin(RowNumbers::From(self.first_row.saturating_add(before)));
        let bytes = self.share(before + batch.num_rows() as u64) - self.share(before);
        Chunk { batch, origin, bytes }
    }

    /// The bytes that the first `rows` rows stand for.
    fn share(&self, rows: u64) -> u64 {
        let rows = rows.min(self.rows);
        // At most `bytes`, as `rows` is at most `self.rows`.
        (u128::from(self.bytes) * u128::from(rows) / u128::from(self.rows.max(1))) as u64
    }
}

impl Part for RowGroup {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, ahead: usize, visit: &Visitor<'_>) -> Result<()> {
        // Each part opens the file for itself: duplicated handles would share one offset.
        let handle = File::open(self.file.path.as_path()).map_err(|source| self.file.unreadable("read", source))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, self.metadata.clone())
            .with_row_groups(vec![self.index])
            .with_projection(self.leaves.clone())
            .with_batch_size(BATCH);
        let mut reader = guarded(&self.file, || builder.build())?;
        let mut before = 0;
        let next = || {
            let batch = guarded(&self.file, || reader.next().transpose().map_err(own_error))?;
            Ok(batch.map(|batch| {
                let chunk = self.chunk(batch, before);
                before += chunk.batch.num_rows() as u64;
                chunk
            }))
        };
        work_ahead(ahead, next, visit)
    }
}

/// The leaves of the wanted columns; of a slate only the fields that it needs.
fn leaves(schema: &SchemaDescriptor, columns: &[(usize, Column)]) -> ProjectionMask {
    let wanted = |leaf: &usize| {
        let root = schema.get_column_root_idx(*leaf);
        columns.iter().any(|(place, column)| {
            *place == root
                && match column.shape {
                    Shape::Scalar => true,
                    Shape::Slate => {
                        let path = schema.column(*leaf);
                        path.path().parts().iter().skip(1).any(|part| SLATE_FIELDS.contains(&part.as_str()))
                    }
                }
        })
    };
    ProjectionMask::leaves(schema, (0..schema.num_columns()).filter(wanted))
}

/// The schema to read with, where the usual types will not do.
///
/// INT96 timestamps come as nanoseconds, which wrap for dates that microseconds hold. Days come as texts, each
/// materialised; as a dictionary each distinct one is held and parsed once.
fn wanted_types(metadata: &ArrowReaderMetadata, columns: &[(usize, Column)], day_column: &str) -> Option<SchemaRef> {
    let schema = metadata.schema();
    let descriptor = metadata.parquet_schema();
    let mut fields: Vec<Arc<Field>> = schema.fields().to_vec();
    let mut changed = false;
    for leaf in 0..descriptor.num_columns() {
        let root = descriptor.get_column_root_idx(leaf);
        let Some((place, column)) = columns.iter().find(|(place, _)| *place == root) else { continue };
        let Some(field) = fields.get_mut(*place) else { continue };
        let data_type = match field.data_type() {
            DataType::Timestamp(TimeUnit::Nanosecond, zone)
                if descriptor.column(leaf).physical_type() == PhysicalType::INT96 =>
            {
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if column.name == day_column => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            }
            _ => continue,
        };
        *field = Arc::new(field.as_ref().clone().with_data_type(data_type));
        changed = true;
    }
    changed.then(|| Arc::new(Schema::new(fields)))
}

thread_local! {
    /// Whether this thread is in a call of [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread is about to become an error, so that a panic hook has nothing to tell of it.
#[must_use]
pub fn panic_becomes_error() -> bool {
    GUARDED.get()
}

/// Calls the Parquet reader, which panics over some damaged files.
fn guarded<T>(file: &DataFile, call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    GUARDED.set(true);
    // The reader is given up on the first error, so nobody sees what a panic leaves half done.
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(false);
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(ParquetError::General(format!("damaged: {text}")))
    });
    result.map_err(|source| file.bad_parquet(source))
}

/// What the Parquet reader said, without the Arrow error that its batches wrap it in.
fn own_error(error: ArrowError) -> ParquetError {
    match error {
        ArrowError::ParquetError(message) => ParquetError::General(message),
        other => ParquetError::from(other),
    }
}
