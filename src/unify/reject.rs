//! Rows that break the contract: an error that stops the run, or a record that is kept aside.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::columns::{Cell, Reader};
use super::spilled::SpilledRejects;
use crate::config::InvalidRows;
use crate::error::{BadRow, Error, Reason, Result};
use crate::event::Day;
use crate::fsio::SpillFolder;
use crate::schema::ValueType;
use crate::texts::format_time;

/// A row that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Why.
    pub reason: Reason,
    /// Its day, where it has a valid one.
    pub day: Option<Day>,
    /// Its line in `_rejected.jsonl`, without the line feed; it does not show in which file, format or place the row stood.
    pub line: String,
}

/// What is wrong with a row.
pub(super) struct Fault {
    pub(super) reason: Reason,
    pub(super) column: String,
    /// What the column holds, or `None` where it is null.
    pub(super) value: Option<String>,
}

impl Fault {
    /// The error for a row of the chunk.
    pub(super) fn in_row(self, reader: &Reader<'_>, row: usize) -> BadRow {
        BadRow {
            table: reader.table.to_owned(),
            file: reader.origin.path().map(ToOwned::to_owned),
            row: reader.origin.rows.number(row),
            is_line: reader.origin.text,
            in_path: reader.origin.day.is_some() && matches!(self.reason, Reason::NullDay | Reason::UnparsableDay),
            column: self.column,
            value: self.value.unwrap_or_else(|| "null".to_owned()),
            reason: self.reason,
        }
    }
}

/// So many bytes of rejected rows of a table are kept in memory, where there is a folder for more.
const MOST_KEPT: usize = 4 << 20;

/// What a row takes in memory beside its line.
const BESIDE_LINE: usize = size_of::<Reject>() + 16;

/// The most bytes of a text in a record. A value may be as long as a line.
const LONGEST_TEXT: usize = 16 << 10;

/// The most elements of a list in a record.
pub(super) const MOST_ELEMENTS: usize = 10_000;

/// Takes the bad rows of a table: the first ends the reading, or all are kept, as the options say.
pub(super) struct Rejects<'a> {
    invalid: InvalidRows,
    folder: Option<&'a SpillFolder>,
    kept: Mutex<KeptRejects>,
}

/// Rejected rows of a table: a few in memory, then all on disk.
#[derive(Default)]
pub struct KeptRejects {
    rejects: Vec<Reject>,
    bytes: usize,
    spilled: Option<SpilledRejects>,
}

impl KeptRejects {
    /// Adds a row; more than a few are spilled into `folder`, where there is one.
    ///
    /// # Errors
    /// What the spill disk says.
    pub fn push(&mut self, reject: Reject, folder: Option<&SpillFolder>) -> Result<()> {
        self.bytes += reject.line.len() + BESIDE_LINE;
        self.rejects.push(reject);
        match folder {
            Some(folder) if self.bytes > MOST_KEPT => self.spill(folder),
            _ => Ok(()),
        }
    }

    /// All of them: in memory, or all in `folder` where some are.
    ///
    /// # Errors
    /// What the spill disk says.
    pub fn finish(mut self, folder: Option<&SpillFolder>) -> Result<(Vec<Reject>, Option<Arc<SpilledRejects>>)> {
        if let (Some(folder), true) = (folder, self.spilled.is_some()) {
            self.spill(folder)?;
        }
        Ok((self.rejects, self.spilled.map(Arc::new)))
    }

    fn spill(&mut self, folder: &SpillFolder) -> Result<()> {
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            None => self.spilled.insert(SpilledRejects::new(folder)?),
        };
        spilled.add(&mut self.rejects)?;
        self.bytes = 0;
        Ok(())
    }
}

impl<'a> Rejects<'a> {
    /// More than a few are spilled into `folder`, where there is one.
    pub(super) fn new(invalid: InvalidRows, folder: Option<&'a SpillFolder>) -> Self {
        Self { invalid, folder, kept: Mutex::default() }
    }

    /// `contents` gives the columns of the row for the record.
    pub(super) fn add(
        &self,
        reader: &Reader<'_>,
        row: usize,
        day: Cell,
        fault: Fault,
        contents: impl FnOnce() -> Map<String, Value>,
    ) -> Result<()> {
        match self.invalid {
            InvalidRows::Fail => Err(Error::BadRow(Box::new(fault.in_row(reader, row)))),
            InvalidRows::Skip => {
                #[expect(clippy::disallowed_macros, reason = "no path is in it")]
                let line = json!({
                    "table": reader.table,
                    "reason": fault.reason.name(),
                    "column": fault.column,
                    "value": spelled(fault.value),
                    "row": contents(),
                });
                let reject = Reject { reason: fault.reason, day: valid_day(day), line: line.to_string() };
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(reject, self.folder)
            }
        }
    }

    pub(super) fn finish(self) -> Result<(Vec<Reject>, Option<Arc<SpilledRejects>>)> {
        self.kept.into_inner().unwrap_or_else(PoisonError::into_inner).finish(self.folder)
    }
}

/// The day of a checked row.
pub(super) fn valid_day(day: Cell) -> Option<Day> {
    match day {
        Cell::Value(day) => i32::try_from(day).ok().map(Day),
        Cell::Null | Cell::Bad => None,
    }
}

/// A text in a record; of a long one the beginning.
fn spelled(text: Option<String>) -> Value {
    let Some(mut text) = text else { return Value::Null };
    if text.len() > LONGEST_TEXT {
        // A character has four bytes at most.
        let end = (LONGEST_TEXT - 3..=LONGEST_TEXT).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text.into()
}

/// A day in a record: as `2025-08-15` where it is one, as it was spelled where not.
pub(super) fn day_value(day: Cell, text: Option<String>) -> Value {
    valid_day(day).map_or_else(|| spelled(text), |day| day.to_string().into())
}

/// An id in a record: a number where it is one, as it was spelled where not.
pub(super) fn id_value(id: Cell, text: Option<String>) -> Value {
    match id {
        Cell::Value(id) => id.into(),
        Cell::Null | Cell::Bad => spelled(text),
    }
}

/// A time in a record: RFC 3339 in UTC where it is one, as it was spelled where not.
pub(super) fn time_value(time: Cell, text: Option<String>) -> Value {
    match time {
        Cell::Value(micros) => format_time(micros).into(),
        Cell::Null | Cell::Bad => spelled(text),
    }
}

/// A label, or what is kept, in a record: a bool or a number where it is one, as it was spelled where not.
pub(super) fn value_of(cell: Cell, text: Option<String>, dtype: ValueType) -> Value {
    match (cell, dtype) {
        (Cell::Value(value), ValueType::Bool) => (value != 0).into(),
        (Cell::Value(value), ValueType::U8 | ValueType::I32 | ValueType::I64) => value.into(),
        _ => spelled(text),
    }
}
