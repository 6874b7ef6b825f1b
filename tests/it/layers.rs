//! The flow of the source: a module uses only modules that come before it.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order in which data passes them, as ARCHITECTURE.md walks through them.
const ORDER: [&str; 30] = [
    "error",
    "machine",
    "store",
    "event",
    "pack",
    "zone",
    "texts",
    "schema",
    "config",
    "fsio",
    "layout",
    "parquet_file",
    "read",
    "unify",
    "histories",
    "cut",
    "gather",
    "write",
    "manifest",
    "open",
    "remote",
    "load",
    "pipeline",
    "build",
    "check",
    "cluster",
    "verify",
    "inspect",
    "report",
    "generate",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let nested = entries.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    nested.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The top-level module that a file belongs to.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(source()).unwrap();
    inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The modules named after `crate::` in code, comments aside.
fn used(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let names = code.split("crate::").skip(1).flat_map(|rest| match rest.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap().split(',').map(str::trim).collect(),
        None => vec![rest],
    });
    names.map(|name| name.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()).collect()
}

/// Data flows one way: nothing uses what comes after it.
#[test]
fn modules_use_only_modules_before_them() {
    let place = |module: &str| ORDER.iter().position(|known| *known == module);
    for file in rust_files(&source()) {
        let module = module(&file);
        if ["lib", "main", "cli"].contains(&module.as_str()) {
            continue;
        }
        let own = place(&module).unwrap_or_else(|| panic!("{} belongs to no known module", file.display()));
        for used in used(&fs::read_to_string(&file).unwrap()) {
            let other = place(&used).unwrap_or_else(|| panic!("{} uses unknown crate::{used}", file.display()));
            assert!(other <= own, "{} uses crate::{used}, which comes after {module}", file.display());
        }
    }
}

/// The command line is a user of the library like any other: nothing in the library knows it.
#[test]
fn the_command_line_uses_the_public_library_only() {
    for file in rust_files(&source().join("cli")) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("use crate::"), "{} reaches into the crate", file.display());
    }
}

/// Files stay short enough to be read in one go.
/// Python's users write options in another way, and the library's in a third: whoever shows a message spells them.
#[test]
fn only_the_command_line_names_flags() {
    for file in rust_files(&source()).iter().filter(|file| module(file) != "cli" && module(file) != "report") {
        let text = fs::read_to_string(file).unwrap();
        let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in code {
            let flag =
                line.split("--").skip(1).find(|rest| rest.starts_with(|letter: char| letter.is_ascii_lowercase()));
            assert_eq!(flag, None, "{}, line {}", file.display(), number + 1);
        }
    }
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    for file in rust_files(&source()) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 500, "{} has {lines} lines", file.display());
    }
}
