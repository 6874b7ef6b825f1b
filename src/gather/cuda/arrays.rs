//! What goes to a device and comes from it: host arrays, device addresses, and how much memory they take.

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator};

use crate::error::{Error, Result};
use crate::event::{ItemDtype, ItemId};

/// Jagged rows in host memory, as a jagged shard holds them: N rows whose histories are windows into A actions.
#[derive(Clone, Copy, Debug)]
pub struct JaggedArrays<'a, I> {
    /// `[A]`: the items of the actions.
    pub items: &'a [I],
    /// `[A]`: their types.
    pub types: &'a [u8],
    /// `[N]`: where the row's history begins in `items` and `types`.
    pub starts: &'a [i64],
    /// `[N]`: how many actions it has, at most K.
    pub lengths: &'a [i32],
    /// `[N]`: the items shown.
    pub item_ids: &'a [I],
    /// `[N]`: the labels, 0 or 1.
    pub is_order: &'a [u8],
}

impl<I: ItemId> JaggedArrays<'_, I> {
    /// Checks what a kernel relies on: columns of one length, and windows that stay inside the actions and within K.
    ///
    /// # Errors
    /// [`Error::Arrays`] names the first array or row that is wrong.
    pub fn check(&self, history: usize) -> Result<()> {
        let (rows, actions) = (self.starts.len(), self.items.len());
        let lengths = [
            ("types", self.types.len(), actions),
            ("lengths", self.lengths.len(), rows),
            ("item_ids", self.item_ids.len(), rows),
            ("is_order", self.is_order.len(), rows),
        ];
        for (what, found, expected) in lengths {
            if found != expected {
                return Err(Error::Arrays { what, problem: format!("{found} values, expected {expected}") });
            }
        }
        let fits = |(&start, &length): (&i64, &i32)| {
            let (start, length) = (usize::try_from(start).ok(), usize::try_from(length).ok());
            let end = start.zip(length).and_then(|(start, length)| start.checked_add(length));
            end.is_some_and(|end| end <= actions) && length.is_some_and(|length| length <= history)
        };
        let windows = self.starts.par_iter().zip(self.lengths.par_iter());
        match windows.position_first(|window| !fits(window)) {
            None => Ok(()),
            Some(row) => {
                let (start, length) = (self.starts[row], self.lengths[row]);
                let problem = format!(
                    "row {row}: start {start}, length {length} is out of range: {actions} actions, at most {history} in a row"
                );
                Err(Error::Arrays { what: "windows", problem })
            }
        }
    }
}

/// Which rows a batch is made of.
#[derive(Clone, Copy, Debug)]
pub enum RowNumbers<'a> {
    /// Numbers in host memory, `[B]`; they are checked, and copied before the call returns.
    Host(&'a [i64]),
    /// Numbers in the device's memory.
    Device {
        /// The address of `[B] i64`. A number that is none of the rows gives a row of zeros.
        address: u64,
        /// B.
        count: usize,
    },
}

/// The dtype of a batch's action types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeDtype {
    /// As they are stored.
    U8,
    /// That of the batch's items.
    AsItems,
}

/// Where a batch of B rows is written, as addresses in the device's memory; a column without one is not written.
///
/// Every column is dense and row by row. An address is a multiple of its column's element width; multiples of 16 make
/// rows whose bytes are a multiple of 16 faster to write.
#[derive(Clone, Copy, Debug)]
pub struct BatchColumns {
    /// The dtype of `items` and `item_ids`.
    pub item_dtype: ItemDtype,
    /// The dtype of `types`.
    pub type_dtype: TypeDtype,
    /// The length of a padded row, 1 or more: K, or less to cut the oldest actions off.
    pub history: usize,
    /// `[B, history]`: the items of the actions, newest first, zero-padded.
    pub items: Option<u64>,
    /// `[B, history]`: their types, zero-padded.
    pub types: Option<u64>,
    /// `[B]`: the items shown.
    pub item_ids: Option<u64>,
    /// `[B] u8`: the labels, 0 or 1.
    pub is_order: Option<u64>,
    /// `[B] i32`: how many actions of the padded row are no padding.
    pub lengths: Option<u64>,
}

impl BatchColumns {
    /// No column yet, as items are stored.
    #[must_use]
    pub fn new(item_dtype: ItemDtype, history: usize) -> Self {
        Self {
            item_dtype,
            type_dtype: TypeDtype::U8,
            history,
            items: None,
            types: None,
            item_ids: None,
            is_order: None,
            lengths: None,
        }
    }
}

/// The memory of a device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// What is free now, for all processes.
    pub free: u64,
    /// What there is.
    pub total: u64,
}

/// The device memory that rows take when they are resident, in bytes.
#[must_use]
pub fn resident_bytes(item_dtype: ItemDtype, rows: u64, actions: u64) -> u64 {
    Layout::new(item_dtype, rows, actions).bytes
}

/// Where the arrays of resident rows stand in their one allocation, as offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) items: u64,
    pub(super) types: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Layout {
    pub(super) fn new(item_dtype: ItemDtype, rows: u64, actions: u64) -> Self {
        // Of a row: where it begins, its length and label, its item.
        let (item, row) = match item_dtype {
            ItemDtype::I32 => (4, 16),
            ItemDtype::I64 => (8, 24),
        };
        let mut bytes = 0u64;
        let mut place = |length: u64| {
            let offset = bytes;
            // No memory is so large; what a broken manifest says may be.
            bytes = bytes.saturating_add(length.saturating_add(ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
            offset
        };
        let (items, types) = (place(actions.saturating_mul(item)), place(actions));
        let rows = place(rows.saturating_mul(row));
        // A driver allocates no empty memory.
        Self { items, types, rows, bytes: bytes.max(ALIGNMENT) }
    }
}

/// Arrays start on multiples of this, as allocations do, so that the kernel reads whole words of each.
const ALIGNMENT: u64 = 256;
