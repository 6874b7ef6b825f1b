//! Which of the wanted columns a file or batch has, and what to say where one is missing.

use std::path::Path;

use arrow::datatypes::{DataType, Schema};

use crate::error::{Error, Invariant, Result};
use crate::read::{Column, SLATE_FIELDS, Shape, Wanted};

/// Whether a source's format can hold lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lists {
    Possible,
    Impossible,
}

/// The columns to read of a source: the day, unless its path gives it, and the first layout that the source has in full.
///
/// Where no layout fits, the error is the first column that the first possible layout misses.
pub(super) fn choose(
    wanted: &Wanted,
    day_in_path: bool,
    lists: Lists,
    has: impl Fn(&Column) -> bool,
) -> Result<Vec<Column>, Column> {
    let flat = |layout: &[Column]| layout.iter().all(|column| column.shape == Shape::Scalar);
    let possible = || wanted.layouts.iter().filter(|layout| lists == Lists::Possible || flat(layout));
    let Some(layout) = possible().find(|layout| layout.iter().all(&has)) else {
        let first = possible().next().or_else(|| wanted.layouts.first());
        let missing = first.and_then(|layout| layout.iter().find(|column| !has(column)).or_else(|| layout.first()));
        return Err(missing.cloned().unwrap_or_else(|| day(wanted)));
    };
    if day_in_path {
        return Ok(layout.clone());
    }
    let day = day(wanted);
    if !has(&day) {
        return Err(day);
    }
    Ok(std::iter::once(day).chain(layout.iter().cloned()).collect())
}

/// The columns of all layouts, each once, and the day, unless the path gives it.
pub(super) fn all_columns(wanted: &Wanted, day_in_path: bool) -> Vec<Column> {
    let mut columns = if day_in_path { Vec::new() } else { vec![day(wanted)] };
    for column in wanted.layouts.iter().flatten() {
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    columns
}

fn day(wanted: &Wanted) -> Column {
    Column { name: wanted.day_column.clone(), shape: Shape::Scalar }
}

/// As [`choose`], of a source with an Arrow schema; the places of the columns in it.
pub(super) fn choose_fields(
    wanted: &Wanted,
    day_in_path: bool,
    schema: &Schema,
    file: Option<&Path>,
) -> Result<Vec<(usize, Column)>> {
    let has = |column: &Column| find(schema, column).is_some();
    match choose(wanted, day_in_path, Lists::Possible, has) {
        Ok(columns) => {
            refuse_two(wanted, file, &columns, schema.fields().iter().map(|field| field.name().as_str()))?;
            let place = |column: Column| {
                let place = find(schema, &column).invariant("a chosen column is there")?;
                Ok((place, column))
            };
            columns.into_iter().map(place).collect()
        }
        Err(column) => Err(match schema.column_with_name(&column.name) {
            // It is there, but holds no lists of items.
            Some((_, field)) => Error::ColumnType {
                table: wanted.table.clone(),
                file: file.map(Path::to_owned),
                column: column.name,
                found: field.data_type().to_string(),
                expected: "a list of structs with the fields `item_id` and `is_order`",
            },
            None => missing(wanted, file, column, schema.fields().iter().map(|field| field.name().clone()).collect()),
        }),
    }
}

/// Refuses columns that are to be read and have a name that two columns of the source have.
pub(super) fn refuse_two<'a>(
    wanted: &Wanted,
    file: Option<&Path>,
    columns: &[Column],
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<()> {
    match columns.iter().find(|column| names.clone().filter(|name| *name == column.name).count() > 1) {
        None => Ok(()),
        Some(column) => Err(Error::TwoColumns {
            table: wanted.table.clone(),
            file: file.map(Path::to_owned),
            column: column.name.clone(),
        }),
    }
}

/// The error for a column that is not there.
pub(super) fn missing(wanted: &Wanted, file: Option<&Path>, column: Column, present: Vec<String>) -> Error {
    Error::MissingColumn {
        table: wanted.table.clone(),
        from_folder: file.is_some() && column.name == wanted.day_column,
        file: file.map(Path::to_owned),
        column: column.name,
        present,
    }
}

fn find(schema: &Schema, column: &Column) -> Option<usize> {
    let (place, field) = schema.column_with_name(&column.name)?;
    (column.shape == Shape::Scalar || is_slate(field.data_type())).then_some(place)
}

fn is_slate(data_type: &DataType) -> bool {
    let (DataType::List(element)
    | DataType::LargeList(element)
    | DataType::FixedSizeList(element, _)
    | DataType::ListView(element)
    | DataType::LargeListView(element)) = data_type
    else {
        return false;
    };
    match element.data_type() {
        DataType::Struct(fields) => SLATE_FIELDS.iter().all(|name| fields.find(name).is_some()),
        _ => false,
    }
}

/// The columns that are worth reading of a table of which only the columns' names are known yet.
///
/// # Errors
/// [`Error::MissingColumn`] when no types could make the table one that is wanted.
pub fn columns_by_name(wanted: &Wanted, names: &[String]) -> Result<Vec<String>> {
    let has = |column: &Column| names.contains(&column.name);
    if let Err(column) = choose(wanted, false, Lists::Possible, has) {
        return Err(missing(wanted, None, column, names.to_vec()));
    }
    Ok(all_columns(wanted, false).into_iter().filter(has).map(|column| column.name).collect())
}
