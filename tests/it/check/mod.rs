//! Protects: what `shardback check` says of tables is what a build would make of them; it reads a little, stops early, and writes nothing.

#![expect(clippy::disallowed_methods, reason = "the tests write tables by hand")]

mod command;
mod golden;
mod sources;
mod warnings;

use std::fs;

use shardback::check::{self, Options, Report};
use shardback::error::Result;
use shardback::event::Day;
use shardback::pipeline::Tables;
use shardback::schema::{Schema, from_toml};
use shardback::store::StoreOptions;
use tempfile::TempDir;

/// Noon of 2025-08-17, which is when these tables are looked at.
fn now() -> i64 {
    Day::parse(b"2025-08-17").unwrap().midnight() + 43_200_000_000
}

fn options(schema: Schema, rows: u64) -> Options {
    let store = StoreOptions::default();
    Options { schema, item_dtype: None, day_zone: None, csv_escape: None, store, rows, now: now() }
}

/// Tables as files in a folder, and a description of them, which says where they lie.
struct World {
    folder: TempDir,
    schema: Schema,
}

impl World {
    fn new(description: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::write(folder.path().join("shop.toml"), description).unwrap();
        Self { folder, schema: from_toml(description).unwrap() }
    }

    fn try_check(&self, rows: u64) -> Result<Report> {
        let tables = Tables::described(&self.schema, Some(self.folder.path()), Vec::new())?;
        check::check(options(self.schema.clone(), rows), tables, &|| false)
    }

    #[track_caller]
    fn check(&self, rows: u64) -> Report {
        self.try_check(rows).unwrap()
    }
}

/// A description with these keys of `[samples]` and of its table of actions, `clicks`.
fn description(samples: &str, clicks: &str, rest: &str) -> String {
    format!(
        "version = 1\n{rest}\n[types]\nclick = 1\n[samples]\npath = \"samples\"\ncustomer = \"c\"\nitem = \"i\"\n{samples}\n\
         [actions.clicks]\npath = \"clicks\"\ncustomer = \"c\"\nitem = \"i\"\n{clicks}\n[history]\nlength = 1\n"
    )
}
