//! Columns of text that are put together value by value.

use arrow::array::{NullBufferBuilder, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::error::ArrowError;

/// The most text that may be read into columns together: places in it have 32 bits.
pub(super) const MOST_TOGETHER: usize = i32::MAX as usize;

/// Bytes of a value, about.
const TEXT_BYTES: usize = 12;

/// Most texts are no longer, and are then copied with what is behind them: a copy of a length that is known is a few instructions.
const SHORT: usize = 32;

/// Texts, one after the other.
pub(super) struct Texts {
    bytes: Vec<u8>,
    ends: Ends,
}

/// Where things of any length end in what holds them all.
pub(super) struct Ends {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Texts {
    /// No text yet, with room for so many of the usual length.
    pub(super) fn new(count: usize) -> Self {
        Self { bytes: Vec::with_capacity(count * TEXT_BYTES), ends: Ends::new(count) }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    /// Adds the first bytes of a text.
    #[inline]
    pub(super) fn push_front(&mut self, text: &[u8], length: usize) {
        match text.first_chunk::<SHORT>() {
            Some(chunk) if length <= SHORT => {
                let end = self.bytes.len() + length;
                self.bytes.extend_from_slice(chunk);
                self.bytes.truncate(end);
                self.ends.push(end);
            }
            _ => self.push(text.get(..length).unwrap_or_default()),
        }
    }

    #[inline]
    pub(super) fn null(&mut self) {
        self.ends.null();
    }

    /// The column.
    ///
    /// # Errors
    /// Where what was added is not UTF-8.
    pub(super) fn finish(self) -> Result<StringArray, ArrowError> {
        let (offsets, nulls) = self.ends.finish();
        StringArray::try_new(offsets, Buffer::from_vec(self.bytes), nulls)
    }
}

impl Ends {
    pub(super) fn new(count: usize) -> Self {
        let mut offsets = Vec::with_capacity(count + 1);
        offsets.push(0);
        Self { offsets, nulls: NullBufferBuilder::new(count) }
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// As [`MOST_TOGETHER`] says, 32 bits hold what is in a text, and the number of its values.
    #[inline]
    pub(super) fn push(&mut self, end: usize) {
        self.offsets.push(end as i32);
        self.nulls.append_non_null();
    }

    #[inline]
    pub(super) fn null(&mut self) {
        self.offsets.push(self.offsets.last().copied().unwrap_or(0));
        self.nulls.append_null();
    }

    pub(super) fn finish(mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        (OffsetBuffer::new(ScalarBuffer::from(self.offsets)), self.nulls.finish())
    }
}
