//! The integration tests: one module per theme.

mod crash;
mod fsio;
mod shim;
