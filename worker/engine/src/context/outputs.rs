//! Generates the outputs that are not given.
//!
//! The current output continues the whole input, and the context of the output if there is one. If
//! the template has a place for a context that is not given, the model generates both, and the two
//! are split.

use whence_schemas::OutputContextStrategy;

use super::attributor::ContextAttributor;
use super::questions::Questions;
use super::split::{context_candidate, current_behind};
use super::template::joined;
use super::texts::ContextExample;
use crate::Error;
use crate::generate::Prompt;
use crate::sides::Side;

/// The outputs of an example, and what the user should know about them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outputs {
    pub(super) context: String,
    pub(super) current: String,
    pub(super) notices: Vec<String>,
}

impl ContextAttributor<'_> {
    /// Returns both outputs: those of the example, or generated ones.
    pub(super) fn outputs(
        &self,
        example: &ContextExample,
        questions: &dyn Questions,
    ) -> Result<Outputs, Error> {
        let lacks_context =
            self.spec.templates.has_output_context() && example.output_context.is_none();
        if lacks_context {
            return self.split_output(example, questions);
        }
        let context = example.output_context.clone().unwrap_or_default();
        let current = match &example.output_current {
            Some(current) => current.clone(),
            None => self.continuation(example)?.trim().to_owned(),
        };
        if current.is_empty() {
            return wrong_texts(
                "the model generated an empty output; give the output text".to_owned(),
            );
        }
        Ok(Outputs {
            context,
            current,
            notices: Vec::new(),
        })
    }

    /// Generates the output with its context, and splits it into the two.
    fn split_output(
        &self,
        example: &ContextExample,
        questions: &dyn Questions,
    ) -> Result<Outputs, Error> {
        let generated = self.continuation(example)?;
        let generated = generated.trim();
        let context = self.context_of(generated, questions)?;
        let separator = self.spec.templates.output.between();
        let Some(generated_current) = current_behind(generated, &context, separator) else {
            return wrong_texts(format!(
                "the context {context:?} is not the beginning of the generated output {generated:?}"
            ));
        };
        if let Some(given) = &example.output_current {
            let notice = format!(
                "the model generated {generated_current:?} behind the context, and \
                 the given output text is analyzed instead"
            );
            return Ok(Outputs {
                context,
                current: given.clone(),
                notices: vec![notice],
            });
        }
        if generated_current.is_empty() {
            return wrong_texts(format!(
                "nothing follows the context {context:?} in the generated output; give \
                 the output context"
            ));
        }
        Ok(Outputs {
            context,
            current: generated_current,
            notices: Vec::new(),
        })
    }

    /// Returns the context of a generated output, as the strategy says.
    fn context_of(&self, generated: &str, questions: &dyn Questions) -> Result<String, Error> {
        let separator = self.spec.templates.output.between();
        let candidate = context_candidate(generated, separator);
        match (self.spec.options.strategy, candidate) {
            (OutputContextStrategy::Auto, Some(candidate)) => Ok(candidate.to_owned()),
            (OutputContextStrategy::Auto, None) => wrong_texts(format!(
                "it is not plain where the context ends in the generated output {generated:?}: the \
                 template's separator {separator:?} does not split it into two parts; give \
                 the output context"
            )),
            // With `pre`, an example that lacks its context is refused before.
            _ => questions.output_context(generated, candidate),
        }
    }

    /// Generates the output of an example, behind its output context if it has one. Returns what is
    /// within the template.
    fn continuation(&self, example: &ContextExample) -> Result<String, Error> {
        let template = &self.spec.templates.output;
        let context = example.input_context.as_deref().unwrap_or_default();
        let input = self
            .spec
            .templates
            .input
            .fill(context, &example.input_current)
            .text;
        let prefix = example.output_context.as_deref();
        let prefix = prefix.map(|context| template.before_current(context));
        let prompt = self.prompt(example.id, &input, prefix.as_deref())?;
        let new = self.comparing.continuation(prompt)?;
        let vocabulary = self.comparing.tokenizer().of(Side::Target);
        let is_kept = |id: &u32| self.kept.contains(id) || !vocabulary.has_no_text(*id);
        let new: Vec<_> = new.into_iter().filter(is_kept).collect();
        let generated = vocabulary.decode(&new, false);
        let beginning = match prefix {
            Some(_) => "",
            None => template.beginning().trim_start(),
        };
        let inside = |text: &str| {
            let text = text.trim_start().strip_prefix(beginning)?;
            text.strip_suffix(template.ending()).map(str::to_owned)
        };
        inside(&generated).map_or_else(
            || {
                wrong_texts(format!(
                    "the generated output {generated:?} does not begin with {beginning:?} and end with \
                     {:?}, as --output-template says; correct the template, or give the output",
                    template.ending()
                ))
            },
            Ok,
        )
    }

    /// Returns the tokens that the model continues: the prompt of a decoder-only model, or the
    /// decoder's start. `prefix` is what the output begins with.
    fn prompt(&self, id: i64, input: &str, prefix: Option<&str>) -> Result<Prompt, Error> {
        if self.has_encoder {
            let start = prefix.unwrap_or_default();
            return self.comparing.prompt_with_start(id, input, start);
        }
        let separator = &self.spec.options.separator;
        let text = joined(input, prefix.unwrap_or_default(), separator);
        self.comparing.prompt_with_start(id, &text, "")
    }
}

fn wrong_texts<T>(reason: String) -> Result<T, Error> {
    Err(Error::ContextTexts { reason })
}
