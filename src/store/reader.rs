//! Objects read as files are: front to back, or by position.
//!
//! Requests are made before their bytes are asked for, so that a thread waits for the first of several and not for each.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};

use super::{Fault, Object, Request};

/// The first request of a file that is read front to back: often a header is all that is wanted.
const FIRST: u64 = 64 << 10;

/// Every further one.
const CHUNK: u64 = 1 << 20;

/// Ranges closer than this are one request: what lies between them takes less time than a request.
const CLOSE: u64 = 512 << 10;

/// The longest request: more of them at once are faster than one, and one that is cut is soon made again.
const LONGEST: u64 = 8 << 20;

/// What is read around a place that nobody has asked for beforehand.
const LOOK: u64 = 1 << 20;

/// Places around which bytes are kept, at most, one for each column that is read.
const LOOKS: usize = 16;

/// An object read front to back.
pub(crate) struct Sequential {
    object: Object,
    /// Where the next request begins.
    next: u64,
    requests: VecDeque<Request<Bytes>>,
    current: Bytes,
    /// The requests that may be under way.
    most: usize,
    /// Whether all of it is wanted, as far as is known: the first request has been read to its end.
    is_wanted: bool,
}

impl Sequential {
    /// Begins at the front; `room` bytes may be under way.
    pub(crate) fn new(object: Object, room: u64) -> Self {
        let most = usize::try_from((room / CHUNK).clamp(2, 16)).unwrap_or(2);
        Self { object, next: 0, requests: VecDeque::new(), current: Bytes::new(), most, is_wanted: false }
    }

    /// Goes on behind the first bytes, which are known.
    pub(crate) fn after(object: Object, first: Bytes, room: u64) -> Self {
        Self { next: first.len() as u64, current: first, ..Self::new(object, room) }
    }

    /// Makes the first request.
    pub(crate) fn begin(&mut self) -> Result<(), Fault> {
        if self.next == 0 && self.requests.is_empty() { self.request(FIRST) } else { Ok(()) }
    }

    /// Makes as many requests as may be under way.
    pub(crate) fn begin_all(&mut self) -> Result<(), Fault> {
        self.is_wanted = true;
        while self.requests.len() < self.most && self.next < self.object.size() {
            self.request(CHUNK)?;
        }
        Ok(())
    }

    /// The bytes that all of it has under way at most.
    pub(crate) fn under_way(object: &Object, room: u64) -> u64 {
        object.size().min((room / CHUNK).clamp(2, 16) * CHUNK)
    }

    fn request(&mut self, length: u64) -> Result<(), Fault> {
        let end = self.object.size().min(self.next.saturating_add(length));
        if self.next < end {
            self.requests.push_back(self.object.request(self.next..end)?);
            self.next = end;
        }
        Ok(())
    }
}

impl Read for Sequential {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.current.is_empty() {
            if self.is_wanted || self.next > 0 && self.requests.is_empty() {
                self.begin_all()?;
            } else {
                self.begin()?;
            }
            let Some(request) = self.requests.pop_front() else { return Ok(0) };
            self.current = self.object.wait(request)?;
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Ranges of an object that are read whole, and kept until this is dropped.
pub(crate) struct Loaded {
    object: Object,
    /// Ascending, none over another.
    blocks: Vec<LoadedRange>,
    /// The bytes that are given back in the end.
    held: u64,
}

struct LoadedRange {
    range: Range<u64>,
    state: Mutex<State>,
}

enum State {
    UnderWay(Request<Bytes>),
    There(Bytes),
    /// Asked for in vain.
    Failed(Fault),
}

impl Loaded {
    /// Requests some ranges; of `held` bytes taken of the stores, as [`Loaded::size`] says.
    pub(crate) fn begin(object: &Object, ranges: &[Range<u64>], held: u64) -> Result<Self, Fault> {
        let mut loaded = Self { object: object.clone(), blocks: Vec::new(), held };
        for range in merged(ranges, object.size()) {
            let mut start = range.start;
            while start < range.end {
                let range = start..range.end.min(start + LONGEST);
                start = range.end;
                let request = object.request(range.clone())?;
                loaded.blocks.push(LoadedRange { range, state: Mutex::new(State::UnderWay(request)) });
            }
        }
        Ok(loaded)
    }

