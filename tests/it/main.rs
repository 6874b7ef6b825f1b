//! The integration tests: one module per theme.

mod crash;
mod fixture;
mod fsio;
mod generate;
mod inspect;
mod layers;
mod manifest;
mod open;
mod properties;
mod read;
mod reference;
mod shim;
mod tables;
mod verify;
mod verify_rows;
