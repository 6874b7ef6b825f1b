//! What can be asked of the program, and what it says where that makes no sense.

use std::fs;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;

use super::{Run, World, done, run, shardback};

/// The help of the program and of its commands is written for people: read the snapshot after a change.
#[test]
fn help() {
    for (name, arguments) in [
        ("help", ["--help"].as_slice()),
        ("help_short", &["-h"]),
        ("help_build", &["build", "--help"]),
        ("help_build_short", &["build", "-h"]),
        ("help_check", &["check", "--help"]),
        ("help_inspect", &["inspect", "--help"]),
        ("help_report", &["report", "--help"]),
        ("help_verify", &["verify", "--help"]),
        ("help_clean", &["clean", "--help"]),
        ("help_generate", &["generate", "--help"]),
        ("help_demo", &["demo", "--help"]),
        ("help_completions", &["completions", "--help"]),
        ("help_man", &["man", "--help"]),
    ] {
        let Run { stdout, stderr, .. } = done(shardback().args(arguments));
        assert_eq!(stderr, "");
        assert!(stdout.lines().all(|line| line.chars().count() <= 100), "{name} is too wide");
        assert_snapshot!(name, stdout);
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    for argument in ["--version", "-V"] {
        assert_eq!(done(shardback().arg(argument)).stdout, format!("shardback {}\n", env!("CARGO_PKG_VERSION")));
    }
}

/// Wrong usage ends with 2 before anything is done, and says what is wrong.
#[test]
fn wrong_usage_ends_with_2() {
    let world = World::new();
    let day = ["--date", "2025-08-16"];
    let cases: [(&str, Vec<&str>); 17] = [
        ("no day", vec![]),
        ("half a range", vec!["--start", "2025-08-14"]),
        ("a day and a range", [&day[..], &["--start", "2025-08-14", "--end", "2025-08-15"]].concat()),
        ("a range backwards", vec!["--start", "2025-08-16", "--end", "2025-08-14"]),
        ("no calendar has the day", vec!["--date", "2025-02-30"]),
        ("an empty day", vec!["--date", ""]),
        ("no history", [&day[..], &["--history", "0"]].concat()),
        ("a history beyond the limit", [&day[..], &["--history", "4000000000"]].concat()),
        ("no look-back", [&day[..], &["--lookback-days", "0"]].concat()),
        ("no shards", [&day[..], &["--shards", "0"]].concat()),
        ("no rows in a shard", [&day[..], &["--shard-rows", "0"]].concat()),
        ("shards in two ways", [&day[..], &["--shards", "2", "--shard-rows", "10"]].concat()),
        ("no threads", [&day[..], &["--threads", "0"]].concat()),
        ("an unknown format", [&day[..], &["--formats", "csv"]].concat()),
        ("no format", [&day[..], &["--formats", ""]].concat()),
        ("an unknown device", [&day[..], &["--device", "tpu"]].concat()),
        ("an unknown option", [&day[..], &["--clickz", "x"]].concat()),
    ];
    let mut said = String::new();
    for (name, arguments) in cases {
        let mut command = shardback();
        command.args(["build", "--impressions", "data/sample/impressions", "--clicks", "data/sample/clicks"]);
        let Run { code, stdout, stderr } = run(command.arg("--out").arg(world.out()).args(&arguments));
        assert_eq!((code, stdout.as_str()), (2, ""), "{name}: {stderr}");
        assert!(stderr.starts_with("error: "), "{name}: {stderr}");
        said.push_str(&format!("# {name}\n{stderr}\n"));
    }
    for (name, arguments) in [
        ("no command", vec![]),
        ("an unknown command", vec!["bild"]),
        (
            "no table of actions",
            vec!["build", "--impressions", "data/sample/impressions", "--date", "2025-08-16", "--out", "OUT"],
        ),
        ("no tables at all", vec!["build", "--date", "2025-08-16", "--out", "OUT"]),
    ] {
        let Run { code, stdout, stderr } = run(shardback().args(&arguments));
        assert_eq!((code, stdout.as_str()), (2, ""), "{name}: {stderr}");
        said.push_str(&format!("# {name}\n{stderr}\n"));
    }
    assert!(!world.out().exists() && !Path::new(env!("CARGO_MANIFEST_DIR")).join("OUT").exists());
    assert_snapshot!(said);
}

/// Results inside a table would be read by the next run; a table among results would be in their way.
#[test]
fn an_output_among_the_tables_is_refused() {
    let world = World::new();
    let root = world.folder.path().canonicalize().unwrap();
    let tables = root.join("tables");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample");
    assert!(Command::new("cp").arg("-r").arg(sample).arg(&tables).status().unwrap().success());
    std::os::unix::fs::symlink(&tables, root.join("link")).unwrap();
    let build = |impressions: &str, out: &str| {
        let mut command = shardback();
        command.args(["build", "--quiet", "--date", "2025-08-16", "--history", "5"]).current_dir(&root);
        command.args(["--clicks", "tables/clicks", "--impressions", impressions, "--out", out]);
        let Run { code, stderr, .. } = run(&mut command);
        (code, stderr.replace(&*root.to_string_lossy(), "ROOT"))
    };
    let mut said = String::new();
    for (impressions, out) in [
        ("tables/impressions", "tables/impressions"),
        ("tables/impressions", "tables/impressions/new/out"),
        ("tables/impressions", "link/clicks/../clicks"),
        ("link/impressions", "tables/impressions/dt=2025-08-16"),
    ] {
        let (code, stderr) = build(impressions, out);
        assert_eq!(code, 2, "{stderr}");
        said.push_str(&stderr);
    }
    let moved = root.join("out/dense/tables");
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(tables.join("impressions"), &moved).unwrap();
    let (code, stderr) = build("out/dense/tables", "out");
    assert_eq!(code, 2, "{stderr}");
    said.push_str(&stderr);
    assert_snapshot!(said);
    fs::rename(&moved, tables.join("impressions")).unwrap();
    assert!(!tables.join("impressions/new").exists() && !tables.join("impressions/dense").exists());
    // Beside them, around them and where no table looks is no harm.
    for out in ["out", "tables", "tables/clicks/_out"] {
        assert_eq!(build("tables/impressions", out), (0, String::new()), "{out}");
    }
}

/// More threads than any machine has use for are refused, before anything is started or read.
#[test]
fn too_many_threads_are_refused_at_once() {
    let world = World::new();
    for threads in ["1025", "16384", "100000"] {
        let mut build = shardback();
        build.args(["build", "--impressions", "nowhere", "--clicks", "nowhere", "--date", "2025-08-16"]);
        let run = run(build.args(["--threads", threads, "--out"]).arg(world.out()));
        assert_eq!(run.code, 2);
        assert!(run.stderr.contains(&format!("--threads: {threads} is not between 1 and 1024")), "{}", run.stderr);
    }
    assert!(!world.out().exists());
}
