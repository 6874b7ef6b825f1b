//! Descriptions as TOML.

use serde_json::Value;

/// A table as a document of TOML, one key a line.
pub(crate) fn toml(description: &Value) -> String {
    let entries = description.as_object().unwrap().iter();
    entries.map(|(key, value)| format!("{} = {}\n", quoted(key), inline(value))).collect()
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(k, v)| format!("{} = {}", quoted(k), inline(v))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(elements) => format!("[{}]", elements.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::String(text) => quoted(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// What JSON has in quotes TOML has too.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
