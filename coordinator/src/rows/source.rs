//! Opens the data files of a job: plain, whatever they are compressed with, and with their format.

use whence_datasets::content::local;
use whence_datasets::format::{Format, RowReader};
use whence_datasets::formats::format;
use whence_datasets::{Copies, FieldPath, SharedContent, format_of, local_path};
use whence_schemas::job::DataFile;

use crate::Error;

/// A data file whose rows can be read.
pub(super) struct Source {
    format: Box<dyn Format>,
    content: SharedContent,
}

impl Source {
    /// Opens a file. A compressed one is unpacked first, unless that was done before.
    pub(super) fn open(file: &DataFile) -> Result<Self, Error> {
        let path = local_path(&file.path)?;
        let spec = format_of(&path)?;
        let content = local(&path).map_err(|source| whence_datasets::Error::File {
            path: path.clone(),
            source,
        })?;
        let copies = Copies::from_env(|name| std::env::var(name).ok());
        Ok(Self {
            format: format(&spec)?,
            content: copies.plain(&content, &file.digest, &spec.options)?,
        })
    }

    /// Opens the rows from `offset` on.
    pub(super) fn rows(
        &self,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error> {
        Ok(self.format.open(&self.content, offset, fields)?)
    }

    /// Counts the rows.
    pub(super) fn count(&self) -> Result<u64, Error> {
        Ok(self.format.count(&self.content)?)
    }
}
