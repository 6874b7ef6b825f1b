//! Rows of tables to samples and actions: lists are walked, texts are split, and what `where` leaves out is passed over.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use shardback::event::Day;
use shardback::schema::{
    ActionTable, Cutoff, DayOf, Filter, Kept, Label, LabelOf, POSITION, SampleTable, Schema, Source, Split, TimeOf,
    TypeOf, ValueType,
};

use super::values::{Checked, id, is_one_of, number, request_id};
use super::{BadRow, Done, File, MICROS_PER_DAY, Number, Sample, Seen, Shown, feature_columns, has_wide_items, times};

/// The samples of a table.
pub(super) fn samples(schema: &Schema, files: &[File], wide: bool, bad: &mut BTreeSet<BadRow>) -> Vec<Shown> {
    let table = &schema.samples;
    let columns = sample_columns(schema, table);
    let mut all = Vec::new();
    let key =
        |row: &Element<'_>| check_key(schema, &table.customer, &table.day, table.time.as_ref(), row).map(|()| true);
    each_element(&table.source, &columns, files, 0, bad, key, |element| {
        all.push(sample(schema, table, element, has_wide_items(schema, wide))?);
        Ok(())
    });
    all
}

/// The actions of a table, given by its place in the description.
pub(super) fn actions(
    schema: &Schema,
    number: usize,
    files: &[File],
    wide: bool,
    bad: &mut BTreeSet<BadRow>,
) -> Vec<Done> {
    let table = &schema.actions[number];
    let columns = action_columns(table);
    let mut all = Vec::new();
    let key = |row: &Element<'_>| {
        let is_ignored = row.has(type_column(&table.kind)) && kind(&table.kind, row)?.is_none();
        if is_ignored {
            return Ok(false);
        }
        check_key(schema, &table.customer, &table.day, table.time.as_ref(), row).map(|()| true)
    };
    each_element(&table.source, &columns, files, number + 1, bad, key, |element| {
        all.extend(action(schema, table, element, has_wide_items(schema, wide))?);
        Ok(())
    });
    all
}

fn sample(schema: &Schema, table: &SampleTable, element: &Element<'_>, wide: bool) -> Checked<Shown> {
    let time = table.time.as_ref().filter(|_| needs_time(schema, table));
    let time = time.map_or(Ok(None), |of| times::time(element.get(&of.column), of))?;
    let day = day(&table.day, table.time.as_ref(), time, element)?;
    if schema.history.cutoff == Cutoff::Time && time.is_none() {
        return Err("the time is null");
    }
    let request = table.request.as_ref().map(|column| request_id(element.get(column))).transpose()?;
    let customer = id(element.get(&table.customer), schema.customer_ids)?;
    let item = item(element.get(&table.item), schema, wide)?;
    let labels = table.labels.iter().map(|of| label(of, schema, &table.source, element, item));
    let labels = labels.collect::<Checked<Vec<Number>>>()?;
    let kept = table.kept.iter().map(|column| kept(column, element)).collect::<Checked<Vec<Number>>>()?;
    Ok(Shown { day, customer, time, request, place: element.place, sample: Sample { item, labels, kept } })
}

/// `None` is an action that is passed over.
fn action(schema: &Schema, table: &ActionTable, element: &Element<'_>, wide: bool) -> Checked<Option<Done>> {
    let Some(kind) = kind(&table.kind, element)? else { return Ok(None) };
    let time = table.time.as_ref().map_or(Ok(None), |of| times::time(element.get(&of.column), of))?;
    let day = day(&table.day, table.time.as_ref(), time, element)?;
    let time = match (&table.time, schema.history.cutoff) {
        (Some(_), Cutoff::Day) => time,
        (Some(_), Cutoff::Time) => Some(time.ok_or("the time is null")?),
        (None, Cutoff::Day) => Some(day.midnight()),
        (None, Cutoff::Time) => Some(day.midnight() + MICROS_PER_DAY - 1),
    };
    let customer = id(element.get(&table.customer), schema.customer_ids)?;
    let item = item(element.get(&table.item), schema, wide)?;
    let features = feature_columns(schema).into_iter().map(|column| {
        let own = table.features.iter().find(|own| own.name == column.name);
        own.map_or_else(|| number(&Value::Null, column.dtype, column.null), |own| kept(own, element))
    });
    let features = features.collect::<Checked<Vec<Number>>>()?;
    Ok(Some(Done { day, customer, action: Seen { item, kind, time, features } }))
}

