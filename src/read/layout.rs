//! Which of the wanted columns a file or batch has, where they are, and what to say where one is missing.
//!
//! A column is a name, or a path such as `a.b` into structs and through lists. One list of a table holds its items, and a file that
//! lacks it may have the columns of its elements as columns of its own: `impressions.item_id` is then found as `item_id`.

use std::path::Path;

use arrow::datatypes::{DataType, Fields, Schema};

use crate::error::{Error, Invariant, Result};
use crate::read::{Column, Projection, Shape};

/// Whether a source's format can hold lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lists {
    Possible,
    Impossible,
}

/// The columns to read of a source, as it has them: all that are wanted, those of the list of items either in it or beside it, and
/// the day, unless its path gives it.
///
/// Where one is not there, the error is the first of them.
pub(super) fn choose(
    wanted: &Projection,
    day_in_path: bool,
    lists: Lists,
    has: impl Fn(&str) -> bool,
) -> Result<Vec<String>, String> {
    let in_list = || wanted.columns.iter().filter_map(|column| Some((column, wanted.flat(column)?)));
    let is_flat = !in_list().all(|(column, _)| has(column)) && in_list().all(|(_, flat)| has(flat));
    let as_found = |column: &String| {
        let flat = wanted.flat(column).filter(|_| is_flat || (lists == Lists::Impossible && !has(column)));
        flat.map_or_else(|| column.clone(), ToOwned::to_owned)
    };
    let mut columns: Vec<String> = wanted.columns.iter().map(as_found).collect();
    if let Some(missing) = columns.iter().find(|column| !has(column)) {
        return Err(missing.clone());
    }
    if let Some(day) = wanted.day_column().filter(|_| !day_in_path) {
        if !has(day) {
            return Err(day.to_owned());
        }
        columns.insert(0, day.to_owned());
    }
    Ok(columns)
}

/// The columns of JSON, as trees: those of the list of items in it and beside it, and the day, unless the path gives it. Of some of
/// its keys it is known how they are spelled.
pub(super) fn all_columns(wanted: &Projection, day_in_path: bool, keys: &[String]) -> Vec<Column> {
    let mut columns = Vec::new();
    let day = wanted.day_column().filter(|_| !day_in_path);
    let flat = || wanted.columns.iter().filter_map(|column| wanted.flat(column));
    for path in day.into_iter().chain(wanted.columns.iter().map(String::as_str)).chain(flat()) {
        let key = |name: &str| find_name(keys.iter().map(String::as_str), name).and_then(|place| keys.get(place));
        match (key(path), path.split_once('.')) {
            // A key of its own, whatever is in it.
            (Some(key), _) => column(&mut columns, key, path),
            (None, Some((root, below))) => {
                let name = key(root).map_or(root, String::as_str);
                add(&mut column(&mut columns, name, root).fields, below);
                continue;
            }
            (None, None) => column(&mut columns, path, path),
        };
    }
    // Beside the list they are values: nobody has to look for them in every line of a file of lists.
    for known in columns.iter_mut().filter(|known| flat().any(|flat| flat == known.wanted)) {
        known.shape = Shape::One;
    }
    columns
}

/// Adds a path to a tree of columns.
fn add(columns: &mut Vec<Column>, path: &str) {
    match path.split_once('.') {
        Some((name, below)) => add(&mut column(columns, name, name).fields, below),
        None => {
            column(columns, path, path);
        }
    }
}

/// The column of a name, which is added where it is not there, with the name by which it is wanted.
fn column<'a>(columns: &'a mut Vec<Column>, name: &str, wanted: &str) -> &'a mut Column {
    let place = columns.iter().position(|column| column.name == name).unwrap_or_else(|| {
        let (name, wanted) = (name.to_owned(), wanted.to_owned());
        columns.push(Column { name, wanted, shape: Shape::Unknown, fields: Vec::new() });
        columns.len() - 1
    });
    &mut columns[place]
}

/// The columns of a source that has them by the names of a schema: their roots' places in it, and what is wanted below each.
///
/// # Errors
/// [`Error::MissingColumn`], [`Error::ColumnType`] where a list of items has other elements, [`Error::TwoColumns`].
pub(super) fn choose_fields(
    wanted: &Projection,
    day_in_path: bool,
    schema: &Schema,
    file: Option<&Path>,
) -> Result<Vec<(usize, Column)>> {
    let fields = schema.fields();
    let chosen = choose(wanted, day_in_path, Lists::Possible, |path| resolve(fields, path).is_some());
    let paths = chosen.map_err(|path| not_found(wanted, file, path, schema))?;
    let mut columns: Vec<(usize, Column)> = Vec::new();
    for path in paths {
        let places = resolve(fields, &path).invariant("a chosen column is there")?;
        let (&root, below) = places.split_first().invariant("a column has a root")?;
        let field = fields.get(root).invariant("a chosen column is there")?;
        let place = columns.iter().position(|(place, _)| *place == root).unwrap_or_else(|| {
            let (name, wanted) = (field.name().clone(), field.name().clone());
            columns.push((root, Column { name, wanted, shape: Shape::Unknown, fields: Vec::new() }));
            columns.len() - 1
        });
        add_below(&mut columns[place].1, field.data_type(), below);
    }
    refuse_two(wanted, file, &columns, fields.iter().map(|field| field.name().as_str()))?;
    Ok(columns)
}

/// Adds to a column what is wanted below it.
fn add_below(column: &mut Column, data_type: &DataType, places: &[usize]) {
    let Some((&place, below)) = places.split_first() else { return };
    let Some(field) = struct_fields(data_type).and_then(|fields| fields.get(place)) else { return };
    add_below(self::column(&mut column.fields, field.name(), field.name()), field.data_type(), below);
}

