//! Days that stand out: held against the days around them, and against the day before.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::{ReportedDay, as_date};
use crate::error::{Error, path_text};
use crate::event::{Day, MICROS_PER_DAY};
use crate::inspect::{duration, thousands};
use crate::open::day_of_name;

/// How many days on either side a day is held against.
const AROUND: usize = 7;
/// Fewer days than this do not say what is usual.
const LEAST_AROUND: usize = 2;
/// What is so many times as much as usual, or as little, stands out.
const FACTOR: f64 = 2.0;
/// A share stands out only if chance does not make it so: by so many standard errors.
const STANDARD_ERRORS: f64 = 3.0;
/// A share of customers without history stands out only from here on.
const LEAST_SHARE: f64 = 0.05;

/// A day, and in what way it stands out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Mark {
    /// The day; none where a folder does not say which it is.
    #[serde(serialize_with = "as_optional_date")]
    pub day: Option<Day>,
    /// In what way.
    #[serde(flatten)]
    pub oddity: Oddity,
}

/// In what way a day stands out. `usual` is the median of the days around it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Oddity {
    /// A folder that cannot be opened.
    Unreadable {
        /// Which.
        folder: String,
        /// Why.
        problem: String,
    },
    /// Its formats come from several builds.
    SeveralBuilds,
    /// Days before it are missing, from a day up to the day before it.
    DaysMissing {
        /// The first of them.
        #[serde(serialize_with = "as_date")]
        from: Day,
    },
    /// At most half of the usual samples, or at least twice as many.
    Samples {
        /// How many it has.
        samples: u64,
        /// How many are usual.
        usual: f64,
    },
    /// A label's rate is at most half of what is usual, or at least twice as much.
    Rate {
        /// The label.
        label: String,
        /// Its rate.
        rate: f64,
        /// What is usual.
        usual: f64,
    },
    /// At least twice as many customers as usual have no history.
    WithoutHistory {
        /// Their share.
        share: f64,
        /// What is usual.
        usual: f64,
    },
    /// A table of actions has no row on the day before, though it has some on earlier days.
    Late {
        /// The table.
        table: String,
        /// The last day on which it has rows, where it is known.
        last: Option<String>,
    },
    /// A table of actions has brought at most half of the usual rows since the day before.
    FewNewRows {
        /// The table.
        table: String,
        /// How many there are.
        rows: u64,
        /// How many are usual.
        usual: f64,
    },
    /// The newest action is more than a day old, and twice as old as usual.
    OldNewest {
        /// How old, in microseconds.
        micros: i64,
        /// What is usual.
        usual: f64,
    },
    /// It was built in another way than the day before.
    Changed {
        /// In what.
        what: &'static str,
    },
}

impl Mark {
    /// A folder of a day that cannot be opened.
    pub(super) fn unreadable(folder: &Path, error: &Error) -> Self {
        let problem = match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self { day: day_of_name(folder), oddity: Oddity::Unreadable { folder: path_text(folder), problem } }
    }
}

/// Everything that stands out among days in order.
pub(super) fn find(days: &[ReportedDay]) -> Vec<Mark> {
    let new_rows: Vec<_> = days
        .iter()
        .enumerate()
        .map(|(place, day)| place.checked_sub(1).map(|before| day.new_rows(&days[before])).unwrap_or_default())
        .collect();
    let mut marks = Vec::new();
    for (place, day) in days.iter().enumerate() {
        let mut found = Vec::new();
        if let Some(before) = place.checked_sub(1).map(|before| &days[before]) {
            found.extend(from_day_to_day(before, day));
        }
        if day.formats.iter().any(|format| format.build != day.manifest.build) {
            found.push(Oddity::SeveralBuilds);
        }
        found.extend(against_usual(days, place));
        for (name, table) in &day.manifest.tables {
            let usual =
                usual(new_rows.len(), place, |other| new_rows[other].get(name.as_str()).map(|&rows| rows as f64));
            let few = new_rows[place].get(name.as_str()).copied().zip(usual);
            let few = few.filter(|&(rows, usual)| usual > 0.0 && rows as f64 * FACTOR <= usual);
            match (&table.late_since, few) {
                (Some(last), _) => found.push(Oddity::Late { table: name.clone(), last: Some(last.clone()) }),
                // Days of earlier versions do not say it.
                (None, Some((0, _))) => found.push(Oddity::Late { table: name.clone(), last: None }),
                (None, Some((rows, usual))) => {
                    found.push(Oddity::FewNewRows { table: name.clone(), rows, usual });
                }
                (None, None) => {}
            }
        }
        marks.extend(found.into_iter().map(|oddity| Mark { day: Some(day.day), oddity }));
    }
    marks
}

