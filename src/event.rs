//! The values that cross stages: days, customers, items, actions and samples.
//!
//! Knows what a value means and how it is ordered; knows no files, no formats and no options.

use std::cmp::Ordering;
use std::fmt;

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The time of an action whose time is null: older than every real time, in microseconds since the epoch.
pub const NULL_TIME: i64 = i64::MIN;

/// The action type that marks padding in dense rows.
pub const PADDING: u8 = 0;

/// A calendar day, as days since 1970-01-01 (proleptic Gregorian, UTC).
///
/// ```
/// let day: shardback::Day = "2025-08-16".parse()?;
/// assert_eq!((day.0, day.to_string()), (20316, "2025-08-16".to_owned()));
/// # Ok::<(), shardback::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub i32);

impl Day {
    /// Reads `2025-08-15` or `dt=2025-08-15`; anything else, also a day that no calendar has, is `None`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.strip_prefix(b"dt=").unwrap_or(text);
        let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text else { return None };
        let number = |digits: &[u8]| {
            digits
                .iter()
                .try_fold(0i32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i32::from(digit - b'0')))
        };
        Self::from_ymd(number(&[y0, y1, y2, y3])?, number(&[m0, m1])?, number(&[d0, d1])?)
    }

    /// The day of a calendar date, or `None` where the calendar has no such date.
    ///
    /// The arithmetic counts from 1 March, so that the leap day ends the year: Howard Hinnant, "chrono-Compatible
    /// Low-Level Date Algorithms", `days_from_civil`.
    #[must_use]
    pub fn from_ymd(year: i32, month: i32, day: i32) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=last).contains(&day) || !(1..=9999).contains(&year) {
            return None;
        }
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(Self(era * 146_097 + day_of_era - 719_468))
    }

    /// Year, month and day of month: the inverse of [`Day::from_ymd`].
    #[must_use]
    pub fn ymd(self) -> (i64, i64, i64) {
        let days = i64::from(self.0) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    /// Whether the day has a year of four digits, as every day that text can name.
    #[must_use]
    pub fn in_calendar(self) -> bool {
        (FIRST_DAY..=2_932_896).contains(&self.0)
    }

    /// Its midnight in UTC, in microseconds since the epoch.
    #[must_use]
    pub fn midnight(self) -> i64 {
        i64::from(self.0) * MICROS_PER_DAY
    }

    /// The day that holds a time given in microseconds since the epoch, or `None` far outside the calendar.
    #[must_use]
    pub fn containing(micros: i64) -> Option<Self> {
        i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok().map(Self)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl std::str::FromStr for Day {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text.as_bytes()).ok_or_else(|| Error::Day { value: text.to_owned() })
    }
}

/// The first and the last of some times, in microseconds since the epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSpan {
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
}

impl TimeSpan {
    /// All times that there are.
    pub const ALL: Self = Self { first: i64::MIN, last: i64::MAX };

    /// Widens a span, where there is one, to hold another.
    pub fn widen(span: &mut Option<Self>, other: Self) {
        let known = span.get_or_insert(other);
        *known = Self { first: known.first.min(other.first), last: known.last.max(other.last) };
    }
}

/// The width of item ids in the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemDtype {
    /// 32 bits, signed.
    I32,
    /// 64 bits, signed.
    I64,
}

impl ItemDtype {
    /// The name used on the command line and in manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i32 {}
    impl Sealed for i64 {}
}

/// An item id as the outputs store it: `i32` or `i64`, and no other type.
pub trait ItemId:
    sealed::Sealed + Pod + Zeroable + Ord + Send + Sync + fmt::Debug + fmt::Display + TryFrom<i64> + Into<i64> + 'static
{
    /// The dtype that this type stands for.
    const DTYPE: ItemDtype;

    /// An action on such an item, as it is sorted.
    type Key: ActionKey<Item = Self>;
    /// The same in words, as it is stored.
    type StoredKey: Pod + fmt::Debug + Eq + Send + Sync;

    /// Packs an action; `kind_and_day` as in [`ActionKey::kind_and_day`].
    fn pack(time: i64, item: Self, kind_and_day: u32) -> Self::StoredKey;
    /// From words.
    fn load(stored: Self::StoredKey) -> Self::Key;
    /// To words.
    fn store(key: Self::Key) -> Self::StoredKey;
}

impl ItemId for i32 {
    const DTYPE: ItemDtype = ItemDtype::I32;
    type Key = u128;
    type StoredKey = [u32; 4];

    fn pack(time: i64, item: Self, kind_and_day: u32) -> [u32; 4] {
        let item = item.cast_unsigned() ^ SIGN_32;
        Self::store(!(u128::from(biased_time(time)) << 64 | u128::from(item) << 32 | u128::from(kind_and_day)))
    }

    fn load(stored: [u32; 4]) -> u128 {
        number(stored)
    }

    fn store(key: u128) -> [u32; 4] {
        words(key)
    }
}

impl ItemId for i64 {
    const DTYPE: ItemDtype = ItemDtype::I64;
    type Key = (u128, u32);
    type StoredKey = [u32; 5];

