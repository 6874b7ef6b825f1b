//! The page: sections in the order in which they are asked about, each a picture and a table of the same numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::charts::Chart;
use super::marks::percent;
use super::tables::{self, Cell};
use super::{Mark, Oddity, Report, ReportedDay, formats_of};
use crate::error::path_text;
use crate::event::Day;
use crate::inspect::{counted, duration, size, thousands};
use crate::manifest::Manifest;

const STYLE: &str = include_str!("page.css");

/// The sections: their names in links, and their heads.
const SECTIONS: [(&str, &str); 8] = [
    ("marks", "What stands out"),
    ("days", "Samples"),
    ("labels", "Labels"),
    ("histories", "History lengths"),
    ("actions", "Actions"),
    ("tables", "Tables"),
    ("sizes", "Sizes"),
    ("build", "How the days were built"),
];

/// A text as it may stand in a page, also in an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What no page may hold, or no reader would see.
            letter if letter.is_control() => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

impl Report {
    /// The page, as HTML in UTF-8: complete in itself, without scripts.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = Page { report: self, days: self.days.iter().map(|day| day.day).collect(), text: String::new() };
        page.head();
        for (name, head) in SECTIONS {
            page.add(format_args!("<section id=\"{name}\"><h2>{head}</h2>\n"));
            match name {
                "marks" => page.marks(),
                "days" => page.samples(),
                "labels" => page.labels(),
                "histories" => page.histories(),
                "actions" => page.actions(),
                "tables" => page.tables(),
                "sizes" => page.sizes(),
                _ => page.build(),
            }
            page.add(format_args!("</section>\n"));
        }
        page.add(format_args!("</main></body></html>\n"));
        page.text
    }
}

struct Page<'a> {
    report: &'a Report,
    days: Vec<Day>,
    text: String,
}

