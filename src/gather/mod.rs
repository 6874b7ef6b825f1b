//! Windows to padded rows: the one stage that touches wide data.
//!
//! Knows arrays and windows; knows no files and no formats.

mod cpu;

pub use cpu::{Cpu, pad_row};

use crate::event::ItemId;
use crate::histories::{Values, Window};

/// A device that copies windows into rows of K values, zero-padded at the end.
///
/// Every implementation gives the same bytes. `windows` has N entries, each inside `values` and at most K long; the
/// outputs are `[N, K]`, row by row, and are written in full.
pub trait Gather<I: ItemId>: Sync {
    /// Writes the items of each window.
    fn items(&self, values: &Values<I>, windows: &[Window], history: usize, rows: &mut [I]);

    /// Writes the action types of each window.
    fn types(&self, values: &Values<I>, windows: &[Window], history: usize, rows: &mut [u8]);
}
