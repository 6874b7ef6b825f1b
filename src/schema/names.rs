//! The names that a description gives to tables and to columns of the outputs.

use super::fields::Field;
use crate::error::{Result, quoted};

/// The longest name, in bytes.
const LONGEST: usize = 64;

/// What the outputs call their own columns, in any format and with any options; features of actions begin with `action_`.
const OURS: [&str; 11] = [
    "customer_id",
    "item_id",
    "request",
    "request_id",
    "request_time",
    "history_start",
    "history_length",
    "actions",
    "action_types",
    "action_times",
    "dt",
];

/// Checks a name: letters, digits and `_`, so that it is a name in SQL, in Python and in every file format.
pub(super) fn check(name: &str, field: &Field<'_>) -> Result<()> {
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic());
    if starts && name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(());
    }
    let name = quoted(name);
    Err(field.wrong(format!("{name} cannot be a name: use a letter, then letters, digits and `_`, {LONGEST} at most")))
}

/// Checks the name of a column of the outputs that stands among `others`.
pub(super) fn check_column(name: &str, field: &Field<'_>, others: &[&str]) -> Result<()> {
    check(name, field)?;
    if OURS.contains(&name) {
        return Err(field.wrong(format!("`{name}` is a column that every output has; choose another name")));
    }
    if others.contains(&name) {
        return Err(field.wrong(format!("`{name}` is there twice; choose another name")));
    }
    Ok(())
}
