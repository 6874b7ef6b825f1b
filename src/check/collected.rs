//! What has been seen of a table while it is read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Map, Value};

use super::report::{Bad, Days, FirstRow, MissingValues, PassedOver, TableReport, Times, TypeRows, time_text};
use super::shifted::Shifted;
use super::values::{ValueOf, shown};
use crate::error::{BadRow, Reason};
use crate::event::Day;
use crate::read::{Chunk, Origin, PathDay, Source};
use crate::schema::{ActionTable, DayOf, Kept, Schema, TimeOf};
use crate::unify::{Looked, Nulls, Passed, Row};

/// Rows that are shown of a table.
const SHOWN: usize = 3;

/// What has been seen of a table.
pub(super) struct Collected<'a> {
    pub(super) name: &'a str,
    /// The table of the description, where it is one of actions.
    pub(super) actions: Option<&'a ActionTable>,
    pub(super) time: Option<&'a TimeOf>,
    day: &'a DayOf,
    paths: Vec<PathBuf>,
    files: u64,
    formats: Vec<&'static str>,
    bytes: u64,
    rows_of: Option<u64>,
    pub(super) whole: bool,
    pub(super) rows: u64,
    pub(super) made: u64,
    pub(super) lines: u64,
    pub(super) shows_nothing: u64,
    /// How many rows are bad for each reason, and the first of them, with its part.
    bad: BTreeMap<Reason, (u64, usize, BadRow)>,
    pub(super) passed: Vec<Passed>,
    nulls: Vec<Nulls>,
    pub(super) times: Vec<i64>,
    path_days: BTreeMap<Day, u64>,
    row_days: BTreeMap<Day, u64>,
    pub(super) kinds: BTreeMap<u8, u64>,
    pub(super) customers: FxHashSet<i64>,
    items: FxHashSet<i64>,
    moments: FxHashMap<(i64, i64), u64>,
    pub(super) values: Vec<ValueOf<'a>>,
    pub(super) shifted: Shifted,
    first: Vec<(usize, Option<PathBuf>, Row)>,
}

impl<'a> Collected<'a> {
    /// Nothing yet of the table of samples.
    pub(super) fn of_samples(schema: &'a Schema, paths: Vec<PathBuf>) -> Self {
        let table = &schema.samples;
        let labels = table.labels.iter().map(|label| {
            let dtype = label.of.value_type();
            ValueOf::new(&label.name, "label", dtype, None, label.of.column().is_some())
        });
        let kept = table.kept.iter().map(|kept| ValueOf::new(&kept.name, "keep", kept.dtype, kept.null, true));
        let values = labels.chain(kept).collect();
        Self { values, ..Self::new(&table.name, &table.day, table.time.as_ref(), paths) }
    }

