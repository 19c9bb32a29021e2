//! The four texts of an example, and the templates they go into.

use whence_schemas::ContextTemplates;

use super::template::{Filled, Template, joined};
use crate::Error;

/// The texts of an example: what is analyzed, and the contexts it may depend on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContextExample {
    /// Number of the example. Together with the seed it seeds the random draws.
    pub id: i64,
    /// The text to translate, or the prompt.
    pub input_current: String,
    /// What precedes it.
    pub input_context: Option<String>,
    /// The output whose tokens are analyzed; generated when absent.
    pub output_current: Option<String>,
    /// The output that precedes it. If the template has a place for it, it is generated when
    /// absent.
    pub output_context: Option<String>,
    /// Words that tokens are contrasted with instead of what the model predicts without context,
    /// one per context-sensitive token; empty for none.
    pub next_tokens: Vec<String>,
}

/// Which contexts the examples have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GivenContexts {
    /// Whether the input has one.
    pub input: bool,
    /// Whether the output has one.
    pub output: bool,
}

/// The templates of all texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates {
    pub(super) input: Template,
    pub(super) output: Template,
    contextless_input: Template,
    contextless_output: Template,
}

/// Both texts of an example in their templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilledPair {
    pub(super) input: Filled,
    /// For decoder-only models, behind the input.
    pub(super) output: Filled,
}

const BOTH: &str = "{context} {current}";
const ALONE: &str = "{current}";

impl Templates {
    /// Reads the templates. A template that is absent has a place for the context if there is one.
    ///
    /// Fails if a template cannot be filled.
    pub fn new(templates: &ContextTemplates, contexts: GivenContexts) -> Result<Self, Error> {
        let usual = |has_context| if has_context { BOTH } else { ALONE };
        let parsed = |option, given: &Option<String>, usual| {
            Template::parse(option, given.as_deref().unwrap_or(usual))
        };
        let without = |option, given: &Option<String>| match parsed(option, given, ALONE)? {
            template if template.has_context() => refused(&format!(
                "{option} is the text without context, so it has no place for `{{context}}`"
            )),
            template => Ok(template),
        };
        let input = parsed("--input-template", &templates.input, usual(contexts.input))?;
        let output = parsed(
            "--output-template",
            &templates.output,
            usual(contexts.output),
        )?;
        if !output.is_context_first() {
            return refused(
                "--output-template: the context comes before what it is a context of; put `{context}` before `{current}`",
            );
        }
        if contexts.output && !output.has_context() {
            return refused(
                "there is an output context, but --output-template has no `{context}` for it; add it, or leave out the output context",
            );
        }
        match (contexts.input, input.has_context()) {
            (true, false) => refused(
                "there is an input context, but --input-template has no `{context}` for it; add it, or leave out the input context",
            ),
            (false, true) => refused(
                "--input-template has a `{context}`, but there is no input context; give one, or leave out `{context}`",
            ),
            _ => Ok(Self {
                input,
                output,
                contextless_input: without(
                    "--contextless-input-current-text",
                    &templates.contextless_input,
                )?,
                contextless_output: without(
                    "--contextless-output-current-text",
                    &templates.contextless_output,
                )?,
            }),
        }
    }

    /// Returns whether the output has a context, given or generated.
    pub fn has_output_context(&self) -> bool {
        self.output.has_context()
    }

    /// Returns whether there is no context at all, so that nothing can depend on one.
    pub(super) fn has_no_context(&self) -> bool {
        !self.input.has_context() && !self.output.has_context()
    }

    /// Returns the texts with their contexts. `separator` joins input and output; `None` for models
    /// with an encoder, which read them separately.
    pub(super) fn with_context(
        &self,
        texts: &WholeTexts<'_>,
        separator: Option<&str>,
    ) -> FilledPair {
        let input = self.input.fill(texts.input_context, texts.input_current);
        let output = self.output.fill(texts.output_context, texts.output_current);
        let output = match separator {
            None => output,
            Some(separator) => output.behind(&input.text, separator),
        };
        FilledPair { input, output }
    }

    /// Returns the texts without context.
    pub(super) fn without_context(
        &self,
        texts: &WholeTexts<'_>,
        separator: Option<&str>,
    ) -> FilledPair {
        let mut input = self.contextless_input.fill("", texts.input_current);
        let mut output = self.contextless_output.fill("", texts.output_current);
        if let Some(separator) = separator {
            let prompt = joined(&input.text, "", separator);
            output = output.behind(&prompt, "");
        }
        // A blank at the end of a prompt belongs to the token that follows.
        let end = input.text.trim_end_matches(' ').len();
        input.text.truncate(end);
        FilledPair { input, output }
    }
}

/// The texts of an example once the missing ones are generated.
#[derive(Debug, Clone, Copy)]
pub(super) struct WholeTexts<'a> {
    pub(super) input_current: &'a str,
    pub(super) input_context: &'a str,
    pub(super) output_current: &'a str,
    pub(super) output_context: &'a str,
}

fn refused<T>(reason: &str) -> Result<T, Error> {
    Err(Error::Specification {
        reason: reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: WholeTexts<'_> = WholeTexts {
        input_current: "Come",
        input_context: "He is ill.",
        output_current: "home",
        output_context: "no,",
    };

    #[test]
    fn outputs_of_decoder_only_models_follow_their_inputs() {
        let templates = Templates::new(
            &ContextTemplates::default(),
            GivenContexts {
                input: true,
                output: true,
            },
        )
        .unwrap();
        let with = templates.with_context(&TEXTS, Some(" "));
        assert_eq!(with.input.text, "He is ill. Come");
        assert_eq!(with.output.text, "He is ill. Come no, home");
        assert_eq!(
            (with.output.context, with.output.current),
            (Some(16..19), 20..24)
        );
        let without = templates.without_context(&TEXTS, Some(" "));
        assert_eq!(
            (without.input.text.as_str(), without.output.text.as_str()),
            ("Come", "Come home")
        );
        assert_eq!(without.output.current, 5..9);
        let apart = templates.with_context(&TEXTS, None);
        assert_eq!(apart.output.text, "no, home");
    }

    #[test]
    fn templates_that_contradict_the_texts_are_refused() {
        type Place = fn(&mut ContextTemplates) -> &mut Option<String>;
        let refused = |place: Place, template: &str, [input, output]: [bool; 2]| {
            let mut templates = ContextTemplates::default();
            *place(&mut templates) = Some(template.to_owned());
            let contexts = GivenContexts { input, output };
            Templates::new(&templates, contexts)
                .unwrap_err()
                .to_string()
        };
        let cases = [
            refused(|own| &mut own.input, "{context} {current}", [false, false]),
            refused(|own| &mut own.input, "{current}", [true, false]),
            refused(|own| &mut own.output, "{current}", [true, true]),
            refused(|own| &mut own.output, "{current} {context}", [true, true]),
            refused(
                |own| &mut own.contextless_input,
                "{context} {current}",
                [true, false],
            ),
        ];
        let told = [
            "no input context",
            "--input-template has no",
            "--output-template has no",
            "before",
            "without context",
        ];
        for (refused, told) in cases.iter().zip(told) {
            assert!(refused.contains(told), "{refused}");
        }
    }
}
