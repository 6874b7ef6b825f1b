//! `shardback verify`: whether published days are what their manifests say.

use std::path::{Path, PathBuf};

use serde::Serialize;
use shardback::error::path_text;
use shardback::verify::{Report, verify};

use super::exit::Exit;
use super::stores::StoreArguments;
use super::{print, text};

/// Check days: hashes, structure, invariants; exits with 1 and every fault named where there is any.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Days' folders, formats' folders, or outputs; or their addresses in an object store
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Say nothing but faults
    #[arg(long, short)]
    quiet: bool,
    /// Print the reports as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stores: StoreArguments,
}

/// What is printed of a path with `--json`.
#[derive(Serialize)]
struct Json<'a> {
    path: String,
    report: &'a Report,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (mut reports, mut unread) = (Vec::new(), None);
    for path in &arguments.paths {
        match arguments.stores.on_disk(path).and_then(|path| verify(&path)) {
            Ok(report) => reports.push((path, report)),
            // What was found until here is told first.
            Err(error) => {
                unread = Some(error);
                break;
            }
        }
    }
    if arguments.json {
        let reports: Vec<_> = reports.iter().map(|(path, report)| Json { path: path_text(path), report }).collect();
        print::out(&format!("{}\n", serde_json::to_string_pretty(&reports)?))?;
    } else {
        for (path, report) in &reports {
            tell(path, report, arguments.quiet)?;
        }
    }
    if let Some(error) = unread {
        return Err(error.into());
    }
    let sound = reports.iter().all(|(_, report)| report.faults.is_empty());
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

fn tell(path: &Path, report: &Report, quiet: bool) -> anyhow::Result<()> {
    for fault in &report.faults {
        print::err(&format!("fault: `{}`: {}", fault.path.display(), fault.problem));
    }
    if quiet {
        return Ok(());
    }
    for note in &report.notes {
        print::out(&format!("note: {note}\n"))?;
    }
    let verdict = match report.faults.len() as u64 {
        0 => "no fault".to_owned(),
        faults => text::counted(faults, "fault"),
    };
    let (days, rows) = (text::counted(report.days, "day"), text::counted(report.rows, "row"));
    print::out(&format!("{}: {verdict} in {days} with {rows}, {}\n", path.display(), text::bytes(report.bytes)))?;
    if report.requests > 0 {
        let (checked, requests) = (text::count(report.cutoffs_checked), text::counted(report.requests, "request"));
        print::out(&format!("cut-offs seen to hold for {checked} of {requests}\n"))?;
    }
    Ok(())
}
