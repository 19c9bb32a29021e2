//! Typed options from JSON that a user wrote. All such JSON is read here, and becomes either a
//! value or a sentence about the option that is wrong.
//!
//! A derived `Deserialize` says what a type expected but not which option it was, and says it in
//! serde's own terms (`data did not match any variant of untagged enum`). Here every error names
//! the path of the option and says what it must be:
//! `bad_words_ids[0][1] must be 0 or more, not -1`.
//!
//! A type that accepts several shapes lists them in its `#[serde(expecting = "expected …")]`. The
//! words after `expected` complete the sentence `option must be …`.

mod deserializer;
mod error;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use error::OptionError;

/// Reads options into their type. Fails with a sentence that names the option at fault.
pub fn read<T: DeserializeOwned>(options: Map<String, Value>) -> Result<T, OptionError> {
    read_value(&Value::Object(options))
}

/// Reads a value that may hold options, such as an entry of a list of functions.
pub fn read_value<T: DeserializeOwned>(value: &Value) -> Result<T, OptionError> {
    T::deserialize(deserializer::Node(value)).map_err(|error| error.about(value))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Taken {
        count: Option<usize>,
        share: f64,
        on: bool,
        ids: Vec<Vec<u32>>,
        pair: (usize, usize),
        rule: Rule,
        layer: Layer,
        inner: Inner,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        text: String,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Rule {
        #[default]
        FromTheEnd,
        Auto,
        At {
            step: usize,
        },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged, expecting = "expected a layer's number or its path")]
    enum Layer {
        Number(usize),
        Path(String),
    }

    impl Default for Layer {
        fn default() -> Self {
            Self::Number(0)
        }
    }

    fn refused(options: Value) -> String {
        let Value::Object(options) = options else {
            panic!("options are an object");
        };
        read::<Taken>(options).unwrap_err().to_string()
    }

    #[test]
    fn what_fits_is_read() {
        let Value::Object(options) = json!({
            "count": null, "share": 1, "on": true, "ids": [[1], []], "pair": [2, 3],
            "rule": "auto", "layer": "model.layers[1]", "inner": {"text": "é"},
        }) else {
            panic!("options are an object");
        };
        let expected = Taken {
            share: 1.0,
            on: true,
            ids: vec![vec![1], vec![]],
            pair: (2, 3),
            rule: Rule::Auto,
            layer: Layer::Path("model.layers[1]".to_owned()),
            inner: Inner {
                text: "é".to_owned(),
            },
            ..Taken::default()
        };
        assert_eq!(read::<Taken>(options).unwrap(), expected);
    }

    #[test]
    fn a_variant_with_fields_is_an_object_with_its_name() {
        let rule = |rule: Value| {
            let options = Map::from_iter([("rule".to_owned(), rule)]);
            read::<Taken>(options).map(|taken| taken.rule)
        };
        assert_eq!(
            rule(json!({"at": {"step": 3}})).unwrap(),
            Rule::At { step: 3 }
        );
        let error = rule(json!({"at": {"step": "x"}})).unwrap_err().to_string();
        assert!(error.starts_with("rule.at.step must be"), "{error}");
        for wrong in [json!({"at": {"step": 3}, "more": 1}), json!({})] {
            let error = rule(wrong).unwrap_err().to_string();
            assert!(error.starts_with("rule must be"), "{error}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_it_must_be() {
        for (options, said) in [
            (json!({"count": -5}), "count must be 0 or more, not -5"),
            (
                json!({"count": 2.5}),
                "count must be a whole number, 0 or more, not 2.5",
            ),
            (
                json!({"ids": [[1, 5_000_000_000_u64]]}),
                "ids[0][1] must be at most 4294967295, not 5000000000",
            ),
            (json!({"ids": 3}), "ids must be a list, not 3"),
            (
                json!({"on": "yes"}),
                "on must be true or false, not \"yes\"",
            ),
            (json!({"share": []}), "share must be a number, not []"),
            (json!({"pair": [1]}), "pair must be a list of 2, not [1]"),
            (
                json!({"rule": "atuo"}),
                "rule must be \"from_the_end\", \"auto\" or \"at\", not \"atuo\"",
            ),
            (
                json!({"rule": 3}),
                "rule must be \"from_the_end\", \"auto\" or \"at\", not 3",
            ),
            (
                json!({"layer": -1}),
                "layer must be a layer's number or its path, not -1",
            ),
            (
                json!({"inner": {"text": 1}}),
                "inner.text must be a text, not 1",
            ),
            (json!({"inner": 1}), "inner must be an object, not 1"),
            (
                json!({"cuont": 1}),
                "unknown option `cuont`, did you mean `count`?",
            ),
            (
                json!({"inner": {"words": 1}}),
                "unknown option `words` of inner; it has `text`",
            ),
        ] {
            assert_eq!(refused(options), said);
        }
    }

    #[test]
    fn a_long_value_is_cut() {
        let said = refused(json!({"on": "x".repeat(500)}));
        assert!(said.ends_with('…') && said.len() < 120, "{said}");
    }
}
