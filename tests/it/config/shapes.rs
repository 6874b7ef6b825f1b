//! Where columns stand: in structs and lists, several lists, text that is a list, the place in a list, names in other case.

use std::fs;
use std::sync::Arc;

use arrow::json::ReaderBuilder;
use arrow::json::reader::infer_json_schema_from_seekable;
use parquet::arrow::ArrowWriter;

use super::{NO_CLICKS, World, samples, samples_of};

const SLATES: &str = r##"
    customer = "user.id"
    item = "slate.item"
    day = "dt"
    labels = { clicked = "slate.clicked", seen = { value = true } }
    keep = { position = "#", price = { column = "slate.price", dtype = "f32" }, age = { column = "user.age", dtype = "u8", null = 0 } }
"##;

const SLATE_ROWS: &str = r#"{"dt":"2025-08-16","user":{"id":7,"age":30},"slate":[{"item":1,"clicked":true,"price":1.5},{"item":2,"clicked":false,"price":2}]}
{"dt":"2025-08-16","user":{"id":8,"age":null},"slate":[{"item":3,"clicked":true,"price":-0.25}]}
{"dt":"2025-08-16","user":{"id":8,"age":null},"slate":[]}
{"dt":"2025-08-16","user":{"id":8,"age":null},"slate":null}
"#;

const SLATE_SAMPLES: [&str; 3] = [
    r#"{"customer_id":7,"item_id":1,"clicked":true,"seen":true,"position":0,"price":1.5,"age":30}"#,
    r#"{"customer_id":7,"item_id":2,"clicked":false,"seen":true,"position":1,"price":2.0,"age":30}"#,
    r#"{"customer_id":8,"item_id":3,"clicked":true,"seen":true,"position":0,"price":-0.25,"age":0}"#,
];

