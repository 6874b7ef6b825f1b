#![doc = include_str!("../README.md")]
//!
//! # The library
//!
//! [`Build`] makes days, [`open`](fn@open) opens them, [`verify`](fn@verify) checks them, [`inspect`](fn@inspect) and [`report`](fn@report)
//! show what they hold, and [`generate`](fn@generate) makes tables to try it with. [`load`] draws batches from days; `examples/` has a program for
//! each of the three main uses. The modules stand in the order in which data passes them; those that only this package's own
//! tests and benchmarks need are hidden, and may change with any version.

pub mod error;

#[doc(hidden)]
pub mod machine;

pub mod store;

pub mod event;

#[doc(hidden)]
pub mod pack;

#[doc(hidden)]
pub mod zone;

mod texts;

pub mod schema;

pub mod config;

#[doc(hidden)]
pub mod fsio;

pub mod layout;

mod parquet_file;

pub mod read;

#[doc(hidden)]
pub mod unify;

#[doc(hidden)]
pub mod histories;

#[doc(hidden)]
pub mod cut;

#[doc(hidden)]
pub mod gather;

#[doc(hidden)]
pub mod write;

pub mod manifest;

pub mod open;

pub mod remote;

pub mod load;

pub mod pipeline;

mod build;

pub mod check;

pub mod cluster;

pub mod verify;

pub mod inspect;

pub mod report;

pub mod generate;

pub use build::Build;
pub use config::{Format, Options};
pub use error::{Error, Result};
pub use event::Day;
pub use generate::generate;
pub use inspect::inspect;
pub use open::open;
pub use report::report;
pub use verify::verify;

// The command line is written as anyone would write it who uses this library: by its public names, under the library's own name.
extern crate self as shardback;

pub mod cli;
