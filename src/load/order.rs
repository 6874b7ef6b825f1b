//! The order in which an epoch draws the rows of a day: a keyed bijection over their numbers, computed and not stored.
//!
//! It is a Feistel network over pairs (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002): a number below
//! a × b is a pair of one below a and one below b, each round adds a keyed hash of one half to the other, and so can be
//! undone whatever the hash. a and b are as near √n as can be with a × b ≥ n, so at most about √n numbers are too many; a
//! number that falls on one of them is put in again, until it comes out below n. That is a bijection on 0..n, too.

use crate::event::Day;

/// Enough that even all orders of a handful of rows are equally likely, as the tests measure.
const ROUNDS: usize = 24;
/// Enough where there are more than [`MANY`] rows: what a round mixes grows with the number of rows.
const ROUNDS_OF_MANY: usize = 8;
const MANY: u64 = 1 << 16;

/// The order of one epoch of one day.
///
/// ```
/// use shardback::load::Order;
///
/// let order = Order::shuffled(42, "2025-08-16".parse()?, 0, 5);
/// let mut rows: Vec<u64> = (0..5).filter_map(|position| order.row(position)).collect();
/// rows.sort_unstable();
/// assert_eq!(rows, [0, 1, 2, 3, 4]);
/// # Ok::<(), shardback::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Order {
    rows: u64,
    left: u64,
    right: u64,
    /// One for each round; none where rows come as they lie.
    keys: Vec<u64>,
}

impl Order {
    /// The rows of a day as the epoch draws them, each exactly once.
    #[must_use]
    pub fn shuffled(seed: u64, day: Day, epoch: u64, rows: usize) -> Self {
        let mut state = mix(seed) ^ mix(u64::from(day.0.cast_unsigned()).wrapping_add(DAY_STEP));
        state = mix(state).wrapping_add(epoch);
        let rows = rows as u64;
        let rounds = if rows > MANY { ROUNDS_OF_MANY } else { ROUNDS };
        let keys = (0..rounds).map(|_| {
            state = state.wrapping_add(STEP);
            mix(state)
        });
        let keys = keys.collect();
        // With one place on a side there would be nothing but turns of a circle.
        let left = rows.isqrt().max(2);
        Self { rows, left, right: rows.div_ceil(left), keys }
    }

    /// The rows as they lie.
    #[must_use]
    pub fn as_stored(rows: usize) -> Self {
        Self { rows: rows as u64, left: 1, right: rows as u64, keys: Vec::new() }
    }

    /// The row at a position; `None` where the day has no such position.
    #[must_use]
    pub fn row(&self, position: u64) -> Option<u64> {
        if position >= self.rows {
            return None;
        }
        if self.keys.is_empty() {
            return Some(position);
        }
        let mut number = position;
        // A cycle of the bijection on the pairs comes back to the position, which is below `rows`: so this ends.
        loop {
            number = self.permute(number);
            if number < self.rows {
                return Some(number);
            }
        }
    }

    /// A bijection on the numbers below left × right.
    fn permute(&self, number: u64) -> u64 {
        let (mut high, mut low) = (number / self.right, number % self.right);
        for pair in self.keys.chunks_exact(2) {
            high = shift(high, mix(low ^ pair[0]), self.left);
            low = shift(low, mix(high ^ pair[1]), self.right);
        }
        high * self.right + low
    }
}

/// `value` moved on by a hash, around a circle of `size` places.
fn shift(value: u64, hash: u64, size: u64) -> u64 {
    // The upper half of the product is below `size`, and both are below 2^63: rows are in memory.
    let moved = value + ((u128::from(hash) * u128::from(size)) >> 64) as u64;
    if moved >= size { moved - size } else { moved }
}

/// The increment of splitmix64: the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Keeps the hash of a day apart from that of a seed of the same number.
const DAY_STEP: u64 = 0x6a09_e667_f3bc_c908;

/// The finaliser of splitmix64.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
