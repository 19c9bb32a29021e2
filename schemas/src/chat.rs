//! How input texts become conversations.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How an input text is put into a chat template.
///
/// The text is the JSON of a list of messages, `[{"role": "user", "content": "…"}]`, or the content
/// of one message of a user. A generated text that is given is the answer alone, or the whole
/// conversation as the template writes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatSpec {
    /// The template, in Jinja; the model's own where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// A message of the system before the others, where they do not begin with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The day templates are told it is, `2026-11-25`. They are told none where it is absent: a
    /// result must not depend on the day it is computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Further variables of the template, such as `{"enable_thinking": false}`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub variables: Map<String, Value>,
}
