//! The rows of the shuffle: packed records of one kind for one part.
//!
//! | column | |
//! |---|---|
//! | `route` int32 | the part, by the number that the engine sends to its task |
//! | `kind` int32 | what the records are; a part's rows come in its order |
//! | `records` binary | the records, little-endian, some kilobytes of them at most, but for reports on whole tables and a row with a long list that was left out |
//!
//! They live as long as a job, and both ends are of one version.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, Int32Array, Int32Builder, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{Error, Invariant, Result};

/// What a row holds, in the order in which a part's task needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub(super) enum RecordKind {
    /// Nothing: that there is such a part. Every part has one, be it without any customer.
    Part = 0,
    /// The error of a map task, as text; every part hears of it.
    Fault = 1,
    /// What a map task found in impressions beside samples: `unify::Impressions` as JSON; for the first part.
    Impressions = 2,
    /// The same of actions: the table's name and `unify::Actions` as JSON; for the first part.
    Actions = 3,
    /// Samples (`event::Sample`), whose days are places in the group of days, each with its packed row behind it.
    Samples = 4,
    /// Customers' actions: for each customer its id (i64), how many actions follow (u32), and their keys, newest first, and
    /// then their packed rows.
    Histories = 5,
    /// The ids (i64) of customers with impressions, from a task that only counts.
    Customers = 6,
    /// All of them, as a filter, for the driver.
    Filter = 7,
    /// What a map task has sent in all, to whatever part ([`Sent`] as JSON): its last row; for the first part.
    Sent = 8,
    /// Rows that were left out: the table's name and some `unify::Reject` as JSON; for the first part.
    Rejects = 9,
}

/// What rows add up to, in whatever order they come: a row that is lost, doubled, changed or sent astray changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    rows: u64,
    hashes: u64,
}

impl Tally {
    fn add(&mut self, route: i32, kind: i32, records: &[u8]) {
        // A part's first row comes from no map task, and the last row of one is about those before it.
        if kind == RecordKind::Part as i32 || kind == RecordKind::Sent as i32 {
            return;
        }
        let place = u64::from(route.cast_unsigned()) << 32 | u64::from(kind.cast_unsigned());
        self.rows += 1;
        self.hashes = self.hashes.wrapping_add(xxh3_64_with_seed(records, place));
    }

    /// The rows of some tallies together.
    pub(super) fn sum<'a>(tallies: impl Iterator<Item = &'a Self>) -> Self {
        tallies.fold(Self::default(), |sum, one| Self {
            rows: sum.rows.wrapping_add(one.rows),
            hashes: sum.hashes.wrapping_add(one.hashes),
        })
    }
}

/// What a map task has sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Sent {
    /// The table, by its name.
    pub(super) table: String,
    /// The task's number among those of the table.
    pub(super) task: u64,
    pub(super) rows: u64,
    pub(super) hashes: u64,
}

/// Checks that what has arrived is what map tasks have sent, each of which has sent it once.
pub(super) fn compare(mut sent: Vec<Sent>, received: Tally) -> Result<()> {
    let total =
        Tally::sum(sent.iter().map(|sent| Tally { rows: sent.rows, hashes: sent.hashes }).collect::<Vec<_>>().iter());
    if total != received {
        let (sent, received) = (total.rows, received.rows);
        let problem = if sent == received {
            format!("of {sent} rows of the shuffle some have changed on the way")
        } else {
            format!("{sent} rows of the shuffle were sent, {received} have arrived")
        };
        return Err(Error::Tasks { problem });
    }
    sent.sort_unstable();
    for tasks in sent.chunk_by(|a, b| a.table == b.table) {
        // Engines number the tasks of a stage through, so that those of a table need not begin at 0.
        if let Some(pair) = tasks.windows(2).find(|pair| pair[1].task != pair[0].task + 1) {
            let (table, one, next) = (&pair[0].table, pair[0].task, pair[1].task);
            let what = if one == next { "has reported twice" } else { "is followed in the reports by another" };
            return Err(Error::Tasks { problem: format!("{table}: map task {one} {what}, {next}") });
        }
    }
    Ok(())
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
    kind: RecordKind,
    /// For each part the row that is being filled.
    open: Vec<Vec<u8>>,
    batches: Vec<RecordBatch>,
    routes: Int32Builder,
    kinds: Int32Builder,
    records: BinaryBuilder,
    bytes: usize,
    tally: Tally,
    /// What could not be put into rows; the task fails with it.
    broken: Option<Error>,
}

impl Outbox {
    /// For records of one kind, and reports.
    pub(super) fn new(kind: RecordKind, parts: usize) -> Self {
        Self {
            kind,
            open: vec![Vec::new(); parts],
            batches: Vec::new(),
            routes: Int32Builder::new(),
            kinds: Int32Builder::new(),
            records: BinaryBuilder::new(),
            bytes: 0,
            tally: Tally::default(),
            broken: None,
        }
    }