    fn pack(time: i64, item: Self, kind_and_day: u32) -> [u32; 5] {
        let item = item.cast_unsigned() ^ SIGN_64;
        Self::store((!(u128::from(biased_time(time)) << 64 | u128::from(item)), !kind_and_day))
    }

    fn load([a, b, c, d, e]: [u32; 5]) -> (u128, u32) {
        (number([a, b, c, d]), e)
    }

    fn store((high, low): (u128, u32)) -> [u32; 5] {
        let [a, b, c, d] = words(high);
        [a, b, c, d, low]
    }
}

/// One impressed item of a requested day: what a training row is made of.
///
/// Its labels and other columns are a packed row beside it ([`crate::pack`]). There is no padding, so that many samples are plain
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed(4))]
pub struct Sample<I: Copy> {
    item: I,
    customer: [u32; 2],
    /// The place of the day among those of the plan.
    day: u32,
}

impl<I: ItemId> Sample<I> {
    /// A sample of the plan's day number `day`.
    #[must_use]
    pub fn new(day: u32, customer: i64, item: I) -> Self {
        Self { item, customer: halves(customer), day }
    }

    /// The place of its day among those of the plan.
    #[must_use]
    pub fn day(&self) -> u32 {
        self.day
    }

    /// Who saw it.
    #[must_use]
    pub fn customer(&self) -> i64 {
        whole(self.customer)
    }

    /// What was shown.
    #[must_use]
    pub fn item(&self) -> I {
        self.item
    }
}

/// One action of one customer.
///
/// What orders a customer's actions is packed into one number, so that sorting compares numbers; with the place of the
/// customer it leaves no padding, so that many actions are plain bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Action<I: ItemId> {
    key: I::StoredKey,
    customer: u32,
}

impl<I: ItemId> Action<I> {
    /// An action of a customer, named by its place among those of the run in the order of [`customer_hash`].
    ///
    /// `time` is in microseconds since the epoch, UTC, or [`NULL_TIME`]; `day` is one of the calendar; `kind` is the number of the type.
    #[must_use]
    pub fn new(customer: u32, day: Day, time: i64, item: I, kind: u8) -> Self {
        let day = day.0.wrapping_sub(FIRST_DAY).cast_unsigned();
        Self { key: I::pack(time, item, u32::from(kind) << DAY_BITS | day), customer }
    }

    /// Who: the place of the customer among those of the run.
    #[must_use]
    pub fn customer(&self) -> u32 {
        self.customer
    }

    /// What orders it among the customer's actions, and all else that is known of it.
    #[must_use]
    pub fn key(&self) -> I::Key {
        I::load(self.key)
    }

    /// The action of a customer with a key that [`Action::key`] gave.
    #[must_use]
    pub fn from_key(customer: u32, key: I::Key) -> Self {
        Self { key: I::store(key), customer }
    }
}

/// An action but for its customer. As numbers, keys order from the newest to the oldest: by time, item, type and day, descending.
pub trait ActionKey: Copy + Ord + Send + Sync {
    /// The width of items that goes with it.
    type Item;

    /// When, in microseconds since the epoch, UTC; [`NULL_TIME`] where it is not known.
    fn time(self) -> i64;

    /// On which item.
    fn item(self) -> Self::Item;

    /// The lower 32 bits of the item.
    fn low_item(self) -> u32;

    /// How a customer's actions are ordered, `self` first where it is newer.
    ///
    /// By time, descending; equal times by a hash that carries no meaning; what ties there as well by item and type, descending.
    /// What still ties differs at most in the day, which orders last.
    ///
    /// Any order of the items themselves would leave runs of sorted ids in baskets, from which a model of sequences would learn
    /// what is not there.
    fn newest_first(self, other: Self, customer: i64) -> Ordering {
        let hash = |key: Self| equal_times_hash(key.low_item(), customer, key.time());
        let by_time = other.time().cmp(&self.time());
        by_time.then_with(|| hash(self).cmp(&hash(other))).then_with(|| self.cmp(&other))
    }

    /// The type in the upper bits, and the day, counted from the first of the calendar, in the lower 22.
    fn kind_and_day(self) -> u32;

    /// The number of its type.
    fn kind(self) -> u8 {
        (self.kind_and_day() >> DAY_BITS) as u8
    }

    /// The day on which it became known: it decides what a sample can see.
    fn day(self) -> Day {
        Day((self.kind_and_day() & ((1 << DAY_BITS) - 1)).cast_signed().wrapping_add(FIRST_DAY))
    }
}

/// 0001-01-01, the first day that text can name.
const FIRST_DAY: i32 = -719_162;
/// Days of the calendar, counted from its first, take this many bits.
const DAY_BITS: u32 = 22;

/// With items of 32 bits all of an action is 16 bytes: time, item, type and day, inverted so that the newest comes first.
impl ActionKey for u128 {
    type Item = i32;

    fn time(self) -> i64 {
        unbiased_time((!self >> 64) as u64)
    }

