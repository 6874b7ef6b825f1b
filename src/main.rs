//! The `shardback` program.
fn main() {}
