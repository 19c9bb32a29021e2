//! Chat templates, compared with how transformers renders them.

use serde::Deserialize;
use serde_json::{Value, json};
use whence_engine::{Engine, Error, Example, InputKind};
use whence_schemas::job::Dtype;
use whence_schemas::ordered::OrderedJson;
use whence_schemas::{AttributionSpec, ChatSpec};
use whence_tests::text::{golden, here, tokenizer};

/// A golden case, made by `chats.py`.
#[derive(Deserialize)]
struct Case {
    /// Name of the template's file in `chats`, without extension.
    template: String,
    /// The messages as JSON text, because a template can print them and so show the order of keys.
    messages: String,
    /// The template's other variables, as JSON.
    given: String,
    text: Expected,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Prompt(String),
    /// The message with which the template refused the conversation.
    Refusal {
        refused: String,
    },
}

fn spec(value: Value) -> ChatSpec {
    serde_json::from_value(value).unwrap()
}

/// Returns what a user would pass to `--chat` for a case.
fn written(case: &Case) -> ChatSpec {
    let path = here("chats").join(format!("{}.jinja", case.template));
    let template = std::fs::read_to_string(path).unwrap();
    let begins = format!(
        r#"{{"template": {}, "date": "2026-11-05", "variables": {{"bos_token": "<s>", "eos_token": "</s>""#,
        json!(template)
    );
    let ends = match case.given.strip_prefix(r#"{"tools""#) {
        Some(rest) => format!(r#"}}, "tools"{rest}"#),
        None => format!("{}}}", case.given.replacen('{', ", ", 1)),
    };
    let chat: OrderedJson = serde_json::from_str(&(begins + &ends)).unwrap();
    ChatSpec::read(&chat).unwrap()
}

#[test]
fn prompts_are_those_of_transformers() {
    let tokenizer = tokenizer(&here("../models/glass-en"));
    let cases: Vec<Case> = golden("chats.json");
    let mut templates: Vec<_> = cases.iter().map(|case| case.template.as_str()).collect();
    templates.dedup();
    assert_eq!(templates.len(), 10);
    for case in &cases {
        let chat = tokenizer.chat_template(&written(case)).unwrap();
        let name = &case.template;
        match (chat.render(&case.messages, InputKind::Messages), &case.text) {
            (Ok(ours), Expected::Prompt(theirs)) => {
                assert_eq!(ours, *theirs, "{name}: {}", case.messages);
            }
            (Err(Error::Messages { reason }), Expected::Refusal { refused }) => {
                assert_eq!(reason, *refused, "{name}");
            }
            (ours, _) => panic!("{name}: {ours:?} of {}", case.messages),
        }
    }
}

#[test]
fn a_text_is_what_a_user_says_whatever_it_begins_with() {
    let tokenizer = tokenizer(&here("models/tiny-gguf"));
    let chat = |spec: Value| tokenizer.chat_template(&self::spec(spec)).unwrap();
    let turn = |text: &str| format!("<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n");
    let system = "<|im_start|>system\nBe brief.<|im_end|>\n";
    let brief = chat(json!({"system": "Be brief."}));
    let messages = r#"[{"role": "user", "content": "Hi"}]"#;
    let render = |text| brief.render(text, InputKind::Text).unwrap();
    assert_eq!(render("Hi"), format!("{system}{}", turn("Hi")));
    assert_eq!(render("[1] so"), format!("{system}{}", turn("[1] so")));
    assert_eq!(render(messages), format!("{system}{}", turn(messages)));
    let of_messages = brief.render(messages, InputKind::Messages).unwrap();
    assert_eq!(of_messages, format!("{system}{}", turn("Hi")));
    // With `messages: json`, each text is parsed as the JSON of a list of messages.
    let json = chat(json!({"messages": "json"}));
    assert_eq!(json.render(messages, InputKind::Text).unwrap(), turn("Hi"));
    let error = json.render("[1] so", InputKind::Text).unwrap_err();
    assert!(error.to_string().contains("not JSON"), "{error}");
}

#[test]
fn what_is_no_conversation_or_no_template_is_refused() {
    let tokenizer = tokenizer(&here("models/tiny-gguf"));
    let chat = tokenizer.chat_template(&ChatSpec::default()).unwrap();
    for (text, wrong) in [
        ("[1, 2", "not JSON (line 1, column 5)"),
        ("{}", "not a list of messages"),
        ("[]", "empty"),
        ("[3]", "message 0 is not an object"),
        (r#"[{"content": "Hi"}]"#, "message 0 has no `role`"),
        (r#"[{"role": "user"}]"#, "message 0 has no `content`"),
        (
            r#"[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": null}]"#,
            "message 1 has no `content`",
        ),
    ] {
        let error = chat.render(text, InputKind::Messages).unwrap_err();
        assert!(matches!(error, Error::Messages { .. }), "{text}: {error}");
        assert!(error.to_string().contains(wrong), "{text}: {error}");
    }
    for bad in [
        json!({"template": "{% for %}"}),
        json!({"date": "today"}),
        json!({"variables": {"messages": []}}),
    ] {
        let error = tokenizer.chat_template(&spec(bad)).unwrap_err();
        assert!(matches!(error, Error::Specification { .. }), "{error}");
    }
    let without = whence_tests::text::tokenizer(&here("../models/glass-en"));
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
