//! Parquet: one part per row group, only the wanted leaves decoded.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{RecordBatch, make_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::schema::types::SchemaDescriptor;

use crate::error::{Error, Invariant, OptionName, Result};
use crate::parquet_file::{FooterPlaces, ParquetFile};
use crate::read::ahead::work_ahead;
use crate::read::data_file::DataFile;
use crate::read::guard;
use crate::read::layout::choose_fields;
use crate::read::weight;
use crate::read::{Chunk, Column, Projection, RowNumbers, Split, SplitFacts, Visitor};
use crate::store::Loaded;

/// Rows in a batch.
const BATCH: usize = 1 << 16;

/// Of a footer of more bytes than this, one row group's part is decoded at a time: decoded, it takes several times as much.
const LONG_FOOTER: u64 = 2 << 20;

/// A batch is to take about so many bytes at most, as far as the footer tells what its rows take.
const BATCH_BYTES: u64 = 16 << 20;

/// A Parquet file of a table.
struct ParquetTable {
    file: DataFile,
    wanted: Arc<Projection>,
    /// What its row groups share, from when the first is read to when the last has been.
    opened: Mutex<Option<Arc<Opened>>>,
    /// The row groups that have not been read yet.
    unread: AtomicUsize,
    /// Of a footer that is so long that no more than one row group's part of it is held at a time, where it stands.
    long_footer: Option<FooterPlaces>,
}

/// A Parquet file that is open for reading. The footer is that of the handle, so that what it says and the data are of one
/// file.
struct Opened {
    handle: ParquetFile,
    metadata: ArrowReaderMetadata,
    leaves: ProjectionMask,
    /// The number of the first row group that the metadata is of.
    first: usize,
    /// Whether the day column is of instants whose zone the file does not say: that they are UTC's is how they are stored.
    zone_is_unknown: bool,
}

/// A row group of a Parquet file.
pub(super) struct RowGroup {
    table: Arc<ParquetTable>,
    index: usize,
    /// The number of its first row in the file.
    first_row: u64,
    rows: u64,
    bytes: u64,
    /// The most that reading it may take, as far as the footer tells.
    weight: u64,
    /// Of a file in a store, what is read of it: the footer and the wanted columns; and what of that is there or under way.
    ranges: Vec<Range<u64>>,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

impl RowGroup {
    /// Reads a file's footer and gives its row groups. The footer is let go again: of all files at once it may be much.
    pub(super) fn open(file: &DataFile, wanted: &Arc<Projection>) -> Result<Vec<Self>> {
        let handle = file.open_parquet(None)?;
        let (footer_start, length) = guarded(file, || handle.footer_place())?;
        let room = &wanted.room;
        let is_long = length > LONG_FOOTER;
        // What one row group takes of it is far less.
        if length > room.most() / 2 {
            let (length, most) = (length >> 20, (room.most() / 2) >> 20);
            let problem = format!(
                "its footer has {length} MiB, and `{option}` leaves {most} MiB for that; raise `{option}`, or write fewer \
                 columns and row groups to a file",
                option = OptionName::Memory
            );
            return Err(file.bad_parquet(ParquetError::General(problem)));
        }
        let _turn = is_long.then(|| room.turn());
        let footer = guarded(file, || handle.packed_footer())?;
        let groups = footer.groups();
        let one = |index| guarded(file, || footer.decode_one(index));
        let first = if is_long && groups > 0 { one(0)? } else { guarded(file, || footer.decode())? };
        let mut opened = Opened::new(file, wanted, handle, first, 0)?;
        let mut next_row = 1u64;
        let mut found = Vec::with_capacity(groups);
        for index in 0..groups {
            if is_long && index > 0 {
                opened = Opened::new(file, wanted, opened.handle, one(index)?, index)?;
            }
            let group = opened.group(index)?;
            let number = |number: i64| {
                let fault = || ParquetError::General(format!("row group {index} has an impossible size: {number}"));
                u64::try_from(number).map_err(|_| file.bad_parquet(fault()))
            };
            let (rows, bytes) = (number(group.num_rows())?, number(group.compressed_size())?);
            let weight = opened.most_weight(group);
            let ranges = if file.stored.is_some() {
                guarded(file, || Ok(weight::ranges(group, &opened.leaves, footer_start)))?
            } else {
                Vec::new()
            };
            found.push((index, next_row, rows, bytes, weight, ranges));
            next_row = next_row.saturating_add(rows);
        }
        let table = Arc::new(ParquetTable {
            file: file.clone(),
            wanted: Arc::clone(wanted),
            opened: Mutex::new(None),
            unread: AtomicUsize::new(groups),
            long_footer: is_long.then(|| footer.into_places()),
        });
        let found = found.into_iter().map(|(index, first_row, rows, bytes, weight, ranges)| Self {
            table: Arc::clone(&table),
            index,
            first_row,
            rows,
            bytes,
            weight,
            ranges,
            loaded: Mutex::new(None),
        });
        Ok(found.collect())
    }

