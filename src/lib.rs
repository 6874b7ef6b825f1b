//! shardback

pub mod config;
pub mod error;
pub mod event;
pub mod generate;
pub mod manifest;
pub mod read;
