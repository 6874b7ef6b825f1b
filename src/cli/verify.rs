//! `shardback verify`: whether published days are what their manifests say.

use std::path::PathBuf;

use serde_json::json;
use shardback::verify::{Report, verify};

use super::exit::Exit;
use super::text;

/// Check days: hashes, structure, invariants; exits with 1 and every fault named where there is any.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Days' folders, formats' folders, or outputs
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Say nothing but faults
    #[arg(long, short)]
    quiet: bool,
    /// Print the reports as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut reports = Vec::new();
    for path in &arguments.paths {
        reports.push((path, verify(path)?));
    }
    if arguments.json {
        let reports: Vec<_> = reports.iter().map(|(path, report)| json!({ "path": path, "report": report })).collect();
        println!("{}", serde_json::to_string_pretty(&reports)?);
    } else {
        for (path, report) in &reports {
            print(path, report, arguments.quiet);
        }
    }
    let sound = reports.iter().all(|(_, report)| report.faults.is_empty());
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

fn print(path: &std::path::Path, report: &Report, quiet: bool) {
    for fault in &report.faults {
        eprintln!("fault: `{}`: {}", fault.path.display(), fault.problem);
    }
    if quiet {
        return;
    }
    for note in &report.notes {
        println!("note: {note}");
    }
    let verdict = match report.faults.len() as u64 {
        0 => "no fault".to_owned(),
        faults => text::counted(faults, "fault"),
    };
    let (days, rows) = (text::counted(report.days, "day"), text::counted(report.rows, "row"));
    println!("{}: {verdict} in {days} with {rows}, {}", path.display(), text::bytes(report.bytes));
}
