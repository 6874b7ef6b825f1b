//! CSV of other writers: what stands between and around fields, what is null, and files without a header.

use shardback::read::Projection;
use shardback::schema::{FileFormat, NO_QUOTE, Source};

use super::{Table, clicks, gzip};

fn csv(change: impl FnOnce(&mut Source)) -> Projection {
    let mut source = Source { format: Some(FileFormat::Csv), ..Source::default() };
    change(&mut source);
    Projection { source, ..clicks() }
}

fn delimited(delimiter: &str) -> Projection {
    csv(|source| source.delimiter = Some(delimiter.to_owned()))
}

/// Columns as they are written without a header line.
fn bare(change: impl FnOnce(&mut Source)) -> Projection {
    csv(|source| {
        source.columns = Some(["dt", "customer_id", "x", "item_id", "click_time"].map(str::to_owned).to_vec());
        change(source);
    })
}

/// Delimiters of one byte, of a character of several, and of several characters, also where a field has a part of one.
#[test]
fn delimiters_of_any_length() {
    for delimiter in [";", "\t", "|", "\u{1}", "::", "||", "¦", "<->", "~|~"] {
        let text = "dt,customer_id,item_id,click_time\nd,1,\"2,\n3\",a\nd,\"1\",:b,\"say \"\"hi\"\"\"\nd,,2,-<c>-\n";
        let text = text.replace(',', delimiter);
        for text in [text.clone(), text.replace('\n', "\r\n"), text.trim_end().to_owned()] {
            let inner = if text.contains('\r') { "\r\n" } else { "\n" };
            assert_eq!(
                Table::new().file("a.csv", &text).rows(delimited(delimiter)),
                [
                    format!("2: click_time=a customer_id=1 dt=d item_id=2{delimiter}{inner}3"),
                    "4: click_time=say \"hi\" customer_id=1 dt=d item_id=:b".to_owned(),
                    "5: click_time=-<c>- customer_id=null dt=d item_id=2".to_owned(),
                ],
                "{text:?}"
            );
        }
    }
    // The first place at which one can begin is where it is.
    let row = Table::new().file("a.csv", "dt||customer_id||item_id||click_time\nd|||1||\"2\"||t").rows(delimited("||"));
    assert_eq!(row, ["2: click_time=t customer_id=|1 dt=d item_id=2"]);
}

/// A delimiter, a quote and a line end wherever the file is cut into reads, packed and not.
#[test]
fn long_files_in_another_dialect() {
    let mut state = 5u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let pieces = ["a", "'", ":", "::", "\n", "\\", "é", "\r\n", " ", "longer than the others", ""];
    let (mut text, mut expected, mut line) = ("dt::customer_id::item_id::click_time\n".to_owned(), Vec::new(), 2);
    for _ in 0..60_000 {
        let values: Vec<String> =
            (0..4).map(|_| (0..1 + random(4)).map(|_| pieces[random(pieces.len())]).collect()).collect();
        let fields: Vec<String> =
            values.iter().map(|value| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))).collect();
        let row = format!("{}\n", fields.join("::"));
        let shown = |place: usize| if values[place].is_empty() { "null" } else { &values[place] };
        expected.push(format!(
            "{line}: click_time={} customer_id={} dt={} item_id={}",
            shown(3),
            shown(1),
            shown(0),
            shown(2)
        ));
        line += row.matches('\n').count();
        text += &row;
    }
    assert!(text.len() > 2 << 20, "shorter than a few reads");
    let wanted = || {
        csv(|source| {
            (source.delimiter, source.quote, source.escape) = (Some("::".to_owned()), Some('\''), Some('\\'));
        })
    };
    assert!(Table::new().file("a.csv", &text).rows(wanted()) == expected);
    assert!(Table::new().file("a.csv.gz", gzip(text.as_bytes())).rows(wanted()) == expected);
}

/// A delimiter that what has been read ends in the middle of: within a record of several lines, behind quotes and not.
#[test]
fn delimiters_where_a_read_ends() {
    let header = "x::dt::customer_id::item_id::click_time\n";
    let wanted = || delimited("::");
    for field in ["\"\n", "\"\n\"::"] {
        // One of these lengths has the end of the first read behind the first byte of a delimiter.
        for shift in 0..12 {
            let long = "a".repeat((256 << 10) - header.len() - field.len() - shift);
            let text = match field {
                "\"\n" => format!("{header}{field}{long}\"::d::1::\"2\"::t\nx::d::3::4::u\n"),
                _ => format!("{header}{field}{long}::1::\"2\"::t\nx::d::3::4::u\n"),
            };
            let rows = Table::new().file("a.csv", &text).rows(wanted());
            assert_eq!(rows.len(), 2, "{shift}");
            assert!(rows[0].ends_with("item_id=2") && rows[0].contains("customer_id=1 "), "{shift}");
            assert_eq!(rows[1], "4: click_time=u customer_id=3 dt=d item_id=4", "{shift}");
        }
    }
}

