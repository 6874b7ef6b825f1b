//! Choices and raw rows as a description and as rows of JSON.

use serde_json::{Map, Value, json};
use shardback::event::Day;

use super::super::{File, Tables};
use super::{
    ActionChoice, Case, Choices, DayChoice, FIRST, Fault, IdChoice, LabelChoice, Layout, Raw, RawElement, TableChoice,
    TimeChoice,
};

const MICROS_PER_DAY: i64 = 86_400_000_000;
const DTYPES: [&str; 7] = ["bool", "u8", "i32", "i64", "f32", "f64", "hash"];
/// The type of kept columns that no number stands for.
const HASH: usize = 6;

/// A named value of a row, or of an element.
type Entry = (String, Value);

/// What a row holds beside its lists, and the elements of these; the last one is there for its names alone.
type Values = (Vec<Entry>, Vec<Vec<Entry>>);

pub(super) fn case(choices: &Choices, samples: &[Raw], actions: &[Vec<Raw>], faulty: bool) -> Case {
    let types: Map<String, Value> = choices.types.iter().map(|kind| (format!("t{kind}"), json!(kind))).collect();
    let tables = choices.actions.iter().enumerate();
    let described: Map<String, Value> =
        tables.map(|(number, table)| (format!("table{number}"), action_table(choices, table))).collect();
    let mut history = json!({"length": choices.length, "cutoff": if choices.at_time { "time" } else { "day" }});
    if let Some(days) = choices.lookback {
        history["lookback"] = json!(format!("{days}d"));
    }
    if choices.at_time && choices.delay > 0 {
        history["delay"] = json!(format!("{}h", choices.delay * 6));
    }
    if let Some(unit) = choices.times {
        history["times"] = json!(unit);
    }
    let ids = |kind| match kind {
        IdChoice::Int => "int",
        IdChoice::U64 => "u64",
        IdChoice::Hash => "hash",
    };
    let description = json!({
        "version": 1,
        "types": types,
        "samples": sample_table(choices),
        "actions": described,
        "ids": {"customer": ids(choices.customers), "item": ids(choices.items)},
        "history": history,
    });
    let actions = choices.actions.iter().zip(actions);
    let tables = Tables {
        samples: files(&choices.samples, samples, &|raw| sample_values(choices, raw)),
        actions: actions
            .map(|(table, raws)| files(&table.table, raws, &|raw| action_values(choices, table, raw)))
            .collect(),
    };
    Case { description, tables, wide: choices.wide, faulty }
}

fn sample_table(choices: &Choices) -> Value {
    let table = &choices.samples;
    let mut described = shared(table, &sample_values(choices, &plain()));
    if let Some(is_text) = choices.request {
        described["request"] = json!(if is_text { "list_name" } else { "list_number" });
    }
    let labels = choices.labels.iter().enumerate().map(|(number, label)| {
        let name = format!("l{number}");
        let column = path(table.layout, &name);
        let of = match label {
            LabelChoice::Bool | LabelChoice::Digit => json!(column),
            LabelChoice::Float => json!({"column": column, "dtype": "f32"}),
            LabelChoice::AtLeast => json!({"column": column, "ge": 0.5}),
            LabelChoice::Is => json!({"column": name, "is": ["buy", 1]}),
            LabelChoice::In => json!({"in": name}),
            LabelChoice::Equals => json!({"equals": name}),
            LabelChoice::Value => json!({"value": number % 2 == 0}),
        };
        (name, of)
    });
    let labels: Map<String, Value> = labels.collect();
    let mut kept: Map<String, Value> = Map::new();
    for (number, &(dtype, has_null)) in choices.kept.iter().enumerate() {
        let name = format!("k{number}");
        let column = if is_of_row(number) { name.clone() } else { path(table.layout, &name) };
        kept.insert(name, kept_column(&column, dtype, has_null && dtype != HASH));
    }
    if choices.position {
        kept.insert("position".to_owned(), json!("#"));
    }
    described["labels"] = Value::Object(labels);
    described["keep"] = Value::Object(kept);
    described
}

