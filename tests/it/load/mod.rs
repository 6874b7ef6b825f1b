//! Batches for training: the order is a fair shuffle, ranks share it out without loss, and batches hold what the day holds.

mod batches;
mod order;
mod ranks;
