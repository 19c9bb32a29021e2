//! Numbers in a device's memory.
//!
//! An array's numbers always lie in order, one row behind the other. So entries of the first
//! dimension are a part of the same memory, and those of any other are a copy.

use std::fmt;
use std::sync::Arc;

use bytemuck::Pod;
use candle_core::{DType, Error, Shape};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::handle::{Argument, Device, Memory};
use crate::error::Result;
use crate::kernels::driver::Address;

/// Numbers in a device's memory. Cheap to clone.
#[derive(Clone)]
pub(in crate::kernels) struct Array {
    device: Device,
    memory: Arc<Memory>,
    /// Bytes of the memory before the first number.
    before: usize,
    shape: Shape,
    dtype: DType,
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?} on a device", self.shape, self.dtype)
    }
}

impl<'a> From<&'a Array> for Argument<'a> {
    fn from(array: &'a Array) -> Self {
        Self::to(Some(&array.memory), array.before)
    }
}

impl<'a> From<Option<&'a Array>> for Argument<'a> {
    /// A kernel sees a missing array as a null pointer.
    fn from(array: Option<&'a Array>) -> Self {
        array.map_or(Self::to(None, 0), Self::from)
    }
}

impl Array {
    /// Reserves an array whose numbers a kernel is about to write.
    pub(in crate::kernels) fn unwritten(
        device: &Device,
        shape: impl Into<Shape>,
        dtype: DType,
    ) -> Result<Self> {
        let shape = shape.into();
        let bytes = shape.elem_count() * dtype.size_in_bytes();
        Ok(Self {
            memory: Arc::new(device.allocate(bytes)?),
            device: device.clone(),
            before: 0,
            shape,
            dtype,
        })
    }

