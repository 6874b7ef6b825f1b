//! Options by name, which whoever shows messages spells as his users write them.
//!
//! Messages are made where something goes wrong, on any thread, and shown somewhere else: so the spelling is one for the process.

use std::fmt;
use std::sync::{PoisonError, RwLock};

/// How an option is written, with a value or without one.
pub type Spelling = fn(OptionName, Option<&str>) -> String;

static SPELLING: RwLock<Spelling> = RwLock::new(as_a_field);

/// Has this process spell options in messages as its users write them: for the program or package around this library, before
/// anything else.
///
/// ```
/// use shardback::error::{OptionName, spell_options};
///
/// assert_eq!(OptionName::ShardRows.to_string(), "shard_rows");
/// spell_options(|option, value| format!("[build] {} = {}", option.name(), value.unwrap_or("…")));
/// assert_eq!(OptionName::Invalid.set_to("skip").to_string(), "[build] invalid = skip");
/// ```
pub fn spell_options(spelling: Spelling) {
    *SPELLING.write().unwrap_or_else(PoisonError::into_inner) = spelling;
}

/// As the library's own fields.
fn as_a_field(option: OptionName, value: Option<&str>) -> String {
    value.map_or_else(|| option.name().to_owned(), |value| format!("{} = {value}", option.name()))
}

/// Declares the options, each with its name.
macro_rules! options {
    ($($option:ident $name:literal,)*) => {
        /// An option of a run, of whatever part of the library has it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum OptionName {
            $(#[doc = concat!("`", $name, "`; the field of that name says what it is.")] $option,)*
        }

        impl OptionName {
            /// The option's name, the same in every language: the name of its field.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$option => $name,)*
                }
            }
        }
    };
}

options! {
    AddToCarts "add_to_carts",
    AllowEmptyDays "allow_empty_days",
    BatchSize "batch_size",
    CacheLimit "cache_limit",
    Clicks "clicks",
    ColdShare "cold_share",
    CsvEscape "csv_escape",
    Customers "customers",
    Cutoff "cutoff",
    Date "date",
    DayZone "day_zone",
    Days "days",
    Delay "delay",
    Device "device",
    End "end",
    Formats "formats",
    GiantShare "giant_share",
    History "history",
    ImpressionDays "impression_days",
    Impressions "impressions",
    IndexDtype "index_dtype",
    Invalid "invalid",
    ItemDtype "item_dtype",
    Items "items",
    LastDay "last_day",
    LateShare "late_share",
    Lookback "lookback",
    LookbackDays "lookback_days",
    MeanActions "mean_actions",
    Memory "memory",
    NewOut "out",
    Out "out",
    PreviousOrders "previous_orders",
    ReplaceNonAtomic "replace_non_atomic",
    RequireFresh "require_fresh",
    Rows "rows",
    RowsPerDay "rows_per_day",
    Seed "seed",
    ShardRows "shard_rows",
    Shards "shards",
    Sigma "sigma",
    Slate "slate",
    SpillDir "spill_dir",
    Start "start",
    StoreOptions "store_options",
    Tables "tables",
    Threads "threads",
    Times "times",
    To "to",
}

impl OptionName {
    /// The option with a value, for a message that says what to set it to.
    #[must_use]
    pub fn set_to(self, value: &str) -> OptionSet<'_> {
        OptionSet { option: self, value }
    }

    fn spelled(self, value: Option<&str>) -> String {
        let spelling = *SPELLING.read().unwrap_or_else(PoisonError::into_inner);
        spelling(self, value)
    }
}

/// As the process spells it.
impl fmt::Display for OptionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelled(None))
    }
}

/// An option and a value, shown as the process spells it.
#[derive(Clone, Copy, Debug)]
pub struct OptionSet<'a> {
    option: OptionName,
    value: &'a str,
}

impl fmt::Display for OptionSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.option.spelled(Some(self.value)))
    }
}
