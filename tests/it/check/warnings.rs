//! When something looks wrong, and when not.

use shardback::check::{Report, WarningKind};

use super::{World, description};

fn problems(report: &Report, kind: WarningKind) -> Vec<&str> {
    report.warnings.iter().filter(|warning| warning.kind == kind).map(|warning| warning.problem.as_str()).collect()
}

/// Clicks at these times, of the day before the only sample's.
fn clicks_at(time: &str, times: &[&str]) -> World {
    let keys = format!("type = \"click\"\nday = \"d\"\ntime = {time}");
    let rows: String = times.iter().map(|time| format!("1,2,2025-08-15,{time}\n")).collect();
    let clicks = format!("c,i,d,t\n{rows}");
    World::new(
        &description("day = \"d\"", &keys, ""),
        &[("samples/a.csv", "c,i,d\n1,2,2025-08-16\n"), ("clicks/a.csv", &clicks)],
    )
}

/// Numbers of another unit than the description says are told by what they would be in it.
#[test]
fn times_of_another_unit_are_told() {
    let seconds = "1755252000";
    for (unit, zeros, meant) in [
        ("s", "", None),
        ("ms", "000", None),
        ("us", "000000", None),
        ("ns", "000000000", None),
        ("ms", "", Some("seconds read as milliseconds: say `unit = \"s\"`")),
        ("us", "", Some("seconds read as microseconds: say `unit = \"s\"`")),
        ("ns", "", Some("seconds read as nanoseconds: say `unit = \"s\"`")),
        ("s", "000", Some("milliseconds read as seconds: say `unit = \"ms\"`")),
        ("us", "000", Some("milliseconds read as microseconds: say `unit = \"ms\"`")),
        ("ns", "000", Some("milliseconds read as nanoseconds: say `unit = \"ms\"`")),
        ("s", "000000", Some("microseconds read as seconds: say `unit = \"us\"`")),
        ("ms", "000000", Some("microseconds read as milliseconds: say `unit = \"us\"`")),
        ("ns", "000000", Some("microseconds read as nanoseconds: say `unit = \"us\"`")),
        ("ms", "000000000", Some("nanoseconds read as milliseconds: say `unit = \"ns\"`")),
        ("us", "000000000", Some("nanoseconds read as microseconds: say `unit = \"ns\"`")),
    ] {
        let number = format!("{seconds}{zeros}");
        let world = clicks_at(&format!("{{ column = \"t\", unit = \"{unit}\" }}"), &[&number]);
        let report = world.check(10);
        let found = problems(&report, WarningKind::OddTimes);
        match meant {
            None => assert_eq!(report.warnings, [], "{unit} {number}"),
            Some(meant) => {
                assert!(
                    found[0].contains(meant) && found[0].ends_with("in `actions.clicks.time`"),
                    "{unit} {number}: {found:?}"
                );
            }
        }
    }
    // Where the day is that of the time, days beyond the calendar make rows bad; the times are told all the same.
    let keys = "type = \"click\"\ntime = { column = \"t\", unit = \"s\" }";
    let files = [("samples/a.csv", "c,i,d\n1,2,2025-08-16\n"), ("clicks/a.csv", "c,i,t\n1,2,1755252000000\n")];
    let report = World::new(&description("day = \"d\"", keys, ""), &files).check(10);
    assert!(problems(&report, WarningKind::OddTimes)[0].contains("milliseconds read as seconds"));
    assert_eq!(report.tables[1].bad[0].reason, "unparsable_day");
}

/// Times before 1990 and later than a year from tomorrow on are odd; those in between are not, and what has no unit has no key.
#[test]
fn times_long_ago_and_to_come_are_odd() {
    let inside = ["1990-01-01T00:00:00Z", "2025-08-17T12:00:00Z", "2026-08-18T12:00:00Z"];
    let report = clicks_at("\"t\"", &inside).check(10);
    assert_eq!(problems(&report, WarningKind::OddTimes), Vec::<&str>::new());
    let outside = ["1989-12-31T23:59:59Z", "2026-08-18T12:00:01Z", "2025-08-15T00:00:00Z"];
    assert_eq!(
        problems(&clicks_at("\"t\"", &outside).check(10), WarningKind::OddTimes),
        ["2 of 3 times are before 1990 or after 2026-08-18: 1989-12-31T23:59:59Z to 2026-08-18T12:00:01Z"]
    );
    let report = clicks_at("\"t\"", &["1970-01-21T07:34:12Z"]).check(10);
    assert_eq!(
        problems(&report, WarningKind::OddTimes),
        [
            "1 of 1 times are before 1990 or after 2026-08-18: 1970-01-21T07:34:12Z; times 1000 they would be sensible, so \
          this looks like another unit than the one that the column's type says: write them in that, or as numbers with `unit` in \
          `actions.clicks.time`"
        ]
    );
    assert_eq!(problems(&report, WarningKind::TimesApart).len(), 1);
}

