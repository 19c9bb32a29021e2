//! How a job's result may differ from what it must be.

use std::fmt::{self, Display};
use std::path::Path;

use whence_coordinator::durable::manifest::Manifest;
use whence_schemas::layout;

use super::{Undisturbed, objects, rows};

/// One row of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Number of the dataset's row.
    pub example: i64,
    /// Number of the sequence.
    pub sample: i32,
}

/// A difference between a job's result and that of an undisturbed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A row is there more than once.
    Duplicate {
        /// The row.
        row: Row,
        /// The file with the second one.
        file: String,
    },
    /// A row is missing.
    Lost(Row),
    /// A row is there that no undisturbed run has.
    Unexpected(Row),
    /// A value differs, in at least one bit.
    Changed {
        /// The row.
        row: Row,
        /// The first column that differs.
        column: String,
    },
    /// A file of the table is not what was written.
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The job has no manifest.
    NotSealed,
    /// The manifest and the table's folder do not have the same files.
    Listing {
        /// The file.
        file: String,
        /// Where it is.
        only_in: &'static str,
    },
    /// The manifest says something else about a file than the file itself.
    Manifest {
        /// The file.
        file: String,
        /// What differs.
        what: &'static str,
    },
    /// The manifest does not count the rows of the undisturbed run.
    Counts {
        /// Rows and errors.
        found: (u64, u64),
        /// Those of the undisturbed run.
        expected: (u64, u64),
    },
    /// An object is neither a slot nor a known description of a job or the root.
    Stray(String),
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { row, file } => write!(f, "{row} is there twice, also in `{file}`"),
            Self::Lost(row) => write!(f, "{row} is lost"),
            Self::Unexpected(row) => write!(f, "{row} should not exist"),
            Self::Changed { row, column } => write!(f, "`{column}` of {row} differs"),
            Self::Damaged { file, reason } => write!(f, "`{file}` is damaged: {reason}"),
            Self::NotSealed => write!(f, "the job is not sealed"),
            Self::Listing { file, only_in } => write!(f, "`{file}` is only in {only_in}"),
            Self::Manifest { file, what } => {
                write!(f, "the manifest has another {what} than `{file}`")
            }
            Self::Counts { found, expected } => write!(
                f,
                "the manifest has {found:?} rows and errors, not {expected:?}"
            ),
            Self::Stray(key) => write!(f, "`{key}` does not belong there"),
        }
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { example, sample } = self;
        write!(f, "sample {sample} of example {example}")
    }
}

/// Returns every difference between what is at `root` and what an undisturbed run leaves there.
pub fn violations(root: &Path, undisturbed: &Undisturbed) -> Vec<Violation> {
    let spec = &undisturbed.spec;
    let mut found = rows::violations(root, spec, &undisturbed.rows);
    match manifest(root, undisturbed) {
        None => found.push(Violation::NotSealed),
        Some(manifest) => {
            let counts = (manifest.rows, manifest.errors);
            if counts != undisturbed.counts {
                found.push(Violation::Counts {
                    found: counts,
                    expected: undisturbed.counts,
                });
            }
            found.extend(objects::unlike_manifest(root, spec, &manifest));
        }
    }
    found.extend(objects::strays(root).into_iter().map(Violation::Stray));
    found
}

fn manifest(root: &Path, undisturbed: &Undisturbed) -> Option<Manifest> {
    let text = std::fs::read(root.join(layout::sealed(&undisturbed.spec.id()))).ok()?;
    serde_json::from_slice(&text).ok()
}
