//! The files of a day, one by one: bytes against the manifest, structure against the format.

use std::ops::Range;

use super::content::{Expected, Findings, PaddedRow, Rows, Sample, Tally};
use crate::config::Format;
use crate::error::{Error, Invariant, Result};
use crate::event::{ItemId, NULL_TIME};
use crate::fsio::FolderHandle;
use crate::histories::{Stretch, Window};
use crate::layout::{Header, rows_per_group};
use crate::manifest::{Shard as Entry, hash_hex};
use crate::open::{Access, Data, DenseShard, Items, JaggedShard, ParquetPart, Shard, ShardView, wrong_size};

/// What looking at a file brought.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) problems: Vec<String>,
    pub(super) bytes: u64,
    /// What its rows add up to; `None` where they could not all be read.
    pub(super) tally: Option<Tally>,
}

/// Looks at a file in a day's folder that the manifest names: a shard or part of the day.
pub(super) fn check(folder: &FolderHandle, entry: &Entry, expected: Expected<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(error) = look(folder, entry, expected, &mut outcome) {
        outcome.problems.push(problem(&error));
    }
    if let Some(tally) = outcome.tally.as_ref().filter(|tally| tally.samples != entry.rows) {
        // A wrong header is named already; this is about what is there.
        outcome.problems.push(format!("it has {} rows, the manifest says {}", tally.samples, entry.rows));
    }
    outcome
}

/// What is wrong, without the path that is named beside it.
pub(super) fn problem(error: &Error) -> String {
    match error {
        Error::Corrupt { problem, .. } => problem.clone(),
        Error::Io { action, source, .. } => format!("cannot {action} it: {source}"),
        other => other.to_string(),
    }
}

/// Compares size and hash with the manifest's.
pub(super) fn check_bytes(bytes: &[u8], expected: u64, hash: &str) -> Option<String> {
    if bytes.len() as u64 != expected {
        return Some(wrong_size(bytes.len() as u64, expected));
    }
    let found = hash_hex(bytes);
    (found != hash).then(|| format!("its hash is {found}, the manifest says {hash}"))
}

fn look(folder: &FolderHandle, entry: &Entry, against: Expected<'_>, outcome: &mut Outcome) -> Result<()> {
    let expected = against.header;
    let name = expected.format.shard_file(expected.shard);
    let path = &folder.path().join(&name);
    let file = folder.file(&name)?;
    let data = Data::of(&file, path, Access::Auto)?;
    outcome.bytes = data.len() as u64;
    let wrong = check_bytes(&data, entry.bytes, &entry.hash);
    let is_wrong = wrong.is_some();
    outcome.problems.extend(wrong);
    if expected.format == Format::Parquet {
        // What nobody has written is not worth decoding, and could take any time and memory.
        if is_wrong {
            return Ok(());
        }
        drop(data);
        return part(&ParquetPart::of_file(file, path, &expected.contents)?, against, outcome);
    }
    let shard = Shard::of_data(path, data)?;
    // The rows of the manifest are compared with those found, for every format alike.
    let found = Header { rows: expected.rows, ..shard.header().clone() };
    outcome.problems.extend(expected.difference(&found));
    // Its own K is what its tensors are shaped by; whether that is the day's has just been said.
    let own = Header { history: found.history, ..expected.clone() };
    let mut rows = Rows::new(Expected { header: &own, ..against });
    let (columns, wide) = (shard.columns(), shard.columns_of_actions());
    let columns =
        Columns { of_samples: &columns, of_actions: &wide, times: shard.request_times(), ids: shard.request_ids() };
    match shard.view() {
        ShardView::Jagged(shard) => jagged(&shard, &columns, &mut rows)?,
        ShardView::Dense(view) => match view.actions {
            Items::I32(actions) => dense(&view, actions, &columns, &mut rows)?,
            Items::I64(actions) => dense(&view, actions, &columns, &mut rows)?,
        },
    }
    finish(rows, outcome);
    Ok(())
}

/// The columns of a shard that only some have.
struct Columns<'a> {
    of_samples: &'a [&'a [u8]],
    of_actions: &'a [&'a [u8]],
    /// The times and the ids of requests, or nothing.
    times: &'a [i64],
    ids: &'a [i64],
}

fn finish(mut rows: Rows<'_>, outcome: &mut Outcome) {
    rows.end_customer();
    outcome.problems.extend(rows.findings.into_problems());
    outcome.tally = Some(rows.tally);
}

