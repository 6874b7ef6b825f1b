//! CSV: values, quotes, lines, and faults.

use arrow::array::{Array, AsArray};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use shardback::read::{Projection, Room, Source, open};

use super::{Table, clicks, gzip, impressions, read, zstandard};

#[test]
fn csv_values_quotes_and_lines() {
    let text = "\u{feff}click_time,x,item_id,dt,customer_id\n\
                t,\"a\nb\",1,d,7\n\
                \n\
                \"\",\"\",\"say \"\"hi\"\"\",d,\"8\"\n\
                ,,3,d,";
    let expected = [
        "2: click_time=t customer_id=7 dt=d item_id=1",
        "5: click_time=null customer_id=8 dt=d item_id=say \"hi\"",
        "6: click_time=null customer_id=null dt=d item_id=3",
    ];
    for text in [
        text.to_owned(),
        format!("{text}\n"),
        text.replace('\n', "\r\n"),
        format!("{}\r\n\r\n", text.replace('\n', "\r\n")),
    ] {
        for (name, content) in [
            ("a.csv", text.clone().into_bytes()),
            ("a.csv.gz", gzip(text.as_bytes())),
            ("a.csv.zst", zstandard(text.as_bytes())),
        ] {
            assert_eq!(Table::new().file(name, content).rows(clicks()), expected, "{name} {text:?}");
        }
    }
}

#[test]
fn csv_of_many_batches_keeps_numbers_and_bytes() {
    let rows = 600_000;
    let text = format!("dt,customer_id,item_id,click_time\n{}", "2025-08-15,1,2,t\n".repeat(rows));
    let table = Table::new().file("a.csv", text);
    let files = open(table.folder.path(), clicks(), &|_| true).unwrap();
    let chunks = read(&files).unwrap();
    let mut next = 2;
    for chunk in &chunks {
        assert_eq!(chunk.origin.rows.number(0), Some(next));
        next += chunk.batch.num_rows() as u64;
    }
    assert!(chunks.len() > 2 && next == 2 + rows as u64, "{} chunks up to {next}", chunks.len());
    assert_eq!(chunks.iter().map(|chunk| chunk.bytes).sum::<u64>(), files.bytes());
    assert!(chunks.iter().all(|chunk| chunk.origin.text));
}

#[test]
fn csv_faults_are_named() {
    let header = "dt,customer_id,item_id,click_time";
    for (text, problem) in [
        (format!("{header}\nd,1,2,t\n\nd,1,2\n"), "`TABLE/a.csv`, line 4: 3 fields, but the header has 4"),
        (format!("{header}\r\nd,1,2,t\r\nd,1,2,t,u\r\n"), "`TABLE/a.csv`, line 3: 5 fields, but the header has 4"),
        (format!("{header}\nd,1,2,\"t\nd,1,2,t\n"), "`TABLE/a.csv`, line 2: a quoted field that does not end"),
        (
            format!("{header}\rd,1,2,t\r"),
            "`TABLE/a.csv`, line 1: a line break in a column name; end lines with `\\n` or `\\r\\n`",
        ),
        (
            "dt,customer_id,item_id\n".to_owned(),
            "no column `click_time` in `TABLE/a.csv`; its columns: dt, customer_id, item_id",
        ),
        (
            "customer_id,item_id,click_time\n".to_owned(),
            "no column `dt` in `TABLE/a.csv`, and no folder `dt=…`; its columns: customer_id, item_id, click_time",
        ),
        (String::new(), "no column `customer_id` in `TABLE/a.csv`; its columns: none"),
    ] {
        assert_eq!(Table::new().file("a.csv", text).error(clicks()), format!("clicks: {problem}"));
    }
    let bad = [header.as_bytes(), b"\nd,1,2,t\nd,1,\xff,t\n"].concat();
    assert_eq!(Table::new().file("a.csv", bad).error(clicks()), "clicks: `TABLE/a.csv`, line 3: field 3 is not UTF-8");
    assert!(Table::new().file("a.csv", format!("{header}\n")).rows(clicks()).is_empty());
}

#[test]
fn csv_has_no_slates() {
    let table = Table::new().file("a.csv", "dt,customer_id,impressions,item_id,is_order\nd,1,x,2,true\n");
    assert_eq!(table.rows(impressions()), ["2: customer_id=1 dt=d is_order=true item_id=2"]);
    let table = Table::new().file("a.csv", "dt,customer_id,impressions,item_id\nd,1,x,2\n");
    assert_eq!(
        table.error(impressions()),
        "impressions: no column `is_order` in `TABLE/a.csv`; its columns: dt, customer_id, impressions, item_id"
    );
}

