//! Protects: what the program says, on which of its two streams, and the code with which it ends.

#![expect(clippy::unwrap_used, reason = "a test stops where its set-up fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use insta::{Settings, assert_snapshot};
use parquet::file::reader::{FileReader, SerializedFileReader};
use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

use crate::tables::published;

/// The program, at the root of the package, on a terminal of 100 columns.
pub(crate) fn shardback() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardback"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("COLUMNS", "100");
    command
}

/// What came of a run of a program.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    Run { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A run that must go through; what it prints.
#[track_caller]
fn done(command: &mut Command) -> Run {
    let run = run(command);
    assert_eq!(run.code, 0, "{}", run.stderr);
    run
}

/// Builds over the bundled sample.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// A build of the sample's impressions and clicks; the days are still to be named.
    fn build(&self, more: &[&str]) -> Command {
        let mut command = shardback();
        command.args(["build", "--impressions", "data/sample/impressions", "--clicks", "data/sample/clicks"]);
        command.args(["--history", "5", "--threads", "2"]).arg("--out").arg(self.out()).args(more);
        command
    }
}

/// The help of the program and of its commands is written for people: read the snapshot after a change.
#[test]
fn help() {
    for (name, arguments) in [
        ("help", ["--help"].as_slice()),
        ("help_short", &["-h"]),
        ("help_build", &["build", "--help"]),
        ("help_build_short", &["build", "-h"]),
        ("help_inspect", &["inspect", "--help"]),
        ("help_verify", &["verify", "--help"]),
        ("help_generate", &["generate", "--help"]),
        ("help_demo", &["demo", "--help"]),
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
        ("half a range", vec!["--from", "2025-08-14"]),
        ("a day and a range", [&day[..], &["--from", "2025-08-14", "--to", "2025-08-15"]].concat()),
        ("a range backwards", vec!["--from", "2025-08-16", "--to", "2025-08-14"]),
        ("no calendar has the day", vec!["--date", "2025-02-30"]),
        ("an empty day", vec!["--date", ""]),
        ("no history", [&day[..], &["--history", "0"]].concat()),
        ("a history beyond the limit", [&day[..], &["--history", "4000000000"]].concat()),
        ("no look-back", [&day[..], &["--lookback-days", "0"]].concat()),
        ("no shards", [&day[..], &["--shards", "0"]].concat()),
        ("no rows in a shard", [&day[..], &["--shard-rows", "0"]].concat()),
        ("shards in two ways", [&day[..], &["--shards", "2", "--shard-rows", "10"]].concat()),
        ("no threads", [&day[..], &["--threads", "0"]].concat()),
        ("an unknown format", [&day[..], &["--format", "csv"]].concat()),
        ("no format", [&day[..], &["--format", ""]].concat()),
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

/// A build says how it goes on stderr, and what came of it on stdout.
#[test]
fn a_build_tells_what_it_did() {
    let world = World::new();
    let Run { stdout, stderr, .. } = done(&mut world.build(&["--from", "2025-08-14", "--to", "2025-08-15"]));
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
    let arguments = ["--from", "2025-08-15", "--to", "2025-08-16", "--json", "--format", "jagged,parquet"];
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
    let range = ["--from", "2025-08-14", "--to", "2025-08-16", "--skip-existing"];
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
        ["--format", "jagged"],
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
    done(&mut expected.build(&["--date", "2025-08-16", "--format", "parquet,dense,jagged"]));
    for formats in [["jagged,dense", "parquet"], ["dense,jagged,dense,parquet", "jagged"]] {
        let world = World::new();
        done(&mut world.build(&["--date", "2025-08-16", "--format", formats[0], "--format", formats[1]]));
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
    let range = ["--from", "2025-08-16", "--to", "2025-08-18", "--format", "parquet,dense,jagged", "--shards", "2"];
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
            assert_eq!(names.len(), if format == "dense" { 5 } else { 7 });
            for name in names {
                let (some, none) = (some.tensor(name).unwrap(), none.tensor(name).unwrap());
                assert_eq!((none.dtype(), none.shape()[0], none.data().len()), (some.dtype(), 0, 0), "{name}");
                assert_eq!(none.shape()[1..], some.shape()[1..], "{name}");
            }
        }
    }
}

/// Tables made by one command are what the other builds from.
#[test]
fn generated_tables_can_be_built() {
    let world = World::new();
    let tables = world.folder.path().join("tables");
    let small =
        ["--customers", "50", "--mean-actions", "10", "--rows-per-day", "30", "--days", "6", "--impression-days", "1"];
    let generated = done(shardback().arg("generate").arg(&tables).args(small).arg("--json"));
    let summary: Value = serde_json::from_str(&generated.stdout).unwrap();
    assert_eq!(summary["impression_rows"], 30);
    let last_day = fs::read_dir(tables.join("impressions")).unwrap().next().unwrap().unwrap().file_name();
    let mut build = shardback();
    build
        .args(["build", "--quiet", "--history", "5", "--date", last_day.to_str().unwrap()])
        .arg("--out")
        .arg(world.out());
    for table in ["impressions", "clicks", "add-to-carts", "previous-orders"] {
        build.arg(format!("--{table}")).arg(tables.join(table.replace('-', "_")));
    }
    done(&mut build);
    assert!(!published(&world.out()).is_empty());
    // It makes tables in new folders only.
    let Run { code, stderr, .. } = run(shardback().arg("generate").arg(&tables).args(small));
    assert!(code != 0 && stderr.starts_with("error: ") && stderr.lines().count() == 1, "{code} {stderr}");
}

/// Whoever has heard enough may close the pipe: that is no panic, no error, and no other end.
#[test]
fn a_closed_pipe_is_no_fault() {
    let world = World::new();
    let demo = world.folder.path().join("demo");
    let out = demo.to_str().unwrap();
    let build = world.build(&["--date", "2025-08-16"]);
    let build: Vec<_> = build.get_args().map(|argument| argument.to_str().unwrap()).collect();
    let commands: [&[&str]; 6] = [
        &["demo", "--out", out],
        &build,
        &["inspect", out],
        &["inspect", out, "--json"],
        &["verify", out],
        &["generate", &format!("{out}/generated"), "--customers", "5", "--rows-per-day", "5"],
    ];
    for arguments in commands {
        let mut command = shardback();
        // The reading end is closed before the program has begun.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("error") && !stderr.contains("panic"), "{arguments:?}: {stderr}");
    }
    // The verdict stands, though nobody hears of the faults either.
    fs::remove_file(demo.join("dense/dt=2025-08-16/_SUCCESS")).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = shardback().args(["verify", out]).stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(1));
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

/// A day of which some formats were built otherwise is said to be one, as `verify` does; the same again is not.
#[test]
fn formats_of_another_build_are_noted() {
    let world = World::new();
    let notes = |more: &[&str]| {
        let mut command = shardback();
        command.args(["build", "--impressions", "data/sample/impressions", "--clicks", "data/sample/clicks"]);
        command.arg("--out").arg(world.out()).args(["--date", "2025-08-16"]).args(more);
        let stderr = done(&mut command).stderr;
        stderr.lines().filter(|line| line.starts_with("note: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(notes(&["--history", "5"]).is_empty());
    assert!(notes(&["--history", "5", "--format", "jagged"]).is_empty());
    let of = |format: &str| format!("note: {format} of 2025-08-16 comes from another build; `verify` will say so");
    assert_eq!(notes(&["--history", "6", "--format", "dense"]), [of("parquet"), of("jagged")]);
    assert!(notes(&["--history", "6", "--format", "parquet,jagged"]).is_empty());
}

/// Names that are no UTF-8, of tables, outputs and days, are names like others: in records and as JSON they are shown as far as they are
/// text.
#[test]
fn names_that_are_no_text_are_names() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&root).unwrap();
    let table = |name: &[u8], rows: &str| {
        let path = root.join(OsStr::from_bytes(name));
        fs::write(&path, rows).unwrap();
        path
    };
    let impressions =
        table(b"shown\xff.ndjson", "{\"dt\":\"2025-08-16\",\"customer_id\":1,\"item_id\":2,\"is_order\":true}\n");
    let clicks = table(
        b"\xfe.ndjson",
        "{\"dt\":\"2025-08-15\",\"customer_id\":1,\"item_id\":3,\"click_time\":\"2025-08-15T10:00:00Z\"}\n",
    );
    let out = root.join(OsStr::from_bytes(b"out\xff"));
    let mut build = shardback();
    build.args(["build", "--date", "2025-08-16", "--json", "--quiet", "--impressions"]).arg(&impressions);
    build.arg("--clicks").arg(&clicks).arg("--out").arg(&out);
    let summary: Value = serde_json::from_str(&done(&mut build).stdout).unwrap();
    let path = summary["days"][0]["formats"][0]["path"].as_str().unwrap();
    assert!(path.ends_with("caf\u{fffd}/out\u{fffd}/parquet/dt=2025-08-16"), "{path}");
    let record = fs::read_to_string(out.join("parquet/dt=2025-08-16/_run.json")).unwrap();
    assert!(record.contains("shown\u{fffd}.ndjson"), "{record}");
    assert!(!out.join(".staging").exists());
    // A fault has a path of its own.
    fs::write(out.join("parquet").join(OsStr::from_bytes(b"stray\xff")), "").unwrap();
    let verified = run(shardback().args(["verify", "--json"]).arg(&out));
    assert_eq!(verified.code, 1);
    let report: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert!(report[0]["report"]["faults"][0]["path"].as_str().unwrap().ends_with("stray\u{fffd}"));
    let shown: Value = serde_json::from_str(&done(shardback().args(["inspect", "--json"]).arg(&out)).stdout).unwrap();
    assert!(shown["folder"].as_str().unwrap().ends_with("dt=2025-08-16"));
    let made = root.join(OsStr::from_bytes(b"tables\xff"));
    done(shardback().args(["generate", "--json", "--quiet", "--customers", "10", "--rows-per-day", "5"]).arg(&made));
}

/// Whatever stands where the manifest of a day should be, the day is not one that exists, and is built.
#[test]
fn skipping_days_reads_no_more_of_a_manifest_than_one_can_be() {
    let world = World::new();
    let day = world.out().join("jagged/dt=2025-08-16");
    let arguments = ["--date", "2025-08-16", "--format", "jagged", "--quiet", "--skip-existing"];
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
        done(&mut world.build(&arguments));
        assert_eq!(fs::read(&manifest).unwrap(), whole, "{put}");
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
    let build = world.build(&["--date", "2025-08-16", "--format", "parquet,dense,jagged", "--shards", "80", "--quiet"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"]).arg(build.get_program()).args(build.get_args());
    done(limited.current_dir(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(published(&world.out()).len(), 3 * (80 + 2));
}
