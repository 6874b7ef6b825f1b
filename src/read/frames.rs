//! Packed files whose parts can be told apart without unpacking them: several parts are unpacked at once.
//!
//! That is zstd in several frames (`pzstd`, concatenated files), as each of a frame's blocks begins with its length (RFC 8878), and gzip
//! as `bgzip` writes it, where a field in the header of each member has its length (the SAM specification's BGZF). From the first part
//! on that is not so, or is too large to be held, a file is unpacked as it is read.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};
use std::ops::Range;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use zstd::zstd_safe::find_frame_compressed_size;

use crate::read::gzip::{self, Members};

/// The longest frame that is unpacked beside others, in packed bytes.
const LONGEST: usize = 8 << 20;

/// What the frames that a thread unpacks at a time may be together, unpacked.
const MOST_UNPACKED: usize = 32 << 20;

/// Packed bytes that a thread unpacks at a time, at least, unless the file ends.
const SHARE: usize = 256 << 10;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    /// What some bytes say of the frame or member that they begin with.
    fn first(self, packed: &[u8]) -> First {
        let length = match self {
            Self::Gzip if packed.len() < gzip::LONGEST_SAID => return First::Begun,
            Self::Gzip => gzip::said_length(packed),
            Self::Zstd => find_frame_compressed_size(packed).ok(),
        };
        match length {
            Some(length @ 1..) if length <= packed.len() => First::Whole(length),
            Some(_) => First::Begun,
            None if self == Self::Zstd => First::Begun,
            None => First::Unknown,
        }
    }

    /// The unpacked bytes of all frames or members.
    fn unpack<'a>(self, packed: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(Members::new(packed)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(packed)?),
        })
    }

    /// The unpacked bytes of what is left of a file behind some of them.
    fn unpack_behind(self, packed: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::Gzip => Ok(Box::new(Members::behind(packed))),
            Self::Zstd => self.unpack(packed),
        }
    }
}

/// What is known of the next frame.
enum First {
    /// All of it is there, so many bytes.
    Whole(usize),
    /// It may be known when more is there.
    Begun,
    /// Nothing says where it ends.
    Unknown,
}

/// The unpacked bytes of a packed file.
pub(super) struct Frames {
    packing: Packing,
    threads: usize,
    /// The file, until the rest of it is unpacked as it is read.
    packed: Option<Box<dyn Read + Send>>,
    /// What has been read of it and not been unpacked.
    held: Vec<u8>,
    has_ended: bool,
    /// Whether frames have been passed.
    has_passed: bool,
    /// Unpacked, and not handed out.
    ready: VecDeque<Cursor<Vec<u8>>>,
    rest: Option<Box<dyn Read + Send>>,
}

impl Frames {
    /// The file unpacked by as many threads of the pool, if there are frames for them.
    pub(super) fn new(packed: impl Read + Send + 'static, packing: Packing, threads: usize) -> io::Result<Self> {
        let packed: Box<dyn Read + Send> = Box::new(packed);
        let (packed, rest) = if threads > 1 { (Some(packed), None) } else { (None, Some(packing.unpack(packed)?)) };
        let (held, ready) = (Vec::new(), VecDeque::new());
        Ok(Self { packing, threads, packed, held, has_ended: false, has_passed: false, ready, rest })
    }

    /// Unpacks the next frames, or begins to unpack all that is left as it is read.
    fn advance(&mut self) -> io::Result<()> {
        let mut shares: Vec<Range<usize>> = Vec::with_capacity(self.threads);
        let mut end = 0;
        while shares.len() < self.threads {
            let start = end;
            end = self.share_from(start)?;
            if start == end {
                break;
            }
            shares.push(start..end);
        }
        let (packing, held) = (self.packing, &self.held);
        // Collected in order: what is behind a frame that cannot be unpacked here is read behind it.
        let unpacked: Vec<Option<Vec<u8>>> =
            shares.clone().into_par_iter().map(|share| unpack_all(packing, held.get(share)?)).collect();
        let mut passed = 0;
        for (share, bytes) in shares.into_iter().zip(unpacked) {
            let Some(bytes) = bytes else { break };
            self.ready.push_back(Cursor::new(bytes));
            passed = share.end;
        }
        self.held.drain(..passed);
        if passed == 0 {
            // Whoever reads the rest a little at a time says what is wrong with it.
            return self.unpack_rest();
        }
        self.has_passed = true;
        Ok(())
    }

    /// Where the whole frames end that are the next thread's, from a place in what is held; that place where none is known to end.
    fn share_from(&mut self, start: usize) -> io::Result<usize> {
        let mut end = start;
        while end - start < SHARE {
            let rest = self.held.get(end..).unwrap_or_default();
            match self.packing.first(rest) {
                First::Whole(length) => end += length,
                First::Begun if !self.has_ended && rest.len() <= LONGEST => self.read_more()?,
                First::Begun | First::Unknown => break,
            }
        }
        Ok(end)
    }

    fn read_more(&mut self) -> io::Result<()> {
        let Some(packed) = &mut self.packed else {
            self.has_ended = true;
            return Ok(());
        };
        let wanted = self.held.len().clamp(SHARE, LONGEST) as u64;
        self.has_ended = (packed.take(wanted).read_to_end(&mut self.held)? as u64) < wanted;
        Ok(())
    }

