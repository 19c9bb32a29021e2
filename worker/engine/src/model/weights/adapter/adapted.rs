//! The tensors of a base model with an adapter merged into them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{D, DType, Tensor};

use super::config::LoraConfig;
use super::names::Part;
use crate::Error;
use crate::model::weights::tensor_file::TensorFile;

/// The update of one weight: the names of its parts in the adapter's file, and its factor.
#[derive(Debug, Default)]
pub(super) struct Update {
    /// Name of the base's module.
    module: String,
    a: Option<String>,
    b: Option<String>,
    magnitude: Option<String>,
    scaling: f64,
    /// Whether the base stores the weight as the transpose of `B A`.
    is_transposed: bool,
}

impl Update {
    /// Returns an update of the weight of `module`, without its parts.
    pub(super) fn new(module: &str, is_transposed: bool) -> Self {
        Self {
            module: module.to_owned(),
            is_transposed,
            ..Self::default()
        }
    }

    /// Adds a part, whose name in the adapter is `name`.
    pub(super) fn add(&mut self, part: Part, name: String) {
        match part {
            Part::A | Part::EmbeddingA => self.a = Some(name),
            Part::B | Part::EmbeddingB => self.b = Some(name),
            Part::Magnitude => self.magnitude = Some(name),
            Part::Whole => {}
        }
    }

    /// Checks that all parts are there, and sets the factor.
    pub(super) fn complete(
        &mut self,
        file: &dyn TensorFile,
        stored: &str,
        config: &LoraConfig,
    ) -> Result<(), Error> {
        let refused = |reason: &str| Error::Tensor {
            path: file.path().to_owned(),
            name: stored.to_owned(),
            reason: reason.to_owned(),
        };
        let (Some(a), Some(_)) = (&self.a, &self.b) else {
            return Err(refused(
                "the adapter has only one of the two matrices of its update",
            ));
        };
        if config.is_decomposed != self.magnitude.is_some() {
            return Err(refused(
                "the adapter's `use_dora` and the trained length of its rows do not go together",
            ));
        }
        let rank = file.shape(a).and_then(|shape| shape.first().copied());
        let rank = rank
            .filter(|rank| *rank > 0)
            .ok_or_else(|| refused("the matrix `A` of its update is empty"))?;
        self.scaling = config.scaling(&self.module, rank);
        Ok(())
    }

    /// Returns the weight `base`, `[out, in]` or its transpose, with the update merged into it.
    fn merge(&self, base: &Tensor, adapter: &dyn TensorFile) -> Result<Tensor, Error> {
        let dtype = base.dtype();
        let part = |name: &Option<String>| {
            let name = name.as_deref().expect("`complete` has checked the parts");
            adapter.read(name, dtype)
        };
        let (a, b) = (part(&self.a)?, part(&self.b)?);
        let oriented = |tensor: Tensor| {
            if self.is_transposed {
                tensor.t()
            } else {
                Ok(tensor)
            }
        };
        let change = (oriented(b.matmul(&a)?)? * self.scaling)?;
        if change.dims() != base.dims() {
            return Err(Error::Tensor {
                path: adapter.path().to_owned(),
                name: self.module.clone(),
                reason: format!(
                    "the adapter's update has the shape {:?}, the base's weight {:?}; is this the adapter's base?",
                    change.dims(),
                    base.dims()
                ),
            });
        }
        let updated = (base + change)?;
        if self.magnitude.is_none() {
            return Ok(updated.contiguous()?);
        }
        // DoRA: the lengths are those of the rows of `[out, in]`.
        let rows = oriented(updated)?;
        let lengths = rows.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        let factors = part(&self.magnitude)?
            .reshape(lengths.shape())?
            .div(&lengths)?;
        Ok(oriented(rows.broadcast_mul(&factors)?)?.contiguous()?)
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        [&self.a, &self.b, &self.magnitude].into_iter().flatten()
    }
}

/// A file of the base model, whose tensors are read with the adapter merged into them.
#[derive(Debug)]
pub(super) struct AdaptedFile {
    pub(super) base: Box<dyn TensorFile>,
    pub(super) adapter: Arc<dyn TensorFile>,
    /// For each tensor that changes, by its name in the base's file.
    pub(super) updates: Arc<HashMap<String, Update>>,
}

impl TensorFile for AdaptedFile {
    fn path(&self) -> &Path {
        self.base.path()
    }

    fn names(&self) -> Vec<String> {
        self.base.names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.base.shape(name)
    }

    fn precision(&self, name: &str) -> Option<DType> {
        let stored = self.base.precision(name)?;
        // A sum of half-precision numbers does not fit into half precision.
        let is_updated = self.updates.contains_key(name);
        Some(match stored {
            DType::F16 | DType::BF16 if is_updated => DType::F32,
            stored => stored,
        })
    }

    fn read(&self, name: &str, dtype: DType) -> Result<Tensor, Error> {
        let base = self.base.read(name, dtype)?;
        match self.updates.get(name) {
            Some(update) => update.merge(&base, self.adapter.as_ref()),
            None => Ok(base),
        }
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        self.base.check(name)?;
        let Some(update) = self.updates.get(name) else {
            return Ok(());
        };
        update.names().try_for_each(|name| self.adapter.check(name))
    }

    fn is_adapted(&self, name: &str) -> bool {
        self.updates.contains_key(name) || self.base.is_adapted(name)
    }
}

/// The tensors of an adapter that replace those of its base, under the base's names.
#[derive(Debug)]
pub(super) struct Replacements {
    pub(super) adapter: Arc<dyn TensorFile>,
    /// Name in the adapter's file for each name in the base's.
    pub(super) replaced: HashMap<String, String>,
}

impl Replacements {
    fn own_name<'n>(&'n self, name: &'n str) -> &'n str {
        self.replaced.get(name).map_or(name, String::as_str)
    }
}

impl TensorFile for Replacements {
    fn path(&self) -> &Path {
        self.adapter.path()
    }

    fn names(&self) -> Vec<String> {
        self.replaced.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.adapter.shape(self.own_name(name))
    }

    fn precision(&self, name: &str) -> Option<DType> {
        self.adapter.precision(self.own_name(name))
    }

    fn read(&self, name: &str, dtype: DType) -> Result<Tensor, Error> {
        self.adapter.read(self.own_name(name), dtype)
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        self.adapter.check(self.own_name(name))
    }

    fn is_adapted(&self, _name: &str) -> bool {
        true
    }
}
