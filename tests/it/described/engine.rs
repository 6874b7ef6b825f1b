//! The program against the reference: random descriptions and tables, in every form of files and every format of outputs.

use std::collections::BTreeMap;
use std::fs;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize_to_file};
use shardback::event::Day;
use shardback::schema::{Schema, Unit, from_json};
use tempfile::TempDir;

use super::built::{Build, Form, check, verify, write};
use super::strategies::{Case, DAYS, FIRST, case, text};
use super::{Number, Request, day, feature_columns};

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![Just(Form::Json), Just(Form::Parquet), Just(Form::Typed), Just(Form::Csv)]
}

fn build_and_check(case: &Case, form: Form, shards: u32) -> Result<(), String> {
    let schema = from_json(&case.description).unwrap();
    let folder = TempDir::new().unwrap();
    let tables = write(&schema, &case.tables, form, &folder.path().join("tables"));
    let description = text::toml(&case.description);
    let days = (Day(FIRST), Day(FIRST + DAYS - 1));
    let build = Build { description: &description, tables, days, wide: case.wide, shards };
    let out = folder.path().join("out");
    build.run(folder.path(), &out)?;
    verify(&out)?;
    (FIRST..FIRST + DAYS).map(Day).try_for_each(|date| {
        let expected = day(&schema, &case.tables, date, case.wide);
        check(&schema, &out, date, &expected)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever a description says and its tables hold, every format has what the contract says.
    #[test]
    fn every_description_is_built_as_the_reference_says(
        case in case(),
        form in form(),
        shards in 1..4u32,
    ) {
        if let Err(problem) = build_and_check(&case, form, shards) {
            panic!("{problem}\n{}", text::toml(&case.description));
        }
    }
}

/// Protects `check` itself: it takes days that are written by hand as the design says, and no others.
#[test]
fn what_is_written_by_hand_is_read_back() {
    let mut runner = TestRunner::deterministic();
    let mut refused = 0;
    for _ in 0..24 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let schema = from_json(&case.description).unwrap();
        let expected = day(&schema, &case.tables, Day(FIRST), case.wide);
        let folder = TempDir::new().unwrap();
        write_jagged(&schema, &expected, folder.path());
        // The formats are looked at in this order, so all that is missing is the second.
        let problem = check(&schema, folder.path(), Day(FIRST), &expected).unwrap_err();
        assert!(problem.contains("dense") && !problem.contains("found"), "{problem}");
        let mut other = expected.clone();
        if let Some(sample) = other.first_mut().and_then(|request| request.samples.first_mut()) {
            sample.item += 1;
            refused += 1;
            let problem = check(&schema, folder.path(), Day(FIRST), &other).unwrap_err();
            assert!(problem.starts_with("jagged"), "{problem}");
        }
    }
    assert!(refused > 10, "{refused}");
}

/// Protects the forms of files: every case can be written in each, and Parquet holds as many rows as were drawn.
#[test]
fn every_case_can_be_written_in_every_form() {
    let mut runner = TestRunner::deterministic();
    let mut typed = 0;
    for _ in 0..24 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let schema = from_json(&case.description).unwrap();
        for form in [Form::Json, Form::Csv, Form::Parquet, Form::Typed] {
            let folder = TempDir::new().unwrap();
            let written = write(&schema, &case.tables, form, folder.path());
            assert_eq!(written.len(), schema.actions.len() + 1);
            let is_parquet = matches!(form, Form::Parquet | Form::Typed);
            for file in case.tables.samples.iter().filter(|_| is_parquet) {
                let path = folder.path().join("samples").join(&file.path).with_extension("parquet");
                let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
                let fields = reader.schema().fields().iter();
                typed += fields.filter(|field| field.data_type().is_temporal()).count();
                let rows: usize = reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
                assert_eq!(rows, file.rows.len());
            }
        }
    }
    assert!(typed > 5, "{typed}");
}

