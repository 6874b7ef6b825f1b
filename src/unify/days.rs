//! The day of each row: from the path, or from a column of texts, dates or instants.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Date64Type, Int32Type};

use super::columns::{Cell, Cells, Reader, Texts, is_text};
use super::time::format_time;
use crate::error::{Error, Result};
use crate::event::{Day, MICROS_PER_DAY};
use crate::read::PathDay;
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

impl Reader<'_> {
    pub(super) fn days(&self, column: &str) -> Result<Days> {
        if let Some(day) = &self.origin.day {
            return Ok(Days::Path(day.clone()));
        }
        let array = self.column(column)?;
        let array = match array.data_type() {
            DataType::Dictionary(_, values) if is_text(values) => array,
            _ => self.unpacked(column, &array)?,
        };
        self.day_cells(column, &array).map(Days::Column)
    }

    fn day_cells(&self, column: &str, array: &ArrayRef) -> Result<Cells> {
        let cells = match array.data_type() {
            DataType::Null => Cells::all_null(array),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => text_days(array),
            DataType::Dictionary(_, values) if is_text(values) => return self.dictionary_days(column, array),
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>();
                Cells::new(array, |row| if days.is_null(row) { Cell::Null } else { cell(Some(Day(days.value(row)))) })
            }
            DataType::Date64 => {
                let days = array.as_primitive::<Date64Type>();
                let day = |millis: i64| i32::try_from(millis.div_euclid(MILLIS_PER_DAY)).ok().map(Day);
                Cells::new(array, |row| if days.is_null(row) { Cell::Null } else { cell(day(days.value(row))) })
            }
            DataType::Timestamp(_, zone) => return self.instant_days(column, array, zone.as_deref()),
            _ => return Err(self.wrong_type(column, array, "text as `2025-08-15` or `dt=2025-08-15`, or a date")),
        };
        Ok(cells)
    }

    /// Text days that the source keeps in a dictionary: each distinct text is parsed once.
    fn dictionary_days(&self, column: &str, array: &ArrayRef) -> Result<Cells> {
        let dictionary = array.as_any_dictionary();
        let values = self.day_cells(column, dictionary.values())?;
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
    fn instant_days(&self, column: &str, array: &ArrayRef, said: Option<&str>) -> Result<Cells> {
        let own = said.map(|name| Zone::new(name).ok_or(name)).transpose();
        let own = match (own, self.day_zone) {
            (Ok(own), _) => own,
            (Err(_), Some(_)) => None,
            (Err(name), None) => {
                let problem =
                    format!("its days are instants in the time zone `{name}`, which is not known; {NAME_A_ZONE}");
                return Err(self.no_day_zone(column, None, problem));
            }
        };
        let times = self.time_cells(column, array)?;
        let mut fault = None;
        let cells = match (self.day_zone, &own) {
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

const NAME_A_ZONE: &str =
    "name the zone whose days they are with `--day-zone`, as Europe/Berlin or UTC, or write the column as dates";

fn not_midnight(micros: i64) -> String {
    format!("the day is an instant, {}, and the column says no time zone; {NAME_A_ZONE}", format_time(micros))
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
fn text_days(array: &ArrayRef) -> Cells {
    let texts = Texts::new(array);
    let mut last = (&b""[..], Cell::Bad);
    Cells::new(array, |row| {
        let Some(text) = texts.get(row) else { return Cell::Null };
        if text != last.0 {
            last = (text, Day::parse(text).map_or(Cell::Bad, |day| Cell::Value(i64::from(day.0))));
        }
        last.1
    })
}
