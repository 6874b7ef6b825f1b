//! What can go wrong, as data: each error names what, where and what to do.
//!
//! Imports nothing of this crate.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a row cannot be used, in the order in which a row is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The day is null.
    NullDay,
    /// The day is no day.
    UnparsableDay,
    /// The customer is null.
    NullCustomer,
    /// The customer id does not fit 64 bits.
    CustomerOutOfRange,
    /// The item is null.
    NullItem,
    /// The item id does not fit the output's dtype.
    ItemOutOfRange,
    /// The label is null.
    NullLabel,
    /// The time is no time.
    UnparsableTime,
}

impl Reason {
    /// Every reason, in the order of the checks.
    pub const ALL: [Self; 8] = [
        Self::NullDay,
        Self::UnparsableDay,
        Self::NullCustomer,
        Self::CustomerOutOfRange,
        Self::NullItem,
        Self::ItemOutOfRange,
        Self::NullLabel,
        Self::UnparsableTime,
    ];

    /// The name used in manifests and in `_rejected.jsonl`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NullDay => "null_day",
            Self::UnparsableDay => "unparsable_day",
            Self::NullCustomer => "null_customer",
            Self::CustomerOutOfRange => "customer_out_of_range",
            Self::NullItem => "null_item",
            Self::ItemOutOfRange => "item_out_of_range",
            Self::NullLabel => "null_label",
            Self::UnparsableTime => "unparsable_time",
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::NullDay => "the day is null",
            Self::UnparsableDay => "not a day (YYYY-MM-DD)",
            Self::NullCustomer => "the customer is null",
            Self::CustomerOutOfRange => "the customer id does not fit 64 bits",
            Self::NullItem => "the item is null",
            Self::ItemOutOfRange => "the item id does not fit the item dtype",
            Self::NullLabel => "the label is null",
            Self::UnparsableTime => "not a time (RFC 3339)",
        }
    }

    /// Whether the column holds nothing, so that there is no value to show.
    fn is_null(self) -> bool {
        matches!(self, Self::NullDay | Self::NullCustomer | Self::NullItem | Self::NullLabel)
    }

    fn advice(self) -> &'static str {
        match self {
            Self::ItemOutOfRange => "build with `--item-dtype i64`",
            _ => "mend the row",
        }
    }
}

/// A row that breaks the contract, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The table, as the command line names it.
    pub table: String,
    /// The file, where the source is one.
    pub file: Option<PathBuf>,
    /// The line of a text file, else the row in the file or source, where it is known; the first is 1.
    pub row: Option<u64>,
    /// Whether `row` is a line.
    pub is_line: bool,
    /// The column at fault.
    pub column: String,
    /// Whether it is the path that gives the column's value, to this row and to all others of the file.
    pub in_path: bool,
    /// What it holds, as text; `null` where it holds nothing.
    pub value: String,
    /// What is wrong with it.
    pub reason: Reason,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, row, column, reason, .. } = self;
        write!(f, "{table}: {}, ", place(self.file.as_deref()))?;
        if self.in_path {
            write!(f, "folder `{column}=…` above it: {}", reason.describe())?;
        } else {
            if let Some(row) = row {
                let unit = if self.is_line { "line" } else { "row" };
                write!(f, "{unit} {row}, ")?;
            }
            write!(f, "column `{column}`: {}", reason.describe())?;
        }
        if !reason.is_null() {
            write!(f, ": {}", quoted(&self.value))?;
        }
        let advice = if self.in_path { "rename the folder" } else { reason.advice() };
        write!(f, "; {advice}, or leave such rows out with `--invalid skip`")
    }
}