    /// Adds a record for a part: `pack` appends its bytes.
    pub(super) fn add(&mut self, part: u32, routes: &[i32], pack: impl FnOnce(&mut Vec<u8>)) {
        let Some((open, &route)) = self.open.get_mut(part as usize).zip(routes.get(part as usize)) else {
            self.broken.get_or_insert_with(|| Error::internal("every customer has a part"));
            return;
        };
        pack(open);
        if open.len() >= ROW_BYTES {
            let row = std::mem::take(open);
            self.row(self.kind, route, &row);
            // The same memory again.
            self.open[part as usize] = row;
            self.open[part as usize].clear();
        }
    }

    /// Adds a whole row.
    pub(super) fn row(&mut self, kind: RecordKind, route: i32, records: &[u8]) {
        self.routes.append_value(route);
        self.kinds.append_value(kind as i32);
        self.records.append_value(records);
        self.bytes += records.len();
        self.tally.add(route, kind as i32, records);
        if self.bytes >= BATCH_BYTES {
            self.close_batch();
        }
    }

    /// Adds a report as a whole row.
    pub(super) fn report(&mut self, kind: RecordKind, route: i32, content: &impl Serialize) {
        // Numbers, texts, lists and maps keyed by numbers: the printer has nothing to refuse.
        match serde_json::to_vec(content).invariant("a report can be printed") {
            Ok(bytes) => self.row(kind, route, &bytes),
            Err(error) => drop(self.broken.get_or_insert(error)),
        }
    }

    /// Closes all rows that are being filled, and says what was sent in all; the task is over.
    pub(super) fn close_task(&mut self, routes: &[i32], reports_route: i32, table: &str, task: u64) {
        self.close(routes);
        let Tally { rows, hashes } = self.tally;
        let sent = Sent { table: table.to_owned(), task, rows, hashes };
        self.report(RecordKind::Sent, reports_route, &sent);
        self.close_batch();
    }

    /// Closes all rows that are being filled.
    pub(super) fn close(&mut self, routes: &[i32]) {
        if self.open.len() != routes.len() {
            self.broken.get_or_insert_with(|| Error::internal("every part has a route"));
        }
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
    ///
    /// # Errors
    /// What could not be put into rows.
    pub(super) fn take(&mut self) -> Result<Vec<RecordBatch>> {
        match self.broken.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut self.batches)),
        }
    }

    fn close_batch(&mut self) {
        let columns: [ArrayRef; 3] =
            [Arc::new(self.routes.finish()), Arc::new(self.kinds.finish()), Arc::new(self.records.finish())];
        self.bytes = 0;
        match RecordBatch::try_new(schema(), columns.to_vec()).invariant("rows have the columns of their schema") {
            Ok(batch) => self.batches.extend(Some(batch).filter(|batch| batch.num_rows() > 0)),
            Err(error) => drop(self.broken.get_or_insert(error)),
        }
    }
}

/// Reads rows one after the other.
pub(super) struct Rows<'a> {
    batches: &'a mut dyn Iterator<Item = Result<RecordBatch>>,
    current: Option<Columns>,
    next: usize,
    /// What the rows that were taken add up to.
    tally: Tally,
}

struct Columns {
    routes: Int32Array,
    kinds: Int32Array,
    records: ArrayRef,
}

impl<'a> Rows<'a> {
    pub(super) fn new(batches: &'a mut dyn Iterator<Item = Result<RecordBatch>>) -> Self {
        Self { batches, current: None, next: 0, tally: Tally::default() }
    }

    /// The route of the next row.
    pub(super) fn route(&mut self) -> Result<Option<i32>> {
        Ok(self.columns()?.map(|(columns, row)| columns.routes.value(row)))
    }

    /// Takes the next rows as long as they are of a route and of a kind.
    pub(super) fn visit(
        &mut self,
        route: i32,
        kind: RecordKind,
        mut visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        while let Some((columns, row)) = self.columns()? {
            if columns.routes.value(row) != route || columns.kinds.value(row) != kind as i32 {
                break;
            }
            visit(columns.records(row))?;
            self.taken()?;
        }
        Ok(())
    }

    /// Takes all rows that are left, whatever their kind.
    pub(super) fn visit_all(&mut self, mut visit: impl FnMut(i32, &[u8]) -> Result<()>) -> Result<()> {
        while let Some((columns, row)) = self.columns()? {
            visit(columns.kinds.value(row), columns.records(row))?;
            self.taken()?;
        }
        Ok(())
    }

    /// Passes over the other rows of a route, and says whether there was any.
    pub(super) fn skip(&mut self, route: i32) -> Result<bool> {
        let mut any = false;
        while self.route()? == Some(route) {
            self.taken()?;
            any = true;
        }
        Ok(any)
    }

    /// Goes on behind the next row.
    fn taken(&mut self) -> Result<()> {
        let columns = self.current.as_ref().invariant("a row was looked at before it is taken")?;
        let row = self.next;
        self.tally.add(columns.routes.value(row), columns.kinds.value(row), columns.records(row));
        self.next += 1;
        Ok(())
    }

    /// What the rows add up to that were taken since the last time.
    pub(super) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
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
