//! Rows of the shuffle that were changed on their way: the task that takes them answers, whatever they hold.

#![no_main]

use std::sync::{Arc, OnceLock};

use arbitrary::Arbitrary;
use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::Int32Type;
use libfuzzer_sys::fuzz_target;
use shardback::cluster::{Job, Mapper, reduce, schema};
use shardback::config::{Options, Plan};
use shardback::fsio::Attempt;
use shardback_fuzz::{clicks_table, plan, told};

type Row = (i32, i32, Vec<u8>);

#[derive(Arbitrary, Debug)]
enum Change {
    Byte { row: u8, place: u16, value: u8 },
    Cut { row: u8, length: u16 },
    Longer { row: u8, by: Vec<u8> },
    Kind { row: u8, kind: i32 },
    Lost { row: u8 },
    Doubled { row: u8 },
}

/// The one part's route.
const ROUTE: i32 = 4;

fuzz_target!(|changes: Vec<Change>| {
    static RIGHT: OnceLock<Vec<Row>> = OnceLock::new();
    let mut rows = RIGHT.get_or_init(right).clone();
    for change in changes {
        if rows.is_empty() {
            break;
        }
        let at = |row: u8| usize::from(row) % rows.len();
        match change {
            Change::Byte { row, place, value } => {
                let row = at(row);
                let records = &mut rows[row].2;
                if !records.is_empty() {
                    let place = usize::from(place) % records.len();
                    records[place] = value;
                }
            }
            Change::Cut { row, length } => {
                let row = at(row);
                rows[row].2.truncate(length.into());
            }
            Change::Longer { row, by } => {
                let row = at(row);
                rows[row].2.extend(by);
            }
            Change::Kind { row, kind } => {
                let row = at(row);
                rows[row].1 = kind;
            }
            Change::Lost { row } => {
                let row = at(row);
                rows.remove(row);
            }
            Change::Doubled { row } => {
                let row = rows[at(row)].clone();
                rows.push(row);
            }
        }
    }
    rows.sort_by_key(|&(route, kind, _)| (route, kind));
    let folder = tempfile::tempdir().expect("a folder");
    let attempt = Attempt::create(folder.path(), "attempt").expect("a folder");
    let job = Job::new(small(plan()), &[1], vec![ROUTE]).expect("a job");
    if let Err(error) = reduce(&job, &attempt, folder.path(), &mut std::iter::once(Ok(batch(&rows)))) {
        told(&error);
    }
});

/// The plan with a short history and one thread's memory.
fn small(plan: Plan) -> Plan {
    Plan::new(Options { history: 6, memory: Some(256 << 20), threads: Some(1), ..plan.options().clone() })
        .expect("a plan")
}

/// The rows of two tables as they should be.
fn right() -> Vec<Row> {
    let job = Arc::new(Job::new(small(plan()), &[1], vec![ROUTE]).expect("a job"));
    let customers: Vec<i64> = (0..40).map(|row| row % 7).collect();
    let items: Vec<i32> = (0..40).collect();
    let shown = RecordBatch::try_from_iter([
        ("dt", Arc::new(StringArray::from(vec!["2025-08-16"; 40])) as ArrayRef),
        ("customer_id", Arc::new(Int64Array::from(customers.clone()))),
        ("item_id", Arc::new(Int32Array::from(items.clone()))),
        ("is_order", Arc::new(BooleanArray::from(vec![true; 40]))),
    ]);
    let clicks = RecordBatch::try_from_iter([
        ("dt", Arc::new(StringArray::from(vec!["2025-08-10"; 40])) as ArrayRef),
        ("customer_id", Arc::new(Int64Array::from(customers))),
        ("item_id", Arc::new(Int32Array::from(items))),
        ("click_time", Arc::new(TimestampMicrosecondArray::from((0..40).collect::<Vec<i64>>()))),
    ]);
    let mut rows = vec![(ROUTE, 0, Vec::new())];
    for (task, (table, table_rows)) in [(None, shown), (Some(clicks_table()), clicks)].into_iter().enumerate() {
        let mut mapper = Mapper::new(Arc::clone(&job), table, task as u64);
        mapper.push(table_rows.expect("a table")).expect("rows");
        rows.extend(mapper.finish().expect("rows").iter().flat_map(unpacked));
    }
    rows
}

fn unpacked(batch: &RecordBatch) -> Vec<Row> {
    let numbers = |column: usize| batch.column(column).as_primitive::<Int32Type>().values();
    let records = batch.column(2).as_binary::<i32>();
    (0..batch.num_rows()).map(|row| (numbers(0)[row], numbers(1)[row], records.value(row).to_vec())).collect()
}

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [ArrayRef; 3] = [
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.2))),
    ];
    RecordBatch::try_new(schema(), columns.to_vec()).expect("rows")
}