    fn chunk(&self, batch: RecordBatch, before: u64) -> Chunk {
        let origin = self.table.file.origin(RowNumbers::From(self.first_row.saturating_add(before)));
        let bytes = self.share(before + batch.num_rows() as u64) - self.share(before);
        Chunk { batch, origin, bare: 0, bytes }
    }

    /// The bytes that the first `rows` rows stand for.
    fn share(&self, rows: u64) -> u64 {
        let rows = rows.min(self.rows);
        // At most `bytes`, as `rows` is at most `self.rows`.
        (u128::from(self.bytes) * u128::from(rows) / u128::from(self.rows.max(1))) as u64
    }

    fn read_from(
        &self,
        opened: &Opened,
        loaded: Option<&Arc<Loaded>>,
        ahead: usize,
        visit: &Visitor<'_>,
    ) -> Result<()> {
        let table = &self.table;
        let handle = match loaded {
            Some(_) => table.file.open_parquet(loaded)?,
            None => opened.handle.clone(),
        };
        let turn = self.admit(opened, &handle)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, opened.metadata.clone())
            .with_row_groups(vec![self.index - opened.first])
            .with_projection(opened.leaves.clone())
            .with_batch_size(opened.batch_rows(&table.file, self.index, BATCH.min(table.wanted.room.rows()))?);
        let mut reader = guarded(&table.file, || builder.build())?;
        let mut before = 0;
        let mut next = || {
            let batch = guarded(&table.file, || reader.next().transpose().map_err(own_error))?;
            let Some(mut batch) = batch else { return Ok(None) };
            if let Some(day_column) = table.wanted.day_column().filter(|_| opened.zone_is_unknown) {
                batch = without_zone(batch, day_column)?;
            }
            let chunk = self.chunk(batch, before);
            before += chunk.batch.num_rows() as u64;
            Ok(Some(chunk))
        };
        if turn.is_some() {
            // One batch at a time, and without any other thread, which may be waiting for the turn.
            while let Some(chunk) = next()? {
                visit(chunk)?;
            }
            return Ok(());
        }
        work_ahead(ahead, next, visit)
    }

    /// Sees to it that what reading this takes is there, which is for one row group at a time where it is more than a thread's share.
    fn admit<'a>(&'a self, opened: &Opened, handle: &ParquetFile) -> Result<Option<MutexGuard<'a, ()>>> {
        let file = &self.table.file;
        let room = &self.table.wanted.room;
        if self.weight <= room.share() {
            return Ok(None);
        }
        let group = opened.group(self.index)?;
        let pages = guarded(file, || Ok(weight::of_pages(handle, group, &opened.leaves)))?;
        let refuse = |bytes: u64, largest: &str| {
            let (index, needed, most) = (self.index, bytes.div_ceil(1 << 20), room.most() >> 20);
            let problem = format!(
                "row group {index}: {largest}, so that reading it takes about {needed} MiB, and `{option}` leaves {most} MiB \
                 for that; raise `{option}`, or write smaller pages and rows",
                option = OptionName::Memory
            );
            Err(file.bad_parquet(ParquetError::General(problem)))
        };
        if pages.bytes > room.most() {
            return refuse(pages.bytes, &pages.largest);
        }
        let most_of_a_row = weight::most_of_a_row(group, &opened.leaves);
        if pages.bytes.saturating_add(most_of_a_row) <= room.share() {
            return Ok(None);
        }
        let turn = room.turn();
        // Only now is it worth a look at how long the lists are.
        let longest = guarded(file, || weight::of_longest_row(handle, group, &opened.leaves))?;
        let (of_row, row) = longest.unwrap_or((0, 0));
        let bytes = pages.bytes.saturating_add(of_row);
        if bytes > room.most() {
            let row = self.first_row.saturating_add(row).saturating_sub(1);
            return refuse(bytes, &format!("row {row} has a list of {} items", of_row / weight::ELEMENT_BYTES));
        }
        Ok(Some(turn).filter(|_| bytes > room.share()))
    }
}

