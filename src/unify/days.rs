//! The day of each row: from the path, or from a column of texts, dates or instants.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Date64Type, Int32Type};

use super::columns::{Cell, Cells, Reader};
use super::times::Times;
use super::view::View;
use crate::config::Plan;
use crate::error::{Error, Invariant, OptionName, Result};
use crate::event::{Day, MICROS_PER_DAY};
use crate::read::PathDay;
use crate::schema::DayOf;
use crate::texts::{format_time, parse_day};
use crate::zone::Zone;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// The day of each row, from the path or from a column.
pub(super) enum Days {
    Path(PathDay),
    Column(Cells),
}

impl Days {
    pub(super) fn get(&self, row: usize) -> Cell {
        match self {
            Self::Path(PathDay::Day(day)) => Cell::Value(i64::from(day.0)),
            Self::Path(PathDay::Null) => Cell::Null,
            Self::Path(PathDay::Unparsable(_)) => Cell::Bad,
            Self::Column(cells) => cells.get(row),
        }
    }

    pub(super) fn text(&self, row: usize) -> Option<String> {
        match self {
            Self::Path(PathDay::Day(day)) => Some(day.to_string()),
            Self::Path(PathDay::Null) => None,
            Self::Path(PathDay::Unparsable(text)) => Some(text.clone()),
            Self::Column(cells) => cells.text(row),
        }
    }
}

/// Where the days of a table come from.
pub(super) struct DayRole<'a> {
    of: &'a DayOf,
    /// The column that has them, where one does.
    pub(super) column: Option<&'a str>,
    /// The zone in which instants are days.
    pub(super) zone: Option<Zone>,
}

impl<'a> DayRole<'a> {
    pub(super) fn new(of: &'a DayOf, plan: &Plan) -> Result<Self> {
        let (column, zone, asked) = match of {
            DayOf::Column { column, zone } => (Some(column.as_str()), zone.as_deref(), plan.day_zone().cloned()),
            DayOf::Path(_) => (None, None, None),
            DayOf::Time { zone } => (None, zone.as_deref(), None),
        };
        let said = zone.map(|name| Zone::new(name).invariant("zones of a description are known")).transpose()?;
        Ok(Self { of, column, zone: asked.or(said) })
    }

    pub(super) fn is_of_time(&self) -> bool {
        matches!(self.of, DayOf::Time { .. })
    }

    /// What messages call the day; `time` is the column of times.
    pub(super) fn name(&self, time: Option<&'a str>) -> &'a str {
        match self.of {
            DayOf::Column { column, .. } => column,
            DayOf::Path(pattern) => pattern,
            DayOf::Time { .. } => time.unwrap_or("time"),
        }
    }

    /// The days of times.
    pub(super) fn of_times(&self, times: &Cells) -> Days {
        let utc = Zone::utc();
        let mut days = self.zone.as_ref().unwrap_or(&utc).days();
        Days::Column(times.same(|time| match time {
            Cell::Value(micros) => cell(days.day(micros)),
            other => other,
        }))
    }
}

impl Reader<'_> {
    /// The days of a column.
    pub(super) fn days(&self, column: &str, array: &ArrayRef, zone: Option<&Zone>) -> Result<Days> {
        let array = match array.data_type() {
            DataType::Dictionary(_, values) if is_text(values) => Arc::clone(array),
            _ => self.unpacked(column, array)?,
        };
        self.day_cells(column, &array, zone).map(Days::Column)
    }

