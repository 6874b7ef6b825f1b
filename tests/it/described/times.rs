//! Times and days: as text, as numbers with a unit, in paths, and in the clocks of a zone.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::{Offset, TimeZone};
use serde_json::Value;
use shardback::event::Day;
use shardback::schema::{TimeOf, Unit};

use super::values::Checked;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The time in a column, in microseconds since the epoch; `None` is a null.
pub(super) fn time(value: &Value, of: &TimeOf) -> Checked<Option<i64>> {
    let micros = match (value, of.unit, &of.format) {
        (Value::Null, ..) => return Ok(None),
        (Value::Number(number), Some(unit), _) => with_unit(&number.to_string(), unit)?,
        (Value::String(text), Some(unit), _) => with_unit(text, unit)?,
        (Value::String(text), None, Some(format)) => formatted(text, format, of.zone.as_deref())?,
        (Value::String(text), None, None) => {
            let Clock { micros, has_zone } = clock(text).ok_or("no time")?;
            if has_zone { micros } else { to_utc(micros, of.zone.as_deref())? }
        }
        _ => return Err("no time"),
    };
    Ok(Some(micros))
}

/// The day in a column: a date, or an instant that is a midnight, or any instant where a zone says whose day it is.
pub(super) fn day(value: &Value, zone: Option<&str>) -> Checked<Day> {
    let text = match value {
        Value::Null => return Err("the day is null"),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err("no day"),
    };
    let text = text.strip_prefix("dt=").unwrap_or(&text);
    let is_number = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        let text = format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]);
        return Day::parse(text.as_bytes()).ok_or("no day");
    }
    if let Some(day) = Day::parse(text.as_bytes()).filter(|_| text.len() == 10) {
        return Ok(day);
    }
    let Clock { micros, has_zone } = clock(text).ok_or("no day")?;
    match zone {
        Some(_) if has_zone => day_at(micros, zone),
        _ if micros % MICROS_PER_DAY == 0 => day_at(micros, None),
        _ => Err("no midnight"),
    }
}

/// The day of an instant.
pub(super) fn day_at(micros: i64, zone: Option<&str>) -> Checked<Day> {
    let instant = Timestamp::from_microsecond(micros).map_err(|_| "no day of the calendar")?;
    let date = zone_of(zone).to_datetime(instant).date();
    let day = Day::from_ymd(date.year().into(), date.month().into(), date.day().into());
    day.ok_or("no day of the calendar")
}

/// The day in a path, where the pattern first fits.
pub(super) fn day_in_path(path: &str, pattern: &str) -> Checked<Day> {
    let found = (0..path.len()).filter(|&at| path.is_char_boundary(at)).find_map(|at| match_at(&path[at..], pattern));
    let [year, month, day] = found.ok_or("the path has no day")?;
    Day::from_ymd(year, month, day).ok_or("no day")
}

/// Year, month and day where the text begins as the pattern says: four digits and twice two.
fn match_at(mut text: &str, mut pattern: &str) -> Option<[i32; 3]> {
    let mut found = [0; 3];
    while !pattern.is_empty() {
        let parts = [("{year}", 4), ("{month}", 2), ("{day}", 2)];
        let part = parts.iter().zip(&mut found).find(|((name, _), _)| pattern.starts_with(name));
        if let Some((&(name, digits), found)) = part {
            let number = text.get(..digits).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?;
            *found = number.parse().ok()?;
            (text, pattern) = (&text[digits..], &pattern[name.len()..]);
        } else {
            let first = pattern.chars().next()?;
            text = text.strip_prefix(first)?;
            pattern = &pattern[first.len_utf8()..];
        }
    }
    Some(found)
}

