//! The tensor that layers, gradients and methods see: numbers with a shape, wherever they lie.
//!
//! It offers the few operations that move numbers without changing them. What computes is a
//! function of one of the kernels; what reads or writes single numbers goes through `host`. The
//! numbers of a tensor never change once it is made, so a clone shares them.

use candle_core::{DType, Shape};

use crate::error::Result;

/// Numbers with a shape. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tensor(candle_core::Tensor);

impl From<candle_core::Tensor> for Tensor {
    fn from(tensor: candle_core::Tensor) -> Self {
        Self(tensor)
    }
}

impl Tensor {
    /// Returns the tensor as one of candle, which shares its numbers.
    pub fn to_candle(&self) -> Result<candle_core::Tensor> {
        Ok(self.0.clone())
    }

    /// Borrows the tensor as one of candle, for kernels that compute with candle's operations.
    pub(in crate::kernels) fn candle(&self) -> &candle_core::Tensor {
        &self.0
    }

    /// Returns the precision of the numbers.
    pub fn dtype(&self) -> DType {
        self.0.dtype()
    }

    /// Returns the shape.
    pub fn shape(&self) -> &Shape {
        self.0.shape()
    }

    /// Returns the size of each dimension.
    pub fn dims(&self) -> &[usize] {
        self.0.dims()
    }

    /// Returns the size of dimension `dim`. Fails if there is no such dimension.
    pub fn dim(&self, dim: usize) -> Result<usize> {
        self.0.dim(dim)
    }

    /// Returns the sizes of both dimensions of a matrix. Fails if the tensor is none.
    pub fn dims2(&self) -> Result<(usize, usize)> {
        self.0.dims2()
    }

    /// Returns how many numbers there are.
    pub fn elem_count(&self) -> usize {
        self.0.elem_count()
    }

    /// Returns entries `start..start + len` of dimension `dim`.
    pub fn narrow(&self, dim: usize, start: usize, len: usize) -> Result<Self> {
        self.0.narrow(dim, start, len).map(Self)
    }

    /// Returns the tensor with its numbers in order, as kernels need them.
    pub fn contiguous(&self) -> Result<Self> {
        self.0.contiguous().map(Self)
    }

    /// Returns the same numbers in another shape.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        self.0.reshape(shape.into()).map(Self)
    }

    /// Returns the numbers in precision `dtype`.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        self.0.to_dtype(dtype).map(Self)
    }

    /// Returns zeros of the same shape and precision.
    pub fn zeros_like(&self) -> Result<Self> {
        self.0.zeros_like().map(Self)
    }

    /// Joins `tensors`, of which there is at least one, along dimension `dim`.
    pub fn cat<T: AsRef<Self>>(tensors: &[T], dim: usize) -> Result<Self> {
        let tensors: Vec<_> = tensors.iter().map(|tensor| &tensor.as_ref().0).collect();
        candle_core::Tensor::cat(&tensors, dim).map(Self)
    }
}

impl AsRef<Self> for Tensor {
    fn as_ref(&self) -> &Self {
        self
    }
}
