//! Decimals of 256 bits in Parquet.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal256Array, RecordBatch, StringArray};
use arrow::datatypes::i256;
use parquet::arrow::ArrowWriter;
use xxhash_rust::xxh3::xxh3_64;

use super::{NO_CLICKS, World, samples};

/// Decimals of 256 bits, as Spark and ClickHouse write them to Parquet, are labels and numbers, and hashes of the digits that CSV
/// would have.
#[test]
fn long_decimals_are_labels_and_numbers() {
    let keys = r#"
        customer = "user"
        item = "sku"
        day = "day"
        labels = { bought = "whole", liked = { column = "cents", ge = 1.5 } }
        [samples.keep]
        count = { column = "whole", dtype = "u8" }
        price = { column = "cents", dtype = "f64" }
        long = { column = "long", dtype = "f64" }
        name = { column = "long", dtype = "hash" }
    "#;
    let decimals = |scale, digits: [&str; 2]| -> ArrayRef {
        let array: Decimal256Array = digits.iter().map(|digits| i256::from_string(digits)).collect();
        Arc::new(array.with_precision_and_scale(76, scale).unwrap())
    };
    let long = "1".repeat(50);
    let batch = RecordBatch::try_from_iter([
        ("user", decimals(0, ["-9223372036854775808", "5"])),
        ("sku", decimals(3, ["2000", "3000"])),
        ("day", Arc::new(StringArray::from(vec![super::DAY; 2])) as ArrayRef),
        ("whole", decimals(0, ["1", "0"])),
        ("cents", decimals(2, ["150", "-25"])),
        ("long", decimals(0, [&long, "12"])),
    ]);
    let batch = batch.unwrap();
    let world = World::new(&samples(keys, ""), &[NO_CLICKS]);
    let file = fs::File::create(world.folder.path().join("samples.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let rows: Vec<serde_json::Value> = world.rows().iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let hash = |text: &str| xxh3_64(text.as_bytes()).cast_signed();
    let expect = |customer: i64, item: i64, bought: bool, price: f64, long: f64, name: i64| {
        let found = rows.iter().find(|row| row["customer_id"] == customer).unwrap();
        assert_eq!(
            (&found["item_id"], &found["bought"], &found["liked"]),
            (&item.into(), &bought.into(), &bought.into())
        );
        assert_eq!((&found["count"], &found["price"]), (&u8::from(bought).into(), &price.into()));
        assert_eq!((found["long"].as_f64().unwrap(), &found["name"]), (long, &name.into()));
    };
    expect(i64::MIN, 2, true, 1.5, long.parse().unwrap(), hash(&long));
    expect(5, 3, false, -0.25, 12.0, hash("12"));
    assert_eq!(rows.len(), 2);
}