/// Logs that arrive a day or two late, and days of a place, are no fault; days that have nothing to do with their times are one.
#[test]
fn days_may_be_a_little_after_their_times() {
    let near = ["2025-08-15T10:00:00Z", "2025-08-14T10:00:00Z", "2025-08-13T00:00:00Z", "2025-08-16T03:00:00Z"];
    let report = clicks_at("\"t\"", &near).check(10);
    assert_eq!(report.warnings, []);
    let shifts = report.tables[1].days.as_ref().unwrap().shifts.as_ref().unwrap();
    assert_eq!((shifts.rows, shifts.of, shifts.far, shifts.least, shifts.most), (3, 4, 0, -1, 2));
    for far in ["2025-08-12T23:59:59Z", "2025-08-17T00:00:00Z"] {
        let mut times = vec![far];
        times.resize(100, "2025-08-15T10:00:00Z");
        assert_eq!(problems(&clicks_at("\"t\"", &times).check(1000), WarningKind::DaysOfOtherTimes).len(), 1, "{far}");
        times.push("2025-08-15T10:00:00Z");
        assert_eq!(clicks_at("\"t\"", &times).check(1000).warnings, [], "fewer than one in a hundred");
    }
}

/// Where a table is read in part, customers that were not met say nothing.
#[test]
fn customers_are_compared_where_that_says_something() {
    let rows = |customers: std::ops::Range<u32>, day: &str| -> String {
        let rows = customers.map(|customer| format!("{customer},2,{day}\n"));
        format!("c,i,d\n{}", rows.collect::<String>())
    };
    let (samples, clicks) = (rows(0..50, "2025-08-16"), rows(1000..1050, "2025-08-15"));
    let keys = ("day = \"d\"", "type = \"click\"\nday = \"d\"");
    let world = World::new(&description(keys.0, keys.1, ""), &[("samples/a.csv", &samples), ("clicks/a.csv", &clicks)]);
    assert_eq!(problems(&world.check(50), WarningKind::UnknownCustomers).len(), 1);
    assert_eq!(world.check(49).warnings, []);
    let (samples, clicks) = (rows(0..50, "2025-08-16"), rows(49..100, "2025-08-15"));
    let world = World::new(&description(keys.0, keys.1, ""), &[("samples/a.csv", &samples), ("clicks/a.csv", &clicks)]);
    let report = world.check(100);
    assert_eq!((report.customers.of_samples, report.customers.of_actions, report.customers.of_both), (50, 51, 1));
    assert_eq!(report.warnings, []);
}

/// Days after all of the samples' are told only where the last day of these is known, and the first of those.
#[test]
fn actions_of_later_days_are_told_where_all_days_are_known() {
    let rows = |days: &[&str]| format!("c,i,d\n{}", days.iter().map(|day| format!("1,2,{day}\n")).collect::<String>());
    let problems_of = |samples: &[&str], clicks: &[&str], read: u64| {
        let (samples, clicks) = (rows(samples), rows(clicks));
        let files = [("samples/a.csv", samples.as_str()), ("clicks/a.csv", clicks.as_str())];
        let world = World::new(&description("day = \"d\"", "type = \"click\"\nday = \"d\"", ""), &files);
        problems(&world.check(read), WarningKind::ActionsTooLate).len()
    };
    assert_eq!(problems_of(&["2025-08-15", "2025-08-16"], &["2025-08-16", "2025-08-17"], 2), 1);
    assert_eq!(problems_of(&["2025-08-15", "2025-08-16"], &["2025-08-15", "2025-08-17"], 2), 0);
    assert_eq!(problems_of(&["2025-08-15", "2025-08-16"], &["2025-08-16"], 1), 0, "the samples' last day is not read");
    assert_eq!(
        problems_of(&["2025-08-16"], &["2025-08-17", "2025-08-01"], 1),
        0,
        "the first day of clicks is not read"
    );
}

