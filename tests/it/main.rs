//! The integration tests: one module per theme.

mod bad_input;
mod cli;
mod crash;
mod fsio;
mod generate;
mod invalid;
mod layers;
mod properties;
mod read;
mod reference;
mod sheet;
mod shim;
mod streams;
mod tables;
mod values;