impl ParquetTable {
    /// The open file for a row group, shared by all that read it.
    fn opened(&self, index: usize, loaded: Option<&Arc<Loaded>>) -> Result<Arc<Opened>> {
        if let Some(places) = &self.long_footer {
            let handle = self.file.open_parquet(loaded)?;
            let footer = guarded(&self.file, || handle.footer_of(places, index))?;
            return Ok(Arc::new(Opened::new(&self.file, &self.wanted, handle, footer, index)?));
        }
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = opened.as_ref() {
            return Ok(Arc::clone(opened));
        }
        let handle = self.file.open_parquet(loaded)?;
        let footer = guarded(&self.file, || handle.footer())?;
        // What was loaded for one row group is not kept for all of them.
        let handle = if loaded.is_some() { self.file.open_parquet(None)? } else { handle };
        let new = Arc::new(Opened::new(&self.file, &self.wanted, handle, footer, 0)?);
        *opened = Some(Arc::clone(&new));
        Ok(new)
    }

    /// Notes that a row group has been read; after the last one the file is closed.
    fn close_after_last(&self) {
        if self.unread.fetch_sub(1, Ordering::AcqRel) <= 1 {
            *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.unread.store(1, Ordering::Release);
        }
    }
}

impl Split for RowGroup {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn weight(&self) -> u64 {
        self.weight
    }

    fn facts(&self) -> SplitFacts<'_> {
        self.table.file.facts(self.bytes, Some(self.rows))
    }

    /// Asks for all of it at once, where that may be held; where it may not, it is read bit by bit.
    fn begin(&self, before_turn: bool) -> bool {
        let Some(stored) = &self.table.file.stored else { return true };
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.table.wanted.room.held();
        // Before their turn parts take no more than half, so that those whose turn it is find the other half.
        let (bytes, most) = (Loaded::size(&stored.object, &self.ranges), if before_turn { room / 2 } else { room });
        if loaded.is_none() && stored.object.stores().take(bytes, most) {
            // A fault shows when it is read.
            *loaded = Loaded::begin(&stored.object, &self.ranges, bytes).ok().map(Arc::new);
        }
        loaded.is_some()
    }

    fn read(&self, ahead: usize, visit: &Visitor<'_>) -> Result<()> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).take();
        let opened = self.table.opened(self.index, loaded.as_ref())?;
        let read = self.read_from(&opened, loaded.as_ref(), ahead, visit);
        drop((opened, loaded));
        self.table.close_after_last();
        // A file that is written to may well be unreadable, and then that is what to say of it.
        match read {
            Err(error @ (Error::Parquet { .. } | Error::Unreadable { .. })) => {
                self.table.file.check_unchanged()?;
                Err(error)
            }
            Err(error) => Err(error),
            Ok(()) => self.table.file.check_unchanged(),
        }
    }
}

/// The key under which writers keep the Arrow schema of what they were given.
const ARROW_SCHEMA: &str = "ARROW:schema";

impl Opened {
    /// What a footer means that is of all row groups from `first` on, or of that one.
    fn new(
        file: &DataFile,
        wanted: &Projection,
        handle: ParquetFile,
        footer: ParquetMetaData,
        first: usize,
    ) -> Result<Self> {
        let footer = Arc::new(footer);
        let (metadata, arrow_is_known) = guarded(file, || arrow_types(&footer))?;
        let columns = choose_fields(wanted, file.day.is_some(), metadata.schema(), Some(file.path.as_path()))?;
        let leaves = leaves(metadata.parquet_schema(), &columns);
        let metadata = match wanted_types(&metadata, &columns, wanted.day_column()) {
            None => metadata,
            Some(schema) => {
                let options = ArrowReaderOptions::new().with_schema(schema);
                guarded(file, || ArrowReaderMetadata::try_new(footer, options))?
            }
        };
        Ok(Self { handle, metadata, leaves, first, zone_is_unknown: !arrow_is_known && file.day.is_none() })
    }

