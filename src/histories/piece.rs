//! What one bucket of customers contributes to one day: its samples, and the history of each customer.

use std::ops::Range;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use crate::error::{Invariant, Result};
use crate::event::ItemId;
use crate::fsio::{SpillFile, SpilledBlock};

/// Actions of some customers: parallel arrays, each customer's newest first.
///
/// Customers are apart only through the windows into the arrays.
#[derive(Debug, Default)]
pub struct Values<I> {
    /// The items, `[A]`.
    pub items: Vec<I>,
    /// The action types, `[A] u8`.
    pub types: Vec<u8>,
}

/// The part of [`Values`] that a customer's samples of one day see: the first `length` actions of the padded row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Window {
    /// Where it begins in the arrays.
    pub start: u64,
    /// The time of its newest action in microseconds since the epoch; [`NULL_TIME`](crate::event::NULL_TIME) where it is
    /// empty or knows no time.
    pub newest: i64,
    /// At most K.
    pub length: u64,
}

impl Window {
    /// The places in the arrays; `None` where none can be so far back.
    #[must_use]
    pub fn range(&self) -> Option<Range<usize>> {
        let end = self.start.checked_add(self.length)?;
        Some(usize::try_from(self.start).ok()?..usize::try_from(end).ok()?)
    }
}

/// The samples of one customer on one day: neighbours, with one history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct CustomerRows {
    /// Who.
    pub customer: i64,
    /// Where its samples end in the piece; they begin where those of the customer before end.
    pub end: u64,
    /// The history at the start of the day.
    pub window: Window,
}

/// A bucket's part of a day, in canonical order: customers by hash, samples by item, then label, false first.
#[derive(Debug)]
pub struct Piece<I> {
    /// The customers that have samples.
    pub customers: Vec<CustomerRows>,
    /// The samples' items, `[N]`.
    pub items: Vec<I>,
    /// The samples' labels, `[N]`, 0 or 1.
    pub labels: Vec<u8>,
    /// What the windows point into; in memory the days of a bucket share it.
    pub values: Arc<Values<I>>,
}

impl<I: ItemId> Values<I> {
    /// The items and types of a window, newest first.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) where the window is not one into these values.
    pub fn history(&self, window: &Window) -> Result<(&[I], &[u8])> {
        let range = window.range().filter(|range| range.end <= self.items.len().min(self.types.len()));
        let range = range.invariant("a window lies within its values")?;
        Ok((&self.items[range.clone()], &self.types[range]))
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.items.len() * size_of::<I>() + self.types.len()) as u64
    }
}

impl<I: ItemId> Piece<I> {
    /// The bytes of the piece without the values that it may share.
    pub(super) fn own_bytes(&self) -> u64 {
        (self.customers.len() * size_of::<CustomerRows>() + self.items.len() * (size_of::<I>() + 1)) as u64
    }

    /// The bytes of the piece and its values.
    pub(crate) fn bytes(&self) -> u64 {
        self.own_bytes() + self.values.bytes()
    }

    /// The bytes of the windows' values, were they not shared.
    pub(super) fn window_bytes(&self) -> u64 {
        self.customers.iter().map(|customer| customer.window.length * (size_of::<I>() as u64 + 1)).sum()
    }
}

/// A piece on disk: customers, items and labels of samples, then items and types of the windows, one after the other.
#[derive(Debug)]
pub(super) struct SpilledPiece {
    file: Arc<SpillFile>,
    /// The columns, in this order.
    blocks: [SpilledBlock; 5],
}

impl SpilledPiece {
    /// Writes a piece, with values of its own.
    pub(super) fn write<I: ItemId>(piece: &Piece<I>, file: &Arc<SpillFile>) -> Result<Self> {
        let mut start = 0;
        let customers: Vec<CustomerRows> = piece
            .customers
            .iter()
            .map(|customer| {
                let window = Window { start, ..customer.window };
                start += window.length;
                CustomerRows { window, ..*customer }
            })
            .collect();
        let mut bytes = Vec::with_capacity((piece.own_bytes() + piece.window_bytes()) as usize);
        let mut ends = Vec::with_capacity(5);
        for column in [bytemuck::cast_slice(&customers), bytemuck::cast_slice(&piece.items), &piece.labels] {
            bytes.extend_from_slice(column);
            ends.push(bytes.len());
        }
        for customer in &piece.customers {
            bytes.extend_from_slice(bytemuck::cast_slice(piece.values.history(&customer.window)?.0));
        }
        ends.push(bytes.len());
        for customer in &piece.customers {
            bytes.extend_from_slice(piece.values.history(&customer.window)?.1);
        }
        ends.push(bytes.len());
        let blocks = file.append(&bytes, &ends)?.try_into().invariant("a piece is spilled as five blocks")?;
        Ok(Self { file: Arc::clone(file), blocks })
    }

    /// Reads the piece back.
    pub(super) fn read<I: ItemId>(&self) -> Result<Piece<I>> {
        let [customers, items, labels, actions, types] = &self.blocks;
        let values = Values { items: self.file.read(actions)?, types: self.file.read(types)? };
        Ok(Piece {
            customers: self.file.read(customers)?,
            items: self.file.read(items)?,
            labels: self.file.read(labels)?,
            values: Arc::new(values),
        })
    }

    /// Reads only who has how many samples, and the lengths of the histories.
    pub(super) fn read_customers(&self) -> Result<Vec<CustomerRows>> {
        self.file.read(&self.blocks[0])
    }
}
