//! A GPU of Nvidia.
//!
//! All work goes through one stream, so it happens in the order in which it was asked for: memory is
//! given back, and written again, only after the kernels before are done with it. Any thread may
//! call; each makes the context its own first.
//!
//! Products are those of `cuBLAS` in the precision of their operands, never in TF32.

#![expect(unsafe_code, reason = "a GPU is driven through foreign libraries")]

mod compiler;
mod library;

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use candle_core::DType;

use super::{Address, Driver, DriverError, Launch, Product};
use library::{Handle, Libraries};

/// Threads of a block: `MOST_THREADS` of the prelude.
const THREADS: c_uint = 256;

/// `CUDA_ERROR_OUT_OF_MEMORY`.
const OUT_OF_MEMORY: c_int = 2;
/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `…_MINOR`.
const COMPUTE_CAPABILITY: [c_int; 2] = [75, 76];
/// `CU_MEMPOOL_ATTR_RELEASE_THRESHOLD`.
const RELEASE_THRESHOLD: c_int = 4;
/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: c_uint = 1;
/// `CUBLAS_PEDANTIC_MATH`.
const PEDANTIC: c_int = 2;
/// `CUBLAS_OP_N` and `CUBLAS_OP_T`.
const AS_IS: c_int = 0;
const TRANSPOSED: c_int = 1;

/// A GPU that is in use.
pub(in crate::kernels) struct Cuda {
    libraries: Libraries,
    ordinal: usize,
    /// Compute capability, which tells kinds of GPUs apart.
    capability: (c_int, c_int),
    context: Handle,
    stream: Handle,
    cublas: Handle,
    /// The kernels in single and in double precision.
    modules: [Handle; 2],
    /// Kernels that were looked up, by name and whether they compute in double precision.
    kernels: Mutex<HashMap<(&'static str, bool), Function>>,
}

/// A kernel that was looked up.
#[derive(Clone, Copy)]
struct Function(Handle);

// SAFETY: a kernel may be launched from any thread.
unsafe impl Send for Function {}

// SAFETY: the driver's functions may be called from any thread that has made the context its own, as
// every method does; cuBLAS's may be called by one thread at a time on one handle, and calls to it
// are made under the lock of `kernels`.
unsafe impl Send for Cuda {}
// SAFETY: as above.
unsafe impl Sync for Cuda {}

impl fmt::Debug for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cuda:{}", self.ordinal)
    }
}

impl Cuda {
    /// Uses GPU `ordinal`. Compiles the kernels, or finds them compiled.
    ///
    /// Fails if a library is missing, or if there is no such GPU.
    pub(in crate::kernels) fn open(ordinal: usize) -> Result<Self, DriverError> {
        let libraries = Libraries::open()?;
        let (device, context) = context(&libraries, ordinal)?;
        keep_memory(&libraries, device)?;
        let (stream, cublas) = stream(&libraries)?;
        let mut capability = [0; 2];
        for (value, attribute) in capability.iter_mut().zip(COMPUTE_CAPABILITY) {
            // SAFETY: the device exists, and the number lives through the call.
            let code = unsafe {
                (libraries.driver.cuDeviceGetAttribute)(&raw mut *value, attribute, device)
            };
            check(&libraries, "cuDeviceGetAttribute", code)?;
        }
        let [major, minor] = capability;
        let mut modules = [std::ptr::null_mut(); 2];
        for (module, precision) in modules.iter_mut().zip([DType::F32, DType::F64]) {
            let code = compiler::machine_code(&libraries.nvrtc, precision, (major, minor))?;
            // SAFETY: the compiler made the code for this kind of GPU; the driver copies it.
            let loaded = unsafe {
                (libraries.driver.cuModuleLoadData)(&raw mut *module, code.as_ptr().cast())
            };
            check(&libraries, "cuModuleLoadData", loaded)?;
        }
        Ok(Self {
            libraries,
            ordinal,
            capability: (major, minor),
            context,
            stream,
            cublas,
            modules,
            kernels: Mutex::default(),
        })
    }

    fn check(&self, call: &'static str, code: c_int) -> Result<(), DriverError> {
        check(&self.libraries, call, code)
    }

    /// Makes the context this thread's own.
    fn enter(&self) -> Result<(), DriverError> {
        // SAFETY: the context exists as long as `self`.
        let code = unsafe { (self.libraries.driver.cuCtxSetCurrent)(self.context) };
        self.check("cuCtxSetCurrent", code)
    }

    /// Waits until everything that was asked for is done.
    fn wait(&self) -> Result<(), DriverError> {
        // SAFETY: the stream exists as long as `self`.
        let code = unsafe { (self.libraries.driver.cuStreamSynchronize)(self.stream) };
        self.check("cuStreamSynchronize", code)
    }

