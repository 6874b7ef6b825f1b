//! The columns of a chunk by what they mean: day, customer, item and whatever else a description asks for, each checked.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use serde_json::{Map, Value};

use super::columns::{Cell, Cells, Reader};
use super::days::Days;
use super::reject::{Fault, MOST_ELEMENTS, day_value, id_value, time_value, valid_day, value_of};
use super::roles::{POSITIONS, Roles, TypeSource, ValueOf, ValueRole, Wish};
use super::splits::split;
use super::walk::{At, Leaf, Walk};
use crate::error::{Error, Reason, Result};
use crate::event::{Day, ItemId, MICROS_PER_DAY, NULL_TIME};
use crate::pack;
use crate::read::{Chunk, Projection};
use crate::schema::Cutoff;

/// A column, and where it stands.
pub(super) struct Column<'a> {
    /// Its path.
    path: &'a str,
    /// Its name beside a list that it may be in.
    flat: Option<&'a str>,
    /// Whether it stands there in all rows of the chunk.
    is_flat: bool,
    in_list: bool,
    pub(super) cells: Cells,
}

impl<'a> Column<'a> {
    pub(super) fn get(&self, at: At) -> Cell {
        self.cells.get(at.place(self.in_list))
    }

    fn text(&self, at: At) -> Option<String> {
        self.cells.text(at.place(self.in_list))
    }

    fn fault(&self, reason: Reason, at: At, walk: &Walk) -> Fault {
        let is_flat = self.is_flat || (self.in_list && walk.is_flat(at.element));
        let column = self.flat.filter(|_| is_flat).unwrap_or(self.path).to_owned();
        Fault { reason, column, value: self.text(at) }
    }

    /// Its name in the record of a row that is left out.
    fn name(&self) -> &'a str {
        self.flat.unwrap_or(self.path)
    }

    /// All values and whether they are those of elements, where every row has one.
    pub(super) fn plain(&self) -> Option<PlainColumn<'_>> {
        Some(PlainColumn { values: self.cells.plain()?, in_list: self.in_list })
    }
}

/// A column without nulls and faults.
#[derive(Clone, Copy)]
pub(super) struct PlainColumn<'a> {
    pub(super) values: &'a [i64],
    pub(super) in_list: bool,
}

impl PlainColumn<'_> {
    pub(super) fn get(&self, at: At) -> i64 {
        self.values[at.place(self.in_list)]
    }
}

/// The columns of a chunk.
pub(super) struct TableChunk<'a> {
    pub(super) roles: &'a Roles<'a>,
    pub(super) walk: Walk,
    /// The name of the column of the day, and whether it is in a list.
    day_column: &'a str,
    days_in_list: bool,
    pub(super) days: Days,
    pub(super) customers: Column<'a>,
    pub(super) items: Column<'a>,
    pub(super) kinds: Option<Column<'a>>,
    pub(super) times: Option<Column<'a>>,
    requests: Option<Column<'a>>,
    /// Labels and kept columns, or features.
    pub(super) values: Vec<(&'a ValueRole<'a>, Column<'a>)>,
    /// What has been left out before anything was checked.
    pub(super) passed_over: Vec<PassedOver<'a>>,
}

/// The rows, or the elements of lists, that a filter leaves out.
pub(super) struct PassedOver<'a> {
    pub(super) path: &'a str,
    pub(super) is_of_types: bool,
    /// Whether they are elements.
    pub(super) in_list: bool,
    pub(super) passed: usize,
    /// Those that it lets through.
    pub(super) left: usize,
}

