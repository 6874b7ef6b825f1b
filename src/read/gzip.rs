//! Gzip files: one member after the other, and nothing else.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

/// What each member begins with.
pub(super) const MAGIC: &[u8] = b"\x1f\x8b";

const BUFFER: usize = 1 << 15;

/// What a header says that has further fields: deflated, and `FEXTRA`.
const WITH_FIELDS: &[u8] = b"\x1f\x8b\x08\x04";

/// A header with one further field, whose value is one less than the member's length: no longer than this as bgzip writes it.
pub(super) const LONGEST_SAID: usize = 18;

/// The length of the member that some bytes begin with, where its header says it as bgzip's does.
pub(super) fn said_length(packed: &[u8]) -> Option<usize> {
    let header: &[u8; LONGEST_SAID] = packed.first_chunk()?;
    let says = header.starts_with(WITH_FIELDS) && header[10..16] == *b"\x06\0BC\x02\0";
    says.then(|| usize::from(u16::from_le_bytes([header[16], header[17]])) + 1)
}

/// The unpacked bytes of all members of a file. Zeros behind the last one fill a block of a tape or a disk and are passed over,
/// as gzip does; anything else is an error, where a decoder of members alone would take it for the start of a broken one.
pub(super) struct Members<R: Read>(Place<R>);

/// How far a file has been read.
enum Place<R: Read> {
    Within(Box<GzDecoder<BufReader<R>>>),
    Behind(BufReader<R>),
    AtTheEnd,
}

impl<R: Read> Members<R> {
    pub(super) fn new(packed: R) -> Self {
        Self(Place::Within(Box::new(GzDecoder::new(BufReader::with_capacity(BUFFER, packed)))))
    }

    /// What is left of a file behind a member.
    pub(super) fn behind(packed: R) -> Self {
        Self(Place::Behind(BufReader::with_capacity(BUFFER, packed)))
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Place::Within(member) = &mut self.0 {
                let read = member.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
            }
            let mut packed = match std::mem::replace(&mut self.0, Place::AtTheEnd) {
                Place::Within(member) => member.into_inner(),
                Place::Behind(packed) => packed,
                Place::AtTheEnd => return Ok(0),
            };
            if another(&mut packed)? {
                self.0 = Place::Within(Box::new(GzDecoder::new(packed)));
            }
        }
    }
}

/// Whether another member follows; what is no member may only be zeros, up to the end.
fn another(packed: &mut impl BufRead) -> io::Result<bool> {
    if packed.fill_buf()?.first() == MAGIC.first() {
        return Ok(true);
    }
    loop {
        let rest = packed.fill_buf()?;
        if rest.is_empty() {
            return Ok(false);
        }
        if rest.iter().any(|&byte| byte != 0) {
            return Err(io::Error::other("data behind the end of the gzip stream"));
        }
        let length = rest.len();
        packed.consume(length);
    }
}
