//! Footers and page headers of Parquet, looked over before the Parquet reader decodes them.
//!
//! Both are structs in Thrift's compact protocol
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>). The reader trusts what they say: it
//! goes over a list as long as its length says, also where the elements take no bytes, and reads a field that it knows without
//! asking which type the bytes give it. A file of 20 bytes keeps it busy for hours. So the bytes are walked here first: every
//! field that the format has must have its type, and no list may say more elements than there are bytes left. What passes takes
//! the reader as many steps as it has bytes.

use std::ops::Range;

/// The deepest nesting; the format's own structs nest less than ten deep.
const DEEPEST: usize = 32;

/// The deepest nesting of a file's columns. The reader goes down by recursion, as deep as the footer says.
const DEEPEST_SCHEMA: usize = 100;

/// The types of the compact protocol that need a look of their own; all others are as long as [`Walk::value`] says.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;
const UUID: u8 = 13;

/// What a field holds.
#[derive(Clone, Copy)]
enum FieldKind {
    Flag,
    Byte,
    /// Of 16, 32 or 64 bits, which are written alike; also what the format calls an enum.
    Integer,
    /// How many of the following elements of the schema are below this one.
    Children,
    /// Whether a page holds a dictionary or data.
    PageType,
    /// The bytes of a page when it is unpacked.
    PageBytes,
    /// The bytes of a page as it is stored.
    PackedBytes,
    Double,
    Binary,
    /// The elements of the schema, each before those below it.
    Schema,
    /// The row groups.
    RowGroups,
    List(&'static Self),
    Struct(Fields),
}

/// The numbers and kinds of a struct's fields. Fields that are not listed may hold anything but lists of booleans.
type Fields = &'static [(i16, FieldKind)];

use FieldKind::{
    Binary, Byte, Children, Double, Flag, Integer, List, PackedBytes, PageBytes, PageType, RowGroups, Schema, Struct,
};

/// The structs of <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>.
const FOOTER: Fields = &[
    (1, Integer),
    (2, Schema),
    (3, Integer),
    (4, RowGroups),
    (5, List(&Struct(KEY_VALUE))),
    (6, Binary),
    (7, List(&Struct(EMPTY_UNION))),
];

const SCHEMA_ELEMENT: Fields = &[
    (1, Integer),
    (2, Integer),
    (3, Integer),
    (4, Binary),
    (5, Children),
    (6, Integer),
    (7, Integer),
    (8, Integer),
    (9, Integer),
    (10, Struct(LOGICAL_TYPE)),
];

const LOGICAL_TYPE: Fields = &[
    (1, Struct(&[])),
    (2, Struct(&[])),
    (3, Struct(&[])),
    (4, Struct(&[])),
    (5, Struct(&[(1, Integer), (2, Integer)])),
    (6, Struct(&[])),
    (7, Struct(&[(1, Flag), (2, Struct(EMPTY_UNION))])),
    (8, Struct(&[(1, Flag), (2, Struct(EMPTY_UNION))])),
    (10, Struct(&[(1, Byte), (2, Flag)])),
    (11, Struct(&[])),
    (12, Struct(&[])),
    (13, Struct(&[])),
    (14, Struct(&[])),
    (15, Struct(&[])),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Binary)])),
    (18, Struct(&[(1, Binary), (2, Integer)])),
];

/// A choice of structs without fields: units of time, orders of columns.
const EMPTY_UNION: Fields = &[(1, Struct(&[])), (2, Struct(&[])), (3, Struct(&[]))];

const KEY_VALUE: Fields = &[(1, Binary), (2, Binary)];

const ROW_GROUP: Fields = &[
    (1, List(&Struct(COLUMN_CHUNK))),
    (2, Integer),
    (3, Integer),
    (4, List(&Struct(&[(1, Integer), (2, Flag), (3, Flag)]))),
    (5, Integer),
    (6, Integer),
    (7, Integer),
];

const COLUMN_CHUNK: Fields =
    &[(1, Binary), (2, Integer), (3, Struct(COLUMN_METADATA)), (4, Integer), (5, Integer), (6, Integer), (7, Integer)];

const COLUMN_METADATA: Fields = &[
    (1, Integer),
    (2, List(&Integer)),
    (3, List(&Binary)),
    (4, Integer),
    (5, Integer),
    (6, Integer),
    (7, Integer),
    (8, List(&Struct(KEY_VALUE))),
    (9, Integer),
    (10, Integer),
    (11, Integer),
    (12, Struct(STATISTICS)),
    (13, List(&Struct(&[(1, Integer), (2, Integer), (3, Integer)]))),
    (14, Integer),
    (15, Integer),
    (16, Struct(&[(1, Integer), (2, List(&Integer)), (3, List(&Integer))])),
    (17, Struct(&[(1, Struct(BOUNDING_BOX)), (2, List(&Integer))])),
];

const STATISTICS: Fields = &[
    (1, Binary),
    (2, Binary),
    (3, Integer),
    (4, Integer),
    (5, Binary),
    (6, Binary),
    (7, Flag),
    (8, Flag),
    (9, Integer),
];

