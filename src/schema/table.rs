//! What the tables of a description share: where they lie, and what their columns mean.

use super::fields::{Field, Fields};
use super::{
    Compression, DayOf, FileFormat, Filter, Kept, Label, LabelOf, NO_QUOTE, POSITION, Source, Split, TimeOf, Unit,
    ValueType, names,
};
use crate::error::{Error, Result, quoted};
use crate::zone::Zone;

pub(super) const UNITS: [(&str, Unit); 4] =
    [("s", Unit::Seconds), ("ms", Unit::Milliseconds), ("us", Unit::Microseconds), ("ns", Unit::Nanoseconds)];

const FORMATS: [(&str, FileFormat); 3] =
    [("parquet", FileFormat::Parquet), ("json", FileFormat::Json), ("csv", FileFormat::Csv)];

const COMPRESSIONS: [(&str, Compression); 3] =
    [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];

const DTYPES: [(&str, ValueType); 7] = [
    ("bool", ValueType::Bool),
    ("u8", ValueType::U8),
    ("i32", ValueType::I32),
    ("i64", ValueType::I64),
    ("f32", ValueType::F32),
    ("f64", ValueType::F64),
    ("hash", ValueType::Hash),
];

pub(super) fn source(fields: &mut Fields<'_>) -> Result<Source> {
    let texts = |field: Option<Field<'_>>| field.map(|field| field.texts()).transpose();
    let source = Source {
        paths: texts(fields.get("path"))?.unwrap_or_default(),
        format: fields.get("format").map(|field| field.one_of(&FORMATS)).transpose()?,
        compression: fields.get("compression").map(|field| field.one_of(&COMPRESSIONS)).transpose()?,
        delimiter: fields.get("delimiter").map(|field| field.text().map(ToOwned::to_owned)).transpose()?,
        quote: fields.get("quote").map(|field| quote(&field)).transpose()?,
        escape: fields.get("escape").map(|field| field.character()).transpose()?,
        nulls: texts(fields.get("nulls"))?.unwrap_or_default(),
        columns: texts(fields.get("columns"))?,
        splits: fields.get("split").map_or(Ok(Vec::new()), |field| splits(&field))?,
        filters: fields.get("where").map_or(Ok(Vec::new()), |field| filters(&field))?,
    };
    // What only CSV has makes no sense of another format.
    if let Some(format) = source.format.filter(|&format| format != FileFormat::Csv) {
        for key in ["delimiter", "quote", "escape", "nulls", "columns"] {
            if let Some(field) = fields.get(key) {
                let name = FORMATS.iter().find(|(_, known)| *known == format).map_or("", |(name, _)| name);
                return Err(field.wrong(format!("only CSV has it, and `format` is \"{name}\"")));
            }
        }
    }
    Ok(source)
}

/// A quote; an empty one is none.
fn quote(field: &Field<'_>) -> Result<char> {
    if field.is_empty_text() { Ok(NO_QUOTE) } else { field.character() }
}

fn splits(field: &Field<'_>) -> Result<Vec<Split>> {
    let split = |(column, field): (&str, Field<'_>)| {
        check_name(column, &field)?;
        let mut fields = field.fields()?;
        let by = fields.need("by", "what stands between two elements")?.text()?.to_owned();
        let at = fields.get("at").map(|at| at.text().map(ToOwned::to_owned)).transpose()?;
        let names = fields.get("fields").map(|names| Ok((names.texts()?, names))).transpose()?;
        fields.finish()?;
        let names = match (names, &at) {
            (None, None) => vec![column.to_owned()],
            (Some((names, field)), Some(_)) if names.len() < 2 => {
                return Err(field.wrong("an element that is cut has two fields or more"));
            }
            (Some((names, field)), None) if names.len() > 1 => {
                return Err(field.wrong("there are several fields, and no `at` that stands between them"));
            }
            (Some((names, _)), _) => names,
            (None, Some(_)) => return Err(field.wrong("`fields` is missing: name the fields that `at` stands between")),
        };
        Ok(Split { column: column.to_owned(), by, at, fields: names })
    };
    field.entries()?.into_iter().map(split).collect()
}

fn filters(field: &Field<'_>) -> Result<Vec<Filter>> {
    let filter = |(column, field): (&str, Field<'_>)| {
        check_name(column, &field)?;
        Ok(Filter { column: column.to_owned(), values: field.values()? })
    };
    field.entries()?.into_iter().map(filter).collect()
}

