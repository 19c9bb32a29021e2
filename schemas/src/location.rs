//! Where a dataset is: what a person asked for, pinned so that it means the same tomorrow.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which dataset, and which of its files. Resolving it gives the files of each split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetLocation {
    /// Where the files are.
    pub origin: DatasetOrigin,
    /// The builder that was asked for by its name, such as `json`, which then reads every file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
    /// The configuration; the dataset's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Patterns of the files, which are all read as the split `train`. The dataset itself says
    /// which files it has if this is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_files: Vec<String>,
    /// Folder of the dataset that holds the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
    /// Arguments of the builder that replace those of the configuration, such as `sep`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub arguments: Map<String, Value>,
}

/// Where the files of a dataset are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DatasetOrigin {
    /// Anywhere: the patterns are absolute paths on this machine, or addresses such as
    /// `https://…`, `s3://…` and `hf://datasets/name@commit/…`.
    Files,
    /// In a folder on this machine or of a bucket.
    Folder {
        /// Its absolute path, the same on the machine that submits and on the coordinator's, or its
        /// address, such as `s3://bucket/folder`.
        path: String,
    },
    /// In a repository on the Hub.
    Hub {
        /// The repository, such as `inseq/dummy_enit`.
        repository: String,
        /// The commit, as 40 hexadecimal digits: a branch may move, a commit cannot.
        commit: String,
        /// Whether this is the Hub's own copy in Parquet, whose folders are the configurations and
        /// the splits.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_export: bool,
    },
    /// In the request itself, for a few texts.
    Rows {
        /// The rows, by the names of their fields.
        rows: Vec<Map<String, Value>>,
    },
}

/// Name of a dataset whose rows are in the request.
pub const GIVEN_ROWS: &str = "texts";

impl DatasetLocation {
    /// Returns the location of everything in `origin`.
    pub fn of(origin: DatasetOrigin) -> Self {
        Self {
            origin,
            builder: None,
            config: None,
            data_files: Vec::new(),
            data_dir: None,
            arguments: Map::new(),
        }
    }

    /// Returns the name by which people know the dataset.
    pub fn name(&self) -> &str {
        match &self.origin {
            DatasetOrigin::Files => self.data_files.first().map_or("", String::as_str),
            DatasetOrigin::Folder { path } => path,
            DatasetOrigin::Hub { repository, .. } => repository,
            DatasetOrigin::Rows { .. } => GIVEN_ROWS,
        }
    }
}

/// One file of a dataset, as it is listed in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// The split that it belongs to.
    pub split: String,
    /// Its path: absolute on the coordinator's machine, or within the repository; or its address.
    pub path: String,
    /// The name of the file inside the archive at `path`, if that is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Length in bytes of the file at `path`.
    pub bytes: u64,
    /// What tells the bytes of the file at `path` from others: their BLAKE3 digest on this machine;
    /// on the Hub the digest that the Hub itself has, so that nothing must be fetched for it; in a
    /// bucket or on a web server `etag:` with the entity tag, or `modified:` with the time of the
    /// last change.
    pub digest: String,
}
