//! A device that is in use: what the wrappers of the kernels call.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use candle_core::{DType, Error};

use crate::error::{FullDevice, Result};
use crate::kernels::driver::{Address, Driver, DriverError, Launch, Product};

/// A device that is in use. Clones are the same device.
#[derive(Clone)]
pub(in crate::kernels) struct Device(Arc<dyn Driver>);

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a kernel is told: eight bytes. An array that it points to lives until the launch.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Argument<'a> {
    word: u64,
    array: PhantomData<&'a Memory>,
}

impl<'a> Argument<'a> {
    /// Points `before` bytes behind the start of `memory`; to nothing if there is no memory.
    pub(super) fn to(memory: Option<&'a Memory>, before: usize) -> Self {
        Self::new(memory.map_or(0, |memory| memory.address.offset(before).0))
    }

    fn new(word: u64) -> Self {
        Self {
            word,
            array: PhantomData,
        }
    }
}

impl From<usize> for Argument<'_> {
    fn from(size: usize) -> Self {
        Self::new(size as u64)
    }
}

impl From<bool> for Argument<'_> {
    fn from(flag: bool) -> Self {
        Self::new(flag.into())
    }
}

impl From<f64> for Argument<'_> {
    fn from(number: f64) -> Self {
        Self::new(number.to_bits())
    }
}

impl Device {
    /// Uses the device behind `driver`.
    pub(in crate::kernels) fn new(driver: impl Driver + 'static) -> Self {
        Self(Arc::new(driver))
    }

    /// Returns whether `other` is the same device.
    pub(in crate::kernels) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns what a job asks for that wants such a device.
    pub(in crate::kernels) fn kind(&self) -> &'static str {
        self.0.kind()
    }

    /// Returns the name of this model of device.
    pub(in crate::kernels) fn class(&self) -> String {
        self.0.class()
    }

    /// Returns the bytes of memory that nobody has reserved yet.
    pub(in crate::kernels) fn free_memory(&self) -> std::result::Result<u64, DriverError> {
        self.0.free_memory()
    }

    /// Runs `blocks` blocks of the kernel `kernel` in `precision`; nothing if there are none.
    pub(in crate::kernels) fn launch<const N: usize>(
        &self,
        kernel: &'static str,
        precision: DType,
        blocks: usize,
        arguments: [Argument<'_>; N],
    ) -> Result<()> {
        if !matches!(precision, DType::F32 | DType::F64) {
            return Err(Error::UnsupportedDTypeForOp(precision, kernel).bt());
        }
        if blocks == 0 {
            return Ok(());
        }
        let launched = self.0.launch(Launch {
            kernel,
            precision,
            blocks,
            arguments: &arguments.map(|argument| argument.word),
        });
        launched.map_err(failed)
    }

    /// Runs a kernel that works on `count` elements one by one.
    pub(in crate::kernels) fn launch_over<const N: usize>(
        &self,
        kernel: &'static str,
        precision: DType,
        count: usize,
        arguments: [Argument<'_>; N],
    ) -> Result<()> {
        /// `ELEMENTS_PER_BLOCK` of the prelude.
        const ELEMENTS_PER_BLOCK: usize = 4096;
        let blocks = count.div_ceil(ELEMENTS_PER_BLOCK);
        self.launch(kernel, precision, blocks, arguments)
    }

    /// Multiplies matrices. If there is nothing to sum, the result is zeros.
    pub(in crate::kernels) fn multiply(&self, product: &Product) -> Result<()> {
        if product.rows == 0 || product.columns == 0 {
            return Ok(());
        }
        self.0.multiply(product).map_err(failed)
    }

    /// Reserves memory.
    pub(in crate::kernels) fn allocate(&self, bytes: usize) -> Result<Memory> {
        Ok(Memory {
            address: self.0.allocate(bytes).map_err(failed)?,
            driver: Arc::clone(&self.0),
        })
    }

    /// Copies `bytes` to the device.
    pub(in crate::kernels) fn upload(&self, bytes: &[u8], to: Address) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.0.upload(bytes, to).map_err(failed)
    }

    /// Fills `bytes` from the device.
    pub(in crate::kernels) fn download(&self, from: Address, bytes: &mut [u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.0.download(from, bytes).map_err(failed)
    }

    /// Copies `bytes` inside the device's memory.
    pub(in crate::kernels) fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.0.copy(from, to, bytes).map_err(failed)
    }
}

/// Memory of a device, given back when the last array in it is gone.
#[derive(Debug)]
pub(in crate::kernels) struct Memory {
    pub(super) address: Address,
    driver: Arc<dyn Driver>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.driver.release(self.address);
    }
}

/// Makes what the driver says an error of tensors.
fn failed(error: DriverError) -> Error {
    match error {
        DriverError::OutOfMemory { bytes } => FullDevice { bytes }.into(),
        error => Error::wrap(error),
    }
}
