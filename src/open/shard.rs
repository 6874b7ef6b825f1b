//! A safetensors shard, mapped or read: a checked header, and typed slices that copy nothing.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytemuck::AnyBitPattern;

use super::files::open_file;
use super::header::parse;
use super::{Access, Data, corrupt};
use crate::config::Format;
use crate::error::{Error, Invariant, Result};
use crate::event::{ItemDtype, PADDING};
use crate::layout::{Dtype, Header, Role, Tensor};
#[cfg(doc)]
use crate::schema::Contents;

#[cfg(target_endian = "big")]
compile_error!("shards are little-endian and are mapped as they are: this machine is big-endian");

/// A shard whose header and length have been checked.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    data: Data,
    rows: usize,
    history: usize,
    header: Header,
    tensors: Vec<Tensor>,
}

impl Shard {
    /// Maps a shard and checks its header and its length.
    ///
    /// The values of the tensors are not looked at: [`JaggedShard::check_windows`] makes windows safe to follow.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] when it cannot be mapped, [`crate::error::Error::Corrupt`] when it is no whole shard.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of_file(&open_file(path)?, path, Access::Auto)
    }

    pub(crate) fn of_file(file: &File, path: &Path, access: Access) -> Result<Self> {
        Self::of_data(path, Data::of(file, path, access)?)
    }

    pub(crate) fn of_data(path: &Path, data: Data) -> Result<Self> {
        let (header, tensors) = parse(&data).map_err(|problem| corrupt(path, problem))?;
        let number = |number| usize::try_from(number).invariant("the rows of a shard lie in memory");
        let (rows, history) = (number(header.rows)?, number(header.history)?);
        let shard = Self { path: path.to_owned(), data, rows, history, header, tensors };
        // What gives the tensors out has no way to say that one is not there.
        for Tensor { column, .. } in &shard.tensors {
            let bytes = shard.find(column.role).invariant("a checked header has its tensors")?;
            if !(bytes.as_ptr() as usize).is_multiple_of(column.dtype.width()) {
                return Err(Error::internal("tensors are aligned to their elements"));
            }
        }
        Ok(shard)
    }

    /// Tells the system that the whole file will be read soon, so that it is read ahead; only a hint.
    pub fn will_need(&self) {
        self.data.will_need();
    }

    /// Checks that all of a mapped file is still there, at the cost of one system call. Using a part that was cut off would be a
    /// signal (`SIGBUS`), which ends the process.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where it is not. Where the system cannot tell (before Linux 5.14), all seems to be there.
    pub fn check(&self) -> Result<()> {
        self.data.check().map_err(|problem| corrupt(&self.path, problem))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says about itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its tensors, in the order in which they lie; the ranges are those in the file.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Its samples.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Its tensors.
    #[must_use]
    pub fn view(&self) -> ShardView<'_> {
        let history = self.history;
        match self.header.format {
            Format::Jagged => ShardView::Jagged(JaggedShard {
                history,
                customer_ids: self.numbers(Role::Customer),
                history_starts: self.numbers(Role::HistoryStart),
                history_lengths: self.numbers(Role::HistoryLength),
                requests: self.numbers(Role::Request),
                item_ids: self.items(Role::Item),
                actions: self.items(Role::Actions),
                action_types: self.bytes(Role::ActionTypes),
                label: self.label(),
            }),
            // No shard is opened as Parquet.
            Format::Dense | Format::Parquet => ShardView::Dense(DenseShard {
                history,
                customer_ids: self.numbers(Role::Customer),
                item_ids: self.items(Role::Item),
                actions: self.items(Role::Actions),
                action_types: self.bytes(Role::ActionTypes),
                label: self.label(),
            }),
        }
    }

    /// The bytes of a tensor, little-endian, row by row; none where the shard has no such tensor.
    #[must_use]
    pub fn bytes(&self, role: Role) -> &[u8] {
        self.find(role).unwrap_or_default()
    }

    /// The times of requests, `[R]` of a jagged shard and `[N]` of a dense one, in microseconds since the epoch; nothing where they
    /// have none.
    #[must_use]
    pub fn request_times(&self) -> &[i64] {
        self.numbers(Role::RequestTime)
    }

    /// The ids of requests, `[R]` of a jagged shard and `[N]` of a dense one; nothing where they have none.
    #[must_use]
    pub fn request_ids(&self) -> &[i64] {
        self.numbers(Role::RequestId)
    }

    /// The labels and other columns of samples, `[N]` each, little-endian, in the order of [`Contents::of_samples`].
    #[must_use]
    pub fn columns(&self) -> Vec<&[u8]> {
        (0..self.header.contents.of_samples().count()).map(|column| self.bytes(Role::OfSamples(column))).collect()
    }

    /// The other columns of actions, `[A]` or `[N, K]` each, little-endian, in the order of [`Contents::of_actions`].
    #[must_use]
    pub fn columns_of_actions(&self) -> Vec<&[u8]> {
        (0..self.header.contents.of_actions().count()).map(|column| self.bytes(Role::OfActions(column))).collect()
    }

    /// The first label, where it is a bool.
    fn label(&self) -> &[u8] {
        let label = self.header.contents.labels.first().filter(|label| label.dtype == Dtype::Bool);
        label.map_or(&[], |_| self.bytes(Role::OfSamples(0)))
    }

    fn find(&self, role: Role) -> Option<&[u8]> {
        let range = &self.tensors.iter().find(|tensor| tensor.column.role == role)?.range;
        self.data.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
    }

    fn numbers<T: AnyBitPattern>(&self, role: Role) -> &[T] {
        // The file begins on a page in memory, the data on a multiple of 4,096, and no wider tensor follows a narrower one: so
        // every tensor lies on a multiple of its width, and its length is one. That was checked when it was opened.
        bytemuck::try_cast_slice(self.bytes(role)).unwrap_or_default()
    }

    fn items(&self, role: Role) -> Items<'_> {
        match self.header.item_dtype {
            ItemDtype::I32 => Items::I32(self.numbers(role)),
            ItemDtype::I64 => Items::I64(self.numbers(role)),
        }
    }
}

