//! What looks wrong in tables: nothing that stops a build, and seldom what was meant.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::collected::Collected;
use super::report::{Customers, time_text};
use crate::event::{Day, MICROS_PER_DAY};
use crate::schema::{Cutoff, Schema, Unit, ValueType};

/// Something that looks wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Warning {
    /// What kind of thing it is.
    pub kind: WarningKind,
    /// The table, where it is about one.
    pub table: Option<String>,
    /// What it is, and what to do.
    pub problem: String,
}

/// The kinds of what looks wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarningKind {
    /// Times that are long ago or to come.
    OddTimes,
    /// The times of a table are far from those of samples.
    TimesApart,
    /// Days that are not those of their times.
    DaysOfOtherTimes,
    /// No customer of samples has any action.
    UnknownCustomers,
    /// A label that is the same for all samples.
    ConstantLabel,
    /// A type that no action has.
    TypeWithoutActions,
    /// A filter that leaves nothing.
    NothingLeft,
    /// Lines of samples that mostly have neither an item nor a list of items.
    NothingShown,
    /// Actions that no sample sees, as they are of later days.
    ActionsTooLate,
}

impl WarningKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::OddTimes,
        Self::TimesApart,
        Self::DaysOfOtherTimes,
        Self::UnknownCustomers,
        Self::ConstantLabel,
        Self::TypeWithoutActions,
        Self::NothingLeft,
        Self::NothingShown,
        Self::ActionsTooLate,
    ];
}

/// So many samples have to have the same label before that looks odd.
const LEAST_SAMPLES: u64 = 10;

/// Where tables are not read whole, no common customer is odd only if this is what two samples of customers come to together: among
/// a hundred million of them, ten would then be common.
const LEAST_PAIRS: u64 = 1_000_000_000;

/// One row in so many may have a day that is far from that of its time.
const FAR_SHARE: u64 = 100;

/// Times that are closer to 1970 than this are those of a clock of their own.
const LONG: i64 = 366 * MICROS_PER_DAY;

/// 1990-01-01, before which no log began.
const FIRST_YEAR: i64 = 7_305 * MICROS_PER_DAY;

