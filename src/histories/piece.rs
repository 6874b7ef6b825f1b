//! What one bucket of customers contributes to one day: its samples, and the history of each customer.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::event::ItemId;
use crate::fsio::SpillFile;

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
    #[must_use]
    pub fn history(&self, window: &Window) -> (&[I], &[u8]) {
        let range = window.start as usize..(window.start + window.length) as usize;
        self.items.get(range.clone()).zip(self.types.get(range)).unwrap_or_default()
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

    /// The bytes of the windows' values, were they not shared.
    pub(super) fn window_bytes(&self) -> u64 {
        self.customers.iter().map(|customer| customer.window.length * (size_of::<I>() as u64 + 1)).sum()
    }
}

/// A piece on disk: customers, items and labels of samples, then items and types of the windows, one after the other.
#[derive(Debug)]
pub(super) struct SpilledPiece {
    file: Arc<SpillFile>,
    start: u64,
    customers: usize,
    samples: usize,
    actions: usize,
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
        bytes.extend_from_slice(bytemuck::cast_slice(&customers));
        bytes.extend_from_slice(bytemuck::cast_slice(&piece.items));
        bytes.extend_from_slice(&piece.labels);
        for customer in &piece.customers {
            bytes.extend_from_slice(bytemuck::cast_slice(piece.values.history(&customer.window).0));
        }
        for customer in &piece.customers {
            bytes.extend_from_slice(piece.values.history(&customer.window).1);
        }
        Ok(Self {
            start: file.append(&bytes)?,
            file: Arc::clone(file),
            customers: customers.len(),
            samples: piece.items.len(),
            actions: start as usize,
        })
    }

    /// Reads the piece back.
    pub(super) fn read<I: ItemId>(&self) -> Result<Piece<I>> {
        let (file, place) = (&*self.file, &mut self.start.clone());
        let customers = read(file, place, self.customers)?;
        let (items, labels) = (read(file, place, self.samples)?, read(file, place, self.samples)?);
        let values = Values { items: read(file, place, self.actions)?, types: read(file, place, self.actions)? };
        Ok(Piece { customers, items, labels, values: Arc::new(values) })
    }

    /// Reads only who has how many samples, and the lengths of the histories.
    pub(super) fn read_customers(&self) -> Result<Vec<CustomerRows>> {
        read(&self.file, &mut self.start.clone(), self.customers)
    }
}

fn read<T: Pod>(file: &SpillFile, place: &mut u64, count: usize) -> Result<Vec<T>> {
    let mut values = vec![T::zeroed(); count];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut values);
    file.read(*place, bytes)?;
    *place += bytes.len() as u64;
    Ok(values)
}
