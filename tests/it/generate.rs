//! The synthetic tables: reproducible, of the promised shape, and readable by others.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop, and prepares folders of its own")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Int32Type, TimeUnit, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use shardback::error::{Error, OptionName};
use shardback::event::Day;
use shardback::generate::{Options, Summary, TableFormat, generate};
use shardback::pipeline::{Observer, Stage};
use xxhash_rust::xxh3::xxh3_128;

fn small() -> Options {
    Options {
        customers: 500,
        mean_actions: 40.0,
        days: 6,
        impression_days: 2,
        rows_per_day: 400,
        items: 1_000,
        ..Options::default()
    }
}

fn made(options: &Options) -> (tempfile::TempDir, Summary) {
    let out = tempfile::tempdir().unwrap();
    let summary = generate(out.path(), options, &()).unwrap();
    (out, summary)
}

/// Every file below a folder: its path from there, and its content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn batches(out: &Path, table: &str) -> Vec<RecordBatch> {
    let folder = out.join(table);
    files(&folder)
        .keys()
        .flat_map(|name| {
            let file = File::open(folder.join(name)).unwrap();
            ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap)
        })
        .collect()
}

fn ints<'a>(batch: &'a RecordBatch, column: &str) -> &'a [i32] {
    batch.column_by_name(column).unwrap().as_primitive::<Int32Type>().values()
}

/// How many actions each customer has, over the three tables.
fn actions_per_customer(out: &Path) -> HashMap<i32, u64> {
    let mut counts = HashMap::new();
    for table in ["clicks", "add_to_carts", "previous_orders"] {
        for batch in batches(out, table) {
            for &customer in ints(&batch, "customer_id") {
                *counts.entry(customer).or_default() += 1;
            }
        }
    }
    counts
}

/// The share of clicks whose time is not on their day, and the longest delay in days.
fn lateness(out: &Path) -> (f64, i32) {
    let (mut late, mut rows, mut longest) = (0, 0, 0);
    for batch in batches(out, "clicks") {
        let days = batch.column_by_name("dt").unwrap().as_string::<i32>();
        let times = batch.column_by_name("click_time").unwrap().as_primitive::<TimestampMicrosecondType>();
        for (day, &time) in days.iter().zip(times.values()) {
            let day = Day::parse(day.unwrap().as_bytes()).unwrap();
            let delay = day.0 - Day::containing(time).unwrap().0;
            assert!(delay >= 0, "a click of {day} lies after its day");
            late += u64::from(delay > 0);
            longest = longest.max(delay);
            rows += 1;
        }
    }
    (late as f64 / rows as f64, longest)
}

#[test]
fn same_options_give_the_same_bytes_with_any_number_of_threads() {
    for format in [TableFormat::Parquet, TableFormat::Json] {
        let options = Options { format, late_share: 0.1, giant_share: 0.1, ..small() };
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (out, summary) = pool.install(|| made(&options));
            (files(out.path()), summary)
        };
        let one = with_threads(1);
        assert_eq!(one.0.len() as u64, one.1.files);
        assert_eq!(one.0.values().map(|bytes| bytes.len() as u64).sum::<u64>(), one.1.bytes);
        assert!(one == with_threads(2), "{format:?} differs with the number of threads");
    }
}

#[test]
fn the_stream_of_numbers_stays_as_it_is() {
    // Figures measured on generated tables stay comparable only while a seed means the same tables. JSON, because it does
    // not change with the Parquet encoder.
    let (out, _) = made(&Options { format: TableFormat::Json, late_share: 0.1, giant_share: 0.1, ..small() });
    let hashes: Vec<u8> = files(out.path()).values().flat_map(|bytes| xxh3_128(bytes).to_be_bytes()).collect();
    assert_eq!(format!("{:032x}", xxh3_128(&hashes)), "61d26bd2761352e75cc7789cb188fcb7");
}

#[test]
fn another_seed_gives_other_tables_of_the_same_shape() {
    let (a, first) = made(&small());
    let (b, second) = made(&Options { seed: 8, ..small() });
    assert_eq!((first.actions, first.impression_rows), (second.actions, second.impression_rows));
    let (a, b) = (files(a.path()), files(b.path()));
    assert!(a.keys().eq(b.keys()));
    assert!(a.iter().all(|(name, bytes)| b[name] != *bytes), "a partition does not depend on the seed");
}

