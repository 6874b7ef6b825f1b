//! Draws batches for training from a day, shuffled, as one of two ranks: `cargo run --example batches -- OUT/jagged/dt=2025-08-16`.

#![expect(clippy::print_stdout, reason = "it is a program")]

use shardback::load::{Order, Out, Ranks, Remainder, fill};
use shardback::open::MappedDay;

/// Rows of a batch, and the width of their histories.
const BATCH: usize = 32;
const WIDTH: usize = 50;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name the folder of a jagged day, as example-out/jagged/dt=2025-08-16")?;
    let day = MappedDay::open(path.as_ref())?;
    let rows = day.rows() as u64;
    let order = Order::shuffled(42, day.folder().day(), 0, day.rows());
    let rank = Ranks::new(0, 2, BATCH, Remainder::Repeat).ok_or("there is a rank 0 of 2")?;
    for number in 0..rank.steps(rows, 0) {
        let step = rank.step(rows, 0, number).ok_or("a step that is counted is there")?;
        let drawn: Vec<u64> = step.positions(rows).filter_map(|position| order.row(position)).collect();
        let (mut actions, mut types) = (vec![0i32; drawn.len() * WIDTH], vec![0u8; drawn.len() * WIDTH]);
        let (mut items, mut lengths) = (vec![0i32; drawn.len()], vec![0i32; drawn.len()]);
        let mut is_order = vec![0u8; drawn.len()];
        let out = Out {
            actions: &mut actions,
            action_types: &mut types,
            impressions: &mut items,
            lengths: &mut lengths,
            is_order: &mut is_order,
        };
        fill(&day, &drawn, WIDTH, out)?;
        let ordered = is_order.iter().filter(|&&label| label == 1).count();
        println!("step {number}: {} rows, {} actions, {ordered} ordered", drawn.len(), lengths.iter().sum::<i32>());
    }
    Ok(())
}
