//! What a run is to do: options as given, then a plan that has been checked.
//!
//! Stages see the [`Plan`], never flags.

mod cutoff;

use std::path::PathBuf;

pub use cutoff::{CutoffOptions, TimeCutoff};

use crate::error::{Error, OptionName, Result, quoted};
use crate::event::{Day, ItemDtype};
use crate::schema::{self, ActionTable, Contents, Cutoff, History, Ids, MAX_HISTORY, Schema};
use crate::store::{Place, Protocol, StoreOptions, on_disk};
use crate::zone::Zone;

/// A form in which a day is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Wide rows, padded, as Parquet.
    Parquet,
    /// Wide rows, padded, as safetensors.
    Dense,
    /// Each history once and a window per sample, as safetensors.
    Jagged,
}

impl Format {
    /// Every format, in the order in which a day's folders are published.
    pub const ALL: [Self; 3] = [Self::Parquet, Self::Dense, Self::Jagged];

    /// Its name: on the command line, in manifests, and of its folder under the output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Dense => "dense",
            Self::Jagged => "jagged",
        }
    }

    /// The name of the file that holds shard `shard`.
    #[must_use]
    pub fn shard_file(self, shard: u32) -> String {
        match self {
            Self::Parquet => format!("part-{shard:05}.parquet"),
            Self::Dense | Self::Jagged => format!("shard-{shard:05}.safetensors"),
        }
    }
}

/// What happens to rows that break the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidRows {
    /// The first one stops the run.
    Fail,
    /// They are left out, counted and kept aside.
    Skip,
}

/// How a day is cut into shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharding {
    /// As many shards as it takes for about this many samples in each.
    Rows(u64),
    /// This many.
    Count(u32),
}

impl Sharding {
    /// The number of shards for a day of `samples` valid samples; at least 1.
    ///
    /// # Errors
    /// [`Error::TooMany`] when file names could not number them.
    pub fn shards(self, samples: u64) -> Result<u32> {
        let shards = match self {
            Self::Rows(rows) => samples.div_ceil(rows).max(1),
            Self::Count(count) => u64::from(count),
        };
        match u32::try_from(shards) {
            Ok(shards) if shards <= MAX_SHARDS => Ok(shards),
            _ => Err(Error::TooMany { what: "shards in a day", count: shards, limit: u64::from(MAX_SHARDS) }),
        }
    }
}

/// File names number shards with five digits.
const MAX_SHARDS: u32 = 99_999;

/// The most threads that work on a run, or on batches: more than any machine has use for, and few enough to be started in an instant.
pub const MAX_THREADS: usize = 1024;

/// Which device pads histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The one that is fastest for the work.
    Auto,
    /// The processor.
    Cpu,
    /// A CUDA device, or an error where there is none.
    Cuda,
}

/// The options of a run, as given.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that holds the results.
    pub out: PathBuf,
    /// The first day to build.
    pub start: Day,
    /// The last day to build, inclusive.
    pub end: Day,
    /// What to write; the order and repetitions do not matter.
    pub formats: Vec<Format>,
    /// K, the length of a padded history.
    pub history: usize,
    /// With a cut-off at the day: how many days back a sample sees; `None` for all of them.
    pub lookback_days: Option<u32>,
    /// The cut-off at the time of each request; `None` for one at the day.
    pub time_cutoff: Option<TimeCutoff>,
    /// The width of item ids in the outputs; `None` for what they need: 64 bits where they are hashed or have no sign, else 32.
    pub item_dtype: Option<ItemDtype>,
    /// What the build is about: the tables, what their columns mean, and the types of actions.
    pub schema: Schema,
    /// What happens to rows that break the contract.
    pub invalid: InvalidRows,
    /// The time zone in which the days of timestamps count, by its name in the IANA database; `None` for the one that the
    /// column says.
    pub day_zone: Option<String>,
    /// What comes before a quote within quotes of a CSV file, where the writer does not double it.
    pub csv_escape: Option<char>,
    /// What is said of the object stores in which tables lie. No record shows it.
    pub store: StoreOptions,
    /// How a day is cut into shards.
    pub sharding: Sharding,
    /// Leave days alone that an earlier run with the same options has published.
    pub skip_existing: bool,
    /// Write days without impressions, with no rows, instead of failing.
    pub allow_empty_days: bool,
    /// Fail, before anything is published, where a table of actions has no row on the day before a day to build, though it has some
    /// before that.
    pub require_fresh: bool,
    /// Replace a day in two steps where the file system cannot do it in one.
    pub replace_non_atomic: bool,
    /// Which device pads histories.
    pub device: Device,
    /// How many threads to use; `None` for one per processor.
    pub threads: Option<usize>,
    /// The most memory to use, in bytes; `None` for three quarters of what the machine has.
    pub memory: Option<u64>,
    /// The folder for what memory has no room for; `None` for the output's staging.
    pub spill_dir: Option<PathBuf>,
}

