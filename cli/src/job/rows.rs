//! The rows of a job: those of a dataset, or texts that were typed.

use serde_json::{Map, Value};

use crate::args::{ContextTexts, DatasetPlace, TextOptions};

/// The rows of a job.
#[derive(Debug)]
pub(crate) enum Rows<'a> {
    /// Those of a dataset.
    Of(&'a DatasetPlace),
    /// Those that were typed.
    Typed(Vec<Map<String, Value>>),
}

/// Fields of typed rows.
pub(super) const INPUT: &str = "input";
pub(super) const GENERATED: &str = "generated";
pub(super) const INPUT_CONTEXT: &str = "input_context";
pub(super) const OUTPUT_CONTEXT: &str = "output_context";

impl From<&TextOptions> for Rows<'_> {
    /// There is one generated text per input, or none.
    fn from(texts: &TextOptions) -> Self {
        let row = |(index, input): (usize, &String)| {
            row(&[
                (INPUT, Some(input)),
                (GENERATED, texts.generated_texts.get(index)),
            ])
        };
        Self::Typed(texts.input_texts.iter().enumerate().map(row).collect())
    }
}

impl From<&ContextTexts> for Rows<'_> {
    fn from(texts: &ContextTexts) -> Self {
        Self::Typed(vec![row(&[
            (INPUT, Some(&texts.input_current_text)),
            (GENERATED, texts.output_current_text.as_ref()),
            (INPUT_CONTEXT, texts.input_context_text.as_ref()),
            (OUTPUT_CONTEXT, texts.output_context_text.as_ref()),
        ])])
    }
}

fn row(fields: &[(&str, Option<&String>)]) -> Map<String, Value> {
    let given = fields.iter();
    let given = given.filter_map(|(name, text)| {
        Some(((*name).to_owned(), Value::from(text.as_ref()?.as_str())))
    });
    given.collect()
}