/// In what a day's figures are not those of the days around it.
fn against_usual(days: &[ReportedDay], place: usize) -> Vec<Oddity> {
    let mut found = Vec::new();
    let usual = |figure: &dyn Fn(&ReportedDay) -> Option<f64>| usual(days.len(), place, |other| figure(&days[other]));
    let day = &days[place];
    let statistics = &day.manifest.statistics;
    let samples = statistics.samples as f64;
    if let Some(usual) = usual(&|day| Some(day.manifest.statistics.samples as f64))
        && is_far(samples, usual)
    {
        found.push(Oddity::Samples { samples: statistics.samples, usual });
    }
    for (label, figures) in &statistics.labels {
        let rate_of = |day: &ReportedDay| day.manifest.statistics.labels.get(label).and_then(|label| label.rate);
        if let Some((rate, usual)) = figures.rate.zip(usual(&rate_of))
            && is_far(rate, usual)
            && is_no_chance(rate, usual, samples)
        {
            found.push(Oddity::Rate { label: label.clone(), rate, usual });
        }
    }
    if let Some((share, usual)) = day.without_history().zip(usual(&ReportedDay::without_history))
        && share >= LEAST_SHARE
        && share >= usual * FACTOR
        && is_no_chance(share, usual, statistics.customers as f64)
    {
        found.push(Oddity::WithoutHistory { share, usual });
    }
    let gap_of = |day: &ReportedDay| day.manifest.statistics.smallest_gap_micros.map(|micros| micros as f64);
    if let Some((micros, usual)) = statistics.smallest_gap_micros.zip(usual(&gap_of))
        && micros > MICROS_PER_DAY
        && micros as f64 >= usual * FACTOR
    {
        found.push(Oddity::OldNewest { micros, usual });
    }
    found
}

/// What is not as on the day before.
fn from_day_to_day(before: &ReportedDay, day: &ReportedDay) -> Vec<Oddity> {
    let mut found = Vec::new();
    if let Some(from) = before.day.0.checked_add(1).filter(|&next| next < day.day.0) {
        found.push(Oddity::DaysMissing { from: Day(from) });
    }
    let (old, new) = (&before.manifest, &day.manifest);
    let options = [
        ("K", old.history != new.history),
        ("the look-back", old.lookback_days != new.lookback_days),
        ("the cut-off", old.time_cutoff != new.time_cutoff),
        ("the width of item ids", old.item_dtype != new.item_dtype),
        ("the types of actions", old.types != new.types),
        ("the columns", old.contents != new.contents),
        ("the description of the tables", old.description != new.description),
        ("the time zone of days", old.day_zone != new.day_zone),
    ];
    found.extend(options.into_iter().filter(|(_, is_other)| *is_other).map(|(what, _)| Oddity::Changed { what }));
    found
}

/// The median of a figure over the days around a place, without the day itself; none where too few have it.
fn usual(days: usize, place: usize, figure: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    let around = place.saturating_sub(AROUND)..days.min(place + AROUND + 1);
    let mut values: Vec<f64> = around.filter(|&other| other != place).filter_map(figure).collect();
    if values.len() < LEAST_AROUND {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    Some(if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    })
}

fn is_far(value: f64, usual: f64) -> bool {
    value != usual && (value * FACTOR <= usual || value >= usual * FACTOR)
}

/// Whether a share of so many is further from the usual one than chance takes it.
fn is_no_chance(share: f64, usual: f64, of: f64) -> bool {
    // A usual share of 0 has no spread of its own: then that of the share that was found.
    let spread = if usual > 0.0 { usual } else { share };
    (share - usual).abs() > STANDARD_ERRORS * (spread * (1.0 - spread) / of).sqrt()
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { folder, problem } => write!(f, "cannot be opened: {folder}: {problem}"),
            Self::SeveralBuilds => f.write_str("its formats come from different builds"),
            Self::DaysMissing { from } => write!(f, "days are missing before it, from {from} on"),
            Self::Samples { samples, usual } => {
                write!(f, "{} samples; {} are usual", thousands(*samples), rounded(*usual))
            }
            Self::Rate { label, rate, usual } => {
                write!(f, "{label} is {}; {} is usual", percent(*rate), percent(*usual))
            }
            Self::WithoutHistory { share, usual } => {
                write!(f, "{} of the customers have no history; {} is usual", percent(*share), percent(*usual))
            }
            Self::Late { table, last } => {
                write!(f, "{table} has no row on the day before")?;
                last.as_ref().map_or(Ok(()), |last| write!(f, "; its last is of {last}"))
            }
            Self::FewNewRows { table, rows, usual } => {
                write!(f, "{table} has {} new rows; {} are usual", thousands(*rows), rounded(*usual))
            }
            Self::OldNewest { micros, usual } => {
                let usual = duration(usual.abs() as u64);
                write!(f, "the newest action is {} old; {usual} is usual", duration(micros.unsigned_abs()))
            }
            Self::Changed { what } => write!(f, "{what} changed"),
        }
    }
}

/// A count that is a median, as a whole number.
fn rounded(value: f64) -> String {
    thousands(value.round() as u64)
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn as_optional_date<S: serde::Serializer>(day: &Option<Day>, serializer: S) -> Result<S::Ok, S::Error> {
    match day {
        Some(day) => as_date(day, serializer),
        None => serializer.serialize_none(),
    }
}