    /// The bytes that some ranges take.
    pub(crate) fn size(object: &Object, ranges: &[Range<u64>]) -> u64 {
        merged(ranges, object.size()).iter().map(|range| range.end - range.start).sum()
    }

    /// Some bytes, where all of them were asked for.
    fn read(&self, wanted: &Range<u64>) -> Option<Result<Bytes, Fault>> {
        let first = self.blocks.partition_point(|block| block.range.end <= wanted.start);
        let mut parts = Vec::new();
        let mut next = wanted.start;
        for block in self.blocks.get(first..)? {
            if next >= wanted.end || block.range.start > next {
                break;
            }
            parts.push((block, next..wanted.end.min(block.range.end)));
            next = block.range.end;
        }
        if next < wanted.end {
            return None;
        }
        let read = |(block, range): &(&LoadedRange, Range<u64>)| {
            let bytes = block.bytes(&self.object)?;
            Ok(bytes.slice((range.start - block.range.start) as usize..(range.end - block.range.start) as usize))
        };
        Some(match parts.as_slice() {
            [part] => read(part),
            parts => parts.iter().map(read).collect::<Result<Vec<Bytes>, Fault>>().map(|parts| parts.concat().into()),
        })
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.object.stores().give_back(self.held);
    }
}

impl LoadedRange {
    fn bytes(&self, object: &Object) -> Result<Bytes, Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::UnderWay(_) = *state {
            // Taken out to be waited for; whoever else wants it waits for the lock.
            let lost = State::Failed(Fault::Refused("the request was given up".to_owned()));
            if let State::UnderWay(request) = std::mem::replace(&mut *state, lost) {
                *state = object.wait(request).map_or_else(State::Failed, State::There);
            }
        }
        match &*state {
            State::There(bytes) => Ok(bytes.clone()),
            State::Failed(fault) => Err(fault.clone()),
            State::UnderWay(_) => Err(Fault::Refused("the request was not waited for".to_owned())),
        }
    }
}

/// Ranges in their order, those that are close as one.
fn merged(ranges: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = ranges
        .iter()
        .map(|range| range.start.min(size)..range.end.min(size))
        .filter(|range| !range.is_empty())
        .collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(CLOSE) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// An object read by position: what was asked for beforehand is there, and around any other place somewhat more is read.
#[derive(Clone)]
pub(crate) struct Positioned {
    object: Object,
    loaded: Option<Arc<Loaded>>,
    looks: Arc<Mutex<VecDeque<(u64, Bytes)>>>,
}

impl std::fmt::Debug for Positioned {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Positioned").field(&self.object).finish()
    }
}

impl Positioned {
    pub(crate) fn new(object: Object, loaded: Option<Arc<Loaded>>) -> Self {
        Self { object, loaded, looks: Arc::default() }
    }

    pub(crate) fn size(&self) -> u64 {
        self.object.size()
    }

    /// Some bytes, all of which have to be in the object.
    pub(crate) fn read(&self, start: u64, length: u64) -> io::Result<Bytes> {
        let wanted = start..start.saturating_add(length);
        if wanted.end > self.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(bytes) = self.loaded.as_ref().and_then(|loaded| loaded.read(&wanted)) {
            return Ok(bytes?);
        }
        let inside = |(at, bytes): &(u64, Bytes)| *at <= wanted.start && wanted.end <= at + bytes.len() as u64;
        let slice = |(at, bytes): &(u64, Bytes)| bytes.slice((wanted.start - at) as usize..(wanted.end - at) as usize);
        let known = || self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = known().iter().find(|look| inside(look)) {
            return Ok(slice(look));
        }
        let look = (wanted.start, self.object.read(wanted.start..self.size().min(wanted.start + length.max(LOOK)))?);
        let found = slice(&look);
        let mut known = known();
        if known.len() >= LOOKS {
            known.pop_front();
        }
        known.push_back(look);
        Ok(found)
    }
}
