//! The names that a description gives to tables and to columns of the outputs.

use super::fields::Field;
use crate::error::{Result, quoted};

/// The longest name, in bytes.
const LONGEST: usize = 64;

/// What the outputs call their own columns of samples, in any format and with any options.
const OURS: [&str; 9] = [
    "customer_id",
    "item_id",
    "request",
    "request_id",
    "request_time",
    "history_start",
    "history_length",
    "actions",
    "dt",
];

/// What the columns of actions begin with: a feature `price` is `action_price`, beside a column `price` of samples.
pub const OF_ACTIONS: &str = "action_";

/// What the outputs call their own columns of actions, behind [`OF_ACTIONS`].
const OUR_FEATURES: [&str; 2] = ["types", "times"];

/// Checks a name: letters, digits and `_`, so that it is a name in SQL, in Python and in every file format.
pub(super) fn check(name: &str, field: &Field<'_>) -> Result<()> {
    if is_plain(name) {
        return Ok(());
    }
    let name = quoted(name);
    Err(field.wrong(format!("{name} cannot be a name: use a letter, then letters, digits and `_`, {LONGEST} at most")))
}

fn is_plain(name: &str) -> bool {
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic());
    starts && name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a column of samples can have a name.
pub(super) fn can_be_of_samples(name: &str) -> bool {
    is_plain(name) && !OURS.contains(&name) && !name.starts_with(OF_ACTIONS)
}

/// Whether a feature can have a name in the outputs.
pub(super) fn can_be_of_actions(name: &str) -> bool {
    name.strip_prefix(OF_ACTIONS).is_some_and(|name| is_plain(name) && !OUR_FEATURES.contains(&name))
}

/// What the name of a feature is in the outputs.
pub(super) fn of_actions(name: &str) -> String {
    format!("{OF_ACTIONS}{name}")
}

/// Checks the name of a column of samples that stands among `others`.
pub(super) fn check_column(name: &str, field: &Field<'_>, others: &[&str]) -> Result<()> {
    check(name, field)?;
    if OURS.contains(&name) {
        return Err(field.wrong(format!("`{name}` is a column that every output has; choose another name")));
    }
    if name.starts_with(OF_ACTIONS) {
        return Err(
            field.wrong(format!("names that begin with `{OF_ACTIONS}` are those of actions; choose another one"))
        );
    }
    if others.contains(&name) {
        return Err(field.wrong(format!("`{name}` is there twice; choose another name")));
    }
    Ok(())
}

/// Checks the name of a feature of actions.
pub(super) fn check_feature(name: &str, field: &Field<'_>) -> Result<()> {
    check(name, field)?;
    if OUR_FEATURES.contains(&name) {
        return Err(field.wrong(format!("`{OF_ACTIONS}{name}` is a column of ours; choose another name")));
    }
    Ok(())
}