/// Everything that looks wrong in tables, that of samples first.
pub(super) fn all(found: &[Collected<'_>], customers: Customers, schema: &Schema, now: i64) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let Some((samples, actions)) = found.split_first() else { return warnings };
    for table in found {
        let mut add = |kind, problem: Option<String>| {
            warnings.extend(problem.map(|problem| Warning { kind, table: Some(table.name.to_owned()), problem }));
        };
        table.passed.iter().for_each(|passed| add(WarningKind::NothingLeft, nothing_left(passed)));
        add(WarningKind::NothingShown, nothing_shown(table));
        let odd = OddTimes::of(table, now);
        // Where times are misread, days cannot be theirs.
        let are_misread = odd.as_ref().is_some_and(|odd| odd.count > table.times.len() / 2);
        add(WarningKind::OddTimes, odd.map(|odd| odd.problem).or_else(|| numbers_too_large(table, now)));
        add(WarningKind::DaysOfOtherTimes, days_of_other_times(table).filter(|_| !are_misread));
        if table.actions.is_some() {
            add(WarningKind::TimesApart, times_apart(table, samples));
            add(WarningKind::ActionsTooLate, actions_too_late(table, samples, schema));
        }
        constant_labels(table).for_each(|problem| add(WarningKind::ConstantLabel, Some(problem)));
    }
    let mut add = |kind, problem| warnings.push(Warning { kind, table: None, problem });
    types_without_actions(actions, schema).for_each(|problem| add(WarningKind::TypeWithoutActions, problem));
    let whole = found.iter().all(|table| table.whole);
    unknown_customers(customers, whole).into_iter().for_each(|problem| add(WarningKind::UnknownCustomers, problem));
    warnings
}

fn nothing_left(passed: &crate::unify::Passed) -> Option<String> {
    let (rows, column) = (passed.passed, &passed.column);
    let of = if passed.of_elements { "elements" } else { "rows" };
    if passed.left > 0 || rows == 0 {
        return None;
    }
    Some(if passed.is_of_types {
        format!(
            "`other = \"ignore\"` ignores all of {rows} {of}: what `{column}` holds is never one of the `values` of the type"
        )
    } else {
        format!("`where` ignores all of {rows} {of}: `{column}` never has one of its values")
    })
}

fn nothing_shown(table: &Collected<'_>) -> Option<String> {
    let (rows, of) = (table.shows_nothing, table.lines);
    (rows > of / 2).then(|| {
        format!(
            "{rows} of {of} lines have neither an item nor a list of items; a build stops at that: most likely the keys have \
             other names"
        )
    })
}

/// Times before 1990, or later than a year from tomorrow on.
struct OddTimes {
    count: usize,
    problem: String,
}

impl OddTimes {
    fn of(table: &Collected<'_>, now: i64) -> Option<Self> {
        let sensible = sensible(now);
        let mut odd: Vec<i64> = table.times.iter().copied().filter(|time| !sensible.contains(time)).collect();
        odd.sort_unstable();
        let (&first, &last) = (odd.first()?, odd.last()?);
        let (count, of) = (odd.len(), table.times.len());
        let (first_text, last_text) = (time_text(first), time_text(last));
        let range = if first == last { first_text } else { format!("{first_text} to {last_text}") };
        let hint = another_unit(odd[(count - 1) / 2], &sensible);
        let hint =
            hint.map_or_else(String::new, |(is_product, steps)| format!("; {}", unit_hint(table, is_product, steps)));
        let limit = Day::containing(*sensible.end()).map_or_else(String::new, |day| day.to_string());
        let problem = format!("{count} of {of} times are before 1990 or after {limit}: {range}{hint}");
        Some(Self { count, problem })
    }
}

/// The times that are not odd.
fn sensible(now: i64) -> RangeInclusive<i64> {
    FIRST_YEAR..=now.saturating_add(366 * MICROS_PER_DAY)
}

/// By what a time has to be multiplied, or else divided, to be sensible: by a thousand so many times.
fn another_unit(time: i64, sensible: &RangeInclusive<i64>) -> Option<(bool, usize)> {
    [(1, 1_000), (2, 1_000_000), (3, 1_000_000_000)].into_iter().find_map(|(steps, factor)| {
        let is_product = time.checked_mul(factor).is_some_and(|time| sensible.contains(&time));
        let is_quotient = sensible.contains(&(time / factor));
        (is_product || is_quotient).then_some((is_product, steps))
    })
}

/// The units of numbers, each with its key, its name, and how many of it are a second.
const UNITS: [(Unit, &str, &str, i128); 4] = [
    (Unit::Seconds, "s", "seconds", 1),
    (Unit::Milliseconds, "ms", "milliseconds", 1_000),
    (Unit::Microseconds, "us", "microseconds", 1_000_000),
    (Unit::Nanoseconds, "ns", "nanoseconds", 1_000_000_000),
];

/// Where the unit of a table's numbers is among all, where the description says one.
fn unit_of(table: &Collected<'_>) -> Option<usize> {
    let said = table.time?.unit?;
    UNITS.iter().position(|(unit, ..)| *unit == said)
}

/// What to do about times that are sensible in another unit.
fn unit_hint(table: &Collected<'_>, is_product: bool, steps: usize) -> String {
    let read_as = unit_of(table);
    // What is too small by a thousand was in the next larger unit.
    let meant = read_as.and_then(|read_as| if is_product { read_as.checked_sub(steps) } else { Some(read_as + steps) });
    match (read_as, meant.filter(|&meant| meant < UNITS.len())) {
        (Some(read_as), Some(meant)) => say_unit(table, read_as, meant),
        _ => {
            let (verb, factor) = (if is_product { "times" } else { "divided by" }, 1000u64.pow(steps as u32));
            format!(
                "{verb} {factor} they would be sensible, so this looks like another unit than the one that the column's type says: \
                 write them in that, or as numbers with `unit` in `{}`",
                key_of_time(table)
            )
        }
    }
}

fn say_unit(table: &Collected<'_>, read_as: usize, meant: usize) -> String {
    let (_, key, name, _) = UNITS[meant];
    format!("this looks like {name} read as {}: say `unit = \"{key}\"` in `{}`", UNITS[read_as].2, key_of_time(table))
}

fn key_of_time(table: &Collected<'_>) -> String {
    if table.actions.is_some() { format!("actions.{}.time", table.name) } else { "samples.time".to_owned() }
}

/// Numbers that are no times in the unit of the description, as 64 bits have no room for them, and sensible ones in another.
fn numbers_too_large(table: &Collected<'_>, now: i64) -> Option<String> {
    let (read_as, (rows, value)) = (unit_of(table)?, table.bad_times()?);
    let number: i128 = value.parse().ok()?;
    let micros = |per_second: i128| i64::try_from(number.checked_mul(1_000_000)? / per_second).ok();
    let sensible = sensible(now);
    let meant =
        UNITS.iter().position(|&(.., per_second)| micros(per_second).is_some_and(|time| sensible.contains(&time)))?;
    Some(format!("{rows} times are beyond all days, the first of them `{number}`; {}", say_unit(table, read_as, meant)))
}

fn days_of_other_times(table: &Collected<'_>) -> Option<String> {
    let shifts = table.shifted.report()?;
    if shifts.far * FAR_SHARE < shifts.of || shifts.far == 0 {
        return None;
    }
    let (far, of, least, most) = (shifts.far, shifts.of, shifts.least, shifts.most);
    Some(format!(
        "{far} of {of} rows have a day that is more than one day before or two days after that of their time (days differ by {least} to \
         {most}), and the day decides what a sample sees; first {}",
        shifts.example
    ))
}

/// Times of actions and samples that are ten times as far from 1970.
fn times_apart(table: &Collected<'_>, samples: &Collected<'_>) -> Option<String> {
    let (own, other) = (table.median()?, samples.median()?);
    let is_apart = |one: i64, other: i64| {
        let (one, other) = (one.saturating_abs(), other.saturating_abs());
        one > LONG && one / 10 >= other
    };
    (is_apart(own, other) || is_apart(other, own)).then(|| {
        let (own, other) = (time_text(own), time_text(other));
        format!(
            "half of its times are before {own}, and of those of the samples before {other}: one of them looks misread"
        )
    })
}

fn actions_too_late(table: &Collected<'_>, samples: &Collected<'_>, schema: &Schema) -> Option<String> {
    let ((first, last), (_, shown)) = (table.first_and_last_day()?, samples.first_and_last_day()?);
    if !table.knows_all_days() || !samples.knows_all_days() {
        return None;
    }
    let (is_late, when) = match schema.history.cutoff {
        Cutoff::Day => (first >= shown, "before"),
        Cutoff::Time => (first > shown, "on or before"),
    };
    is_late.then(|| {
        format!("none of its days ({first} to {last}) is {when} the last day of the samples, {shown}: no sample sees any of its actions")
    })
}

fn constant_labels<'c>(table: &'c Collected<'_>) -> impl Iterator<Item = String> + 'c {
    let labels = table.values.iter().filter(|value| value.role == "label" && value.is_of_rows);
    let labels = labels.filter(|value| table.made >= LEAST_SAMPLES && value.dtype != ValueType::Hash);
    labels.filter_map(|label| {
        let all = label.only().filter(|all| [0.0, 1.0].contains(all))?;
        Some(format!("the label `{}` is {all} in all of {} samples", label.name, table.made))
    })
}

/// Types of the description, without those that only tables have that are not there.
fn types_without_actions<'c>(actions: &'c [Collected<'_>], schema: &'c Schema) -> impl Iterator<Item = String> + 'c {
    schema.types.iter().filter_map(move |(number, name)| {
        if !schema.actions.iter().any(|table| table.kind.numbers().any(|known| known == number)) {
            return Some(format!("no table has actions of the type `{name}`"));
        }
        let mut tables = actions
            .iter()
            .filter(|table| table.actions.is_some_and(|table| table.kind.numbers().any(|known| known == number)));
        let is_read = tables.clone().next().is_some();
        let has_rows = tables.any(|table| table.kinds.contains_key(&number));
        (is_read && !has_rows).then(|| format!("no action that was read is of the type `{name}`"))
    })
}

fn unknown_customers(customers: Customers, whole: bool) -> Option<String> {
    let Customers { of_samples, of_actions, of_both } = customers;
    let is_telling = whole || of_samples.saturating_mul(of_actions) >= LEAST_PAIRS;
    (of_both == 0 && of_samples > 0 && of_actions > 0 && is_telling).then(|| {
        format!(
            "none of {of_samples} customers of samples is among {of_actions} customers of actions: most likely the ids of one are \
             not those of the other"
        )
    })
}
