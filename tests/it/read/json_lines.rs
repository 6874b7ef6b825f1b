//! Newline-delimited JSON: values, lines, absent keys, and bad lines.

use shardback::read::{Source, open};

use super::{LINE, Table, clicks, gzip, impressions, read, rows, wanted, zstandard};

#[test]
fn json_values_come_as_their_text() {
    let table = Table::new().file(
        "a.json",
        concat!(
            r#"{"dt":"2025-08-15","customer_id":99999999999999999999,"item_id":9007199254740993,"click_time":-0.50e3,"x":{"y":[1]}}"#,
            "\n",
            r#"{"item_id":true,"customer_id":null,"dt":"a\u00e9\n\"b","click_time":""}"#,
            "\n",
        ),
    );
    assert_eq!(
        table.rows(clicks()),
        [
            "1: click_time=-0.50e3 customer_id=99999999999999999999 dt=2025-08-15 item_id=9007199254740993",
            "2: click_time= customer_id=null dt=a\u{e9}\n\"b item_id=true",
        ]
    );
}

#[test]
fn json_slates_are_lists_of_texts() {
    let table = Table::new().file(
        "a.json",
        concat!(
            r#"{"dt":"d","customer_id":1,"impressions":[{"item_id":5,"is_order":true,"z":1},null,{"is_order":0}]}"#,
            "\n",
            r#"{"dt":"d","customer_id":2,"impressions":[]}"#,
            "\n",
            r#"{"dt":"d","customer_id":3}"#,
        ),
    );
    assert_eq!(
        table.rows(impressions()),
        [
            "1: customer_id=1 dt=d impressions=[{item_id: 5, is_order: true}, , {item_id: , is_order: 0}] is_order=null item_id=null",
            "2: customer_id=2 dt=d impressions=[] is_order=null item_id=null",
            "3: customer_id=3 dt=d impressions=null is_order=null item_id=null",
        ]
    );
    let table = Table::new().file("a.json", r#"{"dt":"d","customer_id":1,"item_id":5,"is_order":false}"#);
    assert_eq!(table.rows(impressions()), ["1: customer_id=1 dt=d impressions=null is_order=false item_id=5"]);
}

#[test]
fn json_line_ends_blank_lines_and_a_byte_order_mark() {
    let row = |line: u64, item: &str| format!("{line}: click_time=null customer_id=1 dt=d item_id={item}");
    let line = |item: u64| format!(r#"{{"dt":"d","customer_id":1,"item_id":{item},"click_time":null}}"#);
    let text = format!("\u{feff}\r\n{}\r\n \t\r\n{}\n\n\n{}", line(1), line(2), line(3));
    let expected = [row(2, "1"), row(4, "2"), row(7, "3")];
    for (name, content) in [
        ("a.json", text.clone().into_bytes()),
        ("a.json.gz", [gzip(&text.as_bytes()[..40]), gzip(&text.as_bytes()[40..])].concat()),
        ("a.json.zst", [zstandard(&text.as_bytes()[..40]), zstandard(&text.as_bytes()[40..])].concat()),
    ] {
        assert_eq!(Table::new().file(name, content).rows(clicks()), expected, "{name}");
    }
    for empty in ["", "\n\r\n  \n", "\u{feff}"] {
        let table = Table::new().file("a.json", empty);
        assert!(table.rows(clicks()).is_empty());
    }
}

#[test]
fn json_of_many_blocks_keeps_every_line_and_its_number() {
    let mut text = String::new();
    for item in 0..120_000 {
        // The line that is longer than a block stands in the middle.
        let note = if item == 60_000 { "x".repeat(9 << 20) } else { "y".repeat(item % 50) };
        text.push_str(&format!("{{\"note\":\"{note}\",\"dt\":\"d\",\"customer_id\":1,\"item_id\":{item}}}\n"));
    }
    let expected: Vec<String> =
        (0..120_000).map(|item| format!("{}: customer_id=1 dt=d item_id={item}", item + 1)).collect();
    let wanted = wanted(&["customer_id", "item_id"]);
    for (name, content) in [("a.json", text.clone().into_bytes()), ("a.json.gz", gzip(text.as_bytes()))] {
        let table = Table::new().file(name, &content);
        let files = open(table.folder.path(), wanted.clone(), &|_| true).unwrap();
        let chunks = read(&files).unwrap();
        assert!(chunks.len() >= 3, "{}", chunks.len());
        assert_eq!(chunks.iter().map(|chunk| chunk.bytes).sum::<u64>(), files.bytes());
        assert!(chunks.iter().all(|chunk| chunk.origin.text));
        assert!(rows(&files) == expected, "{name}");
    }
    // The first bad line is named, wherever its block ends up.
    let broken = text.replace("\"item_id\":70000}", "\"item_id\":[7]}").replace("\"item_id\":119000}", "\"item_id\"}");
    assert_eq!(
        Table::new().file("a.json", broken).error(wanted),
        "clicks: `TABLE/a.json`, line 70001: column `item_id`: expected one value, found: `[7]`"
    );
}

#[test]
fn a_bad_json_line_is_named() {
    // Past the first look, so that reading finds it and not opening.
    let lines = format!("{LINE}\n").repeat(2000);
    for (bad, problem) in [
        (r#"{"dt":"#, "not one JSON object: EOF while parsing a value, column 6"),
        (r#"{"dt" 1}"#, "not one JSON object: expected `:`, column 7"),
        ("[1]", "not one JSON object: invalid type: sequence, expected a JSON object"),
        ("7", "not one JSON object: invalid type: integer `7`, expected a JSON object, column 1"),
        ("null", "not one JSON object: invalid type: null, expected a JSON object, column 4"),
        ("{} 7", "not one JSON object: trailing characters, column 4"),
        (r#"{"dt":"d" "x":1}"#, "not one JSON object: expected `,` or `}`, column 11"),
        (r#"{"dt":"d",,"x":1}"#, "not one JSON object: key must be a string, column 11"),
        (r#"{"dt":"d","x":[1 2]}"#, "not one JSON object: expected `,` or `]`, column 18"),
        ("{\n}", "not one JSON object: EOF while parsing an object, column 1"),
        (r#"{"customer_id":{"a":1}}"#, "column `customer_id`: expected one value, found: `{\"a\": 1}`"),
        ("{\"customer_id\":\"\u{fffd}\"}", "not UTF-8"),
    ] {
        let bad = if bad.contains('\u{fffd}') {
            bad.bytes().filter(|byte| *byte != 0xbf && *byte != 0xbd).collect()
        } else {
            bad.as_bytes().to_vec()
        };
        for (before, line) in [(lines.as_str(), 2001), ("\n", 2)] {
            if line == 2 && (bad == b"[1]" || bad == b"{\n}") {
                // At the beginning, a list and an object over several lines say how the file is written.
                continue;
            }
            let table = Table::new().file("a.json", [before.as_bytes(), &bad, b"\n", LINE.as_bytes()].concat());
            assert_eq!(table.error(clicks()), format!("clicks: `TABLE/a.json`, line {line}: {problem}"));
        }
    }
    let slates = "{\"dt\":\"d\",\"customer_id\":1,\"impressions\":[]}\n".repeat(2000);
    let table = Table::new().file("a.json", format!("{slates}{}", r#"{"impressions":"none"}"#));
    assert_eq!(
        table.error(impressions()),
        "impressions: `TABLE/a.json`, line 2001: column `impressions`: expected a list, found: `\"none\"`"
    );
}

#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    let lines = format!("{LINE}\n").repeat(2000);
    let deep = format!("{{\"customer_id\":{}1{}}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    let expected = "clicks: `TABLE/a.json`, line 2001: nested more than 4096 deep";
    assert_eq!(Table::new().file("a.json", format!("{lines}{deep}\n")).error(clicks()), expected);
    let below = format!("{{\"customer_id\":{}1{}}}", "[".repeat(4000), "]".repeat(4000));
    let error = Table::new().file("a.json", format!("{lines}{below}\n")).error(clicks());
    assert!(error.contains("line 2001: column `customer_id`: expected one value, found: `[[[["), "{error}");
}

#[test]
fn a_json_column_is_missing_only_if_no_line_has_it() {
    let lines = "{\"dt\":\"d\",\"customer_id\":1,\"item_id\":2}\n".repeat(5000);
    let table = Table::new().file("a.json", &lines);
    assert_eq!(
        table.error(clicks()),
        "clicks: no column `click_time` in `TABLE/a.json`; its columns: dt, customer_id, item_id"
    );
    let table = Table::new().file("a.json", format!("{lines}{LINE}"));
    let rows = table.rows(clicks());
    assert_eq!(rows[0], "1: click_time=null customer_id=1 dt=d item_id=2");
    assert_eq!(rows[5000], "5001: click_time=t customer_id=1 dt=2025-08-15 item_id=2");
    let table = Table::new().file("a.json", r#"{"customer_id":1,"item_id":2,"click_time":3}"#);
    assert_eq!(
        table.error(clicks()),
        "clicks: no column `dt` in `TABLE/a.json`, and no folder `dt=…`; its columns: customer_id, item_id, click_time"
    );
}

#[test]
fn truncated_and_damaged_compression_is_an_error() {
    let csv = format!("dt,customer_id,item_id,click_time\n{}", "2025-08-15,1,2,t\n".repeat(100_000));
    let json = format!("{LINE}\n").repeat(100_000);
    for (name, packed) in [
        ("a.json.gz", gzip(json.as_bytes())),
        ("a.json.zst", zstandard(json.as_bytes())),
        ("a.csv.gz", gzip(csv.as_bytes())),
        ("a.csv.zst", zstandard(csv.as_bytes())),
    ] {
        for content in [&packed[..packed.len() - 9], &packed[1..]] {
            let error = Table::new().file(name, content).error(clicks());
            assert!(error.starts_with(&format!("clicks: cannot decompress `TABLE/{name}`: ")), "{error}");
        }
    }
}

/// Keys are looked for in all files together, and beyond the first lines only where they must be.
#[test]
fn a_key_that_some_file_has_is_null_in_the_others() {
    let without = r#"{"dt":"d","customer_id":1,"item_id":2}"#;
    let late = format!("{}{LINE}\n", format!("{without}\n").repeat(5000));
    for (first, second) in [(LINE, without), (without, LINE), (without, late.as_str())] {
        let table = Table::new().file("a.json", first).file("b/c.json.gz", gzip(second.as_bytes()));
        let rows = table.rows(clicks());
        assert!(rows.iter().any(|row| row.contains("click_time=null")), "{rows:?}");
        assert!(rows.iter().any(|row| row.contains("click_time=t")), "{rows:?}");
    }
    // Many files, and the key in the last line of the last: found; and nowhere: the folder is named.
    let many = (0..40).fold(Table::new(), |table, file| table.file(&format!("{file}.json"), without));
    assert_eq!(
        many.error(clicks()),
        "clicks: no column `click_time` in `TABLE/`; its columns: dt, customer_id, item_id"
    );
    assert_eq!(many.file("z.json", &late).rows(clicks()).len(), 40 + 5001);
    // Other formats say nothing of the JSON files, nor do files of other days, nor those of which the path has the day.
    let csv = "dt,customer_id,item_id,click_time\nd,1,2,t\n";
    let error = Table::new().file("a.csv", csv).file("b.json", without).error(clicks());
    assert_eq!(error, "clicks: no column `click_time` in `TABLE/b.json`; its columns: dt, customer_id, item_id");
    let table = Table::new().file("dt=2025-08-15/a.json", LINE).file("dt=2025-08-16/a.json", without);
    assert_eq!(table.rows(clicks()).len(), 2);
    let keep = |day: shardback::event::Day| day.to_string() == "2025-08-16";
    assert!(open(&table.path(""), clicks(), &keep).is_err());
    let bare = r#"{"customer_id":1,"item_id":2,"click_time":null}"#;
    let table = Table::new().file("dt=2025-08-15/a.json", LINE).file("b.json", bare);
    assert_eq!(
        table.error(clicks()),
        "clicks: no column `dt` in `TABLE/`, and no folder `dt=…`; its columns: customer_id, item_id, click_time"
    );
    let table = table.file("c.json", without);
    assert_eq!(table.rows(clicks())[0], "1: click_time=null customer_id=1 dt=null item_id=2");
}