/// A label is odd where all of ten samples or more have the same one, unless the description says so.
#[test]
fn constant_labels_are_told() {
    let report = |labels: &str, values: &[&str]| {
        let rows: String = values.iter().map(|value| format!("1,2,2025-08-16,{value}\n")).collect();
        let samples = format!("c,i,d,l\n{rows}");
        let keys = format!("day = \"d\"\nlabels = {{ {labels} }}");
        let world = World::new(
            &description(&keys, "type = \"click\"\nday = \"d\"", ""),
            &[("samples/a.csv", &samples), ("clicks/a.csv", "c,i,d\n1,2,2025-08-15\n")],
        );
        problems(&world.check(100), WarningKind::ConstantLabel).join("; ")
    };
    assert_eq!(report("l = \"l\"", &["0"; 10]), "the label `l` is 0 in all of 10 samples");
    assert_eq!(report("l = \"l\"", &["true"; 11]), "the label `l` is 1 in all of 11 samples");
    assert_eq!(
        report("l = { column = \"l\", dtype = \"f32\" }", &["0"; 10]),
        "the label `l` is 0 in all of 10 samples"
    );
    assert_eq!(report("l = { column = \"l\", ge = 4 }", &["3"; 10]), "the label `l` is 0 in all of 10 samples");
    assert_eq!(report("l = \"l\"", &["0"; 9]), "");
    assert_eq!(report("l = { value = true }", &["0"; 10]), "");
    assert_eq!(report("l = \"l\"", &["0", "0", "0", "0", "0", "0", "0", "0", "0", "1"]), "");
    assert_eq!(report("l = { column = \"l\", dtype = \"f32\" }", &["7"; 10]), "");
}

/// Bounds of 64 bits have all their digits, and what is no number bounds nothing.
#[test]
fn bounds_are_exact() {
    let keys =
        "day = \"d\"\nkeep = { n = { column = \"n\", dtype = \"i64\" }, x = { column = \"x\", dtype = \"f32\" } }";
    let samples = "c,i,d,n,x\n1,2,2025-08-16,9223372036854775807,NaN\n1,2,2025-08-16,9223372036854775806,0.1\n";
    let clicks = ("clicks/a.csv", "c,i,d\n1,2,2025-08-15\n");
    let world =
        World::new(&description(keys, "type = \"click\"\nday = \"d\"", ""), &[("samples/a.csv", samples), clicks]);
    let values = &world.check(10).tables[0].values;
    let bounds = |place: usize| format!("{:?} {:?}", values[place].least, values[place].most);
    assert_eq!(bounds(0), "Some(Number(9223372036854775806)) Some(Number(9223372036854775807))");
    assert_eq!(bounds(1), "Some(Number(0.1)) Some(Number(0.1))");
}

/// With a cut-off at the time the samples' own times are read and shown, beside their requests and columns.
#[test]
fn a_cutoff_at_the_time_is_understood() {
    let samples = "time = \"t\"\nrequest = \"r\"\nlabels = { l = \"l\" }";
    let description = description(samples, "type = \"click\"\ntime = \"t\"", "");
    let description = description.replace("length = 1", "length = 1\ncutoff = \"time\"");
    let files = [
        ("samples/a.csv", "c,i,t,r,l\n1,2,2025-08-16T10:00:00Z,7,1\n1,2,,8,0\n"),
        ("clicks/a.csv", "c,i,t\n1,2,2025-08-16T09:00:00Z\n"),
    ];
    let report = World::new(&description, &files).check(10);
    let samples = &report.tables[0];
    let first = &samples.first_rows[0];
    assert_eq!((first.time.as_deref(), first.request), (Some("2025-08-16T10:00:00Z"), Some(7)));
    assert_eq!(serde_json::to_string(&first.values).unwrap(), r#"{"l":true}"#);
    assert_eq!((samples.made, samples.bad[0].reason, samples.nulls.len()), (1, "null_day", 0));
    assert_eq!(report.warnings, [], "actions of the samples' own day are seen");
}
