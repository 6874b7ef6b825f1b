//! The integration tests: one module per theme.

mod crash;
mod fsio;
mod generate;
mod layers;
mod properties;
mod read;
mod reference;
mod shim;
mod tables;