    /// Copies numbers, or records that kernels read, to the device.
    pub(in crate::kernels) fn from_slice<T: Pod>(device: &Device, values: &[T]) -> Result<Self> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let array = Self::unwritten(device, bytes.len(), DType::U8)?;
        device.upload(bytes, array.address())?;
        Ok(array)
    }

    /// Copies a tensor of candle to the device.
    pub(in crate::kernels) fn from_candle(
        device: &Device,
        tensor: &candle_core::Tensor,
    ) -> Result<Self> {
        let flat = tensor.flatten_all()?;
        let copied = match tensor.dtype() {
            DType::F32 => Self::from_slice(device, &flat.to_vec1::<f32>()?)?,
            DType::F64 => Self::from_slice(device, &flat.to_vec1::<f64>()?)?,
            DType::BF16 => {
                let halves = flat.to_vec1::<bf16>()?;
                Self::from_slice::<u16>(device, halves.reinterpret_cast())?
            }
            DType::F16 => {
                let halves = flat.to_vec1::<f16>()?;
                Self::from_slice::<u16>(device, halves.reinterpret_cast())?
            }
            dtype => return Err(Error::UnsupportedDTypeForOp(dtype, "device").bt()),
        };
        Ok(Self {
            shape: tensor.shape().clone(),
            dtype: tensor.dtype(),
            ..copied
        })
    }

    /// Copies the numbers to main memory.
    pub(in crate::kernels) fn to_candle(&self) -> Result<candle_core::Tensor> {
        let shape = self.shape.clone();
        let memory = &candle_core::Device::Cpu;
        match self.dtype {
            DType::F32 => candle_core::Tensor::from_vec(self.to_vec::<f32>()?, shape, memory),
            DType::F64 => candle_core::Tensor::from_vec(self.to_vec::<f64>()?, shape, memory),
            DType::BF16 => {
                let halves = self.to_vec::<u16>()?.into_iter().map(bf16::from_bits);
                candle_core::Tensor::from_vec(halves.collect::<Vec<_>>(), shape, memory)
            }
            DType::F16 => {
                let halves = self.to_vec::<u16>()?.into_iter().map(f16::from_bits);
                candle_core::Tensor::from_vec(halves.collect::<Vec<_>>(), shape, memory)
            }
            dtype => Err(Error::UnsupportedDTypeForOp(dtype, "device").bt()),
        }
    }

    /// Copies the numbers to main memory as what they are, `T`.
    pub(in crate::kernels) fn to_vec<T: Pod>(&self) -> Result<Vec<T>> {
        let bytes = self.shape.elem_count() * self.dtype.size_in_bytes();
        let mut values = vec![T::zeroed(); bytes / size_of::<T>()];
        let target = bytemuck::cast_slice_mut(&mut values);
        self.device.download(self.address(), target)?;
        Ok(values)
    }

    pub(in crate::kernels) fn device(&self) -> &Device {
        &self.device
    }

    /// Returns where the first number lies.
    pub(in crate::kernels) fn address(&self) -> Address {
        self.memory.address.offset(self.before)
    }

    pub(in crate::kernels) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(in crate::kernels) fn dtype(&self) -> DType {
        self.dtype
    }

    /// Returns how many numbers there are.
    pub(in crate::kernels) fn count(&self) -> usize {
        self.shape.elem_count()
    }

    /// Returns the same numbers in another shape.
    pub(in crate::kernels) fn reshape(&self, shape: Shape) -> Result<Self> {
        if shape.elem_count() != self.count() {
            let message = format!("{:?} cannot become {shape:?}", self.shape);
            return Err(Error::Msg(message).bt());
        }
        Ok(Self {
            shape,
            ..self.clone()
        })
    }

    /// Returns entries `start..start + len` of dimension `dim`.
    pub(in crate::kernels) fn narrow(&self, dim: usize, start: usize, len: usize) -> Result<Self> {
        let size = self.shape.dim(dim)?;
        if start + len > size {
            let message = format!("{start}..{} of {size} entries", start + len);
            return Err(Error::Msg(message).bt());
        }
        let [rows, inner] = self.around(dim);
        let mut dims = self.shape.dims().to_vec();
        dims[dim] = len;
        if rows == 1 {
            return Ok(Self {
                before: self.before + start * inner * self.dtype.size_in_bytes(),
                shape: dims.into(),
                ..self.clone()
            });
        }
        let narrowed = Self::unwritten(&self.device, dims, self.dtype)?;
        let columns = Columns {
            rows,
            from: (size * inner, start * inner),
            to: (len * inner, 0),
            width: len * inner,
        };
        columns.copy(self, &narrowed)?;
        Ok(narrowed)
    }

    /// Joins `arrays`, all of one precision, along dimension `dim`.
    pub(in crate::kernels) fn cat(arrays: &[Self], dim: usize) -> Result<Self> {
        let Some(first) = arrays.first() else {
            return Err(Error::Msg("nothing to join".to_owned()).bt());
        };
        let sizes = arrays.iter().map(|array| array.shape.dim(dim));
        let sizes = sizes.collect::<Result<Vec<_>>>()?;
        let mut dims = first.shape.dims().to_vec();
        dims[dim] = sizes.iter().sum();
        let joined = Self::unwritten(&first.device, dims, first.dtype)?;
        let [rows, inner] = first.around(dim);
        let width = sizes.iter().sum::<usize>() * inner;
        let mut before = 0;
        for (array, size) in arrays.iter().zip(sizes) {
            let columns = Columns {
                rows,
                from: (size * inner, 0),
                to: (width, before),
                width: size * inner,
            };
            columns.copy(array, &joined)?;
            before += size * inner;
        }
        Ok(joined)
    }

    /// Returns how many entries the dimensions before `dim` have together, and those after it.
    fn around(&self, dim: usize) -> [usize; 2] {
        let dims = self.shape.dims();
        [&dims[..dim], &dims[dim + 1..]].map(|dims| dims.iter().product())
    }
}

/// Columns of rows that are copied to columns of other rows: how wide those rows are, and where the
/// columns start.
struct Columns {
    rows: usize,
    from: (usize, usize),
    to: (usize, usize),
    width: usize,
}

impl Columns {
    fn copy(&self, from: &Array, to: &Array) -> Result<()> {
        let device = &from.device;
        if self.rows == 1 {
            let size = from.dtype.size_in_bytes();
            let source = from.address().offset(self.from.1 * size);
            let target = to.address().offset(self.to.1 * size);
            return device.copy(source, target, self.width * size);
        }
        let arguments = [
            from.into(),
            self.from.0.into(),
            self.from.1.into(),
            to.into(),
            self.to.0.into(),
            self.to.1.into(),
            self.width.into(),
        ];
        device.launch("copy_columns", from.dtype, self.rows, arguments)
    }
}