/// Item ids as they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Items<'a> {
    /// 32 bits wide.
    I32(&'a [i32]),
    /// 64 bits wide.
    I64(&'a [i64]),
}

impl<'a> Items<'a> {
    /// How many they are.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::I32(items) => items.len(),
            Self::I64(items) => items.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// One of them.
    #[must_use]
    pub fn get(self, index: usize) -> Option<i64> {
        match self {
            Self::I32(items) => items.get(index).copied().map(i64::from),
            Self::I64(items) => items.get(index).copied(),
        }
    }

    /// Some consecutive ones.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Option<Self> {
        match self {
            Self::I32(items) => items.get(range).map(Items::I32),
            Self::I64(items) => items.get(range).map(Items::I64),
        }
    }

    /// All of them, widened.
    pub fn iter(self) -> impl Iterator<Item = i64> + 'a {
        (0..self.len()).filter_map(move |index| self.get(index))
    }
}

/// The actions that a row sees, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History<'a> {
    /// The items.
    pub items: Items<'a>,
    /// The types, as many.
    pub types: &'a [u8],
}

/// The tensors of a jagged shard of N rows, R requests and A actions.
#[derive(Clone, Copy, Debug)]
pub struct JaggedShard<'a> {
    /// K, the longest that a history can be.
    pub history: usize,
    /// `[R]`
    pub customer_ids: &'a [i64],
    /// `[R]`: where the request's history begins in `actions` and `action_types`.
    pub history_starts: &'a [i64],
    /// `[R]`: how many actions it has.
    pub history_lengths: &'a [i32],
    /// `[N]`: the request of each row, by its place.
    pub requests: &'a [i32],
    /// `[N]`
    pub item_ids: Items<'a>,
    /// `[A]`
    pub actions: Items<'a>,
    /// `[A]`
    pub action_types: &'a [u8],
    /// `[N]`: the first label, 0 or 1; nothing where there is none, or it is no bool.
    pub label: &'a [u8],
}

impl<'a> JaggedShard<'a> {
    /// The request of a row; `None` where there is no such row, or what it says is no number.
    #[must_use]
    pub fn request(&self, row: usize) -> Option<usize> {
        usize::try_from(*self.requests.get(row)?).ok()
    }

    /// The row's window into the actions; `None` where there is no such row, it is of no request, or the window leaves them.
    #[must_use]
    pub fn window(&self, row: usize) -> Option<Range<usize>> {
        self.window_of(self.request(row)?)
    }

    /// The window of a request.
    #[must_use]
    pub fn window_of(&self, request: usize) -> Option<Range<usize>> {
        let start = usize::try_from(*self.history_starts.get(request)?).ok()?;
        let length = usize::try_from(*self.history_lengths.get(request)?).ok()?;
        let end = start.checked_add(length)?;
        (length <= self.history && end <= self.actions.len()).then_some(start..end)
    }

