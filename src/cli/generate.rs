//! `shardback generate`: synthetic tables.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use shardback::error::path_text;
use shardback::event::Day;
use shardback::generate::{self, Options, TableFormat};

use super::exit::Exit;
use super::progress::Progress;
use super::{interrupt, print, text};

/// Make synthetic tables of any size: heavy-tailed, seeded, the same bytes each time.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A folder that is new or empty
    out: PathBuf,
    /// Customers that may act
    #[arg(long, value_name = "N", default_value_t = Options::default().customers)]
    customers: u64,
    /// Actions of a customer, on average
    #[arg(long, value_name = "N", default_value_t = Options::default().mean_actions)]
    mean_actions: f64,
    /// How unevenly customers act: 0 makes them alike, 1.6 gives a heavy tail
    #[arg(long, value_name = "S", default_value_t = Options::default().sigma)]
    sigma: f64,
    /// Days of actions
    #[arg(long, value_name = "N", default_value_t = Options::default().days)]
    days: u32,
    /// How many of the last days have impressions
    #[arg(long, value_name = "N", default_value_t = Options::default().impression_days)]
    impression_days: u32,
    /// Impression rows a day
    #[arg(long, value_name = "N", default_value_t = Options::default().rows_per_day)]
    rows_per_day: u64,
    /// Items of an impression row, on average
    #[arg(long, value_name = "N", default_value_t = Options::default().slate)]
    slate: f64,
    /// Distinct items
    #[arg(long, value_name = "N", default_value_t = Options::default().items)]
    items: u64,
    /// The last day of all tables
    #[arg(long, value_name = "DAY", default_value_t = Options::default().last_day)]
    last_day: Day,
    /// Other seeds give other tables of the same shape
    #[arg(long, value_name = "N", default_value_t = Options::default().seed)]
    seed: u64,
    /// The share of clicks and add-to-carts that arrive up to three days after their time
    #[arg(long, value_name = "SHARE", default_value_t = Options::default().late_share)]
    late_share: f64,
    /// The share of all actions that one enormous customer has
    #[arg(long, value_name = "SHARE", default_value_t = Options::default().giant_share)]
    giant_share: f64,
    /// The share of impression rows that go to customers without any action
    #[arg(long, value_name = "SHARE", default_value_t = Options::default().cold_share)]
    cold_share: f64,
    /// The format of the tables
    #[arg(long, value_name = "FORMAT", default_value = "parquet")]
    format: Format,
    /// More columns, and a description of them, OUT/shop.toml, with a cut-off at the time: requests with times and ids, a second
    /// label, prices
    #[arg(long)]
    described: bool,
    /// Say nothing but errors
    #[arg(long, short)]
    quiet: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Json {
    out: String,
    actions: u64,
    impression_rows: u64,
    samples: u64,
    files: u64,
    bytes: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Parquet,
    Json,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let options = arguments.options();
    interrupt::listen()?;
    let summary = generate::generate(&arguments.out, &options, &Progress::new(arguments.quiet))?;
    if arguments.json {
        let json = Json {
            out: path_text(&arguments.out),
            actions: summary.actions,
            impression_rows: summary.impression_rows,
            samples: summary.samples,
            files: summary.files,
            bytes: summary.bytes,
        };
        print::out(&format!("{}\n", serde_json::to_string_pretty(&json)?))?;
    } else if !arguments.quiet {
        let (actions, rows) =
            (text::counted(summary.actions, "action"), text::counted(summary.impression_rows, "impression row"));
        let (files, bytes) = (text::counted(summary.files, "file"), text::bytes(summary.bytes));
        let (out, items) = (arguments.out.display(), text::counted(summary.samples, "item"));
        print::out(&format!("{out}: {actions}, {rows} with {items}, {files}, {bytes}\n"))?;
    }
    Ok(Exit::Done)
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            customers: self.customers,
            mean_actions: self.mean_actions,
            sigma: self.sigma,
            days: self.days,
            impression_days: self.impression_days,
            rows_per_day: self.rows_per_day,
            slate: self.slate,
            items: self.items,
            last_day: self.last_day,
            seed: self.seed,
            late_share: self.late_share,
            giant_share: self.giant_share,
            cold_share: self.cold_share,
            format: match self.format {
                Format::Parquet => TableFormat::Parquet,
                Format::Json => TableFormat::Json,
            },
            is_described: self.described,
        }
    }
}
