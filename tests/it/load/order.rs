//! The keyed order is a permutation, and no statistic here tells it from a true one.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use shardback::event::Day;
use shardback::load::Order;

fn rows(seed: u64, day: i32, epoch: u64, rows: usize) -> Vec<u64> {
    let order = Order::shuffled(seed, Day(day), epoch, rows);
    (0..rows as u64).map(|position| order.row(position).unwrap()).collect()
}

#[test]
fn every_row_is_drawn_once() {
    let sizes = (0..300).chain([1023, 1024, 1025, 65_535, 65_536, 65_537, 99_991]);
    for size in sizes {
        for key in 0..3 {
            let mut drawn = rows(key, 20_000, key * 7, size);
            drawn.sort_unstable();
            assert!(drawn.iter().copied().eq(0..size as u64), "{size} rows");
            assert_eq!(Order::shuffled(key, Day(20_000), key * 7, size).row(size as u64), None);
        }
    }
    assert_eq!(Order::as_stored(3).row(2), Some(2));
    assert_eq!(Order::as_stored(3).row(3), None);
}

/// The order is part of what a saved state means: it must not change from one version to the next.
#[test]
fn the_order_stays_the_same_for_ever() {
    assert_eq!(rows(1, 20_316, 2, 12), FIXED);
    let many = Order::shuffled(1, Day(20_316), 2, 100_000);
    assert_eq!([0, 1, 99_999].map(|position| many.row(position).unwrap()), FIXED_OF_MANY);
}

const FIXED: [u64; 12] = [3, 7, 4, 9, 5, 1, 8, 0, 2, 10, 6, 11];
const FIXED_OF_MANY: [u64; 3] = [2652, 27_636, 2206];

/// Chi-square of counts against equal expectation, as standard deviations from its mean.
fn deviation(counts: &[u64], expected: f64, freedom: f64) -> f64 {
    let chi: f64 = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
    (chi - freedom) / (2.0 * freedom).sqrt()
}

/// Each row comes to each position equally often, over epochs, over seeds and over days.
#[test]
fn positions_are_uniform() {
    const ROUNDS: u64 = 20_000;
    for size in [2, 3, 7, 12, 37, 64] {
        for vary in 0..3 {
            let mut counts = vec![0u64; size * size];
            for round in 0..ROUNDS {
                let drawn = match vary {
                    0 => rows(11, 20_000, round, size),
                    1 => rows(round, 20_000, 0, size),
                    _ => rows(11, round as i32, 0, size),
                };
                for (position, row) in drawn.into_iter().enumerate() {
                    counts[position * size + row as usize] += 1;
                }
            }
            // Rows and columns are fixed sums.
            let freedom = ((size - 1) * (size - 1)) as f64;
            // Counts of a permutation matrix vary by n / (n - 1) less than those of a table.
            let scale = (size as f64 - 1.0) / size as f64;
            let chi: f64 = {
                let expected = ROUNDS as f64 / size as f64;
                counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum::<f64>() * scale
            };
            let deviation = (chi - freedom) / (2.0 * freedom).sqrt();
            assert!(deviation.abs() < 5.0, "{size} rows, {vary}: {deviation}");
        }
    }
}

/// Of many rows, a stretch of positions holds as many rows of each stretch, and so does what follows them.
#[test]
fn stretches_of_many_rows_are_uniform() {
    const STRETCHES: usize = 64;
    const EPOCHS: u64 = 12;
    for size in [66_000, 200_003] {
        let mut places = vec![0u64; STRETCHES * STRETCHES];
        let mut pairs = vec![0u64; STRETCHES * STRETCHES];
        let stretch = |number: usize| number * STRETCHES / size;
        for epoch in 0..EPOCHS {
            let drawn = rows(2, 20_000, epoch, size);
            for (position, &row) in drawn.iter().enumerate() {
                places[stretch(position) * STRETCHES + stretch(row as usize)] += 1;
            }
            for pair in drawn.windows(2) {
                pairs[stretch(pair[0] as usize) * STRETCHES + stretch(pair[1] as usize)] += 1;
            }
        }
        let cells = (STRETCHES * STRETCHES) as f64;
        let freedom = ((STRETCHES - 1) * (STRETCHES - 1)) as f64;
        for (counts, drawn) in [(&places, size as f64), (&pairs, size as f64 - 1.0)] {
            let deviation = deviation(counts, drawn * EPOCHS as f64 / cells, freedom);
            assert!(deviation.abs() < 5.0, "{size} rows: {deviation}");
        }
    }
}