/// The name says that tabs are between fields, unless the description says something else.
#[test]
fn tabs_by_name() {
    let text = "dt\tcustomer_id\titem_id\tclick_time\nd\t1\t\"2\t3\"\tt,u\n";
    let expected = ["2: click_time=t,u customer_id=1 dt=d item_id=2\t3"];
    for name in ["a.tsv", "A.TSV"] {
        assert_eq!(Table::new().file(name, text).rows(clicks()), expected, "{name}");
    }
    assert_eq!(Table::new().file("a.tsv.gz", gzip(text.as_bytes())).rows(clicks()), expected);
    let text = "dt;customer_id;item_id;click_time\nd;1;2;t\n";
    assert_eq!(Table::new().file("a.tsv", text).rows(delimited(";")).len(), 1);
}

/// Another quote, and none at all: then quotes are text, as in search terms of logs that are cut at tabs and nothing else.
#[test]
fn quotes() {
    let header = "dt,customer_id,item_id,click_time\n";
    let single = csv(|source| source.quote = Some('\''));
    let table = Table::new().file("a.csv", format!("{header}d,1,'2,3','it''s \"so\"'\nd,\"1,2,t\n"));
    assert_eq!(
        table.rows(single),
        ["2: click_time=it's \"so\" customer_id=1 dt=d item_id=2,3", "3: click_time=t customer_id=\"1 dt=d item_id=2"]
    );
    let none = || csv(|source| source.quote = Some(NO_QUOTE));
    let text = format!("{header}d,\"1,2,\"t\" u\nd,1,\",\"\n");
    assert_eq!(
        Table::new().file("a.csv", &text).rows(none()),
        ["2: click_time=\"t\" u customer_id=\"1 dt=d item_id=2", "3: click_time=\" customer_id=1 dt=d item_id=\""]
    );
    assert_eq!(
        Table::new().file("a.csv", text).error(csv(|_| ())),
        "clicks: `TABLE/a.csv`, line 2: field 2 goes on after its closing quote: `\"1,2,\"t`; a quote within quotes is doubled \
         (where a character before it escapes it, as Spark writes it, name that: `csv_escape = \\`, or `escape` in a \
         description), and a field that begins with a quote is quoted (where quotes are text like any other, say `quote = \"\"`)"
    );
    // To say that a quote escapes a quote is to say that it is doubled.
    let doubled = csv(|source| source.escape = Some('"'));
    let table = Table::new().file("a.csv", format!("{header}d,1,2,\"say \"\"hi\"\"\"\n"));
    assert_eq!(table.rows(doubled), ["2: click_time=say \"hi\" customer_id=1 dt=d item_id=2"]);
}

/// What MySQL, Hive and Postgres write for null is null, in whole fields and as it is written.
#[test]
fn fields_that_are_null() {
    let nulls = csv(|source| source.nulls = vec!["\\N".to_owned(), "NULL".to_owned()]);
    let text = "dt,customer_id,item_id,click_time\n\\N,NULL,\"NULL\",\nd,Null,NULLS,N\n";
    assert_eq!(
        Table::new().file("a.csv", text).rows(nulls),
        [
            "2: click_time=null customer_id=null dt=null item_id=null",
            "3: click_time=N customer_id=Null dt=d item_id=NULLS"
        ]
    );
    let table = Table::new().file("a.csv", "dt,customer_id,item_id,click_time\n\\N,NULL,2,t\n");
    assert_eq!(table.rows(clicks()), ["2: click_time=t customer_id=NULL dt=\\N item_id=2"]);
}

