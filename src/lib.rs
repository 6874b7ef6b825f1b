//! shardback

pub mod error;

pub mod config;
pub mod event;
pub mod fsio;

pub mod read;
pub mod unify;

pub mod histories;

pub mod cut;

pub mod gather;

pub mod write;

pub mod manifest;
pub mod statistics;

pub mod pipeline;

pub mod generate;
