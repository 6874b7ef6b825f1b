//! `shardback check`: what the program understands of tables, before anything is built of them.

use std::time::SystemTime;

use serde_json::Value;
use shardback::check::{self, FirstRow, KeptValue, Options, Report, TableReport};
use shardback::error::path_text;

use super::exit::Exit;
use super::tables::{TableArguments, ValueArguments};
use super::{print, text};

/// Show what is understood of a description and its tables, and what looks wrong.
///
/// Reads a little of every table, as a build would, and writes nothing. Bad rows are shown, and no error; what stops a build
/// whatever its rows hold (a missing column, a file that cannot be read) is one here too.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    tables: TableArguments,
    #[command(flatten)]
    values: ValueArguments,
    /// About how many rows of each table are read at most, spread over its files
    #[arg(long, value_name = "N", default_value_t = check::ROWS)]
    rows: u64,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let options = Options {
        schema: arguments.tables.schema()?,
        item_dtype: arguments.values.item_dtype(),
        day_zone: arguments.values.day_zone.clone(),
        csv_escape: arguments.values.csv_escape,
        store: arguments.tables.store(),
        rows: arguments.rows,
        now: i64::try_from(now.as_micros())?,
    };
    let tables = arguments.tables.tables(&options.schema)?;
    let report = check::check(options, tables, &|| false)?;
    if arguments.json {
        print::out(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        print::out(&describe(&report))?;
    }
    Ok(Exit::Done)
}

