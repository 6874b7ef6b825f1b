//! An inspection as text, at most about 100 columns wide.

use std::fmt::{self, Display, Formatter};

use serde_json::Value;

use super::{Action, Customer, DayLine, Inspection, Row, ShardFigures, total_bytes};
use crate::config::TimeCutoff;
use crate::manifest::{LengthRange, Manifest, Statistics, TableRecord};

/// How wide a column of samples is at least.
const LEAST_WIDTH: usize = 8;
/// The longest bar, in characters.
const BAR_WIDTH: u64 = 40;
/// Where lines of actions are broken.
const LINE_WIDTH: usize = 100;
/// A bar's last character by eighths; the first is nothing.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

impl Display for Inspection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.days.is_empty() {
            writeln!(f, "{}", self.path.display())?;
            self.days.iter().try_for_each(|day| day_line(f, day))?;
            writeln!(f)?;
        } else if self.manifest.is_none() && self.shard.is_none() {
            writeln!(f, "{}: no days", self.path.display())?;
        }
        if let Some(shard) = &self.shard {
            shard_figures(f, shard)?;
        }
        if let Some(manifest) = &self.manifest {
            manifest_figures(f, manifest)?;
        }
        if !self.rows.is_empty() {
            rows(f, &self.rows)?;
        }
        self.customer.as_ref().map_or(Ok(()), |found| customer(f, found))
    }
}

fn day_line(f: &mut Formatter<'_>, day: &DayLine) -> fmt::Result {
    let (samples, size) = (thousands(day.samples), size(day.bytes));
    let build = day.build.get(..8).unwrap_or(&day.build);
    writeln!(
        f,
        "  {}  {:<7}  {samples:>14} {:<7}  {:>5} {:<6}  {size:>10}  build {build}",
        day.dt,
        day.format,
        noun(day.samples, "sample"),
        day.shards,
        noun(u64::from(day.shards), "shard"),
    )
}

fn shard_figures(f: &mut Formatter<'_>, shard: &ShardFigures) -> fmt::Result {
    write!(f, "{}", shard.format)?;
    if let Some(dt) = &shard.dt {
        write!(f, " of {dt}")?;
    }
    if let Some((shard, shards)) = shard.shard {
        write!(f, ", shard {shard} of 0 to {}", shards.saturating_sub(1))?;
    }
    if let Some(history) = shard.history {
        write!(f, ", K = {history}")?;
    }
    write!(f, ", items {}: {}", shard.item_dtype, counted(shard.samples, "sample"))?;
    if let Some(actions) = shard.actions {
        write!(f, ", {}", counted(actions, "action"))?;
    }
    writeln!(f, ", {}", size(shard.bytes))
}

fn manifest_figures(f: &mut Formatter<'_>, manifest: &Manifest) -> fmt::Result {
    let statistics = &manifest.statistics;
    let format = manifest.format.strip_prefix("shardback.").unwrap_or(&manifest.format);
    let before = match manifest.time_cutoff {
        None => {
            let days = manifest.lookback_days.map(|days| counted(u64::from(days), "day"));
            format!("of {} before", days.unwrap_or_else(|| "all days".to_owned()))
        }
        Some(cutoff) => before_requests(cutoff),
    };
    writeln!(f, "{format} of {}", manifest.dt)?;
    line(f, "history", format!("K = {}, {before}, items {}", manifest.history, manifest.item_dtype))?;
    line(f, "files", format!("{}, {}", counted(manifest.shards.len() as u64, "shard"), size(total_bytes(manifest))))?;
    line(f, "samples", samples(statistics))?;
    let without = thousands(statistics.customers_without_history);
    line(f, "customers", format!("{}, {without} without history", thousands(statistics.customers)))?;
    let mut types: Vec<(&String, &u8)> = manifest.types.iter().collect();
    types.sort_by_key(|(_, number)| *number);
    let actions = types.into_iter().map(|(name, _)| {
        // A manifest that was tampered with may lack it.
        let count = statistics.actions.get(name).map_or_else(|| "?".to_owned(), |&count| thousands(count));
        format!("{} {count}", short(name))
    });
    line(f, "actions", actions.collect::<Vec<_>>().join(", "))?;
    if manifest.time_cutoff.is_some() {
        line(f, "requests", thousands(statistics.requests))?;
    }
    line(f, "newest action", gap(statistics.smallest_gap_micros, manifest.time_cutoff.is_some()))?;
    if let Some(count) = statistics.at_cutoff {
        line(f, "at the cut-off", format!("{} exactly, which no history has", counted(count, "action")))?;
    }
    for (name, table) in &manifest.tables {
        line(f, name, table_rows(table))?;
    }
    line(f, "build", format!("{} by {}", manifest.build, manifest.tool))?;
    writeln!(f, "\ncustomers by length of history")?;
    bars(f, &statistics.history_lengths)
}

fn line(f: &mut Formatter<'_>, name: &str, text: impl Display) -> fmt::Result {
    writeln!(f, "  {name:<16} {text}")
}

fn samples(statistics: &Statistics) -> String {
    let labels = statistics.labels.iter().filter_map(|(name, label)| {
        Some(format!(", {} {name} ({:.2} %)", thousands(label.positives), label.rate? * 100.0))
    });
    thousands(statistics.samples) + &labels.collect::<String>()
}

fn table_rows(table: &TableRecord) -> String {
    let reasons: Vec<String> =
        table.rejected.iter().map(|(reason, &count)| format!("{} {reason}", thousands(count))).collect();
    let rejected = if reasons.is_empty() { "none".to_owned() } else { reasons.join(", ") };
    format!("{} seen, rejected: {rejected}", counted(table.rows, "row"))
}

