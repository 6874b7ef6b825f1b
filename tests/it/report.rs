//! Protects: the page about the days of an output says what the manifests say, marks the days that stand out, and no others.

use std::fs;
use std::path::Path;

use serde_json::Value;
use shardback::config::Format;
use shardback::fsio::replace_file;
use shardback::manifest::{LabelFigures, Manifest};
use shardback::report::{Report, report};

use crate::cli::{Run, run, shardback};
use crate::fixture;
use crate::tables::message;

/// Days of August 2025 from the first on; `change` gets the place of each.
fn days(out: &Path, count: u32, change: impl Fn(u32, &mut Manifest)) {
    for place in 0..count {
        let dt = format!("2025-08-{:02}", place + 1);
        let folder = fixture::write_day(out, Format::Jagged, &dt, &fixture::with_rejects());
        fixture::edit_manifest(&folder, |manifest| {
            manifest.statistics.samples = 10_000;
            manifest.statistics.customers = 1_000;
            manifest.statistics.customers_without_history = 20;
            manifest.statistics.labels.insert("is_order".to_owned(), LabelFigures::new(500, 10_000));
            manifest.tables.get_mut("clicks").unwrap().rows = 100_000 + 1_000 * u64::from(place);
            change(place, manifest);
        });
    }
}

/// What stands out where days are changed like this: each with its day.
#[track_caller]
fn marks(count: u32, change: impl Fn(u32, &mut Manifest)) -> Vec<String> {
    let out = tempfile::tempdir().unwrap();
    days(out.path(), count, change);
    let found = report(out.path()).unwrap().marks;
    found.iter().map(|mark| format!("{} {}", mark.day.unwrap(), mark.oddity)).collect()
}

/// Each way to stand out is seen on its day; the days beside it are as usual.
#[test]
fn days_that_stand_out_are_marked() {
    type Change = fn(&mut Manifest);
    let cases: [(&str, Change); 9] = [
        ("5,000 samples; 10,000 are usual", |day| {
            day.statistics.samples = 5_000;
            day.statistics.labels.insert("is_order".to_owned(), LabelFigures::new(250, 5_000));
        }),
        ("20,000 samples; 10,000 are usual", |day| {
            day.statistics.samples = 20_000;
            day.statistics.labels.insert("is_order".to_owned(), LabelFigures::new(1_000, 20_000));
        }),
        ("is_order is 2.00 %; 5.00 % is usual", |day| {
            day.statistics.labels.insert("is_order".to_owned(), LabelFigures::new(200, 10_000));
        }),
        ("9.00 % of the customers have no history; 2.00 % is usual", |day| {
            day.statistics.customers_without_history = 90;
        }),
        ("clicks has no row on the day before; its last is of 2025-08-03", |day| {
            day.tables.get_mut("clicks").unwrap().late_since = Some("2025-08-03".to_owned());
        }),
        ("the newest action is 1 d 2 h old; 1 h 2 min is usual", |day| {
            day.statistics.smallest_gap_micros = Some(26 * 3_600_000_000);
        }),
        ("K changed", |day| day.history = 5),
        ("the look-back changed", |day| day.lookback_days = Some(7)),
        ("the time zone of days changed", |day| day.day_zone = Some("Europe/Berlin".to_owned())),
    ];
    assert_eq!(marks(9, |_, _| ()), Vec::<String>::new());
    for (said, change) in cases {
        let found = marks(9, |place, manifest| {
            if place == 4 {
                change(manifest)
            }
        });
        // What changed also changes back.
        let expected = if said.ends_with("changed") {
            vec![format!("2025-08-05 {said}"), format!("2025-08-06 {said}")]
        } else {
            vec![format!("2025-08-05 {said}")]
        };
        assert_eq!(found, expected);
    }
}

/// What is nearly usual, or may be chance, is not marked; and two days are too few to say.
#[test]
fn days_like_others_are_not_marked() {
    let none = Vec::<String>::new();
    assert_eq!(marks(9, |place, day| day.statistics.samples = 10_000 + 900 * u64::from(place)), none, "it grows");
    assert_eq!(
        marks(9, |place, day| if place == 4 {
            day.statistics.samples = 5_001
        }),
        none
    );
    assert_eq!(
        marks(2, |place, day| if place == 1 {
            day.statistics.samples = 1
        }),
        none
    );
    // 4 of 40 where 5 % are usual is chance.
    let few = |place, day: &mut Manifest| {
        day.statistics.samples = 40;
        day.statistics.labels.insert("is_order".to_owned(), LabelFigures::new(if place == 4 { 4 } else { 2 }, 40));
    };
    assert_eq!(marks(9, few), none);
}

/// Days of earlier versions do not say which tables were late: it shows in the rows that each day sees more than the one before.
#[test]
fn a_late_table_shows_in_days_of_earlier_versions() {
    let rows =
        |rows: [u64; 6]| marks(6, move |place, day| day.tables.get_mut("clicks").unwrap().rows = rows[place as usize]);
    assert_eq!(
        rows([1000, 1100, 1200, 1200, 1300, 1400]),
        ["2025-08-04 clicks has no row on the day before"],
        "no clicks of yesterday"
    );
    assert_eq!(rows([1000, 1100, 1200, 1240, 1340, 1440]), ["2025-08-04 clicks has 40 new rows; 100 are usual"]);
    assert_eq!(rows([1000, 1100, 1200, 1260, 1360, 1460]), Vec::<String>::new());
    // A table that has lost rows since is another one.
    assert_eq!(rows([1000, 1100, 1200, 900, 1000, 1100]), Vec::<String>::new());
}

