//! Text as it is read from a file, in memory that texts before it were read into.
//!
//! Fresh memory costs more than the bytes that come into it: the system hands it out page by page, and it is cleared before it is read
//! into.

use std::io::{self, Read};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Memory of more bytes is given back at once: hardly any text is that long.
const MOST_KEPT: usize = 8 << 20;

/// Memory that is used again, of all files of a table. There is never more of it than was in use at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Recycled(Arc<Mutex<Vec<Vec<u8>>>>);

impl Recycled {
    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, bytes: Vec<u8>) {
        if (1..=MOST_KEPT).contains(&bytes.len()) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        }
    }
}

/// Some text of a file; its memory is used again when this is dropped.
pub(super) struct TextBuffer {
    /// All of it may be read into; the text is its first part.
    bytes: Vec<u8>,
    length: usize,
    recycled: Recycled,
}

impl TextBuffer {
    /// No text yet.
    pub(super) fn new(recycled: &Recycled) -> Self {
        Self { bytes: Vec::new(), length: 0, recycled: recycled.clone() }
    }

    /// Reads until the text has so many bytes; true where the stream ends before.
    ///
    /// # Errors
    /// What the stream says.
    pub(super) fn fill(&mut self, stream: &mut impl Read, length: usize) -> io::Result<bool> {
        self.make_room(length);
        while self.length < length {
            match stream.read(self.bytes.get_mut(self.length..length).unwrap_or_default()) {
                Ok(0) => return Ok(true),
                Ok(read) => self.length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Drops the first bytes.
    pub(super) fn pass(&mut self, count: usize) {
        if count > 0 {
            self.bytes.copy_within(count..self.length, 0);
            self.length -= count;
        }
    }

    /// Takes the first bytes off.
    pub(super) fn take_front(&mut self, count: usize) -> Self {
        let mut rest = Self::new(&self.recycled);
        let tail = self.get(count..).unwrap_or_default();
        let length = tail.len();
        rest.make_room(length);
        rest.bytes[..length].copy_from_slice(tail);
        rest.length = length;
        self.length -= length;
        std::mem::replace(self, rest)
    }

    /// Makes the memory so large at least.
    fn make_room(&mut self, length: usize) {
        if self.bytes.is_empty() && length > 0 {
            self.bytes = self.recycled.take();
        }
        if self.bytes.len() < length {
            self.bytes.reserve_exact(length - self.bytes.len());
            self.bytes.resize(length, 0);
        }
    }
}

impl Deref for TextBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for TextBuffer {
    fn drop(&mut self) {
        self.recycled.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_KEPT, Recycled, TextBuffer};

    /// What is read into memory that held another text is the new text alone, wherever it is cut.
    #[test]
    fn recycled_memory_shows_nothing_of_the_text_before() {
        let recycled = Recycled::default();
        let mut first = TextBuffer::new(&recycled);
        assert!(first.fill(&mut &b"a long text, which comes first"[..], 100).unwrap());
        drop(first);
        assert_eq!(recycled.0.lock().unwrap().len(), 1);

        let mut text = TextBuffer::new(&recycled);
        assert!(!text.fill(&mut &b"0123456789"[..], 4).unwrap());
        assert_eq!(&*text, b"0123");
        assert!(text.fill(&mut &b"456789"[..], 20).unwrap());
        text.pass(2);
        let front = text.take_front(3);
        assert_eq!((&*front, &*text), (&b"234"[..], &b"56789"[..]));
        let all = text.take_front(5);
        assert_eq!((&*all, &*text), (&b"56789"[..], &b""[..]));
        drop((front, all, text));
        assert!(recycled.0.lock().unwrap().iter().all(|bytes| bytes.len() <= 100));
    }

    #[test]
    fn memory_for_a_text_of_unusual_length_is_given_back() {
        let recycled = Recycled::default();
        let mut text = TextBuffer::new(&recycled);
        text.fill(&mut std::io::repeat(b'x'), MOST_KEPT + 1).unwrap();
        drop(text);
        assert!(recycled.0.lock().unwrap().is_empty());
    }
}
