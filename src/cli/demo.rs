//! `shardback demo`: the bundled sample, built and shown.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};
use shardback::config::{Format, Options, Plan};
use shardback::event::Day;
use shardback::fsio;
use shardback::pipeline::{self, Input, Tables};
use shardback::schema::Schema;

use super::build;
use super::exit::Exit;
use super::inspect;
use super::interrupt;
use super::print;
use super::progress::Progress;

static SAMPLE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/data/sample");

/// Build the bundled sample in all formats and show what came out.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The folder for the sample's tables and the results
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    interrupt::listen()?;
    let tables = arguments.out.join("tables");
    unpack(&SAMPLE, &tables)?;
    let (start, end) = ("2025-08-14".parse::<Day>()?, "2025-08-16".parse::<Day>()?);
    let (out, shown) = (arguments.out.display(), tables.display());
    say(format!("The sample's tables are in {shown}. This builds three days of them in all formats:\n"))?;
    say(format!("  shardback build --impressions {shown}/impressions --clicks {shown}/clicks \\"))?;
    say(format!("    --add-to-carts {shown}/add_to_carts --previous-orders {shown}/previous_orders \\"))?;
    say(format!("    --start {start} --end {end} --formats parquet,dense,jagged --out {out}\n"))?;
    let plan = Plan::new(Options { formats: Format::ALL.to_vec(), ..Options::new(&arguments.out, start, end) })?;
    let table = |name: &str| Input::Path(tables.join(name));
    let inputs = Tables {
        impressions: table("impressions"),
        actions: Schema::built_in()
            .actions
            .into_iter()
            .map(|actions| (actions.clone(), table(&actions.name)))
            .collect(),
    };
    let summary = pipeline::build(&plan, inputs, &Progress::new(false))?;
    say(build::describe(&summary))?;
    say(format!("What a day holds:\n\n  shardback inspect {out}/jagged/dt={end}\n"))?;
    inspect::show(&arguments.out.join(format!("jagged/dt={end}")))?;
    say("\nTry next:\n")?;
    say(format!("  shardback inspect {out}/jagged/dt={end} --customer 1003    one customer's history"))?;
    say(format!("  shardback verify {out}                                    every hash, count and rule"))?;
    say("  shardback generate tables && shardback build --help       your own tables, any size")?;
    Ok(Exit::Done)
}

fn say(line: impl Display) -> anyhow::Result<()> {
    print::out(&format!("{line}\n"))
}

/// Writes the bundled files that are not there yet, or not whole.
fn unpack(folder: &Dir<'_>, target: &Path) -> anyhow::Result<()> {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(folder) => unpack(folder, target)?,
            DirEntry::File(file) => {
                let path = target.join(file.path());
                if !std::fs::read(&path).is_ok_and(|there| there == file.contents()) {
                    fsio::create_folders(path.parent().unwrap_or(target))?;
                    fsio::write_file(&path, file.contents())?;
                }
            }
        }
    }
    Ok(())
}
