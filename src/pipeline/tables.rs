//! The tables of a run: those that are given, and those that lie where the description says.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::{Input, Tables};
use crate::error::{Error, OptionName, Result};
use crate::schema::Schema;
use crate::store::{is_address, on_disk};

impl Tables {
    /// The tables of a description: `given` by name, or else where it says they lie, from `folder` on.
    ///
    /// Without a folder the description is the built-in one, of which any table of actions may be left out.
    ///
    /// # Errors
    /// [`Error::Option`] for a table that is not one of the description, is there twice, or lies nowhere.
    pub fn described(schema: &Schema, folder: Option<&Path>, given: Vec<(String, Input)>) -> Result<Self> {
        let names = || std::iter::once(&schema.samples.name).chain(schema.actions.iter().map(|table| &table.name));
        let invalid = |problem| Error::Option { option: OptionName::Tables, problem };
        for (place, (name, _)) in given.iter().enumerate() {
            if !names().any(|known| known == name) {
                let known: Vec<&str> = names().map(String::as_str).collect();
                let problem =
                    format!("`{name}` is not a table of the description; its tables are {}", known.join(", "));
                return Err(invalid(problem));
            }
            if given[..place].iter().any(|(other, _)| other == name) {
                return Err(invalid(format!("`{name}` is there twice")));
            }
        }
        let mut given = given;
        let mut input = |name: &str, paths: &[String]| {
            if let Some(place) = given.iter().position(|(known, _)| known == name) {
                return Ok(Some(given.swap_remove(place).1));
            }
            let Some(folder) = folder else { return Ok(None) };
            if paths.is_empty() {
                let given = OptionName::Tables.set_to(&format!("{name}=PATH")).to_string();
                let problem = format!("say where the table lies, as `{given}` or with `path` in the description");
                return Err(invalid(problem));
            }
            let from_folder =
                |path: &String| if is_address(Path::new(path)) { PathBuf::from(path) } else { folder.join(path) };
            Ok(Some(Input::Paths(paths.iter().map(from_folder).collect())))
        };
        let impressions = input(&schema.samples.name, &schema.samples.source.paths)?;
        let mut impressions = impressions
            .ok_or_else(|| Error::Option { option: OptionName::Impressions, problem: "name the table".to_owned() })?;
        let mut actions = Vec::new();
        for table in &schema.actions {
            actions.extend(input(&table.name, &table.source.paths)?.map(|input| (table.clone(), input)));
        }
        let inputs = actions.iter_mut().map(|(_, input)| input).chain([&mut impressions]);
        inputs.into_iter().try_for_each(files_on_disk)?;
        Ok(Self { impressions, actions })
    }
}

/// Checks addresses, before anything shows one, and makes paths of those of files on this machine.
fn files_on_disk(input: &mut Input) -> Result<()> {
    let paths = match input {
        Input::Path(path) => std::slice::from_mut(path),
        Input::Paths(paths) => paths.as_mut_slice(),
        Input::Source(_) => return Ok(()),
    };
    for path in paths {
        if let Cow::Owned(on_disk) = on_disk(path)? {
            *path = on_disk;
        }
    }
    Ok(())
}