/// The column of a key that has to be there.
pub(super) fn column(fields: &mut Fields<'_>, key: &'static str, what: &str) -> Result<String> {
    named_column(&fields.need(key, &format!("the column of {what}"))?)
}

pub(super) fn named_column(field: &Field<'_>) -> Result<String> {
    let name = field.text()?;
    check_name(name, field)?;
    Ok(name.to_owned())
}

/// Refuses what looks like a column and is none.
fn check_name(name: &str, field: &Field<'_>) -> Result<()> {
    if name == POSITION {
        return Err(field.wrong("`#` is the position in a list, which can be kept and nothing else"));
    }
    Ok(())
}

pub(super) fn time(field: &Field<'_>) -> Result<TimeOf> {
    if !field.is_table() {
        return Ok(TimeOf { column: named_column(field)?, unit: None, format: None, zone: None });
    }
    let mut fields = field.fields()?;
    let time = TimeOf {
        column: column(&mut fields, "column", "the time")?,
        unit: fields.get("unit").map(|unit| unit.one_of(&UNITS)).transpose()?,
        format: fields.get("format").map(|format| format.text().map(ToOwned::to_owned)).transpose()?,
        zone: zone(&mut fields)?,
    };
    fields.finish()?;
    if time.unit.is_some() && time.format.is_some() {
        return Err(field.wrong("`unit` is for numbers and `format` for text: give one of them"));
    }
    if time.unit.is_some() && time.zone.is_some() {
        return Err(field.wrong("numbers count from 1970 in UTC: a `zone` makes no sense beside a `unit`"));
    }
    Ok(time)
}

fn zone(fields: &mut Fields<'_>) -> Result<Option<String>> {
    let Some(field) = fields.get("zone") else { return Ok(None) };
    let name = field.text()?;
    if Zone::new(name).is_none() {
        return Err(field.wrong(format!("{} is not a time zone; name one as Europe/Berlin or UTC", quoted(name))));
    }
    Ok(Some(name.to_owned()))
}

/// The day; where nothing is said it is that of the time.
pub(super) fn day(fields: &mut Fields<'_>, time: Option<&TimeOf>) -> Result<DayOf> {
    let Some(field) = fields.get("day") else {
        return match time {
            Some(_) => Ok(DayOf::Time { zone: None }),
            None => Err(fields.table.wrong("neither `day` nor `time` is there: name the column of one of them")),
        };
    };
    if !field.is_table() {
        return Ok(DayOf::Column { column: named_column(&field)?, zone: None });
    }
    let mut inner = field.fields()?;
    let (column, path, of) = (inner.get("column"), inner.get("path"), inner.get("of"));
    let zone = zone(&mut inner)?;
    inner.finish()?;
    match (column, path, of) {
        (Some(column), None, None) => Ok(DayOf::Column { column: named_column(&column)?, zone }),
        (None, Some(_), None) if zone.is_some() => Err(field.wrong("a day in the path is a day: it needs no `zone`")),
        (None, Some(path), None) => day_of_path(&path),
        (None, None, Some(of)) => {
            of.one_of(&[("time", ())])?;
            if time.is_none() {
                return Err(of.wrong("the table has no `time`"));
            }
            Ok(DayOf::Time { zone })
        }
        _ => Err(field.wrong("give one of `column`, `path` and `of`")),
    }
}

/// Checks a pattern of a path: each of the year, the month and the day once.
fn day_of_path(field: &Field<'_>) -> Result<DayOf> {
    let pattern = field.text()?;
    for part in ["{year}", "{month}", "{day}"] {
        let found = pattern.matches(part).count();
        if found != 1 {
            return Err(field.wrong(format!("`{part}` is there {found} times, it has to be there once")));
        }
    }
    let rest = pattern.replace("{year}", "").replace("{month}", "").replace("{day}", "");
    if rest.contains(['{', '}']) {
        return Err(field.wrong("only {year}, {month} and {day} can be in braces"));
    }
    Ok(DayOf::Path(pattern.to_owned()))
}

pub(super) fn labels(field: &Field<'_>) -> Result<Vec<Label>> {
    let mut labels: Vec<Label> = Vec::new();
    for (name, field) in field.entries()? {
        names::check_column(name, &field, &labels.iter().map(|label| label.name.as_str()).collect::<Vec<_>>())?;
        labels.push(Label { name: name.to_owned(), of: label(&field)? });
    }
    Ok(labels)
}

