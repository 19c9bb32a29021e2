//! How input texts become conversations.

use serde::{Deserialize, Serialize};

use crate::options::{self, OptionError};
use crate::ordered::{JsonText, OrderedJson};

/// How an input is put into a chat template.
///
/// A text is the content of one user message, whatever it begins with. A list of messages,
/// `[{"role": "user", "content": "…"}]`, comes from a column that holds lists. A text is read as
/// such a list only if `messages` asks for it. A forced target text is either the answer alone or
/// the whole conversation as the template writes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatSpec {
    /// The template, in Jinja; the model's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// How an input text is read. A row that holds a list of messages is read as one either way.
    #[serde(skip_serializing_if = "MessageTexts::is_default")]
    pub messages: MessageTexts,
    /// System message put before the others if they do not begin with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The current date that templates see, such as `2026-11-25`. When absent they see none,
    /// because a result must not depend on the day it is computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Tools the model may call, each described by a JSON schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<JsonText>,
    /// Documents to answer from, each with `title` and `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<JsonText>,
    /// Additional variables of the template, such as `{"enable_thinking": false}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<JsonText>,
}

/// How an input text is read before it is put into a chat template.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageTexts {
    /// As the content of one user message.
    #[default]
    Content,
    /// As JSON: a list of messages.
    Json,
}

impl MessageTexts {
    #[allow(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature serde calls"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A field that holds JSON of its own: its name, what it must be in words, and the check.
type Shape = (&'static str, &'static str, fn(&OrderedJson) -> bool);

const JSON_FIELDS: &[Shape] = &[
    ("tools", "a list of objects", is_list_of_objects),
    ("documents", "a list of objects", is_list_of_objects),
    ("variables", "an object", |json| {
        matches!(json, OrderedJson::Object(_))
    }),
];

fn is_list_of_objects(json: &OrderedJson) -> bool {
    let OrderedJson::List(items) = json else {
        return false;
    };
    let is_object = |item: &OrderedJson| matches!(item, OrderedJson::Object(_));
    items.iter().all(is_object)
}

impl ChatSpec {
    /// Reads a specification written by a user. The keys of tools, documents and variables keep
    /// their order.
    ///
    /// Fails with a message that names the option at fault.
    pub fn read(given: &OrderedJson) -> Result<Self, OptionError> {
        let mut given = given.clone();
        if let OrderedJson::Object(fields) = &mut given {
            for (name, expected, fits) in JSON_FIELDS {
                let Some(json) = fields.get_mut(*name) else {
                    continue;
                };
                if !fits(json) {
                    return Err(OptionError::of_option(name, expected, &json.to_value()));
                }
                // Passed on as a text, because `to_value` below sorts the keys of objects.
                *json = OrderedJson::Text(json.to_string());
            }
        }
        options::read_value(&given.to_value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ChatSpec, OptionError> {
        ChatSpec::read(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn keys_keep_their_order_through_the_canonical_form() {
        let tools = r#"[{"type":"function","function":{"name":"add","arguments":{}}}]"#;
        let spec = read(&format!(
            r#"{{"tools": {tools}, "variables": {{"z": 1, "a": 2}}, "messages": "json"}}"#
        ))
        .unwrap();
        let canonical = crate::canonical::to_string(&spec).unwrap();
        let back: ChatSpec = serde_json::from_str(&canonical).unwrap();
        assert_eq!(back, spec);
        assert_eq!(back.tools.unwrap().as_str(), tools);
        assert_eq!(back.variables.unwrap().as_str(), r#"{"z":1,"a":2}"#);
        assert_eq!(back.messages, MessageTexts::Json);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (given, said) in [
            (
                r#"{"messages": "jsn"}"#,
                r#"messages must be "content" or "json", not "jsn""#,
            ),
            (
                r#"{"sistem": "x"}"#,
                "unknown option `sistem`, did you mean `system`?",
            ),
            (
                r#"{"tools": {"name": "add"}}"#,
                r#"tools must be a list of objects, not {"name":"add"}"#,
            ),
            (
                r#"{"variables": [1]}"#,
                "variables must be an object, not [1]",
            ),
        ] {
            assert_eq!(read(given).unwrap_err().to_string(), said);
        }
    }
}
