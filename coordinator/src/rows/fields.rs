//! Which fields of the dataset's rows a job reads.

use whence_datasets::FieldPath;
use whence_schemas::job::DatasetSource;

use crate::Error;

/// Returns the fields to read of each row: first its texts, then the columns that are carried
/// along to the result.
pub(super) fn fields(dataset: &DatasetSource) -> Result<Vec<FieldPath>, Error> {
    let texts = text_fields(dataset).into_iter().flatten();
    let names = texts.chain(&dataset.columns);
    let parsed: Result<Vec<FieldPath>, _> = names.map(|name| name.parse()).collect();
    Ok(parsed?)
}

/// Number of text columns in an input batch.
pub(super) const NUM_TEXTS: usize = 4;

/// Returns the field for each text column of an input batch, in the order of [`input::schema`].
/// `None` means that the dataset has no such text.
pub(super) fn text_fields(dataset: &DatasetSource) -> [Option<&String>; NUM_TEXTS] {
    [
        Some(&dataset.input_field),
        dataset.generated_field.as_ref(),
        dataset.contrast_source_field.as_ref(),
        dataset.contrast_target_field.as_ref(),
    ]
}
