//! What the other commands say, of days that are there and of tables that are made; also to nobody, and of names that are no text.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use super::{Run, World, done, run, shardback};
use crate::tables::published;

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
    assert!(notes(&["--history", "5", "--formats", "jagged"]).is_empty());
    let of = |format: &str| format!("note: {format} of 2025-08-16 comes from another build; `verify` will say so");
    assert_eq!(notes(&["--history", "6", "--formats", "dense"]), [of("parquet"), of("jagged")]);
    assert!(notes(&["--history", "6", "--formats", "parquet,jagged"]).is_empty());
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
