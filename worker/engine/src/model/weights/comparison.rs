//! A checkpoint compared with the tensors a model is made of, before any of them is read.

use std::collections::HashSet;

use super::{Checkpoint, missing};
use crate::Error;
use crate::model::tensors::{Need, TensorSpec};

/// What a model would leave out of its checkpoint, and what it takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Names, in the files, of the tensors the model is made of.
    pub(crate) read: HashSet<String>,
    /// Names of those it would leave out, sorted.
    pub(crate) unread: Vec<String>,
}

impl Checkpoint {
    /// Compares the names and shapes in the checkpoint with `tensors`. Reads the directories of
    /// tensors, not the tensors.
    ///
    /// Fails if a required one is missing, or one has another shape or numbers that are not
    /// floating-point ones.
    pub(crate) fn compare(&self, tensors: &[TensorSpec]) -> Result<Comparison, Error> {
        // What is missing says more than a shape: a model of another layout has both.
        let required = tensors
            .iter()
            .filter(|tensor| tensor.need == Need::Required);
        let absent = required.filter(|tensor| !self.contains(&tensor.name));
        let absent: Vec<_> = absent.map(|tensor| tensor.name.as_str()).collect();
        if !absent.is_empty() {
            return Err(missing::error(&self.path, &absent, &self.names()));
        }
        let mut read = HashSet::new();
        for tensor in tensors {
            let Some((stored, _)) = self.find(&tensor.name) else {
                continue;
            };
            // What must be zero is looked at number by number, whatever its shape.
            if tensor.need != Need::Zero {
                self.check_stored(&tensor.name, &tensor.shape)?;
            }
            read.insert(stored.to_owned());
        }
        let mut unread = self.names();
        unread.retain(|name| !read.contains(name));
        Ok(Comparison { read, unread })
    }
}
