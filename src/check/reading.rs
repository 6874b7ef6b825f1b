//! A little of a table: some rows of some of its parts, spread over all of it, and no part read further than that.

use std::sync::{Mutex, PoisonError};

use super::Cancelled;
use super::collected::Collected;
use crate::error::{Error, Result};
use crate::read::{Chunk, Source};
use crate::unify::Look;

/// No more parts of a table are read than these.
const MOST_PARTS: usize = 100;

/// How much is read.
pub(super) struct Limits<'a> {
    /// The rows of a table.
    pub(super) rows: u64,
    pub(super) cancelled: &'a Cancelled<'a>,
}

/// Reads a little of a table.
pub(super) fn read(
    source: &dyn Source,
    look: &Look<'_>,
    limits: &Limits<'_>,
    collected: &mut Collected<'_>,
) -> Result<()> {
    collected.see_source(source);
    let parts = chosen(source, limits.rows);
    let mut whole = parts.len() == source.parts();
    let mut left = limits.rows;
    for (number, &part) in parts.iter().enumerate() {
        // Small parts come first, so that what they do not need is there for the others.
        let share = left.div_ceil((parts.len() - number) as u64);
        let (read, all) = read_part(source, part, share, look, limits, collected)?;
        left -= read.min(left);
        whole &= all;
    }
    collected.whole = whole;
    Ok(())
}

/// Some parts from the first to the last, at equal distances, the smallest first.
fn chosen(source: &dyn Source, rows: u64) -> Vec<usize> {
    let parts = source.parts();
    let most = usize::try_from(rows).unwrap_or(MOST_PARTS).min(MOST_PARTS);
    let mut chosen: Vec<usize> = if parts <= most {
        (0..parts).collect()
    } else {
        let steps = (most - 1).max(1);
        (0..most).map(|number| number * (parts - 1) / steps).collect()
    };
    chosen.sort_by_key(|&part| (source.facts(part).bytes, part));
    chosen
}

/// Where the reading of a part stands.
struct Progress<'c, 'a> {
    left: u64,
    read: u64,
    /// Whether there is more than is wanted.
    stopped: bool,
    collected: &'c mut Collected<'a>,
}

/// Reads at most so many rows of a part; how many it were, and whether they are all.
fn read_part(
    source: &dyn Source,
    part: usize,
    rows: u64,
    look: &Look<'_>,
    limits: &Limits<'_>,
    collected: &mut Collected<'_>,
) -> Result<(u64, bool)> {
    let progress = Mutex::new(Progress { left: rows, read: 0, stopped: false, collected });
    let result = source.read(part, &|chunk| {
        if (limits.cancelled)() {
            return Err(Error::Interrupted);
        }
        progress.lock().unwrap_or_else(PoisonError::into_inner).take(part, chunk, look)
    });
    let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    match result {
        // The visitor's own word for having enough.
        Err(Error::Interrupted) if progress.stopped => {}
        result => result?,
    }
    Ok((progress.read, !progress.stopped))
}

impl Progress<'_, '_> {
    /// Takes what is wanted of a chunk; [`Error::Interrupted`] where that is not all of it.
    fn take(&mut self, part: usize, mut chunk: Chunk, look: &Look<'_>) -> Result<()> {
        let rows = chunk.batch.num_rows() as u64;
        let wanted = rows.min(self.left);
        self.collected.see_lines(&chunk);
        if wanted > 0 {
            // No more than the rows of a batch.
            chunk.batch = chunk.batch.slice(0, wanted as usize);
            self.collected.add(part, &chunk, look.chunk(&chunk)?);
            self.left -= wanted;
            self.read += wanted;
        }
        if wanted < rows {
            self.stopped = true;
            return Err(Error::Interrupted);
        }
        Ok(())
    }
}
