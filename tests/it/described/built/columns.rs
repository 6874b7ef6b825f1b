//! The columns of a shard, of safetensors or Parquet, and those that are expected of dense rows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, UInt8Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use safetensors::{Dtype, SafeTensors};
use shardback::schema::{Cutoff, Schema, ValueType};

use super::super::{Number, Request, Seen, feature_columns};

/// The values of a column, row by row, those of a list one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<Number>,
}

pub(super) fn safetensors(path: &Path) -> BTreeMap<String, Column> {
    let bytes = fs::read(path).unwrap();
    let shard = SafeTensors::deserialize(&bytes).unwrap();
    let column = |name: &str| {
        let view = shard.tensor(name).unwrap();
        Column { shape: view.shape().to_vec(), values: numbers(view.dtype(), view.data()) }
    };
    shard.names().into_iter().map(|name| (name.to_owned(), column(name))).collect()
}

fn numbers(dtype: Dtype, bytes: &[u8]) -> Vec<Number> {
    let four = || bytes.chunks_exact(4).map(|chunk| <[u8; 4]>::try_from(chunk).unwrap());
    let eight = || bytes.chunks_exact(8).map(|chunk| <[u8; 8]>::try_from(chunk).unwrap());
    match dtype {
        Dtype::BOOL => bytes.iter().map(|&byte| Number::Bool(byte != 0)).collect(),
        Dtype::U8 => bytes.iter().map(|&byte| Number::U8(byte)).collect(),
        Dtype::I32 => four().map(|value| Number::I32(i32::from_le_bytes(value))).collect(),
        Dtype::F32 => four().map(|value| Number::F32(f32::from_le_bytes(value))).collect(),
        Dtype::I64 => eight().map(|value| Number::I64(i64::from_le_bytes(value))).collect(),
        Dtype::F64 => eight().map(|value| Number::F64(f64::from_le_bytes(value))).collect(),
        other => panic!("{other:?} is no type of an output"),
    }
}

pub(super) fn parquet(path: &Path) -> BTreeMap<String, Column> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
    let names: Vec<String> = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut columns: BTreeMap<String, Column> = names.into_iter().map(|name| (name, Column::default())).collect();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        for (name, column) in &mut columns {
            let array = batch.column_by_name(name).unwrap();
            let values = array.as_list_opt::<i32>().map_or_else(|| array.clone(), |list| list.values().clone());
            column.values.extend(parquet_numbers(&values));
        }
    }
    columns
}

fn parquet_numbers(array: &ArrayRef) -> Vec<Number> {
    assert_eq!(array.null_count(), 0);
    let micros;
    let array = match array.data_type() {
        DataType::Timestamp(..) => {
            micros = cast(array, &DataType::Int64).unwrap();
            &micros
        }
        _ => array,
    };
    match array.data_type() {
        DataType::Boolean => array.as_boolean().values().iter().map(Number::Bool).collect(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().values().iter().copied().map(Number::U8).collect(),
        DataType::Int32 => array.as_primitive::<Int32Type>().values().iter().copied().map(Number::I32).collect(),
        DataType::Int64 => array.as_primitive::<Int64Type>().values().iter().copied().map(Number::I64).collect(),
        DataType::Float32 => array.as_primitive::<Float32Type>().values().iter().copied().map(Number::F32).collect(),
        DataType::Float64 => array.as_primitive::<Float64Type>().values().iter().copied().map(Number::F64).collect(),
        other => panic!("{other} is no type of an output"),
    }
}

/// The columns of dense rows; `None` is a value that is not said.
pub(super) fn padded(requests: &[Request], schema: &Schema) -> BTreeMap<String, Vec<Option<Number>>> {
    let features = feature_columns(schema);
    let mut columns: BTreeMap<String, Vec<Option<Number>>> =
        names(schema).into_iter().map(|name| (name, Vec::new())).collect();
    let mut add = |name: &str, values: Vec<Option<Number>>| columns.get_mut(name).unwrap().extend(values);
    let one = |value: Number| vec![Some(value)];
    for request in requests {
        for sample in &request.samples {
            add("customer_id", one(Number::I64(request.customer)));
            add("item_id", one(Number::I64(sample.item)));
            request.id.into_iter().for_each(|id| add("request_id", one(Number::I64(id))));
            request.time.into_iter().for_each(|time| add("request_time", one(Number::I64(time))));
            for (label, &value) in schema.samples.labels.iter().zip(&sample.labels) {
                add(&label.name, one(value));
            }
            for (kept, &value) in schema.samples.kept.iter().zip(&sample.kept) {
                add(&kept.name, one(value));
            }
            let mut list = |name: &str, padding: Number, value: &dyn Fn(&Seen) -> Option<Number>| {
                let mut values: Vec<Option<Number>> = request.history.iter().map(value).collect();
                values.resize(schema.history.length, Some(padding));
                add(name, values);
            };
            list("actions", Number::I64(0), &|seen| Some(Number::I64(seen.item)));
            list("action_types", Number::U8(0), &|seen| Some(Number::U8(seen.kind)));
            if schema.history.times.is_some() {
                list("action_times", Number::I64(0), &|seen| seen.time.map(Number::I64));
            }
            for (place, feature) in features.iter().enumerate() {
                let zero = zero(feature.dtype);
                list(&format!("action_{}", feature.name), zero, &|seen| Some(seen.features[place]));
            }
        }
    }
    columns
}

/// The value of padding.
fn zero(dtype: ValueType) -> Number {
    match dtype {
        ValueType::Bool => Number::Bool(false),
        ValueType::U8 => Number::U8(0),
        ValueType::I32 => Number::I32(0),
        ValueType::I64 | ValueType::Hash => Number::I64(0),
        ValueType::F32 => Number::F32(0.0),
        ValueType::F64 => Number::F64(0.0),
    }
}

/// The columns of dense rows.
fn names(schema: &Schema) -> Vec<String> {
    let mut names: Vec<String> = ["customer_id", "item_id", "actions", "action_types"].map(str::to_owned).to_vec();
    names.extend(schema.samples.request.as_ref().map(|_| "request_id".to_owned()));
    names.extend((schema.history.cutoff == Cutoff::Time).then(|| "request_time".to_owned()));
    names.extend(schema.history.times.map(|_| "action_times".to_owned()));
    names.extend(feature_columns(schema).iter().map(|feature| format!("action_{}", feature.name)));
    names.extend(schema.samples.labels.iter().map(|label| label.name.clone()));
    names.extend(schema.samples.kept.iter().map(|kept| kept.name.clone()));
    names
}