fn action_table(choices: &Choices, action: &ActionChoice) -> Value {
    let mut described = shared(&action.table, &action_values(choices, action, &plain()));
    described["type"] = match action.kind {
        None => json!(format!("t{}", choices.types[0])),
        Some(ignore_others) => {
            let values = choices.types.iter().map(|kind| (format!("w{kind}"), json!(format!("t{kind}"))));
            let values: Map<String, Value> = values.collect();
            let column = path(action.table.layout, "what");
            json!({"column": column, "values": values, "other": if ignore_others { "ignore" } else { "invalid" }})
        }
    };
    let has = choices.features.iter().zip(&action.features).enumerate().filter(|(_, (_, has))| **has);
    let features = has.map(|(number, (&dtype, _))| {
        let name = format!("f{number}");
        let column = path(action.table.layout, &name);
        (name, kept_column(&column, dtype, true))
    });
    described["features"] = Value::Object(features.collect());
    described
}

fn kept_column(column: &str, dtype: usize, has_null: bool) -> Value {
    let mut described = json!({"column": column, "dtype": DTYPES[dtype]});
    if has_null {
        described["null"] = if dtype == 0 { json!(true) } else { json!(2) };
    }
    described
}

/// A row without elements, which shows what its table has.
fn plain() -> Raw {
    Raw { day: 0, tick: (0, 0), customer: 0, elements: Vec::new(), bits: 0, fault: Fault::None }
}

/// What tables of samples and of actions have alike.
fn shared(table: &TableChoice, (_, elements): &Values) -> Value {
    let mut described = json!({"customer": "user", "item": path(table.layout, "item")});
    if table.layout == Layout::Text {
        let names: Vec<&String> = elements.iter().flatten().map(|(name, _)| name).collect();
        described["split"] = json!({"slate": {"by": "|", "fields": names}});
        if names.len() > 1 {
            described["split"]["slate"]["at"] = json!("~");
        }
    }
    described["day"] = match table.day {
        DayChoice::Text | DayChoice::Digits | DayChoice::Midnight | DayChoice::Number | DayChoice::Folder => {
            json!("dt")
        }
        DayChoice::Path => json!({"path": "{year}/{month}/{day}"}),
        DayChoice::Instant => json!({"column": "dt", "zone": "Europe/Berlin"}),
        DayChoice::OfTime(None) => json!({"of": "time"}),
        DayChoice::OfTime(Some(zone)) => json!({"of": "time", "zone": zone}),
    };
    let time = match table.time {
        TimeChoice::None => None,
        TimeChoice::Rfc | TimeChoice::Spaced | TimeChoice::Offset => Some(json!("at")),
        TimeChoice::Unit(unit) => Some(json!({"column": "at", "unit": unit})),
        TimeChoice::Format => Some(json!({"column": "at", "format": "%m/%d/%Y %I:%M:%S %p"})),
        TimeChoice::Berlin => Some(json!({"column": "at", "zone": "Europe/Berlin"})),
    };
    if let Some(time) = time {
        described["time"] = time;
    }
    let (of_row, of_element) = table.filters;
    let mut filters = Map::new();
    if of_row {
        filters.insert("event".to_owned(), json!(["show", "seen", 7]));
    }
    if of_element {
        filters.insert(path(table.layout, "ok"), json!(1));
    }
    if !filters.is_empty() {
        described["where"] = Value::Object(filters);
    }
    described
}

/// The column of an element.
fn path(layout: Layout, name: &str) -> String {
    match layout {
        Layout::Flat | Layout::Parallel => name.to_owned(),
        Layout::Structs => format!("shown.{name}"),
        Layout::Text => format!("slate.{name}"),
    }
}

/// Every other kept column is one of the row, not of an element.
fn is_of_row(number: usize) -> bool {
    number % 2 == 1
}

