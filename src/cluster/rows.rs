//! The rows of the shuffle: packed records of one kind for one part.
//!
//! | column | |
//! |---|---|
//! | `route` int32 | the part, by the number that the engine sends to its task |
//! | `kind` int32 | what the records are; a part's rows come in its order |
//! | `records` binary | the records, little-endian, some kilobytes of them at most, but for reports on whole tables |
//!
//! They live as long as a job, and both ends are of one version.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, Int32Array, Int32Builder, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use serde::Serialize;

use crate::error::{Error, Result};

/// What a row holds, in the order in which a part's task needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub(super) enum Kind {
    /// Nothing: that there is such a part. Every part has one, be it without any customer.
    Part = 0,
    /// The error of a map task, as text; every part hears of it.
    Fault = 1,
    /// What a map task found in impressions beside samples: `unify::Impressions` as JSON; for the first part.
    Impressions = 2,
    /// The same of actions: the table's name and `unify::Actions` as JSON; for the first part.
    Actions = 3,
    /// Samples (`event::Sample`), whose days are places in the group of days.
    Samples = 4,
    /// Customers' actions: for each customer its id (i64), how many actions follow (u32), and their keys, newest first.
    Histories = 5,
    /// The ids (i64) of customers with impressions, from a task that only counts.
    Customers = 6,
    /// All of them, as a filter, for the driver.
    Filter = 7,
}

/// The columns of the rows.
#[must_use]
pub fn schema() -> Arc<Schema> {
    let column = |name, kind| Field::new(name, kind, false);
    let columns =
        [column("route", DataType::Int32), column("kind", DataType::Int32), column("records", DataType::Binary)];
    Arc::new(Schema::new(columns.to_vec()))
}

/// A row is closed when it has this many bytes: readers take thousands of rows at a time.
pub(super) const ROW_BYTES: usize = 4 << 10;
/// Rows that are handed over at a time.
const BATCH_BYTES: usize = 4 << 20;

/// Packs records into rows.
pub(super) struct Outbox {
    kind: Kind,
    /// For each part the row that is being filled.
    open: Vec<Vec<u8>>,
    batches: Vec<RecordBatch>,
    routes: Int32Builder,
    kinds: Int32Builder,
    records: BinaryBuilder,
    bytes: usize,
}

impl Outbox {
    /// For records of one kind, and reports.
    pub(super) fn new(kind: Kind, parts: usize) -> Self {
        Self {
            kind,
            open: vec![Vec::new(); parts],
            batches: Vec::new(),
            routes: Int32Builder::new(),
            kinds: Int32Builder::new(),
            records: BinaryBuilder::new(),
            bytes: 0,
        }
    }

    /// Adds a record for a part: `pack` appends its bytes.
    pub(super) fn add(&mut self, part: u32, routes: &[i32], pack: impl FnOnce(&mut Vec<u8>)) {
        let Some(open) = self.open.get_mut(part as usize) else { return };
        pack(open);
        if open.len() >= ROW_BYTES {
            let row = std::mem::take(open);
            self.row(self.kind, routes[part as usize], &row);
            // The same memory again.
            self.open[part as usize] = row;
            self.open[part as usize].clear();
        }
    }

    /// Adds a whole row.
    pub(super) fn row(&mut self, kind: Kind, route: i32, records: &[u8]) {
        self.routes.append_value(route);
        self.kinds.append_value(kind as i32);
        self.records.append_value(records);
        self.bytes += records.len();
        if self.bytes >= BATCH_BYTES {
            self.close_batch();
        }
    }

    /// Adds a report as a whole row.
    pub(super) fn report(&mut self, kind: Kind, route: i32, content: &impl Serialize) {
        // Numbers, texts, lists and maps keyed by numbers: the printer has nothing to refuse.
        self.row(kind, route, &serde_json::to_vec(content).unwrap_or_default());
    }

