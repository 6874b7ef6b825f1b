//! The integration tests: one module per theme.

mod fixture;
mod inspect;
mod manifest;
mod open;
mod verify;
mod verify_rows;
