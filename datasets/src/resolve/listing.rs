//! A source for tests, which is only a list of names.

use whence_schemas::location::DataFile;

use super::source::{Source, is_below};
use crate::Error;
use crate::content::SharedContent;

/// A source whose files are names, a few of them with content.
pub(super) struct Listing {
    files: Vec<(String, Vec<u8>)>,
}

impl Source for Listing {
    fn files_below(&self, folder: &str, depth: Option<usize>) -> Result<Vec<String>, Error> {
        let paths = self.files.iter().map(|(path, _)| path);
        let below = paths.filter(|path| is_below(path, folder, depth));
        Ok(below.cloned().collect())
    }

    fn has_file(&self, path: &str) -> Result<bool, Error> {
        Ok(self.files.iter().any(|(known, _)| known == path))
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let found = self.files.iter().find(|(known, _)| known == path);
        Ok(found.map(|(_, content)| content.clone()))
    }

    fn members(&self, archive: &DataFile) -> Result<Vec<String>, Error> {
        let content = self.read(&archive.path)?.unwrap_or_default();
        let names = String::from_utf8_lossy(&content).into_owned();
        Ok(names.split_whitespace().map(str::to_owned).collect())
    }

    fn describe(&self, path: &str, split: &str) -> Result<DataFile, Error> {
        Ok(DataFile {
            split: split.to_owned(),
            path: path.to_owned(),
            member: None,
            bytes: 0,
            digest: String::new(),
        })
    }

    fn open(&self, file: &DataFile) -> Result<SharedContent, Error> {
        unreachable!("`{}` is only a name", file.path)
    }
}

pub(super) fn listing(files: &[(&str, &str)]) -> Listing {
    let files = files.iter();
    Listing {
        files: files
            .map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec()))
            .collect(),
    }
}

pub(super) fn names(files: &[&str]) -> Listing {
    let files: Vec<_> = files.iter().map(|path| (*path, "")).collect();
    listing(&files)
}
