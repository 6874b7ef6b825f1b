//! Windows to padded rows: the one stage that touches wide data.
//!
//! Knows arrays and windows; knows no files and no formats. It is a trait because it is what another device can do: the
//! processor ([`Cpu`]) is the reference, and [`cuda`] gives the same bytes.

mod cpu;
pub mod cuda;
mod device;

pub use cpu::{Cpu, pad_row};
pub use device::{Chosen, choose};

use crate::cut::RowBlock;
use crate::error::Result;
use crate::event::ItemId;

/// Rows to pad: blocks in order, each read as it comes.
pub type Blocks<'a, I> = &'a mut dyn Iterator<Item = Result<RowBlock<I>>>;

/// What takes padded rows, in order and some whole rows at a time, and says whether to go on.
pub type Take<'a, T> = &'a mut dyn FnMut(&[T]) -> Result<()>;

/// A device that copies windows into rows of K values, zero-padded at the end.
///
/// Every implementation hands over the same rows, `[N, K]` in all, and cuts them into batches as suits it. Windows lie
/// inside their block's values and are at most K long.
pub trait Gather<I: ItemId>: Sync {
    /// Pads the items of each row.
    ///
    /// # Errors
    /// What reading a block, the device or `take` says.
    fn items(&self, blocks: Blocks<'_, I>, history: usize, take: Take<'_, I>) -> Result<()>;

    /// Pads the action types of each row.
    ///
    /// # Errors
    /// As [`Gather::items`].
    fn types(&self, blocks: Blocks<'_, I>, history: usize, take: Take<'_, u8>) -> Result<()>;

    /// Pads another column of actions, by its number and the bytes of its values: 1, 4 or 8.
    ///
    /// # Errors
    /// As [`Gather::items`].
    fn column(&self, blocks: Blocks<'_, I>, column: (usize, usize), history: usize, take: Take<'_, u8>) -> Result<()>;
}