impl<'a> Page<'a> {
    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a text does not fail.
        let _ = self.text.write_fmt(text);
    }

    fn head(&mut self) {
        let report = self.report;
        let path = escaped(&path_text(&report.path));
        self.add(format_args!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>shardback: {path}</title>\n<style>\n{STYLE}</style></head>\n<body>\n\
             <header><h1>{path}</h1>\n"
        ));
        if let (Some(first), Some(last)) = (self.days.first().copied(), self.days.last().copied()) {
            let sum = |figure: &dyn Fn(&ReportedDay) -> u64| {
                report.days.iter().fold(0_u64, |sum, day| sum.saturating_add(figure(day)))
            };
            let span = if first == last { first.to_string() } else { format!("{first} to {last}") };
            let odd = report.marks.iter().filter_map(|mark| mark.day).collect::<BTreeSet<_>>().len();
            self.add(format_args!("<p>{span}</p>\n<dl class=\"figures\">"));
            for (name, figure) in [
                ("days", thousands(report.days.len() as u64)),
                ("stand out", thousands(odd as u64)),
                ("samples", thousands(sum(&|day| day.manifest.statistics.samples))),
                ("rows left out", thousands(sum(&ReportedDay::rejected))),
                ("on disk", size(sum(&ReportedDay::bytes))),
            ] {
                self.add(format_args!("<div><dt>{name}</dt><dd>{figure}</dd></div>"));
            }
            self.add(format_args!("</dl>\n"));
        }
        self.add(format_args!("<nav aria-label=\"Sections\"><ul>"));
        for (name, head) in SECTIONS {
            self.add(format_args!("<li><a href=\"#{name}\">{head}</a></li>"));
        }
        self.add(format_args!("</ul></nav></header>\n<main>\n"));
    }

    fn marks(&mut self) {
        let report = self.report;
        if report.marks.is_empty() {
            let told =
                if report.days.len() > 2 { "Nothing." } else { "Nothing; it takes three days to say what is usual." };
            return self.add(format_args!("<p>{told}</p>\n"));
        }
        self.add(format_args!(
            "<p>Held against the median of up to seven days on either side, and against the day before.</p>\n<ul class=\"marks\">\n"
        ));
        for mark in &report.marks {
            let day = mark.day.map_or_else(|| "no day".to_owned(), |day| day.to_string());
            self.add(format_args!("<li><b>{day}</b> {}</li>\n", escaped(&mark.oddity.to_string())));
        }
        self.add(format_args!("</ul>\n"));
    }

    fn samples(&mut self) {
        let report = self.report;
        let odd = self.odd(|oddity| matches!(oddity, Oddity::Samples { .. }));
        let without = self.odd(|oddity| matches!(oddity, Oddity::WithoutHistory { .. }));
        let old = self.odd(|oddity| matches!(oddity, Oddity::OldNewest { .. }));
        let samples: Vec<_> = report.days.iter().map(|day| Some(day.manifest.statistics.samples as f64)).collect();
        self.chart("Samples", &samples, &odd, &|value| thousands(value as u64));
        let gaps: Vec<_> =
            report.days.iter().map(|day| day.manifest.statistics.smallest_gap_micros.map(|gap| gap as f64)).collect();
        self.chart("Age of the newest action at the cut-off", &gaps, &old, &age);
        let has_late = report.days.iter().any(|day| day.hidden_late.is_some());
        let mut heads = vec!["day", "samples", "change", "requests", "customers", "without history", "newest action"];
        heads.extend(has_late.then_some("late, hidden"));
        let rows = report.days.iter().enumerate().map(|(place, day)| {
            let statistics = &day.manifest.statistics;
            let before = place.checked_sub(1).map(|before| report.days[before].manifest.statistics.samples);
            let mut cells = vec![
                Cell::new(thousands(statistics.samples)).odd(odd[place]),
                Cell::known(before.and_then(|before| change(before, statistics.samples))),
                Cell::new(thousands(statistics.requests)),
                Cell::new(thousands(statistics.customers)),
                Cell::known(day.without_history().map(percent)).odd(without[place]),
                Cell::known(statistics.smallest_gap_micros.map(|gap| age(gap as f64))).odd(old[place]),
            ];
            cells.extend(has_late.then(|| Cell::known(day.hidden_late.map(thousands))));
            (day.day.to_string(), cells)
        });
        tables::write(&mut self.text, "Samples, requests and customers by day", &owned(&heads), rows);
    }

    fn labels(&mut self) {
        let report = self.report;
        let names: BTreeSet<&String> =
            report.days.iter().flat_map(|day| day.manifest.statistics.labels.keys()).collect();
        if names.is_empty() {
            return self.add(format_args!("<p>No label is true or false.</p>\n"));
        }
        let mut odd_of = BTreeMap::new();
        for &name in &names {
            let odd = self.odd(|oddity| matches!(oddity, Oddity::Rate { label, .. } if label == name));
            let rate = |day: &ReportedDay| day.manifest.statistics.labels.get(name)?.rate;
            let rates: Vec<_> = report.days.iter().map(rate).collect();
            self.chart(&format!("Share of samples with {name}"), &rates, &odd, &percent);
            odd_of.insert(name, odd);
        }
        let mut heads = vec!["day".to_owned()];
        heads.extend(names.iter().flat_map(|name| [format!("{name}: samples"), "share".to_owned()]));
        let rows = report.days.iter().enumerate().map(|(place, day)| {
            let cells = names.iter().flat_map(|&name| {
                let label = day.manifest.statistics.labels.get(name);
                let is_odd = odd_of.get(name).is_some_and(|odd: &Vec<bool>| odd[place]);
                [
                    Cell::known(label.map(|label| thousands(label.positives))),
                    Cell::known(label.and_then(|label| label.rate).map(percent)).odd(is_odd),
                ]
            });
            (day.day.to_string(), cells.collect())
        });
        tables::write(&mut self.text, "Samples with each label by day", &heads, rows);
    }

    fn histories(&mut self) {
        let report = self.report;
        // Days of another K have other last ranges.
        let mut ranges: BTreeSet<(u64, u64)> = BTreeSet::new();
        for range in report.days.iter().flat_map(|day| &day.manifest.statistics.history_lengths) {
            if range.customers > 0 {
                ranges.insert((range.from, range.to));
            }
        }
        let name = |&(from, to): &(u64, u64)| {
            if from == to { thousands(from) } else { format!("{}–{}", thousands(from), thousands(to)) }
        };
        let heads: Vec<String> = std::iter::once("day".to_owned()).chain(ranges.iter().map(name)).collect();
        let rows = report.days.iter().map(|day| {
            let statistics = &day.manifest.statistics;
            let cells = ranges.iter().map(|&(from, to)| {
                let range = statistics.history_lengths.iter().find(|range| (range.from, range.to) == (from, to));
                let share = range.filter(|_| statistics.customers > 0);
                let share = share.map(|range| range.customers as f64 / statistics.customers as f64);
                Cell::known(share.map(|share| format!("{:.1} %", share * 100.0))).share(share.unwrap_or_default())
            });
            (day.day.to_string(), cells.collect())
        });
        tables::write(&mut self.text, "Share of customers by the length of their longest history", &heads, rows);
    }

    fn actions(&mut self) {
        let report = self.report;
        // In the order of the types' numbers, as a day has them that has them last.
        let types: BTreeMap<(u8, &String), ()> = report
            .days
            .iter()
            .flat_map(|day| day.manifest.types.iter().map(|(name, &number)| ((number, name), ())))
            .collect();
        let quiet = vec![false; report.days.len()];
        let count = |day: &ReportedDay, name: &str| day.manifest.statistics.actions.get(name).copied();
        for (_, name) in types.keys() {
            let counts: Vec<_> = report.days.iter().map(|day| count(day, name).map(|count| count as f64)).collect();
            self.chart(&format!("Actions in histories: {name}"), &counts, &quiet, &|value| thousands(value as u64));
        }
        let names = types.keys().map(|(_, name)| (*name).clone());
        let heads: Vec<String> = std::iter::once("day".to_owned()).chain(names).collect();
        let rows = report.days.iter().map(|day| {
            let cells = types.keys().map(|(_, name)| Cell::known(count(day, name).map(thousands)));
            (day.day.to_string(), cells.collect())
        });
        tables::write(&mut self.text, "Actions in histories by type and day", &heads, rows);
    }

    fn tables(&mut self) {
        let report = self.report;
        let names: BTreeSet<&String> = report.days.iter().flat_map(|day| day.manifest.tables.keys()).collect();
        let new_rows: Vec<BTreeMap<&str, u64>> = (0..report.days.len())
            .map(|place| place.checked_sub(1).map(|before| report.days[place].new_rows(&report.days[before])))
            .map(Option::unwrap_or_default)
            .collect();
        let mut odd_of = BTreeMap::new();
        for &name in &names {
            let odd = self.odd(|oddity| match oddity {
                Oddity::Late { table, .. } | Oddity::FewNewRows { table, .. } => table == name,
                _ => false,
            });
            let rows: Vec<_> = new_rows.iter().map(|new| new.get(name.as_str()).map(|&rows| rows as f64)).collect();
            self.chart(&format!("New rows of {name} since the day before"), &rows, &odd, &|value| {
                thousands(value as u64)
            });
            odd_of.insert(name, odd);
        }
        let heads: Vec<String> =
            std::iter::once("day".to_owned()).chain(names.iter().map(|name| (*name).clone())).collect();
        let rows = report.days.iter().enumerate().map(|(place, day)| {
            let cells = names.iter().map(|&name| {
                let rows = day.manifest.tables.get(name).map(|table| thousands(table.rows));
                Cell::known(rows).odd(odd_of.get(name).is_some_and(|odd: &Vec<bool>| odd[place]))
            });
            (day.day.to_string(), cells.collect())
        });
        tables::write(&mut self.text, "Valid rows that each day sees, by table", &heads, rows);
        self.rejected();
    }

    fn rejected(&mut self) {
        let with_rejected = self.report.days.iter().filter(|day| day.rejected() > 0);
        let rows: Vec<(String, Vec<Cell>)> = with_rejected
            .flat_map(|day| {
                let reasons = day.manifest.tables.iter().flat_map(|(name, table)| {
                    table.rejected.iter().map(move |(reason, &count)| {
                        vec![Cell::new(name.as_str()), Cell::new(reason.as_str()), Cell::new(thousands(count))]
                    })
                });
                reasons.map(|cells| (day.day.to_string(), cells)).collect::<Vec<_>>()
            })
            .collect();
        if rows.is_empty() {
            return self.add(format_args!("<p>No row was left out.</p>\n"));
        }
        let heads = owned(&["day", "table", "reason", "rows"]);
        tables::write(&mut self.text, "Rows that were left out, by reason", &heads, rows.into_iter());
    }

    fn sizes(&mut self) {
        let report = self.report;
        let quiet = vec![false; report.days.len()];
        let sizes: Vec<_> = report.days.iter().map(|day| Some(day.bytes() as f64)).collect();
        self.chart("Bytes of all formats", &sizes, &quiet, &|value| size(value as u64));
        let formats = formats_of(&report.days);
        let mut heads = vec!["day".to_owned()];
        heads.extend(formats.iter().map(|&name| name.to_owned()));
        heads.push("all".to_owned());
        let rows = report.days.iter().map(|day| {
            let of = |name: &str| day.formats.iter().find(|format| format.format == name);
            let text = |name: &str| {
                of(name).map(|of| format!("{}, {}", size(of.bytes), counted(u64::from(of.shards), "shard")))
            };
            let mut cells: Vec<Cell> = formats.iter().map(|name| Cell::known(text(name))).collect();
            cells.push(Cell::new(size(day.bytes())));
            (day.day.to_string(), cells)
        });
        tables::write(&mut self.text, "Bytes and shards by day and format", &heads, rows);
    }

    fn build(&mut self) {
        let report = self.report;
        let heads = owned(&["day", "K", "sees", "items", "build", "by"]);
        let rows = report.days.iter().map(|day| {
            let manifest = &day.manifest;
            let is_odd = report.marks.iter().any(|mark| {
                mark.day == Some(day.day) && matches!(mark.oddity, Oddity::Changed { .. } | Oddity::SeveralBuilds)
            });
            let cells = vec![
                Cell::new(thousands(manifest.history)),
                Cell::new(sees(manifest)),
                Cell::new(manifest.item_dtype.as_str()),
                Cell::new(manifest.build.get(..8).unwrap_or(&manifest.build)).odd(is_odd),
                Cell::new(manifest.tool.as_str()),
            ];
            (day.day.to_string(), cells)
        });
        tables::write(&mut self.text, "Options and builds by day", &heads, rows);
    }

    fn chart(&mut self, title: &str, values: &[Option<f64>], marked: &[bool], text: &dyn Fn(f64) -> String) {
        Chart { title, days: &self.days, values, marked, text }.write(&mut self.text);
    }

    /// For each day whether it stands out in this way.
    fn odd(&self, is_odd: impl Fn(&Oddity) -> bool) -> Vec<bool> {
        let marks = &self.report.marks;
        let has = |day: &Day| marks.iter().any(|Mark { day: at, oddity }| *at == Some(*day) && is_odd(oddity));
        self.days.iter().map(has).collect()
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// How much more or less samples there are than before.
fn change(before: u64, now: u64) -> Option<String> {
    (before > 0).then(|| format!("{:+.1} %", (now as f64 - before as f64) / before as f64 * 100.0))
}

/// A gap between a cut-off and the newest action before it.
fn age(micros: f64) -> String {
    let text = duration(micros.abs() as u64);
    if micros < 0.0 { format!("{text} after") } else { text }
}

/// What a sample sees.
fn sees(manifest: &Manifest) -> String {
    match (manifest.time_cutoff, manifest.lookback_days) {
        (Some(cutoff), _) => match cutoff.lookback_micros {
            Some(micros) => format!("{} before its time", duration(micros.unsigned_abs())),
            None => "all before its time".to_owned(),
        },
        (None, Some(days)) => format!("{} before", counted(u64::from(days), "day")),
        (None, None) => "all days before".to_owned(),
    }
}
