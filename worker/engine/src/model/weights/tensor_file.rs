//! The interface of a file that holds tensors, whatever its format.

use std::fmt::Debug;
use std::path::Path;

use candle_core::{DType, Tensor};

use crate::Error;

/// A file that holds tensors.
pub(super) trait TensorFile: Debug + Send + Sync {
    /// Returns the path of the file.
    fn path(&self) -> &Path;

    /// Returns the names of the tensors.
    fn names(&self) -> Vec<String>;

    /// Returns the shape of a tensor, or `None` if the file does not have it.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// Returns the precision that a tensor is stored in, or `None` if whence cannot compute with
    /// it.
    fn precision(&self, name: &str) -> Option<DType>;

    /// Returns what a person calls the format of a tensor's numbers, such as `BF16` or `Q4_1`.
    fn format_name(&self, name: &str) -> Option<String> {
        let precision = self.precision(name)?;
        Some(precision.as_str().to_ascii_uppercase())
    }

    /// Reads a tensor as `dtype`. Fails if the file does not have it, or if it is not a tensor of
    /// finite floating-point numbers.
    fn read(&self, name: &str, dtype: DType) -> Result<Tensor, Error>;

    /// Reads the numbers of block `index` of the `count` blocks of equal size that a tensor consists
    /// of, one after another, into a flat tensor. Fails as [`Self::read`] does.
    fn read_block(
        &self,
        name: &str,
        dtype: DType,
        (index, count): (usize, usize),
    ) -> Result<Tensor, Error> {
        let whole = self.read(name, dtype)?.flatten_all()?;
        let len = whole.elem_count() / count;
        // A copy, so that the block does not keep the memory of the whole tensor.
        Ok(whole.narrow(0, index * len, len)?.copy()?)
    }

    /// Returns whether an adapter changes a tensor.
    fn is_adapted(&self, _name: &str) -> bool {
        false
    }

    /// Fails as [`Self::read`] does, with the memory of only one block.
    fn check(&self, name: &str) -> Result<(), Error>;
}
