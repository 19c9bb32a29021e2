//! An emulated device: the kernels of a GPU, compiled as C++ and run in main memory.
//!
//! It is for tests, and only programs built with the feature `emulated` have it. Blocks have one
//! thread and run one after the other, so it finds every fault except races between threads. Matrix
//! products are our own instead of `cuBLAS`'s. New memory is filled with NaN, so that a test notices
//! a kernel that leaves a number unwritten, or that reads one before it is written.
//!
//! The C++ compiler runs once per version of the sources.

#![expect(
    unsafe_code,
    reason = "a device's memory is known by address, and its kernels are foreign functions"
)]

use std::collections::HashMap;
use std::ffi::c_void;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::DType;
use libloading::{Library, Symbol};

use super::{Address, Driver, DriverError, Launch, Matrix, Product, cache, sources};
use crate::kernels::cpu::Real;
use crate::kernels::cpu::gemm::{Strided, WriteMode, small_product};

/// How the compiler is called.
const OPTIONS: [&str; 6] = ["-x", "c++", "-std=c++17", "-O2", "-shared", "-fPIC"];

/// Eight bytes that are NaN in either precision.
const POISON: u64 = u64::MAX;

/// The emulated device.
#[derive(Debug)]
pub(in crate::kernels) struct Emulated {
    single: Library,
    double: Library,
    /// Bytes of memory that it has.
    capacity: usize,
    memory: Mutex<Memory>,
}

/// What is reserved of the memory.
#[derive(Debug, Default)]
struct Memory {
    allocations: HashMap<u64, Box<[u64]>>,
    reserved: usize,
}

/// A compiled kernel: the number of blocks, and a pointer to each argument.
type Kernel = unsafe extern "C" fn(i64, *mut *mut c_void);

impl Emulated {
    /// Opens a device with `capacity` bytes of memory. Compiles the kernels, or finds them compiled.
    /// Fails without a C++ compiler.
    pub(in crate::kernels) fn open(capacity: usize) -> Result<Self, DriverError> {
        Ok(Self {
            single: library(DType::F32)?,
            double: library(DType::F64)?,
            capacity,
            memory: Mutex::default(),
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the library of the kernels in `precision`.
fn library(precision: DType) -> Result<Library, DriverError> {
    let source = sources::program(precision);
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let file = cache::compiled(&[&source, &compiler, &OPTIONS.join(" ")], |path| {
        compile(&compiler, &source, path)
    })?;
    // SAFETY: the library was compiled from our sources, which have no constructors.
    unsafe { Library::new(&file) }.map_err(|error| cache::unusable(&file, &error))
}

/// Compiles `source` to a shared library.
fn compile(compiler: &str, source: &str, library: &Path) -> Result<(), DriverError> {
    let text = library.with_extension("cc");
    std::fs::write(&text, source).map_err(|error| cache::unusable(&text, &error))?;
    let output = Command::new(compiler)
        .args(OPTIONS)
        .arg("-o")
        .args([library, &text])
        .output()
        .map_err(|error| cache::unusable(Path::new(compiler), &error));
    // The text is of no use any more; one that stays does no harm.
    let _ = std::fs::remove_file(&text);
    let output = output?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(DriverError::Compile { log });
    }
    Ok(())
}

impl Driver for Emulated {
    fn kind(&self) -> &'static str {
        "emulated"
    }

    fn class(&self) -> String {
        "emulated".to_owned()
    }

    fn free_memory(&self) -> Result<u64, DriverError> {
        Ok((self.capacity - self.memory().reserved) as u64)
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DriverError> {
        let words = bytes.div_ceil(size_of::<u64>()).max(1);
        let mut memory = self.memory();
        let reserved = memory.reserved.saturating_add(words * size_of::<u64>());
        if reserved > self.capacity {
            return Err(DriverError::OutOfMemory { bytes });
        }
        let numbers = vec![POISON; words].into_boxed_slice();
        let address = numbers.as_ptr() as u64;
        memory.reserved = reserved;
        memory.allocations.insert(address, numbers);
        Ok(Address(address))
    }

    fn release(&self, memory: Address) {
        let mut of_device = self.memory();
        let released = of_device.allocations.remove(&memory.0);
        of_device.reserved -= released.map_or(0, |numbers| size_of_val(numbers.as_ref()));
    }

    fn upload(&self, bytes: &[u8], to: Address) -> Result<(), DriverError> {
        // SAFETY: callers stay within what they have allocated.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), pointer(to), bytes.len()) };
        Ok(())
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<(), DriverError> {
        // SAFETY: callers stay within what they have allocated.
        unsafe { std::ptr::copy_nonoverlapping(pointer(from), bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), DriverError> {
        // SAFETY: callers stay within what they have allocated.
        unsafe { std::ptr::copy(pointer::<u8>(from), pointer(to), bytes) };
        Ok(())
    }

    fn launch(&self, launch: Launch<'_>) -> Result<(), DriverError> {
        let library = match launch.precision {
            DType::F64 => &self.double,
            _ => &self.single,
        };
        let name = format!("emulate_{}", launch.kernel);
        // SAFETY: `KERNEL` in the prelude gives every function of this kind of name this type.
        let kernel: Symbol<'_, Kernel> =
            unsafe { library.get(&name) }.map_err(|error| DriverError::NoKernel {
                kernel: launch.kernel,
                reason: error.to_string(),
            })?;
        let mut arguments: Vec<_> = launch
            .arguments
            .iter()
            .map(|argument| std::ptr::from_ref(argument).cast_mut().cast::<c_void>())
            .collect();
        // SAFETY: the wrappers in `device` pass what the kernel's parameters ask for, each of them
        // eight bytes, and memory that is as large as its contract says.
        unsafe { kernel(launch.blocks as i64, arguments.as_mut_ptr()) };
        Ok(())
    }

    fn multiply(&self, product: &Product) -> Result<(), DriverError> {
        match product.precision {
            DType::F64 => multiply::<f64>(product),
            _ => multiply::<f32>(product),
        }
        Ok(())
    }
}

fn multiply<T: Real>(product: &Product) {
    let Product {
        rows,
        columns,
        depth,
        ..
    } = *product;
    let a = strided::<T>(product.a, rows, depth);
    let b = if product.is_b_transposed {
        strided(product.b, columns, depth).transposed()
    } else {
        strided(product.b, depth, columns)
    };
    // SAFETY: the caller has allocated the result, and nobody else reads or writes it meanwhile.
    let out = unsafe { std::slice::from_raw_parts_mut(pointer::<T>(product.out), rows * columns) };
    small_product(T::one(), a, b, (out, columns), WriteMode::Replace);
}

/// Returns the matrix `[rows, columns]` that lies at `matrix`.
fn strided<'a, T: Real>(matrix: Matrix, rows: usize, columns: usize) -> Strided<'a, T> {
    let length = match rows.checked_sub(1) {
        Some(before) if columns > 0 => before * matrix.stride + columns,
        _ => 0,
    };
    Strided {
        // SAFETY: the caller has allocated the matrix and keeps it during the call.
        elements: unsafe { std::slice::from_raw_parts(pointer::<T>(matrix.first), length) },
        rows,
        columns,
        row_stride: matrix.stride,
        column_stride: 1,
    }
}

fn pointer<T>(address: Address) -> *mut T {
    address.0 as *mut T
}