/// The stretches that windows cover lie one behind the other, in the order of the requests, without gaps.
fn jagged(shard: &JaggedShard<'_>, columns: &Columns<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let mut before = None;
    let mut stretches = Stretches { next: Some(0), current: None };
    let mut requests = 0;
    for row in 0..shard.requests.len() {
        let request = shard.request(row).filter(|&request| request < shard.customer_ids.len());
        let Some((request, &customer)) = request.and_then(|place| Some((place, shard.customer_ids.get(place)?))) else {
            rows.findings.add("window", || shard.describe_bad_window(row));
            rows.pass_over();
            continue;
        };
        if request != requests && request + 1 != requests {
            rows.findings.add("request", || {
                let before = requests.checked_sub(1).map(|before| format!("{before} or ")).unwrap_or_default();
                format!("row {row}: its request is {request}, expected {before}{requests}")
            });
        }
        requests = request + 1;
        let time = columns.times.get(request).copied();
        let key = Sample {
            customer,
            time,
            request: columns.ids.get(request).copied(),
            item: shard.item_ids.get(row).invariant(SAME_LENGTH)?,
        };
        let seen = rows.sample(key, columns.of_samples, row)?;
        let window = shard.window(row);
        let Some(found) = window.clone() else {
            rows.findings.add("window", || shard.describe_bad_window(row));
            (stretches, before) = (Stretches { next: None, current: None }, None);
            continue;
        };
        let is_same = !seen.first_of_customer && before == window;
        if !seen.first_of_request {
            if before.is_some() && !is_same {
                rows.findings
                    .add("same", || format!("row {row}: customer {customer} has another window in the row before"));
            }
            continue;
        }
        if let Some(times) = columns.of_actions.first().filter(|_| !found.is_empty()) {
            let width = times.len() / shard.action_types.len().max(1);
            rows.cutoff(time, times.get(found.start * width..(found.start + 1) * width).invariant(SAME_LENGTH)?);
        }
        rows.history(found.len() as u64);
        stretches.take(row, customer, &found, &mut rows.findings);
        before = window;
    }
    stretches.end(&mut rows.findings);
    if requests != shard.customer_ids.len() {
        let there = shard.customer_ids.len();
        rows.findings.add("requests", || format!("the rows are of {requests} requests, there are {there}"));
    }
    let actions = shard.actions.len();
    if let Some(next) = stretches.next.filter(|&next| next != actions as u64) {
        rows.findings.add("end", || format!("the histories end at {next}, there are {actions} actions"));
    }
    count_types(shard, rows)
}

/// Where stretches have to lie.
struct Stretches {
    /// Where the next one begins; unknown behind a window that is out of range.
    next: Option<u64>,
    /// The one that may go on: the row where it begins, and its customer.
    current: Option<(usize, i64, Stretch)>,
}

impl Stretches {
    /// Takes the window of the next request.
    fn take(&mut self, row: usize, customer: i64, window: &Range<usize>, findings: &mut Findings) {
        let window = Window { start: window.start as u64, newest: NULL_TIME, length: window.len() as u64 };
        let goes_on =
            self.current.as_mut().is_some_and(|(_, current, stretch)| *current == customer && stretch.take(&window));
        if !goes_on {
            self.end(findings);
            self.current = Some((row, customer, Stretch::new(&window)));
        }
    }

    /// Ends the one that may have gone on.
    fn end(&mut self, findings: &mut Findings) {
        let Some((row, customer, Stretch { start, length, .. })) = self.current.take() else { return };
        if let Some(next) = self.next.filter(|&next| next != start) {
            findings.add("gap", || {
                format!("row {row}: the history of customer {customer} begins at {start}, expected {next}")
            });
        }
        self.next = Some(start + length);
    }
}

/// Counts the actions of each type.
fn count_types(shard: &JaggedShard<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let mut counts = [0_u64; 1 << u8::BITS];
    shard.action_types.iter().for_each(|&kind| counts[usize::from(kind)] += 1);
    for (kind, &count) in (0_i64..).zip(&counts).filter(|(_, count)| **count > 0) {
        let Some(number) = rows.action_type(kind) else {
            let place = shard.action_types.iter().position(|&found| i64::from(found) == kind);
            let place = place.invariant("a type that was counted is there")?;
            rows.findings
                .add_many("type", count, || format!("`action_types` {place} is {kind}, which is not a type of action"));
            continue;
        };
        rows.tally.actions[usize::from(number)] += count;
    }
    Ok(())
}

