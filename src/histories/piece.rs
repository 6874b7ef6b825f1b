//! What one bucket of customers contributes to one day: its samples, and the history of each customer.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::{AnyBitPattern, NoUninit, Pod, Zeroable};

use crate::error::{Error, Invariant, Result};
use crate::event::{ItemId, NULL_TIME};
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
    /// The other columns of actions, little-endian: times where they are kept, then the features.
    pub columns: Vec<ActionColumn>,
}

/// A column of actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionColumn {
    /// The bytes of a value.
    pub width: usize,
    /// The values, `[A]`, little-endian.
    pub bytes: Vec<u8>,
}

impl ActionColumn {
    /// All values, as what is as wide as they are.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) where it is not.
    pub fn typed<T: AnyBitPattern + NoUninit>(&self) -> Result<Cow<'_, [T]>> {
        if size_of::<T>() != self.width || !self.bytes.len().is_multiple_of(self.width) {
            return Err(Error::internal("columns of actions are read as they were written"));
        }
        // Allocators align more than bytes ask for, but for what is empty.
        let values = bytemuck::try_cast_slice(&self.bytes).map(Cow::Borrowed);
        Ok(values.unwrap_or_else(|_| Cow::Owned(bytemuck::pod_collect_to_vec(&self.bytes))))
    }

    /// The values of a window, newest first.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) where the window is not one into these values.
    pub fn history(&self, window: &Window) -> Result<&[u8]> {
        let range = window
            .range()
            .and_then(|range| Some(range.start.checked_mul(self.width)?..range.end.checked_mul(self.width)?));
        range.and_then(|range| self.bytes.get(range)).invariant(WITHIN)
    }
}

const WITHIN: &str = "a window lies within its values";

/// The part of [`Values`] that a request sees: the first `length` actions of the padded row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A moment at which items were shown to a customer: the samples that share one history, neighbours in their order.
///
/// Where requests have neither times nor ids, all samples of a customer on a day are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Request {
    /// Who.
    pub customer: i64,
    /// When, in microseconds since the epoch; 0 where the cut-off is the day.
    pub time: i64,
    /// Its id; 0 where none is given.
    pub id: i64,
    /// Where its history begins in the arrays.
    pub start: u64,
    /// The time of its newest action in microseconds since the epoch; [`NULL_TIME`] where it is empty or knows no time.
    pub newest: i64,
    /// How many actions its history has, at most K.
    pub length: u32,
    /// Where its samples end in the piece; they begin where those of the request before end.
    pub end: u32,
    /// How many actions stood exactly at its cut-off, and so are not seen; 0 where the cut-off is the day.
    pub at_cutoff: u32,
    /// How many actions it would see if they had been known by its day; 0 where the cut-off is the day.
    pub hidden_late: u32,
}

impl Request {
    /// Its history.
    #[must_use]
    pub fn window(&self) -> Window {
        Window { start: self.start, newest: self.newest, length: u64::from(self.length) }
    }
}

/// Actions that are stored once for some neighbouring requests of one customer, whose windows overlap.
///
/// Which windows overlap follows from what the requests see alone, not from where the actions lie: so the same requests make the same
/// stretches wherever they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// How many requests it has.
    pub requests: usize,
    /// Where it begins in the arrays.
    pub start: u64,
    /// How many actions it has.
    pub length: u64,
}

impl Stretch {
    /// A stretch of one request.
    pub(crate) fn new(window: &Window) -> Self {
        Self { requests: 1, start: window.start, length: window.length }
    }

    /// Takes in the window of the next request, if it overlaps, or if both are empty.
    pub(crate) fn take(&mut self, window: &Window) -> bool {
        let (end, window_end) = (self.start + self.length, window.start + window.length);
        let is_within = match (self.length, window.length) {
            (0, 0) => true,
            (0, _) | (_, 0) => false,
            _ => window.start < end && self.start < window_end,
        };
        if is_within {
            self.requests += 1;
            self.start = self.start.min(window.start);
            self.length = end.max(window_end) - self.start;
        }
        is_within
    }

    /// All of it, as if one request saw it.
    #[must_use]
    pub fn window(&self) -> Window {
        Window { start: self.start, newest: NULL_TIME, length: self.length }
    }

    /// How far behind its beginning the history of one of its requests begins.
    #[must_use]
    pub fn offset(&self, request: &Request) -> u64 {
        if self.length == 0 { 0 } else { request.start - self.start }
    }
}

/// The stretches of requests, in their order.
pub fn stretches(requests: &[Request]) -> impl Iterator<Item = Stretch> {
    let mut rest = requests;
    std::iter::from_fn(move || {
        let (first, others) = rest.split_first()?;
        let mut stretch = Stretch::new(&first.window());
        let is_next = |next: &&Request| next.customer == first.customer && stretch.take(&next.window());
        let more = others.iter().take_while(is_next).count();
        rest = &others[more..];
        Some(stretch)
    })
}

