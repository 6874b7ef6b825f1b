//! Random descriptions and tables on a cluster of a few loops: the bytes of one machine, which hold what the reference says.

use std::path::Path;

use proptest::option;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use serde_json::Value;
use shardback::config::{InvalidRows, Options, Sharding};
use shardback::event::{Day, ItemDtype};
use shardback::schema::{DayOf, Schema, from_json};
use tempfile::TempDir;

use super::built::{Form, batch, check};
use super::strategies::{Case, DAYS, FIRST, case, text};
use super::{File, Tables, day, rows, times};
use crate::loops::{self, Cluster};
use crate::tables::published;

/// The column of the days that paths of files give by a pattern.
const DAY_OF_PATH: &str = "day of the path";

/// An engine hands rows over, and no files: what paths say of the days of rows stands in a column.
fn without_paths(mut schema: Schema, tables: &Tables) -> (Schema, Tables) {
    let mut tables = tables.clone();
    let days = std::iter::once(&mut schema.samples.day).chain(schema.actions.iter_mut().map(|table| &mut table.day));
    for (day, files) in days.zip(std::iter::once(&mut tables.samples).chain(&mut tables.actions)) {
        for File { path, rows } in files {
            let found = match &*day {
                DayOf::Column { column, .. } => rows::folder(path, column).map(|text| (column.clone(), text)),
                DayOf::Path(pattern) => {
                    let found = times::day_in_path(path, pattern).unwrap();
                    Some((DAY_OF_PATH.to_owned(), found.to_string()))
                }
                DayOf::Time { .. } => None,
            };
            for row in rows {
                row.as_object_mut().unwrap().extend(found.clone().map(|(name, text)| (name, Value::from(text))));
            }
        }
        if matches!(day, DayOf::Path(_)) {
            *day = DayOf::Column { column: DAY_OF_PATH.to_owned(), zone: None };
        }
    }
    (schema, tables)
}

/// The tables of a description as batches, samples first.
fn batches(schema: &Schema, tables: &Tables, form: Form) -> loops::Tables {
    let names = std::iter::once(None).chain(schema.actions.iter().cloned().map(Some));
    let files = std::iter::once(&tables.samples).chain(&tables.actions);
    let all_rows = |files: &Vec<File>| files.iter().flat_map(|file| file.rows.clone()).collect::<Vec<_>>();
    loops::Tables(names.zip(files).map(|(table, files)| (table, batch(&all_rows(files), form))).collect())
}

fn cluster() -> impl Strategy<Value = Cluster> {
    let sizes = (1..4usize, 1..12usize, 1..9usize);
    (sizes, option::of(1..20_000u64), 0..1_000_000u64)
        .prop_map(|((tasks, rows, part_tasks), map_memory, seed)| Cluster { tasks, rows, map_memory, part_tasks, seed })
}

fn build_and_check(case: &Case, form: Form, sharding: Sharding, cluster: Cluster) -> Result<(), String> {
    let described = from_json(&case.description).unwrap();
    let (schema, tables) = without_paths(described.clone(), &case.tables);
    let folder = TempDir::new().unwrap();
    let options = Options {
        item_dtype: case.wide.then_some(ItemDtype::I64),
        invalid: InvalidRows::Skip,
        allow_empty_days: true,
        sharding,
        formats: shardback::config::Format::ALL.to_vec(),
        ..Options::described(schema.clone(), Path::new(""), Day(FIRST), Day(FIRST + DAYS - 1))
    };
    let batches = batches(&schema, &tables, form);
    let out = |name: &str| Options { out: folder.path().join(name), ..options.clone() };
    let (one, tasks) = (out("one"), out("tasks"));
    batches.build(&one).map_err(|error| format!("one machine: {error}"))?;
    cluster.build(&batches, &tasks).map_err(|error| format!("tasks: {error}"))?;
    let (expected, found) = (published(&one.out), published(&tasks.out));
    if let Some((expected, found)) = expected.iter().zip(&found).find(|(expected, found)| expected != found) {
        return Err(format!(
            "one machine has {}, tasks have other bytes in {}",
            expected.0.display(),
            found.0.display()
        ));
    }
    if expected.len() != found.len() {
        return Err(format!("one machine has {} files, tasks have {}", expected.len(), found.len()));
    }
    (FIRST..FIRST + DAYS)
        .map(Day)
        .try_for_each(|date| check(&described, &tasks.out, date, &day(&described, &case.tables, date, case.wide)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever a description says and its tables hold, tasks that each have some of the rows give, in every format, the files and
    /// manifests of one machine, and what the contract says.
    #[test]
    fn every_description_is_built_by_tasks_as_by_one_machine(
        case in case(),
        form in prop_oneof![Just(Form::Parquet), Just(Form::Typed)],
        (by_rows, shards) in (any::<bool>(), 1..9u32),
        cluster in cluster(),
    ) {
        let sharding = if by_rows { Sharding::Rows(shards.into()) } else { Sharding::Count(shards) };
        if let Err(problem) = build_and_check(&case, form, sharding, cluster) {
            panic!("{problem}\n{}", text::toml(&case.description));
        }
    }
}
