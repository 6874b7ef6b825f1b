//! `shardback clean`: what runs that were killed have left behind.

use std::path::PathBuf;
use std::time::Duration;

use shardback::config;
use shardback::error::path_text;
use shardback::remote::clean;

use super::exit::Exit;
use super::stores::{StoreSetting, store_options};
use super::{print, text};

/// Remove what runs that were killed have left in an output; on a disk the next run does that too.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The output: a folder, or an address in an object store
    out: PathBuf,
    /// In an object store: only what is older, as 24h or 30m, as younger files may be of a run that is still at work
    #[arg(long, value_name = "TIME", value_parser = config::parse_duration, default_value = "24h")]
    older_than: i64,
    /// A setting of object stores, as aws_region=eu-west-1; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    store_option: Vec<StoreSetting>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let age = Duration::from_micros(arguments.older_than.unsigned_abs());
    let removed = clean(&arguments.out, age, &store_options(&arguments.store_option))?;
    if let Some((files, bytes)) = removed {
        let (out, files) = (path_text(&arguments.out), text::counted(files, "file"));
        print::out(&format!("{out}: removed {files}, {}\n", text::bytes(bytes)))?;
    }
    Ok(Exit::Done)
}
