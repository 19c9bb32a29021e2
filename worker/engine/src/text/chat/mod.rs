//! Chat templates: conversations as the text a model was trained on.
//!
//! Templates are written for Jinja as transformers sets it up (`render_jinja_template`): blocks
//! swallow the line break behind them and the blanks before them, strings have Python's methods,
//! and there are `raise_exception`, `strftime_now` and a `tojson` that writes as Python does.

mod date;
mod json;

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value, context};
use whence_schemas::ChatSpec;

use crate::model::ModelFiles;
use crate::model::config::ConfigFile;
use crate::{Error, Example};
use date::Date;

/// Fails if a message lacks its role, or has nothing to say.
fn check(messages: &[Value]) -> Result<(), Error> {
    if messages.is_empty() {
        return Err(Error::Messages {
            reason: "the list of messages is empty".to_owned(),
        });
    }
    for (number, message) in messages.iter().enumerate() {
        let has = |field: &str| {
            let value = message.get_attr(field).unwrap_or_default();
            !value.is_undefined() && !value.is_none()
        };
        // An assistant that calls tools need not say anything.
        let lacks = if !has("role") {
            "role"
        } else if !has("content") && !has("tool_calls") {
            "content"
        } else {
            continue;
        };
        return Err(Error::Messages {
            reason: format!("message {number} has no `{lacks}`"),
        });
    }
    Ok(())
}

/// What goes into a template beside the messages, for the whole of a job.
const TEMPLATE: &str = "chat_template";

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    system: Option<String>,
    /// Every message list is rendered with these.
    variables: BTreeMap<String, Value>,
}

impl ChatTemplate {
    /// Compiles the template of `spec`, or else `own`, the model's. `special_tokens` are known to it
    /// by their names in the tokenizer's configuration, such as `bos_token`.
    ///
    /// Fails if there is none, or if it is not a template.
    pub(super) fn new(
        spec: &ChatSpec,
        own: Option<&str>,
        special_tokens: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let Some(source) = spec.template.as_deref().or(own) else {
            return Err(Error::Specification {
                reason: "the model has no chat template; give one, or leave the texts as they are"
                    .to_owned(),
            });
        };
        let date = spec.date.as_deref().map(Date::parse).transpose()?;
        let mut environment = environment(date);
        environment
            .add_template_owned(TEMPLATE, without_generation_marks(source))
            .map_err(|error| Error::Specification {
                reason: format!("the chat template is not one: {error:#}"),
            })?;
        let tokens = special_tokens.iter();
        let mut variables: BTreeMap<_, _> = tokens
            .map(|(name, token)| (name.clone(), Value::from(token)))
            .collect();
        let own = spec.variables.iter();
        variables.extend(own.map(|(name, value)| (name.clone(), Value::from(Serde(value)))));
        Ok(Self {
            environment,
            system: spec.system.clone(),
            variables,
        })
    }

    /// Puts the texts of an example into the template.
    ///
    /// A generated text, or one to contrast with, may be the answer alone. Fails as
    /// [`ChatTemplate::render`] does.
    pub(crate) fn apply(&self, example: &Example) -> Result<Example, Error> {
        let input_text = self.render(&example.input_text)?;
        let whole = |answer: &String| {
            if answer.starts_with(&input_text) {
                answer.clone()
            } else {
                format!("{input_text}{answer}")
            }
        };
        Ok(Example {
            id: example.id,
            generated_text: example.generated_text.as_ref().map(whole),
            contrast_target: example.contrast_target.as_ref().map(whole),
            contrast_source: example.contrast_source.clone(),
            input_text,
        })
    }

    /// Renders an input text, up to where the answer begins.
    ///
    /// Fails if it is a list of something else than messages, or the template refuses them.
    pub fn render(&self, input_text: &str) -> Result<String, Error> {
        let refused = |error: &minijinja::Error| Error::Messages {
            reason: match error.kind() {
                ErrorKind::InvalidOperation => error.detail().unwrap_or_default().to_owned(),
                _ => format!("{error:#}"),
            },
        };
        let messages = self.messages(input_text)?;
        let template = self
            .environment
            .get_template(TEMPLATE)
            .map_err(|error| refused(&error))?;
        let variables = Value::from(Serde(&self.variables));
        let context = context! { messages, add_generation_prompt => true, ..variables };
        template.render(context).map_err(|error| refused(&error))
    }

    /// Reads the messages of an input text.
    fn messages(&self, input_text: &str) -> Result<Vec<Value>, Error> {
        let mut messages = if input_text.trim_start().starts_with('[') {
            let list: Vec<Value> =
                serde_json::from_str(input_text).map_err(|error| Error::Messages {
                    reason: format!("it is not a list of messages: {error}"),
                })?;
            list
        } else {
            vec![context! { role => "user", content => input_text }]
        };
        let role = |message: &Value| message.get_attr("role").unwrap_or_default();
        check(&messages)?;
        if let Some(system) = &self.system
            && messages
                .first()
                .is_none_or(|first| role(first).as_str() != Some("system"))
        {
            messages.insert(0, context! { role => "system", content => system });
        }
        Ok(messages)
    }
}

/// Sets Jinja up as transformers does.
fn environment(date: Option<Date>) -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .expect("Jinja's own delimiters are delimiters");
    environment.set_syntax(syntax);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", json::to_json);
    environment.add_function("raise_exception", |message: String| -> Result<(), _> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    if let Some(date) = date {
        environment.add_function("strftime_now", move |format: &str| date.format(format));
    }
    environment
}

/// Finds the model's template: a file of its own, the tokenizer's configuration, a GGUF file.
pub(super) fn of_model(files: &ModelFiles) -> Result<Option<String>, Error> {
    let path = files.folder().join("chat_template.jinja");
    if path.exists() {
        return std::fs::read_to_string(&path)
            .map(Some)
            .map_err(|source| Error::ModelFile { path, source });
    }
    let config = ConfigFile::read_optional(files.folder(), "tokenizer_config.json")?;
    match config.fields().get(TEMPLATE) {
        Some(serde_json::Value::String(template)) => return Ok(Some(template.clone())),
        // Several of them, by name.
        Some(serde_json::Value::Array(named)) => {
            let is_default = |entry: &&serde_json::Value| entry["name"] == "default";
            let template = named.iter().find(is_default);
            return Ok(template.and_then(|entry| Some(entry["template"].as_str()?.to_owned())));
        }
        _ => {}
    }
    match files.gguf() {
        Some(gguf) => {
            let template = gguf.metadata().optional_text("tokenizer.chat_template")?;
            Ok(template.map(str::to_owned))
        }
        None => Ok(None),
    }
}

/// Replaces the marks around what an assistant says, which are transformers' own and print nothing,
/// by conditions that always hold.
fn without_generation_marks(template: &str) -> String {
    let mut result = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        result.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + "%}".len());
        let (tag, behind) = tag.split_at(end);
        let name = tag.trim_matches(['{', '%', '-', '+', '}', ' ', '\n', '\t']);
        result.push_str(&match name {
            "generation" => tag.replace(name, "if true"),
            "endgeneration" => tag.replace(name, "endif"),
            _ => tag.to_owned(),
        });
        rest = behind;
    }
    result + rest
}
