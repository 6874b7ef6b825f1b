//! A cut-off at the time of each request, by the command line: what is stored once, what is proven, and the same bytes everywhere.
//!
//! That every row is right is held against the reference in [`crate::described`].

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use shardback::config::Format;
use shardback::event::Day;
use shardback::manifest::Manifest;
use shardback::open::{DayFolder, Shard, ShardView};
use shardback::verify::verify;

use crate::cli::{Run, run, shardback};
use crate::fixture;

const DAY: &str = "2025-08-16";
/// 2025-08-16 00:00:00 UTC, in seconds.
const MIDNIGHT: i64 = 1_755_302_400;

const DESCRIPTION: &str = r#"
version = 1
[types]
view = 1
[samples]
path = "shown.json"
customer = "c"
item = "i"
day = { of = "time" }
time = { column = "t", unit = "s" }
[actions.views]
path = "views.json"
type = "view"
customer = "c"
item = "i"
day = "d"
time = { column = "t", unit = "s" }
[history]
length = 4
cutoff = "time"
times = "s"
"#;

/// Tables as JSON: samples as (customer, item, seconds of the day), actions as (customer, item, seconds of the day, day on which it
/// became known).
struct World(tempfile::TempDir);

impl World {
    fn new(shown: &[(i64, i64, i64)], views: &[(i64, i64, i64, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines = |lines: Vec<String>| lines.concat();
        let shown = shown.iter().map(|(c, i, t)| format!("{{\"c\":{c},\"i\":{i},\"t\":{}}}\n", MIDNIGHT + t));
        let views =
            views.iter().map(|(c, i, t, d)| format!("{{\"c\":{c},\"i\":{i},\"t\":{},\"d\":\"{d}\"}}\n", MIDNIGHT + t));
        fs::write(folder.path().join("shown.json"), lines(shown.collect())).unwrap();
        fs::write(folder.path().join("views.json"), lines(views.collect())).unwrap();
        fs::write(folder.path().join("shop.toml"), DESCRIPTION).unwrap();
        Self(folder)
    }

    fn run(&self, extra: &[&str]) -> Run {
        let mut command = shardback();
        command.arg("build").arg("--config").arg(self.0.path().join("shop.toml"));
        command.args(["--quiet", "--shards", "1", "--formats", "parquet,dense,jagged"]);
        run(command.arg("--out").arg(self.0.path().join("out")).args(["--date", DAY]).args(extra))
    }

    fn built(&self, extra: &[&str]) -> (Shard, Manifest) {
        let Run { code, stderr, .. } = self.run(extra);
        assert_eq!((code, stderr.as_str()), (0, ""));
        let faults = verify(&self.0.path().join("out")).unwrap().faults;
        assert_eq!(faults, []);
        let folder = self.jagged();
        let manifest = DayFolder::open(&folder).unwrap().manifest().clone();
        (Shard::open(&folder.join(Format::Jagged.shard_file(0))).unwrap(), manifest)
    }

    fn jagged(&self) -> std::path::PathBuf {
        self.0.path().join(format!("out/jagged/dt={DAY}"))
    }
}

/// For each request its second of the day, where its history begins, and the items that it sees.
fn requests(shard: &Shard) -> Vec<(i64, i64, Vec<i64>)> {
    let ShardView::Jagged(view) = shard.view() else { panic!("a jagged shard") };
    let request = |request: usize| {
        let items = view.actions.slice(view.window_of(request).unwrap()).unwrap().iter().collect();
        (shard.request_times()[request] / 1_000_000 - MIDNIGHT, view.history_starts[request], items)
    };
    (0..view.customer_ids.len()).map(request).collect()
}

/// Windows that overlap share what is stored; a gap between them begins another stretch, and a request without history has none.
#[test]
fn overlapping_histories_are_stored_once() {
    let views: Vec<_> = (0..20).map(|place| (1, 100 + place, 10 * place, DAY)).collect();
    let world = World::new(&[(1, 7, 0), (1, 7, 1), (1, 7, 45), (1, 7, 46), (1, 8, 65), (1, 7, 165)], &views);
    let (shard, manifest) = world.built(&[]);
    assert_eq!(
        requests(&shard),
        [
            (0, 0, vec![]),
            // One action, which is not in the stretch of the next, where it is the fifth.
            (1, 0, vec![100]),
            (45, 3, vec![104, 103, 102, 101]),
            (46, 3, vec![104, 103, 102, 101]),
            (65, 1, vec![106, 105, 104, 103]),
            (165, 7, vec![116, 115, 114, 113]),
        ]
    );
    assert_eq!(shard.header().stored.unwrap().actions, 11);
    let statistics = &manifest.statistics;
    assert_eq!((statistics.requests, statistics.customers, statistics.customers_without_history), (6, 1, 0));
    assert_eq!(statistics.actions, BTreeMap::from([("view".to_owned(), 11)]));
    assert_eq!((statistics.at_cutoff, statistics.smallest_gap_micros), (Some(1), Some(1_000_000)));
    // The bytes of the formats that are ours alone: they change only with the version of the format.
    let hash = |format: &str| {
        fixture::hex(&fixture::read(&world.0.path().join(format!("out/{format}/dt={DAY}/shard-00000.safetensors"))))
    };
    assert_eq!(
        (hash("jagged").as_str(), hash("dense").as_str()),
        ("f4e0b4134451c4096de5898087887539", "e2fee4954fed61fee4d75d12ca51f780")
    );
}

/// Ten thousand requests and ten thousand actions of a customer: the actions are there once, whatever K is.
#[test]
fn many_requests_of_a_customer_cost_no_copies() {
    let shown: Vec<_> = (0..10_000).map(|place| (1, 7, 8 * place + 4)).collect();
    let views: Vec<_> = (0..10_000).map(|place| (1, 100 + place, 8 * place, DAY)).collect();
    let world = World::new(&shown, &views);
    let mut command = shardback();
    command.arg("build").arg("--config").arg(world.0.path().join("shop.toml")).args(["--quiet", "--formats", "jagged"]);
    command.args(["--history", "5000", "--shards", "1", "--date", DAY]).arg("--out").arg(world.0.path().join("out"));
    assert_eq!(run(&mut command).stderr, "");
    let shard = Shard::open(&world.jagged().join(Format::Jagged.shard_file(0))).unwrap();
    let stored = shard.header().stored.unwrap();
    assert_eq!((stored.requests, stored.actions), (10_000, 10_000));
    let found = requests(&shard);
    assert_eq!(found[9_999].2.len(), 5_000);
    assert_eq!(found[9_999].2[0], 10_099);
}

/// What became known only later than the day is not seen, though it happened before; what the others see is still stored once.
#[test]
fn late_arrivals_are_hidden_until_their_day() {
    let views = [
        (1, 100, 10, DAY),
        (1, 101, 20, "2025-08-17"),
        (1, 102, 30, DAY),
        (1, 103, 40, "2025-08-15"),
        (1, 104, -90_000, "2025-08-16"),
    ];
    let world = World::new(&[(1, 7, 35), (1, 7, 50), (1, 7, 86_400 + 5)], &views);
    let (shard, _) = world.built(&[]);
    assert_eq!(requests(&shard), [(35, 1, vec![102, 100, 104]), (50, 0, vec![103, 102, 100, 104])]);
    assert_eq!(shard.header().stored.unwrap().actions, 4);
    let hidden = |folder: &Path| {
        let run = fs::read_to_string(folder.join("_run.json")).unwrap();
        run.lines().find(|line| line.contains("hidden_late")).map(|line| line.trim().to_owned())
    };
    // The run has not read the day on which it became known.
    assert_eq!(hidden(&world.jagged()).as_deref(), Some("\"hidden_late\": 0"));
    let mut command = shardback();
    command.arg("build").arg("--config").arg(world.0.path().join("shop.toml")).args(["--quiet", "--shards", "1"]);
    command
        .args(["--formats", "jagged", "--start", DAY, "--end", "2025-08-17"])
        .arg("--out")
        .arg(world.0.path().join("out"));
    assert_eq!(run(&mut command).stderr, "");
    assert_eq!(hidden(&world.jagged()).as_deref(), Some("\"hidden_late\": 2"), "one action of two requests");
}

/// A cut-off at the time has no use for a null time: such rows are bad, of samples and of actions alike.
#[test]
fn a_null_time_is_a_bad_row() {
    let world = World::new(&[(1, 7, 50)], &[(1, 100, 10, DAY)]);
    let folder = world.0.path();
    let description = DESCRIPTION.replacen("day = { of = \"time\" }", "day = \"d\"", 1);
    fs::write(folder.join("shop.toml"), description).unwrap();
    let shown = format!("{{\"c\":1,\"i\":7,\"d\":\"{DAY}\",\"t\":{}}}\n", MIDNIGHT + 50);
    let null = |row: &str, at: i64| row.replace(&(MIDNIGHT + at).to_string(), "null");
    let views = fs::read_to_string(folder.join("views.json")).unwrap();
    for (file, good, at) in [("shown.json", &shown, 50), ("views.json", &views, 10)] {
        fs::write(folder.join("shown.json"), &shown).unwrap();
        fs::write(folder.join("views.json"), &views).unwrap();
        fs::write(folder.join(file), format!("{good}{}", null(good, at))).unwrap();
        let Run { code, stderr, .. } = world.run(&[]);
        let expected = "line 2, column `t`: the time is null, and the cut-off is the time; fix the row";
        assert!(code == 1 && stderr.contains(expected), "{file}: {code} {stderr}");
        let (shard, manifest) = world.built(&["--invalid", "skip"]);
        assert_eq!(requests(&shard), [(50, 0, vec![100])], "{file}");
        let table = if file == "shown.json" { "samples" } else { "views" };
        assert_eq!(manifest.tables[table].rejected, BTreeMap::from([("null_time".to_owned(), 1)]));
    }
}

/// A shard that lets a request see what happened at its time, or later, is found by `verify`, in each format that has the times.
#[test]
fn verify_sees_a_leak() {
    let world = World::new(&[(1, 7, 50), (2, 7, 50)], &[(1, 100, 10, DAY), (1, 101, 49, DAY)]);
    world.built(&[]);
    let report = verify(&world.0.path().join("out")).unwrap();
    assert_eq!((report.requests, report.cutoffs_checked), (6, 3), "one of two requests in each format has a history");
    for (format, folder) in [("jagged", world.jagged()), ("dense", world.0.path().join(format!("out/dense/dt={DAY}")))]
    {
        let file = folder.join("shard-00000.safetensors");
        let first = {
            let shard = Shard::open(&file).unwrap();
            let times: &[i32] = bytemuck::cast_slice(shard.columns_of_actions()[0]);
            times.iter().position(|&time| i64::from(time) == MIDNIGHT + 49).unwrap()
        };
        fixture::set(&file, "action_times", first, ((MIDNIGHT + 50) as i32).to_le_bytes());
        fixture::rehash(&folder);
        let faults = verify(&folder).unwrap().faults;
        let leak = format!(
            "its newest action is at {}, not before its cut-off, {}",
            (MIDNIGHT + 50) * 1_000_000,
            (MIDNIGHT + 50) * 1_000_000
        );
        assert!(faults.iter().any(|fault| fault.problem.contains(&leak)), "{format}: {faults:?}");
    }
}

/// The command line says what does not go together.
#[test]
fn options_that_do_not_fit_the_cutoff_are_refused() {
    let world = World::new(&[(1, 7, 50)], &[(1, 100, 10, DAY)]);
    for (extra, expected) in [
        (&["--cutoff", "day", "--delay", "5m"][..], "--delay: it belongs to a cut-off at the time"),
        (&["--cutoff", "day", "--lookback", "5h"], "--lookback: it belongs to a cut-off at the time"),
        (&["--lookback", "5m", "--delay", "5m"], "--delay: it is no shorter than the look-back"),
        (&["--lookback", "0s"], "a look-back is longer than 0"),
        (&["--delay", "soon"], "`soon` is not a length of time; write it as 90d, 12h, 30m, 45s or 500ms"),
        (&["--lookback", "1d", "--lookback-days", "1"], "cannot be used with"),
    ] {
        let Run { code, stderr, .. } = world.run(extra);
        assert!(code == 2 && stderr.contains(expected), "{extra:?}: {code} {stderr}");
    }
    let mut command = shardback();
    command.args(["build", "--impressions", "x", "--clicks", "y", "--date", DAY, "--cutoff", "time", "--out", "z"]);
    let Run { code, stderr, .. } = run(&mut command);
    let expected = "none is known of the table impressions; give `time` in a description's [samples]";
    assert!(code == 2 && stderr.contains(expected), "{code} {stderr}");
}

/// Seconds that are read as milliseconds would put every action long before every request, and nobody would see it in the rows.
#[test]
fn times_in_another_unit_are_refused() {
    let world = World::new(&[(1, 7, 50)], &[(1, 100, 10, DAY)]);
    let config = world.0.path().join("shop.toml");
    let mixed = DESCRIPTION.replacen(
        "day = \"d\"\ntime = { column = \"t\", unit = \"s\" }",
        "day = \"d\"\ntime = { column = \"t\", unit = \"ms\" }",
        1,
    );
    assert_ne!(mixed, DESCRIPTION);
    fs::write(&config, mixed).unwrap();
    let Run { code, stderr, .. } = world.run(&[]);
    let expected = "actions.views.time: half of its times are before 1970-01-2";
    assert!(code == 1 && stderr.contains(expected) && stderr.contains("another `unit`"), "{code} {stderr}");
    assert!(!world.jagged().exists());
}

/// A table without times has them at the end of its days, and the program says so.
#[test]
fn a_table_without_times_is_noted() {
    let world = World::new(&[(1, 7, 50), (1, 8, 86_400)], &[(1, 100, 10, DAY)]);
    let description = DESCRIPTION.replacen("day = \"d\"\ntime = { column = \"t\", unit = \"s\" }", "day = \"d\"", 1);
    fs::write(world.0.path().join("shop.toml"), description).unwrap();
    let mut command = shardback();
    command.arg("build").arg("--config").arg(world.0.path().join("shop.toml")).args(["--formats", "jagged"]);
    command.args(["--start", DAY, "--end", "2025-08-17", "--shards", "1"]).arg("--out").arg(world.0.path().join("out"));
    let Run { code, stderr, .. } = run(&mut command);
    let note = "note: the table views has no `time`: its actions count from the end of their day on";
    assert!(code == 0 && stderr.contains(note), "{code} {stderr}");
    let open =
        |day: &str| Shard::open(&world.0.path().join(format!("out/jagged/dt={day}/shard-00000.safetensors"))).unwrap();
    assert_eq!(requests(&open(DAY)), [(50, 0, vec![])]);
    assert_eq!(requests(&open("2025-08-17")), [(86_400, 0, vec![100])]);
}

/// All files of an output, without the records of runs.
fn published(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![out.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(out).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !name.ends_with("_run.json") && !name.starts_with('.') {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The same bytes with little memory and much, with one thread and several, and for each day alone: with late arrivals, which days of
/// a range share no values of.
#[test]
fn bytes_do_not_depend_on_memory_threads_or_range() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut generate = shardback();
    generate.arg("generate").arg(&data).args([
        "--described",
        "--quiet",
        "--customers",
        "3000",
        "--mean-actions",
        "120",
    ]);
    generate.args(["--days", "20", "--impression-days", "3", "--rows-per-day", "2000", "--late-share", "0.1"]);
    generate.args(["--giant-share", "0.1"]);
    assert_eq!(run(&mut generate).stderr, "");
    let build = |name: &str, days: [&str; 2], extra: &[&str]| {
        let mut command = shardback();
        command.arg("build").arg("--config").arg(data.join("shop.toml")).args(["--quiet", "--formats", "dense,jagged"]);
        command.args(["--history", "50", "--start", days[0], "--end", days[1]]).args(extra);
        let Run { code, stderr, .. } = run(command.arg("--out").arg(folder.path().join(name)));
        assert_eq!((code, stderr.as_str()), (0, ""), "{name}");
    };
    let days = ["2025-08-14", "2025-08-15", "2025-08-16"];
    build("plenty", [days[0], days[2]], &["--threads", "2"]);
    build("little", [days[0], days[2]], &["--threads", "1", "--memory", "180MiB"]);
    days.iter().for_each(|day| build("alone", [day, day], &[]));
    let expected = published(&folder.path().join("plenty"));
    for name in ["little", "alone"] {
        let found = published(&folder.path().join(name));
        assert!(found.keys().eq(expected.keys()), "{name}");
        let differ: Vec<&String> =
            found.iter().filter(|(key, bytes)| expected[*key] != **bytes).map(|(key, _)| key).collect();
        assert!(differ.is_empty(), "{name}: {differ:?}");
    }
    let report = verify(&folder.path().join("plenty")).unwrap();
    assert_eq!(report.faults, []);
    assert!(report.cutoffs_checked > 8_000 && report.cutoffs_checked < report.requests, "{report:?}");
    let first = DayFolder::open(&folder.path().join(format!("plenty/jagged/dt={}", days[0]))).unwrap();
    assert_eq!(first.day(), Day::parse(days[0].as_bytes()).unwrap());
}
