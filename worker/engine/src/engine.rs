//! The whole story: encode, generate, attribute, score, aggregate.

use std::path::Path;

use whence_schemas::AttributionSpec;
use whence_schemas::job::Dtype;

use crate::{Attribution, Error, Example};

/// A loaded model, ready to attribute. Immutable: hooks are arguments, not state.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// Loads the model in the Hugging Face folder `folder`, to compute in `dtype`.
    ///
    /// Fails if a file is missing, damaged or of an unknown kind.
    pub fn load(folder: &Path, dtype: Dtype) -> Result<Self, Error> {
        let _ = (folder, dtype);
        unreachable!("contract pending")
    }

    /// Checks `spec` against the registries and this model.
    pub fn prepare(&self, spec: &AttributionSpec) -> Result<Attributor<'_>, Error> {
        let _ = spec;
        unreachable!("contract pending")
    }
}

/// Checks everything of `spec` that can be checked without a model.
pub fn check(spec: &AttributionSpec) -> Result<(), Error> {
    let _ = spec;
    unreachable!("contract pending")
}

/// Returns the digest of a model folder's files: what a job pins, what a worker compares.
pub fn digest(folder: &Path) -> Result<String, Error> {
    let _ = folder;
    unreachable!("contract pending")
}

/// A checked specification on a loaded model.
#[derive(Debug)]
pub struct Attributor<'e> {
    engine: &'e Engine,
}

impl Attributor<'_> {
    /// Attributes `examples` together; result `i` belongs to example `i`.
    ///
    /// A bad example fails alone, and the numbers of the others are bitwise what they are alone.
    pub fn attribute(&self, examples: &[Example]) -> Vec<Result<Attribution, Error>> {
        let _ = (self.engine, examples);
        unreachable!("contract pending")
    }

    /// Returns the names of the step scores, in the order [`crate::StepAttribution::step_scores`] has them.
    pub fn step_score_names(&self) -> Vec<String> {
        Vec::new()
    }
}