impl<'a> TableChunk<'a> {
    pub(super) fn new(reader: &Reader<'_>, chunk: &Chunk, roles: &'a Roles<'a>) -> Result<Self> {
        let batch = split(reader, &chunk.batch, &roles.source.splits)?;
        let path_day = chunk.origin.day.as_ref().filter(|_| !roles.day.is_of_time());
        let day_column = roles.day.column.filter(|_| path_day.is_none());
        let paths: Vec<&str> = roles.paths.iter().copied().chain(day_column).collect();
        let mut walk = Walk::new(reader, &batch, &roles.wanted, &paths)?;
        let passed_over = pass_over(reader, roles, &mut walk)?;
        let column = |path: &'a str, read: &ReadCells<'_>| read_column(&walk, &roles.wanted, path, read);
        let customers = column(roles.customer, &|name, array| reader.ids(name, array, roles.customer_ids))?;
        let items = column(roles.item, &|name, array| reader.item_ids(name, array, roles.item_ids))?;
        let times =
            roles.time.as_ref().map(|(path, times)| column(path, &|name, array| reader.times(name, array, times)));
        let times = times.transpose()?;
        let kinds = match &roles.kind {
            TypeSource::Constant(_) => None,
            TypeSource::Column { path, texts, numbers, .. } => Some(column(path, &|name, array| {
                let places = reader.places(name, array, texts)?;
                Ok(places
                    .map(|place| usize::try_from(place).ok().and_then(|place| numbers.get(place)).map(|&n| n.into())))
            })?),
        };
        let requests = roles.request.map(|path| column(path, &|name, array| reader.request_ids(name, array)));
        let (days, days_in_list) = match (path_day, &times, day_column) {
            (Some(day), ..) => (Days::Path(day.clone()), false),
            (None, Some(times), None) => (roles.day.of_times(&times.cells), times.in_list),
            (None, _, day_column) => {
                let path = day_column.ok_or_else(|| no_path(roles.table))?;
                let leaf = walk.leaf(path)?;
                (reader.days(path, &leaf.array, roles.day.zone.as_ref())?, leaf.in_list)
            }
        };
        let day_column = roles.day.name(times.as_ref().map(|times| times.path));
        let mut table = Self {
            roles,
            day_column,
            days_in_list,
            days,
            requests: requests.transpose()?,
            customers,
            items,
            kinds,
            times,
            values: Vec::new(),
            passed_over,
            walk,
        };
        for role in &roles.values {
            let values = table.value(reader, &batch, role)?;
            table.values.push((role, values));
        }
        Ok(table)
    }

    /// A label, a kept column or a feature.
    fn value(&self, reader: &Reader<'_>, batch: &RecordBatch, role: &'a ValueRole<'a>) -> Result<Column<'a>> {
        let column = |path: &'a str, in_list, is_flat, cells| Column {
            path,
            flat: self.roles.wanted.flat(path),
            is_flat,
            in_list,
            cells,
        };
        let read = |path: &'a str, read: &ReadCells<'_>| read_column(&self.walk, &self.roles.wanted, path, read);
        match &role.of {
            ValueOf::Constant(value) => Ok(column(role.name, false, false, Cells::constant(*value, self.walk.rows))),
            ValueOf::Position => {
                let leaf = self.walk.leaf(POSITIONS)?;
                let cells = reader.values(role.name, &leaf.array, role.dtype)?;
                Ok(column(role.name, leaf.in_list, false, cells))
            }
            ValueOf::Kept { path, null } => {
                read(path, &|name, array| Ok(reader.values(name, array, role.dtype)?.with_null(*null)))
            }
            ValueOf::AtLeast { path, threshold } => read(path, &|name, array| reader.at_least(name, array, *threshold)),
            ValueOf::Is { path, texts } => read(path, &|name, array| {
                let places = reader.places(name, array, texts)?;
                Ok(Cells::new(array, |row| Cell::Value(i64::from(matches!(places.get(row), Cell::Value(_))))))
            }),
            ValueOf::Equals { path } => {
                let ids = read(path, &|name, array| reader.item_ids(name, array, self.roles.item_ids))?;
                Ok(self.of_items(role.name, |at, item| ids.get(at) == Cell::Value(item)))
            }
            ValueOf::In { path } => {
                let (ranges, values) = Walk::list_of(reader, batch, path)?;
                let ids = reader.item_ids(path, &values, self.roles.item_ids)?;
                Ok(self.of_items(role.name, |at, item| {
                    let range = ranges.get(self.walk.place(at.row)).map_or(0..0, |&(start, end)| start..end);
                    range.into_iter().any(|element| ids.get(element) == Cell::Value(item))
                }))
            }
        }
    }