/// A number as `-12.5`, floored to microseconds; nothing is rounded on the way.
fn with_unit(text: &str, unit: Unit) -> Checked<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole.strip_prefix('-').unwrap_or(whole)) || !is_number(fraction) || fraction.len() > 12 {
        return Err("no number");
    }
    let digits: i128 = format!("{whole}{fraction}").parse().map_err(|_| "no number")?;
    let (times, by) = match unit {
        Unit::Seconds => (1_000_000, 1),
        Unit::Milliseconds => (1_000, 1),
        Unit::Microseconds => (1, 1),
        Unit::Nanoseconds => (1, 1_000),
    };
    let by = by * 10i128.pow(u32::try_from(fraction.len()).map_err(|_| "no number")?);
    let micros = digits.checked_mul(times).ok_or("no time")?.div_euclid(by);
    i64::try_from(micros).map_err(|_| "no time")
}

fn formatted(text: &str, format: &str, zone: Option<&str>) -> Checked<i64> {
    let parsed = strtime::parse(format, text).map_err(|_| "not in that form")?;
    if parsed.offset().is_some() {
        return parsed.to_timestamp().map(Timestamp::as_microsecond).map_err(|_| "no time");
    }
    let clocks = parsed.to_datetime().or_else(|_| parsed.to_date().map(DateTime::from)).map_err(|_| "no time")?;
    let micros = TimeZone::UTC.to_timestamp(clocks).map_err(|_| "no time")?.as_microsecond();
    to_utc(micros, zone)
}

/// What clocks show, as if they were those of UTC; or the instant, where the text has a zone.
struct Clock {
    micros: i64,
    has_zone: bool,
}

/// A date, a time of day where there is one, and a zone where there is one.
fn clock(text: &str) -> Option<Clock> {
    let day = Day::parse(text.get(..10)?.as_bytes())?;
    let rest = &text[10..];
    if rest.is_empty() {
        return Some(Clock { micros: day.midnight(), has_zone: false });
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let end = rest.find(|at: char| !at.is_ascii_digit() && !matches!(at, ':' | '.' | ',')).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(end);
    let (time, fraction) = time.split_once(['.', ',']).unwrap_or((time, "0"));
    let parts: Vec<&str> = time.split(':').collect();
    let two = |text: &str| text.parse::<i64>().ok().filter(|_| text.len() == 2);
    let [hour, minute, second] = match parts[..] {
        [hour, minute] => [two(hour)?, two(minute)?, 0],
        [hour, minute, second] => [two(hour)?, two(minute)?, two(second)?],
        _ => return None,
    };
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if hour > 23 || minute > 59 || second > 60 || !is_fraction {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let micros = day.midnight() + ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction;
    let zone = zone.trim_start_matches(' ');
    if zone.is_empty() {
        return Some(Clock { micros, has_zone: false });
    }
    let ahead = if matches!(zone, "Z" | "z" | "UTC" | "Z[UTC]") { 0 } else { i64::from(offset(zone)?) };
    Some(Clock { micros: micros - ahead * 1_000_000, has_zone: true })
}

/// The seconds of an offset: `+02:00`, `-0530` or `+02`.
fn offset(text: &str) -> Option<i32> {
    let sign = if text.starts_with('+') { 1 } else { -1 };
    let digits = text.strip_prefix(['+', '-'])?.replacen(':', "", 1);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i32, i32) = match digits.len() {
        2 => (digits.parse().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60)
}

/// The instant at which the clocks of a zone show what those of UTC would show at `micros`. Where clocks are put forward, the hour
/// that is left out counts on from before; where they are put back, it is the first time that they show it.
fn to_utc(micros: i64, zone: Option<&str>) -> Checked<i64> {
    let clocks = TimeZone::UTC.to_datetime(Timestamp::from_microsecond(micros).map_err(|_| "no time")?);
    let instant = zone_of(zone).to_timestamp(clocks).map_err(|_| "no time")?;
    Ok(instant.as_microsecond())
}

fn zone_of(name: Option<&str>) -> TimeZone {
    let Some(name) = name else { return TimeZone::UTC };
    match offset(name) {
        Some(seconds) => TimeZone::fixed(Offset::from_seconds(seconds).unwrap()),
        None => TimeZone::get(name).unwrap(),
    }
}
