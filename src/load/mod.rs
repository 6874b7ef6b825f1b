//! Batches for training: rows of published days in a shuffled order, shared out among ranks, gathered ahead of the step.
//!
//! ```text
//! position ──► Order ──► row ──► MappedDay ──► shard, window ──► fill ──► BatchBuffer: the tensors of one batch
//!    ▲         keyed bijection                                   in parallel, into memory that is used again
//! Ranks: which positions a rank takes at a step
//! ```
//!
//! Nothing here keeps state but a position: an [`Order`] is computed from a key and a number, so where an epoch stands is
//! one number, whatever the number of ranks. [`Prefetcher`] runs all of it in threads, some batches ahead of whoever asks.

mod ahead;
mod block;
mod extra;
mod fill;
mod order;
mod ranks;

pub use ahead::{Batch, Content, Epoch, Prefetcher, pool};
pub use block::{Allocate, BatchBuffer, Memory, Pool};
pub use extra::{ExtraColumn, extra_columns, places, write_column};
pub use fill::{Dtypes, IndexDtype, Item, Layout, Offsets, Out, TypeNumber, fill, longest};
pub use order::Order;
pub use ranks::{Ranks, Remainder, Step};