const BOUNDING_BOX: Fields =
    &[(1, Double), (2, Double), (3, Double), (4, Double), (5, Double), (6, Double), (7, Double), (8, Double)];

const PAGE_HEADER: Fields = &[
    (1, PageType),
    (2, PageBytes),
    (3, PackedBytes),
    (4, Integer),
    (5, Struct(&[(1, Integer), (2, Integer), (3, Integer), (4, Integer), (5, Struct(STATISTICS))])),
    (6, Struct(&[])),
    (7, Struct(&[(1, Integer), (2, Integer), (3, Flag)])),
    (
        8,
        Struct(&[
            (1, Integer),
            (2, Integer),
            (3, Integer),
            (4, Integer),
            (5, Integer),
            (6, Integer),
            (7, Flag),
            (8, Struct(STATISTICS)),
        ]),
    ),
];

/// Why bytes are no footer or header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// They end too soon.
    Ends,
    /// What they say makes no sense.
    Malformed(&'static str),
}

/// Where the row groups stand in a footer.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    /// The list of them.
    pub(super) list: Range<usize>,
    /// Each of them.
    pub(super) each: Vec<Range<usize>>,
}

/// What a list of one struct begins with.
pub(super) const LIST_OF_ONE: u8 = 1 << 4 | STRUCT;

/// The most row groups of a file.
const MOST_GROUPS: u64 = 1 << 20;

/// Walks the footer that `bytes` are, and finds its row groups.
pub(super) fn check_footer(bytes: &[u8]) -> Result<Groups, Fault> {
    let mut walk = Walk::new(bytes);
    walk.structure(FOOTER, DEEPEST)?;
    Ok(walk.groups)
}

/// A page's header.
pub(super) struct Page {
    /// The bytes of the header itself.
    pub(super) header_length: usize,
    /// The bytes that the page says it has when it is unpacked.
    pub(super) unpacked: i32,
    /// The bytes that the page says it has in the file.
    pub(super) packed: i32,
    /// Whether it is a dictionary.
    pub(super) is_dictionary: bool,
}

/// The type of a page that is a dictionary.
const DICTIONARY: i64 = 2;

/// Walks the header of a page with which `bytes` begin.
pub(super) fn check_page_header(bytes: &[u8]) -> Result<Page, Fault> {
    let mut walk = Walk::new(bytes);
    walk.structure(PAGE_HEADER, DEEPEST)?;
    Ok(Page {
        header_length: walk.position(),
        unpacked: walk.page_bytes,
        packed: walk.packed_bytes,
        is_dictionary: walk.is_dictionary,
    })
}

