//! Functions as they are typed: step functions and aggregators, with their parameters.

use serde_json::{Map, Value};
use whence_schemas::{FunctionSpec, options};

use crate::Failure;

/// Reads a function, given as a plain name or as a JSON object with name, parameters and label.
pub(crate) fn function(text: &str) -> Result<FunctionSpec, Failure> {
    if !text.trim_start().starts_with('{') {
        return Ok(FunctionSpec::named(text));
    }
    let refused = |reason: String| Failure::request(format!("the function `{text}`: {reason}"));
    let json: Value =
        serde_json::from_str(text).map_err(|error| refused(format!("it is not JSON ({error})")))?;
    options::read_value(&json).map_err(|error| refused(error.to_string()))
}

pub(crate) fn functions(texts: &[String]) -> Result<Vec<FunctionSpec>, Failure> {
    texts.iter().map(|text| function(text)).collect()
}

/// Reads an aggregator: as [`function`] does, or as `name:parameter=value,parameter=value`.
///
/// A value is JSON if it can be read as such, and a text otherwise. A comma begins a new parameter
/// only if a name and `=` follow it, so that lists and expressions may contain commas.
pub(crate) fn aggregator(text: &str) -> Result<FunctionSpec, Failure> {
    let is_json = text.trim_start().starts_with('{');
    let Some((name, parameters)) = text.split_once(':').filter(|_| !is_json) else {
        return function(text);
    };
    let mut params = Map::new();
    for parameter in split_parameters(parameters) {
        let Some((key, value)) = parameter.split_once('=') else {
            return Err(Failure::request(format!(
                "the aggregator `{text}`: `{parameter}` is not a parameter"
            ))
            .hint("write `name:parameter=value`, for example `split:split_pattern=\\.`"));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        params.insert(key.trim().to_owned(), value);
    }
    Ok(FunctionSpec {
        params,
        ..FunctionSpec::named(name.trim())
    })
}

pub(crate) fn aggregators(texts: &[String]) -> Result<Vec<FunctionSpec>, Failure> {
    texts.iter().map(|text| aggregator(text)).collect()
}

/// Splits `a=1,b=[2,3]` at the commas that a name and `=` follow.
fn split_parameters(text: &str) -> Vec<&str> {
    let begins_parameter = |rest: &str| {
        let name = rest.split('=').next().unwrap_or_default().trim();
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        rest.contains('=') && !name.is_empty() && name.chars().all(is_of_name)
    };
    let mut parameters = Vec::new();
    let mut start = 0;
    for (comma, _) in text.match_indices(',') {
        if begins_parameter(&text[comma + 1..]) {
            parameters.push(&text[start..comma]);
            start = comma + 1;
        }
    }
    parameters.push(&text[start..]);
    parameters
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_follow_the_name_of_an_aggregator() {
        for (text, name, params) in [
            ("subwords", "subwords", json!({})),
            (
                r"split:split_pattern=\.",
                "split",
                json!({"split_pattern": r"\."}),
            ),
            (
                "spans:target_spans=[[0,2],[3,5]],aggregate_fn=sum",
                "spans",
                json!({"target_spans": [[0, 2], [3, 5]], "aggregate_fn": "sum"}),
            ),
            (
                "split:split_pattern=[,;:]",
                "split",
                json!({"split_pattern": "[,;:]"}),
            ),
            (
                r#"{"name": "mean", "params": {"normalize": false}}"#,
                "mean",
                json!({"normalize": false}),
            ),
            (
                "spans:by=words, aggregate_source=false",
                "spans",
                json!({"by": "words", "aggregate_source": false}),
            ),
        ] {
            let read = aggregator(text).unwrap();
            assert_eq!(
                (read.name.as_str(), json!(read.params)),
                (name, params),
                "{text}"
            );
        }
        let refused = aggregator("split:a.b").unwrap_err();
        assert!(refused.message().contains("`a.b` is not a parameter"));
    }
}