impl Options {
    /// The defaults for the built-in tables, for the days `start` to `end`.
    #[must_use]
    pub fn new(out: impl Into<PathBuf>, start: Day, end: Day) -> Self {
        Self::described(Schema::built_in(), out, start, end)
    }

    /// The defaults for the tables of a description, for the days `start` to `end`: what it says of histories.
    #[must_use]
    pub fn described(schema: Schema, out: impl Into<PathBuf>, start: Day, end: Day) -> Self {
        let History { length, cutoff, lookback_micros, delay_micros, .. } = schema.history;
        let lookback_days = lookback_micros.filter(|_| cutoff == Cutoff::Day).and_then(cutoff::whole_days);
        let time_cutoff = TimeCutoff { delay_micros, lookback_micros };
        let store = schema.store.clone();
        Self {
            out: out.into(),
            start,
            end,
            formats: vec![Format::Parquet, Format::Dense],
            history: length,
            lookback_days,
            time_cutoff: (cutoff == Cutoff::Time).then_some(time_cutoff),
            item_dtype: None,
            schema,
            invalid: InvalidRows::Fail,
            day_zone: None,
            csv_escape: None,
            store,
            sharding: Sharding::Rows(131_072),
            skip_existing: false,
            allow_empty_days: false,
            require_fresh: false,
            replace_non_atomic: false,
            device: Device::Auto,
            threads: None,
            memory: None,
            spill_dir: None,
        }
    }
}

/// The options of a run after every check that needs no data.
#[derive(Clone, Debug)]
pub struct Plan {
    options: Options,
    item_dtype: ItemDtype,
    day_zone: Option<Zone>,
    contents: Contents,
    days: Vec<Day>,
}

impl Plan {
    /// Checks the options.
    ///
    /// # Errors
    /// [`Error::Option`] names the option that makes no sense.
    pub fn new(mut options: Options) -> Result<Self> {
        if options.end < options.start {
            return Err(invalid(
                OptionName::End,
                format!("{} is before {} {}", options.end, OptionName::Start, options.start),
            ));
        }
        if options.formats.is_empty() {
            return Err(invalid(OptionName::Formats, "name at least one of parquet, dense, jagged".to_owned()));
        }
        options.out = on_disk(&options.out)?.into_owned();
        if matches!(Place::of(&options.out)?, Place::Store(address) if address.protocol == Protocol::Web) {
            let problem =
                "nothing can be written to an address of the web: name a folder, or an address of an object store";
            return Err(invalid(OptionName::Out, problem.to_owned()));
        }
        options.formats.sort_unstable();
        options.formats.dedup();
        if !(1..=MAX_HISTORY).contains(&options.history) {
            return Err(invalid(
                OptionName::History,
                format!("{} is not between 1 and {MAX_HISTORY}", options.history),
            ));
        }
        if options.lookback_days == Some(0) {
            return Err(invalid(OptionName::LookbackDays, "0 would hide every action; use 1 or more".to_owned()));
        }
        match options.sharding {
            Sharding::Rows(0) => return Err(invalid(OptionName::ShardRows, "use 1 or more".to_owned())),
            Sharding::Count(count) if !(1..=MAX_SHARDS).contains(&count) => {
                return Err(invalid(OptionName::Shards, format!("{count} is not between 1 and {MAX_SHARDS}")));
            }
            _ => {}
        }
        if let Some(threads) = options.threads.filter(|threads| !(1..=MAX_THREADS).contains(threads)) {
            let problem = format!("{threads} is not between 1 and {MAX_THREADS}; leave it out for one per processor");
            return Err(invalid(OptionName::Threads, problem));
        }
        let day_zone = options.day_zone.as_deref().map(day_zone).transpose()?;
        if options.csv_escape.is_some_and(|escape| !escape.is_ascii_graphic() || matches!(escape, '"' | ',')) {
            return Err(invalid(
                OptionName::CsvEscape,
                "use one ASCII character other than a quote or a comma".to_owned(),
            ));
        }
        let days = (options.start.0..=options.end.0).map(Day).collect();
        cutoff::check(&mut options)?;
        let item_dtype = item_dtype(&options)?;
        let contents = Contents::new(&options.schema);
        Ok(Self { options, item_dtype, day_zone, contents, days })
    }

    /// The checked options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The width of item ids in the outputs.
    #[must_use]
    pub fn item_dtype(&self) -> ItemDtype {
        self.item_dtype
    }

    /// The time zone in which the days of timestamps count, where one is asked for.
    #[must_use]
    pub fn day_zone(&self) -> Option<&Zone> {
        self.day_zone.as_ref()
    }

