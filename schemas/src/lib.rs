//! The data model shared by all crates: specifications, identifiers, object names and table
//! columns.
//!
//! A job is described by a [`JobSpec`] and cut into shards by a [`Plan`]. Each shard's result is
//! one Parquet object under the slot key that [`layout`] gives. Paths and column names are defined
//! only here.
//!
//! Version rule: public names (fields, columns, keys) may be added but never changed or removed. A
//! change of the bytes that a reader sees raises [`layout::LAYOUT_VERSION`]. A change of the
//! numbers raises [`job::NUMERICS_VERSION`], so that results of two engines never share a job.

pub mod attribution;
mod cache_folder;
pub mod canonical;
pub mod chat;
pub mod context;
pub mod context_output;
pub mod crash_point;
pub mod dataset;
pub mod derivation;
pub mod error;
pub mod footer;
pub mod generation;
pub mod harmless;
pub mod ids;
pub mod input;
pub mod job;
pub mod layout;
pub mod lfs;
pub mod location;
pub mod options;
pub mod ordered;
pub mod output;
pub mod panics;
pub mod placement;
pub mod plan;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(feature = "store")]
mod slot_digest;
#[cfg(feature = "store")]
pub mod slot_file;
#[cfg(feature = "store")]
pub mod store;
pub mod suggest;
pub mod table;
pub mod user_path;
mod worker_class;

pub use attribution::{
    AlignmentRule, Alignments, AttributionSpec, Compat, ContrastSpec, FunctionSpec,
};
pub use cache_folder::cache_folder;
pub use chat::{ChatSpec, MessageTexts};
pub use context::{ContextOptions, ContextTemplates, OutputContextStrategy, Selection};
pub use crash_point::CrashPoint;
pub use dataset::{FormatName, FormatOptions, FormatSpec, SampleBy};
pub use derivation::{Derivation, DerivedInput};
pub use error::{ErrorKind, chain};
pub use footer::{Footer, FooterError, SlotKind};
pub use generation::{EarlyStopping, GenerationSpec};
pub use ids::{Attempt, Epoch, InvalidId, JobId, RowId, SlotId, WorkerId};
pub use job::{DatasetSource, JobSpec};
pub use location::{DataFile, DatasetLocation, DatasetOrigin};
pub use output::RowError;
pub use plan::{Plan, PlannedShard};
pub use worker_class::{WorkerClass, WorkerRequirements};
