//! Which fields of a dataset's rows a job uses, and for what.

use whence_engine::GivenTexts;
use whence_schemas::job::DatasetSource;

use super::rows::{GENERATED, INPUT, INPUT_CONTEXT, OUTPUT_CONTEXT};
use crate::args::{ContextFields, ContextTexts, DatasetOptions, TextOptions};

/// The fields of a row; see [`DatasetSource`] for what each is for.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowFields {
    input: String,
    input_template: Option<String>,
    generated: Option<String>,
    contrast_source: Option<String>,
    contrast_target: Option<String>,
    input_context: Option<String>,
    output_context: Option<String>,
    columns: Vec<String>,
}

impl RowFields {
    /// Returns which texts every row provides besides its input.
    pub(crate) fn given(&self) -> GivenTexts {
        GivenTexts {
            generated: self.generated.is_some(),
            contrast_source: self.contrast_source.is_some(),
            contrast_target: self.contrast_target.is_some(),
        }
    }

    /// Returns `source` with these fields.
    pub(super) fn of(self, source: DatasetSource) -> DatasetSource {
        DatasetSource {
            input_field: self.input,
            input_template: self.input_template,
            generated_field: self.generated,
            contrast_source_field: self.contrast_source,
            contrast_target_field: self.contrast_target,
            input_context_field: self.input_context,
            output_context_field: self.output_context,
            columns: self.columns,
            ..source
        }
    }
}

impl From<&DatasetOptions> for RowFields {
    fn from(options: &DatasetOptions) -> Self {
        Self {
            input: options.input_text_field.clone().unwrap_or_default(),
            input_template: options.input_template.clone(),
            generated: options.generated_text_field.clone(),
            contrast_source: options.contrast_source_field.clone(),
            contrast_target: options.contrast_target_field.clone(),
            columns: options.columns.clone(),
            ..Self::default()
        }
    }
}

impl From<&ContextFields> for RowFields {
    fn from(fields: &ContextFields) -> Self {
        Self {
            input: fields.input_current_field.clone(),
            generated: fields.output_current_field.clone(),
            input_context: fields.input_context_field.clone(),
            output_context: fields.output_context_field.clone(),
            columns: fields.columns.clone(),
            ..Self::default()
        }
    }
}

/// Returns the name of a field of typed rows that have it.
fn typed(name: &str, is_given: bool) -> Option<String> {
    is_given.then(|| name.to_owned())
}

impl From<&TextOptions> for RowFields {
    fn from(texts: &TextOptions) -> Self {
        Self {
            input: INPUT.to_owned(),
            generated: typed(GENERATED, !texts.generated_texts.is_empty()),
            ..Self::default()
        }
    }
}

impl From<&ContextTexts> for RowFields {
    fn from(texts: &ContextTexts) -> Self {
        Self {
            input: INPUT.to_owned(),
            generated: typed(GENERATED, texts.output_current_text.is_some()),
            input_context: typed(INPUT_CONTEXT, texts.input_context_text.is_some()),
            output_context: typed(OUTPUT_CONTEXT, texts.output_context_text.is_some()),
            ..Self::default()
        }
    }
}
