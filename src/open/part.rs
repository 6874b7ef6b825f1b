//! A Parquet part: its columns checked, its rows decoded in batches.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Float32Type, Float64Type, Int32Type, Int64Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::files::open_file;
use super::{Items, corrupt};
use crate::config::Format;
use crate::error::{Error, Invariant, Result};
use crate::event::{ItemDtype, PADDING};
use crate::layout::{ACTION_TYPES, ACTIONS, CUSTOMER, Column, Dtype, Extent, ITEM, REQUEST_ID, REQUEST_TIME, columns};
use crate::parquet_file::ParquetFile;
use crate::read::guard;
use crate::schema::Contents;

/// Rows decoded at once: with K = 1000 a batch is 8 to 12 MB.
const BATCH_ROWS: usize = 1024;

/// A Parquet part whose columns have been checked.
#[derive(Clone, Debug)]
pub struct ParquetPart {
    path: PathBuf,
    file: ParquetFile,
    metadata: ArrowReaderMetadata,
    item_dtype: ItemDtype,
    contents: Contents,
    rows: u64,
}

impl ParquetPart {
    /// Opens a part: reads its footer and checks that it has the columns of `contents`, which its day's manifest says.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Corrupt`]
    /// when it is no Parquet of these columns.
    pub fn open(path: &Path, contents: &Contents) -> Result<Self> {
        Self::of_file(open_file(path)?, path, contents)
    }

    pub(crate) fn of_file(file: File, path: &Path, contents: &Contents) -> Result<Self> {
        let file = ParquetFile::new(file).map_err(Error::io("read", path))?;
        // The Arrow schema that a writer may leave in the footer says nothing that the Parquet schema does not.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guarded(path, || file.metadata(options))?;
        let item_dtype =
            check_columns(metadata.schema().fields(), contents).map_err(|problem| corrupt(path, problem))?;
        let mut part = Self { path: path.to_owned(), file, metadata, item_dtype, contents: contents.clone(), rows: 0 };
        let sum = part.row_groups().try_fold(0_u64, |sum, rows| sum.checked_add(u64::try_from(rows).ok()?));
        part.rows = sum.ok_or_else(|| corrupt(path, "its footer says impossible numbers of rows"))?;
        let total = part.metadata.metadata().file_metadata().num_rows();
        if u64::try_from(total) != Ok(part.rows) {
            return Err(corrupt(path, format!("its footer says {total} rows, its row groups have {}", part.rows)));
        }
        Ok(part)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its samples.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The width of its item ids.
    #[must_use]
    pub fn item_dtype(&self) -> ItemDtype {
        self.item_dtype
    }

    /// The columns of its samples and actions.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The rows of each row group, in order.
    pub fn row_groups(&self) -> impl Iterator<Item = i64> + '_ {
        self.metadata.metadata().row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::num_rows)
    }

    /// Decodes some consecutive rows, in batches.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; it, and each batch,
    /// [`Error::Corrupt`] when it cannot be decoded.
    pub fn batches(&self, rows: Range<u64>) -> Result<impl Iterator<Item = Result<PartBatch>>> {
        Ok(self
            .read(ProjectionMask::all(), rows)?
            .map(|batch| batch.and_then(|batch| PartBatch::new(&batch, &self.contents))))
    }

    /// `[N]`: the customers, without decoding anything else.
    ///
    /// # Errors
    /// As [`ParquetPart::batches`].
    pub fn customer_ids(&self) -> Result<Vec<i64>> {
        let mut customers = Vec::new();
        let column = ProjectionMask::columns(self.metadata.parquet_schema(), [CUSTOMER]);
        for batch in self.read(column, 0..self.rows)? {
            customers.extend_from_slice(batch?.column(0).as_primitive::<Int64Type>().values());
        }
        Ok(customers)
    }

    fn read(&self, columns: ProjectionMask, rows: Range<u64>) -> Result<Batches> {
        let file = self.file.clone();
        // As many as there are, where more are asked for than memory has addresses.
        let number = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let reader = guarded(&self.path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_projection(columns)
                .with_batch_size(BATCH_ROWS)
                .with_offset(number(rows.start))
                .with_limit(number(rows.end.saturating_sub(rows.start)))
                .build()
        })?;
        Ok(Batches { path: self.path.clone(), reader: Some(reader) })
    }
}

