//! Gzip files: one member after the other, and nothing else.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

/// What each member begins with.
pub(super) const MAGIC: &[u8] = b"\x1f\x8b";

const BUFFER: usize = 1 << 15;

/// The unpacked bytes of all members of a file. Zeros behind the last one fill a block of a tape or a disk and are passed over,
/// as gzip does; anything else is an error, where a decoder of members alone would take it for the start of a broken one.
pub(super) struct Members<R: Read> {
    /// None behind the last one.
    member: Option<GzDecoder<BufReader<R>>>,
}

impl<R: Read> Members<R> {
    pub(super) fn new(packed: R) -> Self {
        Self { member: Some(GzDecoder::new(BufReader::with_capacity(BUFFER, packed))) }
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if let Some(member) = self.member.take() {
                let mut packed = member.into_inner();
                if another(&mut packed)? {
                    self.member = Some(GzDecoder::new(packed));
                }
            }
        }
        Ok(0)
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
