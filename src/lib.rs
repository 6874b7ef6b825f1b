//! shardback

pub mod config;
pub mod error;
pub mod event;
pub mod fsio;
pub mod manifest;
pub mod read;
