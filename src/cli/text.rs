//! How things are written on a terminal: options as flags, and numbers as a person reads them.

use std::time::Duration;

use indicatif::HumanCount;
use shardback::error::OptionName;

/// An option as it is given on the command line: `--shard-rows`, or `--invalid skip`.
pub(super) fn flag(option: OptionName, value: Option<&str>) -> String {
    let name = match option {
        // It has no flag.
        OptionName::NewOut => return "OUT".to_owned(),
        // What may be repeated is named for one of them.
        OptionName::Tables => "table".to_owned(),
        OptionName::StoreOptions => "store-option".to_owned(),
        other => other.name().replace('_', "-"),
    };
    match value {
        None => format!("--{name}"),
        Some(value) if value.contains(['\\', ' ', '"', '$']) => format!("--{name} '{value}'"),
        Some(value) => format!("--{name} {value}"),
    }
}

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// `1 sample`, `2 samples`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `1.5 GiB`.
pub(super) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// `0.12 s`.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
