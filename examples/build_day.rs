//! Builds a day of the bundled sample and says what came out: `cargo run --example build_day -- [OUT]`.

#![expect(clippy::print_stdout, reason = "it is a program")]

use shardback::pipeline::{DaySummary, Observer};
use shardback::{Build, Format};

/// Prints each day when it is in place.
struct Printing;

impl Observer for Printing {
    fn published(&self, day: &DaySummary) {
        println!("{}: {} samples of {} customers", day.day, day.samples, day.customers);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::args().nth(1).unwrap_or_else(|| "example-out".to_owned());
    let summary = Build::day("2025-08-16".parse()?, out)
        .table("impressions", "data/sample/impressions")
        .table("clicks", "data/sample/clicks")
        .table("previous_orders", "data/sample/previous_orders")
        .formats([Format::Jagged, Format::Parquet])
        .history_length(100)
        .observer(&Printing)
        .run()?;
    for table in &summary.tables {
        println!("read {}: {} rows", table.table, table.rows);
    }
    Ok(())
}
