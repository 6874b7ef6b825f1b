//! Protects: a release is made by the targets that anybody can run, and has one version.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Workflows call targets of the Makefile, and such as there are.
#[test]
fn workflows_call_targets_that_are_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut called = 0;
    for entry in fs::read_dir(root().join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        // Comments are for people.
        let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for words in code.filter_map(|line| line.split_once("make ")).map(|(_, words)| words) {
            let target = words.split([' ', ')', '"']).find(|word| !word.starts_with('-')).unwrap();
            let is_there = makefile.lines().any(|line| line.starts_with(&format!("{target}: ")));
            assert!(is_there, "{}: make {target}", path.display());
            called += 1;
        }
    }
    assert!(called >= 7, "{called}");
}

/// The version is said once; every package takes it from there.
#[test]
fn the_version_is_in_one_place() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let version = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");
    let workspace = read("Cargo.toml");
    assert_eq!(workspace.lines().filter(|line| *line == version).count(), 1);
    for package in ["Cargo.toml", "python/Cargo.toml"] {
        assert!(read(package).lines().any(|line| line == "version.workspace = true"), "{package}");
    }
    let python = read("python/pyproject.toml");
    assert!(python.contains("dynamic = [\"version\"]") && !python.lines().any(|line| line.starts_with("version =")));
}
