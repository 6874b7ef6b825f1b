//! Parquet: row groups, projection, types, and damaged files.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::data_type::{Int32Type, Int64Type, Int96, Int96Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use shardback::read::{Source, open};

use super::{Table, click_batch, clicks, impressions, parquet_bytes, read, rows, wanted};

fn slate_batch() -> RecordBatch {
    let items = StructArray::from(vec![
        (
            Arc::new(Field::new("position", DataType::Int32, true)),
            Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef,
        ),
        (Arc::new(Field::new("item_id", DataType::Int32, true)), Arc::new(Int32Array::from(vec![10, 20, 30]))),
        (
            Arc::new(Field::new("is_order", DataType::Boolean, true)),
            Arc::new(BooleanArray::from(vec![true, false, true])),
        ),
    ]);
    let element = Arc::new(Field::new("element", items.data_type().clone(), true));
    let slates = ListArray::new(element, OffsetBuffer::from_lengths([2, 0, 1]), Arc::new(items), None);
    RecordBatch::try_from_iter([
        ("dt", Arc::new(StringArray::from(vec!["2025-08-15"; 3])) as ArrayRef),
        ("customer_id", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("impressions", Arc::new(slates)),
    ])
    .unwrap()
}

#[test]
fn parquet_parts_are_row_groups_numbered_through_the_file() {
    let table = Table::new().file("a.parquet", parquet_bytes(&click_batch(7), 3));
    let files = open(table.folder.path(), clicks(), &|_| true).unwrap();
    assert_eq!(files.parts(), 3);
    let chunks = read(&files).unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.origin.rows.number(0).unwrap()).collect::<Vec<_>>(), [1, 4, 7]);
    assert_eq!(chunks.iter().map(|chunk| chunk.bytes).sum::<u64>(), files.bytes());
    assert!(chunks.iter().all(|chunk| !chunk.origin.text && chunk.batch.num_columns() == 4));
    assert_eq!(
        chunks[0].batch.schema().field_with_name("dt").unwrap().data_type(),
        &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
    );
    assert_eq!(rows(&files)[6], "7: click_time=5006 customer_id=13 dt=2025-08-01 item_id=106");
}

#[test]
fn large_row_groups_come_in_batches_that_share_their_bytes() {
    let table = Table::new().file("a.parquet", parquet_bytes(&click_batch(200_000), 1 << 20));
    let files = open(table.folder.path(), clicks(), &|_| true).unwrap();
    let chunks = read(&files).unwrap();
    let numbers: Vec<_> =
        chunks.iter().map(|chunk| (chunk.origin.rows.number(0).unwrap(), chunk.batch.num_rows())).collect();
    assert_eq!(numbers, [(1, 65_536), (65_537, 65_536), (131_073, 65_536), (196_609, 3_392)]);
    assert_eq!(chunks.iter().map(|chunk| chunk.bytes).sum::<u64>(), files.bytes());
}

#[test]
fn of_a_slate_only_the_needed_fields_are_read() {
    let table = Table::new().file("a.parquet", parquet_bytes(&slate_batch(), 10));
    assert_eq!(
        table.rows(impressions()),
        [
            "1: customer_id=1 dt=2025-08-15 impressions=[{item_id: 10, is_order: true}, {item_id: 20, is_order: false}]",
            "2: customer_id=2 dt=2025-08-15 impressions=[]",
            "3: customer_id=3 dt=2025-08-15 impressions=[{item_id: 30, is_order: true}]",
        ]
    );
}

#[test]
fn a_layout_is_taken_only_in_full_and_a_slate_must_be_a_list() {
    let column = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let flat = RecordBatch::try_from_iter([
        ("dt", Arc::new(Date32Array::from(vec![0])) as ArrayRef),
        ("customer_id", column(vec![1])),
        ("impressions", column(vec![3])),
        ("item_id", column(vec![2])),
        ("is_order", column(vec![0])),
    ])
    .unwrap();
    let table = Table::new().file("a.parquet", parquet_bytes(&flat, 10));
    assert_eq!(table.rows(impressions()), ["1: customer_id=1 dt=1970-01-01 is_order=0 item_id=2"]);
    let table = Table::new().file("a.parquet", parquet_bytes(&flat.project(&[0, 1, 2]).unwrap(), 10));
    assert_eq!(
        table.error(impressions()),
        "impressions: column `impressions` of `TABLE/a.parquet` is Int64, expected a list of structs with the fields \
         `item_id` and `is_order`"
    );
    let table = Table::new().file("a.parquet", parquet_bytes(&flat.project(&[0, 1, 3]).unwrap(), 10));
    assert_eq!(
        table.error(impressions()),
        "impressions: no column `impressions` in `TABLE/a.parquet`; its columns: dt, customer_id, item_id"
    );
    let table = Table::new().file("a.parquet", parquet_bytes(&flat.project(&[1, 3, 4]).unwrap(), 10));
    assert_eq!(
        table.error(impressions()),
        "impressions: no column `dt` in `TABLE/a.parquet`, and no folder `dt=…`; its columns: customer_id, item_id, is_order"
    );
}

#[test]
fn int96_timestamps_keep_far_dates() {
    let schema = Arc::new(
        parse_message_type(
            "message m { required int64 customer_id; required int96 click_time; required int32 item_id; }",
        )
        .unwrap(),
    );
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[1], None, None).unwrap();
    column.close().unwrap();
    // 9999-12-31 is Julian day 5373484; its last microsecond.
    let nanos = 86_399_999_999_000u64;
    let far = Int96::from(vec![nanos as u32, (nanos >> 32) as u32, 5_373_484]);
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int96Type>().write_batch(&[far], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&[2], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let table = Table::new().file("dt=2025-08-15/a.parquet", bytes);
    assert_eq!(table.rows(clicks()), ["1 [2025-08-15]: click_time=9999-12-31T23:59:59.999999 customer_id=1 item_id=2"]);
}