    /// The row's history; `None` where there is no such row or its window leaves the actions.
    #[must_use]
    pub fn history(&self, row: usize) -> Option<History<'a>> {
        let window = self.window(row)?;
        Some(History { items: self.actions.slice(window.clone())?, types: self.action_types.get(window)? })
    }

    /// Checks that every window lies within the actions and is no longer than K, and every row is of a request, as code that
    /// follows them unchecked (a kernel) has to know; one pass over the windows and one over the rows.
    ///
    /// # Errors
    /// Names the first request whose window does not, or the first row that is of none.
    pub fn check_windows(&self) -> Result<(), String> {
        let wrong = (0..self.customer_ids.len()).find(|&request| self.window_of(request).is_none());
        if let Some(request) = wrong {
            return Err(self.describe_window(&format!("request {request}"), request));
        }
        let requests = self.customer_ids.len() as u64;
        let is_wrong = |request: &i32| u64::try_from(*request).map_or(true, |request| request >= requests);
        match self.requests.iter().position(is_wrong) {
            Some(row) => Err(self.describe_bad_window(row)),
            None => Ok(()),
        }
    }

    pub(crate) fn describe_bad_window(&self, row: usize) -> String {
        match self.request(row).filter(|&request| request < self.customer_ids.len()) {
            Some(request) => self.describe_window(&format!("row {row}"), request),
            None => {
                let request = self.requests.get(row).map_or_else(|| "nothing".to_owned(), ToString::to_string);
                format!("row {row}: its request is {request}, there are {}", self.customer_ids.len())
            }
        }
    }

    fn describe_window(&self, of: &str, request: usize) -> String {
        let start = self.history_starts.get(request).copied().unwrap_or_default();
        let length = self.history_lengths.get(request).copied().unwrap_or_default();
        let (actions, history) = (self.actions.len(), self.history);
        format!("{of}: start {start}, length {length} is out of range: {actions} actions, at most {history} in a row")
    }
}

/// The tensors of a dense shard of N rows of K actions.
#[derive(Clone, Copy, Debug)]
pub struct DenseShard<'a> {
    /// K, the length of a row.
    pub history: usize,
    /// `[N]`
    pub customer_ids: &'a [i64],
    /// `[N]`
    pub item_ids: Items<'a>,
    /// `[N, K]`
    pub actions: Items<'a>,
    /// `[N, K]`
    pub action_types: &'a [u8],
    /// `[N]`: the first label, 0 or 1; nothing where there is none, or it is no bool.
    pub label: &'a [u8],
}

impl<'a> DenseShard<'a> {
    /// The row as it is stored, K actions with the padding; `None` where there is no such row.
    #[must_use]
    pub fn padded(&self, row: usize) -> Option<History<'a>> {
        let start = row.checked_mul(self.history)?;
        let range = start..start.checked_add(self.history)?;
        Some(History { items: self.actions.slice(range.clone())?, types: self.action_types.get(range)? })
    }

    /// The row's history, without the padding; `None` where there is no such row.
    #[must_use]
    pub fn history(&self, row: usize) -> Option<History<'a>> {
        let padded = self.padded(row)?;
        let length = memchr::memchr(PADDING, padded.types).unwrap_or(padded.types.len());
        Some(History { items: padded.items.slice(0..length)?, types: padded.types.get(..length)? })
    }
}

/// The tensors of a shard.
#[derive(Clone, Copy, Debug)]
pub enum ShardView<'a> {
    /// Windows into histories.
    Jagged(JaggedShard<'a>),
    /// Padded histories.
    Dense(DenseShard<'a>),
}

impl<'a> ShardView<'a> {
    /// Its samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Jagged(shard) => shard.requests.len(),
            Self::Dense(shard) => shard.customer_ids.len(),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The customer of a row; `None` where there is no such row, or it is of no request.
    #[must_use]
    pub fn customer(&self, row: usize) -> Option<i64> {
        match self {
            Self::Jagged(shard) => shard.customer_ids.get(shard.request(row)?).copied(),
            Self::Dense(shard) => shard.customer_ids.get(row).copied(),
        }
    }

    /// `[N]`: the items shown.
    #[must_use]
    pub fn item_ids(&self) -> Items<'a> {
        match self {
            Self::Jagged(shard) => shard.item_ids,
            Self::Dense(shard) => shard.item_ids,
        }
    }

    /// `[N]`: the first label, 0 or 1; nothing where there is none, or it is no bool.
    #[must_use]
    pub fn label(&self) -> &'a [u8] {
        match self {
            Self::Jagged(shard) => shard.label,
            Self::Dense(shard) => shard.label,
        }
    }

    /// A row's history, newest first, without padding; `None` where there is no such row or its window is out of range.
    #[must_use]
    pub fn history(&self, row: usize) -> Option<History<'a>> {
        match self {
            Self::Jagged(shard) => shard.history(row),
            Self::Dense(shard) => shard.history(row),
        }
    }
}
