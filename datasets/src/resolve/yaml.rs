//! The YAML with which a card begins.

use serde_json::{Map, Value};

use crate::Error;

/// Returns the YAML between the first line, `---`, and the next such line.
pub(super) fn block(readme: &str) -> Option<&str> {
    let text = readme.trim_start_matches('\u{feff}');
    let rest = text.trim_start().strip_prefix("---")?;
    let is_line_end = |c: char| matches!(c, '\n' | '\r');
    if !rest.starts_with(is_line_end) {
        return None;
    }
    let block = rest;
    let mut from = 0;
    loop {
        let at = from + block[from..].find("---")?;
        let is_line = block[..at].ends_with(is_line_end)
            && block[at + 3..]
                .trim_start_matches([' ', '\t'])
                .chars()
                .next()
                .is_none_or(is_line_end);
        // The line end before the first `---` is not the one that ends the block.
        if is_line && at > 1 {
            return Some(&block[..at]);
        }
        from = at + 3;
    }
}

/// Reads a mapping. An empty text is an empty one.
pub(super) fn parse(file: &str, yaml: &str) -> Result<Map<String, Value>, Error> {
    // A language `no` and a file `y` are texts.
    let options = serde_saphyr::options! { strict_booleans: true };
    let value: Value = serde_saphyr::from_str_with_options(yaml, options)
        .map_err(|error| refuse(file, format!("its YAML cannot be read: {error}")))?;
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map),
        _ => Err(refuse(file, "its YAML is not a mapping".to_owned())),
    }
}

fn refuse(file: &str, reason: String) -> Error {
    Error::Card {
        file: file.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yaml_is_between_two_lines_of_dashes() {
        assert_eq!(block("---\na: 1\n---\ntext"), Some("\na: 1\n"));
        assert_eq!(block("---\r\na: 1\r\n--- \r\n"), Some("\r\na: 1\r\n"));
        assert_eq!(block("---\na: x---\n---"), Some("\na: x---\n"));
        assert_eq!(block("# Title\n---\na: 1\n---\n"), None);
        assert_eq!(block("---\na: 1\n"), None);
    }

    #[test]
    fn only_true_and_false_are_no_texts() {
        let data = parse("README.md", "{a: no, b: y, c: true}").unwrap();
        assert_eq!(data["a"], "no");
        assert_eq!(data["b"], "y");
        assert_eq!(data["c"], true);
        assert!(parse("README.md", "").unwrap().is_empty());
        assert!(parse("README.md", "a: [").is_err());
        assert!(parse("README.md", "- a").is_err());
    }
}
