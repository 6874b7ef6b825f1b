//! JSON in its other forms: lists, objects glued together or over several lines, and what is wrong with such files.

use shardback::read::{Source, open};

use super::{LINE, Table, clicks, gzip, impressions, read, rows, wanted, zstandard};

fn object(item: u64) -> String {
    format!(r#"{{"dt":"d","customer_id":1,"item_id":{item},"click_time":"a}}]\"{{["}}"#)
}

fn row(line: u64, item: u64) -> String {
    format!("{line}: click_time=a}}]\"{{[ customer_id=1 dt=d item_id={item}")
}

/// An object as `json.dumps(…, indent=2)` and databases print it: over six lines.
fn pretty(item: u64) -> String {
    object(item).replace("{\"dt", "{\n  \"dt").replace(",\"", ",\n  \"").replace("[\"}", "[\"\n}")
}

/// Objects are found by their own ends: in lists, glued, and over several lines, with the line on which each begins.
#[test]
fn every_form_has_the_same_rows() {
    let [one, two, three] = [1, 2, 3].map(object);
    let [pretty_one, pretty_two, pretty_three] = [1, 2, 3].map(pretty);
    assert_eq!(pretty_one.matches('\n').count(), 5);
    for (name, text, lines) in [
        ("a list", format!("[{one},{two},{three}]"), [1, 1, 1]),
        ("a list with white space", format!("\n [ {one} , {two}\r\n,\t{three} ]\n\n"), [2, 2, 3]),
        ("an object of a list a line", format!("[\n{one},\n{two},\n{three}\n]\n"), [2, 3, 4]),
        ("a pretty list", format!("[\n{pretty_one},\n{pretty_two},\n{pretty_three}\n]"), [2, 8, 14]),
        ("lists one after the other", format!("[{one}][]\n[\n{two},{three}]"), [1, 3, 3]),
        ("glued", format!("{one}{two}{three}"), [1, 1, 1]),
        ("glued, with blanks", format!("\n{one} {two}\t {three}\n"), [2, 2, 2]),
        ("glued by pairs", format!("{one}{two}\n{three}"), [1, 1, 2]),
        ("over lines", format!("{pretty_one}\n{pretty_two}\n\n{pretty_three}\n"), [1, 7, 14]),
        ("over lines and glued", format!("{pretty_one}{pretty_two}{three}"), [1, 6, 11]),
        ("glued where files were joined", format!("{one}\n{two}{three}\n"), [1, 2, 2]),
        ("with marks where files were joined", format!("{one}\n\u{feff}{two}\n\u{feff}\n{three}"), [1, 2, 4]),
        ("a list with marks", format!("[{one}]\u{feff}[{two},{three}]\u{feff}"), [1, 1, 1]),
    ] {
        let expected = [row(lines[0], 1), row(lines[1], 2), row(lines[2], 3)];
        let marked = format!("\u{feff}{text}");
        for text in [&text, &marked] {
            assert_eq!(Table::new().file("a.json", text).rows(clicks()), expected, "{name}: {text}");
        }
        assert_eq!(Table::new().file("a", &text).rows(clicks()), expected, "{name}");
        assert_eq!(Table::new().file("a.json.gz", gzip(text.as_bytes())).rows(clicks()), expected, "{name}");
    }
    for empty in ["[]", " [ \n ] ", "[][]"] {
        assert!(Table::new().file("a.json", empty).rows(clicks()).is_empty(), "{empty}");
    }
    let slates =
        r#"[{"dt":"d","customer_id":1,"impressions":[{"item_id":5,"is_order":true}]},{"dt":"d","customer_id":2}]"#;
    assert_eq!(
        Table::new().file("a.json", slates).rows(impressions()),
        [
            "1: customer_id=1 dt=d impressions=[{item_id: 5, is_order: true}] is_order=null item_id=null",
            "1: customer_id=2 dt=d impressions=null is_order=null item_id=null",
        ]
    );
}

/// Blocks are cut between objects, wherever what is read at a time ends, also where one is longer than a block.
#[test]
fn long_files_in_every_form() {
    let objects: Vec<String> = (0..40_000)
        .map(|item| {
            let note = if item == 20_000 { "x".repeat(9 << 20) } else { "é\\\"}".repeat(item % 60) };
            format!("{{\"note\":\"{note}\",\"dt\":\"d\",\n\"customer_id\":1,\"item_id\":{item}}}")
        })
        .collect();
    let wanted = || wanted(&["customer_id", "item_id"]);
    for (name, text, lines) in [
        ("a list", format!("[{}]", objects.join(",")), 1),
        ("over lines", objects.join("\n"), 2),
        ("glued", objects.concat(), 1),
    ] {
        let expected: Vec<String> =
            (0..40_000).map(|item| format!("{}: customer_id=1 dt=d item_id={item}", item * lines + 1)).collect();
        for (file, content) in [("a.json", text.clone().into_bytes()), ("a.json.zst", zstandard(text.as_bytes()))] {
            let table = Table::new().file(file, &content);
            let files = open(table.folder.path(), wanted(), &|_| true).unwrap();
            let chunks = read(&files).unwrap();
            assert!(chunks.len() >= 2, "{}", chunks.len());
            assert_eq!(chunks.iter().map(|chunk| chunk.bytes).sum::<u64>(), files.bytes(), "{name}");
            // Chunks begin on the line of their first row, of which several may.
            let mut found = rows(&files);
            found.sort_by_key(|row| row.rsplit_once('=').unwrap().1.parse::<u64>().unwrap());
            assert!(found == expected, "{name}");
        }
        let at = objects[..30_000].iter().map(|object| object.matches('\n').count()).sum::<usize>() + 1;
        let line = at + if lines == 2 { 30_000 } else { 0 };
        let broken = text.replace("\"item_id\":30000}", "\"item_id\":[7]}");
        assert_eq!(
            Table::new().file("a.json", broken).error(wanted()),
            format!("clicks: `TABLE/a.json`, line {line}: column `item_id`: expected one value, found: `[7]`")
        );
    }
}

/// What is wrong is named where it stands: by line and column of the file, also within an object over several lines.
#[test]
fn faults_of_other_forms_are_named() {
    let (one, two) = (object(1), object(2));
    for (text, problem) in [
        (format!("[{one},\n{two}"), "line 2: the file ends within a list: it is not whole"),
        (
            format!("[{one}\n{two}]"),
            "line 2: expected a comma or the end of the list, found: `{\"dt\":\"d\",\"customer_id\":1,\"item_id\":2,\"c`, column 1",
        ),
        (format!("[{one},]"), "line 1: expected an object, found: `]`, column 64"),
        (
            format!("[\n  1, {one}]"),
            "line 2: expected an object or the end of the list, found: `1, {\"dt\":\"d\",\"customer_id\":1,\"item_id\":1`, column 3",
        ),
        (format!("[{one}]\n7"), "line 2: expected an object, found: `7`, column 1"),
        (
            format!("[[{one}]]"),
            "line 1: expected an object or the end of the list, found: `[{\"dt\":\"d\",\"customer_id\":1,\"item_id\":1,\"`, column 2",
        ),
        (format!("{one}{two}{}", &one[..20]), "line 1: the object that begins here does not end"),
        (format!("[{one},\n{}]", &one[..40]), "line 2: the object that begins here does not end"),
        (
            format!("{one}{two},{one}"),
            "line 1: expected an object, found: `,{\"dt\":\"d\",\"customer_id\":1,\"item_id\":1,\"`, column 123",
        ),
        (format!("[{one},{{\"dt\":\"d\" 1}}]"), "line 1: not one JSON object: expected `,` or `}`, column 74"),
        ("[\n{\"dt\":\"d\",\n  \"customer_id\" 1}]".to_owned(), "line 3: not one JSON object: expected `:`, column 17"),
        (
            "{\n\"dt\":\"d\",,\n\"customer_id\":1}".to_owned(),
            "line 2: not one JSON object: key must be a string, column 10",
        ),
        (
            format!("[{one},\n{{\n\"dt\":\"d\",\n\"customer_id\":[1]}}]"),
            "line 2: column `customer_id`: expected one value, found: `[1]`",
        ),
        (format!("{one}{{\"customer_id\":1,\"customer_id\":2}}"), "line 1: the key `customer_id` twice in one object"),
        (
            format!("[{one},\n{{\n\"customer_id\":\"a\nb\"}}]"),
            "line 3: not one JSON object: control character (\\u0000-\\u001F) found while parsing a string, column 16",
        ),
        (format!("{one}\n{two}{{\"dt\" 1}}"), "line 2: not one JSON object: expected `:`, column 68"),
        (format!("{one}\n{two},"), "line 2: not one JSON object: trailing characters, column 62"),
    ] {
        assert_eq!(
            Table::new().file("a.json", &text).error(clicks()),
            format!("clicks: `TABLE/a.json`, {problem}"),
            "{text}"
        );
    }
}

/// An object that never ends takes no more memory than the longest one may.
#[test]
fn an_object_without_an_end_is_refused_while_it_is_read() {
    let text = format!("[{LINE},\n{{\"customer_id\":\"{}", "x".repeat(80 << 20));
    let error = Table::new().file("a.json.gz", gzip(text.as_bytes())).error(clicks());
    assert_eq!(error, "clicks: `TABLE/a.json.gz`, line 2: the object is longer than 64 MiB");
    let text = format!("[{LINE}{}", " ".repeat(80 << 20));
    let error = Table::new().file("a.json.gz", gzip(text.as_bytes())).error(clicks());
    assert_eq!(error, "clicks: `TABLE/a.json.gz`, line 1: the file ends within a list: it is not whole");
}

/// A column is missing only if no object of any form has it.
#[test]
fn keys_are_found_in_every_form() {
    let without = r#"{"dt":"d","customer_id":1,"item_id":2}"#;
    let late = format!("[{}{LINE}]", format!("{without},").repeat(5000));
    let rows = Table::new().file("a.json", &late).rows(clicks());
    assert_eq!((rows.len(), rows[0].as_str()), (5001, "1: click_time=null customer_id=1 dt=d item_id=2"));
    assert_eq!(
        Table::new().file("a.json", without.repeat(5000)).error(clicks()),
        "clicks: no column `click_time` in `TABLE/a.json`; its columns: dt, customer_id, item_id"
    );
}
