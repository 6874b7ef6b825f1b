//! About when the rows of a table were: enough to see that two tables do not count time in one unit.

use serde::{Deserialize, Serialize};

/// How many of some times are how far from the epoch, in steps of an eighth of a power of two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// By step; nothing where no time was seen.
    counts: Vec<u64>,
}

/// A power of two has so many steps.
const STEPS: usize = 8;

impl Clock {
    /// Takes times in microseconds since the epoch.
    pub fn see(&mut self, times: impl Iterator<Item = i64>) {
        for time in times {
            if self.counts.is_empty() {
                self.counts.resize(STEPS * (u64::BITS as usize + 1), 0);
            }
            if let Some(count) = self.counts.get_mut(step(time)) {
                *count += 1;
            }
        }
    }

    /// Adds what another part of the table has.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, more)| *sum += more);
    }

    /// How far from the epoch the median is, in microseconds, rounded down by less than an eighth; nothing without times.
    #[must_use]
    pub fn median(&self) -> Option<u64> {
        let all: u64 = self.counts.iter().sum();
        let mut before = 0;
        let step = self.counts.iter().position(|count| {
            before += count;
            2 * before > all
        })?;
        let (bits, eighths) = (step / STEPS, (step % STEPS) as u64);
        let shift = (bits as u32).checked_sub(STEPS.ilog2() + 1);
        Some(match shift {
            Some(shift) => (STEPS as u64 + eighths) << shift,
            // Times as near as that are not told apart.
            None => bits as u64,
        })
    }
}

/// The number of a time's bits, and the eighth of the power of two in which it lies.
fn step(time: i64) -> usize {
    let distance = time.unsigned_abs();
    let bits = u64::BITS - distance.leading_zeros();
    let eighth = bits.checked_sub(STEPS.ilog2() + 1).map_or(0, |shift| (distance >> shift) as usize % STEPS);
    bits as usize * STEPS + eighth
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the comparison of units, which are apart by a thousand: a median is right to an eighth.
    #[test]
    fn the_median_is_known_to_an_eighth() {
        for exact in [1_u64, 7, 8, 1_000, 1_755_345_600, 1_755_345_600_000_000, u64::from(u32::MAX), 1 << 62] {
            let mut clock = Clock::default();
            let time = i64::try_from(exact).unwrap();
            clock.see([0, time, -time, time, i64::MAX].into_iter());
            let found = clock.median().unwrap();
            assert!(found <= exact && (exact < 16 || exact - found <= exact / 8), "{exact} {found}");
        }
        assert_eq!(Clock::default().median(), None);
    }
}