/// Without quotes an escape goes before anything: what MySQL's `SELECT … INTO OUTFILE`, text of Hive and PostgreSQL's `COPY` write.
#[test]
fn escapes_without_quotes() {
    let escaped = |delimiter: &'static str| {
        csv(move |source| {
            (source.quote, source.escape) = (Some(NO_QUOTE), Some('\\'));
            source.delimiter = Some(delimiter.to_owned());
        })
    };
    let header = "dt,customer_id,item_id,click_time\n";
    for (fields, expected) in [
        (r"d,1,2,a\,b", "click_time=a,b customer_id=1 dt=d item_id=2"),
        (r"\N,\N,\\N,N", "click_time=N customer_id=null dt=null item_id=\\N"),
        (r#"d,"1,2,\\"#, "click_time=\\ customer_id=\"1 dt=d item_id=2"),
        (r"d,\\\,,,\\\\", "click_time=\\\\ customer_id=\\, dt=d item_id=null"),
        (r"d,\1,\x2,\t\n\r\0", "click_time=\t\n\r\0 customer_id=1 dt=d item_id=x2"),
        ("d,1,2\\\n3,t\\\n", "click_time=t\n customer_id=1 dt=d item_id=2\n3"),
        ("d,1,2\\\r\n3,t\\\r", "click_time=t\r customer_id=1 dt=d item_id=2\r\n3"),
        (r"d,a\Nb,\N ,x", "click_time=x customer_id=aNb dt=d item_id=N "),
    ] {
        // The last line of a file may end without a line feed.
        for end in ["\n", "\r\n", ""] {
            let text = format!("{header}{fields}{end}");
            // A carriage return that is escaped and a line feed behind it are one line break.
            if fields.ends_with('\r') && end == "\n" {
                continue;
            }
            let rows = Table::new().file("a.csv", &text).rows(escaped(","));
            assert_eq!(rows, [format!("2: {expected}")], "{text:?}");
        }
    }
    // Lines are counted, and delimiters of several characters are escaped by their first one, or by each.
    let text = "dt::customer\\_id::item_id::click_time\nd::1\\\n::a\\::b::\\:\\:\nd::2::\\N::t\n";
    assert_eq!(
        Table::new().file("a.csv", text).rows(escaped("::")),
        ["2: click_time=:: customer_id=1\n dt=d item_id=a::b", "4: click_time=t customer_id=2 dt=d item_id=null"]
    );
    // A delimiter too many, and an end too early, are named.
    let error = |text: String| Table::new().file("a.csv", text).error(escaped(","));
    assert_eq!(
        error(format!("{header}d,1,2,a\\,b\nd,1,2,a\\\\,b\n")),
        "clicks: `TABLE/a.csv`, line 3: 5 fields, but the header has 4"
    );
    assert_eq!(
        error(format!("{header}d,1,2,a\\")),
        "clicks: `TABLE/a.csv`, line 2: the file ends behind an escape: its last record is not whole"
    );
    // Without `escape` a backslash is text like any other; where rows do not fit, that is what may be wrong.
    for text in [format!("{header}d,1,2,a\\,b\n"), format!("{header}d,1,a\\\n2,t\n")] {
        let error = Table::new().file("a.csv", text).error(clicks());
        assert!(
            error.ends_with(
                " fields, but the header has 4; where a backslash keeps a delimiter or a line feed from ending a field, as MySQL \
                 and Hive write them, say so in the description: `quote = \"\"` and `escape = \"\\\\\"`"
            ),
            "{error}"
        );
    }
    let none = csv(|source| source.quote = Some(NO_QUOTE));
    let rows = Table::new().file("a.csv", format!("{header}d\\,\\N,2,\\\n")).rows(none);
    assert_eq!(rows, ["2: click_time=\\ customer_id=\\N dt=d\\ item_id=2"]);
}

/// An escape, and what it stands before, wherever the file is cut into reads.
#[test]
fn long_files_with_escapes() {
    let mut state = 7u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let pieces = ["a", "'", ":", "::", "\n", "\\", "é", "\r\n", " ", "longer than the others", "N", ""];
    let (mut text, mut expected, mut line) = ("dt::customer_id::item_id::click_time\n".to_owned(), Vec::new(), 2);
    for _ in 0..60_000 {
        let mut values: Vec<String> =
            (0..4).map(|_| (0..1 + random(4)).map(|_| pieces[random(pieces.len())]).collect()).collect();
        // A record without a byte is none.
        values[0].push('d');
        let escape = |value: &String| {
            value.replace('\\', "\\\\").replace(':', "\\:").replace('\n', "\\\n").replace("\r\\", "\\\r")
        };
        let field = |value: &String| if value.is_empty() { "\\N".to_owned() } else { escape(value) };
        let row = format!("{}\n", values.iter().map(field).collect::<Vec<_>>().join("::"));
        let shown = |place: usize| if values[place].is_empty() { "null" } else { &values[place] };
        expected.push(format!(
            "{line}: click_time={} customer_id={} dt={} item_id={}",
            shown(3),
            shown(1),
            shown(0),
            shown(2)
        ));
        line += row.matches('\n').count();
        text += &row;
    }
    assert!(text.len() > 2 << 20, "shorter than a few reads");
    let wanted = || {
        csv(|source| {
            (source.delimiter, source.quote, source.escape) = (Some("::".to_owned()), Some(NO_QUOTE), Some('\\'));
        })
    };
    let found = Table::new().file("a.csv", &text).rows(wanted());
    let other = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    assert_eq!(other.map(|place| (&found[place], &expected[place])), None);
    assert_eq!(found.len(), expected.len());
    assert!(Table::new().file("a.csv.gz", gzip(text.as_bytes())).rows(wanted()) == expected);
}