    /// What holds of each item, as 0 and 1.
    fn of_items(&self, name: &'a str, holds: impl Fn(At, i64) -> bool) -> Column<'a> {
        let mut cells = vec![0; self.items.cells.len().max(self.elements())];
        let in_list = self.walk.lists.is_some();
        for row in 0..self.walk.rows {
            for element in self.walk.elements(row) {
                let at = At { row, element };
                if let (Cell::Value(item), Some(cell)) = (self.items.get(at), cells.get_mut(at.place(in_list))) {
                    *cell = i64::from(holds(at, item));
                }
            }
        }
        Column { path: name, flat: None, is_flat: false, in_list, cells: Cells::from_numbers(cells) }
    }

    /// The numbers that elements have.
    fn elements(&self) -> usize {
        (0..self.walk.rows).map(|row| self.walk.elements(row).end).max().unwrap_or(0)
    }

    /// What is checked of a row: the day and the customer, unless they are in a list, and that its lists are as long as each other.
    pub(super) fn key(&self, row: usize) -> Result<(Option<Day>, Option<i64>), Fault> {
        let at = At::row(row);
        let day = if self.days_in_list { None } else { Some(self.day(at)?) };
        let customer = if self.customers.in_list { None } else { Some(self.customer(at)?) };
        if self.walk.is_unequal(row) {
            return Err(Fault { reason: Reason::UnequalLists, column: self.items.path.to_owned(), value: None });
        }
        Ok((day, customer))
    }

    pub(super) fn day(&self, at: At) -> Result<Day, Fault> {
        let place = at.place(self.days_in_list);
        let cell = self.days.get(place);
        if let Some(day) = valid_day(cell) {
            return Ok(day);
        }
        let bad_time = self.times.as_ref().filter(|times| self.roles.day.is_of_time() && times.get(at) == Cell::Bad);
        if let Some(times) = bad_time {
            return Err(times.fault(Reason::UnparsableTime, at, &self.walk));
        }
        let reason = if cell == Cell::Null { Reason::NullDay } else { Reason::UnparsableDay };
        Err(Fault { reason, column: self.day_column.to_owned(), value: self.days.text(place) })
    }

    /// The day of a row that is left out.
    pub(super) fn day_cell(&self, at: At) -> Cell {
        self.days.get(at.place(self.days_in_list))
    }

    pub(super) fn customer(&self, at: At) -> Result<i64, Fault> {
        let column = &self.customers;
        let reason = match column.get(at) {
            Cell::Value(customer) => return Ok(customer),
            Cell::Null => Reason::NullCustomer,
            Cell::Bad if column.cells.is_integer(at.place(column.in_list)) => Reason::CustomerOutOfRange,
            Cell::Bad => Reason::CustomerNoInteger,
        };
        Err(column.fault(reason, at, &self.walk))
    }

    pub(super) fn kind(&self, at: At) -> Result<u8, Fault> {
        match (&self.kinds, &self.roles.kind) {
            (None, TypeSource::Constant(kind)) => Ok(*kind),
            (Some(column), _) => match column.get(at) {
                Cell::Value(kind) => u8::try_from(kind).map_err(|_| column.fault(Reason::UnknownType, at, &self.walk)),
                Cell::Null | Cell::Bad => Err(column.fault(Reason::UnknownType, at, &self.walk)),
            },
            (None, TypeSource::Column { path, .. }) => {
                Err(Fault { reason: Reason::UnknownType, column: (*path).to_owned(), value: None })
            }
        }
    }

    pub(super) fn item<I: ItemId>(&self, at: At) -> Result<I, Fault> {
        let column = &self.items;
        if let Cell::Value(item) = column.get(at)
            && let Ok(item) = I::try_from(item)
        {
            return Ok(item);
        }
        let reason = match column.get(at) {
            Cell::Null => Reason::NullItem,
            Cell::Value(_) => Reason::ItemOutOfRange,
            Cell::Bad if column.cells.is_integer(at.place(column.in_list)) => Reason::ItemOutOfRange,
            Cell::Bad => Reason::ItemNoInteger,
        };
        Err(column.fault(reason, at, &self.walk))
    }

    /// The time of an action of a day.
    pub(super) fn time(&self, at: At, day: Day) -> Result<i64, Fault> {
        let Some(column) = &self.times else { return Ok(self.time_on(day)) };
        match column.get(at) {
            Cell::Value(time) => Ok(time),
            Cell::Null if self.roles.cutoff == Cutoff::Day => Ok(NULL_TIME),
            Cell::Null => Err(column.fault(Reason::NullTime, at, &self.walk)),
            Cell::Bad => Err(column.fault(Reason::UnparsableTime, at, &self.walk)),
        }
    }

    /// When an action was of which only the day is known: with a cut-off at the time at its end, so that no request of that day sees it.
    pub(super) fn time_on(&self, day: Day) -> i64 {
        match self.roles.cutoff {
            Cutoff::Day => day.midnight(),
            Cutoff::Time => day.midnight() + MICROS_PER_DAY - 1,
        }
    }

    /// The time and the id of the request, the labels and the kept columns, or the features, in the order of a packed row.
    pub(super) fn values(&self, at: At, values: &mut Vec<pack::Value>) -> Result<(), Fault> {
        values.clear();
        if let Some(times) = self.request_times() {
            match times.get(at) {
                Cell::Value(time) => values.push(pack::Value::Integer(time)),
                Cell::Null => return Err(times.fault(Reason::NullTime, at, &self.walk)),
                Cell::Bad => return Err(times.fault(Reason::UnparsableTime, at, &self.walk)),
            }
        }
        if let Some(requests) = &self.requests {
            match requests.get(at) {
                Cell::Value(request) => values.push(pack::Value::Integer(request)),
                Cell::Null | Cell::Bad => return Err(requests.fault(Reason::NullRequest, at, &self.walk)),
            }
        }
        for (role, column) in &self.values {
            let reason = match column.get(at) {
                Cell::Value(value) => {
                    values.push(role.packed(value));
                    continue;
                }
                Cell::Null if role.is_label => Reason::NullLabel,
                Cell::Null => Reason::NullValue,
                Cell::Bad if role.is_label => Reason::UnparsableLabel,
                Cell::Bad => Reason::UnparsableValue,
            };
            return Err(column.fault(reason, at, &self.walk));
        }
        Ok(())
    }

    /// The times of requests, where they are their cut-offs.
    fn request_times(&self) -> Option<&Column<'a>> {
        self.times.as_ref().filter(|_| self.roles.has_request_times)
    }

