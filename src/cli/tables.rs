//! The tables of a command and what their values mean, as they are written on the command line.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use shardback::error;
use shardback::event::ItemDtype;
use shardback::pipeline::{Input, Tables};
use shardback::schema::{self, Schema};
use shardback::store::StoreOptions;

use super::stores::{StoreSetting, store_options};

/// The tables: the built-in ones, or those of a description.
#[derive(clap::Args)]
pub(super) struct TableArguments {
    /// Impressions: dt, customer_id, impressions (list of item_id, is_order) or item_id, is_order
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present = "config",
        conflicts_with = "config",
        help_heading = "Tables"
    )]
    impressions: Option<PathBuf>,
    /// Clicks: dt, customer_id, item_id, click_time
    #[arg(long, value_name = "PATH", conflicts_with = "config", help_heading = "Tables")]
    clicks: Option<PathBuf>,
    /// Add-to-carts: dt, customer_id, config_id, occurred_at
    #[arg(long, value_name = "PATH", conflicts_with = "config", help_heading = "Tables")]
    add_to_carts: Option<PathBuf>,
    /// Previous orders: order_date, customer_id, config_id
    #[arg(long, value_name = "PATH", conflicts_with = "config", help_heading = "Tables")]
    previous_orders: Option<PathBuf>,
    /// A description of other tables, in TOML or JSON; other options have the last word
    #[arg(long, value_name = "FILE", help_heading = "Tables")]
    config: Option<PathBuf>,
    /// Where a table of the description lies, if not where that says; may be repeated
    #[arg(long, value_name = "NAME=PATH", requires = "config", help_heading = "Tables")]
    table: Vec<TableAt>,
    /// A setting of the object stores in which tables lie, as aws_region=eu-west-1; may be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Tables")]
    store_option: Vec<StoreSetting>,
}

impl TableArguments {
    /// The description, or the built-in one.
    pub(super) fn schema(&self) -> error::Result<Schema> {
        self.config.as_deref().map_or_else(|| Ok(Schema::built_in()), schema::from_file)
    }

    /// What is said of object stores, beside what the description says.
    pub(super) fn store(&self) -> StoreOptions {
        store_options(&self.store_option)
    }

    /// The tables of that description.
    pub(super) fn tables(self, schema: &Schema) -> error::Result<Tables> {
        if let Some(config) = &self.config {
            let given = self.table.into_iter().map(|table| (table.name, Input::Path(table.path)));
            return Tables::described(schema, Some(config.parent().unwrap_or(Path::new(""))), given.collect());
        }
        let paths = [
            ("impressions", self.impressions),
            ("clicks", self.clicks),
            ("add_to_carts", self.add_to_carts),
            ("previous_orders", self.previous_orders),
        ];
        let given = paths.into_iter().filter_map(|(name, path)| Some((name.to_owned(), Input::Path(path?))));
        Tables::described(schema, None, given.collect())
    }
}

/// What values mean where neither they nor a description say it.
#[derive(clap::Args)]
pub(super) struct ValueArguments {
    /// The width of item ids in the outputs; i32 if not given, or i64 where a description hashes them or has them without sign
    #[arg(long, value_name = "DTYPE")]
    item_dtype: Option<Item>,
    /// The time zone in which the days of timestamps count, as Europe/Berlin or UTC; the one that a column says if not given
    #[arg(long, value_name = "ZONE")]
    pub(super) day_zone: Option<String>,
    /// What comes before a quote within quotes of a CSV file, as the backslash of Spark, where quotes are not doubled
    #[arg(long, value_name = "CHARACTER")]
    pub(super) csv_escape: Option<char>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Item {
    I32,
    I64,
}

impl ValueArguments {
    pub(super) fn item_dtype(&self) -> Option<ItemDtype> {
        self.item_dtype.map(|dtype| match dtype {
            Item::I32 => ItemDtype::I32,
            Item::I64 => ItemDtype::I64,
        })
    }
}

/// A table of a description and where it lies, as `NAME=PATH`.
#[derive(Clone, Debug)]
struct TableAt {
    name: String,
    path: PathBuf,
}

impl FromStr for TableAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(Self { name: name.to_owned(), path: PathBuf::from(path) })
            }
            _ => Err("write it as NAME=PATH, with the name of a table of the description".to_owned()),
        }
    }
}
