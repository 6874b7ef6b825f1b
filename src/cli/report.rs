//! `shardback report`: a page about the days of an output.

use std::path::PathBuf;

use shardback::error::{Error, OptionName, path_text};
use shardback::fsio;
use shardback::open::PlaceKind;
use shardback::report::{Report, report};
use shardback::store::is_in_store;

use super::exit::Exit;
use super::stores::StoreArguments;
use super::{print, text};

/// Write a page about the days of an output: one HTML file for a browser or a printer, without scripts.
///
/// Shows samples, labels, history lengths, actions, tables, rows that were left out and sizes by day, and names the days that
/// stand out, such as one with half of the usual samples. Reads the manifests and no shards.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// An output, a format's folder, or a day's folder; or its address in an object store
    path: PathBuf,
    /// The file to write, or - for stdout; report.html in the output if not given
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Say nothing but errors
    #[arg(long, short)]
    quiet: bool,
    /// Print what the page says as JSON, and write no page
    #[arg(long, conflicts_with = "to")]
    json: bool,
    #[command(flatten)]
    stores: StoreArguments,
}

/// The name of the page in an output.
const PAGE: &str = "report.html";

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let path = arguments.stores.on_disk(&arguments.path)?;
    let report = report(&path)?;
    if arguments.json {
        print::out(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
        return Ok(Exit::Done);
    }
    let to = match (&arguments.to, report.kind) {
        (Some(to), _) if to.as_os_str() == "-" => {
            print::out(&report.page())?;
            return Ok(Exit::Done);
        }
        (Some(to), _) => to.clone(),
        (None, PlaceKind::Output) if !is_in_store(&arguments.path) => arguments.path.join(PAGE),
        // A file there would be none that belongs there.
        (None, _) => {
            let problem = format!("name the file to write, as `{}`", OptionName::To.set_to("report.html"));
            return Err(Error::Option { option: OptionName::To, problem }.into());
        }
    };
    fsio::replace_file(&to, report.page().as_bytes())?;
    if !arguments.quiet {
        print::out(&describe(&report))?;
        print::out(&format!("wrote  {}\n", path_text(&to)))?;
    }
    Ok(Exit::Done)
}

/// What stands out, for a terminal.
fn describe(report: &Report) -> String {
    let days = text::counted(report.days.len() as u64, "day");
    let mut lines = vec![match report.marks.len() {
        0 => format!("{days}, none of which stands out"),
        _ => format!("{days}; what stands out:"),
    }];
    for mark in &report.marks {
        let day = mark.day.map_or_else(|| "no day".to_owned(), |day| day.to_string());
        lines.push(format!("  {day}  {}", mark.oddity));
    }
    lines.push(String::new());
    lines.join("\n")
}
