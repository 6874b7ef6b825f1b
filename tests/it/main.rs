//! The integration tests: one module per theme.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a test stops where its set-up fails, and writes what it needs"
)]

mod action_types;
mod bad_input;
mod check;
mod cli;
mod cluster;
mod config;
mod crash;
mod cuda;
mod cutoff;
mod described;
mod equal_times;
mod fixture;
mod format_1;
mod fsio;
mod generate;
mod inspect;
mod invalid;
mod json_tables;
mod late;
mod layers;
mod layout;
mod load;
mod loops;
mod machine;
mod manifest;
mod memory;
mod needs;
mod open;
mod plain;
mod presets;
mod properties;
mod read;
mod read_tables;
mod reference;
mod release;
mod report;
mod schema;
mod sheet;
mod shim;
mod spilling;
mod store;
mod streams;
mod tables;
mod values;
mod verify;
mod verify_rows;
mod watchdog;
