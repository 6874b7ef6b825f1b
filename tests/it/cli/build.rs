//! What a build says and does, and with which code it ends.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use insta::Settings;
use insta::assert_snapshot;
use parquet::file::reader::FileReader;
use parquet::file::reader::SerializedFileReader;
use safetensors::SafeTensors;
use serde_json::Value;

use super::{Run, World, done, run, shardback};
use crate::tables::published;
use crate::watchdog;

/// A build says how it goes on stderr, and what came of it on stdout.
#[test]
fn a_build_tells_what_it_did() {
    let world = World::new();
    let Run { stdout, stderr, .. } = done(&mut world.build(&["--start", "2025-08-14", "--end", "2025-08-15"]));
    let mut settings = Settings::clone_current();
    settings.add_filter(r"\d+\.\d\d s", "[time]");
    settings.add_filter(r"[\d.]+ [KMG]iB", "[size]");
    settings.add_filter(&regex_escaped(&world.out()), "OUT");
    settings.bind(|| {
        assert_snapshot!("a_build_tells_what_it_did", stdout);
        assert_snapshot!("a_build_tells_how_it_goes", stderr);
    });
}

fn regex_escaped(path: &Path) -> String {
    path.to_str().unwrap().replace('.', "\\.")
}

/// Names that options had before still work, in scripts that people have.
#[test]
fn options_keep_their_earlier_names() {
    let (now, before) = (World::new(), World::new());
    done(&mut now.build(&["--start", "2025-08-15", "--end", "2025-08-16", "--formats", "jagged"]));
    done(&mut before.build(&["--from", "2025-08-15", "--to", "2025-08-16", "--format", "jagged"]));
    assert!(published(&before.out()) == published(&now.out()));
    let day = World::new();
    done(&mut day.build(&["--process-date", "2025-08-15", "--formats", "jagged"]));
    assert_eq!(published(&day.out()).len() * 2, published(&now.out()).len());
}

/// Quiet is quiet, and what it writes is the same.
#[test]
fn quiet_builds_say_nothing() {
    let (loud, quiet) = (World::new(), World::new());
    done(&mut loud.build(&["--date", "2025-08-16"]));
    for flag in ["--quiet", "-q"] {
        let Run { stdout, stderr, .. } = done(&mut quiet.build(&["--date", "2025-08-16", flag]));
        assert_eq!((stdout.as_str(), stderr.as_str()), ("", ""), "{flag}");
    }
    assert!(published(&quiet.out()) == published(&loud.out()));
}

/// The summary for programs: one JSON document on stdout, with each day, format and table.
#[test]
fn json_is_for_programs() {
    let world = World::new();
    let arguments = ["--start", "2025-08-15", "--end", "2025-08-16", "--json", "--formats", "jagged,parquet"];
    let summary: Value = serde_json::from_str(&done(&mut world.build(&arguments)).stdout).unwrap();
    let days = summary["days"].as_array().unwrap();
    assert_eq!(days.iter().map(|day| day["day"].as_str().unwrap()).collect::<Vec<_>>(), ["2025-08-15", "2025-08-16"]);
    for day in days {
        assert!(day["samples"].as_u64().unwrap() > day["customers"].as_u64().unwrap());
        let formats = day["formats"].as_array().unwrap();
        assert_eq!(
            formats.iter().map(|format| format["format"].as_str().unwrap()).collect::<Vec<_>>(),
            ["parquet", "jagged"]
        );
        for format in formats {
            let folder = Path::new(format["path"].as_str().unwrap());
            assert!(folder.join("_SUCCESS").exists());
            assert_eq!(format["shards"], 1);
            let shards = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
            let shards = shards.filter(|entry| !entry.file_name().to_string_lossy().starts_with('_'));
            assert_eq!(format["bytes"], shards.map(|entry| entry.metadata().unwrap().len()).sum::<u64>());
        }
    }
    let tables = summary["tables"].as_array().unwrap();
    assert_eq!(
        tables.iter().map(|table| table["table"].as_str().unwrap()).collect::<Vec<_>>(),
        ["impressions", "clicks"]
    );
    assert!(tables.iter().all(|table| table["rejected"] == 0 && table["rows"].as_u64().unwrap() > 0));
    assert!(
        tables[1]["files"]
            .as_array()
            .unwrap()
            .iter()
            .all(|file| file.as_str().unwrap().starts_with("data/sample/clicks/"))
    );
    assert_eq!(summary["skipped"], Value::Array(vec![]));
    assert_eq!(summary["threads"], 2);

    // A second look at the same days keeps them.
    let again = [&arguments[..], &["--skip-existing", "--quiet"]].concat();
    let Run { stdout, stderr, .. } = done(&mut world.build(&again));
    assert_eq!(stderr, "");
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&summary["days"], summary["skipped"][1].as_str()), (&Value::Array(vec![]), Some("2025-08-16")));
}