/// CSV as Spark writes it, with a backslash before quotes; `--csv-escape` says so.
fn escaped() -> Projection {
    let source = shardback::schema::Source { escape: Some('\\'), ..Default::default() };
    Projection { source, ..clicks() }
}

/// Rows that a writer of other rules wrote must not disappear into a quoted field: where more than a delimiter or the end of
/// the line follows a closing quote, the rules are others.
#[test]
fn what_follows_a_closing_quote_is_an_error() {
    let header = "dt,customer_id,item_id,click_time,query\n";
    let rows = |queries: &[&str]| {
        let row = |query: &&str| format!("2025-08-15,1,2,t,{query}\n");
        format!("{header}{}", queries.iter().map(row).collect::<String>())
    };
    for (queries, line, shown) in [
        // Spark: `tv 15"`. The second quote of the row is one half of a doubled one, and the next row begins within the field.
        (
            &["tv", r#""tv 15\"""#, "tv", r#""tv 17\"""#, "tv"][..],
            3,
            "field 5 goes on after its closing quote on line 5: ",
        ),
        (&[r#""a \"b\" c""#], 2, r#"field 5 goes on after its closing quote: `"a \"b`; "#),
        // Search terms that begin with a quote, and are not quoted.
        (&["tv", r#""best tv"#, "tv", r#""good tv"#, "tv"], 3, "field 5 goes on after its closing quote on line 5: "),
        (&[r#""best" tv"#], 2, r#"field 5 goes on after its closing quote: `"best" `; "#),
    ] {
        for text in [rows(queries), rows(queries).replace('\n', "\r\n")] {
            let error = Table::new().file("a.csv", text).error(clicks());
            let expected = format!("clicks: `TABLE/a.csv`, line {line}: {shown}");
            assert!(error.starts_with(&expected) && error.contains("`csv_escape = \\`"), "{error}");
        }
    }
    // An odd one is never closed.
    let error = Table::new().file("a.csv", rows(&["tv", r#""best tv"#, "tv"])).error(clicks());
    assert_eq!(error, "clicks: `TABLE/a.csv`, line 3: a quoted field that does not end");
    // A quote that does not begin its field is a character like any other.
    let text = rows(&[r#"15" tv"#, r#"a "b" c"#, r#"""#.repeat(2).as_str(), r#"x"""#]);
    assert_eq!(Table::new().file("a.csv", text).rows(clicks()).len(), 4);
}

/// All rows are there, and the values of wanted columns are what Spark wrote.
#[test]
fn quotes_may_be_escaped() {
    let text = "query,dt,customer_id,item_id,click_time\n\
                \"tv 15\\\"\",\"2025-08-15\",1,2,t\n\
                \"a \\\"b\\\", c\\\\\",2025-08-15,2,2,\"a\\\\b\\\"c\\nd\"\n\
                \"\",2025-08-15,3,2,\"\"\n\
                \"line\nfeed\\\"\",2025-08-15,4,2,C:\\dir\n\
                \"\"\"doubled\"\" too\",2025-08-15,5,2,t\\\n";
    for text in [text.to_owned(), text.trim_end().to_owned(), text.replace('\n', "\r\n")] {
        assert_eq!(
            Table::new().file("a.csv", &text).rows(escaped()),
            [
                "2: click_time=t customer_id=1 dt=2025-08-15 item_id=2",
                "3: click_time=a\\b\"c\\nd customer_id=2 dt=2025-08-15 item_id=2",
                "4: click_time=null customer_id=3 dt=2025-08-15 item_id=2",
                "5: click_time=C:\\dir customer_id=4 dt=2025-08-15 item_id=2",
                "7: click_time=t\\ customer_id=5 dt=2025-08-15 item_id=2",
            ],
            "{text:?}"
        );
        assert!(Table::new().file("a.csv", text).error(clicks()).contains("closing quote"));
    }
    let open = "dt,customer_id,item_id,click_time\n2025-08-15,1,2,\"t\\\"\n";
    assert!(Table::new().file("a.csv", open).error(escaped()).ends_with("line 2: a quoted field that does not end"));
    assert!(Table::new().file("a.csv", open.trim_end()).error(escaped()).ends_with("a quoted field that does not end"));
}

/// What a quote opens may take the rest of the file, but not the rest of the memory.
#[test]
fn a_record_without_an_end_is_refused_while_it_is_read() {
    let text = format!("dt,customer_id,item_id,click_time\n2025-08-15,1,2,\"{}", "x,\n".repeat(40 << 20));
    let error = Table::new().file("a.csv.gz", gzip(text.as_bytes())).error(clicks());
    assert_eq!(error, "clicks: `TABLE/a.csv.gz`, line 2: the record is longer than 64 MiB");
    let text = format!("{}{}", super::LINE, " ".repeat(80 << 20));
    let error = Table::new().file("a.json.gz", gzip(text.as_bytes())).error(clicks());
    assert_eq!(error, "clicks: `TABLE/a.json.gz`, line 1: the line is longer than 64 MiB");
}

/// Random tables, written with every freedom that the rules leave and cut into reads at any place, against what was written.
#[test]
fn records_are_what_was_written() {
    let mut state = 3u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let pieces = ["a", "\"", ",", "\n", "\\", "é", "\r\n", " ", "longer than the others", ""];
    for round in 0..300 {
        let escape = round % 3 == 0;
        let end = if round % 2 == 0 { "\n" } else { "\r\n" };
        let mut text = format!("x,dt,customer_id,item_id,click_time{end}");
        let (mut expected, mut line) = (Vec::new(), 2);
        for _ in 0..1 + random(40) {
            let mut values: Vec<String> =
                (0..5).map(|_| (0..random(4)).map(|_| pieces[random(pieces.len())]).collect()).collect();
            values[1].insert(0, 'd');
            let fields: Vec<String> = values
                .iter()
                .map(|value| {
                    let plain = !value.contains([',', '\n', '\r']) && !value.starts_with('"') && random(2) == 0;
                    match (plain, escape) {
                        (true, _) => value.clone(),
                        (false, true) => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
                        (false, false) => format!("\"{}\"", value.replace('"', "\"\"")),
                    }
                })
                .collect();
            let row = format!("{}{end}", fields.join(","));
            let shown = |place: usize| if values[place].is_empty() { "null" } else { &values[place] };
            expected.push(format!(
                "{line}: click_time={} customer_id={} dt={} item_id={}",
                shown(4),
                shown(2),
                shown(1),
                shown(3)
            ));
            line += row.matches('\n').count();
            text += &row;
        }
        let wanted = if escape { escaped() } else { clicks() };
        assert_eq!(Table::new().file("a.csv", &text).rows(wanted), expected, "{text:?}");
    }
}

/// What is accepted is what the `csv` crate reads, which takes more: fields that go on behind their quotes, or never end. (To it a carriage
/// return alone ends a record, too.)
#[test]
fn records_are_those_of_the_csv_crate() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let parts = ["a", "bc", " ", "\"", "\"\"", "\"x\"", "\"y,\"", "\"\n\"", "\"\"\"q\"\"\"", "é"];
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..3_000 {
        let mut text = "dt,customer_id,item_id,click_time\n".to_owned();
        for _ in 0..random.random_range(1..4) {
            let fields: Vec<String> = (0..4)
                .map(|_| (0..random.random_range(0..3)).map(|_| parts[random.random_range(0..parts.len())]).collect())
                .collect();
            text.push_str(&fields.join(","));
            text.push_str(["\n", "\r\n", "\n\n"][random.random_range(0..3)]);
        }
        let table = Table::new().file("a.csv", &text);
        let Ok(chunks) = open(table.folder.path(), clicks(), &|_| true).and_then(|files| read(&files)) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let value = |field: &str| if field.is_empty() { "null".to_owned() } else { field.to_owned() };
        let expected: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(value).collect()).collect();
        let found: Vec<Vec<String>> = chunks
            .iter()
            .flat_map(|chunk| {
                let column = |name| chunk.batch.column_by_name(name).unwrap().as_string::<i32>();
                let columns = ["dt", "customer_id", "item_id", "click_time"].map(column);
                let row = move |row| {
                    columns
                        .iter()
                        .map(|column| if column.is_null(row) { "null" } else { column.value(row) }.to_owned())
                        .collect()
                };
                (0..chunk.batch.num_rows()).map(row).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }
    assert!(accepted > 500 && refused > 500, "{accepted} and {refused}");
}

/// Where a file is cut for threads to share it is not seen: with room for few rows it is cut often, also amid quotes.
#[test]
fn a_file_in_many_blocks_has_the_rows_of_one() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    for quoted in [false, true] {
        let mut text = "dt,customer_id,item_id,click_time\n".to_owned();
        for row in 0..3_000 {
            let more = "x".repeat(random.random_range(0..60));
            let line = if quoted && row % 3 == 0 {
                format!("d,\"{row}\n{more}\",\"a\"\"b\",\n")
            } else {
                format!("d,{row},{more},t\n")
            };
            text.push_str(&line);
        }
        let table = Table::new().file("a.csv", text);
        let whole = table.rows(clicks());
        assert_eq!(whole.len(), 3_000);
        for rows in [1, 7, 100] {
            assert!(
                table.rows(Projection { room: Room::default().with_rows(rows), ..clicks() }) == whole,
                "{rows} rows at a time"
            );
        }
    }
}