/// Requests as a jagged shard, each with actions of its own.
fn write_jagged(schema: &Schema, requests: &[Request], out: &std::path::Path) {
    let mut columns: BTreeMap<String, Vec<Number>> = BTreeMap::new();
    let features = feature_columns(schema);
    let mut add = |name: &str, value: Option<Number>| columns.entry(name.to_owned()).or_default().extend(value);
    for name in ["customer_id", "history_start", "history_length", "actions", "action_types", "item_id", "request"] {
        add(name, None);
    }
    features.iter().for_each(|feature| add(&format!("action_{}", feature.name), None));
    schema.samples.labels.iter().for_each(|label| add(&label.name, None));
    schema.samples.kept.iter().for_each(|kept| add(&kept.name, None));
    schema.history.times.iter().for_each(|_| add("action_times", None));
    schema.samples.request.iter().for_each(|_| add("request_id", None));
    if schema.history.cutoff == shardback::schema::Cutoff::Time {
        add("request_time", None);
    }
    let mut start = 0;
    for (number, request) in requests.iter().enumerate() {
        add("customer_id", Some(Number::I64(request.customer)));
        add("history_start", Some(Number::I64(start)));
        add("history_length", Some(Number::I32(request.history.len() as i32)));
        start += request.history.len() as i64;
        request.id.into_iter().for_each(|id| add("request_id", Some(Number::I64(id))));
        request.time.into_iter().for_each(|time| add("request_time", Some(Number::I64(time))));
        for seen in &request.history {
            add("actions", Some(Number::I64(seen.item)));
            add("action_types", Some(Number::U8(seen.kind)));
            if let Some(unit) = schema.history.times {
                let by =
                    if unit == Unit::Seconds { 1_000_000 } else { i64::from(unit == Unit::Milliseconds) * 999 + 1 };
                add("action_times", Some(Number::I64(seen.time.unwrap_or(0).div_euclid(by))));
            }
            for (feature, &value) in features.iter().zip(&seen.features) {
                add(&format!("action_{}", feature.name), Some(value));
            }
        }
        for sample in &request.samples {
            add("request", Some(Number::I32(number as i32)));
            add("item_id", Some(Number::I64(sample.item)));
            schema.samples.labels.iter().zip(&sample.labels).for_each(|(label, &value)| add(&label.name, Some(value)));
            schema.samples.kept.iter().zip(&sample.kept).for_each(|(kept, &value)| add(&kept.name, Some(value)));
        }
    }
    let folder = out.join("jagged").join(format!("dt={}", Day(FIRST)));
    fs::create_dir_all(&folder).unwrap();
    let bytes: Vec<(&String, Dtype, usize, Vec<u8>)> = columns
        .iter()
        .map(|(name, values)| {
            let (dtype, bytes) = values.iter().fold((Dtype::U8, Vec::new()), |(_, mut bytes), &value| {
                let (dtype, value) = little_endian(value);
                bytes.extend(value);
                (dtype, bytes)
            });
            (name, dtype, values.len(), bytes)
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, dtype, rows, bytes)| ((*name).clone(), TensorView::new(*dtype, vec![*rows], bytes).unwrap()));
    serialize_to_file(views.collect::<Vec<_>>(), None, &folder.join("shard-00000.safetensors")).unwrap();
}

fn little_endian(number: Number) -> (Dtype, Vec<u8>) {
    match number {
        Number::Bool(value) => (Dtype::BOOL, vec![u8::from(value)]),
        Number::U8(value) => (Dtype::U8, vec![value]),
        Number::I32(value) => (Dtype::I32, value.to_le_bytes().to_vec()),
        Number::I64(value) => (Dtype::I64, value.to_le_bytes().to_vec()),
        Number::F32(value) => (Dtype::F32, value.to_le_bytes().to_vec()),
        Number::F64(value) => (Dtype::F64, value.to_le_bytes().to_vec()),
    }
}
