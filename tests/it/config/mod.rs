//! Protects: a build from a description gives the rows that the description means, from tables of any shape and format.

#![expect(clippy::disallowed_methods, reason = "the tests write tables by hand")]

pub(crate) mod bad_rows;
mod command;
mod decimals;
mod shapes;
mod values;

use std::fs;
use std::path::PathBuf;

use arrow::json::LineDelimitedWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use shardback::config::{Format, InvalidRows, Options, Plan};
use shardback::error::{Error, Result};
use shardback::event::Day;
use shardback::manifest::{MANIFEST_FILE, Manifest};
use shardback::pipeline::{self, Input, Tables};
use shardback::schema::{Schema, from_toml};
use tempfile::TempDir;

/// 2025-08-16, the day that is built.
const DAY: &str = "2025-08-16";

/// Tables as files in a folder, and a description of them.
struct World {
    folder: TempDir,
    schema: Schema,
}

impl World {
    /// Files by their names, each the only one of the table of its stem.
    fn new(description: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        Self { folder, schema: from_toml(description).unwrap() }
    }

    fn input(&self, table: &str) -> Input {
        let mut names = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        Input::Path(names.find(|path| path.file_stem().unwrap() == table).unwrap())
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn build(&self, invalid: InvalidRows) -> Result<()> {
        let day: Day = DAY.parse().unwrap();
        let defaults = Options::described(self.schema.clone(), self.out(), day, day);
        let options = Options { formats: vec![Format::Parquet], invalid, ..defaults };
        let actions = self.schema.actions.iter().map(|table| (table.clone(), self.input(&table.name)));
        let tables = Tables { impressions: self.input("samples"), actions: actions.collect() };
        pipeline::build(&Plan::new(options)?, tables, &()).map(drop)
    }

    /// The rows of the day as JSON, sorted.
    fn rows(&self) -> Vec<String> {
        self.build(InvalidRows::Fail).unwrap();
        self.built_rows()
    }

    fn built_rows(&self) -> Vec<String> {
        let file = fs::File::open(self.day_folder().join("part-00000.parquet")).unwrap();
        let mut lines = Vec::new();
        let mut writer = LineDelimitedWriter::new(&mut lines);
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            writer.write(&batch.unwrap()).unwrap();
        }
        writer.finish().unwrap();
        let mut rows: Vec<String> = String::from_utf8(lines).unwrap().lines().map(ToOwned::to_owned).collect();
        rows.sort_unstable();
        rows
    }

    fn day_folder(&self) -> PathBuf {
        self.out().join(format!("parquet/dt={DAY}"))
    }

    fn manifest(&self) -> Manifest {
        Manifest::from_bytes(&fs::read(self.day_folder().join(MANIFEST_FILE)).unwrap()).unwrap()
    }

    /// What the build says that fails, without the folder.
    fn error(&self) -> String {
        self.message(&self.build(InvalidRows::Fail).unwrap_err())
    }

    fn message(&self, error: &Error) -> String {
        error.to_string().replace(&*self.folder.path().to_string_lossy(), "WORLD")
    }
}

/// A description with these keys of `[samples]` and one table of actions without any action that matters.
fn samples(keys: &str, rest: &str) -> String {
    format!(
        "version = 1\n{rest}\n[types]\nclick = 1\n[samples]\n{keys}\n[actions.clicks]\ntype = \"click\"\ncustomer = \"c\"\n\
         item = \"i\"\nday = \"d\"\n[history]\nlength = 1\n"
    )
}

/// Its table of actions.
const NO_CLICKS: (&str, &str) = ("clicks.csv", "c,i,d\n");

/// Builds a description as [`samples`] makes it, from one file of samples; the rows but for their histories.
fn samples_of(keys: &str, rest: &str, file: (&str, &str)) -> Vec<String> {
    let rows = World::new(&samples(keys, rest), &[file, NO_CLICKS]).rows();
    rows.into_iter().map(|row| row.replace(r#","actions":[0],"action_types":[0]"#, "")).collect()
}
