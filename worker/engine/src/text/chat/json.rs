//! The `tojson` filter of chat templates: Python's `json.dumps`, without escaping for HTML.

use std::fmt::Write;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::python;

/// The filter itself: writes `value` as JSON.
#[allow(
    clippy::needless_pass_by_value,
    reason = "the template engine hands keyword arguments over"
)]
pub(super) fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let style = Style::of(&options)?;
    options.assert_all_used()?;
    let mut writer = Writer {
        style,
        depth: 0,
        out: String::new(),
    };
    writer.write(value)?;
    Ok(writer.out)
}

/// How the JSON is laid out.
struct Style {
    /// Indentation per level; `None` writes everything on one line.
    indent: Option<String>,
    between_items: String,
    behind_key: String,
    only_ascii: bool,
    sorts_keys: bool,
}

impl Style {
    fn of(options: &Kwargs) -> Result<Self, Error> {
        let indent: Option<Value> = options.get("indent")?;
        let indent = indent.filter(|indent| !indent.is_none());
        let indent = indent.map(|indent| match indent.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(usize::try_from(indent).unwrap_or_default()),
        });
        let separators: Option<Value> = options.get("separators")?;
        let (between_items, behind_key) = match separators.filter(|value| !value.is_none()) {
            None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
            None => (", ".to_owned(), ": ".to_owned()),
            Some(pair) => {
                let pair: Vec<String> = pair.try_iter()?.map(|text| text.to_string()).collect();
                let [items, keys] = <[String; 2]>::try_from(pair)
                    .map_err(|_| refused("`separators` of tojson is a pair"))?;
                (items, keys)
            }
        };
        let flag = |name| Ok::<_, Error>(options.get::<Option<bool>>(name)?.unwrap_or(false));
        Ok(Self {
            indent,
            between_items,
            behind_key,
            only_ascii: flag("ensure_ascii")?,
            sorts_keys: flag("sort_keys")?,
        })
    }
}

/// Writes one value as JSON.
struct Writer {
    style: Style,
    depth: usize,
    out: String,
}

impl Writer {
    fn write(&mut self, value: &Value) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => {
                let word = if value.is_true() { "true" } else { "false" };
                self.out.push_str(word);
            }
            ValueKind::Number => self.out.push_str(&python::number(value)),
            ValueKind::String => self.write_text(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.open('[');
                for (index, item) in items.iter().enumerate() {
                    self.separate(index);
                    self.write(item)?;
                }
                self.close(']', items.is_empty());
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.style.sorts_keys {
                    keys.sort();
                }
                self.open('{');
                for (index, key) in keys.iter().enumerate() {
                    self.separate(index);
                    self.write_text(&key.to_string());
                    self.out.push_str(&self.style.behind_key);
                    self.write(&value.get_item(key)?)?;
                }
                self.close('}', keys.is_empty());
            }
            kind => return Err(refused(&format!("{kind} cannot be written as JSON"))),
        }
        Ok(())
    }

    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.depth += 1;
    }

    /// Writes what precedes item `index` of a list or object.
    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.out.push_str(&self.style.between_items);
        }
        self.begin_line();
    }

    fn close(&mut self, bracket: char, is_empty: bool) {
        self.depth -= 1;
        if !is_empty {
            self.begin_line();
        }
        self.out.push(bracket);
    }

    fn begin_line(&mut self) {
        if let Some(indent) = &self.style.indent {
            self.out.push('\n');
            self.out.push_str(&indent.repeat(self.depth));
        }
    }

    fn write_text(&mut self, text: &str) {
        let only_ascii = self.style.only_ascii;
        let out = &mut self.out;
        out.push('"');
        for letter in text.chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                letter if letter < ' ' || (only_ascii && !(' '..='~').contains(&letter)) => {
                    let mut units = [0; 2];
                    for unit in letter.encode_utf16(&mut units) {
                        // Writing to a string never fails.
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                letter => out.push(letter),
            }
        }
        out.push('"');
    }
}

fn refused(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};

    /// What Python 3.11 writes: `json.dumps(x, ensure_ascii=False, …)`.
    #[test]
    fn values_are_written_as_python_writes_them() {
        let mut environment = Environment::new();
        environment.add_filter("tojson", super::to_json);
        let value = r#"{"b": [1, 2.0, 1e16, 1.5e-07, true, null], "a": "é\"\u0001😀", "c": {}}"#;
        let value: minijinja::Value = serde_json::from_str(value).unwrap();
        let written = |options: &str| {
            let template = format!("{{{{ x | tojson({options}) }}}}");
            environment
                .render_str(&template, context! { x => value.clone() })
                .unwrap()
        };
        assert_eq!(
            written(""),
            "{\"b\": [1, 2.0, 1e+16, 1.5e-07, true, null], \"a\": \"é\\\"\\u0001😀\", \"c\": {}}"
        );
        assert_eq!(
            written("sort_keys=true, separators=(',', ':'), ensure_ascii=true"),
            "{\"a\":\"\\u00e9\\\"\\u0001\\ud83d\\ude00\",\"b\":[1,2.0,1e+16,1.5e-07,true,null],\"c\":{}}"
        );
        assert_eq!(
            environment
                .render_str("{{ [{'a': []}, 1] | tojson(indent=2) }}", ())
                .unwrap(),
            "[\n  {\n    \"a\": []\n  },\n  1\n]"
        );
        assert!(environment.render_str("{{ x | tojson }}", ()).is_err());
    }
}
