//! An open Parquet file as the Parquet reader is handed it: read by position, and looked over before it is decoded.
//!
//! Knows where a file keeps its footer and page headers; knows no columns and no tables.

mod thrift;

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use rustix::buffer::spare_capacity;
use rustix::io::{pread, retry_on_intr};

use thrift::{Fault, Page};

use crate::store::{Loaded, Object, Positioned};

/// What a Parquet file begins and ends with.
const MAGIC: &[u8] = b"PAR1";

/// What a file ends with whose footer is encrypted.
const ENCRYPTED_MAGIC: &[u8] = b"PARE";

/// The length of the footer, and the magic.
const TAIL: usize = 8;

/// Bytes in which a page's header is looked for at first; statistics may make it longer.
const FIRST_LOOK: usize = 256;

/// The largest page, unpacked, which is when it is held in memory as a whole. Writers make them of a mebibyte, and few of more
/// than a hundred.
const LARGEST_PAGE: i32 = 512 << 20;

/// The longest header of a page.
const LONGEST_HEADER: usize = 16 << 20;

/// An open Parquet file. Copies share the handle, and none moves another's position, so that a footer and all the data are
/// those of one file, whatever stands at its path meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct ParquetFile {
    medium: Medium,
    length: u64,
}

/// What a file is read from.
#[derive(Clone, Debug)]
enum Medium {
    Disk(Arc<File>),
    Store(Positioned),
}

impl ParquetFile {
    /// Takes an open file.
    ///
    /// # Errors
    /// What the system says of its length.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { medium: Medium::Disk(Arc::new(file)), length })
    }

    /// Takes an object of a store, of which some ranges may have been asked for.
    pub(crate) fn in_store(object: Object, loaded: Option<Arc<Loaded>>) -> Self {
        let object = Positioned::new(object, loaded);
        Self { length: object.size(), medium: Medium::Store(object) }
    }

    /// Reads the footer.
    ///
    /// # Errors
    /// What is wrong with it; nothing that it says is believed beyond the bytes that are there.
    pub(crate) fn footer(&self) -> Result<ParquetMetaData, ParquetError> {
        self.packed_footer()?.decode()
    }

    /// Where the footer begins, and its bytes.
    ///
    /// # Errors
    /// Where the file does not end as one of Parquet does.
    pub(crate) fn footer_place(&self) -> Result<(u64, u64), ParquetError> {
        let mut tail = [0; TAIL];
        let Some(before_tail) = self.length.checked_sub(TAIL as u64) else {
            return Err(general(format!("{} bytes are too few for a Parquet file", self.length)));
        };
        self.read_exact_at(&mut tail, before_tail)?;
        let (length, magic) = tail.split_at(TAIL - MAGIC.len());
        if magic == ENCRYPTED_MAGIC {
            return Err(general("its footer is encrypted".to_owned()));
        }
        if magic != MAGIC {
            return Err(general(
                "it does not end as a Parquet file does: it is not one, or only a part of one".to_owned(),
            ));
        }
        let length = length.iter().rev().fold(0, |length, &byte| length << 8 | u64::from(byte));
        let Some(start) = before_tail.checked_sub(length) else {
            return Err(general(format!("a footer of {length} bytes in a file of {}", self.length)));
        };
        Ok((start, length))
    }

    /// Reads the footer as it stands in the file, and looks it over.
    ///
    /// # Errors
    /// As [`ParquetFile::footer`].
    pub(crate) fn packed_footer(&self) -> Result<Footer, ParquetError> {
        let (start, length) = self.footer_place()?;
        let bytes = self.bytes(start, length)?;
        let groups = thrift::check_footer(&bytes).map_err(|fault| match fault {
            Fault::Ends => general("the footer ends too soon".to_owned()),
            Fault::Malformed(problem) => general(format!("the footer is malformed: {problem}")),
        })?;
        Ok(Footer { bytes, places: FooterPlaces { start, length, groups } })
    }

    /// Reads what a footer that has been looked over says of one row group.
    ///
    /// # Errors
    /// As [`ParquetFile::footer`].
    pub(crate) fn footer_of(&self, places: &FooterPlaces, group: usize) -> Result<ParquetMetaData, ParquetError> {
        decode_one(places, group, |part| self.bytes(places.start.saturating_add(part.start), part.end - part.start))
    }

    /// The largest pages of a column chunk: what stands between two places of the file. Nothing is unpacked.
    ///
    /// # Errors
    /// Where a page's header cannot be read.
    pub(crate) fn largest_pages(&self, start: u64, length: u64) -> io::Result<LargestPages> {
        let mut largest = LargestPages::default();
        let end = start.saturating_add(length).min(self.length);
        let mut next = start;
        while next < end {
            let (page, _) = self.page_header(next)?;
            let (packed, unpacked) = (page.packed.max(0) as u64, page.unpacked.max(0) as u64);
            let kind = if page.is_dictionary { &mut largest.dictionary } else { &mut largest.data };
            *kind = (*kind).max((packed + unpacked, unpacked));
            next = next.saturating_add(page.header_length as u64).saturating_add(packed);
        }
        Ok(largest)
    }

    /// Reads the footer, and what it means in Arrow.
    ///
    /// # Errors
    /// As [`ParquetFile::footer`], and for a schema that Arrow does not have.
    pub(crate) fn metadata(&self, options: ArrowReaderOptions) -> Result<ArrowReaderMetadata, ParquetError> {
        ArrowReaderMetadata::try_new(Arc::new(self.footer()?), options)
    }

    fn bytes(&self, start: u64, length: u64) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length);
        if end.is_none_or(|end| end > self.length) {
            let length = self.length;
            return Err(ParquetError::EOF(format!("bytes from {start} on are asked for, and the file has {length}")));
        }
        let file = match &self.medium {
            Medium::Disk(file) => file,
            Medium::Store(object) => return Ok(object.read(start, length)?),
        };
        let length = usize::try_from(length).map_err(|_| general(format!("{length} bytes at once")))?;
        // Not zeroed first: this is most of what is read.
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = start + bytes.len() as u64;
            let read = retry_on_intr(|| pread(file, spare_capacity(&mut bytes), at));
            if read.map_err(io::Error::from)? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        bytes.truncate(length);
        Ok(bytes.into())
    }

    fn read_exact_at(&self, buffer: &mut [u8], start: u64) -> io::Result<()> {
        match &self.medium {
            Medium::Disk(file) => file.read_exact_at(buffer, start),
            Medium::Store(object) => {
                buffer.copy_from_slice(&object.read(start, buffer.len() as u64)?);
                Ok(())
            }
        }
    }
}

