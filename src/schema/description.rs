//! A description as it is written, in TOML or JSON, to a checked [`Schema`].

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::fields::Field;
use super::{
    ActionTable, ActionTypes, Cutoff, History, Ids, Kept, MAX_HISTORY, SampleTable, Schema, TypeOf, names, table,
};
use crate::error::{Error, Result, path_text, quoted};
use crate::event::MICROS_PER_DAY;
use crate::store::StoreOptions;

/// The version of descriptions that this program reads.
const VERSION: u64 = 1;

const IDS: [(&str, Ids); 3] = [("int", Ids::Int), ("u64", Ids::U64), ("hash", Ids::Hash)];

/// Reads a description in TOML.
///
/// ```
/// let shop = r#"
///     version = 1
///     [types]
///     click = 1
///     [samples]
///     customer = "user"
///     item = "sku"
///     day = "dt"
///     labels = { bought = "bought" }
///     [actions.clicks]
///     type = "click"
///     customer = "user"
///     item = "sku"
///     time = { column = "ts", unit = "ms" }
///     [history]
///     length = 200
/// "#;
/// let schema = shardback::schema::from_toml(shop)?;
/// assert_eq!((schema.history.length, schema.actions[0].name.as_str()), (200, "clicks"));
/// # Ok::<(), shardback::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Description`] names the key that is wrong, or the line that is no TOML.
pub fn from_toml(text: &str) -> Result<Schema> {
    let value = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text.get(..span.start).map_or(0, |before| before.matches('\n').count()) + 1);
        let place = line.map_or_else(|| "description".to_owned(), |line| format!("line {line}"));
        Error::Description { place, problem: error.message().to_owned() }
    })?;
    from_json(&value)
}

/// Reads the description in a file, as [`from_text`] does. Its paths are from the file's folder on.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, and what [`from_text`] says.
pub fn from_file(path: &Path) -> Result<Schema> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    from_text(&path_text(path), &text)
}

/// Reads the text of a file with a name: in JSON where that ends so, else in TOML.
///
/// # Errors
/// [`Error::Description`], which names the file too.
pub fn from_text(name: &str, text: &str) -> Result<Schema> {
    let is_json = name.rsplit_once('.').is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"));
    let schema = if is_json {
        let problem = |error: serde_json::Error| Error::Description {
            place: format!("line {}", error.line()),
            problem: error.to_string(),
        };
        serde_json::from_str(text).map_err(problem).and_then(|value| from_json(&value))
    } else {
        from_toml(text)
    };
    schema.map_err(|error| match error {
        Error::Description { place, problem } => Error::Description { place: format!("`{name}`: {place}"), problem },
        other => other,
    })
}

/// Reads a description in JSON: the same tables and keys as in TOML.
///
/// # Errors
/// [`Error::Description`] names the key that is wrong.
pub fn from_json(value: &Value) -> Result<Schema> {
    let mut fields = Field::new("", value).fields()?;
    let version = fields.need("version", &format!("the version of the description, {VERSION}"))?;
    if version.whole()? != VERSION {
        return Err(version.wrong(format!("{} is not known; this program reads version {VERSION}", version.whole()?)));
    }
    let types = types(&fields.need("types", "the types of actions")?)?;
    let samples = samples(&fields.need("samples", "the table of what was shown")?)?;
    let actions = actions(&fields.need("actions", "one table of actions or more")?, &types)?;
    let [customer_ids, item_ids] = ids(fields.get("ids"))?;
    let history = history(&fields.need("history", "the length of a history")?, &samples)?;
    let store = store(fields.get("store"))?;
    fields.finish()?;
    Ok(Schema { types, samples, actions, customer_ids, item_ids, history, store })
}

/// The settings of object stores: any names, which are checked when a store is asked for.
fn store(field: Option<Field<'_>>) -> Result<StoreOptions> {
    let mut store = StoreOptions::default();
    for (name, value) in field.map_or(Ok(Vec::new()), |field| field.entries())? {
        store.set(name, value.secret()?);
    }
    Ok(store)
}

