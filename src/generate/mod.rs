//! Synthetic tables of any size, heavy-tailed and seeded: what benches, tests and a first try read.
//!
//! Each day of each table draws from a random stream of its own, named by the seed, the table and the day. So partitions
//! are written in parallel, in batches, and their bytes depend on the options alone.
//!
//! ```text
//! out/impressions/dt=2025-08-16/part-00000.parquet    dt, ranking_id, customer_id, impressions
//! out/clicks/dt=2025-08-15/part-00000.parquet         dt, customer_id, item_id, click_time
//! out/add_to_carts/dt=2025-08-15/part-00000.parquet   dt, customer_id, config_id, simple_id, occurred_at
//! out/previous_orders/part-00000.parquet              order_date, customer_id, config_id
//! ```

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int32Array, ListArray, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use rand::{RngExt, SeedableRng};
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Distribution, LogNormal, Normal, Poisson, Zipf};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{Error, OptionName, Result};
use crate::event::Day;
use crate::fsio;
use crate::pipeline::{Observer, Stage, StageTime};

mod described;
mod table;

pub use table::TableFormat;

use table::{GeneratedTable, TableFile, UTC, slate_element, slate_fields};

/// Known customers have ids below this, customers without any action from here on.
const FIRST_COLD_CUSTOMER: i32 = 2_000_000_000;
const COLD_CUSTOMERS: i32 = 100_000_000;
const MAX_CUSTOMERS: u64 = 1_000_000_000;
const MAX_SLATE: f64 = 10_000.0;
/// Beyond this a count of rows is no longer exact as a 64-bit float.
const MAX_ROWS: f64 = 9e15;
const ZIPF_EXPONENT: f64 = 1.15;
const CLICK_SHARE: f64 = 0.85;
const ADD_TO_CART_SHARE: f64 = 0.10;
const POSITIVE_RATE: f64 = 0.03;
/// The time of day of an action in seconds: mostly late afternoon, never past midnight.
const CLOCK_MEAN: f64 = 60_000.0;
const CLOCK_DEVIATION: f64 = 16_000.0;
const LAST_SECOND: f64 = 86_399.0;
const MAX_DELAY_SECONDS: i64 = 3 * 86_400;
/// Rows (or items in slates) that are drawn at once; a row group has at most [`BATCHES_IN_GROUP`] times as many.
const BATCH: u64 = 1 << 16;
const BATCHES_IN_GROUP: u64 = 16;
/// Orders in one file.
const ORDERS_IN_PART: u64 = 5_000_000;
/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Customers that may act; their weights are log-normal.
    pub customers: u64,
    /// Actions per customer on average, over all the days and action tables.
    pub mean_actions: f64,
    /// The shape of the weights: 0 makes all customers alike, 1.6 gives a heavy tail.
    pub sigma: f64,
    /// Days of actions, the last of which is `last_day`.
    pub days: u32,
    /// Days of impressions, the last of which is `last_day`.
    pub impression_days: u32,
    /// Impression rows per day.
    pub rows_per_day: u64,
    /// Items per impression row on average; Poisson, so that some rows have none.
    pub slate: f64,
    /// Distinct items, numbered from 1 by falling popularity (Zipf).
    pub items: u64,
    /// The last day of all tables.
    pub last_day: Day,
    /// Other seeds give other tables of the same shape.
    pub seed: u64,
    /// The share of clicks and add-to-carts whose time lies up to 3 days further back than their day says.
    pub late_share: f64,
    /// The share of all actions that belongs to one customer, who then has an impression row on every day.
    pub giant_share: f64,
    /// The share of impression rows that go to customers without any action.
    pub cold_share: f64,
    /// The format of the tables.
    pub format: TableFormat,
    /// Whether the tables have more columns, and come with a description of them, `shop.toml`: requests with times and ids, a second
    /// label, prices.
    pub is_described: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            customers: 50_000,
            mean_actions: 200.0,
            sigma: 1.6,
            days: 60,
            impression_days: 14,
            rows_per_day: 50_000,
            slate: 10.0,
            items: 300_000,
            // 2025-08-16.
            last_day: Day(20_316),
            seed: 7,
            late_share: 0.0,
            giant_share: 0.0,
            cold_share: 0.05,
            format: TableFormat::Parquet,
            is_described: false,
        }
    }
}

