//! Text as it is published to rows of JSON, in the most obvious way.

use serde_json::{Map, Value};
use shardback::schema::Source;

/// Objects of JSON, one a line.
pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// CSV: every value is text, and an empty field is null.
pub(crate) fn csv(text: &str, source: &Source) -> Vec<Value> {
    let delimiter = source.delimiter.as_deref().unwrap_or(",");
    let quote = source.quote.unwrap_or('"');
    let mut lines = text.lines().map(|line| fields(line, delimiter, quote));
    let columns = source.columns.clone().or_else(|| lines.next()).unwrap();
    let row = |fields: Vec<String>| {
        assert_eq!(fields.len(), columns.len(), "{fields:?}");
        let value = |text: String| {
            if text.is_empty() || source.nulls.contains(&text) { Value::Null } else { Value::String(text) }
        };
        Value::Object(columns.iter().cloned().zip(fields.into_iter().map(value)).collect::<Map<String, Value>>())
    };
    lines.map(row).collect()
}

/// The fields of a line; a quote within quotes is doubled.
fn fields(line: &str, delimiter: &str, quote: char) -> Vec<String> {
    let mut fields = vec![String::new()];
    let (mut rest, mut quoted) = (line, false);
    while let Some(next) = rest.chars().next() {
        let field = fields.last_mut().unwrap();
        if quoted && next == quote && rest[next.len_utf8()..].starts_with(quote) {
            field.push(quote);
            rest = &rest[2 * next.len_utf8()..];
        } else if next == quote && (quoted || field.is_empty()) {
            quoted = !quoted;
            rest = &rest[next.len_utf8()..];
        } else if !quoted && rest.starts_with(delimiter) {
            fields.push(String::new());
            rest = &rest[delimiter.len()..];
        } else {
            field.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    fields
}
