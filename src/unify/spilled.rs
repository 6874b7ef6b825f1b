//! Rejected rows that memory has no room for: sorted runs on disk, merged when a day's are asked for.
//!
//! ```text
//! rows ─► a run, sorted ─► disk ┐ many of one level    ┌► one run of the next level
//! rows ─► a run, sorted ─► disk ┴──────────────────────┘
//! a day's lines ◄── merge of all runs, without those that the day does not see
//! ```

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fmt;

use rustc_hash::FxHashMap;

use super::reject::Reject;
use crate::error::{Invariant, Reason, Result};
use crate::event::Day;
use crate::fsio::{SpillFile, SpillFolder, SpilledBlock};

/// About as many bytes are in a block on disk; merging holds one of each run.
const BLOCK_BYTES: usize = 64 << 10;

/// Runs of one level that are merged into one of the next.
const RUNS_OF_A_LEVEL: usize = 32;

/// What stands for no day.
const NO_DAY: i32 = i32::MIN;

/// Before each line: its day and its length, both of 32 bits.
const HEAD: usize = 8;

/// Whether rows of a day, or of none, are wanted.
type WantsDay<'a> = dyn Fn(Option<Day>) -> bool + 'a;

/// Takes a line and the day of its row.
type VisitLine<'a> = dyn FnMut(Option<Day>, &[u8]) -> Result<()> + 'a;

/// All the rejected rows of a table.
pub struct SpilledRejects {
    file: SpillFile,
    runs: Vec<Run>,
    /// How many there are of each reason on each day.
    counts: FxHashMap<(Option<Day>, Reason), u64>,
}

/// Rows in the order of their lines.
struct Run {
    level: u32,
    blocks: Vec<SpilledBlock>,
}

impl fmt::Debug for SpilledRejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpilledRejects").field("runs", &self.runs.len()).finish_non_exhaustive()
    }
}

impl SpilledRejects {
    pub(super) fn new(folder: &SpillFolder) -> Result<Self> {
        Ok(Self { file: folder.file()?, runs: Vec::new(), counts: FxHashMap::default() })
    }

    /// Adds rows, which are taken out.
    pub(super) fn add(&mut self, rejects: &mut Vec<Reject>) -> Result<()> {
        rejects.sort_unstable_by(|a, b| a.line.cmp(&b.line));
        let mut writer = RunWriter::new(&self.file);
        for reject in rejects.drain(..) {
            *self.counts.entry((reject.day, reject.reason)).or_default() += 1;
            writer.line(reject.day, reject.line.as_bytes())?;
        }
        self.runs.push(Run { level: 0, blocks: writer.finish()? });
        self.merge_levels()
    }

    /// Merges the last runs as long as there are enough of one level, so that there are never many.
    fn merge_levels(&mut self) -> Result<()> {
        while let Some(level) = self.runs.last().map(|run| run.level) {
            let first = self.runs.iter().position(|run| run.level == level).unwrap_or(self.runs.len());
            if self.runs.len() - first < RUNS_OF_A_LEVEL {
                break;
            }
            let mut writer = RunWriter::new(&self.file);
            let runs = self.runs.get(first..).invariant("the runs of a level are the last ones")?;
            merge(cursors(&self.file, runs)?, &mut |day, line| writer.line(day, line))?;
            let blocks = writer.finish()?;
            self.runs.truncate(first);
            self.runs.push(Run { level: level + 1, blocks });
        }
        Ok(())
    }

    /// How many there are of each reason on each day.
    pub fn counts(&self) -> impl Iterator<Item = (Option<Day>, Reason, u64)> {
        self.counts.iter().map(|(&(day, reason), &count)| (day, reason, count))
    }

