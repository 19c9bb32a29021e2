//! An architecture: the name of a family of models, and how its configuration is read.

use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::ModelSpec;

/// A family of models that can be loaded.
#[derive(Clone, Copy)]
pub struct Architecture {
    /// The `model_type` in its `config.json`.
    pub name: &'static str,
    /// One line for `whence list models`.
    pub summary: &'static str,
    pub(super) spec: fn(&ConfigFile) -> Result<ModelSpec, Error>,
}
