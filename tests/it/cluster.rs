//! Protects: tasks, cut, ordered, repeated and lost as a cluster may, give the files and manifests of a single machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use shardback::cluster::{self, Driver, Job, Report, reduce};
use shardback::config::{InvalidRows, Options, Plan, Sharding};
use shardback::error::Error;
use shardback::event::{Day, HashRange, ItemDtype, customer_hash};
use shardback::fsio::Attempt;
use shardback::schema::{ActionTable, TypeOf};

use crate::loops::{Cluster, Reduced, Row, Tables, batch, of_all, unpacked};
use crate::properties::{self, action, impression};
use crate::reference::{Action, Impression};
use crate::sheet::Sheet;
use crate::streams;
use crate::tables::{options, published};

/// Impressions as rows of one item each.
fn impressions_of(rows: &[Impression]) -> RecordBatch {
    let items: Vec<(&Impression, i64, bool)> = rows
        .iter()
        .flat_map(|row| row.items.iter().flatten().map(move |&(item, is_order)| (row, item, is_order)))
        .collect();
    RecordBatch::try_from_iter_with_nullable([
        (
            "dt",
            Arc::new(StringArray::from_iter_values(items.iter().map(|row| Day(row.0.day).to_string()))) as ArrayRef,
            true,
        ),
        ("customer_id", Arc::new(Int64Array::from_iter_values(items.iter().map(|row| row.0.customer))), true),
        ("item_id", Arc::new(Int64Array::from_iter_values(items.iter().map(|row| row.1))), true),
        ("is_order", Arc::new(arrow::array::BooleanArray::from_iter(items.iter().map(|row| Some(row.2)))), true),
    ])
    .unwrap()
}