    fn function(&self, launch: &Launch<'_>) -> Result<Function, DriverError> {
        let is_double = launch.precision == DType::F64;
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = kernels.get(&(launch.kernel, is_double)) {
            return Ok(*function);
        }
        let no_kernel = |reason: String| DriverError::NoKernel {
            kernel: launch.kernel,
            reason,
        };
        let name = CString::new(launch.kernel).map_err(|error| no_kernel(error.to_string()))?;
        let mut function = std::ptr::null_mut();
        let module = self.modules[usize::from(is_double)];
        // SAFETY: the module exists as long as `self`, and the name ends with a zero.
        let code = unsafe {
            (self.libraries.driver.cuModuleGetFunction)(&raw mut function, module, name.as_ptr())
        };
        self.check("cuModuleGetFunction", code)
            .map_err(|error| no_kernel(error.to_string()))?;
        kernels.insert((launch.kernel, is_double), Function(function));
        Ok(Function(function))
    }
}

impl Driver for Cuda {
    fn kind(&self) -> &'static str {
        "cuda"
    }

    fn class(&self) -> String {
        let (major, minor) = self.capability;
        format!("cuda-sm_{major}{minor}")
    }

    fn free_memory(&self) -> Result<u64, DriverError> {
        self.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: both numbers live through the call.
        let code =
            unsafe { (self.libraries.driver.cuMemGetInfo_v2)(&raw mut free, &raw mut total) };
        self.check("cuMemGetInfo", code)?;
        Ok(free as u64)
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DriverError> {
        self.enter()?;
        let mut address = 0;
        let driver = &self.libraries.driver;
        // SAFETY: the stream exists. The driver refuses to reserve nothing.
        let code = unsafe { (driver.cuMemAllocAsync)(&raw mut address, bytes.max(1), self.stream) };
        if code == OUT_OF_MEMORY {
            return Err(DriverError::OutOfMemory { bytes });
        }
        self.check("cuMemAllocAsync", code)?;
        Ok(Address(address))
    }

    fn release(&self, memory: Address) {
        // A failure here has no one to go to, and the next call reports it again.
        if self.enter().is_ok() {
            // SAFETY: `allocate` reserved it, and what uses it was asked for before.
            unsafe { (self.libraries.driver.cuMemFreeAsync)(memory.0, self.stream) };
        }
    }

    fn upload(&self, bytes: &[u8], to: Address) -> Result<(), DriverError> {
        self.enter()?;
        // SAFETY: callers stay within what they have allocated, and the bytes stay until the copy
        // is done.
        let code = unsafe {
            let from = bytes.as_ptr().cast();
            (self.libraries.driver.cuMemcpyHtoDAsync_v2)(to.0, from, bytes.len(), self.stream)
        };
        self.check("cuMemcpyHtoDAsync", code)?;
        self.wait()
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<(), DriverError> {
        self.enter()?;
        // SAFETY: as for `upload`.
        let code = unsafe {
            let to = bytes.as_mut_ptr().cast();
            (self.libraries.driver.cuMemcpyDtoHAsync_v2)(to, from.0, bytes.len(), self.stream)
        };
        self.check("cuMemcpyDtoHAsync", code)?;
        self.wait()
    }

    fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), DriverError> {
        self.enter()?;
        // SAFETY: callers stay within what they have allocated.
        let code = unsafe {
            (self.libraries.driver.cuMemcpyDtoDAsync_v2)(to.0, from.0, bytes, self.stream)
        };
        self.check("cuMemcpyDtoDAsync", code)
    }

    fn launch(&self, launch: Launch<'_>) -> Result<(), DriverError> {
        self.enter()?;
        let function = self.function(&launch)?;
        let blocks = c_uint::try_from(launch.blocks).map_err(|error| DriverError::Failed {
            call: launch.kernel,
            reason: error.to_string(),
        })?;
        let mut arguments: Vec<_> = launch
            .arguments
            .iter()
            .map(|argument| std::ptr::from_ref(argument).cast_mut().cast::<c_void>())
            .collect();
        // SAFETY: the wrappers in `device` pass what the kernel's parameters ask for, each of them
        // eight bytes, which the driver copies; and memory that is as large as its contract says.
        let code = unsafe {
            (self.libraries.driver.cuLaunchKernel)(
                function.0,
                blocks,
                1,
                1,
                THREADS,
                1,
                1,
                0,
                self.stream,
                arguments.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        self.check(launch.kernel, code)
    }

    /// `cuBLAS` thinks of columns that lie one behind the other, and so computes `outᵀ = bᵀ aᵀ`.
    fn multiply(&self, product: &Product) -> Result<(), DriverError> {
        self.enter()?;
        let size = |size: usize| {
            c_int::try_from(size).map_err(|_| DriverError::Failed {
                call: "cublasGemm",
                reason: format!("{size} rows or columns are too many"),
            })
        };
        let (rows, columns) = (size(product.rows)?, size(product.columns)?);
        let (depth, a_stride) = (size(product.depth)?, size(product.a.stride)?);
        let b_stride = size(product.b.stride)?;
        let b_is = if product.is_b_transposed {
            TRANSPOSED
        } else {
            AS_IS
        };
        let (a, b, out) = (product.a.first.0, product.b.first.0, product.out.0);
        let (handle, cublas) = (self.cublas, &self.libraries.cublas);
        // One thread at a time.
        let _one = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: callers stay within what they have allocated; the factors are copied.
        let code = unsafe {
            if product.precision == DType::F64 {
                (cublas.cublasDgemm_v2)(
                    handle, b_is, AS_IS, columns, rows, depth, &1.0, b, b_stride, a, a_stride,
                    &0.0, out, columns,
                )
            } else {
                (cublas.cublasSgemm_v2)(
                    handle, b_is, AS_IS, columns, rows, depth, &1.0, b, b_stride, a, a_stride,
                    &0.0, out, columns,
                )
            }
        };
        check_cublas("cublasGemm", code)
    }
}

/// Returns a GPU and its context, which becomes this thread's own.
fn context(libraries: &Libraries, ordinal: usize) -> Result<(c_int, Handle), DriverError> {
    let driver = &libraries.driver;
    let (mut device, mut context) = (0, std::ptr::null_mut());
    // SAFETY: the numbers live through the calls, and each call follows those that it needs.
    unsafe {
        check(libraries, "cuInit", (driver.cuInit)(0))?;
        let code = (driver.cuDeviceGet)(&raw mut device, ordinal as c_int);
        check(libraries, "cuDeviceGet", code)?;
        let code = (driver.cuDevicePrimaryCtxRetain)(&raw mut context, device);
        check(libraries, "cuDevicePrimaryCtxRetain", code)?;
        check(
            libraries,
            "cuCtxSetCurrent",
            (driver.cuCtxSetCurrent)(context),
        )?;
    }
    Ok((device, context))
}

/// Makes the driver keep memory that was released, for the next allocation: otherwise it gives it
/// back to the system whenever the stream is waited for.
fn keep_memory(libraries: &Libraries, device: c_int) -> Result<(), DriverError> {
    let driver = &libraries.driver;
    let (mut pool, mut threshold) = (std::ptr::null_mut(), u64::MAX);
    // SAFETY: the device exists, and the attribute is a number of 64 bits.
    unsafe {
        let code = (driver.cuDeviceGetDefaultMemPool)(&raw mut pool, device);
        check(libraries, "cuDeviceGetDefaultMemPool", code)?;
        let value = (&raw mut threshold).cast();
        let code = (driver.cuMemPoolSetAttribute)(pool, RELEASE_THRESHOLD, value);
        check(libraries, "cuMemPoolSetAttribute", code)
    }
}

/// Returns a new stream, and a handle of `cuBLAS` that works on it.
fn stream(libraries: &Libraries) -> Result<(Handle, Handle), DriverError> {
    let (driver, blas) = (&libraries.driver, &libraries.cublas);
    let (mut stream, mut handle) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: this thread has a context, and each call follows those that it needs.
    unsafe {
        let code = (driver.cuStreamCreate)(&raw mut stream, NON_BLOCKING);
        check(libraries, "cuStreamCreate", code)?;
        check_cublas("cublasCreate", (blas.cublasCreate_v2)(&raw mut handle))?;
        let code = (blas.cublasSetStream_v2)(handle, stream);
        check_cublas("cublasSetStream", code)?;
        let code = (blas.cublasSetMathMode)(handle, PEDANTIC);
        check_cublas("cublasSetMathMode", code)?;
    }
    Ok((stream, handle))
}

fn check_cublas(call: &'static str, code: c_int) -> Result<(), DriverError> {
    if code == 0 {
        return Ok(());
    }
    Err(DriverError::Failed {
        call,
        reason: format!("cuBLAS reports code {code}"),
    })
}

fn check(libraries: &Libraries, call: &'static str, code: c_int) -> Result<(), DriverError> {
    if code == 0 {
        return Ok(());
    }
    let mut text = std::ptr::null();
    // SAFETY: the driver gives a text that it keeps, or none.
    let text = unsafe {
        (libraries.driver.cuGetErrorString)(code, &raw mut text);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    Err(DriverError::Failed {
        call,
        reason: text.unwrap_or_else(|| format!("code {code}")),
    })
}
