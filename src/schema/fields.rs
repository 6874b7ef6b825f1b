//! A table of a description: its keys taken one by one, so that what is left at the end is a key that nobody knows.

use serde_json::{Map, Value};

use crate::error::{Error, Result, quoted};

/// The key of the one entry of what TOML has as a date, and JSON lacks.
const TOML_DATE: &str = "$__toml_private_datetime";

/// A value of a description, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) place: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    pub(super) fn new(place: &str, value: &'a Value) -> Self {
        Self { place: place.to_owned(), value }
    }

    /// An error about it.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> Error {
        Error::Description { place: self.place.clone(), problem: problem.into() }
    }

    fn expected(&self, what: &str) -> Error {
        let found = match self.value {
            // What JSON has no number for.
            Value::Null => "nothing, nan or inf".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => quoted(text),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(map) if map.contains_key(TOML_DATE) => "a date: put it in quotes".to_owned(),
            Value::Object(_) => "a table".to_owned(),
        };
        self.wrong(format!("expected {what}, found {found}"))
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.is_string()
    }

    pub(super) fn is_table(&self) -> bool {
        self.map().is_ok()
    }

    /// Text that is not empty.
    pub(super) fn text(&self) -> Result<&'a str> {
        self.value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| self.expected("text"))
    }

    pub(super) fn bool(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    pub(super) fn whole(&self) -> Result<u64> {
        self.value.as_u64().ok_or_else(|| self.expected("a whole number, 0 or more"))
    }

    pub(super) fn number(&self) -> Result<f64> {
        let number = self.value.as_f64().filter(|number| number.is_finite());
        number.ok_or_else(|| self.expected("a number"))
    }

    /// A setting that may be a secret: text, a whole number or a bool, which no message shows.
    pub(super) fn secret(&self) -> Result<String> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Bool(value) => Ok(value.to_string()),
            Value::Number(number) if !number.is_f64() => Ok(number.to_string()),
            _ => Err(self.wrong("expected text, a whole number, true or false")),
        }
    }

    pub(super) fn is_empty_text(&self) -> bool {
        self.value.as_str() == Some("")
    }

    /// One character.
    pub(super) fn character(&self) -> Result<char> {
        let mut characters = self.text()?.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => Ok(character),
            _ => Err(self.expected("one character")),
        }
    }

    /// One of some words.
    pub(super) fn one_of<T: Copy>(&self, known: &[(&str, T)]) -> Result<T> {
        let text = self.text()?;
        let found = known.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words = known.iter().map(|(word, _)| *word).collect::<Vec<_>>();
            self.wrong(format!("{} is none of {}", quoted(text), words.join(", ")))
        })
    }

    /// The elements of a list that is not empty; anything else is a list of one.
    pub(super) fn elements(&self) -> Result<Vec<Field<'a>>> {
        let Value::Array(elements) = self.value else { return Ok(vec![self.clone()]) };
        if elements.is_empty() {
            return Err(self.wrong("the list is empty"));
        }
        let element = |(place, value)| Field { place: format!("{}[{place}]", self.place), value };
        Ok(elements.iter().enumerate().map(element).collect())
    }

    /// Texts, one or several.
    pub(super) fn texts(&self) -> Result<Vec<String>> {
        self.elements()?.iter().map(|element| element.text().map(ToOwned::to_owned)).collect()
    }

    /// Values as the text that a table would have: texts, whole numbers and bools, one or several.
    pub(super) fn values(&self) -> Result<Vec<String>> {
        let value = |element: &Field<'_>| match element.value {
            Value::String(text) => Ok(text.clone()),
            Value::Bool(value) => Ok(value.to_string()),
            Value::Number(number) if !number.is_f64() => Ok(number.to_string()),
            _ => Err(element.expected("text, a whole number, true or false")),
        };
        self.elements()?.iter().map(value).collect()
    }

    /// The keys of a table and their values, in their order.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, Field<'a>)>> {
        let map = self.map()?;
        let entry = |(key, value): (&'a String, &'a Value)| (key.as_str(), Field { place: self.below(key), value });
        Ok(map.iter().map(entry).collect())
    }

    /// The table, to take its keys from.
    pub(super) fn fields(&self) -> Result<Fields<'a>> {
        Ok(Fields { table: self.clone(), map: self.map()?, asked: Vec::new() })
    }

    fn map(&self) -> Result<&'a Map<String, Value>> {
        let map = self.value.as_object().filter(|map| !map.contains_key(TOML_DATE));
        map.ok_or_else(|| self.expected("a table"))
    }

    fn below(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }
}

/// The keys of a table.
pub(super) struct Fields<'a> {
    pub(super) table: Field<'a>,
    map: &'a Map<String, Value>,
    /// Every key that was asked for.
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The value of a key, where the table has it.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Field<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.map.get(key).map(|value| Field { place: self.table.below(key), value })
    }

    /// The value of a key that has to be there; `what` says what it is.
    pub(super) fn need(&mut self, key: &'static str, what: &str) -> Result<Field<'a>> {
        let place = self.table.below(key);
        self.get(key).ok_or_else(|| Error::Description { place, problem: format!("it is missing: name {what}") })
    }

    /// Refuses keys that nobody has asked for; to be called when all have been.
    pub(super) fn finish(self) -> Result<()> {
        let Some(unknown) = self.map.keys().find(|key| !self.asked.contains(&key.as_str())) else { return Ok(()) };
        let near = self.asked.iter().map(|known| (strsim::damerau_levenshtein(known, unknown), known));
        let nearest = near.min().filter(|(distance, known)| *distance <= 2.max(known.len() / 3));
        let advice = nearest.map_or_else(
            || format!("the known keys are {}", self.asked.join(", ")),
            |(_, known)| format!("did you mean `{known}`?"),
        );
        let place = self.table.below(unknown);
        Err(Error::Description { place, problem: format!("this key is not known; {advice}") })
    }
}