/// Also in structs, in lists and in lists of structs, beside leaves that are none.
#[test]
fn nested_int96_timestamps_keep_far_dates() {
    let schema = parse_message_type(
        "message m {
            required int64 customer_id;
            required group other { required group pair (MAP) { repeated group key_value { required int32 key; required int96 value; } } required int96 at; }
            required group event { required int32 n; required int96 at; }
            required int32 item_id;
            required group times (LIST) { repeated group list { required int96 element; } }
            required group seen (LIST) { repeated group list { required group element { required int96 at; required int32 place; } } }
        }",
    );
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema.unwrap()), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    // 9999-12-31, and the epoch.
    let times = [Int96::from(vec![0, 0, 5_373_484]), Int96::from(vec![0, 0, 2_440_588])];
    let mut leaf = 0;
    while let Some(mut column) = group.next_column().unwrap() {
        // Lists have two elements, and all else one value.
        let (count, levels) = if [1, 2, 7, 8, 9].contains(&leaf) { (2, Some(&[1i16, 1][..])) } else { (1, None) };
        let repeats = levels.map(|_| &[0i16, 1][..]);
        let written = match leaf {
            0 => column.typed::<Int64Type>().write_batch(&[1], None, None),
            2 | 3 | 5 | 7 | 8 => column.typed::<Int96Type>().write_batch(&times[..count], levels, repeats),
            _ => column.typed::<Int32Type>().write_batch(&[2, 3][..count], levels, repeats),
        };
        assert_eq!(written.unwrap(), count);
        column.close().unwrap();
        leaf += 1;
    }
    group.close().unwrap();
    writer.close().unwrap();
    let table = Table::new().file("dt=2025-08-15/a.parquet", bytes);
    let columns = ["customer_id", "item_id", "event.at", "times", "seen.at", "seen.place", "other.at"];
    let (far, near) = ("9999-12-31T00:00:00", "1970-01-01T00:00:00");
    assert_eq!(
        table.rows(wanted(&columns)),
        [format!(
            "1 [2025-08-15]: customer_id=1 event={{at: {far}}} item_id=2 other={{at: {far}}} \
             seen=[{{at: {far}, place: 2}}, {{at: {near}, place: 3}}] times=[{far}, {near}]"
        )]
    );
}

#[test]
fn types_that_only_arrow_knows_and_field_ids_survive_the_choice_of_types() {
    let with_id = |name: &str, data_type: DataType, id: &str| {
        Field::new(name, data_type, true).with_metadata([("PARQUET:field_id".to_owned(), id.to_owned())])
    };
    let seconds = DataType::Timestamp(TimeUnit::Second, Some("+02:00".into()));
    let schema = Schema::new(vec![
        with_id("dt", DataType::LargeUtf8, "1"),
        with_id("customer_id", DataType::UInt32, "2"),
        with_id("item_id", DataType::Int16, "3"),
        with_id("click_time", seconds.clone(), "4"),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["2025-08-15"])),
        Arc::new(Int64Array::from(vec![4_000_000_000])),
        Arc::new(Int64Array::from(vec![2])),
        Arc::new(Int64Array::from(vec![0])),
    ];
    let columns = columns
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| arrow::compute::cast(column, field.data_type()).unwrap())
        .collect();
    let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    let table = Table::new().file("a.parquet", parquet_bytes(&batch, 10));
    let files = open(table.folder.path(), clicks(), &|_| true).unwrap();
    assert_eq!(
        rows(&files),
        ["1: click_time=1970-01-01T02:00:00+02:00 customer_id=4000000000 dt=2025-08-15 item_id=2"]
    );
    let chunk = &read(&files).unwrap()[0];
    assert_eq!(chunk.batch.schema().field_with_name("click_time").unwrap().data_type(), &seconds);
}

#[test]
fn a_broken_parquet_file_is_an_error_that_names_it() {
    let good = parquet_bytes(&click_batch(1000), 300);
    for (content, said) in [
        (Vec::new(), "0 bytes are too few for a Parquet file"),
        (b"this is no Parquet file at all".to_vec(), "it does not end as a Parquet file does"),
        (good[..good.len() / 2].to_vec(), "it does not end as a Parquet file does"),
        (good[good.len() / 2..].to_vec(), ""),
    ] {
        let error = Table::new().file("a.parquet", content).error(clicks());
        assert!(
            error.starts_with("clicks: `TABLE/a.parquet` is not readable Parquet: ") && error.contains(said),
            "{error}"
        );
    }
}

#[test]
fn no_damage_to_a_parquet_file_makes_the_reader_panic() {
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let rounds = 400;
    for (good, wanted) in
        [(parquet_bytes(&slate_batch(), 2), impressions()), (parquet_bytes(&click_batch(20), 9), clicks())]
    {
        let mut noticed = 0;
        for _ in 0..rounds {
            let mut damaged = good.clone();
            for _ in 0..1 + random(3) {
                let place = random(damaged.len());
                damaged[place] = random(256) as u8;
            }
            let table = Table::new().file("a.parquet", &damaged);
            let files = open(table.folder.path(), wanted.clone(), &|_| true);
            noticed += usize::from(files.and_then(|files| read(&files)).is_err());
        }
        assert!(noticed > rounds / 10, "only {noticed} of {rounds} were noticed");
    }
}
