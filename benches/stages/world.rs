//! What the stages work on: generated tables, and everything that the stages before one have made of them.

use std::fs;
use std::path::{Path, PathBuf};

use shardback::config::{Options, Plan};
use shardback::event::{Action, Day, HashRange, Sample};
use shardback::fsio::SpillFolder;
use shardback::generate::{self, TableFormat, generate};
use shardback::histories::{Budget, Customers, Histories, Input, Samples, Spool, Spooled, buckets_for};
use shardback::pack::Packed;
use shardback::read::{self, Files};
use shardback::schema::{ActionTable, Schema};
use shardback::unify;
use tempfile::TempDir;

/// Two million actions of 20,000 customers over 30 days: well beyond the caches of a processor, generated in seconds,
/// and with the heavy tail of real tables. The last 14 days have 2,000 impression rows each, of 10 items on average.
const CUSTOMERS: u64 = 20_000;
const MEAN_ACTIONS: f64 = 100.0;
const DAYS: u32 = 30;
const IMPRESSION_DAYS: u32 = 14;
const IMPRESSION_ROWS: u64 = 2_000;

/// Generated tables, in a folder that goes when they are dropped.
pub(crate) struct World {
    folder: TempDir,
    options: generate::Options,
}

/// The built-in table of clicks.
pub(crate) fn clicks() -> ActionTable {
    Schema::built_in().action("clicks").unwrap().clone()
}

impl World {
    /// The tables in one of the formats, the same in each.
    pub(crate) fn new(format: TableFormat) -> Self {
        let options = generate::Options {
            customers: CUSTOMERS,
            mean_actions: MEAN_ACTIONS,
            days: DAYS,
            impression_days: IMPRESSION_DAYS,
            rows_per_day: IMPRESSION_ROWS,
            format,
            ..generate::Options::default()
        };
        let folder = temporary_folder();
        generate(&folder.path().join("tables"), &options, &()).unwrap();
        Self { folder, options }
    }

    /// The plan of the last `days` days.
    pub(crate) fn plan(&self, days: i32) -> Plan {
        let last = self.options.last_day;
        Plan::new(Options::new(self.folder.path().join("out"), Day(last.0 - days + 1), last)).unwrap()
    }

    /// The impressions, opened.
    pub(crate) fn impressions(&self, plan: &Plan) -> Files {
        let keep = |day| plan.day_index(day).is_some();
        let samples = Schema::built_in().samples;
        read::open(&self.table(&samples.name), unify::wanted_samples(&Schema::built_in()), &keep).unwrap()
    }

    /// A table of actions, opened.
    pub(crate) fn actions(&self, table: &ActionTable, plan: &Plan) -> Files {
        read::open(&self.table(&table.name), unify::wanted_actions(table), &|day| plan.any_sees(day)).unwrap()
    }

    /// The clicks in files of another kind, each made of the bytes of one that is there; opened.
    #[expect(clippy::disallowed_methods, reason = "inputs are made here, not published")]
    pub(crate) fn clicks_as(&self, extension: &str, file: impl Fn(&[u8]) -> Vec<u8>, plan: &Plan) -> Files {
        let table = clicks();
        let (from, to) = (self.table(&table.name), self.folder.path().join(extension));
        for folder in fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()) {
            let target = to.join(folder.file_name().unwrap());
            fs::create_dir_all(&target).unwrap();
            for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                let name = Path::new(path.file_stem().unwrap()).with_extension(extension);
                fs::write(target.join(name), file(&fs::read(path).unwrap())).unwrap();
            }
        }
        read::open(&to, unify::wanted_actions(&table), &|day| plan.any_sees(day)).unwrap()
    }

    /// The number of buckets, as a build has them for so many actions.
    pub(crate) fn buckets(&self) -> u32 {
        buckets_for(self.options.actions())
    }

    fn table(&self, name: &str) -> PathBuf {
        self.folder.path().join("tables").join(name)
    }

    /// Hands over everything that was read for the last `days` days, spooled by bucket in memory.
    pub(crate) fn read(&self, days: i32, then: impl FnOnce(&Input<'_, i32>, &Budget)) {
        let plan = &self.plan(days);
        let budget = &Budget::new(None, rayon::current_num_threads()).unwrap();
        let folder = &SpillFolder::new(self.folder.path());
        let buckets = self.buckets();
        let samples = self.samples(plan, Spool::new(buckets, 1, budget, folder));
        let customers = &Customers::new(&samples, HashRange::WHOLE, buckets, budget).unwrap();

        let spool = Spool::new(buckets, 0, budget, folder);
        let pick = |ids: &[i64], rows: &mut Vec<(u32, u32)>| customers.pick(ids, rows);
        let sink = |actions: Packed<'_, Action<i32>>| {
            spool.push(actions, |action: &Action<i32>| customers.bucket(action.customer()))
        };
        for table in Schema::built_in().actions {
            let source = self.actions(&table, plan);
            unify::read_actions(&table, &source, plan, &pick, &sink, None, &|_| Ok(())).unwrap();
        }
        // As records, from which they are packed anew each time.
        let samples = Samples::Spilled(samples);
        then(&Input { samples, actions: spool.finish(u64::MAX).unwrap(), customers, plan, folder }, budget);
    }

    /// Hands over the histories of the last day.
    pub(crate) fn histories(&self, then: impl FnOnce(&Histories<'_, i32>, &Plan)) {
        self.read(1, |input, budget| {
            then(&Histories::new(input, budget, &|_| Ok(())).unwrap(), input.plan);
        });
    }

    /// Hands over the plan and the customers of the last day.
    pub(crate) fn customers(&self, then: impl FnOnce(&Plan, &Customers)) {
        self.read(1, |input, _| then(input.plan, input.customers));
    }

    fn samples<'a>(&self, plan: &Plan, spool: Spool<'a, Sample<i32>>) -> Spooled<'a, Sample<i32>> {
        let bucket = |sample: &Sample<i32>| HashRange::WHOLE.bucket(sample.customer(), spool.buckets());
        let sink = |samples: Packed<'_, Sample<i32>>| spool.push(samples, bucket);
        unify::read_impressions(&self.impressions(plan), plan, &sink, None, &|_| Ok(())).unwrap();
        spool.finish(u64::MAX).unwrap()
    }
}

/// A new folder on the disk that also holds the build, not in memory as `/tmp` may be.
pub(crate) fn temporary_folder() -> TempDir {
    tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}