impl Options {
    /// The rows of the three action tables together.
    #[must_use]
    pub fn actions(&self) -> u64 {
        (self.customers as f64 * self.mean_actions).round() as u64
    }

    /// The rows of the impressions table; each holds a list of items.
    #[must_use]
    pub fn impression_rows(&self) -> u64 {
        u64::from(self.impression_days) * self.rows_per_day
    }

    fn check(&self) -> Result<()> {
        check_whole(OptionName::Customers, self.customers, 1, MAX_CUSTOMERS)?;
        check_number(OptionName::MeanActions, self.mean_actions, MAX_ROWS / self.customers as f64)?;
        check_number(OptionName::Sigma, self.sigma, 10.0)?;
        check_whole(OptionName::Days, u64::from(self.days), 1, 36_500)?;
        check_whole(OptionName::ImpressionDays, u64::from(self.impression_days), 1, u64::from(self.days))?;
        check_whole(OptionName::RowsPerDay, self.rows_per_day, 1, 1 << 40)?;
        check_number(OptionName::Slate, self.slate, MAX_SLATE)?;
        check_whole(OptionName::Items, self.items, 1, i32::MAX as u64)?;
        check_number(OptionName::LateShare, self.late_share, 1.0)?;
        check_number(OptionName::GiantShare, self.giant_share, 1.0)?;
        check_number(OptionName::ColdShare, self.cold_share, 1.0)?;
        let first = self.last_day.0.checked_sub(self.days as i32 - 1);
        if first.is_none_or(|first| Day(first).ymd().0 < 1) || self.last_day.ymd().0 > 9999 {
            return Err(invalid(
                OptionName::LastDay,
                format!("{} days up to {} leave the calendar", self.days, self.last_day),
            ));
        }
        Ok(())
    }
}

/// What was generated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The rows of the three action tables.
    pub actions: u64,
    /// The rows of the impressions table.
    pub impression_rows: u64,
    /// The impressed items in those rows.
    pub samples: u64,
    /// The files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
}

/// Writes the four tables under `out`.
///
/// ```
/// use shardback::generate::Options;
///
/// let folder = tempfile::tempdir()?;
/// let out = folder.path().join("tables");
/// let options = Options { customers: 20, rows_per_day: 10, ..Options::default() };
/// let made = shardback::generate(&out, &options, &())?;
/// assert!(made.actions > 0 && out.join("clicks").is_dir());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The work runs in the current rayon pool, a partition per task; a few hundred thousand rows per thread are in memory
/// at a time. The same options give the same bytes, whatever the number of threads.
///
/// # Errors
/// [`Error::Option`] for options that make no sense and for an `out` that exists and is not empty; [`Error::Io`] and
/// [`Error::Encode`] where writing fails, and [`Error::Interrupted`] where the observer says so, which leave what has been written.
pub fn generate(out: &Path, options: &Options, observer: &dyn Observer) -> Result<Summary> {
    options.check()?;
    check_empty(out)?;
    let world = World::new(options)?;
    if options.is_described {
        fsio::create_folders(out)?;
        described::write_description(out)?;
    }
    let started = Instant::now();
    observer.begin(Stage::Tables, options.actions() + options.impression_rows());
    let made = partitions(out, options).par_iter().map(|partition| world.write(partition, observer)).try_reduce(
        Summary::default,
        |a, b| {
            Ok(Summary {
                actions: a.actions + b.actions,
                impression_rows: a.impression_rows + b.impression_rows,
                samples: a.samples + b.samples,
                files: a.files + b.files,
                bytes: a.bytes + b.bytes,
            })
        },
    )?;
    observer.end(&StageTime { stage: Stage::Tables, elapsed: started.elapsed() });
    Ok(made)
}

