//! What the program makes of a description: tables written as files, a build by the command line, and its output read back.
//!
//! The output is read by stock readers, by the names and shapes of the design alone: nothing of the library's is used.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use shardback::event::Day;
use shardback::schema::{Schema, Unit};

use super::{File, Number, Request, Tables};

mod columns;
mod inputs;
mod jagged;

pub(crate) use inputs::{Form, batch, write_parquet};

/// A description, its tables' paths, and what is asked of a build.
pub(crate) struct Build<'a> {
    pub(crate) description: &'a str,
    /// The path of each table, by its name.
    pub(crate) tables: Vec<(String, PathBuf)>,
    pub(crate) days: (Day, Day),
    pub(crate) wide: bool,
    pub(crate) shards: u32,
}

/// Has the program look over an output.
///
/// # Errors
/// The faults that it finds.
pub(crate) fn verify(out: &Path) -> Result<(), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_shardback")).arg("verify").arg(out).output().unwrap();
    let said = || format!("verify: {}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said()) }
}

impl Build<'_> {
    /// Builds in all formats and leaves bad rows out.
    ///
    /// # Errors
    /// What the program says where it fails.
    pub(crate) fn run(&self, folder: &Path, out: &Path) -> Result<(), String> {
        let config = folder.join("description.toml");
        fs::write(&config, self.description).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardback"));
        command.args([
            "build",
            "--quiet",
            "--invalid",
            "skip",
            "--allow-empty-days",
            "--formats",
            "parquet,dense,jagged",
        ]);
        command.arg("--config").arg(config).arg("--out").arg(out).arg("--shards").arg(self.shards.to_string());
        command.args(["--start", &self.days.0.to_string(), "--end", &self.days.1.to_string()]);
        for (name, path) in &self.tables {
            command.arg("--table").arg(format!("{name}={}", path.display()));
        }
        if self.wide {
            command.args(["--item-dtype", "i64"]);
        }
        let output = command.output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

/// Writes tables as files below a folder; gives the path of each.
pub(crate) fn write(schema: &Schema, tables: &Tables, form: Form, folder: &Path) -> Vec<(String, PathBuf)> {
    let names = std::iter::once("samples").chain(schema.actions.iter().map(|table| table.name.as_str()));
    let files = std::iter::once(&tables.samples).chain(&tables.actions);
    let table = |(name, files): (&str, &Vec<File>)| {
        let path = folder.join(name);
        inputs::write(files, form, &path);
        (name.to_owned(), path)
    };
    names.zip(files).map(table).collect()
}

/// Holds a published day, in each format, against what the reference says.
///
/// # Errors
/// Where they differ.
pub(crate) fn check(schema: &Schema, out: &Path, day: Day, expected: &[Request]) -> Result<(), String> {
    let shards = |format: &str, extension: &str| {
        let folder = out.join(format).join(format!("dt={day}"));
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|found| found == extension));
        paths.sort();
        Ok::<_, String>(paths)
    };
    let expected: Vec<Request> = expected.iter().map(|request| as_written(request, schema)).collect();
    let mut found = Vec::new();
    for path in shards("jagged", "safetensors")? {
        found.extend(jagged::requests(&columns::safetensors(&path), schema));
    }
    let found: Vec<Request> =
        found.into_iter().zip(expected.iter().map(Some).chain(std::iter::repeat(None))).map(unknown_times).collect();
    if found != expected {
        return Err(format!("jagged of {day}:\nfound    {found:#?}\nexpected {expected:#?}"));
    }
    let expected = columns::padded(&expected, schema);
    for (format, extension, read) in [
        ("dense", "safetensors", columns::safetensors as fn(&Path) -> BTreeMap<String, columns::Column>),
        ("parquet", "parquet", columns::parquet),
    ] {
        let mut found: BTreeMap<String, Vec<Number>> = expected.keys().map(|name| (name.clone(), Vec::new())).collect();
        for path in shards(format, extension)? {
            let shard = read(&path);
            let names: Vec<&String> = shard.keys().collect();
            if !names.iter().copied().eq(expected.keys()) {
                return Err(format!("{format} of {day} holds {names:?}, expected {:?}", expected.keys()));
            }
            shard.into_iter().for_each(|(name, column)| found.entry(name).or_default().extend(column.values));
        }
        for (name, values) in &expected {
            let same = found[name].len() == values.len()
                && found[name]
                    .iter()
                    .zip(values)
                    .all(|(found, value)| value.as_ref().is_none_or(|value| same_value(*found, *value)));
            if !same {
                return Err(format!("{format} of {day}, {name}:\nfound    {:?}\nexpected {values:?}", found[name]));
            }
        }
    }
    Ok(())
}

/// A request as far as the outputs have it: times only where they are asked for, and in their unit.
fn as_written(request: &Request, schema: &Schema) -> Request {
    let mut request = request.clone();
    for seen in &mut request.history {
        seen.time = seen.time.zip(schema.history.times).map(|(micros, unit)| match unit {
            Unit::Seconds => micros.div_euclid(1_000_000),
            Unit::Milliseconds => micros.div_euclid(1_000),
            Unit::Microseconds => micros,
            Unit::Nanoseconds => micros * 1_000,
        });
    }
    request
}

/// What stands for a time that is null is not said by the contract: what was found there counts as right.
fn unknown_times((mut found, expected): (Request, Option<&Request>)) -> Request {
    for (found, expected) in found.history.iter_mut().zip(expected.iter().flat_map(|expected| &expected.history)) {
        found.time = found.time.filter(|_| expected.time.is_some());
    }
    found
}

/// Parquet has no type of 8 bits without a sign in every reader, so there numbers count and not their widths.
fn same_value(found: Number, expected: Number) -> bool {
    let integer = |number: Number| match number {
        Number::Bool(value) => Some(i64::from(value)),
        Number::U8(value) => Some(i64::from(value)),
        Number::I32(value) => Some(i64::from(value)),
        Number::I64(value) => Some(value),
        Number::F32(_) | Number::F64(_) => None,
    };
    match (integer(found), integer(expected)) {
        (Some(found), Some(expected)) => found == expected,
        _ => found == expected,
    }
}

/// The rows of a file as they can be written in a text format without lists.
fn is_flat(rows: &[Value]) -> bool {
    let is_plain = |value: &Value| value.is_null() || value.as_str().is_some_and(|text| !text.is_empty());
    rows.iter().all(|row| row.as_object().unwrap().values().all(is_plain))
}
