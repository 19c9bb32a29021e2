//! Files of JSON lines by the names that people give them: `.jsonl` and `.ndjson`.
//!
//! DataFusion reads such files, but only if they are called `.json`.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::GetExt;
use datafusion::datasource::file_format::json::JsonFormatFactory;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory};
use datafusion::error::Result;

/// The extensions of such files.
pub(super) const EXTENSIONS: [&str; 2] = ["jsonl", "ndjson"];

/// Makes the reader of files with one extension.
#[derive(Debug)]
pub(super) struct JsonLines {
    extension: &'static str,
    json: JsonFormatFactory,
}

impl JsonLines {
    pub(super) fn of(extension: &'static str) -> Self {
        Self {
            extension,
            json: JsonFormatFactory::new(),
        }
    }
}

impl GetExt for JsonLines {
    fn get_ext(&self) -> String {
        self.extension.to_owned()
    }
}

impl FileFormatFactory for JsonLines {
    fn create(
        &self,
        state: &dyn Session,
        options: &HashMap<String, String>,
    ) -> Result<Arc<dyn FileFormat>> {
        self.json.create(state, options)
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        FileFormatFactory::default(&self.json)
    }
}
