//! A table of a description and where it lies, as it is written on the command line.

use std::path::PathBuf;
use std::str::FromStr;

/// A table of a description and where it lies, as `NAME=PATH`.
#[derive(Clone, Debug)]
pub(super) struct TableAt {
    pub(super) name: String,
    pub(super) path: PathBuf,
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
