//! The data files of a job, and whether they are still those that it was submitted with.

use whence_datasets::{Copies, DatasetReader, open, pin};
use whence_schemas::job::DatasetSource;
use whence_schemas::location::DataFile;

use crate::Error;

/// Prepares to read the files of a job. Opens none of them.
pub(super) fn reader(dataset: &DatasetSource) -> Result<DatasetReader, Error> {
    let source = open(&dataset.location)?;
    let copies = Copies::from_env(|name| std::env::var(name).ok());
    Ok(DatasetReader::new(source, &dataset.format, copies)?)
}

/// Finds the files of the splits that a job names.
///
/// Fails if they are not those that the job was submitted with.
pub(super) fn find(
    dataset: &DatasetSource,
    reader: &DatasetReader,
) -> Result<Vec<DataFile>, Error> {
    let pinned = pin(&dataset.location, &dataset.split, reader.source())?;
    if pinned.digest() != dataset.digest || pinned.format != dataset.format {
        let dataset = dataset.location.name().to_owned();
        return Err(whence_datasets::Error::Changed { dataset }.into());
    }
    Ok(pinned.files)
}