/// Batches up to the first that cannot be decoded.
struct Batches {
    path: PathBuf,
    reader: Option<ParquetRecordBatchReader>,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let batch = guarded(&self.path, || reader.next().transpose()).transpose();
        if !matches!(batch, Some(Ok(_))) {
            self.reader = None;
        }
        batch
    }
}

/// Runs a step of the decoder. Damaged bytes make some of them panic (an assertion on the sizes that a footer says, an
/// index past a page's end), which is a fault of the file like any other.
fn guarded<T, E: guard::Fault>(path: &Path, step: impl FnOnce() -> Result<T, E>) -> Result<T> {
    guard::guarded(step).map_err(|problem| corrupt(path, format!("not readable Parquet: {problem}")))
}

/// The columns of a part, as Arrow has them.
fn fields(item: ItemDtype, contents: &Contents) -> Fields {
    let field = |column: Column| {
        let element = match column.dtype {
            Dtype::Bool if column.extent == Extent::Samples => DataType::Boolean,
            Dtype::Bool | Dtype::U8 | Dtype::I32 => DataType::Int32,
            Dtype::I64 => DataType::Int64,
            Dtype::F32 => DataType::Float32,
            Dtype::F64 => DataType::Float64,
        };
        let kind = match column.extent {
            Extent::Samples | Extent::Requests | Extent::Actions => element,
            Extent::Histories => DataType::List(Arc::new(Field::new("element", element, false))),
        };
        Field::new(column.name, kind, false)
    };
    columns(Format::Parquet, item, contents).into_iter().map(field).collect()
}

/// Compares the columns with those of the format; returns the width of item ids.
fn check_columns(found: &Fields, contents: &Contents) -> Result<ItemDtype, String> {
    if let Some(dtype) = [ItemDtype::I32, ItemDtype::I64].into_iter().find(|&dtype| *found == fields(dtype, contents)) {
        return Ok(dtype);
    }
    let list = |fields: &Fields| {
        let column = |field: &Arc<Field>| {
            let null = if field.is_nullable() { "nullable " } else { "" };
            format!("{} {null}{}", field.name(), field.data_type())
        };
        fields.iter().map(column).collect::<Vec<_>>().join(", ")
    };
    let (found, expected) = (list(found), list(&fields(ItemDtype::I32, contents)));
    Err(format!("its columns are: {found}; expected: {expected} (items may be Int64)"))
}

/// Some decoded rows of a part.
#[derive(Clone, Debug)]
pub struct PartBatch {
    customers: ArrayRef,
    items: ArrayRef,
    request_times: Option<ArrayRef>,
    requests: Option<ArrayRef>,
    columns: Vec<Vec<u8>>,
    actions: ListArray,
    types: ListArray,
    columns_of_actions: Vec<ListColumn>,
}

/// A column of actions of some rows.
#[derive(Clone, Debug)]
struct ListColumn {
    lists: ListArray,
    /// The values of all lists, little-endian.
    bytes: Vec<u8>,
    width: usize,
}

impl PartBatch {
    /// Takes the columns of a part, whose types [`check_columns`] has seen.
    fn new(batch: &RecordBatch, contents: &Contents) -> Result<Self> {
        let column = |name: &str| batch.column_by_name(name).invariant("a checked part has its columns");
        let of_samples = contents.of_samples().map(|field| bytes(column(&field.name)?, field.dtype));
        let of_actions = contents.of_actions().map(|field| {
            let lists = column(&field.name)?.as_list().clone();
            Ok(ListColumn { bytes: bytes(lists.values(), field.dtype)?, lists, width: field.dtype.width() })
        });
        Ok(Self {
            customers: column(CUSTOMER)?.clone(),
            items: column(ITEM)?.clone(),
            request_times: contents.request_time.then(|| column(REQUEST_TIME).cloned()).transpose()?,
            requests: contents.request.then(|| column(REQUEST_ID).cloned()).transpose()?,
            columns: of_samples.collect::<Result<_>>()?,
            actions: column(ACTIONS)?.as_list().clone(),
            types: column(ACTION_TYPES)?.as_list().clone(),
            columns_of_actions: of_actions.collect::<Result<_>>()?,
        })
    }

