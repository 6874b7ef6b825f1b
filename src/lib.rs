#![doc = include_str!("../README.md")]

pub mod error;

pub mod machine;

pub mod store;

pub mod event;

pub mod pack;

pub mod zone;

mod texts;

pub mod schema;

pub mod config;

pub mod fsio;

pub mod layout;

mod parquet_file;

pub mod read;

pub mod unify;

pub mod histories;

pub mod cut;

pub mod gather;

pub mod write;

pub mod manifest;

pub mod open;

pub mod remote;

pub mod load;

pub mod pipeline;

pub mod check;

pub mod cluster;

pub mod verify;

pub mod inspect;

pub mod report;

pub mod generate;

// The command line is written as anyone would write it who uses this library: by its public names, under the library's own name.
extern crate self as shardback;

pub mod cli;
