//! What ranks are given, against the rules as they are written down.

use shardback::load::{Ranks, Remainder, Step};

fn steps(rank: u32, world: u32, batch: usize, last: Remainder, rows: u64, delivered: u64) -> Vec<Step> {
    let ranks = Ranks::new(rank, world, batch, last).unwrap();
    let count = ranks.steps(rows, delivered);
    assert_eq!(ranks.step(rows, delivered, count), None);
    (0..count).map(|step| ranks.step(rows, delivered, step).unwrap()).collect()
}

/// How often each position is taken by all ranks, and the steps of each.
fn taken(world: u32, batch: usize, last: Remainder, rows: u64, delivered: u64) -> (Vec<u64>, Vec<usize>) {
    let mut counts = vec![0; rows as usize];
    let mut made = Vec::new();
    for rank in 0..world {
        let steps = steps(rank, world, batch, last, rows, delivered);
        for step in &steps {
            assert!(step.length >= 1 && step.length <= batch as u64);
            step.positions(rows).for_each(|position| counts[position as usize] += 1);
        }
        assert!(steps.last().is_none_or(|step| last == Remainder::Uneven || step.delivered == rows));
        made.push(steps.len());
    }
    (counts, made)
}

fn cases() -> impl Iterator<Item = (u32, usize, u64, u64)> {
    let worlds = [1u32, 2, 3, 8];
    worlds.into_iter().flat_map(|world| {
        [1usize, 2, 5].into_iter().flat_map(move |batch| {
            (0..60u64)
                .flat_map(move |rows| [0, rows / 3, rows].into_iter().map(move |before| (world, batch, rows, before)))
        })
    })
}

#[test]
fn none_is_lost_and_fewer_than_there_are_ranks_come_twice() {
    for (world, batch, rows, before) in cases() {
        let (counts, made) = taken(world, batch, Remainder::Repeat, rows, before);
        let case = format!("{world} ranks, batches of {batch}, {rows} rows from {before}");
        assert!(counts[before as usize..].iter().all(|&count| count >= 1), "{case}: none is lost");
        let total: u64 = counts.iter().sum();
        assert!(total - (rows - before) < u64::from(world), "{case}: {total} taken");
        assert!(made.iter().all(|&steps| steps == made[0]), "{case}: all make as many steps");
    }
}

#[test]
fn dropped_rows_are_the_last_and_every_batch_is_whole() {
    for (world, batch, rows, before) in cases() {
        let whole = u64::from(world) * batch as u64;
        let (counts, made) = taken(world, batch, Remainder::Drop, rows, before);
        let kept = before + (rows - before) / whole * whole;
        let expected: Vec<u64> = (0..rows).map(|row| u64::from(row >= before && row < kept)).collect();
        assert_eq!(counts, expected);
        assert!(made.iter().all(|&steps| steps as u64 == (rows - before) / whole));
    }
}

#[test]
fn uneven_ranks_take_each_row_once() {
    for (world, batch, rows, before) in cases() {
        let (counts, made) = taken(world, batch, Remainder::Uneven, rows, before);
        let expected: Vec<u64> = (0..rows).map(|row| u64::from(row >= before)).collect();
        assert_eq!(counts, expected);
        assert!(made.iter().all(|&steps| made[0] - steps <= 1), "the first rank never makes fewer");
    }
}

/// At step s rank r takes (s·W + r)·B and what follows.
#[test]
fn whole_steps_take_neighbouring_positions() {
    let found = steps(1, 3, 4, Remainder::Repeat, 30, 0);
    let expected = [(4, 4, 12), (16, 4, 24), (26, 2, 30)];
    let expected = expected.map(|(first, length, delivered)| Step { first, length, delivered });
    assert_eq!(found, expected);
    assert_eq!(Ranks::new(3, 3, 4, Remainder::Repeat), None);
    assert_eq!(Ranks::new(0, 1, 0, Remainder::Repeat), None);
}

/// A day that is given out by some ranks and then by others: what the first were given, and the others after it, is all.
#[test]
fn another_number_of_ranks_goes_on_where_the_first_stopped() {
    for (rows, stop) in [(100u64, 0), (100, 2), (101, 3), (97, 4)] {
        let mut counts = vec![0u64; rows as usize];
        let mut delivered = 0;
        for rank in 0..4 {
            for step in steps(rank, 4, 5, Remainder::Repeat, rows, 0).into_iter().take(stop) {
                step.positions(rows).for_each(|position| counts[position as usize] += 1);
                delivered = step.delivered;
            }
        }
        for rank in 0..3 {
            for step in steps(rank, 3, 7, Remainder::Repeat, rows, delivered) {
                step.positions(rows).for_each(|position| counts[position as usize] += 1);
            }
        }
        assert!(counts.iter().all(|&count| count >= 1));
        assert!(counts.iter().sum::<u64>() - rows < 3);
    }
}
