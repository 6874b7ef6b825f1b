//! Strategies: any description, and tables for it.
//!
//! A case is drawn as choices (which primitives, how many tables) and raw rows (small numbers without meaning); both together are
//! rendered as a description and as rows of JSON in the shapes that the choices ask for. So cases shrink row by row and choice by
//! choice. Most rows are good; now and then one is bad in a way that any reader has to find.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::Tables;

mod render;
pub(super) mod text;

/// The first day that has samples; actions reach back eight days from here.
pub(crate) const FIRST: i32 = 20_000;
pub(crate) const DAYS: i32 = 2;

/// A description as data, and its tables.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) description: serde_json::Value,
    pub(crate) tables: Tables,
    /// Whether items are to have 64 bits.
    pub(crate) wide: bool,
    /// Whether rows may be bad; where not, none is.
    pub(crate) faulty: bool,
}

/// How the items of a row stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// One row, one item.
    Flat,
    /// A list of structs.
    Structs,
    /// A list for each column, walked together.
    Parallel,
    /// Text that is split into structs, or into values.
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IdChoice {
    Int,
    U64,
    Hash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DayChoice {
    Text,
    Digits,
    Midnight,
    Number,
    Folder,
    Path,
    Instant,
    /// UTC, or a zone.
    OfTime(Option<&'static str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeChoice {
    None,
    Rfc,
    Spaced,
    Offset,
    Unit(&'static str),
    Format,
    /// Text without a zone, in Berlin.
    Berlin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LabelChoice {
    Bool,
    Digit,
    Float,
    AtLeast,
    Is,
    In,
    Equals,
    Value,
}

/// What a table of either kind has.
#[derive(Clone, Debug)]
struct TableChoice {
    layout: Layout,
    day: DayChoice,
    time: TimeChoice,
    /// `where` by a column of the row, and by one of the elements.
    filters: (bool, bool),
    /// Whether keys in the rows are spelled with other letters than in the description.
    upper: bool,
    /// Whether every value is text, as in CSV.
    texts: bool,
    files: usize,
}

#[derive(Clone, Debug)]
struct ActionChoice {
    table: TableChoice,
    /// All of one type, or a column; `true` passes over what is not listed.
    kind: Option<bool>,
    /// Which of the features it has.
    features: Vec<bool>,
}

#[derive(Clone, Debug)]
struct Choices {
    types: Vec<u8>,
    customers: IdChoice,
    items: IdChoice,
    wide: bool,
    samples: TableChoice,
    /// A request as a number, or as text.
    request: Option<bool>,
    labels: Vec<LabelChoice>,
    position: bool,
    /// Each with a value for nulls, or without.
    kept: Vec<(usize, bool)>,
    /// The types of features, by number.
    features: Vec<usize>,
    actions: Vec<ActionChoice>,
    length: usize,
    at_time: bool,
    lookback: Option<u32>,
    delay: u32,
    times: Option<&'static str>,
}

/// A row without meaning.
#[derive(Clone, Debug)]
struct Raw {
    /// From the first day of samples.
    day: i32,
    /// A quarter of the day, and microseconds beyond it.
    tick: (i64, i64),
    customer: u8,
    elements: Vec<RawElement>,
    /// Many choices from one number.
    bits: u32,
    fault: Fault,
}

#[derive(Clone, Debug)]
struct RawElement {
    item: u8,
    bits: u32,
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    NullCustomer,
    NullItem,
    NoId,
    NoDay,
    NoTime,
    NullTime,
    Lengths,
    Label,
    Null,
}

fn raw(days: std::ops::Range<i32>) -> impl Strategy<Value = Raw> {
    let element = (0..8u8, any::<u32>()).prop_map(|(item, bits)| RawElement { item, bits });
    let fault = prop_oneof![
        60 => Just(Fault::None),
        1 => Just(Fault::NullCustomer),
        1 => Just(Fault::NullItem),
        1 => Just(Fault::NoId),
        1 => Just(Fault::NoDay),
        1 => Just(Fault::NoTime),
        2 => Just(Fault::NullTime),
        1 => Just(Fault::Lengths),
        1 => Just(Fault::Label),
        1 => Just(Fault::Null),
    ];
    // Few distinct times, so that ties are the rule.
    let tick = (0..4i64, prop_oneof![4 => Just(0i64), 1 => 0..3i64, 1 => Just(21_599_999_999i64)]);
    (days, tick, 0..5u8, vec(element, 0..4), any::<u32>(), fault)
        .prop_map(|(day, tick, customer, elements, bits, fault)| Raw { day, tick, customer, elements, bits, fault })
}

fn id_choice() -> impl Strategy<Value = IdChoice> {
    prop_oneof![3 => Just(IdChoice::Int), 1 => Just(IdChoice::U64), 1 => Just(IdChoice::Hash)]
}

fn table_choice() -> impl Strategy<Value = TableChoice> {
    let layout = prop_oneof![
        2 => Just(Layout::Flat),
        2 => Just(Layout::Structs),
        1 => Just(Layout::Parallel),
        1 => Just(Layout::Text),
    ];
    let day = prop_oneof![
        3 => Just(DayChoice::Text),
        1 => Just(DayChoice::Digits),
        1 => Just(DayChoice::Midnight),
        1 => Just(DayChoice::Number),
        1 => Just(DayChoice::Folder),
        1 => Just(DayChoice::Path),
        1 => Just(DayChoice::Instant),
        1 => Just(DayChoice::OfTime(None)),
        1 => Just(DayChoice::OfTime(Some("Asia/Shanghai"))),
    ];
    let time = prop_oneof![
        1 => Just(TimeChoice::None),
        2 => Just(TimeChoice::Rfc),
        1 => Just(TimeChoice::Spaced),
        1 => Just(TimeChoice::Offset),
        1 => proptest::sample::select(vec!["s", "ms", "us", "ns"]).prop_map(TimeChoice::Unit),
        1 => Just(TimeChoice::Format),
        1 => Just(TimeChoice::Berlin),
    ];
    let filters = (proptest::bool::weighted(0.2), proptest::bool::weighted(0.2));
    (layout, day, time, filters, (any::<bool>(), any::<bool>()), 1..4usize).prop_map(
        |(layout, day, time, filters, (upper, texts), files)| TableChoice {
            layout,
            day,
            // A day of the time needs one.
            time: if matches!((day, time), (DayChoice::OfTime(_), TimeChoice::None)) { TimeChoice::Rfc } else { time },
            filters,
            upper,
            texts,
            files,
        },
    )
}

fn label() -> impl Strategy<Value = LabelChoice> {
    use LabelChoice::{AtLeast, Bool, Digit, Equals, Float, In, Is, Value};
    proptest::sample::select(vec![Bool, Digit, Float, AtLeast, Is, In, Equals, Value])
}

fn choices() -> impl Strategy<Value = Choices> {
    let types = proptest::sample::subsequence(vec![1u8, 2, 3, 9, 255], 1..4);
    let action = |features: usize| {
        (table_choice(), option::of(any::<bool>()), vec(any::<bool>(), features))
            .prop_map(|(table, kind, features)| ActionChoice { table, kind, features })
    };
    let features = vec(0..6usize, 0..3);
    let actions = features.prop_flat_map(move |features| (vec(action(features.len()), 1..4), Just(features)));
    let samples = (
        table_choice(),
        option::weighted(0.4, any::<bool>()),
        vec(label(), 0..4),
        any::<bool>(),
        vec((0..7usize, any::<bool>()), 0..3),
    );
    let times = proptest::sample::select(vec![None, Some("s"), Some("ms"), Some("us")]);
    let history = (1..9usize, any::<bool>(), option::of(1..6u32), 0..3u32, times);
    (types, (id_choice(), id_choice(), any::<bool>()), samples, actions, history).prop_map(
        |(types, (customers, items, wide), samples, (actions, features), (length, at_time, lookback, delay, times))| {
            let (mut samples, request, labels, position, kept) = samples;
            if at_time && samples.time == TimeChoice::None {
                samples.time = TimeChoice::Spaced;
            }
            let position = position && samples.layout != Layout::Flat;
            Choices {
                types,
                customers,
                items,
                wide,
                samples,
                request,
                labels,
                position,
                kept,
                features,
                actions,
                length,
                at_time,
                lookback,
                delay,
                times,
            }
        },
    )
}

/// Any description with tables for it.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let rows = (vec(raw(-1..DAYS), 1..16), vec(vec(raw(-8..DAYS), 1..30), 3));
    (choices(), rows, any::<bool>()).prop_map(|(choices, (mut samples, mut actions), faulty)| {
        let raws = samples.iter_mut().chain(actions.iter_mut().flatten());
        raws.filter(|_| !faulty).for_each(|raw| raw.fault = Fault::None);
        render::case(&choices, &samples, &actions, faulty)
    })
}