    /// The time and the id of the request, the labels and the kept columns, or the features, where none of them has a fault or a null.
    pub(super) fn plain_values(&self) -> Option<Vec<PlainColumn<'_>>> {
        let requests = self.request_times().into_iter().chain(&self.requests).map(Column::plain);
        requests.chain(self.values.iter().map(|(_, column)| column.plain())).collect()
    }

    /// Plain values of a place in the order of a packed row.
    pub(super) fn packed(&self, values: &[PlainColumn<'_>], at: At) -> impl Iterator<Item = pack::Value> {
        let requests = usize::from(self.request_times().is_some()) + usize::from(self.requests.is_some());
        values.iter().enumerate().map(move |(number, column)| {
            let value = column.get(at);
            let role = number.checked_sub(requests).and_then(|number| self.values.get(number));
            role.map_or(pack::Value::Integer(value), |(role, _)| role.packed(value))
        })
    }

    /// The only day of all rows, where there is one.
    pub(super) fn day_of_all(&self) -> Option<Day> {
        match &self.days {
            Days::Path(_) if self.walk.rows == 0 => None,
            Days::Path(_) => valid_day(self.days.get(0)),
            Days::Column(days) => {
                let days = days.plain()?;
                let first = days.first().filter(|&first| days.iter().all(|day| day == first))?;
                i32::try_from(*first).ok().map(Day)
            }
        }
    }

    /// Whether the day or the customer is in a list.
    pub(super) fn has_keys_in_list(&self) -> bool {
        self.days_in_list || self.customers.in_list
    }

    /// A row, or one element of its lists, for the record of what is left out.
    pub(super) fn contents(&self, at: At) -> Map<String, Value> {
        let mut contents = self.key_contents(at);
        contents.extend(self.element_contents(at));
        contents
    }

    /// A row with all elements of its list.
    pub(super) fn row_contents(&self, row: usize) -> Map<String, Value> {
        if self.walk.lists.is_none() {
            return self.contents(At::row(row));
        }
        let list = self.walk.list(row);
        let elements = self.walk.elements(row);
        if list.is_none() && elements.clone().any(|element| self.walk.is_flat(element)) {
            return self.contents(At { row, element: elements.start });
        }
        let mut contents = self.key_contents(At::row(row));
        let name = self.roles.wanted.list.as_deref().unwrap_or("elements");
        let element = |element| Value::Object(self.element_contents(At { row, element }));
        let left_out = list.as_ref().map_or(0, |list: &Range<usize>| list.len().saturating_sub(MOST_ELEMENTS));
        let list = list.map(|list| list.take(MOST_ELEMENTS).map(element).collect::<Value>());
        contents.insert(name.to_owned(), list.into());
        if left_out > 0 {
            contents.insert(format!("{name}_left_out"), left_out.into());
        }
        contents
    }

    /// What a row has but once: nothing of its lists, unless it is asked for an element of them.
    fn key_contents(&self, at: At) -> Map<String, Value> {
        let mut contents = Map::new();
        if !self.roles.day.is_of_time() && !self.days_in_list {
            let place = at.place(self.days_in_list);
            contents.insert(self.day_column.to_owned(), day_value(self.days.get(place), self.days.text(place)));
        }
        if !self.customers.in_list {
            let column = &self.customers;
            contents.insert(column.name().to_owned(), id_value(column.get(at), column.text(at)));
        }
        contents
    }

    fn element_contents(&self, at: At) -> Map<String, Value> {
        let mut contents = Map::new();
        if self.days_in_list && !self.roles.day.is_of_time() {
            let day = day_value(self.days.get(at.element), self.days.text(at.element));
            contents.insert(self.day_column.to_owned(), day);
        }
        let mut add = |column: &Column<'a>, value: &dyn Fn(Cell, Option<String>) -> Value| {
            contents.insert(column.name().to_owned(), value(column.get(at), column.text(at)));
        };
        if self.customers.in_list {
            add(&self.customers, &id_value);
        }
        if let Some(kinds) = &self.kinds {
            add(kinds, &|_, text| text.into());
        }
        add(&self.items, &id_value);
        if let Some(times) = &self.times {
            add(times, &time_value);
        }
        if let Some(requests) = &self.requests {
            add(requests, &|_, text| text.into());
        }
        for (role, column) in &self.values {
            add(column, &|cell, text| value_of(cell, text, role.dtype));
        }
        contents
    }
}

