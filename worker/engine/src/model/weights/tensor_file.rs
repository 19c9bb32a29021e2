//! What a file with tensors in it must answer, whatever its format.

use std::fmt::Debug;
use std::path::Path;

use candle_core::{DType, Tensor};

use crate::Error;

/// One file with tensors in it.
pub(super) trait TensorFile: Debug + Send + Sync {
    /// Returns where the file is.
    fn path(&self) -> &Path;

    /// Returns the tensors' names.
    fn names(&self) -> Vec<String>;

    /// Returns a tensor's shape, or `None` if the file does not have it.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// Returns the precision a tensor is stored in, or `None` if it is none that whence computes with.
    fn precision(&self, name: &str) -> Option<DType>;

    /// Reads a tensor as `dtype`. Fails if the file does not have it, or it is no tensor of
    /// finite floating-point numbers.
    fn read(&self, name: &str, dtype: DType) -> Result<Tensor, Error>;

    /// Fails as [`Self::read`] does, in the memory of a block.
    fn check(&self, name: &str) -> Result<(), Error>;
}