fn types(field: &Field<'_>) -> Result<ActionTypes> {
    let numbers = field.entries()?.into_iter().map(|(name, number)| Ok((name, number.whole()?)));
    let numbers = numbers.collect::<Result<Vec<_>>>()?;
    if numbers.is_empty() {
        return Err(field.wrong("there are none: give each type of action a name and a number"));
    }
    ActionTypes::new(numbers)
}

fn samples(field: &Field<'_>) -> Result<SampleTable> {
    let mut fields = field.fields()?;
    let customer = table::column(&mut fields, "customer", "the customer")?;
    let item = table::column(&mut fields, "item", "the item")?;
    let time = fields.get("time").map(|time| table::time(&time)).transpose()?;
    let day = table::day(&mut fields, time.as_ref())?;
    let labels = fields.get("labels").map_or(Ok(Vec::new()), |labels| table::labels(&labels))?;
    let label_names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
    let kept = fields.get("keep").map_or(Ok(Vec::new()), |keep| table::kept(&keep, &label_names))?;
    let samples = SampleTable {
        name: "samples".to_owned(),
        customer,
        item,
        day,
        time,
        request: fields.get("request").map(|column| table::named_column(&column)).transpose()?,
        labels,
        kept,
        source: table::source(&mut fields)?,
    };
    fields.finish()?;
    Ok(samples)
}

fn actions(field: &Field<'_>, types: &ActionTypes) -> Result<Vec<ActionTable>> {
    let mut tables = Vec::new();
    for (name, field) in field.entries()? {
        names::check(name, &field)?;
        if name == "samples" {
            return Err(field.wrong("`samples` is the table of what was shown; choose another name"));
        }
        tables.push(action_table(name, &field, types)?);
    }
    if tables.is_empty() {
        return Err(field.wrong("there are none: describe one table of actions or more"));
    }
    check_features(field, &tables)?;
    Ok(tables)
}

fn action_table(name: &str, field: &Field<'_>, types: &ActionTypes) -> Result<ActionTable> {
    let mut fields = field.fields()?;
    let kind = type_of(&fields.need("type", "the type of its actions")?, types)?;
    let customer = table::column(&mut fields, "customer", "the customer")?;
    let item = table::column(&mut fields, "item", "the item")?;
    let time = fields.get("time").map(|time| table::time(&time)).transpose()?;
    let table = ActionTable {
        name: name.to_owned(),
        kind,
        customer,
        item,
        day: table::day(&mut fields, time.as_ref())?,
        time,
        features: fields.get("features").map_or(Ok(Vec::new()), |features| table::features(&features))?,
        source: table::source(&mut fields)?,
    };
    fields.finish()?;
    Ok(table)
}

fn type_of(field: &Field<'_>, types: &ActionTypes) -> Result<TypeOf> {
    let number = |field: &Field<'_>| {
        let name = field.text()?;
        types.number(name).ok_or_else(|| {
            let known: Vec<&str> = types.iter().map(|(_, name)| name).collect();
            field.wrong(format!("{} is none of the types {}", quoted(name), known.join(", ")))
        })
    };
    if !field.is_table() {
        return number(field).map(TypeOf::Constant);
    }
    let mut fields = field.fields()?;
    let column = table::column(&mut fields, "column", "the type")?;
    let values = fields.need("values", "the type of each value of the column")?;
    let values = values.entries()?.into_iter().map(|(value, name)| Ok((value.to_owned(), number(&name)?)));
    let values = values.collect::<Result<Vec<_>>>()?;
    let ignore_others = fields.get("other").map(|other| other.one_of(&[("ignore", true), ("invalid", false)]));
    let ignore_others = ignore_others.transpose()?.unwrap_or(false);
    fields.finish()?;
    Ok(TypeOf::Column { column, values, ignore_others })
}

