//! Times of any type as microseconds: timestamps, numbers of a unit, and text.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;

use super::columns::{Cell, Cells, Reader};
use super::view::{CellValue, View};
use crate::error::{Invariant, Result};
use crate::event::NULL_TIME;
use crate::schema::{TimeOf, Unit};
use crate::texts::{LastDate, has_zone, parse_near};
use crate::zone::Zone;

/// How a column of times is read.
pub(super) struct Times<'a> {
    unit: Option<Unit>,
    format: Option<&'a str>,
    /// The zone of times without one, where it is not UTC.
    zone: Option<Zone>,
}

impl<'a> Times<'a> {
    pub(super) fn new(of: &'a TimeOf) -> Result<Self> {
        let zone = of.zone.as_deref().map(|name| Zone::new(name).invariant("zones of a description are known"));
        Ok(Self { unit: of.unit, format: of.format.as_deref(), zone: zone.transpose()? })
    }

    /// Timestamps and text as they are.
    pub(super) fn plain() -> Self {
        Self { unit: None, format: None, zone: None }
    }

    fn expected(&self) -> &'static str {
        match (self.unit, self.format) {
            (Some(_), _) => "a number, or a timestamp",
            (None, Some(_)) => "text, or a timestamp",
            (None, None) => "a timestamp, or text as in RFC 3339",
        }
    }

    /// What clocks show, which are those of the zone.
    fn in_zone(&self, clocks: i64) -> Option<i64> {
        match &self.zone {
            None => Some(clocks),
            Some(zone) => zone.instant(clocks),
        }
    }

    fn text(&self, text: &[u8], last: &mut LastDate) -> Option<i64> {
        if let Some(unit) = self.unit {
            return with_unit(text, unit);
        }
        if let Some(format) = self.format {
            return self.formatted(format, text);
        }
        let micros = parse_near(text, last)?;
        if self.zone.is_none() || has_zone(text) { Some(micros) } else { self.in_zone(micros) }
    }

    fn formatted(&self, format: &str, text: &[u8]) -> Option<i64> {
        let parsed = strtime::parse(format, text).ok()?;
        if parsed.offset().is_some() || parsed.timestamp().is_some() {
            return parsed.to_timestamp().ok().map(Timestamp::as_microsecond);
        }
        let clocks = parsed.to_datetime().or_else(|_| parsed.to_date().map(DateTime::from)).ok()?;
        let clocks = jiff::tz::TimeZone::UTC.to_timestamp(clocks).ok()?;
        self.in_zone(clocks.as_microsecond())
    }

    fn cell(&self, found: CellValue<'_>, last: &mut LastDate) -> Cell {
        let micros = match (found, self.unit) {
            (CellValue::Null, _) => return Cell::Null,
            (CellValue::Text(text), _) => self.text(text, last),
            (CellValue::Integer(number), Some(unit)) => {
                i64::try_from(number).ok().and_then(|number| scaled(number, unit))
            }
            (CellValue::Float(number), Some(unit)) if number.is_finite() => {
                with_unit(number.to_string().as_bytes(), unit)
            }
            _ => None,
        };
        micros.filter(|&micros| micros != NULL_TIME).map_or(Cell::Bad, Cell::Value)
    }
}

impl Reader<'_> {
    /// Times in microseconds since the epoch, floored; `Bad` where text is no time or a time is beyond 64 bits.
    pub(super) fn times(&self, column: &str, array: &ArrayRef, times: &Times<'_>) -> Result<Cells> {
        let array = self.unpacked(column, array)?;
        match array.data_type() {
            DataType::Null => Ok(Cells::all_null(&array)),
            DataType::Timestamp(TimeUnit::Microsecond, zone) if times.zone.is_none() || zone.is_some() => {
                let times = array.as_primitive::<TimestampMicrosecondType>();
                // The one time that stands for null is no time.
                Ok(Cells::from_values(&array, times.values().clone()).without(NULL_TIME))
            }
            DataType::Timestamp(unit, zone) => {
                // Every unit is stored as 64-bit counts, so this cast only renames the type.
                let counts = cast(&array, &DataType::Int64).invariant("timestamps are kept as 64-bit counts")?;
                let counts = counts.as_primitive::<Int64Type>();
                let has_zone = zone.is_some();
                Ok(Cells::new(&array, |row| {
                    if counts.is_null(row) {
                        return Cell::Null;
                    }
                    let micros = micros(counts.value(row), *unit);
                    let micros = micros.and_then(|micros| if has_zone { Some(micros) } else { times.in_zone(micros) });
                    micros.filter(|&micros| micros != NULL_TIME).map_or(Cell::Bad, Cell::Value)
                }))
            }
            _ => match View::of(&array) {
                Some(view) if view.is_text() || (times.unit.is_some() && !view.is_bools()) => {
                    let mut last = LastDate::default();
                    let plain = view.plain(|text| times.text(text, &mut last).filter(|&micros| micros != NULL_TIME));
                    if let Some(plain) = plain {
                        return Ok(Cells::from_values(&array, plain.into()));
                    }
                    Ok(Cells::of_view(&array, &view, |found| times.cell(found, &mut last)))
                }
                _ => Err(self.wrong_type(column, &array, times.expected())),
            },
        }
    }
}

/// A count of units since the epoch in microseconds, floored, or `None` beyond 64 bits.
pub(super) fn micros(count: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => count.checked_mul(1_000_000),
        TimeUnit::Millisecond => count.checked_mul(1_000),
        TimeUnit::Microsecond => Some(count),
        TimeUnit::Nanosecond => Some(count.div_euclid(1_000)),
    }
}

fn scaled(count: i64, unit: Unit) -> Option<i64> {
    let unit = match unit {
        Unit::Seconds => TimeUnit::Second,
        Unit::Milliseconds => TimeUnit::Millisecond,
        Unit::Microseconds => TimeUnit::Microsecond,
        Unit::Nanoseconds => TimeUnit::Nanosecond,
    };
    micros(count, unit)
}

/// A number such as `-12.5` of a unit, floored to microseconds; nothing is rounded on the way.
fn with_unit(text: &[u8], unit: Unit) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    if text.contains(['e', 'E']) {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
        // Plain digits, as this is how floats are written without a form.
        return with_unit(number.to_string().as_bytes(), unit);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = whole.strip_prefix('-').unwrap_or(whole);
    if unsigned.is_empty() || !digits(unsigned) || !digits(fraction) || fraction.len() > 18 {
        return None;
    }
    let number: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (times, by) = match unit {
        Unit::Seconds => (1_000_000, 1),
        Unit::Milliseconds => (1_000, 1),
        Unit::Microseconds => (1, 1),
        Unit::Nanoseconds => (1, 1_000),
    };
    let by = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?.checked_mul(by)?;
    i64::try_from(number.checked_mul(times)?.div_euclid(by)).ok()
}
