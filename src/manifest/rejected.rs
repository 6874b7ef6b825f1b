//! `_rejected.jsonl` of a day: counted and hashed once, and written as often as there are formats.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::{REJECTED_FILE, Rejected};
use crate::config::Plan;
use crate::error::Result;
use crate::event::Day;
use crate::fsio::Folder;
use crate::unify::{Reject, SpilledRejects};

/// The rejected rows of the tables that a day sees.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DayRejects {
    /// None where the file is written: by a task, on another machine.
    #[serde(skip)]
    lines: Option<Lines>,
    rows: u64,
    bytes: u64,
    hash: String,
}

/// The rows themselves.
#[derive(Debug)]
struct Lines {
    /// All of them, where they are few.
    memory: Vec<u8>,
    /// Those of each table, where any table's are on disk.
    spilled: Vec<OfTable>,
}

/// The rows of a table, and which of them the day sees.
#[derive(Debug)]
struct OfTable {
    rejects: Arc<SpilledRejects>,
    scope: Scope,
}

/// What a day sees of a table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    /// Its own rows.
    Impressions,
    /// Those of the days before.
    Actions,
}

impl Scope {
    /// Whether `day` sees the rows of a day, or of none: these are seen by every day.
    pub(super) fn sees(self, plan: &Plan, day: Day, at: Option<Day>) -> bool {
        at.is_none_or(|at| match self {
            Self::Impressions => at == day,
            Self::Actions => plan.sees(day, at),
        })
    }
}

/// The rejected rows of a table, in memory or on disk.
pub(super) type Rejects<'a> = (&'a [Reject], Option<&'a Arc<SpilledRejects>>, Scope);

/// About as many bytes are handed to a file at a time.
const BLOCK: usize = 256 << 10;

impl DayRejects {
    pub(super) fn new(plan: &Plan, day: Day, tables: &[Rejects<'_>]) -> Result<Self> {
        let mut lines: Vec<&str> = Vec::new();
        for (kept, _, scope) in tables {
            let seen = kept.iter().filter(|reject| scope.sees(plan, day, reject.day));
            lines.extend(seen.map(|reject| reject.line.as_str()));
        }
        lines.sort_unstable();
        let memory = lines.into_iter().flat_map(|line| line.bytes().chain([b'\n'])).collect();
        let spilled = tables.iter().filter_map(|(_, spilled, scope)| {
            spilled.map(|spilled| OfTable { rejects: Arc::clone(spilled), scope: *scope })
        });
        let lines = Lines { memory, spilled: spilled.collect() };
        let (mut rows, mut bytes, mut hasher) = (0, 0, Xxh3::new());
        lines.visit(plan, day, &mut |block| {
            rows += memchr::memchr_iter(b'\n', block).count() as u64;
            bytes += block.len() as u64;
            hasher.update(block);
            Ok(())
        })?;
        Ok(Self { lines: Some(lines), rows, bytes, hash: format!("{:032x}", hasher.digest128()) })
    }

    /// The hash of the file, of no bytes where there is none.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// What the manifest says of the file, where there is one.
    pub(super) fn entry(&self) -> Option<Rejected> {
        let (rows, bytes) = (self.rows, self.bytes);
        (rows > 0).then(|| Rejected { file: REJECTED_FILE.to_owned(), rows, bytes, hash: self.hash.clone() })
    }

    /// Writes the file into some folders, and lets go of the lines.
    pub(super) fn write_into(&mut self, plan: &Plan, day: Day, folders: &[Folder]) -> Result<()> {
        folders.iter().try_for_each(|folder| self.write(plan, day, folder))?;
        self.lines = None;
        Ok(())
    }

    /// Writes and syncs the file, unless a task has.
    pub(super) fn write(&self, plan: &Plan, day: Day, folder: &Folder) -> Result<()> {
        let Some(lines) = &self.lines else { return Ok(()) };
        let mut file = folder.create(REJECTED_FILE, 0)?;
        lines.visit(plan, day, &mut |block| file.write(block))?;
        file.finish()?.1.sync()
    }
}

impl Lines {
    /// Hands out the file's bytes, in blocks of whole lines.
    fn visit(&self, plan: &Plan, day: Day, visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if self.spilled.is_empty() {
            return visit(&self.memory);
        }
        let (shown, done) = (|at| Scope::Impressions.sees(plan, day, at), |at| Scope::Actions.sees(plan, day, at));
        let mut memory = self.memory.split_inclusive(|&byte| byte == b'\n').peekable();
        let mut block = Vec::with_capacity(BLOCK);
        let tables: Vec<_> = self
            .spilled
            .iter()
            .map(|table| {
                let sees: &dyn Fn(Option<Day>) -> bool = match table.scope {
                    Scope::Impressions => &shown,
                    Scope::Actions => &done,
                };
                (table.rejects.as_ref(), sees)
            })
            .collect();
        SpilledRejects::visit(&tables, &mut |line| {
            while let Some(kept) = memory.next_if(|kept| kept.strip_suffix(b"\n").is_some_and(|kept| kept <= line)) {
                block.extend_from_slice(kept);
            }
            block.extend_from_slice(line);
            block.push(b'\n');
            if block.len() >= BLOCK {
                visit(&block)?;
                block.clear();
            }
            Ok(())
        })?;
        memory.for_each(|kept| block.extend_from_slice(kept));
        visit(&block)
    }
}