    fn group(&self, index: usize) -> Result<&RowGroupMetaData> {
        let groups = self.metadata.metadata().row_groups();
        let place = index.checked_sub(self.first);
        place.and_then(|place| groups.get(place)).invariant("a file that is the same has the same row groups")
    }

    /// The most that reading a row group may take: were each column one page, and all elements in one row.
    fn most_weight(&self, group: &RowGroupMetaData) -> u64 {
        let leaves = group.columns().iter().enumerate().filter(|(leaf, _)| self.leaves.leaf_included(*leaf));
        let size = |size: i64| u64::try_from(size).unwrap_or(0);
        let pages = leaves.fold(0u64, |sum, (_, column)| {
            sum.saturating_add(size(column.uncompressed_size()).saturating_mul(2))
                .saturating_add(size(column.compressed_size()))
        });
        pages.saturating_add(weight::most_of_a_row(group, &self.leaves))
    }

    /// The rows of a batch of a row group: `most`, unless they are large.
    fn batch_rows(&self, file: &DataFile, index: usize, most: usize) -> Result<usize> {
        let group = self.group(index)?;
        let leaves = group.columns().iter().enumerate().filter(|(leaf, _)| self.leaves.leaf_included(*leaf));
        let bytes = leaves.fold(0u64, |sum, (_, column)| {
            let values = u64::try_from(column.num_values()).unwrap_or(u64::MAX);
            let stored = u64::try_from(column.uncompressed_size()).unwrap_or(u64::MAX);
            // Equal values are stored once, and have their place each when they are read.
            sum.saturating_add(values.saturating_mul(VALUE_BYTES).max(stored))
        });
        let rows = u64::try_from(group.num_rows()).invariant("row groups of impossible sizes are refused")?.max(1);
        if bytes / VALUE_BYTES / rows > MOST_VALUES {
            let problem =
                format!("row group {index} has rows of more than {MOST_VALUES} values, which are read as a whole");
            return Err(file.bad_parquet(ParquetError::General(problem)));
        }
        let fitting = u128::from(BATCH_BYTES) * u128::from(rows) / u128::from(bytes.max(1));
        Ok(usize::try_from(fitting).map_or(most, |rows| rows.clamp(1, most)))
    }
}

/// The most values of a row, as far as the footer tells: one row is the least that can be read.
const MOST_VALUES: u64 = 8 << 20;

/// What a value takes in memory, about: itself, its place in its list, and what is made of it.
const VALUE_BYTES: u64 = 16;

/// What a footer means in Arrow, and whether that is as the writer's own Arrow schema has it.
///
/// Tools that rewrite files leave that schema behind as it was, also where they rename columns. What does not fit the file is
/// passed over: the types of Parquet say enough.
fn arrow_types(footer: &Arc<ParquetMetaData>) -> Result<(ArrowReaderMetadata, bool), ParquetError> {
    let entries = footer.file_metadata().key_value_metadata();
    if entries.is_some_and(|entries| entries.iter().any(|entry| entry.key == ARROW_SCHEMA))
        && let Ok(metadata) = ArrowReaderMetadata::try_new(Arc::clone(footer), ArrowReaderOptions::new())
    {
        return Ok((metadata, true));
    }
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    Ok((ArrowReaderMetadata::try_new(Arc::clone(footer), options)?, false))
}

