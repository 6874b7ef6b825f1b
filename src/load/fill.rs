//! Rows of a day to the tensors of a batch: labels and items looked up, histories padded, dtypes widened as asked.

use bytemuck::{Pod, Zeroable};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::error::{Error, Invariant, OptionName, Result};
use crate::event::{ItemDtype, PADDING};
use crate::gather::pad_row;
use crate::open::{History, Items, MappedDay, ShardView};

/// The dtype of numbers in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexDtype {
    /// 8 bits, unsigned; of action types only.
    U8,
    /// 32 bits, signed.
    I32,
    /// 64 bits, signed.
    I64,
}

impl IndexDtype {
    /// The bytes of a number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I32 => 4,
            Self::I64 => 8,
        }
    }
}

/// The dtypes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtypes {
    /// Of items, shown and acted on: [`IndexDtype::I32`] or [`IndexDtype::I64`].
    pub items: IndexDtype,
    /// Of action types.
    pub types: IndexDtype,
}

impl Dtypes {
    /// As the day stores them.
    #[must_use]
    pub fn stored(items: ItemDtype) -> Self {
        let items = match items {
            ItemDtype::I32 => IndexDtype::I32,
            ItemDtype::I64 => IndexDtype::I64,
        };
        Self { items, types: IndexDtype::U8 }
    }
}

/// Where the tensors of a batch of `rows` rows of `width` actions lie in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The rows.
    pub rows: usize,
    /// The actions of a row, padding included.
    pub width: usize,
    /// The dtypes.
    pub dtypes: Dtypes,
}

/// Where each tensor begins, in bytes, on multiples of 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// `[rows, width]` items.
    pub actions: usize,
    /// `[rows, width]` types.
    pub action_types: usize,
    /// `[rows]` items.
    pub impressions: usize,
    /// `[rows] i32`: how many actions of a row are no padding.
    pub lengths: usize,
    /// `[rows] bool`: the first label.
    pub is_order: usize,
    /// Where all of it ends, and what only some descriptions ask for begins.
    pub end: usize,
}

impl Layout {
    /// Where the tensors lie.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        let wide = self.rows * self.width;
        let action_types = aligned(wide * self.dtypes.items.bytes());
        let impressions = aligned(action_types + wide * self.dtypes.types.bytes());
        let lengths = aligned(impressions + self.rows * self.dtypes.items.bytes());
        let is_order = aligned(lengths + self.rows * size_of::<i32>());
        Offsets { actions: 0, action_types, impressions, lengths, is_order, end: aligned(is_order + self.rows) }
    }

    /// Gathers rows of a day into a block, in the pool of the caller.
    ///
    /// # Errors
    /// As [`fill`].
    pub(super) fn write(&self, day: &MappedDay, rows: &[u64], block: &mut [u8]) -> Result<()> {
        match self.dtypes.items {
            IndexDtype::I64 => self.write_items::<i64>(day, rows, block),
            _ => self.write_items::<i32>(day, rows, block),
        }
    }

    fn write_items<T: Item>(&self, day: &MappedDay, rows: &[u64], block: &mut [u8]) -> Result<()> {
        match self.dtypes.types {
            IndexDtype::U8 => self.write_typed::<T, u8>(day, rows, block),
            IndexDtype::I32 => self.write_typed::<T, i32>(day, rows, block),
            IndexDtype::I64 => self.write_typed::<T, i64>(day, rows, block),
        }
    }

    fn write_typed<T: Item, K: TypeNumber>(&self, day: &MappedDay, rows: &[u64], block: &mut [u8]) -> Result<()> {
        let offsets = self.offsets();
        let (actions, rest) = block.split_at_mut(offsets.action_types);
        let (types, rest) = rest.split_at_mut(offsets.impressions - offsets.action_types);
        let (impressions, rest) = rest.split_at_mut(offsets.lengths - offsets.impressions);
        let (lengths, is_order) = rest.split_at_mut(offsets.is_order - offsets.lengths);
        let wide = self.rows * self.width;
        let out = Out::<T, K> {
            actions: &mut bytemuck::cast_slice_mut(actions)[..wide],
            action_types: &mut bytemuck::cast_slice_mut(types)[..wide],
            impressions: &mut bytemuck::cast_slice_mut(impressions)[..self.rows],
            lengths: &mut bytemuck::cast_slice_mut(lengths)[..self.rows],
            is_order: &mut is_order[..self.rows],
        };
        fill(day, rows, self.width, out)
    }
}

pub(super) fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(64)
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for i32 {}
    impl Sealed for i64 {}
}

/// A number that items can be in a batch: `i32` or `i64`.
pub trait Item: sealed::Sealed + Pod + Zeroable + Send + Sync {
    /// From 32 bits.
    fn narrow(item: i32) -> Self;
    /// From 64 bits; what does not fit is cut off, which [`Item::fits`] tells beforehand.
    fn wide(item: i64) -> Self;
    /// Whether an item fits.
    fn fits(item: i64) -> bool;
}

impl Item for i32 {
    fn narrow(item: i32) -> Self {
        item
    }
    fn wide(item: i64) -> Self {
        item as Self
    }
    fn fits(item: i64) -> bool {
        Self::try_from(item).is_ok()
    }
}

impl Item for i64 {
    fn narrow(item: i32) -> Self {
        item.into()
    }
    fn wide(item: i64) -> Self {
        item
    }
    fn fits(_: i64) -> bool {
        true
    }
}

/// A number that action types can be in a batch: `u8`, `i32` or `i64`.
pub trait TypeNumber: sealed::Sealed + Pod + Zeroable + Send + Sync + From<u8> {}
impl TypeNumber for u8 {}
impl TypeNumber for i32 {}
impl TypeNumber for i64 {}

