//! The libraries of CUDA, found where they are and opened by hand.
//!
//! A program must start on machines without them, so nothing is linked. Each function that is used
//! is declared once, below, with the type that its manual gives it.

#![expect(unsafe_code, reason = "a library's functions are known by name alone")]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};

use libloading::Library;

use super::super::DriverError;

/// A pointer that only CUDA looks behind: a context, a stream, a module.
pub(super) type Handle = *mut c_void;

/// Declares a library's functions, each under its name there, and how they are looked up.
macro_rules! library {
    ($(#[$doc:meta])* $name:ident { $($field:ident: fn($($argument:ty),*),)* }) => {
        $(#[$doc])*
        #[expect(non_snake_case, reason = "fields have the names of CUDA's functions")]
        pub(super) struct $name {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) -> c_int,)*
            /// Keeps the functions where they are.
            _library: Library,
        }

        impl $name {
            /// Looks every function up. Fails with the name of the first one that is missing.
            pub(super) fn new(library: Library) -> Result<Self, DriverError> {
                Ok(Self {
                    $($field: {
                        let name = stringify!($field);
                        // SAFETY: the type is that of the function's manual.
                        let function = unsafe { library.get(name) };
                        *function.map_err(|error| missing(name, &error))?
                    },)*
                    _library: library,
                })
            }
        }
    };
}

library! {
    /// The driver.
    Driver {
        cuInit: fn(c_uint),
        cuGetErrorString: fn(c_int, *mut *const c_char),
        cuDeviceGet: fn(*mut c_int, c_int),
        cuDeviceGetAttribute: fn(*mut c_int, c_int, c_int),
        cuDeviceGetDefaultMemPool: fn(*mut Handle, c_int),
        cuDevicePrimaryCtxRetain: fn(*mut Handle, c_int),
        cuCtxSetCurrent: fn(Handle),
        cuMemPoolSetAttribute: fn(Handle, c_int, *mut c_void),
        cuStreamCreate: fn(*mut Handle, c_uint),
        cuStreamSynchronize: fn(Handle),
        cuMemGetInfo_v2: fn(*mut usize, *mut usize),
        cuMemAllocAsync: fn(*mut u64, usize, Handle),
        cuMemFreeAsync: fn(u64, Handle),
        cuMemcpyHtoDAsync_v2: fn(u64, *const c_void, usize, Handle),
        cuMemcpyDtoHAsync_v2: fn(*mut c_void, u64, usize, Handle),
        cuMemcpyDtoDAsync_v2: fn(u64, u64, usize, Handle),
        cuModuleLoadData: fn(*mut Handle, *const c_void),
        cuModuleGetFunction: fn(*mut Handle, Handle, *const c_char),
        cuLaunchKernel: fn(
            Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint,
            Handle, *mut *mut c_void, *mut *mut c_void
        ),
    }
}

library! {
    /// The compiler.
    Nvrtc {
        nvrtcVersion: fn(*mut c_int, *mut c_int),
        nvrtcCreateProgram: fn(
            *mut Handle, *const c_char, *const c_char, c_int, *const *const c_char,
            *const *const c_char
        ),
        nvrtcCompileProgram: fn(Handle, c_int, *const *const c_char),
        nvrtcGetProgramLogSize: fn(Handle, *mut usize),
        nvrtcGetProgramLog: fn(Handle, *mut c_char),
        nvrtcGetCUBINSize: fn(Handle, *mut usize),
        nvrtcGetCUBIN: fn(Handle, *mut c_char),
        nvrtcDestroyProgram: fn(*mut Handle),
    }
}

library! {
    /// The products of matrices.
    Cublas {
        cublasCreate_v2: fn(*mut Handle),
        cublasSetStream_v2: fn(Handle, Handle),
        cublasSetMathMode: fn(Handle, c_int),
        cublasSgemm_v2: fn(
            Handle, c_int, c_int, c_int, c_int, c_int, *const f32, u64, c_int, u64, c_int,
            *const f32, u64, c_int
        ),
        cublasDgemm_v2: fn(
            Handle, c_int, c_int, c_int, c_int, c_int, *const f64, u64, c_int, u64, c_int,
            *const f64, u64, c_int
        ),
    }
}