/// A report, for a person.
fn describe(report: &Report) -> String {
    let mut lines = Vec::new();
    for table in &report.tables {
        describe_table(table, &mut lines);
        lines.push(String::new());
    }
    let customers = &report.customers;
    if report.tables.len() > 1 {
        let (of_both, of_samples) = (text::count(customers.of_both), text::count(customers.of_samples));
        lines.push(format!("{of_both} of {of_samples} customers of samples have actions among those that were read"));
    }
    for warning in &report.warnings {
        let table = warning.table.as_ref().map_or_else(String::new, |table| format!("{table}: "));
        lines.push(format!("warning: {table}{}", warning.problem));
    }
    if report.warnings.is_empty() {
        lines.push("nothing looks wrong".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

fn describe_table(table: &TableReport, lines: &mut Vec<String>) {
    let paths: Vec<String> = table.paths.iter().map(|path| format!("`{}`", path_text(path))).collect();
    let place = if paths.is_empty() { "handed over as rows".to_owned() } else { paths.join(", ") };
    lines.push(format!("{}: {place}", table.table));
    let mut line = |name: &str, text: String| lines.push(format!("  {name:<10} {text}"));
    if table.files > 0 {
        let formats = table.formats.join(", ");
        line("files", format!("{}, {formats}, {}", text::counted(table.files, "file"), text::bytes(table.bytes)));
    }
    line("rows", rows(table));
    for passed in &table.passed_over {
        let by = if passed.by == "other" { "other = \"ignore\"" } else { passed.by };
        let rows = text::counted(passed.rows, if passed.of_elements { "element" } else { "row" });
        line("without", format!("{rows} by `{by}` on `{}`, which leaves {}", passed.column, text::count(passed.left)));
    }
    if let Some(days) = &table.days {
        let from = if days.from_paths { "in paths" } else { "in the rows read" };
        line("days", format!("{} to {}, {} {from}", days.first, days.last, text::counted(days.count, "day")));
        if let Some(shifts) = &days.shifts {
            let (share, by) = (percent(shifts.rows, shifts.of), days_after(shifts.least, shifts.most));
            line("", format!("{share} are not those of their times (UTC), but {by} after them"));
        }
    }
    if let Some(times) = &table.times {
        line("times", format!("{} to {}, half of them before {}", times.first, times.last, times.median));
    }
    if !table.types.is_empty() {
        let types: Vec<String> =
            table.types.iter().map(|kind| format!("{} {}", kind.name, text::count(kind.actions))).collect();
        line("types", types.join(", "));
    }
    line("distinct", format!("{}, {}", text::counted(table.customers, "customer"), text::counted(table.items, "item")));
    if let Some(ties) = table.ties.filter(|&ties| ties > 0) {
        let share = percent(ties, table.made);
        line("ties", format!("{} ({share}) at the time of another of their customer", text::counted(ties, "action")));
    }
    for value in &table.values {
        line(value.role, kept(value, table.made));
    }
    for nulls in table.nulls.iter().filter(|nulls| nulls.nulls > 0) {
        let read_as = nulls.read_as.map_or_else(|| "older than all others".to_owned(), |value| value.to_string());
        line("null", format!("{} of `{}`, read as {read_as}", percent(nulls.nulls, nulls.of), nulls.name));
    }
    for bad in &table.bad {
        let file = bad.file.as_ref().map_or_else(String::new, |file| format!("`{}`, ", path_text(file)));
        let unit = if bad.is_line { "line" } else { "row" };
        let row = bad.row.map_or_else(String::new, |row| format!("{unit} {row}, "));
        let value = bad.value.escape_debug().take(MOST_OF_A_VALUE).collect::<String>();
        let rows = text::count(bad.rows);
        line(
            "bad",
            format!("{rows} {}: {}; first {file}{row}column `{}`: `{value}`", bad.reason, bad.problem, bad.column),
        );
    }
    if !table.first_rows.is_empty() {
        lines.push("  first rows".to_owned());
        lines.extend(first_rows(&table.first_rows).into_iter().map(|row| format!("    {row}")));
    }
}

/// The most characters of a value that are shown.
const MOST_OF_A_VALUE: usize = 60;

fn rows(table: &TableReport) -> String {
    let read = match table.rows_of {
        Some(of) if of != table.rows => format!("{} of {} rows read", text::count(table.rows), text::count(of)),
        _ if table.is_whole => format!("all of {} read", text::counted(table.rows, "row")),
        _ => format!("{} read, there are more", text::counted(table.rows, "row")),
    };
    let made = text::counted(table.made, if table.is_of_actions { "action" } else { "sample" });
    let bad: u64 = table.bad.iter().map(|bad| bad.rows).sum();
    let bad = if bad == 0 { String::new() } else { format!(", {} bad", text::count(bad)) };
    let nothing = match table.shows_nothing {
        0 => String::new(),
        lines => format!(", {} with neither an item nor a list of items", text::counted(lines, "line")),
    };
    format!("{read}: {made}{bad}{nothing}")
}

fn kept(value: &KeptValue, of: u64) -> String {
    let name = &value.name;
    match (value.positives, &value.least, &value.most) {
        (Some(positives), ..) => {
            format!("{name}: {} of {} ({})", text::count(positives), text::count(of), percent(positives, of))
        }
        (None, Some(least), Some(most)) => format!("{name}: {} to {}", spelled(least), spelled(most)),
        _ => name.clone(),
    }
}

/// The first rows as a table with a line of names.
fn first_rows(rows: &[FirstRow]) -> Vec<String> {
    let mut columns: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |name: &str, values: Vec<Option<String>>| {
        if values.iter().any(Option::is_some) {
            columns.push((name.to_owned(), values.into_iter().map(|value| value.unwrap_or_default()).collect()));
        }
    };
    let each = |value: &dyn Fn(&FirstRow) -> Option<String>| rows.iter().map(value).collect::<Vec<_>>();
    add("row", each(&|row| row.row.map(|row| row.to_string())));
    add("customer", each(&|row| Some(row.customer.to_string())));
    add("item", each(&|row| Some(row.item.to_string())));
    add("type", each(&|row| row.kind.clone()));
    add("day", each(&|row| Some(row.day.clone())));
    add("time", each(&|row| row.time.clone()));
    add("request", each(&|row| row.request.map(|request| request.to_string())));
    let names: Vec<&String> = rows.iter().take(1).flat_map(|row| row.values.keys()).collect();
    for name in names {
        add(name, each(&|row| row.values.get(name).map(spelled)));
    }
    let widths: Vec<usize> =
        columns.iter().map(|(name, values)| values.iter().chain([name]).map(String::len).max().unwrap_or(0)).collect();
    let line = |cells: Vec<&String>| {
        let cells = cells.into_iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    let names = line(columns.iter().map(|(name, _)| name).collect());
    let row = |place: usize| line(columns.iter().filter_map(|(_, values)| values.get(place)).collect());
    std::iter::once(names).chain((0..rows.len()).map(row)).collect()
}

fn spelled(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `1.5 %`.
fn percent(part: u64, of: u64) -> String {
    let share = part as f64 * 100.0 / of.max(1) as f64;
    if part > 0 && share < 0.1 { "less than 0.1 %".to_owned() } else { format!("{share:.1} %") }
}

/// `-1 to 2 days`, or `1 day` where they are the same.
fn days_after(least: i64, most: i64) -> String {
    match (least, most) {
        (1, 1) => "1 day".to_owned(),
        _ if least == most => format!("{least} days"),
        _ => format!("{least} to {most} days"),
    }
}