/// Redshift, Athena and Hive write no header line: the description names the columns, and the first line is a row.
#[test]
fn files_without_a_header() {
    let text = "d,1,x,2,t\nd,3,,4,\n";
    let expected = ["1: click_time=t customer_id=1 dt=d item_id=2", "2: click_time=null customer_id=3 dt=d item_id=4"];
    for (name, content) in [("000000_0", text.as_bytes().to_vec()), ("a.csv.gz", gzip(text.as_bytes()))] {
        assert_eq!(Table::new().file(name, content).rows(bare(|_| ())), expected, "{name}");
    }
    let table = Table::new().file("a.csv", text.replace(',', "\u{1}"));
    assert_eq!(table.rows(bare(|source| source.delimiter = Some("\u{1}".to_owned()))), expected);
    assert!(Table::new().file("a.csv", "").file("b.csv.gz", gzip(b"")).rows(bare(|_| ())).is_empty());
    // What does not fit is named.
    let error = |text: &str| Table::new().file("a.csv", text).error(bare(|_| ()));
    assert_eq!(error("d,1,x,2\n"), "clicks: `TABLE/a.csv`, line 1: 4 fields, but `columns` names 5");
    assert_eq!(
        error("\ndt,customer_id,x,item_id,click_time\nd,1,x,2,t\n"),
        "clicks: `TABLE/a.csv`, line 2: this is a header line, with the names that `columns` says: leave `columns` out"
    );
    let few = csv(|source| source.columns = Some(vec!["dt".to_owned(), "customer_id".to_owned()]));
    assert_eq!(
        Table::new().file("a.csv", "d,1\n").error(few),
        "clicks: no column `item_id` in `TABLE/a.csv`; its columns: dt, customer_id"
    );
    let twice = bare(|source| source.columns.as_mut().unwrap()[2] = "item_id".to_owned());
    assert!(Table::new().file("a.csv", text).error(twice).contains("two columns `item_id`"));
}

/// A header that is one field with another delimiter in it says so.
#[test]
fn another_delimiter_is_guessed_in_the_message() {
    for (other, shown) in [(";", ";"), ("\t", "\\t"), ("|", "|")] {
        let text = "dt,customer_id,item_id,click_time\nd,1,2,t\n".replace(',', other);
        let header = format!("dt{shown}customer_id{shown}item_id{shown}click_time");
        assert_eq!(
            Table::new().file("a.csv", text).error(clicks()),
            format!(
                "clicks: `TABLE/a.csv`, line 1: the header is one field: `{header}`; if `{shown}` stands between fields, say so \
                 in the description: `delimiter = \"{shown}\"`"
            )
        );
    }
    let table = Table::new().file("a.csv", "dt,customer_id,item_id,click_time\nd,1,2,t\n");
    assert!(
        table
            .error(delimited(";"))
            .ends_with("if `,` stands between fields, say so in the description: `delimiter = \",\"`")
    );
}

/// A dialect that makes no sense is refused before anything is read by it.
#[test]
fn dialects_that_make_no_sense() {
    let error = |wanted| Table::new().file("a.csv", "dt\n").error(wanted);
    let line_break = "clicks.delimiter: it has to be text without a line break: that ends a record";
    assert_eq!(error(delimited("\n")), line_break);
    assert_eq!(error(delimited(":\r:")), line_break);
    assert_eq!(error(delimited("")), line_break);
    assert_eq!(error(delimited("\"")), "clicks.delimiter: `\"` has the `quote` in it");
    let escape = csv(|source| (source.delimiter, source.escape) = (Some("\\|".to_owned()), Some('\\')));
    assert_eq!(error(escape), "clicks.delimiter: `\\|` has the `escape` in it");
    let quote = csv(|source| source.quote = Some('«'));
    assert_eq!(error(quote), "clicks.quote: `\\u{ab}` is not an ASCII character that can stand within a line");
    let escape = csv(|source| source.escape = Some('\n'));
    assert_eq!(error(escape), "clicks.escape: `\\n` is not an ASCII character that can stand within a line");
}