/// The type; `None` is one that is passed over.
fn kind(of: &TypeOf, element: &Element<'_>) -> Checked<Option<u8>> {
    match of {
        TypeOf::Constant(kind) => Ok(Some(*kind)),
        TypeOf::Column { column, values, ignore_others } => {
            let value = element.get(column);
            match values.iter().find(|(text, _)| is_one_of(value, std::slice::from_ref(text))) {
                Some(&(_, kind)) => Ok(Some(kind)),
                None if *ignore_others => Ok(None),
                None => Err("the type is not listed"),
            }
        }
    }
}

fn type_column(of: &TypeOf) -> &str {
    match of {
        TypeOf::Constant(_) => "",
        TypeOf::Column { column, .. } => column,
    }
}

/// What is looked at once for a row, so that it is bad also where its list is empty: the day and the customer.
fn check_key(schema: &Schema, customer: &str, of: &DayOf, time_of: Option<&TimeOf>, row: &Element<'_>) -> Checked<()> {
    match (of, time_of) {
        (DayOf::Time { .. }, Some(time_of)) if row.has(&time_of.column) => {
            day(of, Some(time_of), times::time(row.get(&time_of.column), time_of)?, row)?;
        }
        (DayOf::Column { column, .. }, _) if row.has(column) => {
            day(of, time_of, None, row)?;
        }
        (DayOf::Path(_), _) => {
            day(of, time_of, None, row)?;
        }
        (DayOf::Time { .. } | DayOf::Column { .. }, _) => {}
    }
    if row.has(customer) { id(row.get(customer), schema.customer_ids).map(|_| ()) } else { Ok(()) }
}

/// A cut-off at the day asks for the time of a sample only where the day is made of it.
fn needs_time(schema: &Schema, table: &SampleTable) -> bool {
    schema.history.cutoff == Cutoff::Time || matches!(table.day, DayOf::Time { .. })
}

fn item(value: &Value, schema: &Schema, wide: bool) -> Checked<i64> {
    let item = id(value, schema.item_ids)?;
    // Padding is 0, and a hash has to be told from it.
    let item = if schema.item_ids == shardback::schema::Ids::Hash && item == 0 { 1 } else { item };
    if wide || i32::try_from(item).is_ok() { Ok(item) } else { Err("the item does not fit") }
}

fn day(of: &DayOf, time_of: Option<&TimeOf>, time: Option<i64>, element: &Element<'_>) -> Checked<Day> {
    match of {
        DayOf::Column { column, zone } => match folder(element.path, column) {
            Some(text) => times::day(&Value::String(text), zone.as_deref()),
            None => times::day(element.get(column), zone.as_deref()),
        },
        DayOf::Path(pattern) => times::day_in_path(element.path, pattern),
        DayOf::Time { zone } => {
            assert!(time_of.is_some(), "a description without `time` has no day of it");
            times::day_at(time.ok_or("the day is null")?, zone.as_deref())
        }
    }
}

/// What a folder `name=…` of a path says.
pub(super) fn folder(path: &str, name: &str) -> Option<String> {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders.split('/').find_map(|folder| folder.strip_prefix(name)?.strip_prefix('=').map(ToOwned::to_owned))
}

fn label(of: &Label, schema: &Schema, source: &Source, element: &Element<'_>, item: i64) -> Checked<Number> {
    let is_item = |value: &Value| id(value, schema.item_ids).is_ok_and(|id| id == item);
    match &of.of {
        LabelOf::Column { column, dtype } => number(element.get(column), *dtype, None),
        LabelOf::AtLeast { column, threshold } => match number(element.get(column), ValueType::F64, None)? {
            Number::F64(value) => Ok(Number::Bool(value >= *threshold)),
            _ => Err("no number"),
        },
        LabelOf::Is { column, values } => Ok(Number::Bool(is_one_of(element.get(column), values))),
        LabelOf::In { column } => {
            let values = match find(element.row, column, source) {
                Found::Many(values) => values,
                Found::One(value) => vec![value],
            };
            Ok(Number::Bool(values.iter().any(is_item)))
        }
        LabelOf::Equals { column } => Ok(Number::Bool(is_item(element.get(column)))),
        LabelOf::Value(value) => Ok(Number::Bool(*value)),
    }
}

