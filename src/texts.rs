//! Days and times as text: RFC 3339, and the spellings of it that common engines write, in tables and in the names of folders.

use crate::event::{Day, MICROS_PER_DAY};
use crate::zone::{Zone, parse_offset};

/// Reads a date and a time of day as microseconds since the epoch, UTC, floored.
///
/// Takes RFC 3339 (<https://www.rfc-editor.org/rfc/rfc3339>), and beyond it: a space or a `T` in any case between date and
/// time, any number of fraction digits, no zone (then UTC), the offsets `±HH` and `±HHMM`, and ` UTC`. A leap second is the first
/// instant of the next minute. Anything else is `None`.
///
/// ```
/// use shardback::unify::{format_time, parse_time};
///
/// let time = parse_time(b"2025-08-16 12:30:00+02:00").unwrap();
/// assert_eq!(format_time(time), "2025-08-16T10:30:00.000000Z");
/// ```
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

impl LastDate {
    /// The midnight of a date.
    #[inline]
    fn midnight(&mut self, date: &[u8; 10]) -> Option<i64> {
        if *date != self.text {
            *self = Self { midnight: Day::parse(date)?.midnight(), text: *date };
        }
        Some(self.midnight)
    }
}

/// As [`parse_time`], of a time that is read after others.
#[inline]
pub(crate) fn parse_near(text: &[u8], last: &mut LastDate) -> Option<i64> {
    match text.try_into() {
        Ok(text) => parse_usual(text, last).or_else(|| parse_any(text, last)),
        Err(_) => parse_any(text, last),
    }
}

/// Reads `2025-08-15T12:34:56.123456Z`, as most engines write a time; of any other text it gives nothing.
fn parse_usual(text: &[u8; 27], last: &mut LastDate) -> Option<i64> {
    /// The colons of `12:34:56`, and what makes zeros of them.
    const COLONS: u64 = 0x0000_3A00_003A_0000;
    const TO_ZEROS: u64 = 0x0000_0A00_000A_0000;
    if (text[10], text[19], text[26]) != (b'T', b'.', b'Z') {
        return None;
    }
    let clock = u64::from_le_bytes(*text[11..].first_chunk()?);
    if clock & 0x0000_FF00_00FF_0000 != COLONS || !are_digits(clock ^ TO_ZEROS) {
        return None;
    }
    let digits = (clock ^ TO_ZEROS) & 0x0F0F_0F0F_0F0F_0F0F;
    // In each byte the number that it makes with the next one.
    let numbers = digits * 10 + (digits >> 8);
    let number = |place: u32| ((numbers >> (8 * place)) & 0xFF).cast_signed();
    let (hour, minute, second) = (number(0), number(3), number(6));
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // The six digits behind the point, with two zeros for what stands before them.
    let fraction = u64::from_le_bytes(*text[18..].first_chunk()?) & !0xFFFF | 0x3030;
    let fraction = eight_digits(fraction)?.cast_signed();
    Some(last.midnight(text.first_chunk()?)? + ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction)
}

/// Whether eight bytes are digits: all begin with 3, and do not when there are six more.
#[inline]
fn are_digits(word: u64) -> bool {
    let begin = |word: u64| word & 0xF0F0_F0F0_F0F0_F0F0 == 0x3030_3030_3030_3030;
    begin(word) && begin(word.wrapping_add(0x0606_0606_0606_0606))
}

/// The number of eight digits, of which the first stands in the lowest byte: neighbours are made one number of two digits, then of four, then
/// of eight.
#[inline]
pub(crate) fn eight_digits(word: u64) -> Option<u64> {
    if !are_digits(word) {
        return None;
    }
    let ones = word & 0x0F0F_0F0F_0F0F_0F0F;
    let twos = (ones * 10 + (ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF)
}

fn parse_any(text: &[u8], last: &mut LastDate) -> Option<i64> {
    let (date, rest) = text.split_first_chunk()?;
    let midnight = last.midnight(date)?;
    let (clock, rest) = rest.split_at_checked(9)?;
    let &[b'T' | b't' | b' ', h0, h1, b':', m0, m1, b':', s0, s1] = clock else { return None };
    let (hour, minute, second) = (two_digits(h0, h1)?, two_digits(m0, m1)?, two_digits(s0, s1)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = fraction(rest)?;
    let clock = ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction;
    Some(midnight + clock - offset(zone)?)
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

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::{LastDate, parse_any, parse_near, parse_usual};

    /// The usual spelling is read as any other one is, whatever byte of it is another.
    #[test]
    fn the_usual_spelling_of_a_time_is_read_as_all_others() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(6);
        let letters = b"0123456789:;/.TtZz -+?@";
        let (mut last, mut read) = (LastDate::default(), 0);
        for _ in 0..300_000 {
            let mut number = |below: u32| random.random_range(0..below);
            let (date, clock) = ((1900 + number(300), number(14), number(33)), (number(26), number(62), number(62)));
            let fraction = number(1_000_000);
            let mut text: [u8; 27] = format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{fraction:06}Z",
                date.0, date.1, date.2, clock.0, clock.1, clock.2
            )
            .into_bytes()
            .try_into()
            .unwrap();
            if random.random_bool(0.5) {
                text[random.random_range(0..27)] = letters[random.random_range(0..letters.len())];
            }
            let shown = String::from_utf8_lossy(&text);
            let expected = parse_any(&text, &mut LastDate::default());
            if let Some(usual) = parse_usual(&text, &mut last) {
                assert_eq!(Some(usual), expected, "{shown}");
                read += 1;
            }
            assert_eq!(parse_near(&text, &mut last), expected, "{shown}");
        }
        assert!(read > 100_000, "{read}");
    }
}
