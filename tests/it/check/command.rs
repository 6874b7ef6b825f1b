//! `shardback check` on the command line.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use insta::{Settings, assert_snapshot};
use serde_json::Value;
use walkdir::WalkDir;

use super::golden::{DESCRIPTION, without_folder, world};
use crate::cli::{Run, run, shardback};

/// The last day on which a time is not odd is a year from tomorrow on.
fn next_year() -> Settings {
    let mut settings = Settings::clone_current();
    settings.add_filter(r"or after \d{4}-\d\d-\d\d", "or after [next year]");
    settings
}

/// What is in a folder, and when it was written.
fn content(folder: &Path) -> Vec<(String, u64, SystemTime)> {
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter().map(|entry| {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        (entry.path().to_string_lossy().into_owned(), metadata.len(), metadata.modified().unwrap())
    });
    entries.collect()
}

/// The text for a person, and the same as JSON; nothing is written, and warnings and bad rows are no failure.
#[test]
fn a_report_is_printed() {
    let world = world();
    let before = content(world.folder.path());
    let check = |more: &[&str]| {
        let mut command = shardback();
        command.arg("check").arg("--config").arg(world.folder.path().join("shop.toml"));
        let Run { code, stdout, stderr } = run(command.current_dir(world.folder.path()).args(more));
        assert_eq!((code, stderr.as_str()), (0, ""));
        without_folder(&stdout, &world)
    };
    let text = check(&[]);
    next_year().bind(|| assert_snapshot!("text", text));
    let report: Value = serde_json::from_str(&check(&["--json"])).unwrap();
    assert_eq!(report["tables"].as_array().unwrap().len(), 6);
    assert_eq!(report["tables"][1]["days"]["from_paths"], true);
    assert_eq!(report["warnings"].as_array().unwrap().len(), text.matches("\nwarning: ").count());
    let few: Value = serde_json::from_str(&check(&["--json", "--rows", "1"])).unwrap();
    assert_eq!((few["tables"][1]["rows"].as_u64(), few["tables"][1]["is_whole"].as_bool()), (Some(1), Some(false)));
    assert_eq!(content(world.folder.path()), before);
}

/// The built-in tables need no description. The bundled sample has an unknown time of 1970 in it, and carts that arrive late.
#[test]
fn the_built_in_tables_need_no_description() {
    let mut command = shardback();
    command.args(["check", "--impressions", "data/sample/impressions", "--clicks", "data/sample/clicks"]);
    command.args(["--add-to-carts", "data/sample/add_to_carts", "--previous-orders", "data/sample/previous_orders"]);
    let Run { code, stdout, stderr } = run(&mut command);
    assert_eq!((code, stderr.as_str()), (0, ""));
    next_year().bind(|| assert_snapshot!("built_in", stdout));
}

/// What stops a build whatever its rows hold ends a check as well, with the same words and codes.
#[test]
fn what_cannot_be_read_is_an_error() {
    let world = world();
    let path = |name: &str| world.folder.path().join(name);
    let check = |description: &str, more: &[&str]| {
        fs::write(path("shop.toml"), description).unwrap();
        let mut command = shardback();
        let Run { code, stdout, stderr } = run(command.arg("check").arg("--config").arg(path("shop.toml")).args(more));
        assert_eq!(stdout, "");
        (code, without_folder(&stderr, &world))
    };
    let without_price = DESCRIPTION.replace("column = \"price\"", "column = \"cost\"");
    let wrong_key = DESCRIPTION.replace("length = 10", "lenght = 10");
    for (description, more, code, expected) in [
        (
            DESCRIPTION,
            &["--table", "late=nowhere"][..],
            1,
            "error: late: cannot read `nowhere`: No such file or directory (os error 2)\n",
        ),
        (
            DESCRIPTION,
            &["--table", "lat=nowhere"],
            2,
            "error: --table: `lat` is not a table of the description; its tables are samples, clicks, events, abroad, orders, late\n",
        ),
        (
            &without_price,
            &[],
            1,
            "error: events: no column `cost` in `WORLD/events.csv`; its columns: user, sku, day, at, event, country, price\n",
        ),
        (
            &wrong_key,
            &[],
            1,
            "error: `WORLD/shop.toml`: history.length: it is missing: name how many actions a history has at most\n",
        ),
        (DESCRIPTION, &["--rows", "0"], 2, "error: --rows: use 1 or more\n"),
    ] {
        assert_eq!(check(description, more), (code, expected.to_owned()), "{more:?}");
    }
    let Run { code, stderr, .. } = run(shardback().arg("check"));
    assert!(code == 2 && stderr.contains("--impressions <PATH>"), "{code} {stderr}");
}
