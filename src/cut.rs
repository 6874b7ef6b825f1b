//! Days to shards: which pieces a shard draws its rows from, and each row's window.
//!
//! Knows integers only; the values behind the windows are handed on unseen.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Invariant, Result};
use crate::event::{ItemId, customer_hash, shard_of};
use crate::histories::{Budget, Histories, Piece, Request, Stretch, Window, stretches};

/// The rows of one shard: customers by hash, each with its samples, as parts of the day's pieces.
pub struct ShardRows<'a, I> {
    /// Its number.
    pub shard: u32,
    /// Its rows.
    pub rows: u64,
    /// Its requests.
    pub requests: u64,
    /// Its distinct customers.
    pub customers: u64,
    /// The actions that the requests see, those that neighbours share once.
    pub actions: u64,
    histories: &'a Histories<'a, I>,
    day: usize,
    parts: Vec<RequestSpan>,
}

/// Some neighbouring requests of a piece.
#[derive(Clone, Debug)]
struct RequestSpan {
    piece: usize,
    requests: Range<usize>,
}

/// Some neighbouring rows of a shard: requests of one piece, with their samples and histories.
#[derive(Clone)]
pub struct RowBlock<I> {
    piece: Arc<Piece<I>>,
    requests: Range<usize>,
    /// Rows of the piece; the first and the last request may have more.
    rows: Range<usize>,
    /// Whether the piece is here only for as long as somebody has it.
    is_read_back: bool,
}

impl<I: ItemId> ShardRows<'_, I> {
    /// The rows, in order, a block at a time; pieces that were spilled are read as they come.
    pub fn blocks(&self) -> impl Iterator<Item = Result<RowBlock<I>>> {
        self.parts.iter().map(|part| {
            let piece = self.histories.piece(self.day, part.piece)?;
            let rows = first_row(&piece.requests, part.requests.start)..first_row(&piece.requests, part.requests.end);
            let is_read_back = self.histories.is_spilled(self.day, part.piece);
            Ok(RowBlock { piece, requests: part.requests.clone(), rows, is_read_back })
        })
    }

    /// The memory that there is for writing them.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        self.histories.budget()
    }
}

impl<I: ItemId> RowBlock<I> {
    /// All rows of a piece.
    #[must_use]
    pub fn whole(piece: Arc<Piece<I>>) -> Self {
        let (requests, rows) = (0..piece.requests.len(), 0..piece.items.len());
        Self { piece, requests, rows, is_read_back: false }
    }

    /// The bytes that were read from the spill disk for it, which are those of the whole piece.
    #[must_use]
    pub fn read_back_bytes(&self) -> u64 {
        if self.is_read_back { self.piece.bytes() } else { 0 }
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows' items, `[N]`.
    #[must_use]
    pub fn items(&self) -> &[I] {
        &self.piece.items[self.rows.clone()]
    }

    /// The values of a column of samples, `[N]`, little-endian; it is `width` bytes wide.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) where there is no such column, or it has another width.
    pub fn column(&self, column: usize, width: usize) -> Result<&[u8]> {
        let bytes = self.piece.columns.get(column);
        let rows = self.rows.start * width..self.rows.end * width;
        bytes.filter(|bytes| bytes.len() == self.piece.items.len() * width).map(|bytes| &bytes[rows]).invariant(SHAPE)
    }

    /// The piece, whose values the windows point into.
    #[must_use]
    pub fn piece(&self) -> &Piece<I> {
        &self.piece
    }

    /// The requests in order, each with how many of the rows are its.
    pub fn requests(&self) -> impl Iterator<Item = (&Request, usize)> {
        let mut start = self.rows.start;
        self.piece.requests[self.requests.clone()].iter().map(move |request| {
            let end = (request.end as usize).min(self.rows.end);
            let count = end - start;
            start = end;
            (request, count)
        })
    }

    /// The actions that the requests see, those that neighbours share once.
    pub fn stretches(&self) -> impl Iterator<Item = Stretch> {
        stretches(&self.piece.requests[self.requests.clone()])
    }

    /// For each row its window.
    pub fn windows(&self) -> impl Iterator<Item = Window> {
        self.requests().flat_map(|(request, count)| std::iter::repeat_n(request.window(), count))
    }

    /// The items and types of a window, newest first.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) where the window is not one into the piece's values.
    pub fn history(&self, window: &Window) -> Result<(&[I], &[u8])> {
        self.piece.values.history(window)
    }

    /// The first `rows` rows and the others; `rows` is at most the number of rows.
    #[must_use]
    pub fn split(&self, rows: usize) -> (Self, Self) {
        let middle = self.rows.start + rows.min(self.len());
        let requests = &self.piece.requests[self.requests.clone()];
        let ended = requests.partition_point(|request| request.end as usize <= middle);
        let begun = requests.partition_point(|request| (request.end as usize) < middle);
        // The request at the cut has rows on both sides, unless it ends there.
        let head_end = (begun + 1).min(requests.len());
        let part = |requests: Range<usize>, rows| Self {
            piece: Arc::clone(&self.piece),
            requests: self.requests.start + requests.start..self.requests.start + requests.end,
            rows,
            is_read_back: self.is_read_back,
        };
        (part(0..head_end, self.rows.start..middle), part(ended..requests.len(), middle..self.rows.end))
    }
}

const SHAPE: &str = "a piece has the columns of its plan";

/// Where the samples of a piece's request begin.
fn first_row(requests: &[Request], request: usize) -> usize {
    request.checked_sub(1).map_or(0, |before| requests[before].end as usize)
}

/// Cuts a day into `shards` ranges of the customer hash.
///
/// # Errors
/// What the spill disk says where pieces were spilled.
pub fn cut<'a, I: ItemId>(histories: &'a Histories<'a, I>, day: usize, shards: u32) -> Result<Vec<ShardRows<'a, I>>> {
    let empty =
        |shard| ShardRows { shard, rows: 0, requests: 0, customers: 0, actions: 0, histories, day, parts: Vec::new() };
    let mut cut: Vec<ShardRows<'a, I>> = (0..shards).map(empty).collect();
    for piece in 0..histories.pieces(day) {
        let requests = histories.requests(day, piece)?;
        let mut start = 0;
        while let Some(first) = requests.get(start) {
            let shard = shard_of(customer_hash(first.customer), shards);
            let same = |request: &Request| shard_of(customer_hash(request.customer), shards) == shard;
            let end = start + requests[start..].partition_point(same);
            let rows = &mut cut[shard as usize];
            rows.rows += (first_row(&requests, end) - first_row(&requests, start)) as u64;
            rows.requests += (end - start) as u64;
            rows.customers += requests[start..end].chunk_by(|a, b| a.customer == b.customer).count() as u64;
            rows.actions += stretches(&requests[start..end]).map(|stretch| stretch.length).sum::<u64>();
            rows.parts.push(RequestSpan { piece, requests: start..end });
            start = end;
        }
    }
    Ok(cut)
}
