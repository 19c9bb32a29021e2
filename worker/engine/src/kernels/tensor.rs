//! The tensor that layers, gradients and methods see: numbers with a shape, wherever they lie.
//!
//! It offers the few operations that move numbers without changing them. What computes is a
//! function of one of the kernels; what reads or writes single numbers goes through `host`. The
//! numbers of a tensor never change once it is made, so a clone shares them.
//!
//! An operation computes where its operands are. A tensor that is made from numbers of the host is in
//! main memory until an operation combines it with a tensor on a device; then it is copied there. The
//! weights are on the model's device, so everything that is computed from them is there, too.

use std::sync::Arc;

use candle_core::{DType, Error, Shape};

use super::device::Device;
use super::device::array::Array;
use super::device::rows::{converted, filled};
use crate::error::Result;

/// Numbers with a shape. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tensor(Numbers);

/// Where the numbers lie.
#[derive(Debug, Clone)]
enum Numbers {
    Memory(candle_core::Tensor),
    Device(Arc<Array>),
}

impl From<candle_core::Tensor> for Tensor {
    fn from(tensor: candle_core::Tensor) -> Self {
        Self(Numbers::Memory(tensor))
    }
}

impl From<Array> for Tensor {
    fn from(array: Array) -> Self {
        Self(Numbers::Device(Arc::new(array)))
    }
}

/// Returns the device that an operation on `operands` computes on: that of the first of them that
/// lies on one. `None` is main memory.
pub(in crate::kernels) fn device_of<const N: usize>(operands: [&Tensor; N]) -> Option<&Device> {
    operands.into_iter().find_map(Tensor::device)
}

impl Tensor {
    /// Returns the tensor as one of candle, in main memory. Numbers that lie there are shared.
    pub fn to_candle(&self) -> Result<candle_core::Tensor> {
        match &self.0 {
            Numbers::Memory(tensor) => Ok(tensor.clone()),
            Numbers::Device(array) => array.to_candle(),
        }
    }

    /// Returns the same numbers in main memory.
    pub(crate) fn in_memory(&self) -> Result<Self> {
        self.to_candle().map(Self::from)
    }

    /// Borrows the tensor as one of candle. Fails if it lies on a device.
    pub(in crate::kernels) fn candle(&self) -> Result<&candle_core::Tensor> {
        match &self.0 {
            Numbers::Memory(tensor) => Ok(tensor),
            Numbers::Device(array) => {
                let message = format!("{array:?} is not in main memory");
                Err(Error::Msg(message).bt())
            }
        }
    }

    /// Returns the device that the numbers lie on; `None` if they lie in main memory.
    pub(in crate::kernels) fn device(&self) -> Option<&Device> {
        match &self.0 {
            Numbers::Memory(_) => None,
            Numbers::Device(array) => Some(array.device()),
        }
    }

    /// Returns the numbers on `device`, copied there if they lie in main memory.
    pub(in crate::kernels) fn on(&self, device: &Device) -> Result<Array> {
        match &self.0 {
            Numbers::Memory(tensor) => Array::from_candle(device, tensor),
            Numbers::Device(array) => Ok(Array::clone(array)),
        }
    }

    /// Returns the precision of the numbers.
    pub fn dtype(&self) -> DType {
        match &self.0 {
            Numbers::Memory(tensor) => tensor.dtype(),
            Numbers::Device(array) => array.dtype(),
        }
    }

    /// Returns the shape.
    pub fn shape(&self) -> &Shape {
        match &self.0 {
            Numbers::Memory(tensor) => tensor.shape(),
            Numbers::Device(array) => array.shape(),
        }
    }

    /// Returns the size of each dimension.
    pub fn dims(&self) -> &[usize] {
        self.shape().dims()
    }

    /// Returns the size of dimension `dim`. Fails if there is no such dimension.
    pub fn dim(&self, dim: usize) -> Result<usize> {
        self.shape().dim(dim)
    }

    /// Returns the sizes of both dimensions of a matrix. Fails if the tensor is none.
    pub fn dims2(&self) -> Result<(usize, usize)> {
        self.shape().dims2()
    }

    /// Returns how many numbers there are.
    pub fn elem_count(&self) -> usize {
        self.shape().elem_count()
    }

    /// Returns entries `start..start + len` of dimension `dim`.
    pub fn narrow(&self, dim: usize, start: usize, len: usize) -> Result<Self> {
        match &self.0 {
            Numbers::Memory(tensor) => tensor.narrow(dim, start, len).map(Self::from),
            Numbers::Device(array) => array.narrow(dim, start, len).map(Self::from),
        }
    }

    /// Returns the tensor with its numbers in order, as kernels need them.
    pub fn contiguous(&self) -> Result<Self> {
        match &self.0 {
            Numbers::Memory(tensor) => tensor.contiguous().map(Self::from),
            Numbers::Device(_) => Ok(self.clone()),
        }
    }

    /// Returns the same numbers in another shape.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        match &self.0 {
            Numbers::Memory(tensor) => tensor.reshape(shape.into()).map(Self::from),
            Numbers::Device(array) => array.reshape(shape.into()).map(Self::from),
        }
    }

    /// Returns the numbers in precision `dtype`.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        match &self.0 {
            Numbers::Memory(tensor) => tensor.to_dtype(dtype).map(Self::from),
            Numbers::Device(array) => converted(array, dtype).map(Self::from),
        }
    }

    /// Returns zeros of the same shape and precision.
    pub fn zeros_like(&self) -> Result<Self> {
        match &self.0 {
            Numbers::Memory(tensor) => tensor.zeros_like().map(Self::from),
            Numbers::Device(array) => filled(array, 0.0).map(Self::from),
        }
    }

    /// Joins `tensors`, at least one, along dimension `dim`.
    pub fn cat<T: AsRef<Self>>(tensors: &[T], dim: usize) -> Result<Self> {
        let tensors: Vec<_> = tensors.iter().map(AsRef::as_ref).collect();
        if let Some(device) = tensors.iter().find_map(|tensor| tensor.device()) {
            let arrays = tensors.iter().map(|tensor| tensor.on(device));
            return Array::cat(&arrays.collect::<Result<Vec<_>>>()?, dim).map(Self::from);
        }
        let tensors: Vec<_> = tensors
            .iter()
            .map(|tensor| tensor.candle())
            .collect::<Result<_>>()?;
        candle_core::Tensor::cat(&tensors, dim).map(Self::from)
    }
}

impl AsRef<Self> for Tensor {
    fn as_ref(&self) -> &Self {
        self
    }
}
