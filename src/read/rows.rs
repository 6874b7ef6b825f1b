//! Objects of JSON as rows of columns, in one pass: wanted values are copied as text, all else is passed.
//!
//! A column is a tree: text below objects and lists. An absent key is null, and so is a null. Which key is a column is looked up once
//! for each place in an object, as most objects have the same keys in the same order.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, NullBufferBuilder, RecordBatch, RecordBatchOptions, StructArray};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;

use crate::error::quoted;
use crate::read::scan::{Known, NotJson, Scan};
use crate::read::text_column::{Ends, Texts};
use crate::read::{Column, Shape};

/// Rows that are being read.
pub(super) struct Rows<'a> {
    top: Node<'a>,
    count: usize,
}

/// Why an object is no row.
pub(super) enum Fault {
    NotJson,
    /// What is wrong with it is this.
    Wrong(String),
}

impl From<NotJson> for Fault {
    fn from(NotJson: NotJson) -> Self {
        Self::NotJson
    }
}

/// An object's columns.
struct Node<'a> {
    fields: Vec<Values<'a>>,
    /// The keys of the last objects by their places in them, and what they are: each with what stands around it, from the value before
    /// it to the one behind it.
    keys: Vec<(Known, Key)>,
    /// Its objects so far.
    count: usize,
    nulls: NullBufferBuilder,
}

/// What a key is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    /// The column at a place.
    Column(usize),
    /// The column at a place, but for case.
    OtherCase(usize),
    Unwanted,
}

/// The values of a column.
struct Values<'a> {
    column: &'a Column,
    /// Where each list ends, where they are lists.
    lists: Option<Ends>,
    kind: Kind<'a>,
    /// The objects that have one, from the first on.
    count: usize,
}

enum Kind<'a> {
    Text(Texts),
    Object(Node<'a>),
}

/// Keys of which it is remembered what they are.
const KEYS_KNOWN: usize = 256;

impl<'a> Rows<'a> {
    /// Rows of some columns, about as many as `count`.
    pub(super) fn new(columns: &'a [Column], count: usize) -> Self {
        Self { top: Node::new(columns, count), count: 0 }
    }

    /// Reads a text that is one object, or blank.
    pub(super) fn read(&mut self, object: &str) -> Result<Option<u64>, Fault> {
        let mut scan = Scan::new(object);
        if scan.is_at_end() {
            return Ok(None);
        }
        let seen = self.object(&mut scan)?;
        if scan.is_at_end() { Ok(Some(seen)) } else { Err(Fault::NotJson) }
    }

    /// Reads a line of a text, which is one object, or blank.
    #[inline]
    pub(super) fn read_line(&mut self, scan: &mut Scan<'_>) -> Result<Option<u64>, Fault> {
        if scan.ends_line() {
            return Ok(None);
        }
        let seen = self.object(scan)?;
        if scan.ends_line() { Ok(Some(seen)) } else { Err(Fault::NotJson) }
    }

    /// Reads an object. Gives the columns that it has, each as a bit, the first as the lowest; there are bits for 64.
    #[inline]
    fn object(&mut self, scan: &mut Scan<'_>) -> Result<u64, Fault> {
        scan.pass(b'{')?;
        self.count += 1;
        self.top.read(scan)
    }

    /// The rows, or `None` where there are none.
    pub(super) fn finish(self, schema: SchemaRef) -> Result<Option<RecordBatch>, ArrowError> {
        if self.count == 0 {
            return Ok(None);
        }
        let columns = self.top.fields.into_iter().map(Values::finish).collect::<Result<Vec<ArrayRef>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        RecordBatch::try_new_with_options(schema, columns, &options).map(Some)
    }
}

impl<'a> Node<'a> {
    fn new(columns: &'a [Column], count: usize) -> Self {
        let fields = columns.iter().map(|column| Values::new(column, count)).collect();
        Self { fields, keys: Vec::new(), count: 0, nulls: NullBufferBuilder::new(count) }
    }

