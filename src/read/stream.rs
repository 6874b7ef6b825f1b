//! Text files as streams of unpacked bytes, and as blocks of whole lines.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::{memchr_iter, memrchr};

use crate::error::Result;
use crate::read::discover::DataFile;
use crate::read::formats::PARQUET_MAGIC;
use crate::read::gzip::{self, Members};
use crate::schema::Compression;

/// The longest line or record, in bytes. It is asked for while one grows, so that one that never ends takes no more memory.
pub(super) const LONGEST_RECORD: usize = 64 << 20;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes at the start by which content that is not text is recognised.
const FIRST_BYTES: usize = 4;

/// The unpacked bytes of a text file.
pub(super) struct TextStream {
    reader: Box<dyn Read + Send>,
    action: &'static str,
    consumed: Arc<AtomicU64>,
    /// The first bytes, which have been looked at, as far as they have not been handed out; none before they are read.
    first: Option<io::Cursor<Vec<u8>>>,
}

impl TextStream {
    pub(super) fn open(file: &DataFile, compression: Compression) -> Result<Self> {
        let unreadable = |source| file.unreadable("read", source);
        let consumed = Arc::new(AtomicU64::new(0));
        let packed = Counted { reader: file.open()?, consumed: Arc::clone(&consumed) };
        let reader = unpacked(packed, compression).map_err(unreadable)?;
        let action = if compression == Compression::None { "read" } else { DECOMPRESS };
        Ok(Self { reader, action, consumed, first: None })
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
        let first = match &mut self.first {
            Some(first) => first,
            None => {
                let mut bytes = Vec::with_capacity(FIRST_BYTES);
                self.reader.by_ref().take(FIRST_BYTES as u64).read_to_end(&mut bytes)?;
                refuse_no_text(&bytes, self.action)?;
                self.first.insert(io::Cursor::new(bytes))
            }
        };
        match first.read(buffer)? {
            0 => self.reader.read(buffer),
            read => Ok(read),
        }
    }
}

/// The unpacked bytes of a file.
pub(super) fn unpacked(
    packed: impl Read + Send + 'static,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(Members::new(packed)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(packed)?),
    })
}

/// Refuses content that is plainly something else than text in UTF-8.
fn refuse_no_text(first: &[u8], action: &str) -> io::Result<()> {
    let is_packed = first.starts_with(gzip::MAGIC) || first.starts_with(ZSTD_MAGIC);
    let problem = match first {
        _ if is_packed && action == DECOMPRESS => "it is packed twice; unpack it once",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16; convert it to UTF-8 (`iconv -f UTF-16 -t UTF-8`)",
        _ if first.starts_with(gzip::MAGIC) => "its content is gzip; let its name end with .gz",
        _ if first.starts_with(ZSTD_MAGIC) => "its content is zstd; let its name end with .zst",
        _ if first.starts_with(PARQUET_MAGIC) => "its content is Parquet; let its name end with .parquet",
        _ if first.contains(&0) => "it holds zero bytes: it is UTF-16 or no text; convert it to UTF-8",
        _ => return Ok(()),
    };
    Err(io::Error::other(problem))
}

/// What is tried with a packed file.
const DECOMPRESS: &str = "decompress";

pub(super) const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

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
        // A read that a signal ends is made again here, and no decoder above has to be able to go on after it.
        let count = loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                count => break count?,
            }
        };
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
        (self.first_line..).zip(lines).filter(|(_, line)| !is_blank(line))
    }
}

/// Whether a line has nothing but what JSON has between values.
fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
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
            let ended = fill(&mut self.stream, &mut text, target);
            let ended = ended.map_err(|source| self.file.unreadable(self.stream.action(), source))?;
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
                return Err(self.file.bad_text(self.next_line, too_long("line")));
            }
            target = (text.len() * 2).min(LONGEST_RECORD + 1);
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
}

/// Reads until `text` has `length` bytes; true where the stream ends before.
pub(super) fn fill(stream: &mut TextStream, text: &mut Vec<u8>, length: usize) -> io::Result<bool> {
    let lacking = length.saturating_sub(text.len());
    text.reserve_exact(lacking);
    let read = stream.take(lacking as u64).read_to_end(text)?;
    Ok(read < lacking)
}

/// What to say of a line or record that is too long.
pub(super) fn too_long(what: &str) -> String {
    format!("the {what} is longer than {} MiB", LONGEST_RECORD >> 20)
}
