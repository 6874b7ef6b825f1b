//! Folders whose files are not the table, once each: formats that keep their own record, links, and one file in two forms.

use std::fs;
use std::os::unix::fs::symlink;

use shardback::read::open;

use super::{LINE, Table, click_batch, clicks, gzip, impressions, parquet_bytes, rows};
use crate::watchdog;

fn parquet() -> Vec<u8> {
    parquet_bytes(&click_batch(1), 10)
}

/// A folder of Delta, Iceberg or Hudi holds files that a delete or a compaction has left behind: it is refused wherever in it
/// the table is said to be.
#[test]
fn tables_that_keep_their_own_record_are_refused() {
    for (marker, data, format, others) in [
        ("t/_delta_log/00000000000000000000.json", "t/region=eu/a.parquet", "Delta", ["t", "", "t/region=eu"]),
        ("t/metadata/v2.metadata.json", "t/data/dt=2025-08-15/a.parquet", "Iceberg", ["t", "", "t/data"]),
        ("t/metadata/00001-5d-e.metadata.json", "t/data/a.parquet", "Iceberg", ["t", "", "t/data/a.parquet"]),
        ("t/metadata/00001-5d-e.gz.metadata.json", "t/data/a.parquet", "Iceberg", ["t", "", "t/data"]),
        ("t/.hoodie/hoodie.properties", "t/2025/08/a.parquet", "Hudi", ["t", "", "t/2025"]),
    ] {
        let table = Table::new().file(marker, "{}").file(data, parquet());
        symlink(table.path(others[2]), table.path("link")).unwrap();
        for name in others.iter().chain(&[data, "link"]) {
            let error = table.error_at(name, clicks());
            let said = format!(
                "is part of a table in the format {format}: its files also hold rows that were deleted or replaced"
            );
            assert!(error.contains(&said) && error.contains("Spark"), "{marker}, {name}: {error}");
        }
    }
}

/// Names that only look like such a record are files like any other.
#[test]
fn names_that_only_look_like_a_record_are_files() {
    let table = Table::new().file("metadata/clicks.json", LINE).file("v1.metadata.json", LINE).file("x/v1.json", LINE);
    assert_eq!(table.rows(clicks()).len(), 3);
}

/// Editors lock a file by a hidden link that leads nowhere; one with a name of data is missed.
#[test]
fn hidden_links_that_lead_nowhere_are_passed_over() {
    let table = Table::new().file("a.json", LINE);
    for hidden in [".#a.json", "_tmp"] {
        symlink("somebody@somewhere.1234", table.path(hidden)).unwrap();
    }
    assert_eq!(table.rows(clicks()).len(), 1);
    symlink("gone", table.path("b.json")).unwrap();
    assert!(table.error(clicks()).contains("b.json"));
}

/// A pipe is waited for by whoever opens it, and a device may never end; neither is a table, nor a file of one, whatever its name.
#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    watchdog::in_a_process("read::folders::pipes_and_devices");
}

#[test]
#[ignore = "another test runs it in a process of its own"]
fn pipes_and_devices() {
    for name in ["a.json", "b.csv", "c.parquet", "d.csv.gz"] {
        let table = Table::new().file("x/z.json", LINE);
        let refused = |error: String| {
            let said = format!("clicks: `TABLE/x/{name}` is not a table: ");
            assert!(error.starts_with(&said), "{error}");
        };
        rustix::fs::mkfifoat(rustix::fs::CWD, table.path("x").join(name), rustix::fs::Mode::RWXU).unwrap();
        refused(table.error_at("x", clicks()));
        refused(table.error_at(&format!("x/{name}"), clicks()));
        fs::remove_file(table.path("x").join(name)).unwrap();
        symlink("/dev/zero", table.path("x").join(name)).unwrap();
        refused(table.error_at("x", clicks()));
    }
}

/// Rows that two names lead to would count twice.
#[test]
fn a_file_with_two_names_is_refused() {
    let table = Table::new().file("v1/a.parquet", parquet());
    symlink("v1", table.path("latest")).unwrap();
    assert_eq!(
        table.error(clicks()),
        "clicks: `TABLE/latest/a.parquet` and `TABLE/v1/a.parquet` are one file, whose rows would count twice; name one of \
         them, or move the link away"
    );
    fs::remove_file(table.path("latest")).unwrap();
    assert_eq!(table.rows(clicks()).len(), 1);
    fs::hard_link(table.path("v1/a.parquet"), table.path("v1/b.parquet")).unwrap();
    assert!(table.error(clicks()).contains("are one file"));
}