/// A table that stops before the day before is named in both summaries, and refused on request.
#[test]
fn late_tables_are_named() {
    let world = World::new();
    let build = |more: &[&str]| {
        let mut command = shardback();
        command.args(["build", "--impressions", "data/sample/impressions", "--history", "5"]);
        // The folder of each day is one that the path names: clicks up to the 14th.
        command.args(["--clicks", "data/sample/clicks/dt=2025-08-1[0-4]", "--date", "2025-08-16"]);
        run(command.arg("--out").arg(world.out()).args(more))
    };
    let refused = build(&["--require-fresh"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("error: clicks: no row on the day before 2025-08-16"), "{}", refused.stderr);
    assert!(published(&world.out()).is_empty());
    let said = "late   clicks has no row on the day before 2025-08-16; the last it has before that are of 2025-08-14";
    let text = build(&[]).stdout;
    assert!(text.lines().any(|line| line == said), "{text}");
    let json: Value = serde_json::from_str(&build(&["--json"]).stdout).unwrap();
    assert_eq!(json["days"][0]["late"], serde_json::json!([{ "table": "clicks", "last": "2025-08-14" }]));
}

/// The name by which older jobs know the option.
#[test]
fn process_date_is_another_name_for_date() {
    let (date, process_date) = (World::new(), World::new());
    done(&mut date.build(&["--date", "2025-08-16"]));
    done(&mut process_date.build(&["--process-date", "dt=2025-08-16"]));
    assert!(published(&process_date.out()) == published(&date.out()));
}

/// Days that are there are kept and named; others are built, and so are those that were built with other options.
#[test]
fn existing_days_are_kept_on_request() {
    let world = World::new();
    done(&mut world.build(&["--date", "2025-08-15"]));
    let range = ["--start", "2025-08-14", "--end", "2025-08-16", "--skip-existing"];
    let kept = |stdout: &str| stdout.lines().find(|line| line.starts_with("kept")).map(str::to_owned);
    let Run { stdout, stderr, .. } = done(&mut world.build(&range));
    assert_eq!(kept(&stdout).unwrap(), "kept   2025-08-15 (already built with these options)");
    assert!(stderr.contains("published 2025-08-14") && !stderr.contains("published 2025-08-15"), "{stderr}");
    let stdout = done(&mut world.build(&range)).stdout;
    assert_eq!(kept(&stdout).unwrap(), "kept   2025-08-14, 2025-08-15, 2025-08-16 (already built with these options)");
    assert!(!stdout.contains("wrote"), "{stdout}");
    for other in [
        ["--history", "6"],
        ["--item-dtype", "i64"],
        ["--lookback-days", "3"],
        ["--shards", "2"],
        ["--formats", "jagged"],
    ] {
        let mut command = world.build(&range);
        // The last of an option given twice would not count: it is an error.
        if other[0] == "--history" {
            command = shardback();
            command.args(["build", "--impressions", "data/sample/impressions", "--clicks", "data/sample/clicks"]);
            command.arg("--out").arg(world.out()).args(range);
        }
        assert_eq!(kept(&done(command.args(other)).stdout), None, "{other:?}");
    }
}

/// Formats are a set: neither order nor repetition matters.
#[test]
fn formats_are_a_set() {
    let expected = World::new();
    done(&mut expected.build(&["--date", "2025-08-16", "--formats", "parquet,dense,jagged"]));
    for formats in [["jagged,dense", "parquet"], ["dense,jagged,dense,parquet", "jagged"]] {
        let world = World::new();
        done(&mut world.build(&["--date", "2025-08-16", "--formats", formats[0], "--formats", formats[1]]));
        assert!(published(&world.out()) == published(&expected.out()), "{formats:?}");
    }
    let default = World::new();
    done(&mut default.build(&["--date", "2025-08-16"]));
    let mut names: Vec<_> = fs::read_dir(default.out()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["dense", "parquet"]);
}

/// On request a day without impressions is a day with no rows, which every reader opens like another.
#[test]
fn a_day_may_be_empty_on_request() {
    let world = World::new();
    let range = ["--start", "2025-08-16", "--end", "2025-08-18", "--formats", "parquet,dense,jagged", "--shards", "2"];
    let Run { code, stderr, .. } = run(&mut world.build(&range));
    assert_eq!(code, 1);
    assert!(stderr.contains("error: no impressions on 2025-08-17"), "{stderr}");
    assert!(published(&world.out()).is_empty(), "not even the day that has impressions");
    done(&mut world.build(&[&range[..], &["--allow-empty-days"]].concat()));
    let file = |format: &str, day: &str, name: &str| {
        fs::read(world.out().join(format).join(format!("dt=2025-08-{day}")).join(name)).unwrap()
    };
    for shard in 0..2 {
        let part = |day: &str| {
            let bytes = file("parquet", day, &format!("part-{shard:05}.parquet"));
            let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
            let metadata = reader.metadata().file_metadata();
            (metadata.num_rows(), metadata.schema_descr().root_schema().clone())
        };
        let ((some, schema), (none, empty_schema)) = (part("16"), part("17"));
        assert!(some > 0 && none == 0 && schema == empty_schema);
        for format in ["dense", "jagged"] {
            let name = format!("shard-{shard:05}.safetensors");
            let (some, none) = (file(format, "16", &name), file(format, "17", &name));
            let (some, none) = (SafeTensors::deserialize(&some).unwrap(), SafeTensors::deserialize(&none).unwrap());
            let mut names = none.names();
            names.sort_unstable();
            assert_eq!(names.len(), if format == "dense" { 5 } else { 8 });
            for name in names {
                let (some, none) = (some.tensor(name).unwrap(), none.tensor(name).unwrap());
                assert_eq!((none.dtype(), none.shape()[0], none.data().len()), (some.dtype(), 0, 0), "{name}");
                assert_eq!(none.shape()[1..], some.shape()[1..], "{name}");
            }
        }
    }
}

/// Whatever stands where the manifest of a day should be, the day is not one that exists, and is built.
#[test]
fn skipping_days_reads_no_more_of_a_manifest_than_one_can_be() {
    let world = World::new();
    let day = world.out().join("jagged/dt=2025-08-16");
    let arguments = ["--date", "2025-08-16", "--formats", "jagged", "--quiet", "--skip-existing"];
    done(&mut world.build(&arguments));
    for put in ["pipe", "zero", "sparse"] {
        let manifest = day.join("_manifest.json");
        let whole = fs::read(&manifest).unwrap();
        fs::remove_file(&manifest).unwrap();
        match put {
            "pipe" => rustix::fs::mkfifoat(rustix::fs::CWD, &manifest, rustix::fs::Mode::RUSR).unwrap(),
            "zero" => std::os::unix::fs::symlink("/dev/zero", &manifest).unwrap(),
            _ => fs::File::create(&manifest).unwrap().set_len(8 << 30).unwrap(),
        }
        done(&mut watchdog::limited(&world.build(&arguments)));
        assert_eq!(fs::read(&manifest).unwrap(), whole, "{put}");
    }
}

/// A run heeds signals also while it lists a table, which may take for ever on a slow file system.
#[test]
fn a_signal_ends_a_run_that_lists_a_table() {
    for (signal, threads) in [(rustix::process::Signal::INT, "1"), (rustix::process::Signal::TERM, "1024")] {
        let world = World::new();
        let table = world.folder.path().canonicalize().unwrap().join("shown");
        fs::create_dir(&table).unwrap();
        let mut build = shardback();
        build.args(["build", "--clicks", "data/sample/clicks", "--date", "2025-08-16", "--impressions"]).arg(&table);
        build.args(["--memory", "64GiB", "--threads", threads, "--out"]).arg(world.out());
        build.env("LD_PRELOAD", crate::shim::library()).env("FAULT_ROOT", &table).env("FAULT_SLOW_LISTS", "1");
        let mut child = build.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = std::time::Instant::now();
        while !world.out().join(".staging").exists() {
            assert!(started.elapsed().as_secs() < 60, "it does not start");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let asked = std::time::Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if asked.elapsed().as_secs() > 20 {
                child.kill().unwrap();
                panic!("it does not heed {signal:?}");
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(130));
        assert!(!world.out().join(".staging").exists(), "it cleans up");
    }
}

/// A process that may have few files open writes days of many shards all the same.
#[test]
fn many_shards_are_written_with_few_open_files() {
    let world = World::new();
    let build =
        world.build(&["--date", "2025-08-16", "--formats", "parquet,dense,jagged", "--shards", "80", "--quiet"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"]).arg(build.get_program()).args(build.get_args());
    done(limited.current_dir(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(published(&world.out()).len(), 3 * (80 + 2));
}