    fn item(self) -> i32 {
        ((!self >> 32) as u32 ^ SIGN_32).cast_signed()
    }

    fn low_item(self) -> u32 {
        self.item().cast_unsigned()
    }

    fn kind_and_day(self) -> u32 {
        !self as u32
    }
}

/// With items of 64 bits it is a number of 128 bits and one of 32.
impl ActionKey for (u128, u32) {
    type Item = i64;

    fn time(self) -> i64 {
        unbiased_time((!self.0 >> 64) as u64)
    }

    fn item(self) -> i64 {
        (!self.0 as u64 ^ SIGN_64).cast_signed()
    }

    fn low_item(self) -> u32 {
        self.item().cast_unsigned() as u32
    }

    fn kind_and_day(self) -> u32 {
        !self.1
    }
}

/// What orders a customer's actions of one time: a multiplicative hash (Knuth, "The Art of Computer Programming", volume 3, 6.4) of the
/// item, shifted by customer and time, on the lower 32 bits of each, so that SQL can say it as well. An unknown time is 0.
fn equal_times_hash(item: u32, customer: i64, time: i64) -> u32 {
    // `NULL_TIME` ends in 32 zeros.
    item.wrapping_mul(2_654_435_761).wrapping_add(customer as u32).wrapping_add(time as u32)
}

const SIGN_32: u32 = 1 << 31;
const SIGN_64: u64 = 1 << 63;

/// A number without sign that orders as the time does.
fn biased_time(time: i64) -> u64 {
    time.cast_unsigned() ^ SIGN_64
}

fn unbiased_time(biased: u64) -> i64 {
    (biased ^ SIGN_64).cast_signed()
}

fn words(number: u128) -> [u32; 4] {
    [number as u32, (number >> 32) as u32, (number >> 64) as u32, (number >> 96) as u32]
}

fn number([a, b, c, d]: [u32; 4]) -> u128 {
    u128::from(a) | u128::from(b) << 32 | u128::from(c) << 64 | u128::from(d) << 96
}

// SAFETY: all fields are zeroable, and zeros are a value of each.
unsafe impl<I: ItemId> Zeroable for Sample<I> {}
// SAFETY: all fields are plain old data in C's order; the assertions below show that no padding is between or behind them.
unsafe impl<I: ItemId> Pod for Sample<I> {}
// SAFETY: both fields are plain old data, so zeros are a value of each.
unsafe impl<I: ItemId> Zeroable for Action<I> {}
// SAFETY: both fields are 32-bit words in C's order, so there is no padding; the assertions below hold that.
unsafe impl<I: ItemId> Pod for Action<I> {}

// `ItemId` is sealed to these two widths.
const _: () = assert!(size_of::<Sample<i32>>() == 16 && size_of::<Sample<i64>>() == 20);
const _: () = assert!(size_of::<Action<i32>>() == 20 && size_of::<Action<i64>>() == 24);

fn halves(number: i64) -> [u32; 2] {
    let number = number.cast_unsigned();
    [number as u32, (number >> 32) as u32]
}

fn whole([low, high]: [u32; 2]) -> i64 {
    (u64::from(high) << 32 | u64::from(low)).cast_signed()
}

/// The stable hash that orders customers and cuts them into shards and buckets.
///
/// It is one step of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014; the
/// constants of Vigna's reference code) from the customer's id as a state: a bijection, so no two customers share a hash.
#[must_use]
pub fn customer_hash(customer: i64) -> u64 {
    let mut z = customer.cast_unsigned().wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Which of `shards` contiguous hash ranges a hash falls into, from 0.
#[must_use]
pub fn shard_of(hash: u64, shards: u32) -> u32 {
    // The product is below shards * 2^64, so its upper half is below `shards`.
    ((u128::from(hash) * u128::from(shards)) >> 64) as u32
}

/// One of some equal ranges of [`customer_hash`], as shards are: all of it is range 0 of 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRange {
    number: u32,
    ranges: u32,
}

impl HashRange {
    /// All customers.
    pub const WHOLE: Self = Self { number: 0, ranges: 1 };

    /// Range `number` of `ranges`, from 0.
    #[must_use]
    pub fn new(number: u32, ranges: u32) -> Self {
        Self { number, ranges }
    }

    /// Whether a customer is in the range.
    #[must_use]
    pub fn holds(self, customer: i64) -> bool {
        shard_of(customer_hash(customer), self.ranges) == self.number
    }

    /// The hash of a customer of the range, spread over all of 64 bits, in the same order.
    ///
    /// Times the number of ranges a hash has the range's number above its 64 bits. What stays below begins at 0 with each
    /// range and ascends within it.
    #[must_use]
    pub fn spread(self, customer: i64) -> u64 {
        customer_hash(customer).wrapping_mul(u64::from(self.ranges))
    }

    /// Which of `buckets` contiguous parts of the range holds a customer of the range, from 0.
    #[must_use]
    pub fn bucket(self, customer: i64, buckets: u32) -> u32 {
        shard_of(self.spread(customer), buckets)
    }
}
