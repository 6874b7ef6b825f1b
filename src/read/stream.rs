//! Text files as streams of unpacked bytes.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::read::data_file::DataFile;
use crate::read::formats::PARQUET_MAGIC;
use crate::read::frames::{Frames, Packing};
use crate::read::gzip;
use crate::schema::Compression;

/// The longest line, record or object, in bytes. It is asked for while one grows, so that one that never ends takes no more memory.
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
    /// Opens a file, which so many threads of the pool may unpack.
    pub(super) fn open(file: &DataFile, compression: Compression, threads: usize) -> Result<Self> {
        let unreadable = |source| file.unreadable("read", source);
        let consumed = Arc::new(AtomicU64::new(0));
        let packed = Counted { reader: file.open()?, consumed: Arc::clone(&consumed) };
        let reader = unpacked(packed, compression, threads).map_err(unreadable)?;
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

/// The unpacked bytes of a file, which so many threads of the pool may unpack.
pub(super) fn unpacked(
    packed: impl Read + Send + 'static,
    compression: Compression,
    threads: usize,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(Frames::new(packed, Packing::Gzip, threads)?),
        Compression::Zstd => Box::new(Frames::new(packed, Packing::Zstd, threads)?),
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

/// What to say of a line or record that is too long.
pub(super) fn too_long(what: &str) -> String {
    format!("the {what} is longer than {} MiB", LONGEST_RECORD >> 20)
}
