//! JSON with faults in what nobody wants: rows are read; with faults in what is wanted: they are named.

use super::{Table, clicks, impressions};

const ROW: &str = "customer_id=1 dt=d item_id=2";

/// An object with one more key.
fn with(more: &[u8]) -> Vec<u8> {
    [br#"{"dt":"d","#, more, br#","customer_id":1,"item_id":2,"click_time":"t"}"#].concat()
}

const GOOD: &[u8] = br#"{"dt":"d","customer_id":7,"item_id":8,"click_time":"t"}"#;

/// Faults of keys that nobody wants: a text cut within a character, bytes of another encoding, numbers that JSON has not, and
/// control characters as they are.
const FAULTS: [&[u8]; 12] = [
    br#""q":"ab\ud83d""#,
    br#""q":"\udc00 ab""#,
    b"\"q\":\"caf\xe9\"",
    b"\"q\":\"a\tb\"",
    b"\"q\":\"a\x01\\\"b\"",
    br#""q":"a\xb""#,
    br#""p":NaN"#,
    br#""p":[NaN, -Infinity ,Infinity]"#,
    br#""p":{"x":NaN,"caf":[{"y":"\ud83d"}]}"#,
    b"\"caf\xe9\":1",
    b"\"a\tb\":{\"customer_id\":NaN}",
    b"\"p\":{\"caf\xe9\":\"\xe9\"}",
];

/// In every form of file, in the first lines and behind them.
#[test]
fn faults_in_what_nobody_wants_are_passed_over() {
    for fault in FAULTS {
        let shown = String::from_utf8_lossy(fault);
        let bad = with(fault);
        let line = [GOOD, b"\n", &bad, b"\n", GOOD].concat();
        let expected = [
            "1: click_time=t customer_id=7 dt=d item_id=8".to_owned(),
            format!("2: click_time=t {ROW}"),
            "3: click_time=t customer_id=7 dt=d item_id=8".to_owned(),
        ];
        assert_eq!(Table::new().file("a.json", &line).rows(clicks()), expected, "{shown}");
        for text in [
            [&b"["[..], GOOD, b",\n", &bad, b",\n", GOOD, b"]"].concat(),
            [&b"[\n"[..], &bad, b"\n]"].concat(),
            [GOOD, &bad].concat(),
            [&bad, GOOD].concat(),
            bad.clone(),
        ] {
            let rows = Table::new().file("a.json", &text).rows(clicks());
            assert!(rows.iter().any(|row| row.ends_with(&format!("click_time=t {ROW}"))), "{shown}: {rows:?}");
        }
    }
    // Behind the first look, and in a block of its own.
    for fault in &FAULTS[..2] {
        let bad = with(fault);
        let many = [[GOOD, b"\n"].concat().repeat(90_000), bad.clone(), b"\n".to_vec(), GOOD.to_vec()].concat();
        let rows = Table::new().file("a.json", many).rows(clicks());
        assert_eq!((rows.len(), rows[90_000].as_str()), (90_002, format!("90001: click_time=t {ROW}").as_str()));
    }
}

/// Below a column of which some fields are wanted, the others may have faults too.
#[test]
fn faults_beside_wanted_fields_are_passed_over() {
    let text = b"{\"dt\":\"d\",\"customer_id\":1,\"impressions\":[{\"q\":\"\\ud83d\",\"item_id\":\"5\",\"is_order\":true,\"p\":NaN},\
        {\"item_id\":6,\"x\":{\"is_order\":NaN},\"is_order\":0}]}";
    assert_eq!(
        Table::new().file("a.json", text).rows(impressions()),
        [
            "1: customer_id=1 dt=d impressions=[{item_id: 5, is_order: true}, {item_id: 6, is_order: 0}] is_order=null item_id=null"
        ]
    );
}

/// What is wanted is never blank: a fault there ends the run, on its line, and not that of a fault that does not matter.
#[test]
fn faults_in_what_is_wanted_are_named() {
    let harmless = with(br#""q":"\ud83d""#);
    let wanted = |value: &[u8]| {
        let start = br#"{"q":"\ud83d","dt":"d","item_id":2,"click_time":"t","customer_id":"#;
        [&harmless[..], b"\n", start, value, b"}\n"].concat()
    };
    for (value, problem) in [
        (&b"NaN 1"[..], "not one JSON object: expected `,` or `}`, column 71"),
        (b"NaNa", "not one JSON object: expected `,` or `}`, column 70"),
        (b"--Infinity", "not one JSON object: invalid number, column 68"),
        (b"{\"a\":NaN}", "column `customer_id`: expected one value, found: `{\"a\": \"NaN\"}`"),
        (b"\"caf\xe9\"", "not UTF-8"),
        (
            b"\"a\tb\"",
            "not one JSON object: control character (\\u0000-\\u001F) found while parsing a string, column 68",
        ),
        (b"[1]", "column `customer_id`: expected one value, found: `[1]`"),
    ] {
        let table = Table::new().file("a.json", wanted(value));
        assert_eq!(table.error(clicks()), format!("clicks: `TABLE/a.json`, line 2: {problem}"));
    }
    let surrogate = Table::new().file("a.json", wanted(br#""ab\ud83d""#)).error(clicks());
    assert!(surrogate.starts_with("clicks: `TABLE/a.json`, line 2: "), "{surrogate}");
    // The escaped name of a wanted key is one.
    let escaped = [&harmless[..], b"\n", br#"{"dt":"d","item_id":2,"click_time":"t","\u0063ustomer_id":nan}"#].concat();
    assert!(
        Table::new().file("a.json", escaped).error(clicks()).contains("line 2: not one JSON object: expected ident")
    );
    // Where a list is wanted, a number is none, and a line is not read as one without items.
    let list = br#"{"dt":"d","customer_id":1,"impressions":[{"item_id":5,"is_order":true}]}
{"dt":"d","customer_id":1,"impressions":NaN}"#;
    assert_eq!(
        Table::new().file("a.json", list).error(impressions()),
        "impressions: `TABLE/a.json`, line 2: column `impressions`: expected a list, found: `\"NaN\"`; write null \
         where there is none"
    );
    // Keys are none of these words.
    let key = br#"{NaN:1,"dt":"d","item_id":2,"click_time":"t","customer_id":1}"#;
    assert!(
        Table::new().file("a.json", key).error(clicks()).contains("line 1: not one JSON object: key must be a string")
    );
}

/// Numbers that JSON has not, where a value is wanted, are the texts that they are in CSV: what they mean is said where text is read.
/// What comes behind them stands where it stood, and they tell nothing of the shape of their column.
#[test]
fn wanted_numbers_that_are_none_are_texts() {
    let line = |customer: &str, item: &str| {
        format!(r#"{{"customer_id":{customer},"dt":"d","item_id":{item},"click_time":[NaN, 1, -Infinity]}}"#)
    };
    let rows = [("NaN", "5"), ("7", "Infinity"), ("-Infinity", "NaN"), ("\"NaN\"", "8")];
    let lines: Vec<String> = rows.iter().map(|(customer, item)| line(customer, item)).collect();
    let expected: Vec<String> = rows
        .iter()
        .map(|(customer, item)| {
            format!("click_time=[NaN, 1, -Infinity] customer_id={} dt=d item_id={item}", customer.replace('"', ""))
        })
        .collect();
    for text in [lines.join("\n"), lines.concat(), format!("[{}]", lines.join(",\n"))] {
        let rows = Table::new().file("a.json", text).rows(clicks());
        let rows: Vec<&str> = rows.iter().map(|row| row.split_once(": ").unwrap().1).collect();
        assert_eq!(rows, expected);
    }
    let text = format!("{}\n{}", line("NaN", "NaN"), line("1", "2").replace("\"dt\"", "\"dt"));
    assert!(Table::new().file("a.json", text).error(clicks()).contains("line 2: not one JSON object: "));
    let text = format!("{}{}", line("NaN", "NaN"), line("NaN", "2 3"));
    let error = Table::new().file("a.json", text).error(clicks());
    // The place of the 3.
    assert!(error.ends_with("line 1: not one JSON object: expected `,` or `}`, column 116"), "{error}");
    let list_later =
        br#"{"dt":"d","customer_id":1,"impressions":[{"item_id":NaN,"is_order":NaN},{"item_id":[5],"is_order":1}]}"#;
    assert!(Table::new().file("a.json", list_later).error(impressions()).contains("expected a list, found: `\"NaN\"`"));
}

/// Brackets, commas and quotes are never passed over, as they decide what is a row.
#[test]
fn what_is_no_json_at_all_is_named() {
    for (more, problem) in [
        (&br#""q":"\ud83d" "p":1"#[..], "not one JSON object: expected `,` or `}`, column 24"),
        (br#""q":[1 2]"#, "not one JSON object: expected `,` or `]`, column 18"),
        (br#""q":NaNa"#, "not one JSON object: expected `,` or `}`, column 18"),
        (br#""q":nan"#, "not one JSON object: expected ident, column 16"),
        (br#""q":+1"#, "not one JSON object: expected value, column 15"),
    ] {
        let table = Table::new().file("a.json", [GOOD, b"\n", &with(more)].concat());
        assert_eq!(table.error(clicks()), format!("clicks: `TABLE/a.json`, line 2: {problem}"));
    }
    let deep = [br#""q":"\ud83d","p":"#.to_vec(), b"[".repeat(5000), b"]".repeat(5000)].concat();
    let table = Table::new().file("a.json", [GOOD, b"\n", &with(&deep)].concat());
    assert_eq!(table.error(clicks()), "clicks: `TABLE/a.json`, line 2: nested more than 4096 deep");
}
