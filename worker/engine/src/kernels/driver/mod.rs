//! What a device has to offer: memory, copies, launches and products.
//!
//! Two drivers offer it: `cuda`, and `emulated`, which runs the same kernels in main memory, so
//! that everything above is tested on machines without a device. `sources` is what both compile,
//! `cache` keeps the results.
//!
//! Calls run in the order in which they are made, so memory may be released as soon as the last
//! call that uses it was made.

mod cache;
pub(in crate::kernels) mod cuda;
#[cfg(any(test, feature = "emulated"))]
pub(in crate::kernels) mod emulated;
mod sources;

use std::fmt::Debug;

use candle_core::DType;

/// A device that computes.
pub(in crate::kernels) trait Driver: Debug + Send + Sync {
    /// Returns what a job asks for that wants such a device: `cuda`.
    fn kind(&self) -> &'static str;

    /// Returns the name of this model of device: devices of one class compute the same bits.
    fn class(&self) -> String;

    /// Returns the bytes of memory that nobody has reserved yet.
    fn free_memory(&self) -> Result<u64, DriverError>;

    /// Reserves `bytes` of memory, whose contents are not defined.
    fn allocate(&self, bytes: usize) -> Result<Address, DriverError>;

    /// Gives back what [`Self::allocate`] reserved.
    fn release(&self, memory: Address);

    /// Copies `bytes` to the device.
    fn upload(&self, bytes: &[u8], to: Address) -> Result<(), DriverError>;

    /// Fills `bytes` from the device.
    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<(), DriverError>;

    /// Copies `bytes` inside the device's memory.
    fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), DriverError>;

    /// Runs a kernel.
    fn launch(&self, launch: Launch<'_>) -> Result<(), DriverError>;

    /// Multiplies matrices.
    fn multiply(&self, product: &Product) -> Result<(), DriverError>;
}

/// Where something lies in a device's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::kernels) struct Address(pub(in crate::kernels) u64);

impl Address {
    /// Returns the address `bytes` behind this one.
    pub(in crate::kernels) fn offset(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

/// One run of a kernel.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Launch<'a> {
    /// Name of the kernel in the sources.
    pub(in crate::kernels) kernel: &'static str,
    /// Precision it computes in: single or double.
    pub(in crate::kernels) precision: DType,
    /// Number of blocks in its grid, at least 1.
    pub(in crate::kernels) blocks: usize,
    /// Its arguments, each of them eight bytes.
    pub(in crate::kernels) arguments: &'a [u64],
}

/// `out = a · b`, of matrices whose rows lie `stride` numbers apart.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Product {
    /// Precision of all three: single or double.
    pub(in crate::kernels) precision: DType,
    pub(in crate::kernels) rows: usize,
    pub(in crate::kernels) columns: usize,
    pub(in crate::kernels) depth: usize,
    /// `[rows, depth]`
    pub(in crate::kernels) a: Matrix,
    /// `[depth, columns]`, or `[columns, depth]` if it is transposed.
    pub(in crate::kernels) b: Matrix,
    pub(in crate::kernels) is_b_transposed: bool,
    /// `[rows, columns]`, one row behind the other.
    pub(in crate::kernels) out: Address,
}

/// Where a matrix lies.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Matrix {
    pub(in crate::kernels) first: Address,
    /// Numbers from the start of a row to that of the next.
    pub(in crate::kernels) stride: usize,
}

/// A call to a device that failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::kernels) enum DriverError {
    /// The device's memory is full.
    #[error("the device has no {bytes} bytes of memory left")]
    OutOfMemory {
        /// What was asked for.
        bytes: usize,
    },
    /// The kernels do not compile.
    #[error("the compiler refuses the kernels: {log}")]
    Compile {
        /// What the compiler says.
        log: String,
    },
    /// A library, a program or a file that the driver needs cannot be used.
    #[error("`{name}` cannot be used: {reason}")]
    Unusable {
        /// What cannot be used.
        name: String,
        /// Why.
        reason: String,
    },
    /// The device, or the library of its maker, reports a failure.
    #[error("{call} failed: {reason}")]
    Failed {
        /// The function that was called.
        call: &'static str,
        /// What it reports.
        reason: String,
    },
    /// The kernels have none of this name.
    #[error("there is no kernel `{kernel}`: {reason}")]
    NoKernel {
        /// Its name.
        kernel: &'static str,
        /// What the loader says.
        reason: String,
    },
}