/// What makes cells of a column that has a name.
type ReadCells<'r> = dyn Fn(&str, &ArrayRef) -> Result<Cells> + 'r;

/// The column at a path, under the name that it has where it stands.
fn read_column<'a>(walk: &Walk, wanted: &Projection, path: &'a str, read: &ReadCells<'_>) -> Result<Column<'a>> {
    let Leaf { array, in_list, is_flat } = walk.leaf(path)?;
    let flat = wanted.flat(path);
    let name = flat.filter(|_| *is_flat).unwrap_or(path);
    Ok(Column { path, flat, is_flat: *is_flat, in_list: *in_list, cells: read(name, array)? })
}

/// The error for days that are in paths, of a table that has none.
fn no_path(table: &str) -> Error {
    let problem = "the day is in the path, and the table is handed over as rows; name the column of the day".to_owned();
    Error::Description { place: format!("{table}.day"), problem }
}

/// Leaves out the rows and elements that are not wanted: first of all rows, as those of lists are then fewer.
fn pass_over<'a>(reader: &Reader<'_>, roles: &Roles<'a>, walk: &mut Walk) -> Result<Vec<PassedOver<'a>>> {
    if roles.has_positions {
        let (positions, in_list) = walk.positions()?;
        walk.add(POSITIONS, positions, in_list);
    }
    let placed = |filter: Wish<'a>| Ok((walk.leaf(filter.path)?.in_list, filter));
    let mut ordered = roles.filters().into_iter().map(placed).collect::<Result<Vec<(bool, Wish<'a>)>>>()?;
    ordered.sort_by_key(|(in_list, _)| *in_list);
    let mut passed_over = Vec::with_capacity(ordered.len());
    for (in_list, Wish { path, texts, is_of_types }) in ordered {
        let array = &walk.leaf(path)?.array;
        let places = reader.places(path, array, &texts)?;
        let kept = (0..array.len()).map(|row| matches!(places.get(row), Cell::Value(_)));
        let kept = BooleanArray::from(kept.collect::<Vec<bool>>());
        let left = kept.true_count();
        passed_over.push(PassedOver { path, is_of_types, in_list, passed: kept.len() - left, left });
        walk.keep(&kept, in_list)?;
    }
    Ok(passed_over)
}
