//! Batches of Arrow: clicks as slices, dictionaries, views, runs, and every width and unit are read as they are.

#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use arrow::array::{
    Array, ArrayRef, Date32Array, DictionaryArray, Int32Array, Int64Array, LargeStringArray, RecordBatch, RunArray,
    StringArray, StringViewArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{Field, Int32Type, Schema};
use libfuzzer_sys::fuzz_target;
use shardback::read::Batches;
use shardback::unify::wanted_actions;
use shardback_fuzz::{Click, clicks_of, clicks_table};

#[derive(Arbitrary, Debug)]
struct Input {
    batches: Vec<(Vec<Click>, Shape)>,
}

/// How a batch holds its columns; ids as text are for text files, and refused here.
#[derive(Arbitrary, Clone, Debug)]
struct Shape {
    day: Text,
    customer: Number,
    item: Number,
    time: Time,
    /// Rows before and behind those of the batch, in the same arrays.
    before: u8,
    behind: u8,
}

#[derive(Arbitrary, Clone, Debug)]
enum Text {
    Plain,
    Large,
    View,
    Dictionary,
    Runs,
    Date,
}

#[derive(Arbitrary, Clone, Debug)]
enum Number {
    Plain,
    Dictionary,
}

#[derive(Arbitrary, Clone, Debug)]
enum Time {
    Micros,
    Nanos,
    Text,
}

fuzz_target!(|input: Input| {
    let mut expected = Vec::new();
    for (clicks, shape) in input.batches {
        let clicks: Vec<Click> = clicks.into_iter().map(Click::tamed).collect();
        let batch = batch(&clicks, &shape);
        let source = Batches::new(wanted_actions(&clicks_table()), std::iter::once(Ok(batch)));
        let found = clicks_of(&source).unwrap_or_else(|error| panic!("{error}"));
        expected.extend(clicks);
        expected.sort();
        assert_eq!(found, expected);
        expected.clear();
    }
});

fn batch(clicks: &[Click], shape: &Shape) -> RecordBatch {
    let filler = Click { day: 3, customer: 9, item: 9, time: None };
    let rows: Vec<Click> = std::iter::repeat_n(filler.clone(), usize::from(shape.before % 5))
        .chain(clicks.iter().cloned())
        .chain(std::iter::repeat_n(filler, usize::from(shape.behind % 5)))
        .collect();
    let columns = [
        ("dt", day(&rows, &shape.day)),
        ("customer_id", number(rows.iter().map(|row| row.customer), &shape.customer)),
        ("item_id", number(rows.iter().map(|row| row.item.into()), &shape.item)),
        ("click_time", time(&rows, &shape.time)),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let whole = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch");
    whole.slice(usize::from(shape.before % 5), clicks.len())
}

fn day(rows: &[Click], shape: &Text) -> ArrayRef {
    /// 2025-08-01 less a day, in days since the epoch.
    const BEFORE_AUGUST: i32 = 20_300;
    let texts = rows.iter().map(Click::day_text);
    match shape {
        Text::Plain => Arc::new(StringArray::from_iter_values(texts)),
        Text::Large => Arc::new(LargeStringArray::from_iter_values(texts)),
        Text::View => Arc::new(StringViewArray::from_iter_values(texts)),
        Text::Date => {
            Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| BEFORE_AUGUST + i32::from(row.day))))
        }
        Text::Dictionary => {
            let texts: Vec<String> = texts.collect();
            Arc::new(texts.iter().map(|text| Some(text.as_str())).collect::<DictionaryArray<Int32Type>>())
        }
        Text::Runs => {
            let texts: Vec<String> = texts.collect();
            // A run for each row; an empty array of runs has to be made otherwise.
            let ends = Int32Array::from_iter_values(1..=texts.len() as i32);
            match RunArray::<Int32Type>::try_new(&ends, &StringArray::from_iter_values(&texts)) {
                Ok(runs) => Arc::new(runs),
                Err(_) => Arc::new(StringArray::from_iter_values(&texts)),
            }
        }
    }
}

fn number(numbers: impl Iterator<Item = i64>, shape: &Number) -> ArrayRef {
    let numbers: Vec<i64> = numbers.collect();
    match shape {
        Number::Plain => Arc::new(Int64Array::from(numbers)),
        Number::Dictionary => {
            let keys = Int32Array::from_iter_values((0..numbers.len() as i32).rev());
            let values: Vec<i64> = numbers.into_iter().rev().collect();
            Arc::new(DictionaryArray::new(keys, Arc::new(Int64Array::from(values))))
        }
    }
}

fn time(rows: &[Click], shape: &Time) -> ArrayRef {
    // What has more digits than 64 bits of nanoseconds hold stays in microseconds.
    let nanos: Option<Vec<Option<i64>>> = rows
        .iter()
        .map(|row| match row.time {
            None => Some(None),
            Some(time) => time.checked_mul(1000).map(Some),
        })
        .collect();
    match (shape, nanos) {
        (Time::Nanos, Some(nanos)) => Arc::new(TimestampNanosecondArray::from(nanos)),
        (Time::Text, _) => Arc::new(rows.iter().map(Click::time_text).collect::<StringArray>()),
        _ => Arc::new(rows.iter().map(|row| row.time).collect::<TimestampMicrosecondArray>()),
    }
}
