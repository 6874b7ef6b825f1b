//! What the targets share: rows of a table of clicks as values, and what the library reads of the same table.
//!
//! A target of files is handed the bytes of a file behind a `=`, so that real files are seeds, and their bytes are what is changed;
//! other bytes are taken for values, of which a file is made.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};

use arbitrary::{Arbitrary, Unstructured};
use shardback::config::{Options, Plan};
use shardback::error::{Error, Result};
use shardback::event::{Action, ActionKey, Day, Sample};
use shardback::pack::Packed;
use shardback::read::{Source, open};
use shardback::schema::{ActionTable, Schema};
use shardback::unify::{read_actions, read_impressions, wanted_actions, wanted_samples};

/// The built-in table of clicks.
pub fn clicks_table() -> ActionTable {
    Schema::built_in().action("clicks").expect("a built-in table").clone()
}

/// What a target of files is handed.
pub enum Given<'a, T> {
    /// A file.
    Bytes(&'a [u8]),
    /// What a file is made of.
    Values(T),
}

/// Tells which of the two some bytes are; `None` where they are too few to be values.
pub fn given<'a, T: Arbitrary<'a>>(data: &'a [u8]) -> Option<Given<'a, T>> {
    match data.strip_prefix(b"=") {
        Some(bytes) => Some(Given::Bytes(bytes)),
        None => T::arbitrary_take_rest(Unstructured::new(data)).ok().map(Given::Values),
    }
}

/// A click, as the table's columns say it.
#[derive(Arbitrary, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Click {
    /// Of the days 2025-08-01 to 2025-08-15.
    pub day: u8,
    pub customer: i64,
    pub item: i32,
    /// Microseconds since the epoch, UTC, of the years 1653 to 2286; `None` where it is null.
    pub time: Option<i64>,
}

/// A time of the years that a click may have: what is beyond has another number of digits.
const TIMES: i64 = 10_000_000_000_000_000;

impl Click {
    /// The same click with every value one that the table can hold.
    pub fn tamed(mut self) -> Self {
        self.day = self.day % 15 + 1;
        self.time = self.time.map(|time| time % TIMES);
        self
    }

    /// The day as text.
    pub fn day_text(&self) -> String {
        format!("2025-08-{:02}", self.day)
    }

    /// The time as RFC 3339.
    pub fn time_text(&self) -> Option<String> {
        self.time.map(|time| {
            let (seconds, micros) = (time.div_euclid(1_000_000), time.rem_euclid(1_000_000));
            let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
            let (year, month, day) = civil(days);
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
        })
    }
}

/// Year, month and day of a number of days since 1970-01-01, by counting years and months, on purpose in no clever way.
fn civil(days: i64) -> (i64, i64, i64) {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of = |year: i64| if leap(year) { 366 } else { 365 };
    let (mut year, mut left) = (1970, days);
    while left < 0 {
        year -= 1;
        left += days_of(year);
    }
    while left >= days_of(year) {
        left -= days_of(year);
        year += 1;
    }
    let months = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= months[month] {
        left -= months[month];
        month += 1;
    }
    (year, month as i64 + 1, left + 1)
}

/// The plan of a build of 2025-08-16, which sees every click.
pub fn plan() -> Plan {
    let day: Day = "2025-08-16".parse().expect("a day");
    Plan::new(Options::new("out", day, day)).expect("a plan")
}

/// The clicks of a file, in order of their values.
pub fn clicks_of_file(path: &Path) -> Result<Vec<Click>> {
    let plan = plan();
    clicks_of(&open(path, wanted_actions(&clicks_table()), &|day| plan.any_sees(day))?)
}

/// The clicks of a source, in order of their values.
pub fn clicks_of(source: &dyn Source) -> Result<Vec<Click>> {
    let ids = Mutex::new(Vec::new());
    let clicks = Mutex::new(Vec::new());
    // Every customer matters, and is numbered as it comes.
    let pick = |customers: &[i64], rows: &mut Vec<(u32, u32)>| {
        let mut ids = ids.lock().expect("no panic");
        rows.clear();
        for (row, customer) in (0..).zip(customers) {
            rows.push((row, ids.len() as u32));
            ids.push(*customer);
        }
    };
    let sink = |actions: Packed<'_, Action<i32>>| {
        let ids = ids.lock().expect("no panic");
        clicks.lock().expect("no panic").extend(actions.records().iter().map(|action| {
            let key = action.key();
            let day: String = key.day().to_string();
            Click {
                day: day[8..].parse().expect("a day of August"),
                customer: ids[action.customer() as usize],
                item: key.item(),
                time: Some(key.time()).filter(|time| *time != i64::MIN),
            }
        }));
        Ok(())
    };
    read_actions::<i32>(&clicks_table(), source, &plan(), &pick, &sink, None, &|_| Ok(()))?;
    let mut clicks = clicks.into_inner().expect("no panic");
    clicks.sort();
    Ok(clicks)
}

