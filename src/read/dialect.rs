//! What stands between and around the fields of a CSV file.

use std::path::Path;

use memchr::memmem::Finder;

use crate::error::{Error, Result, quoted};
use crate::read::Projection;
use crate::read::formats::Name;
use crate::schema::NO_QUOTE;

/// How the fields of a file are told apart.
#[derive(Clone, Debug)]
pub(super) struct Dialect {
    /// Between two fields; not empty.
    pub(super) delimiter: Vec<u8>,
    /// Finds the delimiter, where it has several bytes.
    pub(super) finder: Option<Finder<'static>>,
    /// Around fields; none where no field is quoted.
    pub(super) quote: Option<u8>,
    /// What comes before a quote that does not end its field, where the writer does not double it. Where no field is quoted, what comes
    /// before whatever would end a field or record, and does not.
    pub(super) escape: Option<u8>,
}

impl Dialect {
    /// What is said of a table, or else what the name of the file at `path` says, or else commas and double quotes.
    pub(super) fn of(path: &Path, wanted: &Projection) -> Result<Self> {
        let source = &wanted.source;
        let wrong =
            |key: &str, problem: String| Error::Description { place: format!("{}.{key}", wanted.table), problem };
        let ascii = |key: &str, character: char| match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Ok(byte),
            _ => {
                let shown = quoted(&character.escape_default().to_string());
                Err(wrong(key, format!("{shown} is not an ASCII character that can stand within a line")))
            }
        };
        let by_name = if Name::of(path).tabs { "\t" } else { "," };
        let delimiter = source.delimiter.as_deref().unwrap_or(by_name);
        let quote = source.quote.unwrap_or('"');
        let quote = if quote == NO_QUOTE { None } else { Some(ascii("quote", quote)?) };
        let escape = source.escape.map(|escape| ascii("escape", escape)).transpose()?;
        if delimiter.is_empty() || delimiter.contains(['\r', '\n']) {
            return Err(wrong("delimiter", "it has to be text without a line break: that ends a record".to_owned()));
        }
        for (key, byte) in [("quote", quote), ("escape", escape)] {
            if byte.is_some_and(|byte| delimiter.as_bytes().contains(&byte)) {
                return Err(wrong("delimiter", format!("{} has the `{key}` in it", quoted(delimiter))));
            }
        }
        let finder = (delimiter.len() > 1).then(|| Finder::new(delimiter).into_owned());
        // A quote that escapes quotes is one that is doubled.
        Ok(Self { delimiter: delimiter.into(), finder, quote, escape: escape.filter(|_| escape != quote) })
    }

    /// What makes a record one that cannot be cut at delimiters alone.
    pub(super) fn mark(&self) -> Option<u8> {
        self.quote.or(self.escape)
    }

    /// The character that takes its meaning from the next one, where no field is quoted.
    pub(super) fn bare_escape(&self) -> Option<u8> {
        self.escape.filter(|_| self.quote.is_none())
    }
}
