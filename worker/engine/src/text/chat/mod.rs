//! Chat templates: conversations as the text that a model was trained on.
//!
//! Templates are written for Jinja as transformers configures it (`render_jinja_template`): a
//! block swallows the line break after it and the whitespace before it, strings have Python's
//! methods, and the functions `raise_exception` and `strftime_now` and a `tojson` that writes like
//! Python's `json.dumps` are available. `tests/text` compares rendered prompts with those of
//! transformers byte for byte.

mod messages;
mod templates;

mod date;
mod json;
mod python;

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value, context};
use whence_schemas::ordered::{JsonText, OrderedJson};
use whence_schemas::{ChatSpec, MessageTexts};

use crate::{Error, Example, InputKind};
use date::Date;
pub(super) use templates::ModelTemplates;

/// The name of the template in its environment.
const TEMPLATE: &str = "chat_template";

/// Variables that every template gets from us, so a job cannot set them.
const RESERVED: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    texts: MessageTexts,
    system: Option<String>,
    /// Variables that are passed to every rendering, besides the messages.
    variables: BTreeMap<String, Value>,
}

impl ChatTemplate {
    /// Compiles the template that `spec` asks for: the job's own, or one of `own`, the model's
    /// templates. The template sees `special_tokens` under their names in the tokenizer's
    /// configuration, such as `bos_token`.
    ///
    /// Fails if there is no such template, or if it does not compile.
    pub(super) fn new(
        spec: &ChatSpec,
        own: &ModelTemplates,
        special_tokens: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let source = own.choose(spec)?;
        let date = spec.date.as_deref().map(Date::parse).transpose()?;
        let mut environment = environment(date);
        environment
            .add_template_owned(TEMPLATE, without_generation_marks(source))
            .map_err(|error| Error::Specification {
                reason: format!("the chat template is not one: {error:#}"),
            })?;
        Ok(Self {
            environment,
            texts: spec.messages,
            system: spec.system.clone(),
            variables: variables(spec, special_tokens)?,
        })
    }

    /// Renders the texts of an example with the template.
    ///
    /// A generated text, or a contrastive one, may be the answer alone instead of the whole
    /// conversation. Fails as [`ChatTemplate::render`] does.
    pub(crate) fn apply(&self, example: &Example) -> Result<Example, Error> {
        let input_text = self.render(&example.input_text, example.input_kind)?;
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
            input_kind: InputKind::Text,
            input_text,
        })
    }

    /// Renders an input up to the place where the assistant's answer begins.
    ///
    /// Fails if the input is not a valid list of messages, or if the template rejects it.
    pub fn render(&self, input: &str, kind: InputKind) -> Result<String, Error> {
        let refused = |error: &minijinja::Error| Error::Messages {
            reason: match error.kind() {
                ErrorKind::InvalidOperation => error.detail().unwrap_or_default().to_owned(),
                _ => format!("{error:#}"),
            },
        };
        let messages = Value::from(Serde(self.messages(input, kind)?));
        let template = self
            .environment
            .get_template(TEMPLATE)
            .map_err(|error| refused(&error))?;
        let variables = Value::from(Serde(&self.variables));
        let context = context! { messages, add_generation_prompt => true, ..variables };
        template.render(context).map_err(|error| refused(&error))
    }

    /// Returns the messages of an input, with the job's system message in front unless it has one.
    fn messages(&self, input: &str, kind: InputKind) -> Result<Vec<OrderedJson>, Error> {
        let mut list = match (kind, self.texts) {
            (InputKind::Text, MessageTexts::Content) => vec![messages::message("user", input)],
            _ => messages::read(input)?,
        };
        if let Some(system) = &self.system
            && !list
                .first()
                .is_some_and(|first| messages::is_of("system", first))
        {
            list.insert(0, messages::message("system", system));
        }
        Ok(list)
    }
}

/// Returns the variables that a template gets besides the messages. The job's variables override
/// the special tokens. As in transformers, `tools` and `documents` are defined even if there are
/// none.
fn variables(
    spec: &ChatSpec,
    special_tokens: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, Error> {
    let tokens = special_tokens.iter();
    let mut variables: BTreeMap<_, _> = tokens
        .map(|(name, token)| (name.clone(), Value::from(token)))
        .collect();
    for (name, json) in [("tools", &spec.tools), ("documents", &spec.documents)] {
        let value: Option<Value> = json.as_ref().map(parse).transpose()?;
        variables.insert(name.to_owned(), value.unwrap_or_else(|| Value::from(())));
    }
    let Some(own) = &spec.variables else {
        return Ok(variables);
    };
    let own: BTreeMap<String, Value> = parse(own)?;
    if let Some(reserved) = RESERVED.iter().find(|name| own.contains_key(**name)) {
        return Err(Error::Specification {
            reason: format!("`variables` of --chat cannot set `{reserved}`"),
        });
    }
    variables.extend(own);
    Ok(variables)
}

fn parse<T: serde::de::DeserializeOwned>(json: &JsonText) -> Result<T, Error> {
    serde_json::from_str(json.as_str()).map_err(|error| Error::Specification {
        reason: format!("read the chat's variables: {error}"),
    })
}

/// Configures Jinja as transformers does.
fn environment(date: Option<Date>) -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .expect("Jinja's own delimiters are delimiters");
    environment.set_syntax(syntax);
    python::teach(&mut environment);
    environment.add_filter("tojson", json::to_json);
    environment.add_function("raise_exception", |message: String| -> Result<(), _> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    if let Some(date) = date {
        environment.add_function("strftime_now", move |format: &str| date.format(format));
    }
    environment
}

/// Replaces `{% generation %}` blocks, a transformers extension that marks the assistant's text
/// and prints nothing, by `{% with %}` blocks, which have a variable scope of their own just as
/// transformers' blocks do.
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
            "generation" => tag.replace(name, "with"),
            "endgeneration" => tag.replace(name, "endwith"),
            _ => tag.to_owned(),
        });
        rest = behind;
    }
    result + rest
}
