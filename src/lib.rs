//! shardback

pub mod config;
pub mod cut;
pub mod error;
pub mod event;
pub mod fsio;
pub mod gather;
pub mod histories;
pub mod manifest;
pub mod pipeline;
pub mod read;
pub mod statistics;
pub mod unify;
pub mod write;
