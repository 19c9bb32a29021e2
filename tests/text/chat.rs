//! Chat templates against transformers' rendering of them.

use serde::Deserialize;
use serde_json::{Value, json};
use whence_engine::{Engine, Error, Example};
use whence_schemas::job::Dtype;
use whence_schemas::{AttributionSpec, ChatSpec};

use super::{golden, here, tokenizer};

#[derive(Deserialize)]
struct Case {
    template: String,
    /// As JSON, whose order of fields a template can show.
    messages: String,
    /// `None` where the template refuses the messages.
    text: Option<String>,
}

fn spec(value: Value) -> ChatSpec {
    serde_json::from_value(value).unwrap()
}

#[test]
fn templates_say_what_they_say_in_transformers() {
    let tokenizer = tokenizer(&here("../models/glass-en"));
    for Case {
        template,
        messages,
        text,
    } in golden::<Vec<Case>>("chats.json")
    {
        let spec = spec(json!({
            "template": template, "date": "2026-11-25", "variables": {"enable_thinking": false},
        }));
        let chat = tokenizer.chat_template(&spec).unwrap();
        match (chat.render(&messages), text) {
            (Ok(ours), Some(theirs)) => assert_eq!(ours, theirs, "{template}"),
            (Err(Error::Messages { reason }), None) => assert_eq!(reason, "no role tool"),
            (ours, theirs) => panic!("{template}: {ours:?}, transformers has {theirs:?}"),
        }
    }
}

#[test]
fn a_plain_text_is_one_message_of_a_user() {
    let tokenizer = tokenizer(&here("models/tiny-gguf"));
    let chat = tokenizer
        .chat_template(&spec(json!({"system": "Be brief."})))
        .unwrap();
    let expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(chat.render("Hi").unwrap(), expected);
    let messages = r#"[{"role": "user", "content": "Hi"}]"#;
    assert_eq!(chat.render(messages).unwrap(), expected);
}

#[test]
fn what_is_no_conversation_or_no_template_is_refused() {
    let tokenizer = tokenizer(&here("models/tiny-gguf"));
    let chat = tokenizer.chat_template(&ChatSpec::default()).unwrap();
    for (text, wrong) in [
        ("[1, 2", "not a list of messages"),
        ("[]", "empty"),
        ("[3]", "message 0 has no `role`"),
        (r#"[{"content": "Hi"}]"#, "message 0 has no `role`"),
        (r#"[{"role": "user"}]"#, "message 0 has no `content`"),
        (
            r#"[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": null}]"#,
            "message 1 has no `content`",
        ),
    ] {
        let error = chat.render(text).unwrap_err();
        assert!(matches!(error, Error::Messages { .. }), "{text}: {error}");
        assert!(error.to_string().contains(wrong), "{text}: {error}");
    }
    for bad in [json!({"template": "{% for %}"}), json!({"date": "today"})] {
        let error = tokenizer.chat_template(&spec(bad)).unwrap_err();
        assert!(matches!(error, Error::Specification { .. }), "{error}");
    }
    let without = super::tokenizer(&here("../models/glass-en"));
    assert!(without.chat_template(&ChatSpec::default()).is_err());
}

#[test]
fn an_answer_is_attributed_behind_the_conversation() {
    let engine = Engine::load(&here("models/tiny-gguf"), Dtype::Float32).unwrap();
    let mut spec = AttributionSpec::of_method("saliency");
    spec.chat = Some(ChatSpec::default());
    let attributor = engine.prepare(&spec).unwrap();
    let attribute = |answer: &str| {
        let example = Example::new(0, "Hi").with_generated_text(answer);
        attributor.attribute(&[example]).remove(0).unwrap()
    };
    let prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    let attribution = attribute("Yes");
    assert_eq!(attribution, attribute(&format!("{prompt}Yes")));
    let tokens: Vec<_> = attribution
        .target
        .iter()
        .map(|token| token.text.as_str())
        .collect();
    assert_eq!(tokens[0], "<|im_start|>");
    assert_eq!(tokens[attribution.attr_pos_start..].concat(), "Yes");
}