/// The footer of a file as it stands there, looked over.
pub(crate) struct Footer {
    bytes: Bytes,
    places: FooterPlaces,
}

/// Where a footer and its row groups stand in a file.
#[derive(Clone, Debug)]
pub(crate) struct FooterPlaces {
    start: u64,
    length: u64,
    groups: thrift::Groups,
}

impl Footer {
    /// The number of row groups.
    pub(crate) fn groups(&self) -> usize {
        self.places.groups.each.len()
    }

    /// Where it stands.
    pub(crate) fn into_places(self) -> FooterPlaces {
        self.places
    }

    /// What it says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn decode(&self) -> Result<ParquetMetaData, ParquetError> {
        ParquetMetaDataReader::decode_metadata(&self.bytes)
    }

    /// What it says of one row group, and of none other: all of them may take many times as much as their bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn decode_one(&self, group: usize) -> Result<ParquetMetaData, ParquetError> {
        decode_one(&self.places, group, |range| {
            let part = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
            let part = part.and_then(|(start, end)| self.bytes.get(start..end));
            part.map(Bytes::copy_from_slice).ok_or_else(|| general("a row group is gone".to_owned()))
        })
    }
}

/// Decodes a footer as if it had one row group alone; `read` gives its bytes.
fn decode_one(
    places: &FooterPlaces,
    group: usize,
    read: impl Fn(Range<u64>) -> Result<Bytes, ParquetError>,
) -> Result<ParquetMetaData, ParquetError> {
    let groups = &places.groups;
    let one = groups.each.get(group).cloned().unwrap_or_default();
    let one = one.start as u64..one.end as u64;
    let (before, after) = (0..groups.list.start as u64, groups.list.end as u64..places.length);
    let list = Bytes::from_static(&[thrift::LIST_OF_ONE]);
    ParquetMetaDataReader::decode_metadata(&[read(before)?, list, read(one)?, read(after)?].concat())
}

/// The largest pages of a column chunk, of dictionaries and of data: what one takes packed and unpacked together, and what it has
/// when it is unpacked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LargestPages {
    pub(crate) dictionary: (u64, u64),
    pub(crate) data: (u64, u64),
}

fn general(problem: String) -> ParquetError {
    ParquetError::General(problem)
}

impl Length for ParquetFile {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for ParquetFile {
    type T = PageHeader;

    /// The reader asks for a stream where a page's header should begin, and only there.
    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(PageHeader { file: self.clone(), start, header: None })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.bytes(start, length as u64)
    }
}

/// The header of a page, read and looked over when its first byte is asked for, and ending where it ends.
#[derive(Debug)]
pub(crate) struct PageHeader {
    file: ParquetFile,
    start: u64,
    header: Option<io::Cursor<Vec<u8>>>,
}

impl ParquetFile {
    /// The header of the page at a place, and its bytes.
    fn page_header(&self, start: u64) -> io::Result<(Page, Vec<u8>)> {
        let malformed = |problem: &str| io::Error::other(format!("the header of the page at byte {start}: {problem}"));
        let left = self.length.saturating_sub(start);
        let mut look = FIRST_LOOK;
        loop {
            let size = usize::try_from(left).map_or(look, |left| look.min(left));
            let mut bytes = vec![0; size];
            self.read_exact_at(&mut bytes, start)?;
            match thrift::check_page_header(&bytes) {
                Ok(page) if page.unpacked > LARGEST_PAGE => {
                    return Err(malformed("it is of a page of more than 512 MiB; write smaller pages or row groups"));
                }
                Ok(page) => {
                    bytes.truncate(page.header_length);
                    return Ok((page, bytes));
                }
                Err(Fault::Malformed(problem)) => return Err(malformed(problem)),
                Err(Fault::Ends) if size as u64 == left => return Err(malformed("the file ends within it")),
                Err(Fault::Ends) if look >= LONGEST_HEADER => return Err(malformed("it is longer than 16 MiB")),
                Err(Fault::Ends) => look = (look * 8).min(LONGEST_HEADER),
            }
        }
    }
}

impl Read for PageHeader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.header.is_none() {
            self.header = Some(io::Cursor::new(self.file.page_header(self.start)?.1));
        }
        self.header.as_mut().map_or(Ok(0), |header| header.read(buffer))
    }
}