fn actions_of(table: &ActionTable, rows: &[Action]) -> RecordBatch {
    let rows: Vec<&Action> = rows.iter().filter(|row| table.kind == TypeOf::Constant(row.kind)).collect();
    let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
        (
            table.day.column().unwrap(),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| Day(row.day).to_string()))),
            true,
        ),
        ("customer_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.customer))), true),
        (&table.item, Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.item))), true),
    ];
    if let Some(time) = &table.time {
        columns.push((
            &time.column,
            Arc::new(TimestampMicrosecondArray::from_iter(rows.iter().map(|row| row.time))),
            true,
        ));
    }
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn assert_same(tables: &Tables, options: &Options, cluster: Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| Options { out: folder.path().join(name), ..options.clone() };
    tables.build(&out("one")).unwrap();
    cluster.build(tables, &out("cluster")).unwrap();
    assert_eq!(published(&folder.path().join("cluster")), published(&folder.path().join("one")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Random tables, cut into tasks, batches and parts in any way; days with one number of shards and with several.
    #[test]
    fn tasks_give_the_bytes_of_one_machine(
        impressions in vec(impression(), 0..40),
        actions in vec(action(), 0..150),
        history in 1..40usize,
        lookback in option::of(1..15u32),
        sharding in (any::<bool>(), 1..9u32),
        wide in any::<bool>(),
        (tasks, rows, part_tasks) in (1..4usize, 1..80usize, 1..9usize),
        map_memory in option::of(1..20_000u64),
        seed in 0..1_000_000u64,
    ) {
        let tables = Tables::new(impressions_of(&impressions), |table| actions_of(table, &actions));
        let options = Options {
            history,
            lookback_days: lookback,
            sharding: if sharding.0 { Sharding::Count(sharding.1) } else { Sharding::Rows(sharding.1.into()) },
            item_dtype: Some(if wide { ItemDtype::I64 } else { ItemDtype::I32 }),
            allow_empty_days: true,
            ..options(Path::new(""), properties::FIRST, properties::FIRST + properties::DAYS - 1)
        };
        assert_same(&tables, &options, Cluster { tasks, rows, map_memory, part_tasks, seed });
    }

    /// Within a range of the hash customers keep their order, and are spread over all buckets.
    #[test]
    fn ranges_keep_the_order_of_the_hash(customers in vec(any::<i64>(), 2..50), ranges in 1..100_000u32, buckets in 1..1025u32) {
        for &one in &customers {
            let number = shardback::event::shard_of(customer_hash(one), ranges);
            let range = HashRange::new(number, ranges);
            assert!(range.holds(one) && range.bucket(one, buckets) < buckets);
            for &other in customers.iter().filter(|&&other| range.holds(other)) {
                prop_assert_eq!(range.spread(one).cmp(&range.spread(other)), customer_hash(one).cmp(&customer_hash(other)));
            }
        }
    }
}

/// A late table is noted as on one machine, and refused on request before anything is published.
#[test]
fn late_tables_are_seen() {
    let shown = |day| Impression { day, customer: 7, items: Some(vec![(3, true)]) };
    let click = |day| Action { day, customer: 7, item: 40, time: None, kind: 1 };
    let actions: Vec<Action> = [19_998, 19_999, 20_000].map(click).to_vec();
    let tables = Tables::new(impressions_of(&[shown(20_000), shown(20_002)]), |table| actions_of(table, &actions));
    let options = Options { allow_empty_days: true, ..options(Path::new(""), 20_000, 20_002) };
    assert_same(&tables, &options, Cluster::default());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let error = Cluster::default().build(&tables, &Options { require_fresh: true, out: out.clone(), ..options });
    assert!(matches!(error, Err(Error::Late { .. })), "{error:?}");
    assert!(published(&out).is_empty());
}

/// Bad rows are left out, counted and kept aside as on one machine.
#[test]
fn rejected_rows_travel() {
    let options = Options {
        invalid: InvalidRows::Skip,
        sharding: Sharding::Count(3),
        history: 30,
        ..options(Path::new(""), streams::FIRST, streams::FIRST + 1)
    };
    assert_same(&Tables::with_bad_rows(), &options, Cluster::default());
}

/// Of rows that are left out a task holds those of a batch, and no row of the shuffle has many of them.
#[test]
fn rejected_rows_travel_as_they_come() {
    const ROWS: usize = 1000;
    let mut clicks = Sheet::new(&["dt", "customer_id", "item_id", "click_time"]);
    for row in 0..ROWS {
        clicks.push(&["2024-10-03", &row.to_string(), "1", &"x".repeat(200)]);
    }
    let options = Options { invalid: InvalidRows::Skip, ..options(Path::new("out"), 20_000, 20_000) };
    let job = |shards: Option<u32>| {
        let plan = Plan::new(options.clone()).unwrap();
        Arc::new(shards.map_or(Job::counting(plan.clone()), |shards| Job::new(plan, &[shards], vec![0]).unwrap()))
    };
    let mut mapper = cluster::Mapper::new(job(Some(1)), Some(crate::tables::clicks()), 0);
    for start in (0..ROWS).step_by(100) {
        assert!(mapper.push(clicks.batch().slice(start, 100)).unwrap());
    }
    let rows: Vec<Row> = mapper.finish().unwrap().iter().flat_map(unpacked).collect();
    let rejects: Vec<&Row> = rows.iter().filter(|(_, kind, _)| *kind == 9).collect();
    assert!(rejects.len() > ROWS / 20, "{}", rejects.len());
    let others = rows.iter().filter(|(_, kind, _)| *kind != 9);
    assert!(others.map(|(.., records)| records.len()).sum::<usize>() < 1000, "a report has none of them");
    assert!(rejects.iter().all(|(.., records)| records.len() < 8 << 10));
    let lines: usize =
        rejects.iter().map(|row| String::from_utf8_lossy(&row.2).matches("unparsable_time").count()).sum();
    assert_eq!(lines, ROWS);
    // Whoever counts only counts.
    let mut shown = Sheet::new(&["dt", "customer_id", "item_id", "is_order"]);
    shown.push(&["2024-10-04", "1", "-", "true"]);
    let mut mapper = cluster::Mapper::new(job(None), None, 0);
    assert!(mapper.push(shown.batch()).unwrap());
    assert!(mapper.finish().unwrap().iter().flat_map(unpacked).all(|(_, kind, _)| kind != 9));
}

/// The first bad row ends its task without an error, for which an engine would try again; the driver has it, and every part
/// knows and writes nothing.
#[test]
fn a_bad_row_ends_the_run_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        sharding: Sharding::Count(3),
        ..options(&folder.path().join("out"), streams::FIRST, streams::FIRST + 1)
    };
    let (tables, plan) = (Tables::with_bad_rows(), Plan::new(options.clone()).unwrap());
    let driver = Driver::open(&plan, tables.names(), "run").unwrap();
    let reduced = Cluster::default().reduce(&tables, plan, driver, of_all(vec![3, 3]));
    let written = |run: &Path| files(run).len();
    let error = reduced.publish(|_, run| assert_eq!(written(run), 0)).unwrap_err();
    assert!(matches!(error, Error::Task { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "add_to_carts: the source, column `dt`: the day is null; fix the row, or leave such rows out with `invalid = skip`"
    );
    assert!(published(&options.out).is_empty());
    // Counting finds what is wrong with impressions before anything else is read.
    let error = Cluster::default().build(&tables, &options).unwrap_err().to_string();
    assert!(error.starts_with("impressions: the source, column `"), "{error}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Tables with one bad row, and options for a build of them.
fn ready_tables(folder: &Path) -> (Tables, Options) {
    let mut shown = Sheet::new(&["dt", "customer_id", "item_id", "is_order"]);
    let mut clicks = Sheet::new(&["dt", "customer_id", "item_id", "click_time"]);
    for row in 0..60 {
        let customer = (row % 12).to_string();
        shown.push(&["2024-10-04", &customer, &row.to_string(), "true"]);
        clicks.push(&["2024-10-03", &customer, &row.to_string(), "2024-10-03T10:00:00Z"]);
    }
    clicks.push(&["2024-10-03", "1", "-", "2024-10-03T10:00:00Z"]);
    let tables = Tables(vec![(None, shown.batch()), (Some(crate::tables::clicks()), clicks.batch())]);
    let options = options(&folder.join("out"), 20_000, 20_000);
    (tables, Options { sharding: Sharding::Count(3), invalid: InvalidRows::Skip, ..options })
}

/// A run over [`ready_tables`] that is yet to be published.
fn ready(folder: &Path) -> (Reduced, Options) {
    let (tables, options) = ready_tables(folder);
    let plan = Plan::new(options.clone()).unwrap();
    let driver = Driver::open(&plan, tables.names(), "run").unwrap();
    (Cluster::default().reduce(&tables, plan, driver, of_all(vec![3])), options)
}

/// A shard that is missing, doubled or cut short is never published.
#[test]
fn reports_and_files_have_to_be_whole() {
    type Change = fn(&mut Vec<Report>, &Path);
    let changes: [(Change, &str); 4] = [
        (|reports, _| drop(reports.pop()), "2 reports for 3 parts"),
        (
            |reports, _| reports[0] = Report::from_bytes(&reports[1].to_bytes().unwrap()).unwrap(),
            "3 reports for 3 parts",
        ),
        (
            |_, run| {
                let taken = files(run).into_iter().find(|path| path.to_str().unwrap().contains("taken")).unwrap();
                std::fs::write(taken, "short").unwrap();
            },
            "it has 5 bytes, its task wrote",
        ),
        (|_, run| std::fs::remove_dir_all(run).unwrap(), "cannot look at"),
    ];
    for (change, message) in changes {
        let folder = tempfile::tempdir().unwrap();
        let (reduced, options) = ready(folder.path());
        let error = reduced.publish(change).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(published(&options.out).is_empty(), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (reduced, options) = ready(folder.path());
    reduced.publish(|_, _| ()).unwrap();
    assert!(!published(&options.out).is_empty());
    assert!(!options.out.join(".staging").exists());
}

/// What outlives its run can write nothing into a later one.
#[test]
fn attempts_need_their_run() {
    let folder = tempfile::tempdir().unwrap();
    let (reduced, options) = ready(folder.path());
    let run = reduced.driver.folder().to_owned();
    let attempt = Attempt::create(&run, "late").unwrap();
    assert!(Attempt::create(&run, "late").is_err(), "two attempts never share a folder");
    reduced.driver.close().unwrap();
    assert!(attempt.folder(options.formats[0], Day(20_000)).is_err());
    assert!(Attempt::create(&run, "later").is_err());
    assert!(!options.out.join(".staging").exists());
}

/// A run can end while a task that nobody waits for any more is still writing.
#[test]
fn a_run_ends_beside_tasks_that_go_on() {
    const MOST_ATTEMPTS: usize = 200_000;
    let folder = tempfile::tempdir().unwrap();
    let (reduced, options) = ready(folder.path());
    let run = reduced.driver.folder().to_owned();
    let (begun, running) = std::sync::mpsc::channel();
    let task = std::thread::spawn(move || {
        let attempts = (0..MOST_ATTEMPTS).map_while(|number| {
            let attempt = Attempt::create(&run, &format!("late-{number}")).ok()?;
            let _ = attempt.folder(shardback::config::Format::Jagged, Day(20_000));
            let _ = begun.send(());
            Some(attempt)
        });
        attempts.count()
    });
    running.recv().unwrap();
    reduced.driver.close().unwrap();
    let made = task.join().unwrap();
    assert!(0 < made && made < MOST_ATTEMPTS, "{made} attempts: nothing ended them");
    assert!(!options.out.join(".staging").exists());
}

/// While a driver lives no other run may write; days that it has published are left alone when asked for.
#[test]
fn a_driver_holds_its_output() {
    let folder = tempfile::tempdir().unwrap();
    let (reduced, options) = ready(folder.path());
    let open = |skip_existing| {
        Driver::open(
            &Plan::new(Options { skip_existing, ..options.clone() }).unwrap(),
            vec!["clicks".to_owned()],
            "other",
        )
    };
    assert!(matches!(open(false).unwrap_err(), Error::Locked { .. }));
    let plan = Plan::new(options.clone()).unwrap();
    assert!(
        matches!(Driver::open(&plan, Vec::new(), "none").unwrap_err(), Error::Option { .. }),
        "no table of actions"
    );
    reduced.publish(|_, _| ()).unwrap();
    assert_eq!(open(true).unwrap().days(), []);
    assert_eq!(open(false).unwrap().days(), [Day(20_000)]);
}

/// However many actions a customer has, a map task sends K of them for each time that its memory was full.
#[test]
fn a_giant_customer_is_small_in_the_shuffle() {
    let mut clicks = Sheet::new(&["dt", "customer_id", "item_id", "click_time"]);
    for row in 0..20_000 {
        clicks.push(&["2024-10-03", "7", &(row % 900).to_string(), &format!("2024-10-03T{:02}:00:00Z", row % 24)]);
    }
    let plan =
        |memory| Plan::new(Options { history: 50, memory, ..options(Path::new("out"), 20_000, 20_000) }).unwrap();
    let sent = |memory| {
        let job = Arc::new(Job::new(plan(memory), &[1], vec![0]).unwrap());
        let cluster = Cluster { tasks: 1, ..Cluster::default() };
        let rows = cluster.map(&job, &[(Some(crate::tables::clicks()), clicks.batch())]);
        rows.iter().filter(|(_, kind, _)| *kind == 5).map(|(.., records)| records.len()).sum::<usize>()
    };
    let of_actions = |actions: usize| actions * 16 + actions.div_ceil(200).max(1) * 12;
    assert_eq!(sent(None), of_actions(50));
    // 4 × 20 bytes an action: four batches of 100 rows and the customer fit.
    let flushes = 20_000 / 400;
    let some = sent(Some(4 * 20 * 399));
    assert!((of_actions(50)..=of_actions(50) * flushes).contains(&some), "{some}");
}

/// Impressions of one customer a day, and clicks of many.
fn one_of_many(customer: i64) -> Tables {
    let mut shown = Sheet::new(&["dt", "customer_id", "item_id", "is_order"]);
    let mut clicks = Sheet::new(&["dt", "customer_id", "item_id", "click_time"]);
    shown.push(&["2024-10-04", &customer.to_string(), "1", "true"]);
    for row in 0..1000 {
        clicks.push(&["2024-10-03", &row.to_string(), "2", "2024-10-03T10:00:00Z"]);
    }
    Tables(vec![(None, shown.batch()), (Some(crate::tables::clicks()), clicks.batch())])
}

/// Actions of customers without impressions stay where they are, nearly all of them.
#[test]
fn others_do_not_travel() {
    let folder = tempfile::tempdir().unwrap();
    let (tables, cluster) = (one_of_many(7), Cluster::default());
    let plan = Plan::new(options(&folder.path().join("out"), 20_000, 20_000)).unwrap();
    let driver = Driver::open(&plan, tables.names(), "run").unwrap();
    let counted = cluster.count(&tables, &plan, &driver).unwrap();
    let sent = |job: Job| {
        let rows = cluster.map(&Arc::new(job), &tables.0[1..]);
        rows.iter().filter(|(_, kind, _)| *kind == 5).map(|(.., records)| records.len() / 28).sum::<usize>()
    };
    let job = || Job::new(plan.clone(), &counted.shards, vec![0]).unwrap();
    assert_eq!(sent(job()), 1000);
    let few = sent(job().with_customers(&counted.customers.unwrap()).unwrap());
    assert!((1..100).contains(&few), "{few}");
    assert!(job().with_customers(b"none").is_err());
}

/// Impressions that are not those that were counted end the run, also where there are as many.
#[test]
fn impressions_that_change_end_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::default();
    let options = options(&folder.path().join("out"), 20_000, 20_000);
    let plan = Plan::new(options.clone()).unwrap();
    let driver = Driver::open(&plan, vec!["clicks".to_owned()], "run").unwrap();
    let counted = cluster.count(&one_of_many(7), &plan, &driver).unwrap();
    let error = cluster.reduce(&one_of_many(8), plan, driver, counted).publish(|_, _| ()).unwrap_err();
    assert!(error.to_string().contains("impressions changed while they were read"), "{error}");
    assert!(published(&options.out).is_empty());
}

/// Days, shards and routes have to fit together, and rows have to be those of a known part, in order.
#[test]
fn jobs_and_rows_are_checked() {
    let plan = Plan::new(options(Path::new("out"), 20_000, 20_001)).unwrap();
    assert_eq!(cluster::parts(&[3, 5, 3]), 8);
    assert!(Job::new(plan.clone(), &[3], vec![1, 2, 3]).is_err());
    assert!(Job::new(plan.clone(), &[3, 3], vec![1, 2]).is_err());
    let job = Job::new(plan, &[1, 1], vec![4]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let unordered = [(4, 0, Vec::new()), (4, 5, Vec::new()), (4, 4, Vec::new())];
    let cases: [(&[Row], &str); 3] = [
        (&[(9, 0, Vec::new())], "there is no route 9"),
        (&unordered, "out of order"),
        (&[(4, 5, vec![1, 2, 3])], "cut off"),
    ];
    for (number, (rows, message)) in cases.into_iter().enumerate() {
        let attempt = Attempt::create(folder.path(), &number.to_string()).unwrap();
        let rows: Vec<&Row> = rows.iter().collect();
        let error = reduce(&job, &attempt, folder.path(), &mut std::iter::once(Ok(batch(&rows)))).unwrap_err();
        assert!(matches!(&error, Error::Tasks { problem } if problem.contains(message)), "{error}");
    }
}

/// A run over [`ready`]'s tables whose rows are changed on their way, up to its error, if it has one; nothing is published then.
fn changed_on_the_way(change: impl FnOnce(&mut Vec<Row>)) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let (tables, options) = ready_tables(folder.path());
    let plan = Plan::new(options.clone()).unwrap();
    let driver = Driver::open(&plan, tables.names(), "run").unwrap();
    let cluster = Cluster { tasks: 3, ..Cluster::default() };
    let counted = cluster.count(&tables, &plan, &driver).unwrap();
    let error = match cluster.reduce_changed(&tables, plan, driver, counted, change) {
        Ok(reduced) => reduced.publish(|_, _| ()).err(),
        Err(failed) => {
            let (driver, error) = *failed;
            driver.close().unwrap();
            Some(error)
        }
    };
    assert_eq!(error.is_some(), published(&options.out).is_empty(), "{error:?}");
    error.map(|error| error.to_string())
}

/// No row of the shuffle can be lost, doubled, changed or sent astray unseen, whatever it holds.
#[test]
fn every_row_of_the_shuffle_counts() {
    assert_eq!(changed_on_the_way(|_| ()), None);
    let mut rows = Vec::new();
    assert_eq!(changed_on_the_way(|all| rows.clone_from(all)), None);
    let mut kinds = std::collections::BTreeMap::new();
    for (place, (route, kind, records)) in rows.iter().enumerate() {
        // What the engine adds for each part, of which one is enough; of the others some of each kind.
        let seen = kinds.entry(*kind).or_insert(0);
        *seen += 1;
        if *kind == 0 || *seen > 2 {
            continue;
        }
        let other = rows.iter().map(|row| row.0).find(|other| other != route).unwrap();
        assert!(changed_on_the_way(|rows| drop(rows.remove(place))).is_some(), "kind {kind} is lost");
        assert!(changed_on_the_way(|rows| rows.push(rows[place].clone())).is_some(), "kind {kind} is doubled");
        if *kind != 8 {
            assert!(changed_on_the_way(|rows| rows[place].0 = other).is_some(), "kind {kind} is sent astray");
        }
        for byte in [0, records.len() / 2, records.len() - 1] {
            let change = |rows: &mut Vec<Row>| rows[place].2[byte] ^= 1;
            assert!(changed_on_the_way(change).is_some(), "kind {kind}: byte {byte} of {} is changed", records.len());
        }
        assert!(
            changed_on_the_way(|rows| assert!(rows[place].2.pop().is_some())).is_some(),
            "kind {kind} is cut short"
        );
    }
    assert_eq!(kinds.into_keys().collect::<Vec<_>>(), [0, 2, 3, 4, 5, 8, 9]);
}

/// A map task's rows are wanted once: all of them twice, as from two attempts, add up as well as once.
#[test]
fn a_map_task_counts_once_and_none_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (tables, options) = ready_tables(folder.path());
    let job = Arc::new(Job::counting(Plan::new(options).unwrap()));
    for (tasks, message) in
        [([4, 5, 6], None), ([4, 5, 4], Some("map task 4 has reported twice")), ([3, 4, 6], Some("is followed"))]
    {
        let mut rows: Vec<Row> = Vec::new();
        for task in tasks {
            let mut mapper = cluster::Mapper::new(Arc::clone(&job), None, task);
            mapper.push(tables.0[0].1.slice(0, 1)).unwrap();
            rows.extend(mapper.finish().unwrap().iter().flat_map(unpacked));
        }
        let rows: Vec<&Row> = rows.iter().collect();
        let counted = cluster::count(&job, &mut std::iter::once(Ok(batch(&rows))));
        match message {
            None => drop(counted.unwrap()),
            Some(message) => assert!(counted.unwrap_err().to_string().contains(message)),
        }
    }
}