/// The samples in a file of impressions.
fn shown_in_file(path: &Path) -> Result<usize> {
    let plan = plan();
    let source = open(path, wanted_samples(&Schema::built_in()), &|day| plan.days().contains(&day))?;
    let count = Mutex::new(0);
    let sink = |samples: Packed<'_, Sample<i32>>| {
        *count.lock().expect("no panic") += samples.len();
        Ok(())
    };
    read_impressions::<i32>(&source, &plan, &sink, None, &|_| Ok(()))?;
    Ok(count.into_inner().expect("no panic"))
}

/// Writes a table of clicks and reads it; both have to say the same. Refused is what nobody would have refused.
pub fn same_clicks(name: &str, text: &[u8], mut expected: Vec<Click>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    let found = clicks_of_file(&path).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)));
    expected.sort();
    assert_eq!(found, expected, "{}", String::from_utf8_lossy(text));
}

/// Lets the decoders of Parquet and Arrow panic, which the library turns into errors: the fuzzer would end at the panic itself. One that
/// gets out of the library ends it all the same.
fn let_decoders_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ends = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let file = panic.location().map_or("", |location| location.file());
            if !["/parquet-", "/arrow-", "/bytes-"].iter().any(|library| file.contains(library)) {
                ends(panic);
            }
        }));
    });
}

/// Reads bytes as a table of clicks, and as one of impressions: any answer is right that comes, with a message where it is no.
pub fn any_answer(name: &str, bytes: &[u8]) {
    let_decoders_panic();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    if let Err(error) = clicks_of_file(&path) {
        told(&error);
    }
    if let Err(error) = shown_in_file(&path) {
        told(&error);
    }
}

/// An error has a message, and is not one of ours.
pub fn told(error: &Error) {
    assert!(!matches!(error, Error::Internal { .. }), "{error}");
    assert!(!error.to_string().is_empty());
}

/// Builds a small day in a format, and gives its folder.
pub fn built(out: &Path, format: shardback::config::Format) -> PathBuf {
    let tables = out.join("tables");
    std::fs::create_dir_all(&tables).expect("a folder");
    let (mut shown, mut clicks) =
        ("dt,customer_id,item_id,is_order\n".to_owned(), "dt,customer_id,item_id,click_time\n".to_owned());
    for row in 0..40 {
        shown.push_str(&format!("2025-08-16,{},{},{}\n", row % 7, row, row % 3 == 0));
        clicks.push_str(&format!("2025-08-{:02},{},{},2025-08-01T00:00:{row:02}Z\n", row % 15 + 1, row % 6, 100 + row));
    }
    std::fs::write(tables.join("shown.csv"), shown).expect("a file");
    std::fs::write(tables.join("clicks.csv"), clicks).expect("a file");
    let day: Day = "2025-08-16".parse().expect("a day");
    let options = Options {
        formats: vec![format],
        history: 6,
        sharding: shardback::config::Sharding::Count(2),
        threads: Some(1),
        memory: Some(512 << 20),
        ..Options::new(out.join("out"), day, day)
    };
    let tables = shardback::pipeline::Tables {
        impressions: shardback::pipeline::Input::Path(tables.join("shown.csv")),
        actions: vec![(clicks_table(), shardback::pipeline::Input::Path(tables.join("clicks.csv")))],
    };
    shardback::pipeline::build(&Plan::new(options).expect("a plan"), tables, &Nobody).expect("a day");
    out.join("out").join(format.name()).join("dt=2025-08-16")
}

/// Watches a build and says nothing.
pub struct Nobody;

impl shardback::pipeline::Observer for Nobody {
    fn begin(&self, _: shardback::pipeline::Stage, _: u64) {}
    fn advance(&self, _: shardback::pipeline::Stage, _: u64) {}
    fn end(&self, _: &shardback::pipeline::StageTime) {}
    fn published(&self, _: &shardback::pipeline::DaySummary) {}
    fn cancelled(&self) -> bool {
        false
    }
}