fn kept(column: &Kept, element: &Element<'_>) -> Checked<Number> {
    if column.column == POSITION {
        return i32::try_from(element.place).map(Number::I32).map_err(|_| "the position does not fit");
    }
    number(element.get(&column.column), column.dtype, column.null)
}

/// The columns that are walked together: all but lists that are only looked into.
fn sample_columns(schema: &Schema, table: &SampleTable) -> Vec<String> {
    let mut columns = vec![table.customer.clone(), table.item.clone()];
    columns.extend(table.time.iter().filter(|_| needs_time(schema, table)).map(|time| time.column.clone()));
    columns.extend(day_column(&table.day));
    columns.extend(table.request.clone());
    columns.extend(table.labels.iter().filter_map(|label| match &label.of {
        LabelOf::Column { column, .. }
        | LabelOf::AtLeast { column, .. }
        | LabelOf::Is { column, .. }
        | LabelOf::Equals { column } => Some(column.clone()),
        LabelOf::In { .. } | LabelOf::Value(_) => None,
    }));
    columns.extend(table.kept.iter().map(|kept| kept.column.clone()));
    columns
}

fn action_columns(table: &ActionTable) -> Vec<String> {
    let mut columns = vec![table.customer.clone(), table.item.clone()];
    columns.extend(table.time.iter().map(|time| time.column.clone()));
    columns.extend(day_column(&table.day));
    if let TypeOf::Column { column, .. } = &table.kind {
        columns.push(column.clone());
    }
    columns.extend(table.features.iter().map(|feature| feature.column.clone()));
    columns
}

fn day_column(of: &DayOf) -> Option<String> {
    match of {
        DayOf::Column { column, .. } => Some(column.clone()),
        DayOf::Path(_) | DayOf::Time { .. } => None,
    }
}

/// One row, or one element of its lists.
struct Element<'a> {
    path: &'a str,
    row: &'a Value,
    place: usize,
    values: Vec<(&'a str, Value)>,
}

impl Element<'_> {
    /// What a column holds; null where the row has no such key.
    fn get(&self, column: &str) -> &Value {
        self.values.iter().find(|(known, _)| *known == column).map_or(&Value::Null, |(_, value)| value)
    }

    fn has(&self, column: &str) -> bool {
        self.values.iter().any(|(known, _)| *known == column)
    }

    fn passes(&self, filter: &Filter) -> bool {
        is_one_of(self.get(&filter.column), &filter.values)
    }
}