/// A bucket's part of a day, in canonical order: requests by the hash of their customers, then by time and id, samples
/// by their place where that is kept, else by item, then by their columns.
#[derive(Debug)]
pub struct Piece<I> {
    /// The requests.
    pub requests: Vec<Request>,
    /// The samples' items, `[N]`.
    pub items: Vec<I>,
    /// The samples' labels and other columns, `[N]` each, little-endian.
    pub columns: Vec<Vec<u8>>,
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
        let range = range.invariant(WITHIN)?;
        Ok((&self.items[range.clone()], &self.types[range]))
    }

    /// A column of actions beside items and types.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) where there is no such column.
    pub fn column(&self, column: usize) -> Result<&ActionColumn> {
        self.columns.get(column).invariant("histories have the columns of their plan")
    }

    pub(super) fn bytes(&self) -> u64 {
        let columns: usize = self.columns.iter().map(|column| column.bytes.len()).sum();
        (self.items.len() * size_of::<I>() + self.types.len() + columns) as u64
    }

    /// The bytes of an action.
    pub(crate) fn bytes_each(&self) -> u64 {
        let columns: usize = self.columns.iter().map(|column| column.width).sum();
        (size_of::<I>() + 1 + columns) as u64
    }
}

impl<I: ItemId> Piece<I> {
    /// The bytes of the piece without the values that it may share.
    pub(super) fn own_bytes(&self) -> u64 {
        let columns: usize = self.columns.iter().map(Vec::len).sum();
        (self.requests.len() * size_of::<Request>() + self.items.len() * size_of::<I>() + columns) as u64
    }

    /// The bytes of the piece and its values.
    pub(crate) fn bytes(&self) -> u64 {
        self.own_bytes() + self.values.bytes()
    }

    /// The bytes of the windows' values, were they not shared.
    pub(super) fn window_bytes(&self) -> u64 {
        stretches(&self.requests).map(|stretch| stretch.length * self.values.bytes_each()).sum()
    }
}

/// A piece on disk: requests, items and columns of samples, then items, types and columns of the stretches, one after the other.
#[derive(Debug)]
pub(super) struct SpilledPiece {
    file: Arc<SpillFile>,
    /// The columns, in this order.
    blocks: Vec<SpilledBlock>,
    /// How many columns samples have.
    sample_columns: usize,
    /// The widths of the columns of actions.
    widths: Vec<usize>,
}

impl SpilledPiece {
    /// Writes a piece, with values of its own.
    pub(super) fn write<I: ItemId>(piece: &Piece<I>, file: &Arc<SpillFile>) -> Result<Self> {
        let (mut start, mut requests) = (0, piece.requests.clone());
        let mut rest = requests.as_mut_slice();
        for stretch in stretches(&piece.requests) {
            let (own, others) = rest.split_at_mut(stretch.requests);
            own.iter_mut().for_each(|request| request.start = start + stretch.offset(request));
            start += stretch.length;
            rest = others;
        }
        let mut bytes = Vec::with_capacity((piece.own_bytes() + piece.window_bytes()) as usize);
        let mut ends = Vec::with_capacity(4 + piece.columns.len() + piece.values.columns.len());
        let of_samples = [bytemuck::cast_slice(&requests), bytemuck::cast_slice(&piece.items)];
        for column in of_samples.into_iter().chain(piece.columns.iter().map(Vec::as_slice)) {
            bytes.extend_from_slice(column);
            ends.push(bytes.len());
        }
        let windows = || stretches(&piece.requests).map(|stretch| stretch.window());
        for window in windows() {
            bytes.extend_from_slice(bytemuck::cast_slice(piece.values.history(&window)?.0));
        }
        ends.push(bytes.len());
        for window in windows() {
            bytes.extend_from_slice(piece.values.history(&window)?.1);
        }
        ends.push(bytes.len());
        for column in &piece.values.columns {
            for window in windows() {
                bytes.extend_from_slice(column.history(&window)?);
            }
            ends.push(bytes.len());
        }
        Ok(Self {
            file: Arc::clone(file),
            blocks: file.append(&bytes, &ends)?,
            sample_columns: piece.columns.len(),
            widths: piece.values.columns.iter().map(|column| column.width).collect(),
        })
    }

    /// Reads the piece back.
    pub(super) fn read<I: ItemId>(&self) -> Result<Piece<I>> {
        let mut blocks = self.blocks.iter();
        let mut next = || blocks.next().invariant(ALL_BLOCKS);
        let (requests, items) = (self.file.read(next()?)?, self.file.read(next()?)?);
        let columns = (0..self.sample_columns).map(|_| self.file.read(next()?)).collect::<Result<_>>()?;
        let (action_items, types) = (self.file.read(next()?)?, self.file.read(next()?)?);
        let action_columns =
            self.widths.iter().map(|&width| Ok(ActionColumn { width, bytes: self.file.read(next()?)? }));
        let values = Values { items: action_items, types, columns: action_columns.collect::<Result<_>>()? };
        Ok(Piece { requests, items, columns, values: Arc::new(values) })
    }

    /// Reads only who has how many samples, and the lengths of the histories.
    pub(super) fn read_requests(&self) -> Result<Vec<Request>> {
        self.file.read(self.blocks.first().invariant(ALL_BLOCKS)?)
    }
}

const ALL_BLOCKS: &str = "a spilled piece has a block for each of its columns";
