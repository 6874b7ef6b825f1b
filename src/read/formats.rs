//! What a file is: what its name says, else the description, else its first bytes.

use std::io::{self, Read};
use std::path::Path;

use memchr::memrchr;

use crate::read::gzip;
use crate::read::stream::{BYTE_ORDER_MARK, ZSTD_MAGIC, unpacked};
use crate::schema::{self, Compression, FileFormat};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Parquet,
    Json(Compression),
    Csv(Compression),
}

impl Format {
    /// Its name, as the names of files end.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Json(Compression::None) => "json",
            Self::Json(Compression::Gzip) => "json.gz",
            Self::Json(Compression::Zstd) => "json.zst",
            Self::Csv(Compression::None) => "csv",
            Self::Csv(Compression::Gzip) => "csv.gz",
            Self::Csv(Compression::Zstd) => "csv.zst",
        }
    }
}

/// What a name says of its file.
pub(super) struct Name {
    format: Option<FileFormat>,
    compression: Option<Compression>,
    /// Whether it says that tabs stand between fields.
    pub(super) tabs: bool,
    /// Whether it is one that notes have, so that what is in it says nothing of what it is for.
    is_notes: bool,
    /// The bytes of the name before what says all this.
    stem: usize,
}

const PACKED: [(&[u8], Compression); 4] = [
    (b".gz", Compression::Gzip),
    (b".gzip", Compression::Gzip),
    (b".zst", Compression::Zstd),
    (b".zstd", Compression::Zstd),
];

impl Name {
    pub(super) fn of(path: &Path) -> Self {
        let name = bytes_of_name(path).to_ascii_lowercase();
        let packed = PACKED.iter().find_map(|(suffix, packed)| Some((name.strip_suffix(*suffix)?, *packed)));
        let (unpacked, compression) = packed.map_or((name.as_slice(), None), |(name, packed)| (name, Some(packed)));
        let dot = memrchr(b'.', unpacked).unwrap_or(unpacked.len());
        let suffix = unpacked.get(dot + 1..).unwrap_or_default();
        let format = match suffix {
            b"parquet" | b"parq" | b"pq" => Some(FileFormat::Parquet),
            b"json" | b"jsonl" | b"ndjson" => Some(FileFormat::Json),
            b"csv" | b"tsv" => Some(FileFormat::Csv),
            _ => None,
        };
        let stem = if format.is_some() { dot } else { unpacked.len() };
        Self { format, compression, tabs: suffix == b"tsv", is_notes: suffix == b"txt", stem }
    }

    /// The name without what says the format, which two forms of one file share.
    pub(super) fn stem(path: &Path) -> &[u8] {
        bytes_of_name(path).get(..Self::of(path).stem).unwrap_or_default()
    }
}

fn bytes_of_name(path: &Path) -> &[u8] {
    path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default()
}

/// Why nobody knows what a file is.
pub(super) enum NoFormat {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is something else, or nothing says what it is.
    Unknown(&'static str),
}

impl From<io::Error> for NoFormat {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Whether the name of a file and the description say all about its format, so that its first bytes say no more.
pub(super) fn is_plain_parquet(path: &Path, source: &schema::Source) -> bool {
    let name = Name::of(path);
    let compression = name.compression.or(source.compression);
    name.format.or(source.format) == Some(FileFormat::Parquet)
        && compression.is_none_or(|compression| compression == Compression::None)
}

/// The format of the file at `path`, which `open` opens, of a table that is read as `source` says.
pub(super) fn format_of<R: Read + Send + 'static>(
    path: &Path,
    source: &schema::Source,
    open: impl Fn() -> io::Result<R>,
) -> Result<Format, NoFormat> {
    if is_plain_parquet(path, source) {
        return Ok(Format::Parquet);
    }
    let name = Name::of(path);
    let format = name.format.or(source.format);
    let compression = name.compression.or(source.compression);
    let mut file = open()?;
    let first = first_bytes(&mut file, MAGIC_BYTES)?;
    if first.starts_with(PARQUET_MAGIC) && format.is_none_or(|format| format == FileFormat::Parquet) {
        return Ok(Format::Parquet);
    }
    let compression = compression.unwrap_or_else(|| compression_by(&first));
    match format {
        Some(FileFormat::Json) => return Ok(Format::Json(compression)),
        Some(FileFormat::Csv) => return Ok(Format::Csv(compression)),
        Some(FileFormat::Parquet) => return Err(NoFormat::Unknown(PACKED_PARQUET)),
        None if name.is_notes => return Err(NoFormat::Unknown(NOTES)),
        None => {}
    }
    if let Some((_, problem)) = KNOWN.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Err(NoFormat::Unknown(problem));
    }
    let mut text = unpacked(open()?, compression, 1)?;
    // What cannot be unpacked is no JSON; who says what it is gets the reason.
    let text = first_bytes(&mut text, FIRST_TEXT).unwrap_or_default();
    let is_packed = compression != Compression::None;
    match text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).trim_ascii_start().first() {
        Some(b'{' | b'[') => Ok(Format::Json(compression)),
        _ if is_packed && text.starts_with(PARQUET_MAGIC) => Err(NoFormat::Unknown(PACKED_PARQUET)),
        _ => Err(NoFormat::Unknown(NOTHING_SAYS)),
    }
}

fn compression_by(first: &[u8]) -> Compression {
    match first {
        _ if first.starts_with(gzip::MAGIC) => Compression::Gzip,
        _ if first.starts_with(ZSTD_MAGIC) => Compression::Zstd,
        _ => Compression::None,
    }
}

fn first_bytes(reader: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(count);
    reader.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) const PARQUET_MAGIC: &[u8] = b"PAR1";

const MAGIC_BYTES: usize = 8;

/// Bytes of text of which one that is no white space tells JSON.
pub(super) const FIRST_TEXT: usize = 4096;

/// What other formats begin with.
const KNOWN: [(&[u8], &str); 7] = [
    (b"ORC", "its first bytes are those of ORC"),
    (b"Obj\x01", "its first bytes are those of Avro"),
    (b"PK\x03\x04", "its first bytes are those of a ZIP archive, as Excel writes it too"),
    (b"BZh", "its first bytes are those of bzip2: unpack it"),
    (b"\xfd7zXZ", "its first bytes are those of xz: unpack it"),
    (b"\x04\x22\x4d\x18", "its first bytes are those of LZ4: unpack it"),
    (b"\xff\x06\x00\x00sN", "its first bytes are those of Snappy: unpack it"),
];

const PACKED_PARQUET: &str = "Parquet is not read from a packed file: unpack it";

const NOTES: &str = "a .txt file is read only where the description says what it is (`format = \"csv\"`)";

const NOTHING_SAYS: &str =
    "neither its name nor its first bytes say what it is; if it is CSV, say so in the description (`format = \"csv\"`)";