/// The libraries that computing on a GPU needs.
pub(super) struct Libraries {
    pub(super) driver: Driver,
    pub(super) nvrtc: Nvrtc,
    pub(super) cublas: Cublas,
}

impl Libraries {
    /// Opens the libraries. Fails with the name of one that is missing, and where it was looked for.
    pub(super) fn open() -> Result<Self, DriverError> {
        let driver = Driver::new(open("cuda", &["1"], &[])?)?;
        // Both are found by name once they are loaded: NVRTC looks for its builtins, and cuBLAS for
        // the library that it is built on.
        let nvrtc = open("nvrtc", &VERSIONS, &["nvrtc-builtins"])?;
        let cublas = open("cublas", &VERSIONS, &["cublasLt"])?;
        Ok(Self {
            driver,
            nvrtc: Nvrtc::new(nvrtc)?,
            cublas: Cublas::new(cublas)?,
        })
    }
}

/// Versions of CUDA's libraries, newest first.
const VERSIONS: [&str; 2] = ["13", "12"];

/// Opens the library `name` of one of `versions`: by its name, as the system looks for it, or in one
/// of our [`folders`]. There, libraries that begin with one of `beside` are opened before it.
fn open(name: &str, versions: &[&str], beside: &[&str]) -> Result<Library, DriverError> {
    let files = versions
        .iter()
        .map(|version| format!("lib{name}.so.{version}"));
    let files: Vec<_> = files.chain([format!("lib{name}.so")]).collect();
    let mut last = String::new();
    for file in &files {
        // SAFETY: CUDA's libraries may be loaded by anybody.
        match unsafe { Library::new(file) } {
            Ok(library) => return Ok(library),
            Err(error) => last = error.to_string(),
        }
    }
    for folder in folders() {
        let Some(file) = files
            .iter()
            .map(|file| folder.join(file))
            .find(|f| f.exists())
        else {
            continue;
        };
        for companion in companions(&folder, beside) {
            keep_open(&companion)?;
        }
        // SAFETY: as above.
        return unsafe { Library::new(&file) }.map_err(|error| unusable(&file, &error));
    }
    Err(DriverError::Unusable {
        name: files.join("` or `"),
        reason: format!("{last}; set WHENCE_CUDA_PATH to the folder that has it"),
    })
}

/// Returns folders that may have the libraries: those in `WHENCE_CUDA_PATH`, the toolkit's, and those
/// of the wheels of the Python environment that is active.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("WHENCE_CUDA_PATH")
        .iter()
        .flat_map(|paths| std::env::split_paths(paths).collect::<Vec<_>>())
        .collect();
    for (variable, below) in [("CUDA_HOME", "lib64"), ("CUDA_PATH", "lib64")] {
        folders.extend(std::env::var_os(variable).map(|path| Path::new(&path).join(below)));
    }
    folders.push("/usr/local/cuda/lib64".into());
    let environment = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let versions = environment
        .iter()
        .flat_map(|path| entries(&path.join("lib")));
    let wheels = versions.flat_map(|python| entries(&python.join("site-packages/nvidia")));
    folders.extend(wheels.map(|wheel| wheel.join("lib")));
    folders
}

/// Returns what a folder has; nothing if it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut entries: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    entries
}

/// Returns the libraries in `folder` whose names are among `names`, of whatever version.
fn companions(folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| {
        let file = path
            .file_name()
            .and_then(|file| file.to_str())
            .unwrap_or_default();
        names
            .iter()
            .any(|name| file.starts_with(&format!("lib{name}.so")))
    };
    entries(folder).into_iter().filter(is_one).collect()
}

/// Opens a library for as long as the program runs.
fn keep_open(file: &Path) -> Result<(), DriverError> {
    // SAFETY: CUDA's libraries may be loaded by anybody.
    let library = unsafe { Library::new(file) }.map_err(|error| unusable(file, &error))?;
    std::mem::forget(library);
    Ok(())
}

fn unusable(file: &Path, error: &libloading::Error) -> DriverError {
    DriverError::Unusable {
        name: file.display().to_string(),
        reason: error.to_string(),
    }
}

fn missing(name: &str, error: &libloading::Error) -> DriverError {
    DriverError::Unusable {
        name: name.to_owned(),
        reason: error.to_string(),
    }
}
