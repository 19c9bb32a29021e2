//! Opens the data files of a dataset: where they are, whatever they are compressed with, and in the
//! format that was found when it was resolved.

use std::borrow::Cow;

use whence_schemas::dataset::{FormatOptions, FormatSpec};
use whence_schemas::location::DataFile;

use crate::Error;
use crate::content::{Copies, SharedContent, Version};
use crate::field::FieldPath;
use crate::format::{Format, RowReader};
use crate::formats::format;
use crate::resolve::Source;

/// Reads the files of a dataset. None is opened or fetched before its rows are asked for.
pub struct DatasetReader {
    source: Box<dyn Source>,
    format: Box<dyn Format>,
    options: FormatOptions,
    copies: Copies,
}

impl DatasetReader {
    /// Reads files of `source` as `spec` says, and keeps what must be unpacked in `copies`.
    pub fn new(source: Box<dyn Source>, spec: &FormatSpec, copies: Copies) -> Result<Self, Error> {
        Ok(Self {
            source,
            format: format(spec)?,
            options: spec.options.clone(),
            copies,
        })
    }

    /// Returns where the files are.
    pub fn source(&self) -> &dyn Source {
        self.source.as_ref()
    }

    /// Opens the rows of a file from `offset` on.
    pub fn rows(
        &self,
        file: &DataFile,
        offset: u64,
        fields: &[FieldPath],
    ) -> Result<Box<dyn RowReader>, Error> {
        self.format.open(&self.content(file)?, offset, fields)
    }

    /// Counts the rows of a file.
    pub fn count(&self, file: &DataFile) -> Result<u64, Error> {
        self.format.count(&self.content(file)?)
    }

    /// Opens a file. A compressed one is unpacked first, unless that was done before.
    fn content(&self, file: &DataFile) -> Result<SharedContent, Error> {
        let version = version(file);
        let content = self.copies.whole(&self.source.open(file)?, &version)?;
        match &file.member {
            Some(member) => self
                .copies
                .member(&content, &version, member, &self.options),
            None => self.copies.plain(&content, &version, &self.options),
        }
    }
}

/// Returns what tells a file's bytes from those of every other file. A digest does; the version of
/// a file on a server only tells it from others at the same address.
fn version(file: &DataFile) -> Cow<'_, str> {
    match Version::parse(&file.digest) {
        Some(version) => format!("{} {version} {}", file.path, file.bytes).into(),
        None => file.digest.as_str().into(),
    }
}