/// What is still to be walked.
struct Walk<'a> {
    bytes: &'a [u8],
    /// How many elements the last one of the schema has directly below it.
    children: i32,
    /// The bytes of the page when it is unpacked.
    page_bytes: i32,
    /// The bytes of the page as it is stored.
    packed_bytes: i32,
    is_dictionary: bool,
    groups: Groups,
    /// The bytes that there were at first.
    all: usize,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            children: 0,
            page_bytes: 0,
            packed_bytes: 0,
            is_dictionary: false,
            groups: Groups::default(),
            all: bytes.len(),
        }
    }

    /// How many bytes have been walked.
    fn position(&self) -> usize {
        self.all - self.bytes.len()
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let (&first, rest) = self.bytes.split_first().ok_or(Fault::Ends)?;
        self.bytes = rest;
        Ok(first)
    }

    fn skip(&mut self, count: usize) -> Result<(), Fault> {
        self.bytes = self.bytes.get(count..).ok_or(Fault::Ends)?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Fault::Malformed("a number of more than 64 bits"))
    }

    fn structure(&mut self, fields: Fields, depth: usize) -> Result<(), Fault> {
        let depth = depth.checked_sub(1).ok_or(Fault::Malformed("it nests too deep"))?;
        let mut number = 0_i16;
        loop {
            let head = self.byte()?;
            let (step, wire) = (head >> 4, head & 15);
            if wire == 0 {
                return Ok(());
            }
            number = if step == 0 {
                unfolded(self.varint()?) as i16
            } else {
                number.checked_add(i16::from(step)).ok_or(Fault::Malformed("a field number of more than 16 bits"))?
            };
            let known = fields.iter().find(|(known, _)| *known == number);
            self.field(wire, known.map(|(_, kind)| *kind), depth)?;
        }
    }

    /// A field of a struct, whose booleans are in its type.
    fn field(&mut self, wire: u8, kind: Option<FieldKind>, depth: usize) -> Result<(), Fault> {
        if matches!(wire, TRUE | FALSE) {
            return match kind {
                None | Some(Flag) => Ok(()),
                Some(_) => Err(OTHER_TYPE),
            };
        }
        self.value(wire, kind, depth)
    }

    /// A value of the type that the bytes give, which must be that of `kind` where the format has one.
    fn value(&mut self, wire: u8, kind: Option<FieldKind>, depth: usize) -> Result<(), Fault> {
        if kind.is_some_and(|kind| !has_type(kind, wire)) {
            return Err(OTHER_TYPE);
        }
        match wire {
            BYTE => self.skip(1),
            4..=6 => {
                let number = unfolded(self.varint()?);
                match kind {
                    Some(Children) => self.children = number as i32,
                    Some(PageBytes) => self.page_bytes = number as i32,
                    Some(PackedBytes) => self.packed_bytes = number as i32,
                    Some(PageType) => self.is_dictionary = number == DICTIONARY,
                    _ => {}
                }
                Ok(())
            }
            DOUBLE => self.skip(8),
            BINARY => {
                let length = self.varint()?;
                self.skip(usize::try_from(length).unwrap_or(usize::MAX))
            }
            LIST | SET => self.list(kind, depth),
            MAP => self.map(depth),
            STRUCT => self.structure(if let Some(Struct(fields)) = kind { fields } else { &[] }, depth),
            UUID => self.skip(16),
            _ => Err(Fault::Malformed("a type that Thrift does not have")),
        }
    }

    fn list(&mut self, kind: Option<FieldKind>, depth: usize) -> Result<(), Fault> {
        let depth = depth.checked_sub(1).ok_or(Fault::Malformed("it nests too deep"))?;
        let start = self.position();
        let head = self.byte()?;
        let (short, wire) = (head >> 4, head & 15);
        let count = if short == 15 { self.varint()? } else { u64::from(short) };
        if matches!(kind, Some(Schema)) {
            return self.schema(count, wire, depth);
        }
        if matches!(kind, Some(RowGroups)) {
            return self.row_groups(start, count, wire, depth);
        }
        let element = if let Some(List(element)) = kind { Some(*element) } else { None };
        self.elements(count, &[(wire, element)], depth)
    }

    fn map(&mut self, depth: usize) -> Result<(), Fault> {
        let depth = depth.checked_sub(1).ok_or(Fault::Malformed("it nests too deep"))?;
        let count = self.varint()?;
        if count == 0 {
            return Ok(());
        }
        let kinds = self.byte()?;
        self.elements(count, &[(kinds >> 4, None), (kinds & 15, None)], depth)
    }

    fn elements(&mut self, count: u64, kinds: &[(u8, Option<FieldKind>)], depth: usize) -> Result<(), Fault> {
        if count == 0 {
            return Ok(());
        }
        // The format has none, and the reader takes each for no byte at all.
        if kinds.iter().any(|&(wire, _)| matches!(wire, TRUE | FALSE)) {
            return Err(Fault::Malformed("a list of booleans"));
        }
        // Every other element takes a byte.
        if count > self.bytes.len() as u64 {
            return Err(if count > i32::MAX as u64 {
                Fault::Malformed("a list of more than 2^31 elements")
            } else {
                Fault::Ends
            });
        }
        for _ in 0..count {
            for &(wire, kind) in kinds {
                self.value(wire, kind, depth)?;
            }
        }
        Ok(())
    }

    /// The row groups, and where they stand.
    fn row_groups(&mut self, start: usize, count: u64, wire: u8, depth: usize) -> Result<(), Fault> {
        if count > MOST_GROUPS {
            return Err(Fault::Malformed("more than 2^20 row groups"));
        }
        let mut each = Vec::new();
        for _ in 0..count {
            let start = self.position();
            self.elements(1, &[(wire, Some(Struct(ROW_GROUP)))], depth)?;
            each.push(start..self.position());
        }
        self.groups = Groups { list: start..self.position(), each };
        Ok(())
    }

    /// The elements of the schema, of which each says how many of the next ones are below it.
    fn schema(&mut self, count: u64, wire: u8, depth: usize) -> Result<(), Fault> {
        // For each element above the next one, how many are still to come directly below it.
        let mut above: Vec<i32> = Vec::new();
        for _ in 0..count {
            self.children = 0;
            self.elements(1, &[(wire, Some(Struct(SCHEMA_ELEMENT)))], depth)?;
            while above.last() == Some(&0) {
                above.pop();
            }
            if let Some(left) = above.last_mut() {
                *left -= 1;
            }
            if self.children > 0 {
                above.push(self.children);
            }
            if above.len() > DEEPEST_SCHEMA {
                return Err(Fault::Malformed("its columns nest too deep"));
            }
        }
        Ok(())
    }
}

/// A signed number, of which the protocol keeps the sign in the lowest bit. The reader drops bits that are too many for the
/// field's type, and so do those who ask here.
fn unfolded(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

const OTHER_TYPE: Fault = Fault::Malformed("a field is of another type than the format says");

/// Whether bytes of this type are what the reader takes for a value of the kind.
fn has_type(kind: FieldKind, wire: u8) -> bool {
    match kind {
        Flag => matches!(wire, TRUE | FALSE),
        Byte => wire == BYTE,
        Integer | Children | PageType | PageBytes | PackedBytes => (4..=6).contains(&wire),
        Double => wire == DOUBLE,
        Binary => wire == BINARY,
        List(_) | Schema | RowGroups => wire == LIST,
        Struct(_) => wire == STRUCT,
    }
}