#[test]
fn tables_have_the_rows_and_columns_of_the_contract() {
    let (out, summary) = made(&small());
    assert_eq!(summary.actions, 20_000);
    assert_eq!(summary.impression_rows, 800);

    let rows = |table| batches(out.path(), table).iter().map(|batch| batch.num_rows()).sum::<usize>();
    assert_eq!([rows("clicks"), rows("add_to_carts"), rows("previous_orders")], [17_000, 2_000, 1_000]);
    let names: Vec<String> = files(out.path()).into_keys().filter(|name| name.contains("impressions")).collect();
    assert_eq!(names, ["impressions/dt=2025-08-15/part-00000.parquet", "impressions/dt=2025-08-16/part-00000.parquet"]);

    let clicks = &batches(out.path(), "clicks")[0];
    let schema = clicks.schema();
    assert_eq!(schema.field_with_name("dt").unwrap().data_type(), &DataType::Utf8);
    let time = schema.field_with_name("click_time").unwrap().data_type();
    assert!(matches!(time, DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC"), "{time}");
    assert_eq!(clicks.column_by_name("dt").unwrap().as_string::<i32>().value(0), "dt=2025-08-11");
    assert!(!ints(clicks, "customer_id").is_sorted(), "customers should come in random order");
    assert_eq!(lateness(out.path()), (0.0, 0));

    let order_days: HashSet<i32> = batches(out.path(), "previous_orders")
        .iter()
        .flat_map(|batch| batch.column_by_name("order_date").unwrap().as_primitive::<Date32Type>().values().to_vec())
        .collect();
    assert_eq!(order_days.len(), 6);
}

#[test]
fn slates_are_poisson_and_some_customers_have_no_history() {
    let (out, summary) = made(&Options { slate: 2.0, rows_per_day: 2_000, cold_share: 0.2, ..small() });
    let known: HashSet<i32> = actions_per_customer(out.path()).into_keys().collect();
    let (mut samples, mut empty, mut cold, mut positives, mut rankings) = (0, 0, 0, 0, HashSet::new());
    for batch in batches(out.path(), "impressions") {
        let slates = batch.column_by_name("impressions").unwrap().as_list::<i32>();
        let labels = slates.values().as_struct().column_by_name("is_order").unwrap().as_boolean();
        samples += slates.values().len();
        positives += labels.true_count();
        empty += slates.iter().filter(|slate| slate.as_ref().unwrap().is_empty()).count();
        cold += ints(&batch, "customer_id").iter().filter(|customer| !known.contains(customer)).count();
        let ids = batch.column_by_name("ranking_id").unwrap().as_string::<i32>();
        rankings.extend(ids.iter().map(|id| id.unwrap().to_owned()));
    }
    assert_eq!(rankings.len(), 4_000, "ranking ids are distinct");
    assert_eq!(samples as u64, summary.samples);
    assert!((7_700..8_300).contains(&samples), "{samples} samples");
    // Poisson with a mean of 2 gives no item with a probability of 0.135.
    assert!((450..630).contains(&empty), "{empty} empty slates");
    assert!((700..950).contains(&cold), "{cold} rows of customers without history");
    assert!((160..320).contains(&positives), "{positives} positives");
}

#[test]
fn actions_are_heavy_tailed() {
    let (out, _) = made(&small());
    let mut counts: Vec<u64> = actions_per_customer(out.path()).into_values().collect();
    counts.sort_unstable();
    let middle = counts[counts.len() / 2];
    // A log-normal with a sigma of 1.6 has a mean of 3.6 times its median.
    assert!((8..17).contains(&middle), "the median is {middle}");
    assert!(counts[counts.len() - 1] > 400, "the most active customer has {}", counts[counts.len() - 1]);
    let mut items = HashMap::<i32, u64>::new();
    for batch in batches(out.path(), "clicks") {
        for &item in ints(&batch, "item_id") {
            assert!((1..=1_000).contains(&item));
            *items.entry(item).or_default() += 1;
        }
    }
    assert!(items[&1] > 10 * items.get(&100).copied().unwrap_or_default(), "items follow Zipf");
}

#[test]
fn a_giant_customer_has_its_share_and_is_seen_every_day() {
    let (out, _) = made(&Options { giant_share: 0.4, ..small() });
    let counts = actions_per_customer(out.path());
    let (&giant, &count) = counts.iter().max_by_key(|(_, count)| **count).unwrap();
    assert!((7_700..8_500).contains(&count), "{count} of 20,000");
    for day in files(&out.path().join("impressions")).keys() {
        let file = File::open(out.path().join("impressions").join(day)).unwrap();
        let mut batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap);
        assert!(batches.any(|batch| ints(&batch, "customer_id").contains(&giant)), "{day}");
    }
}

#[test]
fn late_actions_lie_up_to_three_days_back() {
    let (out, _) = made(&Options { late_share: 0.5, ..small() });
    let (share, longest) = lateness(out.path());
    // A delay of less than the time of day stays on the day.
    assert!((0.35..0.5).contains(&share), "{share}");
    assert_eq!(longest, 3);
}

#[test]
fn json_tables_hold_one_object_a_line() {
    let (out, summary) = made(&Options { format: TableFormat::Json, ..small() });
    let first = |name: &str| {
        let text = fs::read_to_string(out.path().join(name)).unwrap();
        serde_json::from_str::<serde_json::Value>(text.lines().next().unwrap()).unwrap()
    };
    let click = first("clicks/dt=2025-08-15/part-00000.json");
    assert_eq!(click["dt"], "dt=2025-08-15");
    let time = click["click_time"].as_str().unwrap();
    assert!(time.starts_with("2025-08-15T") && time.ends_with('Z'), "{time}");
    assert!(click["customer_id"].is_i64() && click["item_id"].is_i64());
    assert_eq!(first("previous_orders/part-00000.json")["order_date"], "2025-08-11");
    let impression = first("impressions/dt=2025-08-16/part-00000.json");
    assert!(impression["impressions"][0]["item_id"].is_i64(), "{impression}");
    assert!(impression["impressions"][0]["is_order"].is_boolean(), "{impression}");
    let lines: usize = files(out.path()).values().map(|bytes| bytes.iter().filter(|&&b| b == b'\n').count()).sum();
    assert_eq!(lines as u64, summary.actions + summary.impression_rows);
}

#[test]
fn progress_ends_at_the_number_of_rows() {
    let out = tempfile::tempdir().unwrap();
    let options = small();
    let watched = Watched { total: AtomicU64::new(0), done: AtomicU64::new(0), most: u64::MAX };
    generate(out.path(), &options, &watched).unwrap();
    let total = options.actions() + options.impression_rows();
    assert_eq!((watched.total.into_inner(), watched.done.into_inner()), (total, total));
}

/// Counts rows, and asks to stop where there are enough.
struct Watched {
    total: AtomicU64,
    done: AtomicU64,
    most: u64,
}

impl Observer for Watched {
    fn begin(&self, _: Stage, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    fn advance(&self, _: Stage, rows: u64) {
        self.done.fetch_add(rows, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.done.load(Ordering::Relaxed) >= self.most
    }
}

#[test]
fn it_stops_where_it_is_asked_to() {
    let out = tempfile::tempdir().unwrap();
    let watched = Watched { total: AtomicU64::new(0), done: AtomicU64::new(0), most: 1 };
    let stopped = generate(out.path(), &small(), &watched);
    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
    assert!(watched.done.into_inner() < watched.total.into_inner());
}

#[test]
fn options_that_make_no_sense_are_named() {
    let out = tempfile::tempdir().unwrap();
    let cases = [
        (OptionName::Customers, Options { customers: 0, ..small() }),
        (OptionName::MeanActions, Options { mean_actions: f64::NAN, ..small() }),
        (OptionName::Sigma, Options { sigma: -1.0, ..small() }),
        (OptionName::Days, Options { days: 0, ..small() }),
        (OptionName::ImpressionDays, Options { impression_days: 7, ..small() }),
        (OptionName::RowsPerDay, Options { rows_per_day: 0, ..small() }),
        (OptionName::Slate, Options { slate: f64::INFINITY, ..small() }),
        (OptionName::Items, Options { items: 1 << 31, ..small() }),
        (OptionName::LateShare, Options { late_share: 1.1, ..small() }),
        (OptionName::GiantShare, Options { giant_share: -0.1, ..small() }),
        (OptionName::ColdShare, Options { cold_share: 2.0, ..small() }),
        (OptionName::LastDay, Options { last_day: Day(i32::MIN), ..small() }),
    ];
    for (expected, options) in cases {
        match generate(out.path(), &options, &()) {
            Err(Error::Option { option, .. }) => assert_eq!(option, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert!(files(out.path()).is_empty());
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let out = tempfile::tempdir().unwrap();
    fs::create_dir(out.path().join("something")).unwrap();
    let message = generate(out.path(), &small(), &()).unwrap_err().to_string();
    assert_eq!(message, format!("out: `{}` is not empty; name a new folder", out.path().display()));
    assert!(!out.path().join("clicks").exists());
}
