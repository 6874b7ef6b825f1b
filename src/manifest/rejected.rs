//! `_rejected.jsonl` of a day: counted and hashed once, and written as often as there are formats.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::{REJECTED_FILE, Rejected};
use crate::config::Plan;
use crate::error::Result;
use crate::event::Day;
use crate::fsio::Folder;
use crate::unify::{Reject, SpilledRejects};

/// The rejected rows of the tables that a day sees.
#[derive(Debug)]
pub(super) struct DayRejects {
    /// All lines, where they are few.
    memory: Vec<u8>,
    /// Those of each table, where any table's are on disk.
    spilled: Vec<OfTable>,
    rows: u64,
    bytes: u64,
    hash: u128,
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
        let mut rejects = Self { memory, spilled: spilled.collect(), rows: 0, bytes: 0, hash: 0 };
        let (mut rows, mut bytes, mut hasher) = (0, 0, Xxh3::new());
        rejects.visit(plan, day, &mut |block| {
            rows += memchr::memchr_iter(b'\n', block).count() as u64;
            bytes += block.len() as u64;
            hasher.update(block);
            Ok(())
        })?;
        (rejects.rows, rejects.bytes, rejects.hash) = (rows, bytes, hasher.digest128());
        Ok(rejects)
    }

    /// The hash of the file, of no bytes where there is none.
    pub(super) fn hash(&self) -> String {
        format!("{:032x}", self.hash)
    }

    /// What the manifest says of the file, where there is one.
    pub(super) fn entry(&self) -> Option<Rejected> {
        let (rows, bytes) = (self.rows, self.bytes);
        (rows > 0).then(|| Rejected { file: REJECTED_FILE.to_owned(), rows, bytes, hash: self.hash() })
    }

    /// Writes and syncs the file.
    pub(super) fn write(&self, plan: &Plan, day: Day, folder: &Folder) -> Result<()> {
        let mut file = folder.create(REJECTED_FILE, 0)?;
        self.visit(plan, day, &mut |block| file.write(block))?;
        file.finish()?.1.sync()
    }

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