fn sample_values(choices: &Choices, raw: &Raw) -> Values {
    let table = &choices.samples;
    // A cut-off at the day does not look at a time that the day is not made of.
    let reads_time = choices.at_time || matches!(table.day, DayChoice::OfTime(_));
    let mut row = shared_values(choices, table, raw, reads_time);
    match choices.request {
        Some(true) => row.push(("list_name".to_owned(), json!(format!("list {}", raw.bits % 3)))),
        Some(false) => row.push(("list_number".to_owned(), scalar(json!(raw.bits % 3), table.texts))),
        None => {}
    }
    for (number, label) in choices.labels.iter().enumerate() {
        let bits = raw.bits >> number;
        let item = |seed: u32| id(choices.items, (seed % 8) as u8, choices.wide, table.texts);
        let value = match label {
            LabelChoice::Is => [json!("buy"), json!("1"), json!("look"), json!(null)][bits as usize % 4].clone(),
            LabelChoice::In if bits.is_multiple_of(5) => json!(null),
            LabelChoice::In => Value::Array((0..bits % 4).map(|place| item(bits >> (3 * place))).collect()),
            LabelChoice::Equals if bits.is_multiple_of(5) => json!(null),
            LabelChoice::Equals if bits % 5 == 1 && table.texts => json!("Rome, Italy"),
            LabelChoice::Equals => item(bits),
            _ => continue,
        };
        row.push((format!("l{number}"), value));
    }
    for (number, &(dtype, has_null)) in choices.kept.iter().enumerate().filter(|(number, _)| is_of_row(*number)) {
        row.push((format!("k{number}"), kept_value(dtype, has_null, raw.bits >> number, raw.fault, table.texts)));
    }
    let element = |(place, element): (usize, RawElement)| {
        let mut values = element_values(choices, table, raw, place, &element);
        for (number, label) in choices.labels.iter().enumerate() {
            let bits = element.bits >> number;
            let value = match label {
                LabelChoice::Is | LabelChoice::In | LabelChoice::Equals | LabelChoice::Value => continue,
                _ if raw.fault == Fault::Label && place == 0 => json!(null),
                LabelChoice::Bool if table.texts => json!(["true", "F", "1", "0"][bits as usize % 4]),
                LabelChoice::Bool => json!(bits.is_multiple_of(2)),
                LabelChoice::Digit => scalar(json!(bits % 2), table.texts),
                LabelChoice::Float | LabelChoice::AtLeast => scalar(json!(f64::from(bits % 5) * 0.25), table.texts),
            };
            values.push((format!("l{number}"), value));
        }
        for (number, &(dtype, has_null)) in choices.kept.iter().enumerate().filter(|(number, _)| !is_of_row(*number)) {
            let value = kept_value(dtype, has_null, element.bits >> number, raw.fault, table.texts);
            values.push((format!("k{number}"), value));
        }
        values
    };
    let elements = elements(table, raw).into_iter().enumerate().map(element).collect();
    (row, elements)
}

fn action_values(choices: &Choices, action: &ActionChoice, raw: &Raw) -> Values {
    let table = &action.table;
    let row = shared_values(choices, table, raw, true);
    let element = |(place, element): (usize, RawElement)| {
        let mut values = element_values(choices, table, raw, place, &element);
        if let Some(ignore_others) = action.kind {
            let kind = choices.types[element.bits as usize % choices.types.len()];
            let is_other = raw.fault == Fault::Label || ignore_others && element.bits.is_multiple_of(7);
            values.push(("what".to_owned(), if is_other { json!("other") } else { json!(format!("w{kind}")) }));
        }
        for (number, &dtype) in choices.features.iter().enumerate().filter(|(number, _)| action.features[*number]) {
            let value = kept_value(dtype, true, element.bits >> (3 * number), raw.fault, table.texts);
            values.push((format!("f{number}"), value));
        }
        values
    };
    let elements = elements(table, raw).into_iter().enumerate().map(element).collect();
    (row, elements)
}

/// The elements of a row, of which a flat one has one, and one more.
fn elements(table: &TableChoice, raw: &Raw) -> Vec<RawElement> {
    let more = RawElement { item: (raw.bits % 8) as u8, bits: raw.bits };
    let mut elements = if table.layout == Layout::Flat { Vec::new() } else { raw.elements.clone() };
    elements.push(more);
    elements
}

fn element_values(choices: &Choices, table: &TableChoice, raw: &Raw, place: usize, element: &RawElement) -> Vec<Entry> {
    let item = match raw.fault {
        Fault::NullItem if place == 0 => json!(null),
        Fault::NoId if place == 0 && choices.items == IdChoice::Int && table.texts => json!("007"),
        Fault::NoId if place == 0 && choices.items == IdChoice::Int && !choices.wide => json!(1i64 << 40),
        _ => id(choices.items, element.item, choices.wide, table.texts),
    };
    let mut values = vec![("item".to_owned(), item)];
    if table.filters.1 {
        values.push(("ok".to_owned(), scalar(json!(u8::from(!element.bits.is_multiple_of(4))), table.texts)));
    }
    values
}

