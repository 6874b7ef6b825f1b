//! Object stores: their settings, and where days that lie there are kept on this machine.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use shardback::config;
use shardback::error;
use shardback::remote::{self, Cache};
use shardback::store::{StoreOptions, is_in_store};

/// How days at addresses of object stores are had.
#[derive(clap::Args)]
pub(super) struct StoreArguments {
    /// Where days that lie in an object store are kept on this machine; shardback in the user's cache if not given
    #[arg(long, value_name = "FOLDER", help_heading = "Object stores")]
    cache_dir: Option<PathBuf>,
    /// The most that the days of one output may take there, as 100GiB; no limit if not given
    #[arg(long, value_name = "SIZE", value_parser = config::parse_size, help_heading = "Object stores")]
    cache_limit: Option<u64>,
    /// A setting of object stores, as aws_region=eu-west-1; may be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Object stores")]
    store_option: Vec<StoreSetting>,
}

impl StoreArguments {
    /// The days at a path, on this machine: those at an address are fetched.
    pub(super) fn on_disk<'a>(&self, path: &'a Path) -> error::Result<Cow<'a, Path>> {
        if !is_in_store(path) {
            return Ok(Cow::Borrowed(path));
        }
        let folder = self.cache_dir.clone().unwrap_or_else(remote::cache_folder);
        let cache = Cache { folder, limit: self.cache_limit };
        remote::fetch(path, &cache, &store_options(&self.store_option)).map(Cow::Owned)
    }
}

/// Settings of object stores.
pub(super) fn store_options(settings: &[StoreSetting]) -> StoreOptions {
    let mut store = StoreOptions::default();
    settings.iter().for_each(|setting| store.set(&setting.name, &setting.value));
    store
}

/// A setting of object stores. Its value may be a secret: it is not shown.
#[derive(Clone)]
pub(super) struct StoreSetting {
    name: String,
    value: String,
}

impl FromStr for StoreSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            _ => Err("write it as KEY=VALUE, as aws_region=eu-west-1".to_owned()),
        }
    }
}
