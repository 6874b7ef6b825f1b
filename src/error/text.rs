//! How the parts of a message are written: paths, values, lists, sizes.

use std::path::Path;

/// A path in a record: as text, with a mark for what is no text in it, since JSON knows only text.
#[must_use]
pub fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// How paths are serialized, which may be no text.
pub(crate) mod as_text {
    use std::path::Path;

    use serde::Serializer;

    /// A single path.
    pub(crate) fn one<S: Serializer>(path: impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::path_text(path.as_ref()))
    }

    /// A path that may be missing.
    pub(crate) fn option<S: Serializer>(path: &Option<impl AsRef<Path>>, serializer: S) -> Result<S::Ok, S::Error> {
        match path {
            Some(path) => one(path, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Several paths.
    pub(crate) fn all<S: Serializer>(paths: &[impl AsRef<Path>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| super::path_text(path.as_ref())))
    }
}

pub(super) fn place(file: Option<&Path>) -> String {
    file.map_or_else(|| "the source".to_owned(), |file| format!("`{}`", file.display()))
}

/// The most names that a list of them shows.
const MOST_NAMES: usize = 100;

pub(super) fn list(names: &[String]) -> String {
    match names.split_at_checked(MOST_NAMES) {
        Some((shown, rest)) if !rest.is_empty() => format!("{}, and {} more", shown.join(", "), rest.len()),
        _ if names.is_empty() => "none".to_owned(),
        _ => names.join(", "),
    }
}

/// The number of a row in a place.
pub(super) fn in_row(row: Option<u64>) -> String {
    row.map_or_else(String::new, |row| format!(", row {row}"))
}

/// How to hand over a table whose format has a reader of its own.
pub(super) fn hand_over(format: &str) -> &'static str {
    match format {
        "Delta" => {
            "read it on Spark, or hand it over as Arrow in Python: `deltalake.DeltaTable(path).to_pyarrow_table()`"
        }
        "Iceberg" => {
            "read it on Spark, or hand it over as Arrow in Python: `table.scan().to_arrow_batch_reader()` of pyiceberg"
        }
        _ => "read it on Spark",
    }
}

/// What a message about a day without an item says of the table. Days as text are in the order of time.
pub(super) fn known_days(rows: u64, days: Option<&(String, String)>) -> String {
    match days {
        _ if rows > 0 => ": the table has rows of that day, but no item in them".to_owned(),
        None => String::new(),
        Some((first, last)) => format!(" (the table has {first} to {last})"),
    }
}

pub(super) fn no_folder(from_folder: bool, column: &str) -> String {
    if from_folder { format!(", and no folder `{column}=…`") } else { String::new() }
}

/// A value for a message: in backticks so that an empty or blank one is seen, on one line, and not the whole of a huge one.
pub(crate) fn quoted(value: &str) -> String {
    let mut text = String::from("`");
    for (place, character) in value.chars().enumerate() {
        match character {
            _ if place == LONGEST_VALUE => {
                text.push('…');
                break;
            }
            control if control.is_control() => text.extend(control.escape_debug()),
            other => text.push(other),
        }
    }
    text.push('`');
    text
}

/// The most characters of a value that a message shows.
const LONGEST_VALUE: usize = 100;

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