/// `gzip -k` and `zstd` leave what they packed; an export in two formats has the rows of each.
#[test]
fn one_name_in_two_forms_is_refused() {
    let csv = "dt,customer_id,item_id,click_time\n2025-08-15,1,2,t\n";
    for (first, second) in
        [("a.json", "a.json.gz"), ("a.csv", "a.parquet"), ("a.csv", "a.jsonl"), ("a.json", "a.jsonl")]
    {
        let content = |name: &str| match name.rsplit('.').next() {
            Some("gz") => gzip(LINE.as_bytes()),
            Some("parquet") => parquet(),
            Some("csv") => csv.as_bytes().to_vec(),
            _ => LINE.as_bytes().to_vec(),
        };
        let table = Table::new().file(first, content(first)).file(second, content(second));
        assert_eq!(
            table.error(clicks()),
            format!(
                "clicks: `TABLE/{first}` and `TABLE/{second}` seem to be one file in two forms, whose rows would count twice; \
                 move one of them away, or give it another name"
            )
        );
        // In two folders they are two files.
        let table = Table::new().file(first, content(first)).file(&format!("x/{second}"), content(second));
        assert_eq!(table.rows(clicks()).len(), 2);
    }
    let table = Table::new().file("a.json", LINE).file("A.json", LINE).file("a.b.json", LINE);
    assert_eq!(table.rows(clicks()).len(), 3);
}

/// A partition whose column's name begins with `_` is one like any other, as Spark has it; hidden files and folders are not.
#[test]
fn partitions_may_begin_with_an_underscore() {
    let table = Table::new()
        .file("_region=eu/a.json", LINE)
        .file("region=us/_x=1/a.json", LINE)
        .file("_spark=1.json", "not read")
        .file(".region=x/a.json", "not read")
        .file("_temporary/a.json", "not read");
    let files = open(table.folder.path(), clicks(), &|_| true).unwrap();
    assert_eq!(rows(&files).len(), 2);
}

/// A wanted column that is there twice says two things of each row.
#[test]
fn two_columns_of_one_name_are_refused() {
    let twice =
        |file: &str| format!("clicks: two columns `item_id` in `TABLE/{file}`: which of them counts is not known");
    let batch = click_batch(2);
    let schema = batch.schema();
    let names = ["dt", "item_id", "item_id", "customer_id", "click_time"];
    let fields: Vec<_> =
        schema.fields().iter().zip(names).map(|(field, name)| field.as_ref().clone().with_name(name)).collect();
    let mut columns = batch.columns().to_vec();
    columns.swap(0, 1);
    let batch = arrow::array::RecordBatch::try_new(
        std::sync::Arc::new(arrow::datatypes::Schema::new(
            fields
                .iter()
                .zip(&columns)
                .map(|(field, column)| field.clone().with_data_type(column.data_type().clone()))
                .collect::<Vec<_>>(),
        )),
        columns,
    )
    .unwrap();
    let table = Table::new().file("a.parquet", parquet_bytes(&batch, 10));
    assert_eq!(table.error(clicks()), twice("a.parquet"));
    let stream = shardback::read::Batches::new(clicks(), [Ok(batch)].into_iter());
    let error = super::read(&stream).unwrap_err().to_string();
    assert_eq!(error, "clicks: two columns `item_id` in the source: which of them counts is not known");
    let csv = Table::new().file("a.csv", "dt,customer_id,item_id,click_time,item_id\n2025-08-15,1,2,t,3\n");
    assert_eq!(csv.error(clicks()), twice("a.csv"));
    // What nobody asks for may be there as often as it likes.
    let csv = Table::new().file("a.csv", "dt,customer_id,item_id,click_time,x,x\n2025-08-15,1,2,t,3,4\n");
    assert_eq!(csv.rows(clicks()).len(), 1);
}

/// A key that stands twice in one JSON object, in a row or in an element of its list.
#[test]
fn two_keys_of_one_name_are_refused() {
    let row = |more: &str| format!(r#"{{"dt":"2025-08-15","customer_id":1,"item_id":2,"click_time":"t"{more}}}"#);
    let table = Table::new().file("a.json", format!("{}\n{}\n", row(""), row(r#","item_id":2"#)));
    assert_eq!(table.error(clicks()), "clicks: `TABLE/a.json`, line 2: the key `item_id` twice in one object");
    let escaped = Table::new().file("a.json", row(r#","\u0069tem_id":3"#));
    assert!(escaped.error(clicks()).ends_with("the key `item_id` twice in one object"));
    assert_eq!(Table::new().file("a.json", row(r#","x":1,"x":2"#)).rows(clicks()).len(), 1);
    let slate = |element: &str| {
        format!(r#"{{"dt":"2025-08-15","customer_id":1,"impressions":[{{"item_id":1,"is_order":true}},{element}]}}"#)
    };
    let table = Table::new().file("a.json", slate(r#"{"item_id":1,"is_order":true,"item_id":2}"#));
    assert_eq!(
        table.error(impressions()),
        "impressions: `TABLE/a.json`, line 1: the key `item_id` twice in one object"
    );
    let table = Table::new().file("a.json", slate(r#"{"item_id":1,"is_order":true,"x":{"item_id":1},"x":[{}]}"#));
    assert_eq!(table.rows(impressions()).len(), 1);
}