    /// Reads what is behind the bracket that opens an object.
    fn read(&mut self, scan: &mut Scan<'_>) -> Result<u64, Fault> {
        self.count += 1;
        self.nulls.append_non_null();
        let (mut number, mut seen) = (0, 0);
        // Mostly empty, and then nothing is allocated.
        let mut in_other_case = Vec::new();
        while let Some(key) = self.key(number, scan)? {
            match key {
                Key::Unwanted => scan.value()?,
                Key::OtherCase(place) => {
                    in_other_case.push(place);
                    scan.value()?;
                }
                Key::Column(place) => {
                    let Some(values) = self.fields.get_mut(place) else { return Err(Fault::NotJson) };
                    if values.count == self.count {
                        let name = &values.column.name;
                        return Err(Fault::Wrong(format!("the key `{name}` twice in one object")));
                    }
                    values.read(scan)?;
                    seen |= 1u64.checked_shl(place as u32).unwrap_or(0);
                }
            }
            number += 1;
        }
        for place in in_other_case {
            let Some(values) = self.fields.get(place) else { continue };
            // Beside a key that is spelled as it is wanted, those of another case are other keys.
            if values.count < self.count || values.column.name != values.column.wanted {
                return Err(Fault::Wrong("a key in another case than those before it".to_owned()));
            }
        }
        for values in &mut self.fields {
            if values.count < self.count {
                values.null();
            }
        }
        Ok(seen)
    }

    /// What the key at a place in an object is, which is passed; `None` behind the last one.
    #[inline]
    fn key(&mut self, number: usize, scan: &mut Scan<'_>) -> Result<Option<Key>, NotJson> {
        match self.keys.get(number) {
            Some((known, what)) if scan.pass_if(known) => Ok(Some(*what)),
            _ => self.other_key(number, scan),
        }
    }

    fn other_key(&mut self, number: usize, scan: &mut Scan<'_>) -> Result<Option<Key>, NotJson> {
        let start = scan.place();
        if !scan.goes_on(number == 0, b'}')? {
            return Ok(None);
        }
        let key = scan.key()?;
        let name = scan.text_of(key).ok_or(NotJson)?;
        let place_of = |is: &dyn Fn(&str) -> bool| self.fields.iter().position(|values| is(&values.column.name));
        let exact = place_of(&|column| *column == *name).map(Key::Column);
        let other_case = || place_of(&|column| column.eq_ignore_ascii_case(&name)).map(Key::OtherCase);
        let what = exact.or_else(other_case).unwrap_or(Key::Unwanted);
        scan.peek();
        let known = (Known::new(scan.since(start)?.as_bytes()), what);
        if let Some(there) = self.keys.get_mut(number) {
            *there = known;
        } else if number == self.keys.len() && number < KEYS_KNOWN {
            self.keys.push(known);
        }
        Ok(Some(what))
    }

    fn null(&mut self) {
        self.count += 1;
        self.nulls.append_null();
        self.fields.iter_mut().for_each(Values::null);
    }
}

impl<'a> Values<'a> {
    fn new(column: &'a Column, count: usize) -> Self {
        let lists = (column.shape == Shape::Many).then(|| Ends::new(count));
        let kind = if column.fields.is_empty() {
            Kind::Text(Texts::new(count))
        } else {
            Kind::Object(Node::new(&column.fields, count))
        };
        Self { column, lists, kind, count: 0 }
    }

    /// Reads the value of an object.
    #[inline]
    fn read(&mut self, scan: &mut Scan<'_>) -> Result<(), Fault> {
        self.count += 1;
        let Some(lists) = &mut self.lists else { return self.kind.read(scan, self.column) };
        match scan.peek() {
            Some(b'[') => {
                scan.step();
                let mut is_first = true;
                while scan.goes_on(is_first, b']')? {
                    self.kind.read(scan, self.column)?;
                    is_first = false;
                }
                lists.push(self.kind.len());
            }
            Some(b'n') => {
                scan.literal()?;
                lists.null();
            }
            _ => return Err(wrong(self.column, "a list", scan)),
        }
        Ok(())
    }

    /// An object has none.
    fn null(&mut self) {
        self.count += 1;
        match &mut self.lists {
            Some(lists) => lists.null(),
            None => self.kind.null(),
        }
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        let values = self.kind.finish()?;
        let Some(ends) = self.lists else { return Ok(values) };
        let (offsets, nulls) = ends.finish();
        let element = Field::new_list_field(values.data_type().clone(), true);
        Ok(Arc::new(ListArray::try_new(Arc::new(element), offsets, values, nulls)?))
    }
}

