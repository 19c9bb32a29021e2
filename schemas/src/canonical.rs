//! Canonical JSON: equal values always give the same bytes.
//!
//! Job ids are hashes of specifications, so two processes must serialize a specification to the
//! same bytes, whatever order their maps iterate in. Keys are sorted at every level. Numbers and
//! strings are written as `serde_json` writes them.

use serde::Serialize;
use serde_json::Value;

/// Serializes `value` with sorted keys and no whitespace.
///
/// Fails if the value holds something that JSON cannot express, such as a map with non-string keys.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    write(&serde_json::to_value(value)?, &mut text);
    Ok(text)
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            // Sorted here because `serde_json` keeps the insertion order if any crate in the build
            // enables its feature `preserve_order`.
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            write_joined(out, ['{', '}'], keys, |key, out| {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(&map[key], out);
            });
        }
        Value::Array(values) => write_joined(out, ['[', ']'], values, write),
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn write_joined<T>(
    out: &mut String,
    [open, close]: [char; 2],
    parts: impl IntoIterator<Item = T>,
    mut write_part: impl FnMut(T, &mut String),
) {
    out.push(open);
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_part(part, out);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn keys_are_sorted_at_every_level() {
        let value = json!({"b": [{"z": 1, "a": null}, "ü\""], "a": 0.5});
        let text = super::to_string(&value).unwrap();
        assert_eq!(text, r#"{"a":0.5,"b":[{"a":null,"z":1},"ü\""]}"#);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