/// What requests see where their times are the cut-offs.
fn before_requests(cutoff: TimeCutoff) -> String {
    let reach = cutoff.lookback_micros.map(|micros| format!("of {} ", duration(micros.unsigned_abs())));
    let delay = match cutoff.delay_micros {
        0 => String::new(),
        micros => format!(", seen {} late", duration(micros.unsigned_abs())),
    };
    format!("{}before each request{delay}", reach.unwrap_or_default())
}

fn gap(micros: Option<i64>, is_at_time: bool) -> String {
    match micros {
        None => "no action has a time".to_owned(),
        Some(micros) if is_at_time => format!("{} before its request", duration(micros.unsigned_abs())),
        Some(micros) if micros < 0 => {
            format!("{} after the day begins (a late clock)", duration(micros.unsigned_abs()))
        }
        Some(micros) => format!("{} before the day begins", duration(micros.unsigned_abs())),
    }
}

fn bars(f: &mut Formatter<'_>, ranges: &[LengthRange]) -> fmt::Result {
    let most = ranges.iter().map(|range| range.customers).max().unwrap_or_default();
    // Long lengths that no customer has would only push the picture off the screen.
    let used = ranges.iter().rposition(|range| range.customers > 0).map_or(0, |last| last + 1);
    for range in ranges.iter().take(used) {
        let name = if range.from == range.to { range.from.to_string() } else { format!("{}-{}", range.from, range.to) };
        let bar = bar(range.customers, most);
        let space = if bar.is_empty() { "" } else { " " };
        writeln!(f, "  {name:>15} {bar}{space}{}", thousands(range.customers))?;
    }
    Ok(())
}

/// A bar of a length proportional to `count`; whatever is there at all is seen.
fn bar(count: u64, most: u64) -> String {
    if count == 0 || most == 0 {
        return String::new();
    }
    let eighths = u128::from(count) * u128::from(BAR_WIDTH * 8) / u128::from(most);
    let eighths = eighths.max(1) as usize;
    let last = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    format!("{}{last}", "█".repeat(eighths / 8))
}

fn rows(f: &mut Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let names = || rows.first().into_iter().flat_map(|row| row.columns.keys());
    let width = |name: &String| {
        let cells = rows.iter().filter_map(|row| row.columns.get(name)).map(|value| cell(value).len());
        cells.chain([name.len(), LEAST_WIDTH]).max().unwrap_or_default()
    };
    let heads = names().map(|name| format!(" {name:>0$}", width(name))).collect::<String>();
    writeln!(
        f,
        "\n  {:>5} {:>6} {:>20} {:>12}{heads} {:>7}  newest actions",
        "shard", "row", "customer", "item", "history"
    )?;
    for row in rows {
        let actions: Vec<String> = row.actions.iter().map(action).collect();
        let actions = if actions.is_empty() { "none".to_owned() } else { actions.join(", ") };
        let more = if row.history_length > row.actions.len() as u64 { ", …" } else { "" };
        write!(f, "  {:>5} {:>6} {:>20} {:>12}", row.shard, row.row, row.customer_id, row.item_id)?;
        for (name, value) in &row.columns {
            write!(f, " {:>1$}", cell(value), width(name))?;
        }
        writeln!(f, " {:>7}  {}{more}", row.history_length, actions)?;
    }
    Ok(())
}

fn customer(f: &mut Formatter<'_>, found: &Customer) -> fmt::Result {
    if found.samples.is_empty() {
        return writeln!(f, "\ncustomer {} has no samples here", found.customer_id);
    }
    writeln!(
        f,
        "\ncustomer {} in shard {}: {}",
        found.customer_id,
        found.shard,
        counted(found.samples.len() as u64, "sample")
    )?;
    for sample in &found.samples {
        let columns = sample.columns.iter().map(|(name, value)| format!(", {name} {}", cell(value)));
        writeln!(f, "  row {}, item {}{}", sample.row, sample.item_id, columns.collect::<String>())?;
    }
    writeln!(f, "history of {}, newest first", counted(found.history.len() as u64, "action"))?;
    let mut width = 0;
    for (place, found_action) in found.history.iter().enumerate() {
        let text = action(found_action);
        if place > 0 && width + text.len() + 2 > LINE_WIDTH {
            writeln!(f, ",")?;
            width = 0;
        }
        let before = if width == 0 { "  " } else { ", " };
        write!(f, "{before}{text}")?;
        width += before.len() + text.len();
    }
    if found.history.is_empty() { Ok(()) } else { writeln!(f) }
}

/// A value of a column.
fn cell(value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn action(action: &Action) -> String {
    format!("{} {}", short(&action.action), action.item_id)
}

fn short(name: &str) -> &str {
    if name == "add_to_cart" { "cart" } else { name }
}

/// A number with its digits in threes: `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 sample`, `2 samples`.
pub(crate) fn counted(number: u64, name: &str) -> String {
    format!("{} {}", thousands(number), noun(number, name))
}

fn noun(number: u64, name: &str) -> String {
    format!("{name}{}", if number == 1 { "" } else { "s" })
}

/// A number of bytes in the unit that leaves one to four digits before the point.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.2} {}", units.get(unit).copied().unwrap_or_default())
}

/// A span of time in its two largest units.
pub(crate) fn duration(micros: u64) -> String {
    let units =
        [("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("µs", 1)];
    let mut left = micros;
    let mut parts = Vec::new();
    for (name, length) in units {
        if left >= length && parts.len() < 2 {
            parts.push(format!("{} {name}", left / length));
            left %= length;
        } else if !parts.is_empty() {
            // Only neighbouring units: nobody asks for days and milliseconds.
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}
