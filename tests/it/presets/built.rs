//! The presets built by the program, from files as the logs have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde_json::Value;
use shardback::check::Options;
use shardback::event::Day;
use shardback::pipeline::{Input, Tables};
use shardback::schema::Schema;
use tempfile::TempDir;

use super::{Example, examples};
use crate::described::built::{Build, check, write_parquet};
use crate::described::files;

/// Every preset makes of its log's files what its comment says, in every format.
#[test]
fn the_program_makes_of_each_log_what_is_expected() {
    for example in examples::all() {
        let folder = TempDir::new().unwrap();
        let out = folder.path().join("out");
        let built = build_preset(&example, folder.path(), &out);
        let date = Day::parse(example.date.as_bytes()).unwrap();
        let checked = built.and_then(|()| check(&example.schema(), &out, date, &example.requests));
        assert_eq!(checked, Ok(()), "{}", example.name);
    }
}

/// A check of every preset finds the bad rows that are expected, and in each table a row of every shape that the preset describes.
#[test]
fn a_check_understands_each_log() {
    for example in examples::all() {
        let folder = TempDir::new().unwrap();
        let schema = example.schema();
        let tables = write_tables(&example, &schema, folder.path());
        let given = tables.into_iter().map(|(name, path)| (name, Input::Path(path))).collect();
        let options = Options {
            schema: schema.clone(),
            item_dtype: None,
            day_zone: None,
            csv_escape: None,
            store: shardback::store::StoreOptions::default(),
            rows: 1000,
            now: Day::parse(example.date.as_bytes()).unwrap().midnight(),
        };
        let tables = Tables::described(&schema, Some(folder.path()), given).unwrap();
        let report = shardback::check::check(options, tables, &|| false).unwrap();
        for (number, table) in report.tables.iter().enumerate() {
            let bad: u64 = table.bad.iter().map(|bad| bad.rows).sum();
            let expected = example.bad.iter().filter(|(table, ..)| *table == number).count() as u64;
            assert_eq!(bad, expected, "{} {}", example.name, table.table);
            assert!(
                table.is_whole && table.made > 0 && !table.first_rows.is_empty(),
                "{} {}",
                example.name,
                table.table
            );
        }
    }
}

/// Writes the files of each table of an example into a folder of its own.
fn write_tables(example: &Example, schema: &Schema, folder: &Path) -> Vec<(String, PathBuf)> {
    let names = schema.actions.iter().map(|table| table.name.as_str()).chain(["samples"]);
    let tables = names.map(|name| {
        let path = folder.join(name);
        fs::create_dir(&path).unwrap();
        for (file, text) in example.files_of(name) {
            write_file(file, text, example.is_parquet, &path);
        }
        (name.to_owned(), path)
    });
    tables.collect()
}

/// Builds the day of an example from its files, which are named on the command line; bad rows are left out.
///
/// # Errors
/// What the program says where it fails.
fn build_preset(example: &Example, folder: &Path, out: &Path) -> Result<(), String> {
    let tables = write_tables(example, &example.schema(), folder);
    let date = Day::parse(example.date.as_bytes()).unwrap();
    let build = Build { description: example.description, tables, days: (date, date), wide: false, shards: 1 };
    build.run(folder, out)
}

fn write_file(name: &str, text: &str, is_parquet: bool, folder: &Path) {
    if !is_parquet {
        fs::write(folder.join(name), text).unwrap();
        return;
    }
    let rows = files::json_lines(text);
    let columns = rows[0].as_object().unwrap().iter();
    let fields: Fields = columns.map(|(column, value)| Field::new(column, published(column, value), true)).collect();
    write_parquet(&rows, fields, &folder.join(name).with_extension("parquet"));
}

/// The type that a log publishes a column in: those of EB-NeRD and Yambda.
fn published(column: &str, value: &Value) -> DataType {
    if value.is_array() {
        let element = match column {
            "impression_time_fixed" => DataType::Timestamp(TimeUnit::Microsecond, None),
            "scroll_percentage_fixed" | "read_time_fixed" => DataType::Float32,
            _ => DataType::Int32,
        };
        return DataType::List(Arc::new(Field::new("item", element, true)));
    }
    match column {
        "impression_time" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "read_time" | "scroll_percentage" | "next_read_time" | "next_scroll_percentage" => DataType::Float32,
        "article_id" => DataType::Int32,
        "device_type" | "gender" | "postcode" | "age" => DataType::Int8,
        "is_sso_user" | "is_subscriber" => DataType::Boolean,
        "is_organic" => DataType::UInt8,
        "played_ratio_pct" => DataType::UInt16,
        _ => DataType::UInt32,
    }
}

/// Protects the types above: every row of these logs is read as one of them.
#[test]
fn the_rows_of_parquet_logs_have_their_types() {
    let folder = TempDir::new().unwrap();
    for example in examples::all().iter().filter(|example| example.is_parquet) {
        for (name, text) in example.files {
            write_file(name, text, true, folder.path());
            let path = folder.path().join(name).with_extension("parquet");
            let reader =
                parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap());
            let rows: usize = reader.unwrap().build().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
            assert_eq!(rows, text.lines().count(), "{name}");
        }
    }
}
