//! What a table was made of that no model computed: other tables, or a file of attributions.
//!
//! The inputs are named by their content, so the same aggregation of the same inputs is the same
//! job, as it is for jobs that compute.

use serde::{Deserialize, Serialize};

use crate::attribution::{Compat, FunctionSpec};
use crate::ids::JobId;

/// The inputs of a table, and what was done with them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derivation {
    /// The tables and files whose examples are in this table, one after the other.
    pub inputs: Vec<DerivedInput>,
    /// The run whose step scores were added to each example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<DerivedInput>,
    /// The run that each example was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<DerivedInput>,
    /// The aggregators, in the order in which they ran.
    pub stages: Vec<FunctionSpec>,
    /// Whose rules the aggregators followed.
    #[serde(default)]
    pub compat: Compat,
}

/// One input of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DerivedInput {
    /// The table of a job.
    Job {
        /// The job.
        id: JobId,
    },
    /// A file of attributions.
    File {
        /// Its name, without its folder.
        name: String,
        /// BLAKE3 digest of its bytes.
        digest: String,
    },
}
