//! `shardback build`: days from tables.

use std::path::PathBuf;

use clap::ValueEnum;
use shardback::config::{self, CutoffOptions, InvalidRows, Options, Plan, Sharding};
use shardback::error::{Error, OptionName, Result};
use shardback::event::Day;
use shardback::pipeline::{self, LateTable, Summary};
use shardback::schema::{self, Schema};

use super::exit::Exit;
use super::progress::Progress;
use super::tables::{TableArguments, ValueArguments};
use super::{interrupt, places, print, text};

/// Build a day, or a range of days in one pass.
///
/// A table is a file, a folder, a hive-partitioned folder, or a pattern of names, in Parquet, JSON or CSV (the last two also
/// as .gz or .zst), on a disk or at an address in a store, as s3://bucket/folder. Each day is published whole, by one rename per format, under OUT/FORMAT/dt=DAY; in a store, by one write of its manifest.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    tables: TableArguments,
    /// The folder for the results
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The day to build, as YYYY-MM-DD
    #[arg(long, alias = "process-date", value_name = "DAY", conflicts_with_all = ["start", "end"], help_heading = "Days")]
    date: Option<Day>,
    /// The first day to build
    #[arg(long, alias = "from", value_name = "DAY", requires = "end", help_heading = "Days")]
    start: Option<Day>,
    /// The last day to build, inclusive
    #[arg(long, alias = "to", value_name = "DAY", requires = "start", help_heading = "Days")]
    end: Option<Day>,
    /// What to write
    #[arg(long, alias = "format", value_name = "FORMATS", value_delimiter = ',', default_value = "parquet,dense")]
    formats: Vec<Format>,
    /// K: how many actions a row has, newest first, zero-padded; 1000, or what the description says, if not given
    #[arg(long, value_name = "K")]
    history: Option<usize>,
    /// How many days back a sample sees; all of them, or what the description says, if not given
    #[arg(long, value_name = "N")]
    lookback_days: Option<u32>,
    /// From when on nothing is seen: the day of the sample, or its own time; day, or what the description says, if not given
    #[arg(long, value_name = "WHAT")]
    cutoff: Option<Cutoff>,
    /// With --cutoff time: how far back a request sees, as 90d, 12h or 30m
    #[arg(long, value_name = "TIME", value_parser = config::parse_duration, conflicts_with = "lookback_days")]
    lookback: Option<i64>,
    /// With --cutoff time: an action is seen only so long after its time, as 5m or 30s
    #[arg(long, value_name = "TIME", value_parser = config::parse_duration)]
    delay: Option<i64>,
    #[command(flatten)]
    values: ValueArguments,
    /// Rows that break the contract: stop at the first, or leave them out and keep them in _rejected.jsonl
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    invalid: Invalid,
    /// About how many samples a shard holds
    #[arg(long, value_name = "N", default_value_t = 131_072, conflicts_with = "shards")]
    shard_rows: u64,
    /// How many shards a day has
    #[arg(long, value_name = "N")]
    shards: Option<u32>,
    /// Leave days alone that an earlier run with the same options has published
    #[arg(long)]
    skip_existing: bool,
    /// Write days without impressions, with no rows, instead of failing
    #[arg(long)]
    allow_empty_days: bool,
    /// Fail, before anything is published, if a table of actions has no row on the day before a built day but has some before that
    #[arg(long)]
    require_fresh: bool,
    /// Replace a day in two steps where the file system cannot do it in one
    #[arg(long)]
    replace_non_atomic: bool,
    /// What pads the rows of dense shards; auto is the processor, and cuda fails where there is no such device
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: Device,
    /// How many threads work, at most 1024; one for each processor that the process may use if not given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The most memory to use, as 8GiB or 512MiB; three quarters of what the machine, or its control group, has if not given
    #[arg(long, value_name = "SIZE", value_parser = config::parse_size)]
    memory: Option<u64>,
    /// A folder for what memory has no room for; inside OUT if not given. Where OUT is an address, days are made there first, or among the system's temporary files
    #[arg(long, value_name = "DIR")]
    spill_dir: Option<PathBuf>,
    /// Say nothing but errors
    #[arg(long, short)]
    quiet: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Parquet,
    Dense,
    Jagged,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cutoff {
    Day,
    Time,
}

#[derive(Clone, Copy, ValueEnum)]
enum Invalid {
    Fail,
    Skip,
}

#[derive(Clone, Copy, ValueEnum)]
enum Device {
    Auto,
    Cpu,
    Cuda,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let options = arguments.options(arguments.tables.schema()?)?;
    let (quiet, as_json) = (arguments.quiet, arguments.json);
    let tables = arguments.tables.tables(&options.schema)?;
    let plan = Plan::new(options)?;
    interrupt::listen()?;
    let summary = pipeline::build(&plan, tables, &Progress::new(quiet))?;
    if as_json {
        print::out(&format!("{}\n", summary.to_json()?))?;
    } else if !quiet {
        print::out(&describe(&summary))?;
    }
    if !quiet {
        plan.notes().iter().for_each(|note| print::err(&format!("note: {note}")));
        places::other_builds(&plan.options().out, &summary).iter().for_each(|note| print::err(note));
    }
    Ok(Exit::Done)
}

