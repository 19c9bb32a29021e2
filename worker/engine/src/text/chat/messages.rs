//! Turns an example's input into the list of messages that a template is given.
//!
//! This repeats what transformers does to messages before it renders them: empty fields are
//! dropped, and an assistant's reasoning is provided under every name that templates use for it.

use whence_schemas::ordered::OrderedJson;

use crate::Error;

/// Names under which a message may carry the assistant's reasoning. The first one present wins.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Parses a JSON list of messages. Keys keep their order.
///
/// Fails if the JSON is not a list, if the list is empty, or if a message has no role or no
/// content.
pub(super) fn read(json: &str) -> Result<Vec<OrderedJson>, Error> {
    let refused = |reason: String| Error::Messages { reason };
    let json: OrderedJson = serde_json::from_str(json).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        refused(format!("it is not JSON (line {line}, column {column})"))
    })?;
    let OrderedJson::List(messages) = json else {
        return Err(refused("it is not a list of messages".to_owned()));
    };
    if messages.is_empty() {
        return Err(refused("the list of messages is empty".to_owned()));
    }
    let numbered = messages.into_iter().enumerate();
    let prepared = numbered.map(|(number, message)| {
        prepare(message).map_err(|lacks| refused(format!("message {number} {lacks}")))
    });
    prepared.collect()
}

/// Returns a message with the given role and content.
pub(super) fn message(role: &str, content: &str) -> OrderedJson {
    let fields = [("role", role), ("content", content)];
    let fields = fields.map(|(name, text)| (name.to_owned(), OrderedJson::Text(text.to_owned())));
    OrderedJson::Object(fields.into_iter().collect())
}

/// Returns whether `message` has the role `role`.
pub(super) fn is_of(role: &str, message: &OrderedJson) -> bool {
    let OrderedJson::Object(fields) = message else {
        return false;
    };
    matches!(fields.get("role"), Some(OrderedJson::Text(text)) if text == role)
}

/// Returns a message in the form that templates expect. The error says what is wrong with it.
fn prepare(message: OrderedJson) -> Result<OrderedJson, String> {
    let OrderedJson::Object(mut fields) = message else {
        return Err("is not an object with `role` and `content`".to_owned());
    };
    fields.retain(|_, value| *value != OrderedJson::Null);
    if !fields.contains_key("role") {
        return Err("has no `role`".to_owned());
    }
    // An assistant message that calls tools may have no content.
    if !fields.contains_key("content") && !fields.contains_key("tool_calls") {
        return Err("has no `content`".to_owned());
    }
    let Some(thought) = REASONING.iter().find_map(|name| fields.get(*name)).cloned() else {
        return Ok(OrderedJson::Object(fields));
    };
    let first = std::iter::once(("thinking".to_owned(), thought.clone()));
    let last = std::iter::once(("reasoning_content".to_owned(), thought));
    Ok(OrderedJson::Object(
        first.chain(fields).chain(last).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(json: &str) -> String {
        let messages = read(json).unwrap();
        OrderedJson::List(messages).to_string()
    }

    #[test]
    fn fields_that_hold_nothing_are_left_out_and_the_others_keep_their_order() {
        let json = r#"[{"tool_calls":[{"zone":null,"at":5}],"content":null,"role":"assistant"}]"#;
        let expected = r#"[{"tool_calls":[{"zone":null,"at":5}],"role":"assistant"}]"#;
        assert_eq!(prepared(json), expected);
    }

    #[test]
    fn thoughts_have_every_name_that_templates_know() {
        assert_eq!(
            prepared(r#"[{"role":"assistant","content":"4","reasoning":"2+2"}]"#),
            r#"[{"thinking":"2+2","role":"assistant","content":"4","reasoning":"2+2","reasoning_content":"2+2"}]"#
        );
        assert_eq!(
            prepared(r#"[{"role":"a","content":"b","thinking":"x","reasoning_content":"y"}]"#),
            r#"[{"thinking":"x","role":"a","content":"b","reasoning_content":"y"}]"#
        );
    }
}
