//! `shardback inspect`: what a shard, a day or an output holds.

use std::path::{Path, PathBuf};

use shardback::inspect::{Selection, inspect};

use super::exit::Exit;
use super::print;
use super::stores::StoreArguments;

/// Show what a shard, a day or an output holds: figures, history lengths, the first samples.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A shard, a day's folder, a format's folder, or an output; or the address of one but the first in an object store
    path: PathBuf,
    /// How many samples to show
    #[arg(long, value_name = "N", default_value_t = ROWS)]
    rows: usize,
    /// Show this customer's samples and whole history
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    customer: Option<i64>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: StoreArguments,
}

/// Samples that are shown if nothing else is said.
const ROWS: usize = 5;

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let path = arguments.stores.on_disk(&arguments.path)?;
    let inspection = inspect(&path, Selection { rows: arguments.rows, customer: arguments.customer })?;
    if arguments.json {
        print::out(&format!("{}\n", serde_json::to_string_pretty(&inspection)?))?;
    } else {
        print::out(&inspection.to_string())?;
    }
    Ok(Exit::Done)
}

/// Shows a path as the command does with its defaults.
pub(super) fn show(path: &Path) -> anyhow::Result<()> {
    print::out(&inspect(path, Selection { rows: ROWS, customer: None })?.to_string())
}
