//! Days and times as text: RFC 3339, and the spellings of it that common engines write, in tables and in the names of folders.

use crate::event::{Day, MICROS_PER_DAY};
use crate::zone::{Zone, parse_offset};

/// Reads a date and a time of day as microseconds since the epoch, UTC, floored.
///
/// Takes RFC 3339 (<https://www.rfc-editor.org/rfc/rfc3339>), and beyond it: a space or a `T` in any case between date and
/// time, any number of fraction digits, no zone (then UTC), the offsets `±HH` and `±HHMM`, and ` UTC`. A leap second is the first
/// instant of the next minute. Anything else is `None`.
#[must_use]
pub fn parse_time(text: &[u8]) -> Option<i64> {
    parse_near(text, &mut LastDate::default())
}

/// The last date that was read, and its midnight: neighbouring times mostly share it.
#[derive(Default)]
pub(crate) struct LastDate {
    text: [u8; 10],
    midnight: i64,
}

/// As [`parse_time`], of a time that is read after others.
pub(crate) fn parse_near(text: &[u8], last: &mut LastDate) -> Option<i64> {
    let (date, rest) = text.split_first_chunk()?;
    if *date != last.text {
        *last = LastDate { midnight: Day::parse(date)?.midnight(), text: *date };
    }
    let (clock, rest) = rest.split_at_checked(9)?;
    let &[b'T' | b't' | b' ', h0, h1, b':', m0, m1, b':', s0, s1] = clock else { return None };
    let (hour, minute, second) = (two_digits(h0, h1)?, two_digits(m0, m1)?, two_digits(s0, s1)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = fraction(rest)?;
    let clock = ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction;
    Some(last.midnight + clock - offset(zone)?)
}

/// Whether a text that is a time says its zone.
pub(crate) fn has_zone(text: &[u8]) -> bool {
    let clock = text.get(DATE_AND_CLOCK..).unwrap_or(&[]);
    clock.iter().any(|byte| !byte.is_ascii_digit() && *byte != b'.')
}

/// The bytes of `2025-08-15T12:34:56`.
const DATE_AND_CLOCK: usize = 19;

/// Reads a day: `2025-08-15`, `20250815`, either with `dt=` in front; or with a time behind it that makes a midnight of UTC, or that
/// says its zone where days are those of a zone.
pub(crate) fn parse_day(text: &[u8], zone: Option<&Zone>) -> Option<Day> {
    let text = text.strip_prefix(b"dt=").unwrap_or(text);
    let with_dashes;
    let text = match text.split_first_chunk() {
        Some((digits @ &[y0, y1, y2, y3, m0, m1, d0, d1], rest)) if digits.iter().all(u8::is_ascii_digit) => {
            with_dashes = [&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1], rest].concat();
            with_dashes.as_slice()
        }
        _ => text,
    };
    if text.len() <= LONGEST_DAY {
        return Day::parse(text).filter(|_| !text.starts_with(b"dt="));
    }
    let micros = parse_time(text)?;
    match zone {
        Some(zone) if has_zone(text) => zone.days().day(micros),
        _ => Day::containing(micros).filter(|_| micros.rem_euclid(MICROS_PER_DAY) == 0),
    }
}

/// The bytes of `2025-08-15`.
const LONGEST_DAY: usize = 10;

/// Writes a time in microseconds since the epoch as RFC 3339 in UTC, with six digits of fraction.
#[must_use]
pub fn format_time(micros: i64) -> String {
    let Some(day) = Day::containing(micros) else { return micros.to_string() };
    let clock = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (clock / 1_000_000, clock % 1_000_000);
    format!("{day}T{:02}:{:02}:{:02}.{fraction:06}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The microseconds of `.ddd…` at the start of the text, and what follows it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    // As most engines write it.
    if let Some((six, rest)) = digits.split_first_chunk::<6>()
        && six.iter().all(u8::is_ascii_digit)
        && !rest.first().is_some_and(u8::is_ascii_digit)
    {
        return Some((six.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')), rest));
    }
    let length = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (digits, rest) = digits.split_at(length);
    let micros = (0..6).fold(0, |sum, place| sum * 10 + i64::from(digits.get(place).map_or(0, |digit| digit - b'0')));
    Some((micros, rest))
}

/// The microseconds by which a zone is ahead of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        [] | b"Z" | b"z" | b" UTC" => Some(0),
        _ => Some(i64::from(parse_offset(zone)?) * 1_000_000),
    }
}

fn two_digits(tens: u8, units: u8) -> Option<i64> {
    (tens.is_ascii_digit() && units.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(units - b'0'))
}