    /// The columns of samples and of actions.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// What a person should know of the options and may not expect.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let Some(TimeCutoff { delay_micros: 0, .. }) = self.options.time_cutoff else { return Vec::new() };
        let tables = self.options.schema.actions.iter().filter(|table| table.time.is_none());
        let note = |table: &ActionTable| {
            format!("the table {} has no `time`: its actions count from the end of their day on", table.name)
        };
        tables.map(note).collect()
    }

    /// The days to build, ascending, without gaps; at least one.
    #[must_use]
    pub fn days(&self) -> &[Day] {
        &self.days
    }

    /// The same plan for some of its days.
    #[must_use]
    pub fn for_days(&self, days: Vec<Day>) -> Self {
        Self { days, ..self.clone() }
    }

    /// The place of a day among [`Plan::days`].
    #[must_use]
    pub fn day_index(&self, day: Day) -> Option<usize> {
        self.days.binary_search(&day).ok()
    }

    /// Whether a sample of `sample_day` sees an action that became known on `action_day`, as far as days decide.
    #[must_use]
    pub fn sees(&self, sample_day: Day, action_day: Day) -> bool {
        if self.options.time_cutoff.is_some() {
            return action_day <= sample_day;
        }
        action_day < sample_day
            && self
                .options
                .lookback_days
                .is_none_or(|days| i64::from(action_day.0) >= i64::from(sample_day.0) - i64::from(days))
    }

    /// The first and the last day of actions that days to build see, with gaps in between where they have some; no first
    /// where all of the past is seen, as far as days decide, no last where there are no days.
    #[must_use]
    pub fn visible_days(&self) -> (Option<Day>, Option<Day>) {
        if self.options.time_cutoff.is_some() {
            return (None, self.days.last().copied());
        }
        let back = self.options.lookback_days.and_then(|days| i32::try_from(days).ok());
        let first = self.days.first().zip(back).and_then(|(day, back)| day.0.checked_sub(back)).map(Day);
        // Before the first day of the calendar there is none to tell from all of the past.
        (first.filter(|day| day.in_calendar()), self.days.last().map(|day| Day(day.0 - 1)))
    }

    /// Whether any of the days to build sees an action that became known on `action_day`.
    #[must_use]
    pub fn any_sees(&self, action_day: Day) -> bool {
        // Days may have gaps (those already built are left out), so the first that is later decides.
        let next = self.days.partition_point(|&day| {
            if self.options.time_cutoff.is_some() { day < action_day } else { day <= action_day }
        });
        self.days.get(next).is_some_and(|&day| self.sees(day, action_day))
    }
}

/// The width of item ids: hashes and those without sign take all of 64 bits.
fn item_dtype(options: &Options) -> Result<ItemDtype> {
    let ids = match options.schema.item_ids {
        Ids::Int => return Ok(options.item_dtype.unwrap_or(ItemDtype::I32)),
        Ids::U64 => "u64",
        Ids::Hash => "hash",
    };
    if options.item_dtype == Some(ItemDtype::I32) {
        let problem = format!(
            "i32 has no room for the items, whose ids take 64 bits where the description says `item = \"{ids}\"`; leave the option out, or say i64"
        );
        return Err(invalid(OptionName::ItemDtype, problem));
    }
    Ok(ItemDtype::I64)
}

fn day_zone(name: &str) -> Result<Zone> {
    Zone::new(name).ok_or_else(|| {
        let problem = format!("{} is not a time zone; name one as Europe/Berlin or UTC", quoted(name));
        invalid(OptionName::DayZone, problem)
    })
}

fn invalid(option: OptionName, problem: String) -> Error {
    Error::Option { option, problem }
}

/// Reads a length of time as `90d`, `12h`, `30m`, `45s` or `500ms`, in microseconds.
///
/// ```
/// assert_eq!(shardback::config::parse_duration("12h"), Ok(43_200_000_000));
/// ```
///
/// # Errors
/// Says how to write one.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    schema::parse_duration(text)
        .ok_or_else(|| format!("{} is not a length of time; write it as 90d, 12h, 30m, 45s or 500ms", quoted(text)))
}

/// Reads a size as `8GiB`, `512M`, `2GB` or plain bytes: a whole number and a unit, where a lone letter is a power of 1024.
///
/// ```
/// use shardback::config::parse_size;
///
/// assert_eq!((parse_size("8GiB"), parse_size("2GB")), (Ok(8 << 30), Ok(2_000_000_000)));
/// ```
///
/// # Errors
/// Says how to write one.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err("write a size as 8GiB or 512MiB".to_owned()),
    };
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    size.ok_or_else(|| "write a size as 8GiB or 512MiB".to_owned())
}
