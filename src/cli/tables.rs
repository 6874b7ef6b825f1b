//! The tables of a build: the built-in ones by their own flags, or those of a description.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use shardback::error::{Error, Result, path_text};
use shardback::pipeline::{Input, Tables};
use shardback::schema::{Schema, from_json, from_toml};

/// A table of a description and where it lies, as `NAME=PATH`.
#[derive(Clone, Debug)]
pub(super) struct TableAt {
    name: String,
    path: PathBuf,
}

impl FromStr for TableAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(Self { name: name.to_owned(), path: PathBuf::from(path) })
            }
            _ => Err("write it as NAME=PATH, with the name of a table of the description".to_owned()),
        }
    }
}

/// Reads the description in a file, in JSON where the name ends so, else in TOML. Its paths are from the file's folder on.
pub(super) fn read_description(path: &Path) -> Result<Schema> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let schema = if is_json {
        let problem = |error: serde_json::Error| Error::Description {
            place: format!("line {}", error.line()),
            problem: error.to_string(),
        };
        serde_json::from_str(&text).map_err(problem).and_then(|value| from_json(&value))
    } else {
        from_toml(&text)
    };
    schema.map_err(|error| match error {
        Error::Description { place, problem } => {
            Error::Description { place: format!("`{}`: {place}", path_text(path)), problem }
        }
        other => other,
    })
}

/// The tables of a description: where the command line says they lie, or else where the description does.
pub(super) fn described(config: &Path, schema: &Schema, given: &[TableAt]) -> Result<Tables> {
    let names = || std::iter::once(&schema.samples.name).chain(schema.actions.iter().map(|table| &table.name));
    let invalid = |problem| Error::Option { option: "--table", problem };
    for (place, table) in given.iter().enumerate() {
        if !names().any(|name| *name == table.name) {
            let known: Vec<&str> = names().map(String::as_str).collect();
            return Err(invalid(format!(
                "`{}` is no table of the description; its tables are {}",
                table.name,
                known.join(", ")
            )));
        }
        if given[..place].iter().any(|other| other.name == table.name) {
            return Err(invalid(format!("`{}` is there twice", table.name)));
        }
    }
    let folder = config.parent().unwrap_or(Path::new(""));
    let input = |name: &str, paths: &[String]| {
        if let Some(table) = given.iter().find(|table| table.name == name) {
            return Ok(Input::Path(table.path.clone()));
        }
        if paths.is_empty() {
            return Err(invalid(format!(
                "say where the table lies, as `--table {name}=PATH` or with `path` in the description"
            )));
        }
        Ok(Input::Paths(paths.iter().map(|path| folder.join(path)).collect()))
    };
    let impressions = input(&schema.samples.name, &schema.samples.source.paths)?;
    let actions = schema.actions.iter();
    let actions = actions.map(|table| Ok((table.clone(), input(&table.name, &table.source.paths)?)));
    Ok(Tables { impressions, actions: actions.collect::<Result<_>>()? })
}