/// What checking a shard's header makes sure of.
const SAME_LENGTH: &str = "tensors of a shard are as long as its header says";

fn dense<I: ItemId>(shard: &DenseShard<'_>, actions: &[I], columns: &Columns<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let mut padded = PaddedRow::new();
    for (row, &customer) in shard.customer_ids.iter().enumerate() {
        let time = columns.times.get(row).copied();
        let (request, item) = (columns.ids.get(row).copied(), shard.item_ids.get(row).invariant(SAME_LENGTH)?);
        let seen = rows.sample(Sample { customer, time, request, item }, columns.of_samples, row)?;
        let range = row * shard.history..(row + 1) * shard.history;
        let items = actions.get(range.clone()).invariant(SAME_LENGTH)?;
        let types = shard.action_types.get(range.clone()).invariant(SAME_LENGTH)?;
        let of_row = columns.of_actions.iter().map(|column| {
            let width = column.len() / shard.action_types.len().max(1);
            column.get(range.start * width..range.end * width).invariant(SAME_LENGTH)
        });
        padded.check(rows, (seen, time), items, types, &of_row.collect::<Result<Vec<_>>>()?);
    }
    Ok(())
}

fn part(part: &ParquetPart, against: Expected<'_>, outcome: &mut Outcome) -> Result<()> {
    let expected = against.header;
    if part.item_dtype() != expected.item_dtype {
        let (found, expected) = (part.item_dtype().name(), expected.item_dtype.name());
        outcome.problems.push(format!("its items are {found}, the manifest says {expected}"));
    }
    // What the manifest says of K was checked when it was opened.
    let expected_rows = rows_per_group(usize::try_from(expected.history).unwrap_or(usize::MAX)) as i64;
    outcome.problems.extend(row_groups(&part.row_groups().collect::<Vec<_>>(), expected_rows));
    let mut rows = Rows::new(against);
    let (mut items_32, mut items_64) = (PaddedRow::new(), PaddedRow::new());
    for batch in part.batches(0..part.rows())? {
        let batch = batch?;
        let columns: Vec<&[u8]> = batch.columns().iter().map(Vec::as_slice).collect();
        let wide = part.contents().of_actions().count();
        for (row, &customer) in batch.customer_ids().iter().enumerate() {
            let item = batch.item_ids().get(row).invariant(SAME_BATCH)?;
            let time = batch.request_times().get(row).copied();
            let request = batch.request_ids().get(row).copied();
            let seen = rows.sample(Sample { customer, time, request, item }, &columns, row)?;
            let (items, types) = batch.padded(row).invariant(SAME_BATCH)?;
            check_lengths(&mut rows.findings, rows.tally.samples - 1, expected.history, items.len(), types.len());
            let of_row = (0..wide).map(|column| batch.padded_column(column, row).invariant(SAME_BATCH));
            let of_row = of_row.collect::<Result<Vec<_>>>()?;
            match items {
                Items::I32(items) => items_32.check(&mut rows, (seen, time), items, types, &of_row),
                Items::I64(items) => items_64.check(&mut rows, (seen, time), items, types, &of_row),
            }
        }
    }
    finish(rows, outcome);
    Ok(())
}

/// What the decoder makes sure of.
const SAME_BATCH: &str = "columns of a batch have the same rows";

fn check_lengths(findings: &mut Findings, row: u64, expected: u64, items: usize, types: usize) {
    if items as u64 != expected || types as u64 != expected {
        findings.add("length", || {
            format!("row {row}: `actions` has {items} values and `action_types` {types}, expected {expected}")
        });
    }
}

fn row_groups(groups: &[i64], expected: i64) -> Option<String> {
    let (&last, full) = groups.split_last()?;
    let wrong = full.iter().position(|&rows| rows != expected);
    let wrong = wrong.or_else(|| {
        // A part without rows may have a row group without rows.
        let fits = (1..=expected).contains(&last) || (last == 0 && full.is_empty());
        (!fits).then_some(full.len())
    })?;
    let rows = groups.get(wrong)?;
    Some(format!("row group {wrong} has {rows} rows, expected {expected} in each but the last"))
}
