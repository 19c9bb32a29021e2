//! Rows that come with the request, as one file in memory.

use bytes::Bytes;
use serde_json::{Map, Value};
use whence_schemas::FormatName;
use whence_schemas::location::DataFile;

use super::source::{Source, is_below};
use crate::Error;
use crate::content::{SharedContent, memory};

/// Path of the file.
pub(super) const PATH: &str = "rows.jsonl";
/// Its format.
pub(super) const FORMAT: FormatName = FormatName::Json;

/// A place with one file, which holds the rows.
#[derive(Debug)]
pub struct GivenRows {
    lines: Bytes,
}

impl GivenRows {
    /// Makes the file of `rows`, one line each.
    pub fn new(rows: &[Map<String, Value>]) -> Self {
        let lines = rows.iter().map(|row| {
            let line = serde_json::to_string(row).expect("a JSON object can be written");
            line + "\n"
        });
        Self {
            lines: lines.collect::<String>().into(),
        }
    }
}

impl Source for GivenRows {
    fn files_below(&self, folder: &str, depth: Option<usize>) -> Result<Vec<String>, Error> {
        let is_here = is_below(PATH, folder, depth);
        Ok(is_here.then(|| PATH.to_owned()).into_iter().collect())
    }

    fn has_file(&self, path: &str) -> Result<bool, Error> {
        Ok(path == PATH)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok((path == PATH).then(|| self.lines.to_vec()))
    }

    fn describe(&self, path: &str, split: &str) -> Result<DataFile, Error> {
        Ok(DataFile {
            split: split.to_owned(),
            path: path.to_owned(),
            member: None,
            bytes: self.lines.len() as u64,
            digest: blake3::hash(&self.lines).to_hex().to_string(),
        })
    }

    fn open(&self, file: &DataFile) -> Result<SharedContent, Error> {
        Ok(memory(self.lines.clone(), &file.path))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use whence_schemas::location::{DatasetLocation, DatasetOrigin};

    use crate::{Cell, Copies, DatasetReader, open, pin};

    #[test]
    fn rows_of_the_request_are_read_like_those_of_a_file() {
        let row = |text: &str| json!({"text": text}).as_object().unwrap().clone();
        let rows = vec![row("a\nb"), row("é")];
        let location = DatasetLocation::of(DatasetOrigin::Rows { rows });
        let source = open(&location).unwrap();
        let pinned = pin(&location, "train", source.as_ref()).unwrap();
        let copies = Copies::from_env(|_| None);
        let reader = DatasetReader::new(source, &pinned.format, copies).unwrap();
        let fields = ["text".parse().unwrap()];
        let mut found = reader.rows(&pinned.files[0], 0, &fields).unwrap();
        let text = |text: &str| vec![Cell::Text(text.to_owned())];
        assert_eq!(found.next().unwrap(), Some(Ok(text("a\nb"))));
        assert_eq!(found.next().unwrap(), Some(Ok(text("é"))));
        assert_eq!(found.next().unwrap(), None);
        assert_eq!(reader.count(&pinned.files[0]).unwrap(), 2);
        let other = vec![row("a\nb")];
        let location = DatasetLocation::of(DatasetOrigin::Rows { rows: other });
        let source = open(&location).unwrap();
        let changed = pin(&location, "train", source.as_ref()).unwrap();
        assert_ne!(changed.digest(), pinned.digest());
    }
}