/// Formats of several builds, missing days, and a damaged day, which hides none of the others.
#[test]
fn what_is_wrong_with_a_day_is_a_mark() {
    let out = tempfile::tempdir().unwrap();
    days(out.path(), 6, |_, _| ());
    let dense = fixture::write_day(out.path(), Format::Dense, "2025-08-02", &fixture::small());
    fixture::edit_manifest(&dense, |manifest| manifest.build = "f".repeat(32));
    fs::remove_dir_all(out.path().join("jagged/dt=2025-08-04")).unwrap();
    fs::write(out.path().join("jagged/dt=2025-08-06/_manifest.json"), "{}").unwrap();
    let Report { days, marks, .. } = report(out.path()).unwrap();
    assert_eq!(days.iter().map(|day| day.day.0 - days[0].day.0).collect::<Vec<_>>(), [0, 1, 2, 4]);
    assert_eq!(days[1].formats.iter().map(|format| format.format).collect::<Vec<_>>(), ["dense", "jagged"]);
    let said: Vec<String> = marks.iter().map(|mark| format!("{} {}", mark.day.unwrap(), mark.oddity)).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[0], "2025-08-02 its formats come from different builds");
    assert_eq!(said[1], "2025-08-05 days are missing before it, from 2025-08-04 on");
    assert!(said[2].starts_with("2025-08-06 cannot be opened: "), "{}", said[2]);
    assert!(said[2].ends_with("missing field `version` at line 1 column 2"), "{}", said[2]);
}

/// The page is one file that asks for nothing, whose texts are no markup, and the same for the same days.
#[test]
fn the_page_is_complete_in_itself() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("<script>alert(1)</script>&\"'");
    days(&out, 3, |_, manifest| {
        manifest.tables.get_mut("clicks").unwrap().rejected.insert("<img src=x onerror=alert(1)>".to_owned(), 7);
    });
    let page = report(&out).unwrap().page();
    assert_eq!(page, report(&out).unwrap().page());
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#39;"));
    for never in ["<script", "<img", "http:", "https:", "url(", "@import", "javascript:"] {
        assert!(!page.contains(never), "{never}");
    }
    for figure in ["<th scope=\"row\">2025-08-03</th>", "<td>10,000</td>", "5.00 %", "&lt;img src=x onerror", "102,000"]
    {
        assert!(page.contains(figure), "{figure}");
    }
    // Each picture says what it shows, and each table has its numbers.
    assert_eq!(page.matches("<svg").count(), page.matches("role=\"img\" aria-label=\"").count());
    assert!(page.matches("<caption>").count() >= 8);
}

/// The page is in the output, or where it is asked to be; the last one there is replaced.
#[test]
fn the_command_writes_a_page() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    days(&out, 5, |place, day| {
        if place == 2 {
            day.statistics.samples = 1_000
        }
    });
    let command = |more: &[&str]| run(shardback().arg("report").arg(&out).args(more));
    let Run { code, stdout, stderr } = command(&[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>"));
    assert!(
        stdout.starts_with("5 days; what stands out:\n  2025-08-03  1,000 samples; 10,000 are usual\n"),
        "{stdout}"
    );
    assert!(stdout.ends_with("/out/report.html\n"), "{stdout}");
    fs::write(out.join("report.html"), "old").unwrap();
    assert_eq!(command(&["--quiet"]).stdout, "");
    assert_eq!(fs::read_to_string(out.join("report.html")).unwrap(), page);
    assert_eq!(command(&["--to", "-"]).stdout, page);
    let to = root.path().join("there.html");
    assert_eq!(command(&["--to", to.to_str().unwrap()]).code, 0);
    assert_eq!(fs::read_to_string(&to).unwrap(), page);
    let json: Value = serde_json::from_str(&command(&["--json"]).stdout).unwrap();
    assert_eq!((&json["marks"][0]["day"], &json["marks"][0]["kind"]), (&"2025-08-03".into(), &"samples".into()));
    assert_eq!((json["days"].as_array().unwrap().len(), &json["days"][4]["day"]), (5, &"2025-08-05".into()));
    let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["jagged", "report.html"], "nothing else is left behind");
    // Other commands pass the page over.
    assert_eq!(run(shardback().arg("inspect").arg(&out)).code, 0);
}

/// In a format's folder or a day's a page would be none of its files, so it has to be said where it goes.
#[test]
fn a_page_about_less_than_an_output_needs_a_place() {
    let out = tempfile::tempdir().unwrap();
    days(out.path(), 1, |_, _| ());
    for below in ["jagged", "jagged/dt=2025-08-01"] {
        let Run { code, stderr, .. } = run(shardback().arg("report").arg(out.path().join(below)));
        assert_eq!((code, stderr.as_str()), (2, "error: --to: name the file to write, as `--to report.html`\n"));
        let to_stdout = run(shardback().arg("report").arg(out.path().join(below)).args(["--to", "-"]));
        assert!(to_stdout.code == 0 && to_stdout.stdout.contains("2025-08-01"));
    }
    assert_eq!(run(shardback().args(["report", "src"])).code, 1);
}

/// What is no file is not replaced, and nothing is left where writing fails.
#[test]
fn only_files_are_replaced() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let error = replace_file(&folder, b"page").unwrap_err();
    assert!(message(&error).starts_with("cannot write `"), "{error}");
    assert!(replace_file(&root.path().join("nowhere/page.html"), b"page").is_err());
    let link = root.path().join("link");
    fs::write(root.path().join("target"), "as it was").unwrap();
    std::os::unix::fs::symlink("target", &link).unwrap();
    replace_file(&link, b"page").unwrap();
    assert_eq!(fs::read(&link).unwrap(), b"page");
    assert_eq!(fs::read_to_string(root.path().join("target")).unwrap(), "as it was");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
}