    /// Its rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.customers.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The customers, one per row.
    #[must_use]
    pub fn customer_ids(&self) -> &[i64] {
        self.customers.as_primitive::<Int64Type>().values()
    }

    /// The times of the requests, one per row, in microseconds since the epoch; nothing where they have none.
    #[must_use]
    pub fn request_times(&self) -> &[i64] {
        integers(self.request_times.as_ref())
    }

    /// The ids of the requests, one per row; nothing where they have none.
    #[must_use]
    pub fn request_ids(&self) -> &[i64] {
        integers(self.requests.as_ref())
    }

    /// The items shown, one per row.
    #[must_use]
    pub fn item_ids(&self) -> Items<'_> {
        items(&self.items)
    }

    /// The labels and other columns of samples, `[N]` each, little-endian, as wide as in shards.
    #[must_use]
    pub fn columns(&self) -> &[Vec<u8>] {
        &self.columns
    }

    /// A row's lists as they are stored, with the padding: items and types.
    #[must_use]
    pub fn padded(&self, row: usize) -> Option<(Items<'_>, &[i32])> {
        let types = self.types.values().as_primitive::<Int32Type>().values();
        let items = items(self.actions.values()).slice(list_range(&self.actions, row)?)?;
        Some((items, types.get(list_range(&self.types, row)?)?))
    }

    /// A row's list of another column of actions, by its place among [`Contents::of_actions`], with the padding: little-endian, as
    /// wide as in shards.
    #[must_use]
    pub fn padded_column(&self, column: usize, row: usize) -> Option<&[u8]> {
        let ListColumn { lists, bytes, width } = self.columns_of_actions.get(column)?;
        let range = list_range(lists, row)?;
        bytes.get(range.start.checked_mul(*width)?..range.end.checked_mul(*width)?)
    }

    /// A row's history, newest first, without the padding: items and types.
    #[must_use]
    pub fn history(&self, row: usize) -> Option<(Items<'_>, &[i32])> {
        let (items, types) = self.padded(row)?;
        let length = types.iter().position(|&kind| kind == i32::from(PADDING)).unwrap_or(types.len());
        Some((items.slice(0..length)?, types.get(..length)?))
    }
}

/// Where a row's values lie among those of all lists.
fn list_range(lists: &ListArray, row: usize) -> Option<Range<usize>> {
    let (start, end) = (*lists.value_offsets().get(row)?, *lists.value_offsets().get(row + 1)?);
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// The values of a column that [`check_columns`] has seen, as they are in shards.
fn bytes(array: &ArrayRef, dtype: Dtype) -> Result<Vec<u8>> {
    const NARROW: &str = "numbers of 8 bits are kept as such";
    let narrow = |array: &ArrayRef| {
        let values = array.as_primitive::<Int32Type>().values().iter();
        values.map(|&value| u8::try_from(value).ok().invariant(NARROW)).collect::<Result<Vec<u8>>>()
    };
    Ok(match dtype {
        Dtype::Bool => match array.as_boolean_opt() {
            Some(values) => values.values().iter().map(u8::from).collect(),
            None => narrow(array)?,
        },
        Dtype::U8 => narrow(array)?,
        Dtype::I32 => bytemuck::cast_slice(array.as_primitive::<Int32Type>().values()).to_vec(),
        Dtype::I64 => bytemuck::cast_slice(array.as_primitive::<Int64Type>().values()).to_vec(),
        Dtype::F32 => bytemuck::cast_slice(array.as_primitive::<Float32Type>().values()).to_vec(),
        Dtype::F64 => bytemuck::cast_slice(array.as_primitive::<Float64Type>().values()).to_vec(),
    })
}

fn integers(array: Option<&ArrayRef>) -> &[i64] {
    array.map_or(&[], |array| array.as_primitive::<Int64Type>().values())
}

fn items(array: &ArrayRef) -> Items<'_> {
    match array.as_primitive_opt::<Int32Type>() {
        Some(items) => Items::I32(items.values()),
        None => Items::I64(array.as_primitive::<Int64Type>().values()),
    }
}