/// The tensors that [`fill`] writes, in full.
pub struct Out<'a, T, K> {
    /// `[rows, width]`
    pub actions: &'a mut [T],
    /// `[rows, width]`
    pub action_types: &'a mut [K],
    /// `[rows]`
    pub impressions: &'a mut [T],
    /// `[rows]`
    pub lengths: &'a mut [i32],
    /// `[rows]`: 0 or 1.
    pub is_order: &'a mut [u8],
}

/// Enough rows that handing them to another core costs little beside copying them.
pub(super) const ROWS_PER_TASK: usize = 64;

/// Gathers rows of a day, histories padded or cut to `width` (1 or more), in the pool of the caller.
///
/// Each slice of `out` holds as many rows as there are in `rows`.
///
/// # Errors
/// [`Error::Option`] where there is no such row or an item does not fit, [`Error::Corrupt`] where a window is out of range.
pub fn fill<T: Item, K: TypeNumber>(day: &MappedDay, rows: &[u64], width: usize, out: Out<'_, T, K>) -> Result<()> {
    day.check()?;
    let views: Vec<ShardView<'_>> = day.shards().iter().map(|shard| shard.view()).collect();
    let chunk = ROWS_PER_TASK * width;
    rows.par_chunks(ROWS_PER_TASK)
        .zip(out.actions.par_chunks_mut(chunk))
        .zip(out.action_types.par_chunks_mut(chunk))
        .zip(out.impressions.par_chunks_mut(ROWS_PER_TASK))
        .zip(out.lengths.par_chunks_mut(ROWS_PER_TASK))
        .zip(out.is_order.par_chunks_mut(ROWS_PER_TASK))
        .try_for_each(|(((((rows, actions), types), impressions), lengths), is_order)| {
            // First all look-ups, each of which waits for memory, so that they wait together; then the copies.
            let mut found = [History { items: Items::I32(&[]), types: &[] }; ROWS_PER_TASK];
            for (place, &row) in rows.iter().enumerate() {
                let (shard, row) = locate(day, row)?;
                let view = &views[shard];
                found[place] = stored(view, row).ok_or_else(|| bad_window(day, shard, row))?;
                impressions[place] = item(view.item_ids().get(row).invariant("a row that was found is in its shard")?)?;
                is_order[place] = view.label().get(row).copied().unwrap_or_default();
            }
            let wide = actions.chunks_exact_mut(width).zip(types.chunks_exact_mut(width));
            for ((history, length), (actions, types)) in found.iter().zip(lengths).zip(wide) {
                pad(history, actions, types)?;
                *length = i32::try_from(unpadded(history.types)).unwrap_or(i32::MAX);
            }
            Ok(())
        })
}

/// The longest of some rows' histories.
///
/// # Errors
/// As [`fill`].
pub fn longest(day: &MappedDay, rows: &[u64]) -> Result<usize> {
    day.check()?;
    let views: Vec<ShardView<'_>> = day.shards().iter().map(|shard| shard.view()).collect();
    let length = |&row: &u64| {
        let (shard, row) = locate(day, row)?;
        let history = views[shard].history(row).ok_or_else(|| bad_window(day, shard, row))?;
        Ok(history.types.len())
    };
    rows.par_iter().with_min_len(ROWS_PER_TASK).map(length).try_reduce(|| 0, |a, b| Ok(a.max(b)))
}

fn pad<T: Item, K: TypeNumber>(history: &History<'_>, actions: &mut [T], types: &mut [K]) -> Result<()> {
    match history.items {
        Items::I32(items) => pad_row(items, actions, T::narrow),
        Items::I64(items) => {
            if let Some(&item) = items.iter().find(|&&item| !T::fits(item)) {
                return Err(does_not_fit(item));
            }
            pad_row(items, actions, T::wide);
        }
    }
    pad_row(history.types, types, K::from);
    Ok(())
}

/// The history as it lies in the shard: of a dense one with its padding.
fn stored<'a>(view: &ShardView<'a>, row: usize) -> Option<History<'a>> {
    match view {
        ShardView::Jagged(shard) => shard.history(row),
        ShardView::Dense(shard) => shard.padded(row),
    }
}

/// How many of the types are no padding.
fn unpadded(types: &[u8]) -> usize {
    match types.last() {
        Some(&PADDING) => memchr::memchr(PADDING, types).unwrap_or(types.len()),
        _ => types.len(),
    }
}

pub(super) fn locate(day: &MappedDay, row: u64) -> Result<(usize, usize)> {
    let place = usize::try_from(row).ok().and_then(|row| day.locate(row));
    place.ok_or_else(|| Error::Option {
        option: OptionName::Rows,
        problem: format!("no row {row}: {} has {} rows", day.folder().day(), day.rows()),
    })
}

fn item<T: Item>(item: i64) -> Result<T> {
    if T::fits(item) { Ok(T::wide(item)) } else { Err(does_not_fit(item)) }
}

fn does_not_fit(item: i64) -> Error {
    Error::Option { option: OptionName::IndexDtype, problem: format!("item {item} does not fit 32 bits; ask for 64") }
}

pub(super) fn bad_window(day: &MappedDay, shard: usize, row: usize) -> Error {
    let shard = &day.shards()[shard];
    let problem = match shard.view() {
        ShardView::Jagged(view) => view.describe_bad_window(row),
        ShardView::Dense(_) => format!("it has no row {row}"),
    };
    Error::Corrupt { path: shard.path().to_owned(), problem }
}
