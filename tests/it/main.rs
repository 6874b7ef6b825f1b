//! The integration tests: one module per theme.

mod fsio;
mod shim;
