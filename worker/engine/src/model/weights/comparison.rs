//! Compares a checkpoint with the tensors that a model is made of, before reading any of them.

use std::collections::HashSet;

use super::{Checkpoint, missing};
use crate::Error;
use crate::model::tensors::{Need, TensorSpec};

/// Which tensors of a checkpoint the model uses, and which it does not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Names, as in the files, of the tensors that the model uses.
    pub(crate) read: HashSet<String>,
    /// Names of the tensors that it does not use, sorted.
    pub(crate) unread: Vec<String>,
}

impl Checkpoint {
    /// Compares the names and shapes in the checkpoint with `tensors`. This reads only the tensor
    /// directories, not the tensors.
    ///
    /// Fails if a required tensor is missing, or if a tensor has another shape or numbers that are
    /// not floating point.
    pub(crate) fn compare(&self, tensors: &[TensorSpec]) -> Result<Comparison, Error> {
        // Missing tensors are reported first, because they say more than a wrong shape: a model of
        // another layout has both.
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
            // Tensors that must be zero are checked number by number later, so their shape does
            // not matter.
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
