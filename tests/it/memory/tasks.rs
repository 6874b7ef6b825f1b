//! Protects: the tasks and the driver of a cluster keep few of the rows that are left out, however many there are.

use std::iter;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::RecordBatch;
use serde_json::Value;
use shardback::cluster::{Driver, Job, Mapper, reduce};
use shardback::config::{InvalidRows, Options, Plan, Sharding};
use shardback::fsio::Attempt;
use shardback::verify::verify;
use tempfile::TempDir;

use super::{MEBIBYTE, peak_memory};
use crate::loops::{Row, batch, unpacked};
use crate::sheet::Sheet;
use crate::tables::options;

/// Batches of clicks that are all left out: 75 MB of lines.
const BATCHES: usize = 25;
const ROWS: usize = 1000;
const TEXT: usize = 1500;

/// Where the process of a run has its output.
const FOLDER: &str = "TASKS_FOLDER";

/// What every process of a run holds beside them is small: if any of them held them, it would show.
#[test]
fn rows_that_are_left_out_on_a_cluster_keep_the_memory() {
    let test = "memory::tasks::a_run_in_a_process_of_its_own";
    let folder = TempDir::new().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--quiet"]).stdout(Stdio::null()).stderr(Stdio::inherit());
    command.env(FOLDER, folder.path());
    let mut child = command.spawn().unwrap();
    let peak = peak_memory(&mut child) / MEBIBYTE;
    assert!(child.wait().unwrap().success());
    println!("{peak} MiB");
    assert!(peak > 0 && peak <= 80, "{peak} MiB");
    let out = folder.path().join("out");
    let rejected = out.join("jagged/dt=2024-10-04/_rejected.jsonl");
    assert!(rejected.metadata().unwrap().len() > (2 * BATCHES * ROWS * TEXT) as u64);
    assert!(verify(&out).unwrap().faults.is_empty());
}

/// What the test above measures: map tasks, one after the other, whose rows go straight to the task of a part, and the driver.
#[test]
#[ignore = "another test runs it in a process of its own"]
fn a_run_in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let options = Options {
        invalid: InvalidRows::Skip,
        sharding: Sharding::Count(1),
        memory: Some(256 * MEBIBYTE),
        threads: Some(1),
        ..options(&folder.join("out"), 20_000, 20_000)
    };
    let plan = Plan::new(options).unwrap();
    let driver = Driver::open(&plan, vec!["clicks".to_owned()], "run").unwrap();
    let job = Arc::new(Job::new(plan, &[1], vec![0]).unwrap());
    let mut shown = Sheet::new(&["dt", "customer_id", "item_id", "is_order"]);
    shown.push(&["2024-10-04", "1", "1", "true"]);
    let mapped = |rows: &mut dyn Iterator<Item = Row>, rejects: bool| -> Vec<Row> {
        rows.filter(|(_, kind, _)| (*kind == 9) == rejects).collect()
    };
    // All rows but those that were left out, which come behind them.
    let mut few = vec![(0, 0, Vec::new())];
    few.extend(mapped(&mut rows_of(&job, None, iter::once(shown.batch())), false));
    few.extend(mapped(&mut rows_of(&job, Some(crate::tables::clicks()), clicks()), false));
    few.sort_by_key(|&(_, kind, _)| kind);
    let few = iter::once(Ok(batch(&few.iter().collect::<Vec<_>>())));
    let many = rows_of(&job, Some(crate::tables::clicks()), clicks()).filter(|(_, kind, _)| *kind == 9);
    let mut batches = few.chain(many.map(|row| Ok(batch(&[&row]))));
    let attempt = Attempt::create(driver.folder(), "attempt").unwrap();
    let reports = reduce(&job, &attempt, &folder.join("spill"), &mut batches).unwrap();
    driver.publish(&[1], reports, &Value::Null).unwrap();
    driver.close().unwrap();
}

/// The rows of a map task, as its batches give them.
fn rows_of(
    job: &Arc<Job>,
    table: Option<shardback::schema::ActionTable>,
    batches: impl Iterator<Item = RecordBatch>,
) -> impl Iterator<Item = Row> {
    let mut mapper = Mapper::new(Arc::clone(job), table, 0);
    let batches = batches.map(Some).chain(iter::once(None));
    batches.flat_map(move |batch| {
        let rows = match batch {
            Some(batch) => {
                assert!(mapper.push(batch).unwrap());
                mapper.take().unwrap()
            }
            None => mapper.finish().unwrap(),
        };
        rows.iter().flat_map(unpacked).collect::<Vec<_>>()
    })
}

fn clicks() -> impl Iterator<Item = RecordBatch> {
    (0..BATCHES).map(|number| {
        let mut clicks = Sheet::new(&["dt", "customer_id", "item_id", "click_time"]);
        let time = "x".repeat(TEXT);
        (0..ROWS).for_each(|row| clicks.push(&["2024-10-03", &(number * ROWS + row).to_string(), "1", &time]));
        clicks.batch()
    })
}
