//! Time zones: on which day an instant falls where the clocks are those of a zone.
//!
//! The zones are those of the IANA database as it was when the program was built; the machine's own are not asked, so that
//! the same instants are on the same days everywhere.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::event::{Day, MICROS_PER_DAY};

const MICROS: i64 = 1_000_000;

/// A time zone.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// That of UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rules: TimeZone::UTC }
    }

    /// The zone of a name of the IANA database, as `Europe/Berlin` or `UTC`, or of an offset, as `+02:00`; `None` where there is
    /// none.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        if let Some(seconds) = parse_offset(name.as_bytes()) {
            let rules = TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds).ok()?);
            return Some(Self { name: name.to_owned(), rules });
        }
        let rules = TimeZoneDatabase::bundled().get(name).ok()?;
        let name = rules.iana_name().unwrap_or(name).to_owned();
        Some(Self { name, rules })
    }

    /// Its name, in the spelling of the database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instant at which its clocks show what those of UTC show at `clocks`, both in microseconds since the epoch; `None` beyond all
    /// days.
    ///
    /// Where clocks are put forward, the hour that is left out counts on from before; where they are put back, it is the first time
    /// that they show it.
    #[must_use]
    pub fn instant(&self, clocks: i64) -> Option<i64> {
        let shown = TimeZone::UTC.to_datetime(Timestamp::from_microsecond(clocks).ok()?);
        Some(self.rules.to_timestamp(shown).ok()?.as_microsecond())
    }

    /// The days of instants, quick where neighbours are near each other in time.
    #[must_use]
    pub fn days(&self) -> Days<'_> {
        Days { zone: self, from: i64::MAX, until: i64::MIN, offset: 0 }
    }
}

/// Finds the days of instants in a zone.
#[derive(Clone, Debug)]
pub struct Days<'a> {
    zone: &'a Zone,
    /// Between these instants the clocks do not change.
    from: i64,
    until: i64,
    /// By how much they are ahead of UTC then, in microseconds.
    offset: i64,
}

impl Days<'_> {
    /// The day of an instant, in microseconds since the epoch; `None` beyond all days.
    pub fn day(&mut self, micros: i64) -> Option<Day> {
        let day = self.clock(micros)?.div_euclid(MICROS_PER_DAY);
        i32::try_from(day).ok().map(Day)
    }

    /// Whether a day begins at an instant.
    pub fn is_midnight(&mut self, micros: i64) -> bool {
        self.clock(micros).is_some_and(|clock| clock.rem_euclid(MICROS_PER_DAY) == 0)
    }

    /// What the clocks show at an instant, in microseconds since they showed the start of 1970.
    fn clock(&mut self, micros: i64) -> Option<i64> {
        if !(self.from..self.until).contains(&micros) {
            self.find(micros)?;
        }
        micros.checked_add(self.offset)
    }

    /// Looks up what holds at an instant, and from when to when. Clocks change at whole seconds.
    fn find(&mut self, micros: i64) -> Option<()> {
        // Beyond the years of the database nothing changes any more.
        let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        let second = micros.div_euclid(MICROS);
        let at = |second: i64| Timestamp::from_second(second.clamp(first, last)).ok();
        let rules = &self.zone.rules;
        self.offset = i64::from(rules.to_offset(at(second)?).seconds()) * MICROS;
        let micros_of = |instant: Timestamp| instant.as_second() * MICROS;
        self.until = rules.following(at(second)?).next().map_or(i64::MAX, |change| micros_of(change.timestamp()));
        // A change at the second itself is in force already.
        self.from = rules.preceding(at(second + 1)?).next().map_or(i64::MIN, |change| micros_of(change.timestamp()));
        Some(())
    }
}

/// The seconds of an offset such as `+02:00`, `-0530` or `+02`.
pub(crate) fn parse_offset(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h0, h1] => ([*h0, *h1], [b'0', b'0']),
        [h0, h1, m0, m1] | [h0, h1, b':', m0, m1] => ([*h0, *h1], [*m0, *m1]),
        _ => return None,
    };
    let number = |[tens, units]: [u8; 2]| {
        (tens.is_ascii_digit() && units.is_ascii_digit()).then(|| i32::from(tens - b'0') * 10 + i32::from(units - b'0'))
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60)
}