fn shared_values(choices: &Choices, table: &TableChoice, raw: &Raw, reads_time: bool) -> Vec<Entry> {
    let customer = match raw.fault {
        Fault::NullCustomer => json!(null),
        Fault::NoId if choices.customers != IdChoice::Hash && table.texts => json!("guest-1"),
        _ => id(choices.customers, raw.customer, true, table.texts),
    };
    let mut row = vec![("user".to_owned(), customer)];
    if table.filters.0 {
        let events = [json!("show"), json!("seen"), json!("7"), json!("other"), json!(null)];
        row.push(("event".to_owned(), events[raw.bits as usize % 5].clone()));
    }
    let day = Day(FIRST + raw.day);
    let is_bad = raw.fault == Fault::NoDay;
    let dt = match table.day {
        DayChoice::Folder | DayChoice::Path | DayChoice::OfTime(_) => None,
        DayChoice::Number if is_bad => Some(scalar(json!(20_241_301), table.texts)),
        _ if is_bad => Some(json!("2024-13-01")),
        DayChoice::Text => Some(json!(day.to_string())),
        DayChoice::Digits => Some(json!(day.to_string().replace('-', ""))),
        DayChoice::Midnight => Some(json!(format!("{day} 00:00:00"))),
        DayChoice::Number => {
            let number: u32 = day.to_string().replace('-', "").parse().unwrap();
            Some(scalar(json!(number), table.texts))
        }
        // Half an hour after midnight in Berlin, where it is two hours later in these days.
        DayChoice::Instant => Some(json!(format!("{}T22:30:00Z", Day(day.0 - 1)))),
    };
    row.extend(dt.map(|dt| ("dt".to_owned(), dt)));
    row.extend(time_value(table, raw, reads_time).map(|time| ("at".to_owned(), time)));
    row
}

fn time_value(table: &TableChoice, raw: &Raw, reads_time: bool) -> Option<Value> {
    let is_number = matches!(table.time, TimeChoice::Unit(_)) && !table.texts;
    match raw.fault {
        _ if table.time == TimeChoice::None => return None,
        Fault::NullTime if reads_time => return Some(json!(null)),
        Fault::NoTime if reads_time && !is_number => return Some(json!("no time")),
        _ => {}
    }
    // What is seen on a day may have happened days before, and now and then after it.
    let late = [0, 0, 0, 0, 0, -1, -3, 1][raw.bits as usize >> 8 & 7];
    let micros = Day(FIRST + raw.day + late).midnight() + raw.tick.0 * (MICROS_PER_DAY / 4) + raw.tick.1;
    let show = |micros: i64, between: char| {
        let clock = micros.rem_euclid(MICROS_PER_DAY);
        let (day, seconds) = (Day::containing(micros).unwrap(), clock / 1_000_000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{day}{between}{hour:02}:{minute:02}:{second:02}.{:06}", clock % 1_000_000)
    };
    let value = match table.time {
        TimeChoice::None => return None,
        TimeChoice::Rfc => json!(show(micros, 'T') + "Z"),
        TimeChoice::Spaced => json!(show(micros, ' ') + " UTC"),
        TimeChoice::Offset => json!(show(micros + 7_200_000_000, 'T') + "+02:00"),
        TimeChoice::Berlin => json!(show(micros + 7_200_000_000, ' ')),
        TimeChoice::Format => json!(american(micros)),
        TimeChoice::Unit("s") => scalar(json!(micros.div_euclid(1_000_000)), table.texts),
        TimeChoice::Unit("ms") => scalar(json!(micros.div_euclid(1_000)), table.texts),
        TimeChoice::Unit("us") => scalar(json!(micros), table.texts),
        TimeChoice::Unit(_) => scalar(json!(micros * 1_000 + 999), table.texts),
    };
    Some(value)
}

/// As `10/4/2024 2:05:09 PM`.
fn american(micros: i64) -> String {
    let (year, month, day) = Day::containing(micros).unwrap().ymd();
    let seconds = micros.rem_euclid(MICROS_PER_DAY) / 1_000_000;
    let hour = seconds / 3600;
    let (twelve, half) = ((hour + 11) % 12 + 1, if hour < 12 { "AM" } else { "PM" });
    format!("{month}/{day}/{year} {twelve}:{:02}:{:02} {half}", seconds / 60 % 60, seconds % 60)
}

fn kept_value(dtype: usize, has_null: bool, bits: u32, fault: Fault, texts: bool) -> Value {
    if fault == Fault::Null || has_null && dtype != HASH && bits.is_multiple_of(5) {
        return json!(null);
    }
    let value = match DTYPES[dtype] {
        "bool" => return scalar(json!(bits % 2), texts),
        "u8" => json!(bits % 256),
        "i32" => json!(i64::from(bits % 7) - 3),
        "i64" => json!(i64::from(bits % 3) * i64::from(i32::MAX) * 4),
        "f32" | "f64" => json!(f64::from(bits % 9) * 0.5 - 2.0),
        _ => return json!(format!("väl {}", bits % 3)),
    };
    scalar(value, texts)
}

/// An id of a customer or an item; few, and the extremes.
fn id(kind: IdChoice, seed: u8, wide: bool, texts: bool) -> Value {
    match (kind, seed) {
        (IdChoice::Hash, _) => json!(format!("#{seed}-ü")),
        (IdChoice::U64, 3) => scalar(json!(u64::MAX), texts),
        (IdChoice::U64, 4) => scalar(json!(1u64 << 63), texts),
        (IdChoice::U64, _) => scalar(json!(seed), texts),
        (IdChoice::Int, 3) if wide => scalar(json!(i64::MAX), texts),
        (IdChoice::Int, 4) if wide => scalar(json!(i64::MIN), texts),
        // Equal to 1 in its lower 32 bits.
        (IdChoice::Int, 7) if wide => scalar(json!((1i64 << 32) + 1), texts),
        (IdChoice::Int, 3) => scalar(json!(i32::MAX), texts),
        (IdChoice::Int, 4) => scalar(json!(i32::MIN), texts),
        (IdChoice::Int, _) => scalar(json!(i64::from(seed) - 1), texts),
    }
}

/// A number, or its text.
fn scalar(value: Value, texts: bool) -> Value {
    if texts && !value.is_null() && !value.is_string() { Value::String(value.to_string()) } else { value }
}

/// The rows of a table in its files; where the path has the day, each file has one.
fn files(table: &TableChoice, raws: &[Raw], row: &dyn Fn(&Raw) -> Values) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    for (number, raw) in raws.iter().enumerate() {
        let day = Day(FIRST + raw.day).to_string();
        let path = match table.day {
            DayChoice::Folder => format!("dt={day}/part-0"),
            DayChoice::Path => format!("{}/part-0", day.replace('-', "/")),
            _ => format!("part-{}", number % table.files),
        };
        let known = files.iter().position(|file| file.path == path).unwrap_or_else(|| {
            files.push(File { path, rows: Vec::new() });
            files.len() - 1
        });
        let rows = &mut files[known].rows;
        // The first row of a file shows that its lists are lists.
        let (values, mut elements) = row(raw);
        // The first row of a table shows what the structs of its list have.
        if number == 0 && elements.len() == 1 {
            elements.push(elements[0].clone());
        }
        let value = laid_out(table, raw, (values, elements), !rows.is_empty());
        rows.push(if table.upper { upper(value) } else { value });
    }
    files
}

