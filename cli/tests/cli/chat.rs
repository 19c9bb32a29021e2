//! Datasets with a column of chat messages, in every file format that can hold lists.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use parquet::arrow::ArrowWriter;
use serde_json::json;

use crate::run::{fixture, whence};

/// Conversations as pairs of role and content: valid ones first, then invalid ones.
const CONVERSATIONS: [&[(Option<&str>, Option<&str>)]; 4] = [
    &[(Some("user"), Some("Select \"all\""))],
    &[
        (Some("system"), Some("Be brief.")),
        (Some("user"), Some("Click the tab")),
    ],
    &[(Some("user"), Some("Hi")), (None, Some("who speaks?"))],
    &[(Some("user"), None)],
];

/// The valid conversations as the model's template renders them.
const RENDERED: [&str; 2] = [
    "<|im_start|>user\nSelect \"all\"<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nClick the tab<|im_end|>\n<|im_start|>assistant\n",
];

fn write_jsonl(path: &Path) {
    let line = |conversation: &[(Option<&str>, Option<&str>)]| {
        let message = |&(role, content): &(Option<&str>, Option<&str>)| json!({"role": role, "content": content});
        let messages: Vec<_> = conversation.iter().map(message).collect();
        json!({ "messages": messages }).to_string()
    };
    let alone = json!({"messages": {"role": "user", "content": "alone"}});
    let conversations = CONVERSATIONS.into_iter().map(line);
    let lines: Vec<_> = conversations.chain([alone.to_string()]).collect();
    let lines = lines.join("\n");
    fs::write(path, lines).expect("the data can be written");
}

fn write_parquet(path: &Path) {
    let all = || CONVERSATIONS.iter().copied().flatten();
    let roles: ArrayRef = Arc::new(all().map(|(role, _)| *role).collect::<StringArray>());
    let contents: ArrayRef = Arc::new(all().map(|(_, content)| *content).collect::<StringArray>());
    let field = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
    let fields = Fields::from(vec![field("role"), field("content")]);
    let messages = StructArray::new(fields.clone(), vec![roles, contents], None);
    let lengths = OffsetBuffer::from_lengths(CONVERSATIONS.map(<[_]>::len));
    let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
    let lists: ArrayRef = Arc::new(ListArray::new(item, lengths, Arc::new(messages), None));
    let batch = RecordBatch::try_from_iter([("messages", lists)]).expect("one column");
    let file = fs::File::create(path).expect("the data can be written");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("the batch is written");
    writer.close().expect("the file is whole");
}

#[test]
fn a_column_of_messages_is_attributed_and_bad_ones_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    // A Parquet column has a single type, so a message outside a list cannot occur there.
    let files = [("rows.jsonl", 5), ("rows.parquet", 4)];
    for (name, rows) in files {
        let data = folder.path().join(name);
        if rows == 5 {
            write_jsonl(&data);
        } else {
            write_parquet(&data);
        }
        let root = folder
            .path()
            .join(format!("{name}.out"))
            .display()
            .to_string();
        let (model, data) = (
            fixture("text/models/tiny-gguf/tiny.gguf"),
            data.display().to_string(),
        );
        let mut arguments = vec!["attribute-dataset", "-m", &model, "-d", &data];
        arguments.extend(["-in", "messages", "--chat", "{}", "--root", &root, "--hide"]);
        arguments.extend(["--generation_kwargs", "{\"max_new_tokens\": 3}"]);
        let ran = whence(&arguments);
        let failed = format!("{} of {rows} rows failed", rows - 2);
        ran.ended_with(
            0,
            &[
                &failed,
                "message 1 has no `role`",
                "message 0 has no `content`",
            ],
        );
        if rows == 5 {
            ran.ended_with(0, &["neither text nor a list of messages"]);
        }
        for (index, rendered) in RENDERED.iter().enumerate() {
            let query = format!(
                "SELECT array_to_string(target_tokens, '') FROM examples WHERE example_id = {index}"
            );
            let answer = whence(&["sql", "--root", &root, "--format", "csv", &query]).succeeded();
            // The byte-level vocabulary writes a space as `Ġ` and a newline as `Ċ`.
            let expected = rendered.replace(' ', "Ġ").replace('\n', "Ċ");
            let answer = answer.replace("\"\"", "\"");
            assert!(answer.contains(&expected), "{name}: {answer}");
        }
    }
}

#[test]
fn a_text_that_begins_with_a_bracket_is_a_text_and_keys_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows.jsonl");
    let rows = r#"{"m": "[1] so"}
{"m": [{"role": "assistant", "content": null, "tool_calls": [{"zone": "Rome", "at": 5}]}, {"role": "user", "content": [{"type": "text", "text": "Why?"}]}]}
"#;
    fs::write(&data, rows).unwrap();
    let template = "{% for m in messages %}{{ m.role }} {{ m.content }}{% if m.tool_calls %}{{ m.tool_calls[0] | tojson }}{% endif %}|{% endfor %}";
    let chat = json!({ "template": template }).to_string();
    let root = folder.path().join("out").display().to_string();
    let (model, data) = (
        fixture("text/models/tiny-gguf/tiny.gguf"),
        data.display().to_string(),
    );
    let mut arguments = vec!["attribute-dataset", "-m", &model, "-d", &data, "-in", "m"];
    arguments.extend(["--chat", &chat, "--root", &root, "--hide"]);
    arguments.extend(["--generation_kwargs", "{\"max_new_tokens\": 1}"]);
    whence(&arguments).ended_with(0, &["attributed 2 rows"]);
    let query =
        "SELECT array_to_string(target_tokens, '') AS prompt FROM examples ORDER BY example_id";
    let answer = whence(&["sql", "--root", &root, "--format", "jsonl", query]).succeeded();
    let prompts: Vec<String> = answer
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["prompt"].as_str().unwrap().to_owned()
        })
        .collect();
    // Expected as rendered by transformers 5.23; `Ġ` is a space in the byte-level vocabulary.
    assert!(prompts[0].starts_with("userĠ[1]Ġso|"), "{}", prompts[0]);
    let expected =
        "assistantĠ{\"zone\":Ġ\"Rome\",Ġ\"at\":Ġ5}|userĠ[{'type':Ġ'text',Ġ'text':Ġ'Why?'}]|";
    assert!(prompts[1].starts_with(expected), "{}", prompts[1]);
}

#[test]
fn messages_come_from_texts_where_that_is_asked_for() {
    let model = fixture("text/models/tiny-gguf/tiny.gguf");
    let messages = r#"[{"role": "user", "content": "Hi"}]"#;
    let drawn = |input: &str, chat: &str| {
        let mut arguments = vec!["attribute", "-m", &model, "-i", input, "--chat", chat];
        arguments.extend(["--generation_kwargs", "{\"max_new_tokens\": 1}"]);
        whence(&arguments)
    };
    let as_json = drawn(messages, r#"{"messages": "json"}"#).succeeded();
    assert_eq!(as_json, drawn("Hi", "{}").succeeded());
    assert_ne!(as_json, drawn(messages, "{}").succeeded());
    drawn("[1] so", r#"{"messages": "json"}"#).is_refused_with(&["it is not JSON (line 1"]);
}
