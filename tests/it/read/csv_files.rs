//! CSV: values, quotes, lines, and faults.

use shardback::read::{Source, open};

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
    let text = format!("dt,customer_id,item_id,click_time\n{}", "2025-08-15,1,2,t\n".repeat(150_000));
    let table = Table::new().file("a.csv", text);
    let files = open(table.folder.path(), clicks(), &|_| true).unwrap();
    let chunks = read(&files).unwrap();
    let numbers: Vec<_> =
        chunks.iter().map(|chunk| (chunk.origin.rows.number(0).unwrap(), chunk.batch.num_rows())).collect();
    assert_eq!(numbers, [(2, 65_536), (65_538, 65_536), (131_074, 18_928)]);
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