/// One file: a table's rows of some days.
struct Partition {
    table: GeneratedTable,
    path: PathBuf,
    days: Vec<(Day, u64)>,
}

/// All the files, the rows of each table dealt out evenly over its days.
fn partitions(out: &Path, options: &Options) -> Vec<Partition> {
    let days: Vec<Day> = (0..options.days as i32).rev().map(|back| Day(options.last_day.0 - back)).collect();
    let path = |folder: PathBuf, part: usize| folder.join(format!("part-{part:05}.{}", options.format.extension()));
    let actions = options.actions();
    let clicks = (actions as f64 * CLICK_SHARE).round() as u64;
    let add_to_carts = ((actions as f64 * ADD_TO_CART_SHARE).round() as u64).min(actions - clicks);
    let orders = actions - clicks - add_to_carts;

    let mut partitions = Vec::new();
    let mut by_day = |table: GeneratedTable, days: &[Day], total: u64| {
        for (day, rows) in deal_out(days, total) {
            let path = path(out.join(table.name()).join(format!("dt={day}")), 0);
            partitions.push(Partition { table, path, days: vec![(day, rows)] });
        }
    };
    let impression_days = days.len() - options.impression_days as usize;
    by_day(GeneratedTable::Impressions, days.get(impression_days..).unwrap_or_default(), options.impression_rows());
    by_day(GeneratedTable::Clicks, &days, clicks);
    by_day(GeneratedTable::AddToCarts, &days, add_to_carts);
    let parts = orders.div_ceil(ORDERS_IN_PART).clamp(1, days.len() as u64);
    let days_in_part = days.len().div_ceil(parts as usize);
    for (part, days) in deal_out(&days, orders).chunks(days_in_part).enumerate() {
        let path = path(out.join(GeneratedTable::PreviousOrders.name()), part);
        partitions.push(Partition { table: GeneratedTable::PreviousOrders, path, days: days.to_vec() });
    }
    partitions
}

fn deal_out(days: &[Day], total: u64) -> Vec<(Day, u64)> {
    let up_to = |place: usize| (u128::from(total) * place as u128 / days.len() as u128) as u64;
    days.iter().enumerate().map(|(place, &day)| (day, up_to(place + 1) - up_to(place))).collect()
}

/// What all partitions draw from.
struct World<'a> {
    options: &'a Options,
    /// Ids of the known customers, ascending.
    customers: Vec<i32>,
    weights: WeightedAliasIndex<f64>,
    items: Zipf<f64>,
    clock: Normal<f64>,
    slate: Option<Poisson<f64>>,
}

