//! Protects: days as version 1 of the format has them are refused by what opens them, with their version and what to do.
//!
//! [tests/data/format-1](../data/format-1) was written by the last program that wrote that version: a day in each format, of two
//! customers.

use std::path::{Path, PathBuf};

use shardback::config::Format;
use shardback::inspect::{Selection, inspect};
use shardback::open::{DayFolder, Shard};
use shardback::verify::verify;

use crate::cli::{Run, run, shardback};

const OUT: &str = "tests/data/format-1";
const PROBLEM: &str = "format version 1, this program reads version 2: build the day again";

fn folder(format: Format) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(OUT).join(format.name()).join("dt=2025-08-16")
}

/// By the library: a day, and a shard without its manifest.
#[test]
fn days_of_version_1_are_to_be_built_again() {
    for format in Format::ALL {
        let folder = folder(format);
        let manifest = folder.join("_manifest.json");
        let expected = format!("`{}`: {PROBLEM}", manifest.display());
        assert_eq!(DayFolder::open(&folder).unwrap_err().to_string(), expected);
        assert_eq!(inspect(&folder, Selection { rows: 3, customer: None }).unwrap_err().to_string(), expected);
        let shard = folder.join(format.shard_file(0));
        assert!(shard.exists(), "{}", shard.display());
        if format != Format::Parquet {
            assert_eq!(Shard::open(&shard).unwrap_err().to_string(), format!("`{}`: {PROBLEM}", shard.display()));
        }
        let report = verify(&folder).unwrap();
        let faults: Vec<(&Path, &str)> =
            report.faults.iter().map(|fault| (fault.path.as_path(), fault.problem.as_str())).collect();
        assert_eq!(faults, [(manifest.as_path(), PROBLEM)]);
    }
}

/// By the command line: one line, and a failure.
#[test]
fn commands_say_so() {
    let Run { code, stderr, .. } = run(shardback().args(["inspect", &format!("{OUT}/jagged/dt=2025-08-16")]));
    assert_eq!(code, 1);
    assert_eq!(stderr, format!("error: `{OUT}/jagged/dt=2025-08-16/_manifest.json`: {PROBLEM}\n"));
    let Run { code, stdout, stderr } = run(shardback().args(["verify", OUT]));
    assert_eq!(code, 1);
    for format in Format::ALL {
        let said = format!("fault: `{OUT}/{}/dt=2025-08-16/_manifest.json`: {PROBLEM}\n", format.name());
        assert!(stdout.contains(&said) || stderr.contains(&said), "{stdout}{stderr}");
    }
}