/// Calls `take` for each element that `where` lets through, unless `key` finds the row bad, or says that it is passed over.
fn each_element(
    source: &Source,
    columns: &[String],
    files: &[File],
    table: usize,
    bad: &mut BTreeSet<BadRow>,
    key: impl Fn(&Element<'_>) -> Checked<bool>,
    mut take: impl FnMut(&Element<'_>) -> Checked<()>,
) {
    let filtered = source.filters.iter().map(|filter| &filter.column);
    let columns: Vec<&str> = columns.iter().chain(filtered).map(String::as_str).filter(|&c| c != POSITION).collect();
    // A null is an empty list where other rows have lists.
    let is_list = |column: &&str| {
        let many = |row: &Value| matches!(find(row, column, source), Found::Many(_));
        files.iter().flat_map(|file| &file.rows).any(many)
    };
    let (lists, single): (Vec<&str>, Vec<&str>) = columns.iter().partition(|column| is_list(column));
    for (file_number, file) in files.iter().enumerate() {
        for (row_number, row) in file.rows.iter().enumerate() {
            let whole = Element {
                path: &file.path,
                row,
                place: 0,
                values: single.iter().map(|&column| (column, one(find(row, column, source)))).collect(),
            };
            if !source.filters.iter().filter(|filter| whole.has(&filter.column)).all(|filter| whole.passes(filter)) {
                continue;
            }
            let taken = key(&whole).and_then(|goes_on| {
                let elements = if goes_on { elements(source, &lists, &whole)? } else { Vec::new() };
                // Every good element of a row stays, whatever the others are.
                elements.iter().map(&mut take).fold(Ok(()), Result::and)
            });
            if taken.is_err() {
                bad.insert((table, file_number, row_number));
            }
        }
    }
}

/// The elements of a row's lists, walked together; the row itself where it has none.
fn elements<'a>(source: &Source, lists: &[&'a str], whole: &Element<'a>) -> Checked<Vec<Element<'a>>> {
    if lists.is_empty() {
        return Ok(vec![Element { values: whole.values.clone(), ..*whole }]);
    }
    let many = |found| match found {
        Found::Many(values) => values,
        Found::One(_) => Vec::new(),
    };
    let found: Vec<Vec<Value>> = lists.iter().map(|column| many(find(whole.row, column, source))).collect();
    let length = found[0].len();
    if found.iter().any(|values| values.len() != length) {
        return Err("the lists have different lengths");
    }
    let element = |place: usize| {
        let own = lists.iter().zip(&found).map(|(&column, values)| (column, values[place].clone()));
        Element { place, values: whole.values.iter().cloned().chain(own).collect(), ..*whole }
    };
    let of_lists = source.filters.iter().filter(|filter| lists.contains(&filter.column.as_str()));
    let passes = |element: &Element<'_>| of_lists.clone().all(|filter| element.passes(filter));
    Ok((0..length).map(element).filter(passes).collect())
}

fn one(found: Found) -> Value {
    match found {
        Found::One(value) => value,
        Found::Many(values) => Value::Array(values),
    }
}

enum Found {
    One(Value),
    Many(Vec<Value>),
}

/// What stands at a path of a row: one value, or one for each element of the list that the path goes through.
fn find(row: &Value, column: &str, source: &Source) -> Found {
    let mut at = row.clone();
    let keys: Vec<&str> = column.split('.').collect();
    for (depth, key) in keys.iter().enumerate() {
        at = below(&at, key);
        let split = source.splits.iter().find(|split| split.column == keys[..=depth].join("."));
        if let Some(split) = split {
            at = split_text(&at, split);
        }
        if let Value::Array(elements) = &at {
            let rest = &keys[depth + 1..];
            let element = |element: &Value| rest.iter().fold(element.clone(), |at, key| below(&at, key));
            return Found::Many(elements.iter().map(element).collect());
        }
    }
    Found::One(at)
}

/// A key of a struct: exact, or else without case where that is unique.
fn below(at: &Value, key: &str) -> Value {
    let Value::Object(map) = at else { return Value::Null };
    if let Some(value) = map.get(key) {
        return value.clone();
    }
    let same: Vec<&Value> = map.iter().filter(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, v)| v).collect();
    if let [one] = same[..] { one.clone() } else { Value::Null }
}

/// A text as the list that it stands for. A text that is null is a null list, an empty one is an empty list.
fn split_text(value: &Value, split: &Split) -> Value {
    let Value::String(text) = value else { return Value::Null };
    if text.is_empty() {
        return Value::Array(Vec::new());
    }
    let field = |text: &str| if text.is_empty() { Value::Null } else { Value::String(text.to_owned()) };
    let elements = text.split(split.by.as_str()).map(|element| {
        let Some(at) = &split.at else {
            // Without a name of its own an element is what the column holds.
            let is_struct = split.fields != [split.column.clone()];
            return if is_struct { object([(split.fields[0].clone(), field(element))]) } else { field(element) };
        };
        // The last fields are cut off from the end; the first has what is left.
        let mut parts: Vec<&str> = element.rsplitn(split.fields.len(), at.as_str()).collect();
        parts.reverse();
        object(split.fields.iter().cloned().zip(parts.into_iter().map(field)))
    });
    Value::Array(elements.collect())
}

fn object(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(entries.into_iter().collect::<Map<String, Value>>())
}
