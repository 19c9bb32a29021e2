//! Between tensors in main memory and slices, for the kernels alone.
//!
//! Layers and methods speak of tensors, kernels of slices. A kernel borrows the elements of its
//! inputs with [`View`], computes into a new vector and hands it to [`tensor`]; nothing is copied on
//! the way. What else leaves or enters a tensor goes through `host`.

use std::marker::PhantomData;
use std::ops::{Deref, Range};

use candle_core::{Device, Error, Shape, Storage, StorageRef, WithDType};
use rayon::prelude::*;

use super::real::Real;
use crate::error::Result;
use crate::kernels::tensor::Tensor;

/// Elements below which splitting the work costs more than it saves.
const MIN_PARALLEL_ELEMENTS: usize = 32 * 1024;

/// The elements of a contiguous tensor in main memory, borrowed.
pub(in crate::kernels) struct View<'t, T> {
    storage: StorageRef<'t>,
    range: Range<usize>,
    element: PhantomData<T>,
}

impl<'t, T: WithDType> View<'t, T> {
    /// Borrows the elements of `tensor`. Fails if they have another type or do not lie in order.
    pub(in crate::kernels) fn of(tensor: &'t Tensor) -> Result<Self> {
        let (storage, layout) = tensor.candle()?.storage_and_layout();
        let Some((start, end)) = layout.contiguous_offsets() else {
            return Err(Error::RequiresContiguous {
                op: "whence kernel",
            }
            .bt());
        };
        elements::<T>(&storage)?;
        // A part without elements may start behind the last one.
        let range = if start == end { 0..0 } else { start..end };
        Ok(Self {
            storage,
            range,
            element: PhantomData,
        })
    }
}

impl<T: WithDType> Deref for View<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &elements(&self.storage).expect("the constructor checked the element type")
            [self.range.clone()]
    }
}

fn elements<T: WithDType>(storage: &Storage) -> Result<&[T]> {
    match storage {
        Storage::Cpu(storage) => storage.as_slice::<T>(),
        _ => Err(Error::Msg("whence computes in main memory".to_owned()).bt()),
    }
}

/// Wraps `values` into a tensor.
pub(in crate::kernels) fn tensor<T: Real, S: Into<Shape>>(
    values: Vec<T>,
    shape: S,
) -> Result<Tensor> {
    candle_core::Tensor::from_vec(values, shape.into(), &Device::Cpu).map(Tensor::from)
}

/// Runs `body` with `$T` bound to the element type of a tensor.
macro_rules! by_dtype {
    ($tensor:expr, $T:ident => $body:expr) => {
        match $tensor.dtype() {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            dtype => Err(candle_core::Error::UnsupportedDTypeForOp(dtype, "whence kernel").bt()),
        }
    };
}
pub(in crate::kernels) use by_dtype;

/// Returns whether this thread may hand out work. A thread of the pool may not: it already has its
/// share of the work, and would only wait for others.
pub(in crate::kernels) fn may_parallelize() -> bool {
    rayon::current_thread_index().is_none()
}

/// Calls `body(row number, row)` for every row of `rows`, each `width` long; on all threads if there
/// is enough to do.
pub(in crate::kernels) fn for_each_row<T: Real>(
    rows: &mut [T],
    width: usize,
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    if rows.len() >= MIN_PARALLEL_ELEMENTS && may_parallelize() {
        let rows_per_task = (MIN_PARALLEL_ELEMENTS / 4).div_ceil(width);
        rows.par_chunks_mut(width * rows_per_task)
            .enumerate()
            .for_each(|(task, rows)| {
                for (index, row) in rows.chunks_mut(width).enumerate() {
                    body(task * rows_per_task + index, row);
                }
            });
    } else {
        for (index, row) in rows.chunks_mut(width).enumerate() {
            body(index, row);
        }
    }
}
