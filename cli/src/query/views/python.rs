//! Python source for the Polars script: literals and expressions that several views need.

use super::keys::KEYS;

/// Returns a Python string literal.
pub(super) fn string(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\0' => literal.push_str("\\x00"),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// Returns a Python list of string literals.
pub(super) fn strings(texts: &[&str]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| string(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// Returns the keys followed by `more`, as a Python list.
pub(super) fn with_keys(more: &[&str]) -> String {
    strings(&[&KEYS[..], more].concat())
}

/// Returns the lazy frame of an SQL query on the views that are already defined.
pub(super) fn sql(query: &str) -> String {
    format!("_sql({})", string(query))
}