/// Why no CUDA device can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoCuda {
    /// The program was built without it.
    #[error("this build has no CUDA support (cargo feature `cuda`)")]
    NotBuilt,
    /// The driver's library cannot be loaded.
    #[error("no driver library: {problem}")]
    NoLibrary {
        /// What the loader said.
        problem: String,
    },
    /// The driver's library lacks a function.
    #[error("the driver library `{library}` has no `{symbol}`")]
    MissingSymbol {
        /// The library.
        library: String,
        /// The function.
        symbol: &'static str,
    },
    /// The driver refused a call.
    #[error("the driver refuses {call}: {}", cuda_code(*code))]
    Driver {
        /// The function.
        call: &'static str,
        /// The driver's `CUresult`.
        code: u32,
    },
    /// The driver is older than what the kernels need.
    #[error("the driver is for CUDA {}.{}, 12.0 is needed", version / 1000, version % 1000 / 10)]
    DriverTooOld {
        /// 1000 times the major and 10 times the minor version.
        version: i32,
    },
    /// There is no device of that number.
    #[error("the driver sees {count} devices, and none has the number {ordinal}")]
    NoDevice {
        /// The number, from 0.
        ordinal: u32,
        /// The devices that there are.
        count: i32,
    },
    /// The device is older than what the kernels are compiled for.
    #[error("{name} has compute capability {major}.{minor}, 8.0 is needed")]
    DeviceTooOld {
        /// What it calls itself.
        name: String,
        /// The generation.
        major: i32,
        /// And within it.
        minor: i32,
    },
    /// The kernel runs, but does not give what the processor gives.
    #[error("{name} fails the self-test: it pads a row otherwise than the processor")]
    SelfTest {
        /// What it calls itself.
        name: String,
    },
}

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
        /// The option, as the command line names it.
        option: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Text that should be a day.
    #[error("not a day: {} (write it as YYYY-MM-DD)", quoted(value))]
    Day {
        /// The text.
        value: String,
    },
    /// A table without any file.
    #[error("{table}: no data files in `{}`: expected .parquet, .json, .jsonl, .ndjson or .csv files (names starting with `_` or `.` are not data)", path.display())]
    NoFiles {
        /// The table.
        table: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file whose name says no known format.
    #[error("{table}: `{}` is no table: expected .parquet, .json, .jsonl, .ndjson or .csv (the text formats also as .gz or .zst); move it away, or start its name with `_` to have it passed over", path.display())]
    UnknownFormat {
        /// The table.
        table: String,
        /// The file.
        path: PathBuf,
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
        expected: &'static str,
    },
    /// A value of a text format that is no value of its column's type.
    #[error("{table}: {}, line {row}, column `{column}`: expected {expected}, found: {}", place(file.as_deref()), quoted(value))]
    ValueType {
        /// The table.
        table: String,
        /// The file, where the source is one.
        file: Option<PathBuf>,
        /// The line.
        row: u64,
        /// The column.
        column: String,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
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
    /// A requested day without any valid sample.
    #[error("no impressions on {day}{}; name other days, or pass `--allow-empty-days` to write empty ones", known_days(*rows, .first_and_last.as_ref()))]
    EmptyDay {
        /// The day.
        day: String,
        /// Its valid rows, all without an item.
        rows: u64,
        /// The first and last day that the table has rows of, where it has any.
        first_and_last: Option<(String, String)>,
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
    #[error("another run is writing to `{}`; wait for it to end, or choose another `--out`", path.display())]
    Locked {
        /// The output folder.
        path: PathBuf,
    },
    /// A file system that cannot exchange two folders in one step.
    #[error("the file system of `{}` cannot replace a day in one step; pass `--replace-non-atomic` to replace it in two, or choose another `--out`", path.display())]
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
    #[error("the memory is too small: {}, and {} are needed; raise `--memory`, or build fewer days at a time", mebibytes(*given), mebibytes(*needed))]
    Memory {
        /// The bytes there are.
        given: u64,
        /// The bytes it takes.
        needed: u64,
    },
    /// No CUDA device can be used.
    #[error("no CUDA device can be used: {0}; `--device cpu` does without")]
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
}

fn place(file: Option<&Path>) -> String {
    file.map_or_else(|| "the source".to_owned(), |file| format!("`{}`", file.display()))
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// What a message about a day without an item says of the table. Days as text are in the order of time.
fn known_days(rows: u64, days: Option<&(String, String)>) -> String {
    match days {
        _ if rows > 0 => ": the table has rows of that day, but no item in them".to_owned(),
        None => String::new(),
        Some((first, last)) => format!(" (the table has {first} to {last})"),
    }
}

fn no_folder(from_folder: bool, column: &str) -> String {
    if from_folder { format!(", and no folder `{column}=…`") } else { String::new() }
}

/// A value for a message: in backticks so that an empty or blank one is seen, on one line, and not the whole of a huge one.
pub(crate) fn quoted(value: &str) -> String {
    let mut text = String::from("`");
    for (place, character) in value.chars().enumerate() {
        match character {
            _ if place == LONGEST_VALUE => {
                text.push('…');
                break;
            }
            control if control.is_control() => text.extend(control.escape_debug()),
            other => text.push(other),
        }
    }
    text.push('`');
    text
}

/// A driver's code, with its name where it is one that users meet.
fn cuda_code(code: u32) -> String {
    let name = match code {
        2 => "CUDA_ERROR_OUT_OF_MEMORY",
        3 => "CUDA_ERROR_NOT_INITIALIZED",
        34 => "CUDA_ERROR_STUB_LIBRARY",
        46 => "CUDA_ERROR_DEVICE_UNAVAILABLE",
        100 => "CUDA_ERROR_NO_DEVICE",
        209 => "CUDA_ERROR_NO_BINARY_FOR_GPU",
        218 => "CUDA_ERROR_INVALID_PTX",
        222 => "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        700 => "CUDA_ERROR_ILLEGAL_ADDRESS",
        719 => "CUDA_ERROR_LAUNCH_FAILED",
        802 => "CUDA_ERROR_SYSTEM_NOT_READY",
        803 => "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        804 => "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        999 => "CUDA_ERROR_UNKNOWN",
        _ => return format!("code {code}"),
    };
    format!("{name} ({code})")
}

/// The most characters of a value that a message shows.
const LONGEST_VALUE: usize = 100;

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