    /// Nothing yet of a table of actions.
    pub(super) fn of_actions(schema: &'a Schema, table: &'a ActionTable, paths: Vec<PathBuf>) -> Self {
        let value = |feature: &'a Kept| {
            let own = table.features.iter().find(|own| own.name == feature.name);
            ValueOf::new(&feature.name, "feature", feature.dtype, own.unwrap_or(feature).null, own.is_some())
        };
        let values = schema.features().into_iter().map(value).collect();
        let actions = Some(table);
        Self { actions, values, ..Self::new(&table.name, &table.day, table.time.as_ref(), paths) }
    }

    fn new(name: &'a str, day: &'a DayOf, time: Option<&'a TimeOf>, paths: Vec<PathBuf>) -> Self {
        Self {
            name,
            actions: None,
            time,
            day,
            paths,
            files: 0,
            formats: Vec::new(),
            bytes: 0,
            rows_of: None,
            whole: false,
            rows: 0,
            made: 0,
            lines: 0,
            shows_nothing: 0,
            bad: BTreeMap::new(),
            passed: Vec::new(),
            nulls: Vec::new(),
            times: Vec::new(),
            path_days: BTreeMap::new(),
            row_days: BTreeMap::new(),
            kinds: BTreeMap::new(),
            customers: FxHashSet::default(),
            items: FxHashSet::default(),
            moments: FxHashMap::default(),
            values: Vec::new(),
            shifted: Shifted::default(),
            first: Vec::new(),
        }
    }

    /// Notes what is known before anything is read.
    pub(super) fn see_source(&mut self, source: &dyn Source) {
        self.files = source.files().len() as u64;
        self.bytes = source.bytes();
        // Of a stream nobody knows how long it is.
        self.rows_of = Some(0);
        for part in 0..source.parts() {
            let facts = source.facts(part);
            self.rows_of = self.rows_of.zip(facts.rows).map(|(sum, rows)| sum.saturating_add(rows));
            self.formats.extend(facts.format);
            if let (Some(PathDay::Day(day)), false) = (facts.day, matches!(self.day, DayOf::Time { .. })) {
                *self.path_days.entry(*day).or_default() += 1;
            }
        }
        self.formats.sort_unstable();
        self.formats.dedup();
    }

    /// Notes lines that show nothing.
    pub(super) fn see_lines(&mut self, chunk: &Chunk) {
        if chunk.origin.text && self.actions.is_none() {
            self.lines += chunk.batch.num_rows() as u64;
            self.shows_nothing += chunk.bare;
        }
    }

    /// Adds what a chunk of a part holds; the chunks of a part come in their order.
    pub(super) fn add(&mut self, part: usize, chunk: &Chunk, looked: Looked) {
        self.rows += chunk.batch.num_rows() as u64;
        self.times.extend(looked.times);
        add_up(&mut self.passed, looked.passed, |one, other| {
            let is_same = one.column == other.column && one.is_of_types == other.is_of_types;
            if is_same {
                one.passed += other.passed;
                one.left += other.left;
            }
            is_same
        });
        add_up(&mut self.nulls, looked.nulls, |one, other| {
            let is_same = one.name == other.name;
            if is_same {
                one.nulls += other.nulls;
                one.of += other.of;
            }
            is_same
        });
        let mut shown = self.first.iter().filter(|(known, ..)| *known == part).count();
        for row in looked.rows {
            match row {
                Ok(row) => {
                    self.add_row(part, &chunk.origin, &row);
                    if shown < SHOWN {
                        shown += 1;
                        self.first.push((part, chunk.origin.path().map(ToOwned::to_owned), row));
                    }
                }
                Err(bad) => self.add_bad(part, bad),
            }
        }
    }

    /// How many rows have a time that is none, and what the first of them holds.
    pub(super) fn bad_times(&self) -> Option<(u64, &str)> {
        self.bad.get(&Reason::UnparsableTime).map(|(rows, _, first)| (*rows, first.value.as_str()))
    }

    fn add_bad(&mut self, part: usize, bad: BadRow) {
        match self.bad.get_mut(&bad.reason) {
            None => {
                self.bad.insert(bad.reason, (1, part, bad));
            }
            Some((rows, known, first)) => {
                *rows += 1;
                if part < *known {
                    (*known, *first) = (part, bad);
                }
            }
        }
    }

    fn add_row(&mut self, part: usize, origin: &Origin, row: &Row) {
        self.made += 1;
        *self.row_days.entry(row.day).or_default() += 1;
        self.customers.insert(row.customer);
        self.items.insert(row.item);
        if self.actions.is_some() {
            *self.kinds.entry(row.kind).or_default() += 1;
            if let Some(time) = row.time {
                *self.moments.entry((row.customer, time)).or_default() += 1;
            }
        }
        if let (Some(time), Some(_), false) = (row.time, self.time, matches!(self.day, DayOf::Time { .. })) {
            self.shifted.add(part, origin, row, time);
        }
        for (value, &found) in self.values.iter_mut().zip(&row.values) {
            value.add(found);
        }
    }

    /// The first and the last day.
    pub(super) fn first_and_last_day(&self) -> Option<(Day, Day)> {
        let (first, last) = (self.days().first_key_value()?, self.days().last_key_value()?);
        Some((*first.0, *last.0))
    }

    /// Whether the days that are known are all that the table has.
    pub(super) fn knows_all_days(&self) -> bool {
        self.whole || !self.path_days.is_empty()
    }

    fn days(&self) -> &BTreeMap<Day, u64> {
        if self.path_days.is_empty() { &self.row_days } else { &self.path_days }
    }

    /// The time in the middle; of a table without times the middle of its days.
    pub(super) fn median(&self) -> Option<i64> {
        if self.times.is_empty() {
            let mut before = 0;
            let day = self.row_days.iter().find(|(_, rows)| {
                before += **rows;
                before * 2 >= self.made
            });
            return day.map(|(day, _)| day.midnight());
        }
        let mut times = self.times.clone();
        let middle = (times.len() - 1) / 2;
        Some(*times.select_nth_unstable(middle).1)
    }

    /// What is to be shown of it.
    pub(super) fn report(self, schema: &Schema) -> TableReport {
        let days = self.first_and_last_day().map(|(first, last)| Days {
            first: first.to_string(),
            last: last.to_string(),
            count: self.days().len() as u64,
            from_paths: !self.path_days.is_empty(),
            shifts: self.shifted.report(),
        });
        let times = match (self.times.iter().min(), self.median(), self.times.iter().max()) {
            (Some(&first), Some(median), Some(&last)) => {
                Some(Times { first: time_text(first), median: time_text(median), last: time_text(last) })
            }
            _ => None,
        };
        let ties = self.actions.map(|_| self.moments.values().filter(|&&actions| actions > 1).sum());
        let type_rows = |number: u8| {
            let name = schema.types.name(number)?.to_owned();
            Some(TypeRows { name, actions: self.kinds.get(&number).copied().unwrap_or(0) })
        };
        let mut numbers: Vec<u8> = self.actions.iter().flat_map(|table| table.kind.numbers()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let own = self.values.iter().filter(|value| value.is_of_rows);
        let mut first = self.first.iter().collect::<Vec<_>>();
        first.sort_by_key(|(part, ..)| *part);
        TableReport {
            table: self.name.to_owned(),
            is_of_actions: self.actions.is_some(),
            files: self.files,
            bytes: self.bytes,
            days,
            rows: self.rows,
            rows_of: self.rows_of,
            is_whole: self.whole,
            made: self.made,
            passed_over: self.passed.iter().map(passed_over).collect(),
            shows_nothing: self.shows_nothing,
            bad: self.bad.values().map(|(rows, _, first)| bad(*rows, first)).collect(),
            customers: self.customers.len() as u64,
            items: self.items.len() as u64,
            types: numbers.into_iter().filter_map(type_rows).collect(),
            times,
            ties,
            values: own.map(ValueOf::report).collect(),
            nulls: self.nulls.iter().map(|nulls| self.missing(nulls)).collect(),
            first_rows: first.into_iter().take(SHOWN).map(|(_, file, row)| self.first_row(file, row, schema)).collect(),
            paths: self.paths,
            formats: self.formats,
        }
    }

    fn missing(&self, nulls: &Nulls) -> MissingValues {
        let of = self.values.iter().find(|value| nulls.name.as_deref() == Some(value.name));
        MissingValues {
            name: nulls.name.clone().unwrap_or_else(|| "time".to_owned()),
            nulls: nulls.nulls,
            of: nulls.of,
            read_as: of.and_then(|value| value.null),
        }
    }

    fn first_row(&self, file: &Option<PathBuf>, row: &Row, schema: &Schema) -> FirstRow {
        let values = self.values.iter().zip(&row.values);
        let values = values.map(|(value, &found)| (value.name.to_owned(), shown(found, value.dtype)));
        FirstRow {
            file: file.clone(),
            row: row.number,
            day: row.day.to_string(),
            customer: row.customer,
            item: row.item,
            kind: self.actions.and_then(|_| schema.types.name(row.kind)).map(str::to_owned),
            time: row.time.map(time_text),
            request: row.request,
            values: values.collect::<Map<String, Value>>(),
        }
    }
}

/// Adds to each of some sums what is its own of `more`, or notes a new one.
fn add_up<T>(sums: &mut Vec<T>, more: Vec<T>, add: impl Fn(&mut T, &T) -> bool) {
    for one in more {
        if !sums.iter_mut().any(|sum| add(sum, &one)) {
            sums.push(one);
        }
    }
}

fn passed_over(passed: &Passed) -> PassedOver {
    PassedOver {
        by: if passed.is_of_types { "other" } else { "where" },
        column: passed.column.clone(),
        of_elements: passed.of_elements,
        rows: passed.passed,
        left: passed.left,
    }
}

fn bad(rows: u64, first: &BadRow) -> Bad {
    Bad {
        reason: first.reason.name(),
        problem: first.reason.describe(),
        rows,
        file: first.file.clone(),
        row: first.row.filter(|_| !first.in_path),
        is_line: first.is_line,
        column: first.column.clone(),
        value: first.value.clone(),
    }
}