fn laid_out(table: &TableChoice, raw: &Raw, (values, mut elements): Values, may_be_null: bool) -> Value {
    let mut row: Map<String, Value> = values.into_iter().collect();
    let last = elements.pop().unwrap();
    if table.layout == Layout::Flat {
        row.extend(last);
        return Value::Object(row);
    }
    let is_null = elements.is_empty() && may_be_null && raw.bits.is_multiple_of(2);
    let list = |values: Vec<Value>| if is_null { Value::Null } else { Value::Array(values) };
    match table.layout {
        Layout::Structs => {
            let structs = elements.into_iter().map(|element| Value::Object(element.into_iter().collect()));
            row.insert("shown".to_owned(), list(structs.collect()));
        }
        Layout::Parallel => {
            for (number, (name, value)) in last.iter().enumerate() {
                let mut values: Vec<Value> = elements.iter().map(|element| element[number].1.clone()).collect();
                // The last of several lists is longer by one.
                values.extend(
                    (raw.fault == Fault::Lengths && number > 0 && number + 1 == last.len()).then(|| value.clone()),
                );
                let values = if values.is_empty() { list(values) } else { Value::Array(values) };
                row.insert(name.clone(), values);
            }
        }
        Layout::Flat | Layout::Text => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            let element = |element: &Vec<Entry>| {
                let fields = element.iter().map(|(_, value)| if value.is_null() { String::new() } else { text(value) });
                fields.collect::<Vec<_>>().join("~")
            };
            let text = elements.iter().map(element).collect::<Vec<_>>().join("|");
            row.insert("slate".to_owned(), if is_null { Value::Null } else { Value::String(text) });
        }
    }
    Value::Object(row)
}

/// Keys in capitals.
fn upper(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().map(|(key, value)| (key.to_ascii_uppercase(), upper(value))).collect(),
        Value::Array(elements) => elements.into_iter().map(upper).collect(),
        other => other,
    }
}
