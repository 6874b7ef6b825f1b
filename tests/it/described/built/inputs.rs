//! Rows of JSON as files of each form that the program reads.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, TimeUnit};
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value};
use shardback::event::Day;

use super::super::File;
use super::is_flat;

/// A form of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Parquet,
    /// Parquet with dates and timestamps where all of a column's texts are such.
    Typed,
    /// CSV where the rows have no lists, else JSON.
    Csv,
}

pub(super) fn write(files: &[File], form: Form, folder: &Path) {
    let all_flat = files.iter().all(|file| is_flat(&file.rows));
    fs::create_dir_all(folder).unwrap();
    for file in files {
        let path = folder.join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match form {
            Form::Parquet | Form::Typed => {
                // The types of a table are those of all its files.
                let rows: Vec<&Value> = files.iter().flat_map(|file| &file.rows).collect();
                write_parquet(&file.rows, columns(&rows, form), &path.with_extension("parquet"));
            }
            Form::Csv if all_flat => fs::write(path.with_extension("csv"), csv(&file.rows)).unwrap(),
            Form::Csv | Form::Json => {
                let lines: String = file.rows.iter().map(|row| format!("{row}\n")).collect();
                fs::write(path.with_extension("json"), lines).unwrap();
            }
        }
    }
}

fn csv(rows: &[Value]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let names: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    let mut text = names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",") + "\n";
    for row in rows {
        let field = |name: &&String| row[name.as_str()].as_str().map_or_else(String::new, quoted);
        text += &(names.iter().map(field).collect::<Vec<_>>().join(",") + "\n");
    }
    text
}

/// A file of Parquet with columns of such types.
pub(crate) fn write_parquet(rows: &[Value], fields: Fields, path: &Path) {
    let schema = Arc::new(ArrowSchema::new(fields));
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), Arc::clone(&schema), None).unwrap();
    writer.write(&record_batch(rows, schema)).unwrap();
    writer.close().unwrap();
}

/// All rows of a table, without its files.
pub(crate) fn batch(rows: &[Value], form: Form) -> RecordBatch {
    let fields = columns(&rows.iter().collect::<Vec<_>>(), form);
    record_batch(rows, Arc::new(ArrowSchema::new(fields)))
}

fn record_batch(rows: &[Value], schema: Arc<ArrowSchema>) -> RecordBatch {
    let mut decoder = arrow::json::ReaderBuilder::new(Arc::clone(&schema)).build_decoder().unwrap();
    decoder.serialize(rows).unwrap();
    decoder.flush().unwrap().unwrap_or_else(|| RecordBatch::new_empty(schema))
}

/// The columns of rows in a form with types.
fn columns(rows: &[&Value], form: Form) -> Fields {
    let fields = fields(rows);
    if form == Form::Typed { with_times(&fields, rows) } else { fields }
}

/// The columns of rows, each of the type that all its values have.
fn fields(rows: &[&Value]) -> Fields {
    let maps: Vec<&Map<String, Value>> = rows.iter().filter_map(|row| row.as_object()).collect();
    let names = maps.first().map(|map| map.keys()).into_iter().flatten();
    let field = |name: &String| {
        let values: Vec<&Value> = maps.iter().map(|map| &map[name]).filter(|value| !value.is_null()).collect();
        Field::new(name, kind(&values), true)
    };
    names.map(field).collect()
}

fn kind(values: &[&Value]) -> DataType {
    let all = |is: fn(&Value) -> bool| values.iter().all(|value| is(value));
    match values.first() {
        // What a writer that has seen nothing else would take.
        None => DataType::Utf8,
        Some(Value::Array(_)) => {
            let elements: Vec<&Value> = values.iter().flat_map(|value| value.as_array().unwrap()).collect();
            let elements: Vec<&Value> = elements.into_iter().filter(|value| !value.is_null()).collect();
            DataType::List(Arc::new(Field::new("item", kind(&elements), true)))
        }
        Some(Value::Object(_)) => DataType::Struct(fields(values)),
        _ if all(Value::is_boolean) => DataType::Boolean,
        _ if all(Value::is_i64) => DataType::Int64,
        _ if all(Value::is_u64) => DataType::UInt64,
        _ if all(Value::is_number) => DataType::Float64,
        _ => DataType::Utf8,
    }
}

/// The columns of rows with dates for days and timestamps for times, where each text of a column is one.
fn with_times(fields: &Fields, rows: &[&Value]) -> Fields {
    let field = |field: &Arc<Field>| {
        let texts: Vec<&str> = rows.iter().filter_map(|row| row[field.name().as_str()].as_str()).collect();
        let all = |is: fn(&str) -> bool| !texts.is_empty() && texts.iter().all(|text| is(text));
        let timestamp = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        let kind = match field.data_type() {
            DataType::Utf8 if all(|text| Day::parse(text.as_bytes()).is_some() && text.len() == 10) => DataType::Date32,
            // As `2025-08-15T10:00:00.000000Z`, and without a zone.
            DataType::Utf8 if all(|text| text.len() == 27 && text.ends_with('Z')) => timestamp(Some("+00:00")),
            DataType::Utf8 if all(|text| text.len() == 26 && text[10..].starts_with(' ')) => timestamp(None),
            known => known.clone(),
        };
        Field::new(field.name(), kind, true)
    };
    fields.iter().map(field).collect()
}
