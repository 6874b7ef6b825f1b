//! The integration tests: one module per theme.

mod bad_input;
mod cli;
mod crash;
mod fixture;
mod fsio;
mod generate;
mod inspect;
mod invalid;
mod layers;
mod manifest;
mod open;
mod properties;
mod read;
mod reference;
mod sheet;
mod shim;
mod streams;
mod tables;
mod values;
mod verify;
mod verify_rows;
