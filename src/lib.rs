//! shardback

pub mod config;
pub mod error;
pub mod event;
pub mod inspect;
pub mod manifest;
pub mod open;
pub mod read;
pub mod verify;
