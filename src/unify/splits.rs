//! Columns of text that are lists: `N1-1 N2-0` as a list of `N1`, `1` and `N2`, `0`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, RecordBatch, StringBuilder, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Schema};

use super::columns::Reader;
use super::view::{CellValue, View};
use crate::error::{Error, Invariant, Result};
use crate::read::resolve;
use crate::schema::Split;

/// A batch with its columns of text cut into lists.
pub(super) fn split(reader: &Reader<'_>, batch: &RecordBatch, splits: &[Split]) -> Result<RecordBatch> {
    let mut batch = batch.clone();
    for split in splits {
        let schema = batch.schema();
        let place = match resolve(schema.fields(), &split.column).as_deref() {
            Some(&[place]) => place,
            // Nobody asks for it.
            None => continue,
            Some(_) => return Err(Error::internal("a column that is cut is one of the table's own")),
        };
        let array = reader.unpacked(&split.column, batch.column(place))?;
        let lists = match View::of(&array) {
            Some(view) if view.is_text() || matches!(view, View::Nothing) => cut(split, &view, array.len())?,
            _ => return Err(reader.wrong_type(&split.column, &array, "text, which is cut into a list")),
        };
        let mut columns = batch.columns().to_vec();
        let mut fields: Vec<Arc<Field>> = schema.fields().to_vec();
        fields[place] = Arc::new(Field::new(fields[place].name(), lists.data_type().clone(), true));
        columns[place] = lists;
        batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).invariant("a list for each text")?;
    }
    Ok(batch)
}

/// The lists of texts: null where the text is, and empty where it is.
fn cut(split: &Split, texts: &View<'_>, rows: usize) -> Result<ArrayRef> {
    let mut fields: Vec<StringBuilder> = split.fields.iter().map(|_| StringBuilder::new()).collect();
    let (mut lengths, mut valid) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    for row in 0..rows {
        let text = match texts.get(row) {
            CellValue::Text(text) => Some(String::from_utf8_lossy(text)),
            _ => None,
        };
        valid.push(text.is_some());
        let mut length = 0;
        for element in text.iter().filter(|text| !text.is_empty()).flat_map(|text| text.split(split.by.as_str())) {
            length += 1;
            add(split, element, &mut fields);
        }
        lengths.push(length);
    }
    let arrays: Vec<ArrayRef> = fields.iter_mut().map(|field| Arc::new(field.finish()) as ArrayRef).collect();
    // Without a name of its own an element is what the column holds.
    let values = if split.fields == [split.column.clone()] {
        Arc::clone(arrays.first().invariant("an element has a field")?)
    } else {
        let fields: Fields = split.fields.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        Arc::new(StructArray::try_new(fields, arrays, None).invariant("the fields of elements are as many")?)
    };
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    let lists = ListArray::try_new(field, offsets, values, Some(NullBuffer::from(valid)));
    Ok(Arc::new(lists.invariant("the elements of lists are as many as their lengths say")?))
}

/// Adds an element: the last fields are cut off from its end, the first has what is left; one that is empty is null.
fn add(split: &Split, element: &str, fields: &mut [StringBuilder]) {
    let parts: Vec<&str> = match &split.at {
        Some(at) => element.rsplitn(fields.len(), at.as_str()).collect(),
        None => vec![element],
    };
    let mut parts = parts.into_iter().rev();
    for field in fields {
        match parts.next() {
            None | Some("") => field.append_null(),
            Some(part) => field.append_value(part),
        }
    }
}
