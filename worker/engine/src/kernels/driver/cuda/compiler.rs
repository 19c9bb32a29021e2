//! The kernels, compiled for one kind of GPU.
//!
//! They become machine code, not PTX: the driver need not be as new as the compiler to load it.

#![expect(unsafe_code, reason = "the compiler is a foreign library")]

use std::ffi::{CString, c_int};
use std::path::Path;

use candle_core::DType;

use super::library::{Handle, Nvrtc};
use crate::kernels::driver::{DriverError, cache, sources};

/// Returns the machine code of the kernels in `precision` for GPUs of compute capability
/// `major.minor`.
pub(super) fn machine_code(
    nvrtc: &Nvrtc,
    precision: DType,
    (major, minor): (c_int, c_int),
) -> Result<Vec<u8>, DriverError> {
    let (source, chip) = (sources::program(precision), format!("sm_{major}{minor}"));
    let version = version(nvrtc)?;
    let file = cache::compiled(&[&source, &chip, &version], |path| {
        compile(nvrtc, &source, &chip, path)
    })?;
    std::fs::read(&file).map_err(|error| cache::unusable(&file, &error))
}

fn version(nvrtc: &Nvrtc) -> Result<String, DriverError> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both pointers are to numbers that live through the call.
    check("nvrtcVersion", unsafe {
        (nvrtc.nvrtcVersion)(&raw mut major, &raw mut minor)
    })?;
    Ok(format!("NVRTC {major}.{minor}"))
}

fn compile(nvrtc: &Nvrtc, source: &str, chip: &str, path: &Path) -> Result<(), DriverError> {
    let text = |text: String| {
        CString::new(text).map_err(|error| DriverError::Compile {
            log: error.to_string(),
        })
    };
    let (source, name) = (text(source.to_owned())?, c"kernels.cu");
    let options = [
        format!("--gpu-architecture={chip}"),
        "--std=c++17".to_owned(),
    ];
    let options = options
        .into_iter()
        .map(text)
        .collect::<Result<Vec<_>, _>>()?;
    let options: Vec<_> = options.iter().map(|option| option.as_ptr()).collect();
    let mut handle: Handle = std::ptr::null_mut();
    // SAFETY: the texts end with a zero and outlive the program; there are no headers.
    check("nvrtcCreateProgram", unsafe {
        (nvrtc.nvrtcCreateProgram)(
            &raw mut handle,
            source.as_ptr(),
            name.as_ptr(),
            0,
            std::ptr::null(),
            std::ptr::null(),
        )
    })?;
    let mut program = Program { nvrtc, handle };
    let written = program.compile(&options);
    let code = written.and_then(|()| program.machine_code());
    // SAFETY: the program was created above, and nothing uses it after this.
    let destroyed = unsafe { (nvrtc.nvrtcDestroyProgram)(&raw mut program.handle) };
    std::fs::write(path, code?).map_err(|error| cache::unusable(path, &error))?;
    check("nvrtcDestroyProgram", destroyed)
}

/// A program that exists.
struct Program<'a> {
    nvrtc: &'a Nvrtc,
    handle: Handle,
}

impl Program<'_> {
    fn compile(&self, options: &[*const std::ffi::c_char]) -> Result<(), DriverError> {
        let nvrtc = self.nvrtc;
        // SAFETY: the options end with a zero each and live through the call.
        let code = unsafe {
            (nvrtc.nvrtcCompileProgram)(self.handle, options.len() as c_int, options.as_ptr())
        };
        if code == 0 {
            return Ok(());
        }
        let mut size = 0;
        // SAFETY: the program exists, and the log is as large as the compiler says.
        let log = unsafe {
            check(
                "nvrtcGetProgramLogSize",
                (nvrtc.nvrtcGetProgramLogSize)(self.handle, &raw mut size),
            )?;
            let mut log = vec![0_u8; size];
            check(
                "nvrtcGetProgramLog",
                (nvrtc.nvrtcGetProgramLog)(self.handle, log.as_mut_ptr().cast()),
            )?;
            log
        };
        let log = String::from_utf8_lossy(&log);
        Err(DriverError::Compile {
            log: log.trim_end_matches(['\0', '\n']).to_owned(),
        })
    }

    fn machine_code(&self) -> Result<Vec<u8>, DriverError> {
        let nvrtc = self.nvrtc;
        let mut size = 0;
        // SAFETY: the program was compiled, and the code is as large as the compiler says.
        unsafe {
            check(
                "nvrtcGetCUBINSize",
                (nvrtc.nvrtcGetCUBINSize)(self.handle, &raw mut size),
            )?;
            let mut code = vec![0_u8; size];
            check(
                "nvrtcGetCUBIN",
                (nvrtc.nvrtcGetCUBIN)(self.handle, code.as_mut_ptr().cast()),
            )?;
            Ok(code)
        }
    }
}

fn check(call: &'static str, code: c_int) -> Result<(), DriverError> {
    if code == 0 {
        return Ok(());
    }
    Err(DriverError::Failed {
        call,
        reason: format!("code {code}"),
    })
}
