//! Shows the first rows of jagged days: `cargo run --example read_shard -- OUT/jagged`.

#![expect(clippy::print_stdout, reason = "it is a program")]

use shardback::open::{MappedDay, ShardView};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name a folder of jagged days, as example-out/jagged")?;
    for folder in shardback::open(path.as_ref())? {
        let day = MappedDay::open(folder.folder())?;
        println!("{}: {} rows, K = {}", folder.day(), day.rows(), day.history());
        for shard in day.shards() {
            // Slices of the mapped file: nothing is copied.
            let ShardView::Jagged(jagged) = shard.view() else { continue };
            for row in 0..shard.rows().min(3) {
                let request = jagged.request(row).ok_or("a row is of a request")?;
                let history = jagged.history(row).ok_or("a row has a history")?;
                let newest: Vec<i64> = history.items.iter().take(5).collect();
                println!(
                    "  customer {}: {} actions, the newest {newest:?}",
                    jagged.customer_ids[request],
                    history.types.len()
                );
            }
        }
    }
    Ok(())
}