impl<'a> World<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let weight =
            LogNormal::new(0.0, options.sigma).map_err(|error| invalid(OptionName::Sigma, error.to_string()))?;
        let mut random = random_stream(options.seed, "customers");
        // One id from each of as many equal ranges: distinct and ascending without a sort.
        let range = FIRST_COLD_CUSTOMER / options.customers as i32;
        let customers =
            (0..options.customers as i32).map(|place| place * range + random.random_range(0..range)).collect();
        let weights = (0..options.customers).map(|_| weight.sample(&mut random)).collect();
        let slate = (options.slate > 0.0).then(|| Poisson::new(options.slate)).transpose();
        Ok(Self {
            options,
            customers,
            weights: WeightedAliasIndex::new(weights)
                .map_err(|error| invalid(OptionName::Customers, error.to_string()))?,
            items: Zipf::new(options.items as f64, ZIPF_EXPONENT)
                .map_err(|error| invalid(OptionName::Items, error.to_string()))?,
            clock: Normal::new(CLOCK_MEAN, CLOCK_DEVIATION)
                .map_err(|error| invalid(OptionName::Seed, error.to_string()))?,
            slate: slate.map_err(|error| invalid(OptionName::Slate, error.to_string()))?,
        })
    }

    fn write(&self, partition: &Partition, observer: &dyn Observer) -> Result<Summary> {
        let &Partition { table, ref path, ref days } = partition;
        let encode = |source| Error::Encode { path: path.clone(), source };
        let batch_rows = self.batch_rows(table);
        let described = (table, self.options.is_described);
        let mut file = TableFile::create(path, described, self.options.format, batch_rows * BATCHES_IN_GROUP)?;
        let mut summary = Summary { files: 1, ..Summary::default() };
        for &(day, rows) in days {
            let name = format!("{}/{day}", table.name());
            let mut random = random_stream(self.options.seed, &name);
            let mut further = random_stream(self.options.seed, &format!("described/{name}"));
            for first in (0..rows).step_by(batch_rows as usize) {
                if observer.cancelled() {
                    return Err(Error::Interrupted);
                }
                let count = batch_rows.min(rows - first) as usize;
                let columns = match table {
                    GeneratedTable::Impressions => {
                        let (columns, samples) = self.draw_impressions(day, first, count, (&mut random, &mut further));
                        summary.impression_rows += count as u64;
                        summary.samples += samples;
                        columns
                    }
                    _ => {
                        summary.actions += count as u64;
                        let mut columns = self.draw_actions(table, day, count, &mut random);
                        if self.options.is_described {
                            columns.extend(described::action_columns(count, &mut further));
                        }
                        columns
                    }
                };
                file.write(columns).map_err(encode)?;
                observer.advance(Stage::Tables, count as u64);
            }
        }
        file.finish().map_err(encode)?;
        summary.bytes = path.metadata().map_err(Error::io("read", path))?.len();
        Ok(summary)
    }

    fn batch_rows(&self, table: GeneratedTable) -> u64 {
        match table {
            GeneratedTable::Impressions => (BATCH / (self.options.slate as u64).max(1)).max(1),
            _ => BATCH,
        }
    }

    fn draw_actions(
        &self,
        table: GeneratedTable,
        day: Day,
        count: usize,
        random: &mut Xoshiro256PlusPlus,
    ) -> Vec<ArrayRef> {
        let mut customers = Vec::with_capacity(count);
        let mut items = Vec::with_capacity(count);
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            customers.push(self.draw_customer(self.options.giant_share, random));
            items.push(self.items.sample(random) as i32);
            if table != GeneratedTable::PreviousOrders {
                times.push(self.draw_time(day, random));
            }
        }
        let simple_ids = || items.iter().map(|&item| (i64::from(item) * 10 % 2_000_000_000) as i32).collect::<Vec<_>>();
        let time_column = || Arc::new(TimestampMicrosecondArray::from(times).with_timezone(UTC)) as ArrayRef;
        let customer_column: ArrayRef = Arc::new(Int32Array::from(customers));
        match table {
            GeneratedTable::PreviousOrders => {
                let day_column = Arc::new(Date32Array::from_value(day.0, count));
                vec![day_column, customer_column, Arc::new(Int32Array::from(items))]
            }
            GeneratedTable::AddToCarts => {
                let simple_column = Arc::new(Int32Array::from(simple_ids()));
                let item_column = Arc::new(Int32Array::from(items));
                vec![day_column(day, count), customer_column, item_column, simple_column, time_column()]
            }
            GeneratedTable::Clicks | GeneratedTable::Impressions => {
                vec![day_column(day, count), customer_column, Arc::new(Int32Array::from(items)), time_column()]
            }
        }
    }

    /// The rows of a day from `first` on, and the number of items in them.
    fn draw_impressions(
        &self,
        day: Day,
        first: u64,
        count: usize,
        (random, further): (&mut Xoshiro256PlusPlus, &mut Xoshiro256PlusPlus),
    ) -> (Vec<ArrayRef>, u64) {
        let mut customers = Vec::with_capacity(count);
        let mut lengths = Vec::with_capacity(count);
        let mut items = Vec::new();
        let mut labels = Vec::new();
        for row in 0..count {
            customers.push(if row == 0 && first == 0 && self.options.giant_share > 0.0 {
                self.giant()
            } else if random.random_bool(self.options.cold_share) {
                FIRST_COLD_CUSTOMER + random.random_range(0..COLD_CUSTOMERS)
            } else {
                self.draw_customer(0.0, random)
            });
            let length = self.slate.map_or(0, |slate| slate.sample(random) as usize);
            lengths.push(length);
            for _ in 0..length {
                items.push(self.items.sample(random) as i32);
                labels.push(random.random_bool(POSITIVE_RATE));
            }
        }
        let samples = items.len() as u64;
        let rankings = (first..).take(count).map(|row| format!("r-{day}-{row}"));
        let is_described = self.options.is_described;
        let mut fields: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(items)), Arc::new(BooleanArray::from(labels))];
        if is_described {
            fields.extend(described::slate_columns(samples as usize, further));
        }
        let items = Arc::new(StructArray::new(slate_fields(is_described), fields, None));
        let mut columns: Vec<ArrayRef> = vec![
            day_column(day, count),
            Arc::new(StringArray::from_iter_values(rankings)),
            Arc::new(Int32Array::from(customers)),
            Arc::new(ListArray::new(slate_element(is_described), OffsetBuffer::from_lengths(lengths), items, None)),
        ];
        if is_described {
            columns.push(described::shown_at((0..count).map(|_| self.draw_clock(day, further)).collect()));
        }
        (columns, samples)
    }

    fn draw_customer(&self, giant_share: f64, random: &mut Xoshiro256PlusPlus) -> i32 {
        if giant_share > 0.0 && random.random_bool(giant_share) {
            return self.giant();
        }
        self.customers.get(self.weights.sample(random)).copied().unwrap_or_default()
    }

    fn giant(&self) -> i32 {
        self.customers.get(self.customers.len() / 2).copied().unwrap_or_default()
    }

    /// A time on that day or, when the action arrives late, up to 3 days before, in microseconds since the epoch.
    fn draw_time(&self, day: Day, random: &mut Xoshiro256PlusPlus) -> i64 {
        let time = self.draw_clock(day, random);
        if self.options.late_share > 0.0 && random.random_bool(self.options.late_share) {
            return time - random.random_range(1..=MAX_DELAY_SECONDS) * 1_000_000;
        }
        time
    }

    /// A time on that day.
    fn draw_clock(&self, day: Day, random: &mut Xoshiro256PlusPlus) -> i64 {
        let seconds = self.clock.sample(random).abs().min(LAST_SECOND) as i64;
        day.midnight() + seconds * 1_000_000 + random.random_range(0..1_000_000)
    }
}

fn day_column(day: Day, count: usize) -> ArrayRef {
    let text = format!("dt={day}");
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, count)))
}

/// A random stream of its own for each name.
fn random_stream(seed: u64, name: &str) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(xxh3_64_with_seed(name.as_bytes(), seed))
}

fn check_empty(out: &Path) -> Result<()> {
    match std::fs::read_dir(out) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(invalid(OptionName::NewOut, format!("`{}` is not empty; name a new folder", out.display()))),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("read", out)(error)),
    }
}

fn check_whole(option: OptionName, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(invalid(option, format!("{value} is not between {least} and {most}")))
}

fn check_number(option: OptionName, value: f64, most: f64) -> Result<()> {
    if (0.0..=most).contains(&value) {
        return Ok(());
    }
    Err(invalid(option, format!("{value} is not between 0 and {most}")))
}

fn invalid(option: OptionName, problem: String) -> Error {
    Error::Option { option, problem }
}