/// Structs and a list of structs, in JSON and in Parquet, of which only the wanted leaves are read.
#[test]
fn structs_and_lists_give_the_same_in_json_and_parquet() {
    assert_eq!(samples_of(SLATES, "", ("samples.json", SLATE_ROWS)), SLATE_SAMPLES);
    let world = World::new(&samples(SLATES, ""), &[NO_CLICKS]);
    write_parquet(&world, SLATE_ROWS);
    let rows: Vec<String> =
        world.rows().iter().map(|row| row.replace(r#","actions":[0],"action_types":[0]"#, "")).collect();
    assert_eq!(rows, SLATE_SAMPLES);
}

/// Rows of JSON as a Parquet file of the types that they show.
fn write_parquet(world: &World, rows: &str) {
    let (schema, _) = infer_json_schema_from_seekable(std::io::Cursor::new(rows), None).unwrap();
    let mut reader = ReaderBuilder::new(Arc::new(schema)).build(rows.as_bytes()).unwrap();
    let batch = reader.next().unwrap().unwrap();
    let file = fs::File::create(world.folder.path().join("samples.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Lists beside each other are walked together; the day and the customer may be in them as well.
#[test]
fn several_lists_are_walked_together() {
    let keys = r##"
        customer = "user"
        item = "items"
        day = "days"
        labels = { liked = { column = "ratings", ge = 4 } }
        keep = { place = "#" }
    "##;
    let rows = r#"{"user":1,"items":[10,11,12],"days":["2025-08-16","2025-08-15","2025-08-16"],"ratings":[5,5,3.5]}
{"user":2,"items":[10],"days":["20250816"],"ratings":[4]}
{"user":3,"items":null,"days":[],"ratings":null}
"#;
    let expected = [
        r#"{"customer_id":1,"item_id":10,"liked":true,"place":0}"#,
        r#"{"customer_id":1,"item_id":12,"liked":false,"place":2}"#,
        r#"{"customer_id":2,"item_id":10,"liked":true,"place":0}"#,
    ];
    assert_eq!(samples_of(keys, "", ("samples.jsonl", rows)), expected);
    let world = World::new(&samples(keys, ""), &[NO_CLICKS]);
    write_parquet(&world, rows);
    let built: Vec<String> =
        world.rows().iter().map(|row| row.replace(r#","actions":[0],"action_types":[0]"#, "")).collect();
    assert_eq!(built, expected);
}

/// Text that is a list, with fields cut off from the end of its elements; empty text is an empty list.
#[test]
fn text_is_cut_into_lists() {
    let keys = r##"
        customer = "user"
        item = "slate.item"
        day = "day"
        split = { slate = { by = " ", at = "-", fields = ["item", "clicked"] } }
        labels = { clicked = "slate.clicked" }
        keep = { position = "#" }
    "##;
    let rows = "user,day,slate\n1,2025-08-16,10-1 20-0\n2,2025-08-16,\n3,2025-08-16,30-0\n";
    assert_eq!(
        samples_of(keys, "", ("samples.csv", rows)),
        [
            r#"{"customer_id":1,"item_id":10,"clicked":true,"position":0}"#,
            r#"{"customer_id":1,"item_id":20,"clicked":false,"position":1}"#,
            r#"{"customer_id":3,"item_id":30,"clicked":false,"position":0}"#,
        ]
    );
    // An element without fields is what the column holds, and one value beside it is the same for all.
    let keys = r#"
        customer = "user"
        item = "shown"
        day = "day"
        split = { shown = { by = "|" }, bought = { by = "|" } }
        labels = { bought = { in = "bought" }, chosen = { equals = "choice" } }
    "#;
    let rows = "user,day,shown,bought,choice\n1,2025-08-16,10|20|30,20|99,30\n2,2025-08-16,10,,nothing\n";
    assert_eq!(
        samples_of(keys, "", ("samples.csv", rows)),
        [
            r#"{"customer_id":1,"item_id":10,"bought":false,"chosen":false}"#,
            r#"{"customer_id":1,"item_id":20,"bought":true,"chosen":false}"#,
            r#"{"customer_id":1,"item_id":30,"bought":false,"chosen":true}"#,
            r#"{"customer_id":2,"item_id":10,"bought":false,"chosen":false}"#,
        ]
    );
}

/// Names match in other case where that is one column; a column of the list of items may stand flat.
#[test]
fn names_match_without_case_and_lists_may_be_flat() {
    let rows = "DT,USER.ID,Item,Clicked,Price,user.AGE\n2025-08-16,7,1,1,2.5,\n";
    assert_eq!(
        samples_of(SLATES, "", ("samples.csv", rows)),
        [r#"{"customer_id":7,"item_id":1,"clicked":true,"seen":true,"position":0,"price":2.5,"age":0}"#]
    );
    let world =
        World::new(&samples(SLATES, ""), &[("samples.csv", "dt,Dt,user.id,user.age,item,clicked\n"), NO_CLICKS]);
    assert_eq!(
        world.error(),
        "samples: no column `price` in `WORLD/samples.csv`; its columns: dt, Dt, user.id, user.age, item, clicked"
    );
}

/// Rows and elements that `where` does not name are passed over, whatever else they hold.
#[test]
fn rows_and_elements_are_passed_over() {
    let keys = r##"
        customer = "user"
        item = "items.id"
        day = "day"
        where = { event = ["view", "list"], "items.kind" = "product", is_test = false }
        keep = { position = "#" }
    "##;
    let rows = r#"{"user":1,"day":"2025-08-16","event":"view","is_test":false,"items":[{"id":1,"kind":"product"},{"id":"x","kind":"ad"},{"id":3,"kind":"product"}]}
{"user":null,"day":"never","event":"ping","is_test":false,"items":null}
{"user":2,"day":"2025-08-16","event":"list","is_test":true,"items":[{"id":4,"kind":"product"}]}
{"user":2,"day":"2025-08-16","event":"list","is_test":false,"items":[{"id":5,"kind":"ad"}]}
{"user":3,"day":"2025-08-16","is_test":false,"items":[{"id":6,"kind":"product"}]}
"#;
    assert_eq!(
        samples_of(keys, "", ("samples.json", rows)),
        [r#"{"customer_id":1,"item_id":1,"position":0}"#, r#"{"customer_id":1,"item_id":3,"position":2}"#,]
    );
}