    fn unpack_rest(&mut self) -> io::Result<()> {
        if self.has_passed && self.has_ended && self.held.is_empty() {
            self.rest = Some(Box::new(io::empty()));
            return Ok(());
        }
        let held = Cursor::new(std::mem::take(&mut self.held));
        let packed = self.packed.take().unwrap_or_else(|| Box::new(io::empty()));
        let packed = held.chain(packed);
        let rest = if self.has_passed { self.packing.unpack_behind(packed) } else { self.packing.unpack(packed) };
        self.rest = Some(rest?);
        Ok(())
    }
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            while let Some(bytes) = self.ready.front_mut() {
                match bytes.read(buffer)? {
                    0 => drop(self.ready.pop_front()),
                    read => return Ok(read),
                }
            }
            match &mut self.rest {
                Some(rest) => return rest.read(buffer),
                None => self.advance()?,
            }
        }
    }
}

/// All that some whole frames hold; `None` where that is too much, or something is wrong.
fn unpack_all(packing: Packing, packed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(packed.len().saturating_mul(4).min(MOST_UNPACKED));
    packing.unpack(packed).ok()?.take(MOST_UNPACKED as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= MOST_UNPACKED).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that pack badly, so that frames are long.
    fn text(length: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            bytes.extend_from_slice(format!("{:016x}\n", state).as_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn zstd(text: &[u8], frame: usize) -> Vec<u8> {
        text.chunks(frame).flat_map(|part| zstd::encode_all(part, 1).unwrap()).collect()
    }

    /// As bgzip writes it: deflated members with their length, and an empty one at the end.
    fn bgzf(text: &[u8], member: usize) -> Vec<u8> {
        let mut file = Vec::new();
        for part in text.chunks(member).chain([&[][..]]) {
            let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            io::Write::write_all(&mut deflated, part).unwrap();
            let deflated = deflated.finish().unwrap();
            let length = u16::try_from(18 + deflated.len() + 8 - 1).unwrap();
            file.extend([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, b'B', b'C', 2, 0]);
            file.extend(length.to_le_bytes());
            file.extend(&deflated);
            let mut sum = flate2::Crc::new();
            sum.update(part);
            file.extend(sum.sum().to_le_bytes());
            file.extend((part.len() as u32).to_le_bytes());
        }
        file
    }

    fn frames(packed: &[u8], packing: Packing, threads: usize) -> Frames {
        Frames::new(Cursor::new(packed.to_vec()), packing, threads).unwrap()
    }

    fn read(mut frames: Frames) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        frames.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn what_frames_hold_does_not_depend_on_their_size_or_on_threads() {
        let text = text(3 << 20);
        for threads in [1, 2, 5] {
            for frame in [1000, 60_000] {
                let bytes = read(frames(&bgzf(&text, frame), Packing::Gzip, threads));
                assert!(bytes.unwrap() == text, "gzip {frame} {threads}");
            }
            for frame in [1000, 100_000, 2 << 20, 4 << 20] {
                let bytes = read(frames(&zstd(&text, frame), Packing::Zstd, threads));
                assert!(bytes.unwrap() == text, "zstd {frame} {threads}");
            }
        }
    }

    #[test]
    fn frames_are_unpacked_side_by_side_and_not_only_as_the_file_is_read() {
        let text = text(3 << 20);
        for (packed, packing) in [(bgzf(&text, 60_000), Packing::Gzip), (zstd(&text, 500_000), Packing::Zstd)] {
            let mut frames = frames(&packed, packing, 2);
            let mut first = [0; 1];
            frames.read_exact(&mut first).unwrap();
            assert!(frames.rest.is_none(), "{packing:?} is told apart");
            assert_eq!(frames.ready.len(), 2, "{packing:?}: a share for each thread");
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_read_all_the_same() {
        let text = text(1 << 20);
        let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut member, &text).unwrap();
        let plain = member.finish().unwrap();
        let mut mixed = bgzf(&text, 60_000);
        mixed.extend(&plain);
        mixed.extend([0; 512]);
        let bytes = read(frames(&mixed, Packing::Gzip, 3));
        assert!(
            bytes.unwrap() == [&text[..], &text[..]].concat(),
            "members as usual, and zeros, behind those of bgzip"
        );

        // 40 MiB of zeros in a few kilobytes: more than is unpacked at once.
        let zeros = vec![b'0'; 40 << 20];
        let mut packed = zstd(&text, 1 << 18);
        packed.extend(zstd(&zeros, usize::MAX));
        packed.extend(zstd(&text, 1 << 18));
        let bytes = read(frames(&packed, Packing::Zstd, 3));
        assert!(bytes.unwrap() == [&text[..], &zeros, &text].concat(), "a frame of too much");
    }

    #[test]
    fn faults_are_those_of_one_thread_behind_the_same_bytes() {
        let text = text(2 << 20);
        for (whole, packing) in [(bgzf(&text, 60_000), Packing::Gzip), (zstd(&text, 300_000), Packing::Zstd)] {
            let mut changed = whole.clone();
            let place = changed.len() / 2;
            changed[place] ^= 0x55;
            let cut = whole[..whole.len() / 2].to_vec();
            let behind = [&whole[..], b"something else"].concat();
            for (name, packed) in [("changed", changed), ("cut", cut), ("behind", behind)] {
                let said = |threads| read(frames(&packed, packing, threads)).map_err(|error| error.to_string());
                let (one, several) = (said(1), said(3));
                assert_eq!(one.as_ref().err(), several.as_ref().err(), "{packing:?} {name}");
                // Nothing in a frame of zstd tells that a letter has become another one.
                assert_eq!(one.is_err(), (packing, name) != (Packing::Zstd, "changed"), "{packing:?} {name}");
            }
        }
    }
}
