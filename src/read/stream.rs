//! Text files as streams of unpacked bytes, and as blocks of whole lines.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use memchr::{memchr_iter, memrchr};

use crate::error::Result;
use crate::read::discover::{Compression, DataFile};

/// The longest line or record, in bytes; text offsets in a batch have 32 bits.
pub(super) const LONGEST_RECORD: usize = 1 << 30;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The unpacked bytes of a text file.
pub(super) struct TextStream {
    reader: Box<dyn Read + Send>,
    action: &'static str,
    consumed: Arc<AtomicU64>,
}

impl TextStream {
    pub(super) fn open(file: &DataFile, compression: Compression) -> Result<Self> {
        let unreadable = |source| file.unreadable("read", source);
        let consumed = Arc::new(AtomicU64::new(0));
        let packed = File::open(file.path.as_path()).map_err(unreadable)?;
        let packed = Counted { reader: packed, consumed: Arc::clone(&consumed) };
        let reader: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(packed),
            Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(packed).map_err(unreadable)?),
        };
        let action = if compression == Compression::None { "read" } else { "decompress" };
        Ok(Self { reader, action, consumed })
    }

    /// What an error of this stream says was tried.
    pub(super) fn action(&self) -> &'static str {
        self.action
    }

    /// What counts the bytes that this stream takes from its file.
    pub(super) fn meter(&self) -> Meter {
        Meter { consumed: Arc::clone(&self.consumed), reported: 0 }
    }
}

impl Read for TextStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// Says how many bytes of the file, still packed, were read since it was last asked.
pub(super) struct Meter {
    consumed: Arc<AtomicU64>,
    reported: u64,
}

impl Meter {
    pub(super) fn since(&mut self) -> u64 {
        let consumed = self.consumed.load(Ordering::Relaxed);
        consumed - std::mem::replace(&mut self.reported, consumed)
    }
}

struct Counted<R> {
    reader: R,
    consumed: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.consumed.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Some whole lines of a file.
pub(super) struct Block {
    /// Each line with its `\n`; only the last line of the file may lack it.
    pub(super) text: Vec<u8>,
    /// The number of the first line.
    pub(super) first_line: u64,
    /// How many lines.
    pub(super) lines: usize,
    /// The bytes of the file that were read for them.
    pub(super) bytes: u64,
}

impl Block {
    /// The lines that hold rows, which are those that are not blank, with their numbers.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let lines = self.text.split_inclusive(|&byte| byte == b'\n');
        (self.first_line..).zip(lines).filter(|(_, line)| !line.trim_ascii().is_empty())
    }
}

/// A text file as blocks of whole lines.
pub(super) struct Blocks<'a> {
    file: &'a DataFile,
    stream: TextStream,
    meter: Meter,
    size: usize,
    /// The start of a line whose end has not been read yet; holds no `\n`.
    rest: Vec<u8>,
    next_line: u64,
}

impl<'a> Blocks<'a> {
    /// Blocks of about `size` bytes, more where a line is longer.
    pub(super) fn open(file: &'a DataFile, compression: Compression, size: usize) -> Result<Self> {
        let stream = TextStream::open(file, compression)?;
        let meter = stream.meter();
        Ok(Self { file, stream, meter, size, rest: Vec::new(), next_line: 1 })
    }

    /// The next block, not empty, or `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Block>> {
        let mut text = std::mem::take(&mut self.rest);
        let mut target = self.size.max(text.len() + 1);
        loop {
            let searched = text.len();
            let ended = self.fill(&mut text, target)?;
            if self.next_line == 1 && searched == 0 && text.starts_with(BYTE_ORDER_MARK) {
                text.drain(..BYTE_ORDER_MARK.len());
            }
            if ended {
                break;
            }
            if let Some(last) = text.get(searched..).and_then(|read| memrchr(b'\n', read)) {
                self.rest = text.split_off(searched + last + 1);
                break;
            }
            if text.len() > LONGEST_RECORD {
                return Err(self.file.bad_text(self.next_line, "the line is longer than 1 GiB"));
            }
            target = text.len() * 2;
        }
        if text.is_empty() {
            return Ok(None);
        }
        let unfinished = usize::from(text.last() != Some(&b'\n'));
        let lines = memchr_iter(b'\n', &text).count() + unfinished;
        let first_line = self.next_line;
        self.next_line += lines as u64;
        Ok(Some(Block { text, first_line, lines, bytes: self.meter.since() }))
    }

    /// Reads until `text` has `length` bytes; true where the file ends before.
    fn fill(&mut self, text: &mut Vec<u8>, length: usize) -> Result<bool> {
        let lacking = length.saturating_sub(text.len());
        text.reserve_exact(lacking);
        let read = (&mut self.stream).take(lacking as u64).read_to_end(text);
        let read = read.map_err(|source| self.file.unreadable(self.stream.action(), source))?;
        Ok(read < lacking)
    }
}
