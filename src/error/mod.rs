//! What can go wrong, as data: each error names what, where and what to do.
//!
//! Imports nothing of this crate.

mod cuda;
mod option;
mod row;
mod text;

use std::borrow::Cow;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use cuda::cuda_code;
use text::{hand_over, in_row, known_days, list, mebibytes, no_folder, place};

pub use cuda::NoCuda;
pub use option::{OptionName, OptionSet, Spelling, spell_options};
pub use row::{BadRow, Reason};
pub use text::path_text;
pub(crate) use text::{as_text, quoted};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused something.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried: "read", "create", …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An option, or a combination of options, that makes no sense.
    #[error("{option}: {problem}")]
    Option {
        /// Which one.
        option: OptionName,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A description of tables, types and columns that makes no sense.
    #[error("{place}: {problem}")]
    Description {
        /// What of it, as `types.click`.
        place: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Text that should be a day.
    #[error("not a day: {} (write it as YYYY-MM-DD)", quoted(value))]
    Day {
        /// The text.
        value: String,
    },
    /// An address of a table that makes no sense, or may hold a secret.
    #[error("{address}: {problem}")]
    Address {
        /// The address, without what may be a secret.
        address: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A table without any file.
    #[error("{table}: no data files in `{}`: expected .parquet, .json, .jsonl, .ndjson, .csv or .tsv files (names starting with `_` or `.` are not data)", path.display())]
    NoFiles {
        /// The table.
        table: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file of which neither its name nor the description nor its first bytes say a known format.
    #[error("{table}: `{}` is not a table: expected .parquet, .json, .jsonl, .ndjson, .csv or .tsv (the text formats also as .gz or .zst); {problem}; move it away, or start its name with `_` to have it ignored", path.display())]
    UnknownFormat {
        /// The table.
        table: String,
        /// The file.
        path: PathBuf,
        /// What is known of it.
        problem: &'static str,
    },
    /// A path that gives no day, where paths give the day.
    #[error("{table}: `{}` has no day: nothing in this path is as `{pattern}` says; move the file away, start its name with `_` to have it ignored, or fix the pattern", path.display())]
    NoDayInPath {
        /// The table.
        table: String,
        /// The file.
        path: PathBuf,
        /// What the description says of its path.
        pattern: String,
    },
    /// A column that a table must have.
    #[error("{table}: no column `{column}` in {}{}; its columns: {}", place(file.as_deref()), no_folder(*from_folder, column), list(present))]
    MissingColumn {
        /// The table.
        table: String,
        /// The file, or the folder of the JSON files none of which has it, where the source is made of files.
        file: Option<PathBuf>,
        /// The column that is not there.
        column: String,
        /// Whether a folder `{column}=…` could give it too.
        from_folder: bool,
        /// The columns that are.
        present: Vec<String>,
    },
    /// A column of a type that cannot hold what it should.
    #[error("{table}: column `{column}` of {} is {found}, expected {expected}", place(file.as_deref()))]
    ColumnType {
        /// The table.
        table: String,
        /// The file, where the source is one.
        file: Option<PathBuf>,
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// What it can be.
        expected: Cow<'static, str>,
    },
    /// A row that breaks the contract, when such rows are not to be left out.
    #[error("{0}")]
    BadRow(Box<BadRow>),
    /// A Parquet file that cannot be decoded.
    #[error("{table}: `{}` is not readable Parquet", file.display())]
    Parquet {
        /// The table.
        table: String,
        /// The file.
        file: PathBuf,
        /// What the decoder said.
        source: ParquetError,
    },
    /// A line that is no JSON object, or a CSV record of the wrong shape.
    #[error("{table}: `{}`, line {line}: {problem}", file.display())]
    Text {
        /// The table.
        table: String,
        /// The file.
        file: PathBuf,
        /// The line; the first is 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A source of record batches that failed.
    #[error("{table}: the source failed: {problem}")]
    Source {
        /// The table.
        table: String,
        /// What it said.
        problem: String,
    },
    /// A folder that belongs to a table of a format that keeps its own record of which files, and rows of them, count.
    #[error("{table}: `{}` is part of a table in the format {format}: its files also hold rows that were deleted or replaced; {}", path.display(), hand_over(format))]
    TableFormat {
        /// The table.
        table: String,
        /// What shows it.
        path: PathBuf,
        /// Delta, Iceberg or Hudi.
        format: &'static str,
    },
    /// A file that two names lead to.
    #[error("{table}: `{}` and `{}` are one file, whose rows would count twice; name one of them, or move the link away", first.display(), second.display())]
    SameFile {
        /// The table.
        table: String,
        /// One name.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Two files of a folder whose names differ only in what says the format.
    #[error("{table}: `{}` and `{}` seem to be one file in two forms, whose rows would count twice; move one of them away, or give it another name", first.display(), second.display())]
    SameName {
        /// The table.
        table: String,
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A file that is no longer what it was when the run began.
    #[error("{table}: `{}` changed while the run was reading it; run again when nothing writes to the table", path.display())]
    Changed {
        /// The table.
        table: String,
        /// The file.
        path: PathBuf,
    },
    /// Two columns of the name of a wanted one.
    #[error("{table}: two columns `{column}` in {}: which of them counts is not known", place(file.as_deref()))]
    TwoColumns {
        /// The table.
        table: String,
        /// The file, where the source is one.
        file: Option<PathBuf>,
        /// The name.
        column: String,
    },
    /// A column of days that are instants, and no zone to tell the days by.
    #[error("{table}: {}{}, column `{column}`: {problem}", place(file.as_deref()), in_row(*row))]
    DayZone {
        /// The table.
        table: String,
        /// The file, where the source is one.
        file: Option<PathBuf>,
        /// The row, where it is known.
        row: Option<u64>,
        /// The column.
        column: String,
        /// What is not known, and what to do.
        problem: String,
    },
    /// Lines of impressions most of which show nothing.
    #[error(
        "{table}: {rows} of {of} lines have none of the keys {keys}: most likely theirs have other names; rename them, or give lines that show nothing the key with `null` or `[]`"
    )]
    NothingShown {
        /// The table.
        table: String,
        /// Those lines.
        rows: u64,
        /// All lines.
        of: u64,
        /// The keys of which a line that shows something has one.
        keys: String,
    },
    /// A requested day without any valid sample.
    #[error("no impressions on {day}{}; name other days, or write empty ones with `{}`", known_days(*rows, .first_and_last.as_ref()), OptionName::AllowEmptyDays)]
    EmptyDay {
        /// The day.
        day: String,
        /// Its valid rows, all without an item.
        rows: u64,
        /// The first and last day that the table has rows of, where it has any.
        first_and_last: Option<(String, String)>,
    },
    /// A table of actions that most likely is not complete yet, where fresh ones are asked for.
    #[error(
        "{table}: no row on the day before {day}, though there are some up to {last}: the table may be late; build when it is complete, or without `{}`",
        OptionName::RequireFresh
    )]
    Late {
        /// The table.
        table: String,
        /// The day to build.
        day: String,
        /// The last day before it on which the table has rows.
        last: String,
    },
    /// More than a run can hold.
    #[error("too many {what}: {count}, at most {limit} in one run; build fewer days at a time")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: u64,
        /// How many there may be.
        limit: u64,
    },
    /// Another run holds the output.
    #[error("another run is writing to `{}`; wait for it to end, or choose another `{}`", path.display(), OptionName::Out)]
    Locked {
        /// The output folder.
        path: PathBuf,
    },
    /// A day in a store that another run has published in the meantime.
    #[error("`{}`: another run has published this day since this one began, and it is left as it is; run again to replace it", path.display())]
    Raced {
        /// The day.
        path: PathBuf,
    },
    /// A file system that cannot exchange two folders in one step.
    #[error("the file system of `{}` cannot replace a day in one step; replace it in two with `{}`, or choose another `{}`", path.display(), OptionName::ReplaceNonAtomic, OptionName::Out)]
    NoExchange {
        /// The folder that would be replaced.
        path: PathBuf,
    },
    /// A shard, part or manifest that is not what it should be.
    #[error("`{}`: {problem}", path.display())]
    Corrupt {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Encoding an output failed.
    #[error("cannot encode `{}`", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        source: ParquetError,
    },
    /// Too little memory to work with.
    #[error("the memory is too small: {}, and {} are needed; raise `{}`, or build fewer days at a time", mebibytes(*given), mebibytes(*needed), OptionName::Memory)]
    Memory {
        /// The bytes there are.
        given: u64,
        /// The bytes it takes.
        needed: u64,
    },
    /// No CUDA device can be used.
    #[error("no CUDA device can be used: {0}; `{cpu}` does without", cpu = OptionName::Device.set_to("cpu"))]
    NoCuda(NoCuda),
    /// A CUDA device that failed at work.
    #[error("CUDA: {call} failed: {}", cuda_code(*code))]
    Cuda {
        /// What was tried.
        call: &'static str,
        /// The driver's `CUresult`.
        code: u32,
    },
    /// Rows that a CUDA device has no room for.
    #[error("the device has {} free, and {} are needed", mebibytes(*free), mebibytes(*needed))]
    DeviceMemory {
        /// The bytes that it takes.
        needed: u64,
        /// The bytes that are free.
        free: u64,
    },
    /// Memory of the host that a device reads directly, which whoever allocates it does not give.
    #[error("no memory for batches that the device reads directly: {problem}")]
    PinnedMemory {
        /// What it says.
        problem: String,
    },
    /// Arrays or requests for a device that do not fit together.
    #[error("{what}: {problem}")]
    Arrays {
        /// Which.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// What a task of a cluster found wrong with a table.
    #[error("{message}")]
    Task {
        /// The task's own error, which says what, where and what to do.
        message: String,
    },
    /// Results of a cluster's tasks that do not make up a run.
    #[error("the results of the tasks do not fit together: {problem}; run the job again")]
    Tasks {
        /// What does not fit.
        problem: String,
    },
    /// Something that cannot happen has happened: a fault of this library, whatever the data is.
    #[error("internal error: this does not hold: {assumption} ({}:{}); it is a fault of shardback and not of your data, please report it", source_file(location), location.line())]
    Internal {
        /// What should always hold, as a sentence.
        assumption: &'static str,
        /// Where it was found out.
        location: &'static Location<'static>,
    },
    /// The run was told to stop.
    #[error("interrupted")]
    Interrupted,
    /// A table's file or folder that the system or the decompressor refused.
    #[error("{table}: cannot {action} `{}`", path.display())]
    Unreadable {
        /// The table.
        table: String,
        /// What was tried: "read", "decompress".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

impl Error {
    /// Wraps what the system said with what was tried and on what.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// What cannot happen, where it is found to have happened: `assumption` says what should always hold, as in "a window lies
    /// inside the actions".
    #[must_use]
    #[track_caller]
    pub fn internal(assumption: &'static str) -> Self {
        Self::Internal { assumption, location: Location::caller() }
    }
}

/// The file of a location from the sources' folder on: what comes before it is a path of the machine that compiled it.
fn source_file(location: &Location<'static>) -> &'static str {
    let file = location.file();
    file.rfind("src/").map_or(file, |start| &file[start..])
}

/// What is there by an invariant.
pub(crate) trait Invariant<T> {
    /// The value, or [`Error::Internal`] that says what should hold.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is none.
    fn invariant(self, assumption: &'static str) -> Result<T>;
}

impl<T> Invariant<T> for Option<T> {
    #[track_caller]
    fn invariant(self, assumption: &'static str) -> Result<T> {
        // Not a closure: it would be the caller.
        match self {
            Some(value) => Ok(value),
            None => Err(Error::internal(assumption)),
        }
    }
}

impl<T, E> Invariant<T> for Result<T, E> {
    #[track_caller]
    fn invariant(self, assumption: &'static str) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(_) => Err(Error::internal(assumption)),
        }
    }
}
