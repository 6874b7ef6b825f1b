//! Chunks as builds understand them, for a person to look at: what a build takes of their rows, what it refuses, and what it passes
//! over.

use super::actions::action;
use super::columns::{Cell, Reader};
use super::impressions::sample;
use super::reject::Fault;
use super::roles::{Roles, ValueOf};
use super::table::{Column, TableChunk};
use super::walk::At;
use crate::config::Plan;
use crate::error::{BadRow, Result};
use crate::event::{Day, ItemDtype, ItemId, NULL_TIME};
use crate::pack;
use crate::read::{Chunk, Projection};
use crate::schema::{ActionTable, Cutoff};

/// How a table is looked at.
pub struct Look<'a> {
    roles: Roles<'a>,
    item_dtype: ItemDtype,
    /// Whether it is one of actions.
    is_of_actions: bool,
}

/// A sample or an action, as it is understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The number of its row in the file or source, where it is known.
    pub number: Option<u64>,
    /// Its day.
    pub day: Day,
    /// Its customer.
    pub customer: i64,
    /// Its item.
    pub item: i64,
    /// The number of its type; of samples 0.
    pub kind: u8,
    /// Its time, where the table has times that builds read and this one is not null.
    pub time: Option<i64>,
    /// Of a sample its request, where requests have ids.
    pub request: Option<i64>,
    /// Of a sample its labels and what is kept of it; of an action its features.
    pub values: Vec<pack::Value>,
}

/// What a chunk holds.
#[derive(Debug, Default)]
pub struct Looked {
    /// Its samples or actions in their order, and bad rows among them.
    pub rows: Vec<Result<Row, BadRow>>,
    /// What each filter of the description leaves out.
    pub passed: Vec<Passed>,
    /// Every time that there is, also those of bad rows; none where builds read no times of the table.
    pub times: Vec<i64>,
    /// The nulls of columns that may have some: the times, and what has a value for them.
    pub nulls: Vec<Nulls>,
}

/// The rows, or the elements of lists, that a filter leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Its column.
    pub column: String,
    /// Whether it is `other = "ignore"`, and not one of `where`.
    pub is_of_types: bool,
    /// Whether they are elements of lists.
    pub of_elements: bool,
    /// How many it leaves out.
    pub passed: u64,
    /// How many it lets through.
    pub left: u64,
}

/// The nulls of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nulls {
    /// The name of what is kept; none for the times.
    pub name: Option<String>,
    /// How many there are.
    pub nulls: u64,
    /// Of so many values.
    pub of: u64,
}

impl Nulls {
    fn of(name: Option<&str>, column: &Column<'_>) -> Self {
        Self { name: name.map(str::to_owned), nulls: column.cells.nulls() as u64, of: column.cells.len() as u64 }
    }
}

impl<'a> Look<'a> {
    /// How the table of samples is looked at.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) where a description has not been checked.
    pub fn at_samples(plan: &'a Plan) -> Result<Self> {
        Ok(Self { roles: Roles::of_samples(plan)?, item_dtype: plan.item_dtype(), is_of_actions: false })
    }

    /// How a table of actions is looked at.
    ///
    /// # Errors
    /// As [`Look::at_samples`].
    pub fn at_actions(plan: &'a Plan, table: &'a ActionTable) -> Result<Self> {
        let roles = Roles::of_actions(plan, table)?;
        Ok(Self { roles, item_dtype: plan.item_dtype(), is_of_actions: true })
    }

    /// What the table is read for.
    #[must_use]
    pub fn wanted(&self) -> &Projection {
        &self.roles.wanted
    }

    /// Looks at a chunk.
    ///
    /// # Errors
    /// What stops a build whatever its rows hold: a column of a type that cannot be what is asked, days of an unknown zone.
    pub fn chunk(&self, chunk: &Chunk) -> Result<Looked> {
        match self.item_dtype {
            ItemDtype::I32 => self.look::<i32>(chunk),
            ItemDtype::I64 => self.look::<i64>(chunk),
        }
    }

    fn look<I: ItemId>(&self, chunk: &Chunk) -> Result<Looked> {
        let reader = Reader::new(self.roles.table, chunk);
        let table = TableChunk::new(&reader, chunk, &self.roles)?;
        let mut looked = Looked::default();
        for row in 0..table.walk.rows {
            let place = table.walk.place(row);
            let key = match table.key(row) {
                Ok(key) => key,
                Err(fault) => {
                    looked.rows.push(Err(fault.in_row(&reader, place)));
                    continue;
                }
            };
            for element in table.walk.elements(row) {
                let found = self.row::<I>(&table, At { row, element }, key);
                let number = reader.origin.rows.number(place);
                looked.rows.push(found.map(|row| Row { number, ..row }).map_err(|fault| fault.in_row(&reader, place)));
            }
        }
        looked.passed = table.passed_over.iter().map(Passed::of).collect();
        if let Some(times) = &table.times {
            let value = |place| match times.cells.get(place) {
                Cell::Value(time) => Some(time),
                Cell::Null | Cell::Bad => None,
            };
            looked.times = (0..times.cells.len()).filter_map(value).collect();
            // With a cut-off at the time a null is a bad row.
            looked.nulls.extend((self.roles.cutoff == Cutoff::Day).then(|| Nulls::of(None, times)));
        }
        let replaced = table.values.iter().filter(|(role, _)| matches!(role.of, ValueOf::Kept { null: Some(_), .. }));
        looked.nulls.extend(replaced.map(|(role, column)| Nulls::of(Some(role.name), column)));
        Ok(looked)
    }

    /// A sample or an action, checked as builds check it.
    fn row<I: ItemId>(
        &self,
        table: &TableChunk<'_>,
        at: At,
        (day, customer): (Option<Day>, Option<i64>),
    ) -> Result<Row, Fault> {
        let mut values = Vec::new();
        if self.is_of_actions {
            let (day, customer, kind, item, time) = action::<I>(table, at, (day, customer), &mut values)?;
            let time = Some(time).filter(|&time| time != NULL_TIME);
            return Ok(Row { number: None, day, customer, item: item.into(), kind, time, request: None, values });
        }
        let (day, customer, item) = sample::<I>(table, at, day, customer, &mut values)?;
        let time = match table.times.as_ref().map(|times| times.get(at)) {
            Some(Cell::Value(time)) => Some(time),
            Some(Cell::Null | Cell::Bad) | None => None,
        };
        // Before the columns there are the time and the id of the request, where requests have them.
        let has_time = table.times.is_some() && self.roles.has_request_times;
        let has_request = self.roles.request.is_some();
        let columns = values.split_off((usize::from(has_time) + usize::from(has_request)).min(values.len()));
        let request = match values.pop().filter(|_| has_request) {
            Some(pack::Value::Integer(request)) => Some(request),
            Some(pack::Value::Float(_)) | None => None,
        };
        Ok(Row { number: None, day, customer, item: item.into(), kind: 0, time, request, values: columns })
    }
}

impl Passed {
    fn of(filter: &super::table::PassedOver<'_>) -> Self {
        Self {
            column: filter.path.to_owned(),
            is_of_types: filter.is_of_types,
            of_elements: filter.in_list,
            passed: filter.passed as u64,
            left: filter.left as u64,
        }
    }
}