/// Features of one name are one column of the outputs: of one type, and with a value for actions of tables that lack it.
fn check_features(field: &Field<'_>, tables: &[ActionTable]) -> Result<()> {
    let all = || tables.iter().flat_map(|table| table.features.iter().map(move |feature| (table, feature)));
    let of = |table: &ActionTable, name: &str| table.features.iter().find(|feature| feature.name == name).cloned();
    let wrong = |table: &ActionTable, Kept { name, .. }: &Kept, problem: String| Error::Description {
        place: format!("{}.{}.features.{name}", field.place, table.name),
        problem,
    };
    for (table, feature) in all() {
        for other in tables {
            match of(other, &feature.name) {
                Some(known) if (known.dtype, known.null) != (feature.dtype, feature.null) => {
                    let problem = format!("it has another `dtype` or `null` in `{}`: it is one column", other.name);
                    return Err(wrong(table, feature, problem));
                }
                None if feature.null.is_none() => {
                    let problem =
                        format!("`{}` has no such feature: say with `null` what its actions have", other.name);
                    return Err(wrong(table, feature, problem));
                }
                Some(_) | None => {}
            }
        }
    }
    Ok(())
}

fn ids(field: Option<Field<'_>>) -> Result<[Ids; 2]> {
    let Some(field) = field else { return Ok([Ids::Int; 2]) };
    let mut fields = field.fields()?;
    let mut kind = |key| fields.get(key).map_or(Ok(Ids::Int), |kind| kind.one_of(&IDS));
    let ids = [kind("customer")?, kind("item")?];
    fields.finish()?;
    Ok(ids)
}

fn history(field: &Field<'_>, samples: &SampleTable) -> Result<History> {
    let mut fields = field.fields()?;
    let length = fields.need("length", "how many actions a history has at most")?;
    let cutoff = fields.get("cutoff").map(|cutoff| {
        let word = cutoff.one_of(&[("day", Cutoff::Day), ("time", Cutoff::Time)])?;
        if word == Cutoff::Time && samples.time.is_none() {
            return Err(cutoff.wrong("\"time\" is the time of each sample: [samples] has no `time`"));
        }
        Ok(word)
    });
    let cutoff = cutoff.transpose()?.unwrap_or(Cutoff::Day);
    let lookback_micros = fields.get("lookback").map(|field| lookback(&field, cutoff)).transpose()?;
    let delay_micros = fields.get("delay").map_or(Ok(0), |field| delay(&field, cutoff, lookback_micros))?;
    let times = fields.get("times").map(|unit| unit.one_of(&table::UNITS[..3])).transpose()?;
    let history = History { length: length_of(&length)?, cutoff, lookback_micros, delay_micros, times };
    fields.finish()?;
    Ok(history)
}

fn length_of(field: &Field<'_>) -> Result<usize> {
    let length = usize::try_from(field.whole()?).ok().filter(|length| (1..=MAX_HISTORY).contains(length));
    length.ok_or_else(|| field.wrong(format!("it is not between 1 and {MAX_HISTORY}")))
}

fn lookback(field: &Field<'_>, cutoff: Cutoff) -> Result<i64> {
    let micros = duration(field)?;
    if micros == 0 {
        return Err(field.wrong("0 would hide every action"));
    }
    if cutoff == Cutoff::Day && micros % MICROS_PER_DAY != 0 {
        return Err(field.wrong("with a cut-off at the day it has to be whole days, as \"90d\""));
    }
    Ok(micros)
}

fn delay(field: &Field<'_>, cutoff: Cutoff, lookback: Option<i64>) -> Result<i64> {
    let micros = duration(field)?;
    if cutoff == Cutoff::Day && micros != 0 {
        return Err(
            field.wrong("it belongs to `cutoff = \"time\"`: with a cut-off at the day, the day of an action decides")
        );
    }
    if lookback.is_some_and(|lookback| micros >= lookback) {
        return Err(field.wrong("it is no shorter than `lookback`: every action would be hidden"));
    }
    Ok(micros)
}

/// A length of time, in microseconds.
fn duration(field: &Field<'_>) -> Result<i64> {
    let text = field.text()?;
    parse_duration(text).ok_or_else(|| {
        field.wrong(format!("{} is not a length of time; write it as 90d, 12h, 30m, 45s or 500ms", quoted(text)))
    })
}

/// Reads a length of time as `90d`, `12h`, `30m`, `45s` or `500ms`, in microseconds.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit: i64 = match unit {
        "d" => MICROS_PER_DAY,
        "h" => 3_600_000_000,
        "m" => 60_000_000,
        "s" => 1_000_000,
        "ms" => 1_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}