impl Kind<'_> {
    #[inline]
    fn read(&mut self, scan: &mut Scan<'_>, column: &Column) -> Result<(), Fault> {
        let Some(byte) = scan.peek() else { return Err(Fault::NotJson) };
        match (self, byte) {
            (Self::Text(texts), b'"') => {
                scan.step();
                let string = scan.string()?;
                match string.plain() {
                    Some(place) => texts.push_front(scan.bytes_from(place.start), place.len()),
                    None => texts.push(scan.text_of(string).ok_or_else(|| half_a_pair(column))?.as_bytes()),
                }
                Ok(())
            }
            (Self::Text(texts), b'n') => {
                scan.literal()?;
                texts.null();
                Ok(())
            }
            (Self::Text(_), b'{' | b'[') => Err(wrong(column, "one value", scan)),
            (Self::Text(texts), _) => {
                let place = scan.literal()?;
                texts.push_front(scan.bytes_from(place.start), place.len());
                Ok(())
            }
            (Self::Object(node), b'{') => {
                scan.step();
                node.read(scan).map(drop).map_err(|fault| below(column, fault))
            }
            (Self::Object(node), b'n') => {
                scan.literal()?;
                node.null();
                Ok(())
            }
            (Self::Object(_), _) => Err(wrong(column, "an object", scan)),
        }
    }

    fn null(&mut self) {
        match self {
            Self::Text(texts) => texts.null(),
            Self::Object(node) => node.null(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(texts) => texts.len(),
            Self::Object(node) => node.count,
        }
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Text(texts) => Arc::new(texts.finish()?),
            Self::Object(mut node) => {
                let fields = node.fields.iter().map(|values| values.column.field()).collect();
                let columns = node.fields.into_iter().map(Values::finish).collect::<Result<Vec<ArrayRef>, _>>()?;
                Arc::new(StructArray::try_new(fields, columns, node.nulls.finish())?)
            }
        })
    }
}

impl Column {
    /// The type as which the column is read: text, whatever it holds.
    pub(super) fn field(&self) -> Field {
        let data_type = if self.fields.is_empty() {
            DataType::Utf8
        } else {
            DataType::Struct(self.fields.iter().map(Self::field).collect())
        };
        let data_type = if self.shape == Shape::Many { DataType::new_list(data_type, true) } else { data_type };
        Field::new(&self.name, data_type, true)
    }
}

/// A value that is something else than its column has.
fn wrong(column: &Column, expected: &str, scan: &mut Scan<'_>) -> Fault {
    scan.peek();
    let start = scan.place();
    let Ok(value) = scan.value().and_then(|()| scan.since(start)) else { return Fault::NotJson };
    let value = spaced(value);
    let is_no_number = matches!(value.as_str(), "\"NaN\"" | "\"Infinity\"" | "\"-Infinity\"");
    let advice = if is_no_number { "; write null where there is none" } else { "" };
    Fault::Wrong(format!("column `{}`: expected {expected}, found: {}{advice}", column.name, quoted(&value)))
}

fn half_a_pair(column: &Column) -> Fault {
    Fault::Wrong(format!("column `{}`: half a surrogate pair in a text", column.name))
}

/// A fault of a column below another one is told with the path to it.
fn below(column: &Column, fault: Fault) -> Fault {
    match fault {
        Fault::Wrong(problem) => Fault::Wrong(match problem.strip_prefix("column `") {
            Some(rest) => format!("column `{}.{rest}", column.name),
            None => problem,
        }),
        Fault::NotJson => fault,
    }
}

/// JSON with a space behind each colon and comma, and no other.
fn spaced(value: &str) -> String {
    let (mut text, mut is_string, mut is_escaped) = (String::with_capacity(value.len()), false, false);
    for character in value.chars() {
        if is_string || !character.is_ascii_whitespace() {
            text.push(character);
        }
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_string,
            '"' => is_string = !is_string,
            ':' | ',' if !is_string => text.push(' '),
            _ => {}
        }
    }
    text
}