/// A batch whose day column, where it is one of instants, says no zone.
fn without_zone(batch: RecordBatch, day_column: &str) -> Result<RecordBatch> {
    let (schema, mut columns, _) = batch.into_parts();
    let mut fields: Vec<Arc<Field>> = schema.fields().to_vec();
    for (field, column) in fields.iter_mut().zip(&mut columns) {
        if field.name().eq_ignore_ascii_case(day_column)
            && let DataType::Timestamp(unit, Some(_)) = field.data_type()
        {
            let plain = DataType::Timestamp(*unit, None);
            let data = column.to_data().into_builder().data_type(plain.clone()).build();
            *column = make_array(data.invariant("a zone does not change how instants are kept")?);
            *field = Arc::new(field.as_ref().clone().with_data_type(plain));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).invariant("a zone does not change a batch's columns")
}

/// The leaves of the wanted columns; of structs only those of the fields that are wanted.
fn leaves(schema: &SchemaDescriptor, columns: &[(usize, Column)]) -> ProjectionMask {
    let wanted = |leaf: &usize| {
        let root = schema.get_column_root_idx(*leaf);
        let column = schema.column(*leaf);
        let below = column.path().parts().get(1..).unwrap_or(&[]);
        columns.iter().any(|(place, column)| *place == root && is_below(column, below))
    };
    ProjectionMask::leaves(schema, (0..schema.num_columns()).filter(wanted))
}

/// Whether a leaf is one of a column's: on the way to it are the names of its fields, and between them those that lists have in
/// Parquet, which differ between writers.
fn is_below(column: &Column, path: &[String]) -> bool {
    let is_at = |field: &Column| {
        let place = path.iter().position(|name| *name == field.name);
        place.is_some_and(|place| is_below(field, path.get(place + 1..).unwrap_or(&[])))
    };
    column.fields.is_empty() || column.fields.iter().any(is_at)
}

/// The schema to read with, where the usual types will not do.
///
/// INT96 timestamps come as nanoseconds, which wrap for dates that microseconds hold. Days come as texts, each
/// materialised; as a dictionary each distinct one is held and parsed once.
fn wanted_types(
    metadata: &ArrowReaderMetadata,
    columns: &[(usize, Column)],
    day_column: Option<&str>,
) -> Option<SchemaRef> {
    let schema = metadata.schema();
    let descriptor = metadata.parquet_schema();
    let mut fields: Vec<Arc<Field>> = schema.fields().to_vec();
    let mut changed = false;
    let is_day = |column: &Column| day_column.is_some_and(|day| day.eq_ignore_ascii_case(&column.name));
    for (place, column) in columns {
        let Some(field) = fields.get_mut(*place) else { continue };
        let data_type = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_day(column) => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            }
            data_type => {
                let first = (0..descriptor.num_columns()).find(|&leaf| descriptor.get_column_root_idx(leaf) == *place);
                let Some(mut leaf) = first else { continue };
                let is_int96 = |leaf| descriptor.column(leaf).physical_type() == PhysicalType::INT96;
                in_micros(data_type, &mut leaf, &is_int96)
            }
        };
        if data_type != *field.data_type() {
            *field = Arc::new(field.as_ref().clone().with_data_type(data_type));
            changed = true;
        }
    }
    changed.then(|| Arc::new(Schema::new(fields)))
}

/// A type whose leaves of INT96 are microseconds, also within structs and lists; leaves are counted as Parquet does, one after the other.
fn in_micros(data_type: &DataType, leaf: &mut usize, is_int96: &dyn Fn(usize) -> bool) -> DataType {
    let mut of = |field: &Arc<Field>| {
        let data_type = in_micros(field.data_type(), leaf, is_int96);
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(of).collect()),
        DataType::List(element) => DataType::List(of(element)),
        DataType::LargeList(element) => DataType::LargeList(of(element)),
        DataType::FixedSizeList(element, length) => DataType::FixedSizeList(of(element), *length),
        DataType::ListView(element) => DataType::ListView(of(element)),
        DataType::LargeListView(element) => DataType::LargeListView(of(element)),
        DataType::Map(entries, sorted) => DataType::Map(of(entries), *sorted),
        plain => {
            let own = *leaf;
            *leaf += 1;
            match plain {
                DataType::Timestamp(TimeUnit::Nanosecond, zone) if is_int96(own) => {
                    DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
                }
                _ => plain.clone(),
            }
        }
    }
}

/// Calls the Parquet reader, which panics over some damaged files.
fn guarded<T>(file: &DataFile, call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    guard::guarded(call).map_err(|source| file.bad_parquet(source))
}

/// What the Parquet reader said, without the Arrow error that its batches wrap it in.
fn own_error(error: ArrowError) -> ParquetError {
    match error {
        ArrowError::ParquetError(message) => ParquetError::General(message),
        other => ParquetError::from(other),
    }
}
