//! The descriptions of public logs in `presets/`: each on a few made-up rows in the log's own shape, with what has to come out of them
//! worked out by hand.

use std::path::Path;

use serde_json::{Map, Value};
use shardback::event::Day;
use shardback::schema::{Cutoff, Schema, Source, from_json, from_toml};

use crate::described::{BadRow, File, Number, Request, Sample, Seen, Tables, bad_rows, day, files};

mod built;
mod examples;

/// A preset, rows for it, and what comes out.
struct Example {
    name: &'static str,
    description: &'static str,
    /// Name and text of each file.
    files: &'static [(&'static str, &'static str)],
    /// The files of each table that are not all of them: those whose names begin with the table's.
    file_for_each_table: bool,
    /// Whether the log is published as Parquet; here its rows are JSON.
    is_parquet: bool,
    date: &'static str,
    requests: Vec<Request>,
    bad: Vec<BadRow>,
}

impl Example {
    fn schema(&self) -> Schema {
        from_toml(self.description).unwrap()
    }

    /// The files of a table.
    fn files_of(&self, table: &str) -> Vec<(&'static str, &'static str)> {
        let is_its = |(name, _): &&(&str, &str)| !self.file_for_each_table || name.starts_with(table);
        self.files.iter().filter(is_its).copied().collect()
    }

    fn tables(&self) -> Tables {
        let schema = self.schema();
        let read = |table: &str, source: &Source| {
            let file = |(name, text): (&str, &str)| {
                let is_json = Path::new(name).extension().is_some_and(|extension| extension == "jsonl");
                let rows = if is_json { files::json_lines(text) } else { files::csv(text, source) };
                File { path: name.to_owned(), rows }
            };
            self.files_of(table).into_iter().map(file).collect()
        };
        Tables {
            samples: read("samples", &schema.samples.source),
            actions: schema.actions.iter().map(|table| read(&table.name, &table.source)).collect(),
        }
    }
}

/// Every preset makes of the rows of its log what its comment says.
#[test]
fn the_reference_makes_of_each_log_what_is_expected() {
    for example in examples::all() {
        let (schema, tables) = (example.schema(), example.tables());
        let date = Day::parse(example.date.as_bytes()).unwrap();
        assert_eq!(day(&schema, &tables, date, false), example.requests, "{}", example.name);
        let bad: Vec<BadRow> = bad_rows(&schema, &tables, false).into_iter().collect();
        assert_eq!(bad, example.bad, "{}", example.name);
    }
}

/// The same log with a cut-off at the time: what was shown at one moment does not see what was done at it, what is shown later does.
#[test]
fn a_cutoff_at_the_time_sees_the_day_itself() {
    let example = examples::all().into_iter().find(|example| example.name == "kuairand").unwrap();
    let mut schema = example.schema();
    schema.history.cutoff = Cutoff::Time;
    let found = day(&schema, &example.tables(), Day::parse(example.date.as_bytes()).unwrap(), false);
    let moments: Vec<_> = found.iter().map(|request| (request.customer, request.time)).collect();
    let (midnight, morning) = (1_650_643_500_000_000, 1_650_668_400_000_000);
    assert_eq!(moments, [(1, Some(1_650_679_200_000_000)), (0, Some(midnight)), (0, Some(morning))]);
    let before = &example.requests[1].history;
    assert_eq!(&found[1].history, before);
    let (new, old) = found[2].history.split_at(2);
    let new: Vec<_> = new.iter().map(|seen| (seen.item, seen.kind, seen.time)).collect();
    // A like and a click of one row, five past midnight.
    assert_eq!((new, old), (vec![(9, 3, Some(midnight)), (9, 1, Some(midnight))], before.as_slice()));
    assert_eq!([found[1].samples.len(), found[2].samples.len()], [3, 1]);
}

/// No preset is left without an example, and each says at its top how it is run.
#[test]
fn every_preset_has_an_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("presets");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".toml", ""))
        .collect();
    names.sort();
    let mut known: Vec<&str> = examples::all().iter().map(|example| example.name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
    for example in examples::all() {
        let comment: String = example.description.lines().take_while(|line| line.starts_with('#')).collect();
        let command = format!("shardback build --config {}.toml", example.name);
        assert!(comment.contains(&command) && comment.contains("Published at https://"), "{}", example.name);
        let schema = example.schema();
        let names = schema.actions.iter().map(|table| table.name.as_str()).chain(["samples"]);
        for name in names {
            assert!(comment.contains(&format!("--table {name}=")), "{}: {name}", example.name);
        }
    }
}

/// The blocks of TOML in `docs/tables.md` are descriptions: the first whole, the others parts that take the place of its own. So is that of
/// the README.
#[test]
fn the_document_shows_descriptions_that_can_be_read() {
    let text = include_str!("../../docs/tables.md");
    let blocks_of = |text: &str| -> Vec<Map<String, Value>> {
        let blocks = text.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
        blocks.map(|block| toml::from_str(block).unwrap()).collect()
    };
    let blocks = blocks_of(text);
    for block in blocks_of(include_str!("../../README.md")) {
        from_json(&Value::Object(block)).unwrap();
    }
    assert!(blocks.len() > 8, "{} blocks", blocks.len());
    for block in &blocks {
        let mut whole = blocks[0].clone();
        whole.extend(block.clone());
        let schema = from_json(&Value::Object(whole)).unwrap_or_else(|error| panic!("{error}: {block:?}"));
        assert!(!schema.actions.is_empty());
    }
    for example in examples::all() {
        assert!(text.contains(&format!("(../presets/{}.toml)", example.name)), "{}", example.name);
    }
}