    fn day_cells(&self, column: &str, array: &ArrayRef, zone: Option<&Zone>) -> Result<Cells> {
        let cells = match array.data_type() {
            DataType::Null => Cells::all_null(array),
            kind if is_text(kind) || kind.is_integer() => text_days(array, zone),
            DataType::Dictionary(_, values) if is_text(values) => return self.dictionary_days(column, array, zone),
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>();
                Cells::new(array, |row| if days.is_null(row) { Cell::Null } else { cell(Some(Day(days.value(row)))) })
            }
            DataType::Date64 => {
                let days = array.as_primitive::<Date64Type>();
                let day = |millis: i64| i32::try_from(millis.div_euclid(MILLIS_PER_DAY)).ok().map(Day);
                Cells::new(array, |row| if days.is_null(row) { Cell::Null } else { cell(day(days.value(row))) })
            }
            DataType::Timestamp(_, said) => return self.instant_days(column, array, said.as_deref(), zone),
            _ => return Err(self.wrong_type(column, array, "text as `2025-08-15` or `dt=2025-08-15`, or a date")),
        };
        Ok(cells)
    }

    /// Text days that the source keeps in a dictionary: each distinct text is parsed once.
    fn dictionary_days(&self, column: &str, array: &ArrayRef, zone: Option<&Zone>) -> Result<Cells> {
        let dictionary = array.as_any_dictionary();
        let values = self.day_cells(column, dictionary.values(), zone)?;
        let keys =
            cast(dictionary.keys(), &DataType::Int32).map_err(|_| self.wrong_type(column, array, "text or a date"))?;
        let keys = keys.as_primitive::<Int32Type>();
        let entries = dictionary.values().len();
        Ok(Cells::new(array, |row| {
            if keys.is_null(row) {
                return Cell::Null;
            }
            match usize::try_from(keys.value(row)) {
                Ok(key) if key < entries => values.get(key),
                _ => Cell::Bad,
            }
        }))
    }

    /// The days of instants: those of the zone that was asked for, or else of the one that the column says. Where neither is
    /// there, only midnights of UTC say what day they mean.
    fn instant_days(&self, column: &str, array: &ArrayRef, said: Option<&str>, asked: Option<&Zone>) -> Result<Cells> {
        let own = said.map(|name| Zone::new(name).ok_or(name)).transpose();
        let own = match (own, asked) {
            (Ok(own), _) => own,
            (Err(_), Some(_)) => None,
            (Err(name), None) => {
                let problem =
                    format!("its days are instants in the time zone `{name}`, which is not known; {}", name_a_zone());
                return Err(self.no_day_zone(column, None, problem));
            }
        };
        let times = self.times(column, array, &Times::plain())?;
        let mut fault = None;
        let cells = match (asked, &own) {
            (None, None) => Cells::new(array, |row| match times.get(row) {
                Cell::Value(micros) if micros.rem_euclid(MICROS_PER_DAY) != 0 => {
                    fault.get_or_insert((row, not_midnight(micros)));
                    Cell::Bad
                }
                Cell::Value(micros) => cell(Day::containing(micros)),
                other => other,
            }),
            (None, Some(own)) => {
                let mut days = own.days();
                Cells::new(array, |row| match times.get(row) {
                    Cell::Value(micros) => cell(days.day(micros)),
                    other => other,
                })
            }
            (Some(zone), own) => {
                let utc = Zone::utc();
                let own = own.as_ref().unwrap_or(&utc);
                let (mut days, mut own_days) = (zone.days(), own.days());
                Cells::new(array, |row| match times.get(row) {
                    Cell::Value(micros) => {
                        let day = days.day(micros);
                        if own_days.is_midnight(micros) && own_days.day(micros) != day {
                            fault.get_or_insert_with(|| (row, two_days(micros, own, zone)));
                        }
                        cell(day)
                    }
                    other => other,
                })
            }
        };
        match fault {
            None => Ok(cells),
            Some((row, problem)) => Err(self.no_day_zone(column, self.origin.rows.number(row), problem)),
        }
    }

    fn no_day_zone(&self, column: &str, row: Option<u64>, problem: String) -> Error {
        Error::DayZone {
            table: self.table.to_owned(),
            file: self.origin.path().map(ToOwned::to_owned),
            row,
            column: column.to_owned(),
            problem,
        }
    }
}

fn name_a_zone() -> String {
    let option = OptionName::DayZone;
    format!("name the zone whose days they are with `{option}`, as Europe/Berlin or UTC, or write the column as dates")
}

fn not_midnight(micros: i64) -> String {
    format!("the day is an instant, {}, and the column says no time zone; {}", format_time(micros), name_a_zone())
}

fn two_days(micros: i64, own: &Zone, zone: &Zone) -> String {
    format!(
        "the instant {} is a midnight in {}, and on another day in {}: which day it means is not known; write the column as \
         dates",
        format_time(micros),
        own.name(),
        zone.name()
    )
}

/// A day, which is one only within the calendar.
fn cell(day: Option<Day>) -> Cell {
    day.filter(|day| Day::in_calendar(*day)).map_or(Cell::Bad, |day| Cell::Value(i64::from(day.0)))
}

/// Neighbouring rows mostly share their day, so a text is parsed only where it changes.
fn text_days(array: &ArrayRef, zone: Option<&Zone>) -> Cells {
    let Some(view) = View::of(array) else { return Cells::all_null(array) };
    let mut last: (Vec<u8>, Cell) = (Vec::new(), Cell::Bad);
    Cells::of_view(array, &view, |found| {
        let Some(text) = found.text() else { return Cell::Null };
        if *text != *last.0 {
            last.1 = cell(parse_day(&text, zone));
            last.0.clear();
            last.0.extend_from_slice(&text);
        }
        last.1
    })
}

fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}