impl Arguments {
    fn options(&self, schema: Schema) -> Result<Options> {
        let (Some(start), Some(end)) = (self.date.or(self.start), self.date.or(self.end)) else {
            let problem = format!(
                "name the day to build, or the first and the last with {} and {}",
                OptionName::Start,
                OptionName::End
            );
            return Err(Error::Option { option: OptionName::Date, problem });
        };
        let defaults = Options::described(schema, &self.out, start, end);
        let defaults = defaults.with_cutoff(CutoffOptions {
            cutoff: self.cutoff.map(Into::into),
            lookback_days: self.lookback_days,
            lookback_micros: self.lookback,
            delay_micros: self.delay,
        })?;
        Ok(Options {
            formats: self.formats.iter().map(|&format| format.into()).collect(),
            history: self.history.unwrap_or(defaults.history),
            item_dtype: self.values.item_dtype(),
            invalid: match self.invalid {
                Invalid::Fail => InvalidRows::Fail,
                Invalid::Skip => InvalidRows::Skip,
            },
            day_zone: self.values.day_zone.clone(),
            csv_escape: self.values.csv_escape,
            store: defaults.store.clone().with(&self.tables.store()),
            sharding: self.shards.map_or(Sharding::Rows(self.shard_rows), Sharding::Count),
            skip_existing: self.skip_existing,
            allow_empty_days: self.allow_empty_days,
            require_fresh: self.require_fresh,
            replace_non_atomic: self.replace_non_atomic,
            device: match self.device {
                Device::Auto => config::Device::Auto,
                Device::Cpu => config::Device::Cpu,
                Device::Cuda => config::Device::Cuda,
            },
            threads: self.threads,
            memory: self.memory,
            spill_dir: self.spill_dir.clone(),
            ..defaults
        })
    }
}

impl From<Cutoff> for schema::Cutoff {
    fn from(cutoff: Cutoff) -> Self {
        match cutoff {
            Cutoff::Day => Self::Day,
            Cutoff::Time => Self::Time,
        }
    }
}

impl From<Format> for config::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Parquet => Self::Parquet,
            Format::Dense => Self::Dense,
            Format::Jagged => Self::Jagged,
        }
    }
}

/// What a build did, for a person.
pub(super) fn describe(summary: &Summary) -> String {
    let mut lines = vec![String::new()];
    for table in &summary.tables {
        let rejected = match table.rejected {
            0 => String::new(),
            rejected => format!(", {} left out", text::counted(rejected, "row")),
        };
        let nothing = match table.shows_nothing {
            0 => String::new(),
            lines => format!(", {} with neither an item nor a list of items", text::counted(lines, "line")),
        };
        let files = if table.files.is_empty() {
            String::new()
        } else {
            format!(" in {}", text::counted(table.files.len() as u64, "file"))
        };
        let rows = text::counted(table.rows, "row");
        lines.push(format!("read   {:16} {rows}{rejected}{nothing}, {}{files}", table.table, text::bytes(table.bytes)));
    }
    for day in &summary.days {
        for format in &day.formats {
            let rows = text::counted(day.samples, "row");
            let files = text::counted(format.files as u64, "shard");
            lines.push(format!("wrote  {}  {rows}, {files}, {}", format.path.display(), text::bytes(format.bytes)));
        }
    }
    for day in &summary.days {
        for LateTable { table, last } in &day.late {
            lines.push(format!(
                "late   {table} has no row on the day before {}; the last it has before that are of {last}",
                day.day
            ));
        }
    }
    if !summary.skipped.is_empty() {
        let days: Vec<String> = summary.skipped.iter().map(ToString::to_string).collect();
        lines.push(format!("kept   {} (already built with these options)", days.join(", ")));
    }
    let stages: Vec<String> =
        summary.stages.iter().map(|stage| format!("{} {}", stage.stage, text::seconds(stage.elapsed))).collect();
    if !stages.is_empty() {
        lines.push(format!("time   {}", stages.join(", ")));
    }
    lines.push(format!("device {}", summary.device));
    let memory = summary.peak_memory.map_or_else(String::new, |peak| format!(", peak memory {}", text::bytes(peak)));
    let threads = text::counted(summary.threads as u64, "thread");
    let spilled = match summary.spilled {
        0 => String::new(),
        spilled => format!(", {} spilled", text::bytes(spilled)),
    };
    lines.push(format!("total  {} on {threads}{memory}{spilled}", text::seconds(summary.elapsed)));
    lines.push(String::new());
    lines.join("\n")
}