    /// Hands out the lines of several tables in one order, ascending by their bytes, each table's without those of days that
    /// it does not want.
    ///
    /// # Errors
    /// What the spill disk says, or what `visit` returns.
    pub fn visit(tables: &[(&Self, &WantsDay<'_>)], visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut all = Vec::new();
        for (table, wanted) in tables {
            for mut cursor in cursors(&table.file, &table.runs)? {
                cursor.wanted = *wanted;
                cursor.skip_unwanted()?;
                all.push(cursor);
            }
        }
        merge(all, &mut |_, line| visit(line))
    }
}

/// Writes a run, block after block.
struct RunWriter<'a> {
    file: &'a SpillFile,
    bytes: Vec<u8>,
    blocks: Vec<SpilledBlock>,
}

impl<'a> RunWriter<'a> {
    fn new(file: &'a SpillFile) -> Self {
        Self { file, bytes: Vec::with_capacity(BLOCK_BYTES), blocks: Vec::new() }
    }

    fn line(&mut self, day: Option<Day>, line: &[u8]) -> Result<()> {
        let length = u32::try_from(line.len()).invariant("the record of a row is not long")?;
        self.bytes.extend_from_slice(&day.map_or(NO_DAY, |day| day.0).to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(line);
        if self.bytes.len() >= BLOCK_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        if !self.bytes.is_empty() {
            self.blocks.extend(self.file.append(&self.bytes, &[self.bytes.len()])?);
            self.bytes.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<SpilledBlock>> {
        self.write()?;
        Ok(self.blocks)
    }
}

fn cursors<'a>(file: &'a SpillFile, runs: &'a [Run]) -> Result<Vec<Cursor<'a>>> {
    let all = runs.iter().map(|run| {
        let wanted: &WantsDay<'_> = &|_| true;
        let mut cursor = Cursor { file, blocks: run.blocks.iter(), block: Vec::new(), next: 0, line: None, wanted };
        cursor.advance()?;
        Ok(cursor)
    });
    all.collect()
}

/// A place in a run.
struct Cursor<'a> {
    file: &'a SpillFile,
    blocks: std::slice::Iter<'a, SpilledBlock>,
    block: Vec<u8>,
    /// Where the next line's head is.
    next: usize,
    /// The day of the line here and where it is in the block; `None` behind the last one.
    line: Option<(Option<Day>, usize, usize)>,
    wanted: &'a WantsDay<'a>,
}

impl Cursor<'_> {
    /// Goes to the next line.
    fn advance(&mut self) -> Result<()> {
        if self.next == self.block.len() {
            self.line = None;
            let Some(block) = self.blocks.next() else { return Ok(()) };
            self.block = self.file.read(block)?;
            self.next = 0;
        }
        const WHOLE: &str = "a block of rejected rows is made of whole lines";
        let (day, rest) =
            self.block.get(self.next..).and_then(|rest| rest.split_first_chunk::<4>()).invariant(WHOLE)?;
        let (length, _) = rest.split_first_chunk::<4>().invariant(WHOLE)?;
        let day = Some(i32::from_le_bytes(*day)).filter(|&day| day != NO_DAY).map(Day);
        let start = self.next + HEAD;
        let end = start + u32::from_le_bytes(*length) as usize;
        self.line = Some((day, start, end));
        self.next = end;
        Ok(())
    }

    fn skip_unwanted(&mut self) -> Result<()> {
        while self.line.is_some_and(|(day, ..)| !(self.wanted)(day)) {
            self.advance()?;
        }
        Ok(())
    }

    fn text(&self) -> &[u8] {
        self.line.and_then(|(_, start, end)| self.block.get(start..end)).unwrap_or(&[])
    }
}

/// Hands out the lines of all cursors in ascending order.
fn merge(cursors: Vec<Cursor<'_>>, visit: &mut VisitLine<'_>) -> Result<()> {
    let mut heap: BinaryHeap<Cursor<'_>> = cursors.into_iter().filter(|cursor| cursor.line.is_some()).collect();
    while let Some(mut first) = heap.peek_mut() {
        let (day, start, end) = first.line.invariant("a cursor that is merged is at a line")?;
        visit(day, first.block.get(start..end).invariant("a line lies within its block")?)?;
        first.advance()?;
        first.skip_unwanted()?;
        if first.line.is_none() {
            PeekMut::pop(first);
        }
    }
    Ok(())
}

/// The greatest cursor is the one with the least line, as a heap gives the greatest first.
impl Ord for Cursor<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.text().cmp(self.text())
    }
}

impl PartialOrd for Cursor<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cursor<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cursor<'_> {}
