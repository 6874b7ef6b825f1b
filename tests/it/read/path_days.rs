//! Days that paths give: folders of a column, in all their spellings, and patterns.

use shardback::read::{Projection, open};
use shardback::schema::DayOf;

use super::{Table, clicks, rows};

const LINE: &str = r#"{"customer_id":1,"item_id":2,"click_time":"t"}"#;

/// The day in the first row of a table with one file.
fn day_of(file: &str, at: &str, wanted: Projection) -> String {
    let table = Table::new().file(file, LINE);
    let rows = rows(&open(&table.path(at), wanted, &|_| true).unwrap());
    let day = rows[0].split_once(" [").unwrap().1;
    day.split_once("]:").unwrap().0.to_owned()
}

fn pattern(pattern: &str) -> Projection {
    Projection { day: DayOf::Path(pattern.to_owned()), ..clicks() }
}

/// Folders named as engines name them: with and without dashes, by a column of timestamps, in capitals.
#[test]
fn folders_of_a_day_in_all_spellings() {
    for (folder, day) in [
        ("dt=2025-08-15", "2025-08-15"),
        ("dt=20250815", "2025-08-15"),
        ("DT=2025-08-15", "2025-08-15"),
        ("dt=dt=2025-08-15", "2025-08-15"),
        ("dt=2025-08-15 00%3A00%3A00", "2025-08-15"),
        ("dt=2025-08-15 00:00:00", "2025-08-15"),
        ("dt=2025-08-15T00:00:00.000Z", "2025-08-15"),
        ("dt=2025-08-15 00:00:00.0 UTC", "2025-08-15"),
        ("dt=20250815 00:00:00+00:00", "2025-08-15"),
        ("dt=2025-08-15 07:00:00", "Unparsable(\"2025-08-15 07:00:00\")"),
        ("dt=2025-08-15 00:00:00+02:00", "Unparsable(\"2025-08-15 00:00:00+02:00\")"),
        ("dt=2025-08-15 00:00:00.5", "Unparsable(\"2025-08-15 00:00:00.5\")"),
        ("dt=2025-08-15 00:00:00.", "Unparsable(\"2025-08-15 00:00:00.\")"),
        ("dt=20250832", "Unparsable(\"20250832\")"),
        ("dt=2025081", "Unparsable(\"2025081\")"),
        ("dt=+2025815", "Unparsable(\"+2025815\")"),
        ("dt=__HIVE_DEFAULT_PARTITION__", "Null"),
        // Exact names come first.
        ("dt=2025-08-15/DT=2025-08-16", "2025-08-15"),
        ("Dt=2025-08-15/DT=2025-08-16", "2025-08-16"),
    ] {
        assert_eq!(day_of(&format!("{folder}/a.json"), "", clicks()), day, "{folder}");
    }
}

/// A day in several folders, or in a file's name; what else stands in the path does not matter.
#[test]
fn patterns_give_the_day() {
    for (wanted, file) in [
        ("{year}/{month}/{day}", "2025/08/15/a.json"),
        ("{year}/{month}/{day}", "x/2025/08/15/07/a.json"),
        ("/{year}/{month}/{day}/", "2025/08/15/07/00/a.json"),
        ("{year}/{month}/{day}", "2024/12/31/2025/08/15/a.json"),
        ("{year}/{month}/{day}", "2025/8/15/a.json"),
        ("year={year}/month={month}/day={day}", "year=2025/month=8/day=15/hour=3/a.json"),
        ("{year}-{month}/{day}", "2025-08/15/a.json"),
        ("{year}{month}{day}", "20250815/a.json"),
        ("{day}.{month}.{year}", "15.08.2025/a.json"),
        ("events-{year}{month}{day}.json", "x/events-20250815.json"),
        ("events-{year}{month}{day}*.json", "events-2025081507.json"),
        ("*-{year}-{month}-{day}-*", "stream-1-2025-08-15-07-00-00-1b2c.json"),
        ("*{year}{month}{day}*", "a_20250815_000001.json"),
        ("{year}/*/{month}{day}.json", "2025/any/0815.json"),
        ("s3{year}/{month}/{day}", "s32025/08/15/a.json"),
    ] {
        assert_eq!(day_of(file, "", pattern(wanted)), "2025-08-15", "{wanted} {file}");
    }
    let null = "year=2025/month=__HIVE_DEFAULT_PARTITION__/day=15/a.json";
    assert_eq!(day_of(null, "", pattern("year={year}/month={month}/day={day}")), "Null");
    // The folder that is named, and those above it as far as the day reaches into it.
    for at in ["2025", "2025/08", "2025/08/15", "2025/08/15/a.json", "2025/08/1?", "2025/08/*/*.json"] {
        assert_eq!(day_of("2025/08/15/a.json", at, pattern("{year}/{month}/{day}")), "2025-08-15", "{at}");
    }
}

/// A path that says no day is an error with the path: no file is taken for another day's, or for none's.
#[test]
fn paths_that_are_not_as_the_pattern_says_are_refused() {
    for (wanted, file, at) in [
        ("{year}/{month}/{day}", "a.json", ""),
        ("{year}/{month}/{day}", "2025/08/a.json", ""),
        ("{year}/{month}/{day}", "2025/13/01/a.json", ""),
        ("{year}/{month}/{day}", "2025/02/30/a.json", ""),
        ("{year}/{month}/{day}", "25/08/15/a.json", ""),
        ("{year}/{month}/{day}", "2025/008/15/a.json", ""),
        ("{year}/{month}/{day}", "x2025/08/15/a.json", ""),
        ("year={year}/month={month}/day={day}", "2025/08/15/a.json", ""),
        ("{year}{month}{day}", "2025815/a.json", ""),
        ("events-{year}{month}{day}.json", "events-20250815.json.gz", ""),
        // Which of these digits are the year would be a guess.
        ("*{year}{month}{day}*", "part-000120250815.json", ""),
        ("*{year}-{month}-{day}*", "12025-08-15.json", ""),
        ("*{year}-{month}-{day}*", "2025-08-155.json", ""),
        // Further up than the folder that is named.
        ("{year}/{month}/{day}", "2025/08/15/07/a.json", "2025/08/15/07"),
    ] {
        let table = Table::new().file(file, LINE);
        assert_eq!(
            table.error_at(at, pattern(wanted)),
            format!(
                "clicks: `TABLE/{file}` has no day: nothing in this path is as `{wanted}` says; move the file away, start its \
                 name with `_` to have it ignored, or fix the pattern"
            )
        );
    }
}

/// Files of days that nobody wants are not opened.
#[test]
fn files_of_other_days_are_not_opened_by_their_patterns() {
    let table = Table::new().file("2025/08/14/bad", "garbage").file("2025/08/15/a.json", LINE);
    let keep = |day: shardback::event::Day| day.to_string() == "2025-08-15";
    let files = open(&table.path(""), pattern("{year}/{month}/{day}"), &keep).unwrap();
    assert_eq!(rows(&files).len(), 1);
}