    /// Closes all rows that are being filled.
    pub(super) fn close(&mut self, routes: &[i32]) {
        for (mut open, &route) in std::mem::take(&mut self.open).into_iter().zip(routes) {
            if !open.is_empty() {
                self.row(self.kind, route, &open);
                open.clear();
            }
            self.open.push(open);
        }
        self.close_batch();
    }

    /// Forgets what has not been handed over.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.kind, self.open.len());
    }

    /// The batches that are full.
    pub(super) fn take(&mut self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.batches)
    }

    fn close_batch(&mut self) {
        let columns: [ArrayRef; 3] =
            [Arc::new(self.routes.finish()), Arc::new(self.kinds.finish()), Arc::new(self.records.finish())];
        self.bytes = 0;
        // The columns are those of the schema, and of one length.
        self.batches.extend(RecordBatch::try_new(schema(), columns.to_vec()).ok().filter(|batch| batch.num_rows() > 0));
    }
}

/// Reads rows one after the other.
pub(super) struct Rows<'a> {
    batches: &'a mut dyn Iterator<Item = Result<RecordBatch>>,
    current: Option<Columns>,
    next: usize,
}

struct Columns {
    routes: Int32Array,
    kinds: Int32Array,
    records: ArrayRef,
}

impl<'a> Rows<'a> {
    pub(super) fn new(batches: &'a mut dyn Iterator<Item = Result<RecordBatch>>) -> Self {
        Self { batches, current: None, next: 0 }
    }

    /// The route of the next row.
    pub(super) fn route(&mut self) -> Result<Option<i32>> {
        Ok(self.columns()?.map(|(columns, row)| columns.routes.value(row)))
    }

    /// Takes the next rows as long as they are of a route and of a kind.
    pub(super) fn visit(&mut self, route: i32, kind: Kind, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        while let Some((columns, row)) = self.columns()? {
            if columns.routes.value(row) != route || columns.kinds.value(row) != kind as i32 {
                break;
            }
            visit(columns.records(row))?;
            self.next += 1;
        }
        Ok(())
    }

    /// Takes all rows that are left, whatever their kind.
    pub(super) fn visit_all(&mut self, mut visit: impl FnMut(i32, &[u8]) -> Result<()>) -> Result<()> {
        while let Some((columns, row)) = self.columns()? {
            visit(columns.kinds.value(row), columns.records(row))?;
            self.next += 1;
        }
        Ok(())
    }

    /// Passes over the other rows of a route, and says whether there was any.
    pub(super) fn skip(&mut self, route: i32) -> Result<bool> {
        let mut any = false;
        while self.route()? == Some(route) {
            self.next += 1;
            any = true;
        }
        Ok(any)
    }

    /// The batch and place of the next row; none where all are read.
    fn columns(&mut self) -> Result<Option<(&Columns, usize)>> {
        while self.current.as_ref().is_none_or(|columns| self.next >= columns.routes.len()) {
            let Some(batch) = self.batches.next() else { return Ok(None) };
            (self.current, self.next) = (Some(Columns::new(&batch?)?), 0);
        }
        Ok(self.current.as_ref().map(|columns| (columns, self.next)))
    }
}

impl Columns {
    fn new(batch: &RecordBatch) -> Result<Self> {
        let misfit = || Error::Tasks { problem: format!("rows with the columns {}", batch.schema()) };
        let column = |name: &str| batch.column_by_name(name).ok_or_else(misfit);
        let integers = |name: &str| column(name)?.as_primitive_opt::<Int32Type>().cloned().ok_or_else(misfit);
        let records = column("records")?;
        if !matches!(records.data_type(), DataType::Binary | DataType::LargeBinary) {
            return Err(misfit());
        }
        Ok(Self { routes: integers("route")?, kinds: integers("kind")?, records: Arc::clone(records) })
    }

    fn records(&self, row: usize) -> &[u8] {
        match self.records.as_binary_opt::<i32>() {
            Some(records) => records.value(row),
            None => self.records.as_binary::<i64>().value(row),
        }
    }
}