/// All orders of a few rows are equally likely, which takes more than uniform positions.
#[test]
fn all_orders_of_a_few_rows_are_as_likely() {
    for (size, orders) in [(3, 6u64), (4, 24), (5, 120)] {
        let rounds = orders * 400;
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..rounds {
            *counts.entry(rows(5, 20_000, epoch, size)).or_insert(0u64) += 1;
        }
        let counts: Vec<u64> = counts.into_values().collect();
        assert_eq!(counts.len() as u64, orders, "every order of {size} rows comes up");
        let deviation = deviation(&counts, 400.0, (orders - 1) as f64);
        assert!(deviation.abs() < 5.0, "{size} rows: {deviation}");
    }
}

/// How rows that follow each other are related: the correlation of their numbers, and how many follow in the files too.
fn neighbours(drawn: &[u64]) -> (f64, f64) {
    let mean = (drawn.len() as f64 - 1.0) / 2.0;
    let variance: f64 = drawn.iter().map(|&row| (row as f64 - mean).powi(2)).sum();
    let pairs = drawn.windows(2);
    let covariance: f64 = pairs.clone().map(|pair| (pair[0] as f64 - mean) * (pair[1] as f64 - mean)).sum();
    let adjacent = pairs.filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
    (covariance / variance, adjacent as f64)
}

/// Neighbours in the order are no more alike than in a true permutation, measured in the same way on both.
#[test]
fn neighbours_are_as_independent_as_in_a_true_permutation() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    for size in [1000, 10_007, 100_000] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for epoch in 0..20 {
            ours.push(neighbours(&rows(random.next_u64(), 20_000, epoch, size)));
            let mut shuffled: Vec<u64> = (0..size as u64).collect();
            shuffled.shuffle(&mut random);
            theirs.push(neighbours(&shuffled));
        }
        let mean = |found: &[(f64, f64)], part: fn(&(f64, f64)) -> f64| {
            found.iter().map(part).sum::<f64>() / found.len() as f64
        };
        // The standard error of a correlation of n pairs, twenty times, and of the difference of two.
        let error = (2.0 / (20.0 * size as f64)).sqrt();
        let correlation = mean(&ours, |found| found.0) - mean(&theirs, |found| found.0);
        assert!(correlation.abs() < 5.0 * error, "{size} rows: {correlation}");
        // About two adjacent pairs are expected in any permutation, as in a Poisson process.
        let adjacent = mean(&ours, |found| found.1) - mean(&theirs, |found| found.1);
        assert!(adjacent.abs() < 5.0 * (2.0f64 * 2.0 / 20.0).sqrt(), "{size} rows: {adjacent}");
    }
}

/// Keys that differ by one give orders that have nothing to do with each other.
#[test]
fn epochs_days_and_seeds_are_unrelated() {
    const SIZE: usize = 50_000;
    let base = rows(8, 20_000, 4, SIZE);
    for other in [rows(9, 20_000, 4, SIZE), rows(8, 20_001, 4, SIZE), rows(8, 20_000, 5, SIZE)] {
        let same = base.iter().zip(&other).filter(|(one, other)| one == other).count();
        assert!(same <= 8, "about one row comes to the same position by chance: {same}");
        let mean = (SIZE as f64 - 1.0) / 2.0;
        let variance: f64 = base.iter().map(|&row| (row as f64 - mean).powi(2)).sum();
        let together: f64 =
            base.iter().zip(&other).map(|(&one, &other)| (one as f64 - mean) * (other as f64 - mean)).sum();
        assert!((together / variance).abs() < 5.0 / (SIZE as f64).sqrt());
    }
}
