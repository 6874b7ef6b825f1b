//! A row that breaks the contract: why, where it stands, and what it holds.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::option::OptionName;
use super::text::{place, quoted};

/// Why a row cannot be used, in the order in which a row is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reason {
    /// The day is null.
    NullDay,
    /// The day is no day.
    UnparsableDay,
    /// The customer is null.
    NullCustomer,
    /// The customer id is not an integer.
    CustomerNoInteger,
    /// The customer id does not fit 64 bits.
    CustomerOutOfRange,
    /// The lists of the row are not as long as each other.
    UnequalLists,
    /// The type of the action is none of those that are listed.
    UnknownType,
    /// The item is null.
    NullItem,
    /// The item id is not an integer.
    ItemNoInteger,
    /// The item id does not fit the output's dtype.
    ItemOutOfRange,
    /// The request is null.
    NullRequest,
    /// The label is null.
    NullLabel,
    /// The label is none that its type has.
    UnparsableLabel,
    /// The time is null, and cut-offs are times.
    NullTime,
    /// The time is no time.
    UnparsableTime,
    /// What is kept is null.
    NullValue,
    /// What is kept is none that its type has.
    UnparsableValue,
}

impl Reason {
    /// Every reason, in the order of the checks.
    pub const ALL: [Self; 17] = [
        Self::NullDay,
        Self::UnparsableDay,
        Self::NullCustomer,
        Self::CustomerNoInteger,
        Self::CustomerOutOfRange,
        Self::UnequalLists,
        Self::UnknownType,
        Self::NullItem,
        Self::ItemNoInteger,
        Self::ItemOutOfRange,
        Self::NullRequest,
        Self::NullLabel,
        Self::UnparsableLabel,
        Self::NullTime,
        Self::UnparsableTime,
        Self::NullValue,
        Self::UnparsableValue,
    ];

    /// The name used in manifests and in `_rejected.jsonl`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NullDay => "null_day",
            Self::UnparsableDay => "unparsable_day",
            Self::NullCustomer => "null_customer",
            Self::CustomerNoInteger => "customer_no_integer",
            Self::CustomerOutOfRange => "customer_out_of_range",
            Self::UnequalLists => "unequal_lists",
            Self::UnknownType => "unknown_type",
            Self::NullItem => "null_item",
            Self::ItemNoInteger => "item_no_integer",
            Self::ItemOutOfRange => "item_out_of_range",
            Self::NullRequest => "null_request",
            Self::NullLabel => "null_label",
            Self::UnparsableLabel => "unparsable_label",
            Self::NullTime => "null_time",
            Self::UnparsableTime => "unparsable_time",
            Self::NullValue => "null_value",
            Self::UnparsableValue => "unparsable_value",
        }
    }

    /// What is wrong, in words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::NullDay => "the day is null",
            Self::UnparsableDay => "not a day (YYYY-MM-DD)",
            Self::NullCustomer => "the customer is null",
            Self::CustomerNoInteger => "the customer id is not an integer",
            Self::CustomerOutOfRange => "the customer id does not fit 64 bits",
            Self::UnequalLists => "the lists of the row are not as long as each other",
            Self::UnknownType => "the type of the action is none of those that are listed",
            Self::NullItem => "the item is null",
            Self::ItemNoInteger => "the item id is not an integer",
            Self::ItemOutOfRange => "the item id does not fit the item dtype",
            Self::NullRequest => "the request is null",
            Self::NullLabel => "the label is null",
            Self::UnparsableLabel => "the label is not what its type can hold (of a bool: true, false, 1 or 0)",
            Self::NullTime => "the time is null, and the cut-off is the time",
            Self::UnparsableTime => "not a time (RFC 3339)",
            Self::NullValue => "what is kept is null",
            Self::UnparsableValue => "not what the type can hold in which it is kept",
        }
    }

    /// Whether the column holds nothing, so that there is no value to show.
    fn is_null(self) -> bool {
        matches!(
            self,
            Self::NullDay
                | Self::NullCustomer
                | Self::UnequalLists
                | Self::NullItem
                | Self::NullRequest
                | Self::NullLabel
                | Self::NullTime
                | Self::NullValue
        )
    }

    fn advice(self) -> Cow<'static, str> {
        let advice = match self {
            Self::ItemOutOfRange => return format!("build with `{}`", OptionName::ItemDtype.set_to("i64")).into(),
            Self::CustomerNoInteger | Self::ItemNoInteger => "fix the row, or describe such ids with `hash`",
            Self::UnknownType => "list it, or ignore such rows with `other = \"ignore\"`",
            Self::NullValue => "say with `null` what stands for it",
            _ => "fix the row",
        };
        advice.into()
    }
}

/// A row that breaks the contract, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
        let advice = if self.in_path { "rename the folder".into() } else { reason.advice() };
        write!(f, "; {advice}, or leave such rows out with `{}`", OptionName::Invalid.set_to("skip"))
    }
}