/// Where a column is: the place of its root, and of the field in each struct on the way.
///
/// Names match exactly, or else without case where that is one column.
pub(crate) fn resolve(fields: &Fields, path: &str) -> Option<Vec<usize>> {
    if let Some(place) = find(fields, path) {
        return Some(vec![place]);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (name, below) = (path.get(..dot)?, path.get(dot + 1..)?);
        let place = find(fields, name)?;
        let mut places = resolve(struct_fields(fields.get(place)?.data_type())?, below)?;
        places.insert(0, place);
        Some(places)
    })
}

fn find(fields: &Fields, name: &str) -> Option<usize> {
    find_name(fields.iter().map(|field| field.name().as_str()), name)
}

/// The place of a name: the first that is the same, or else the only one that is the same without case.
pub(super) fn find_name<'a>(names: impl Iterator<Item = &'a str> + Clone, name: &str) -> Option<usize> {
    names.clone().position(|known| known == name).or_else(|| {
        let mut same = names.enumerate().filter(|(_, known)| known.eq_ignore_ascii_case(name));
        let (place, _) = same.next()?;
        same.next().is_none().then_some(place)
    })
}

/// The fields of structs, also of those in a list.
fn struct_fields(data_type: &DataType) -> Option<&Fields> {
    match element_type(data_type).unwrap_or(data_type) {
        DataType::Struct(fields) => Some(fields),
        _ => None,
    }
}

/// The type of the elements of lists.
pub(crate) fn element_type(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::ListView(element)
        | DataType::LargeListView(element) => Some(element.data_type()),
        _ => None,
    }
}

/// Refuses columns that are to be read and have a name that two columns of the source have.
fn refuse_two<'a>(
    wanted: &Projection,
    file: Option<&Path>,
    columns: &[(usize, Column)],
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<()> {
    match columns.iter().find(|(_, column)| names.clone().filter(|name| *name == column.name).count() > 1) {
        None => Ok(()),
        Some((_, column)) => Err(Error::TwoColumns {
            table: wanted.table.clone(),
            file: file.map(Path::to_owned),
            column: column.name.clone(),
        }),
    }
}

/// The columns of a source of flat columns, such as CSV: the place of each, and the name by which it is wanted.
///
/// # Errors
/// [`Error::MissingColumn`], [`Error::TwoColumns`].
pub(super) fn choose_flat(
    wanted: &Projection,
    day_in_path: bool,
    names: &[String],
    file: &Path,
) -> Result<Vec<(usize, String)>> {
    let place = |path: &str| find_name(names.iter().map(String::as_str), path);
    let chosen = choose(wanted, day_in_path, Lists::Impossible, |path| place(path).is_some());
    let paths = chosen.map_err(|path| missing(wanted, Some(file), path, names.to_vec()))?;
    let mut columns = Vec::with_capacity(paths.len());
    for path in paths {
        let place = place(&path).invariant("a column that was chosen is there")?;
        let name = names.get(place).invariant("a column that was chosen is there")?;
        if names.iter().filter(|known| *known == name).count() > 1 {
            let (table, file) = (wanted.table.clone(), Some(file.to_owned()));
            return Err(Error::TwoColumns { table, file, column: name.clone() });
        }
        if columns.iter().all(|(known, _)| *known != place) {
            columns.push((place, name.clone()));
        }
    }
    Ok(columns)
}

/// The error for a column that is not there, or is in a list of items with other elements.
fn not_found(wanted: &Projection, file: Option<&Path>, path: String, schema: &Schema) -> Error {
    let present = || schema.fields().iter().map(|field| field.name().clone()).collect();
    let list = wanted.list.as_deref().filter(|_| wanted.flat(&path).is_some());
    match list.and_then(|list| find(schema.fields(), list)) {
        Some(place) => {
            let field = schema.field(place);
            Error::ColumnType {
                table: wanted.table.clone(),
                file: file.map(Path::to_owned),
                column: field.name().clone(),
                found: field.data_type().to_string(),
                expected: wanted.list_of_items().into(),
            }
        }
        None => missing(wanted, file, path, present()),
    }
}

/// The error for a column that is not there: of the list of items it is the list.
pub(super) fn missing(wanted: &Projection, file: Option<&Path>, path: String, present: Vec<String>) -> Error {
    let list = wanted.list.as_ref().filter(|_| wanted.flat(&path).is_some());
    Error::MissingColumn {
        table: wanted.table.clone(),
        from_folder: file.is_some() && wanted.day_column() == Some(&path),
        file: file.map(Path::to_owned),
        column: list.cloned().unwrap_or(path),
        present,
    }
}

/// The columns that are worth reading of a table of which only the columns' names are known yet.
///
/// # Errors
/// [`Error::MissingColumn`] when no types could make the table one that is wanted.
pub fn columns_by_name(wanted: &Projection, names: &[String]) -> Result<Vec<String>> {
    let known = |path: &str| by_key(names.iter().map(String::as_str), path);
    if let Err(path) = choose(wanted, false, Lists::Possible, |path| known(path).is_some()) {
        return Err(missing(wanted, None, path, names.to_vec()));
    }
    let flat = wanted.columns.iter().filter_map(|column| wanted.flat(column));
    let all = wanted.day_column().into_iter().chain(wanted.columns.iter().map(String::as_str)).chain(flat);
    let mut columns: Vec<String> = Vec::new();
    for name in all.filter_map(|path| names.get(known(path)?)) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    Ok(columns)
}

/// The place among keys of the one that holds a column: of the path's own name, or of its root.
fn by_key<'a>(keys: impl Iterator<Item = &'a str> + Clone, path: &str) -> Option<usize> {
    let root = path.split_once('.').map(|(root, _)| root);
    find_name(keys.clone(), path).or_else(|| find_name(keys, root?))
}