fn label(field: &Field<'_>) -> Result<LabelOf> {
    if !field.is_table() {
        return Ok(LabelOf::Column { column: named_column(field)?, dtype: ValueType::Bool });
    }
    let mut fields = field.fields()?;
    let column = fields.get("column").map(|column| named_column(&column)).transpose()?;
    let dtype = fields.get("dtype").map(|dtype| dtype.one_of(&DTYPES)).transpose()?;
    let at_least = fields.get("ge").map(|threshold| threshold.number()).transpose()?;
    let is = fields.get("is").map(|values| values.values()).transpose()?;
    let contained = fields.get("in").map(|list| named_column(&list)).transpose()?;
    let equals = fields.get("equals").map(|column| named_column(&column)).transpose()?;
    let value = fields.get("value").map(|value| value.bool()).transpose()?;
    fields.finish()?;
    match (column, dtype, at_least, is, contained, equals, value) {
        (Some(column), dtype, None, None, None, None, None) => {
            Ok(LabelOf::Column { column, dtype: dtype.unwrap_or(ValueType::Bool) })
        }
        (Some(column), None, Some(threshold), None, None, None, None) => Ok(LabelOf::AtLeast { column, threshold }),
        (Some(column), None, None, Some(values), None, None, None) => Ok(LabelOf::Is { column, values }),
        (None, None, None, None, Some(column), None, None) => Ok(LabelOf::In { column }),
        (None, None, None, None, None, Some(column), None) => Ok(LabelOf::Equals { column }),
        (None, None, None, None, None, None, Some(value)) => Ok(LabelOf::Value(value)),
        _ => Err(field.wrong(
            "give `column` alone or with one of `dtype`, `ge` and `is`; or one of `in`, `equals` and `value` alone",
        )),
    }
}

/// Columns of samples that are kept beside the labels.
pub(super) fn kept(field: &Field<'_>, labels: &[&str]) -> Result<Vec<Kept>> {
    let column = |(name, field): (&str, Field<'_>)| {
        names::check_column(name, &field, labels)?;
        kept_column(name, &field, true)
    };
    field.entries()?.into_iter().map(column).collect()
}

/// What is kept of actions.
pub(super) fn features(field: &Field<'_>) -> Result<Vec<Kept>> {
    let feature = |(name, field): (&str, Field<'_>)| {
        names::check_feature(name, &field)?;
        kept_column(name, &field, false)
    };
    field.entries()?.into_iter().map(feature).collect()
}

fn kept_column(name: &str, field: &Field<'_>, takes_position: bool) -> Result<Kept> {
    let is_position = field.is_text() && field.text()? == POSITION;
    if is_position && takes_position {
        return Ok(Kept { name: name.to_owned(), column: POSITION.to_owned(), dtype: ValueType::I32, null: None });
    }
    if !field.is_table() {
        named_column(field)?;
        return Err(field.wrong("say what it is as well: { column = …, dtype = … }"));
    }
    let mut fields = field.fields()?;
    let column = column(&mut fields, "column", "what is kept")?;
    let dtype = fields.need("dtype", "the type in the outputs")?.one_of(&DTYPES)?;
    let null = fields.get("null").map(|null| null_value(&null, dtype)).transpose()?;
    fields.finish()?;
    Ok(Kept { name: name.to_owned(), column, dtype, null })
}

/// What stands for a null, where the type has it.
fn null_value(field: &Field<'_>, dtype: ValueType) -> Result<f64> {
    let number = match dtype {
        ValueType::Bool => return field.bool().map(f64::from),
        ValueType::U8 | ValueType::I32 | ValueType::I64 | ValueType::F32 | ValueType::F64 => field.number()?,
        ValueType::Hash => return Err(field.wrong("a hash has no value that could stand for a null")),
    };
    let (least, most) = match dtype {
        ValueType::U8 => (0.0, f64::from(u8::MAX)),
        ValueType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        // What a number of a description holds exactly.
        ValueType::I64 => (-9_007_199_254_740_991.0, 9_007_199_254_740_991.0),
        ValueType::F32 => (f64::from(f32::MIN), f64::from(f32::MAX)),
        ValueType::F64 => (f64::MIN, f64::MAX),
        ValueType::Bool | ValueType::Hash => return Err(Error::internal("bools and hashes have been looked at")),
    };
    let is_whole = matches!(dtype, ValueType::F32 | ValueType::F64) || number.fract() == 0.0;
    if is_whole && (least..=most).contains(&number) {
        return Ok(number);
    }
    let whole = if matches!(dtype, ValueType::F32 | ValueType::F64) { "a number" } else { "a whole number" };
    Err(field.wrong(format!("{number} is not {whole} between {least} and {most}")))
}
