//! Which fields of the dataset's rows a job reads, and what each is for.

use whence_datasets::{FieldPath, Template};
use whence_schemas::job::DatasetSource;

use crate::Error;

/// Number of text columns in an input batch: the input, then the others in the order of
/// [`input::schema`](whence_schemas::input::schema).
pub(super) const NUM_TEXTS: usize = 6;

/// The fields to read of each row: those of its texts, then the columns that are carried along to
/// the result.
#[derive(Debug, Clone)]
pub(super) struct RowFields {
    paths: Vec<FieldPath>,
    /// Makes the input of several fields, which come first. Without it, one field is the input.
    template: Option<Template>,
    /// Whether the dataset has each of the texts after the input.
    has_other_text: [bool; NUM_TEXTS - 1],
}

impl RowFields {
    pub(super) fn new(dataset: &DatasetSource) -> Result<Self, Error> {
        let template = dataset
            .input_template
            .as_deref()
            .map(str::parse::<Template>);
        let template = template.transpose()?;
        let mut paths = match &template {
            Some(template) => template.fields().to_vec(),
            None => vec![dataset.input_field.parse()?],
        };
        let others = [
            &dataset.generated_field,
            &dataset.contrast_source_field,
            &dataset.contrast_target_field,
            &dataset.input_context_field,
            &dataset.output_context_field,
        ];
        for name in others.into_iter().flatten().chain(&dataset.columns) {
            paths.push(name.parse()?);
        }
        Ok(Self {
            paths,
            template,
            has_other_text: others.map(Option::is_some),
        })
    }

    /// Returns every field, in the order in which their cells are read.
    pub(super) fn paths(&self) -> &[FieldPath] {
        &self.paths
    }

    /// Returns the template of the input, if it has one.
    pub(super) fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    /// Returns whether the dataset has each of the texts after the input.
    pub(super) fn has_other_text(&self) -> [bool; NUM_TEXTS - 1] {
        self.has_other_text
    }

    /// Returns how many of the fields, the first ones, make the input.
    pub(super) fn num_of_input(&self) -> usize {
        self.template()
            .map_or(1, |template| template.fields().len())
    }

    /// Returns how many of the fields, the first ones, are texts rather than carried columns.
    pub(super) fn num_of_texts(&self) -> usize {
        let others = self.has_other_text.iter().filter(|has| **has);
        self.num_of_input() + others.count()
    }
}
