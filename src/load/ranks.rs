//! Which positions of a day each rank takes at each step.
//!
//! ```text
//! positions  0 ─────────────────────────────────────────────────────────────► rows
//!            │ rank 0: B │ rank 1: B │ rank 0: B │ rank 1: B │ rank 0 │ rank 1 + one of the first again
//!            └──────── step 0 ───────┴──────── step 1 ───────┴────── the last rows ───────
//! ```

/// What becomes of the last rows of a day, fewer than a whole step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remainder {
    /// They are split evenly, and fewer rows than there are ranks are taken twice, so that all ranks make as many steps.
    Repeat,
    /// They are left out: every batch is whole.
    Drop,
    /// They are split as evenly as goes without taking any twice; a rank may have none left, and one step fewer.
    Uneven,
}

/// A rank among others, and how large its batches are.
///
/// ```
/// use shardback::load::{Remainder, Ranks};
///
/// let second = Ranks::new(1, 2, 3, Remainder::Uneven).unwrap();
/// let steps: Vec<Vec<u64>> =
///     (0..second.steps(8, 0)).filter_map(|step| Some(second.step(8, 0, step)?.positions(8).collect())).collect();
/// assert_eq!(steps, [vec![3, 4, 5], vec![7]]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranks {
    rank: u64,
    world: u64,
    batch: u64,
    last: Remainder,
}

/// What a rank takes at a step: `length` positions from `first` on, going on at 0 behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The first position.
    pub first: u64,
    /// How many.
    pub length: u64,
    /// The rows of the day that all ranks together have been given after this step; all rows where it is the last.
    pub delivered: u64,
}

impl Ranks {
    /// Rank `rank` of `world`, each with batches of `batch` rows; `None` where there is no such rank or no row in a batch.
    #[must_use]
    pub fn new(rank: u32, world: u32, batch: usize, last: Remainder) -> Option<Self> {
        let batch = u64::from(u32::try_from(batch).ok()?);
        let valid = rank < world && batch > 0;
        valid.then_some(Self { rank: rank.into(), world: world.into(), batch, last })
    }

    /// The rows of a batch that is whole.
    #[must_use]
    pub fn batch(&self) -> usize {
        // It was made from a `u32`.
        self.batch as usize
    }

    /// How many steps this rank makes in a day of which `delivered` rows have been given out.
    #[must_use]
    pub fn steps(&self, rows: u64, delivered: u64) -> u64 {
        let left = rows.saturating_sub(delivered);
        let (whole, last) = (left / self.whole(), left % self.whole());
        let more = match self.last {
            Remainder::Repeat => last > 0,
            Remainder::Drop => false,
            // The first ranks take one row more than the others.
            Remainder::Uneven => last > self.rank,
        };
        whole + u64::from(more)
    }

    /// What this rank takes at step `step` of a day of which `delivered` rows had been given out before step 0.
    #[must_use]
    pub fn step(&self, rows: u64, delivered: u64, step: u64) -> Option<Step> {
        if step >= self.steps(rows, delivered) {
            return None;
        }
        let begin = delivered + step * self.whole();
        let left = rows - begin;
        if left >= self.whole() {
            let after = begin + self.whole();
            // With rows dropped, the last whole step ends the day.
            let ended = self.last == Remainder::Drop && rows - after < self.whole();
            let delivered = if ended { rows } else { after };
            return Some(Step { first: begin + self.rank * self.batch, length: self.batch, delivered });
        }
        let (each, more) = (left / self.world, left % self.world);
        let (first, length) = match self.last {
            Remainder::Uneven => (self.rank * each + self.rank.min(more), each + u64::from(self.rank < more)),
            _ => {
                let each = left.div_ceil(self.world);
                (self.rank * each, each)
            }
        };
        Some(Step { first: (begin + first) % rows, length, delivered: rows })
    }

    /// The rows that all ranks together take at a whole step.
    fn whole(&self) -> u64 {
        self.world * self.batch
    }
}

impl Step {
    /// The positions, in order.
    pub fn positions(self, rows: u64) -> impl Iterator<Item = u64> {
        (0..self.length).map(move |place| (self.first + place) % rows)
    }
}
