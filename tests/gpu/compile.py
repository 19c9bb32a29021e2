#!/usr/bin/env python3
"""Compiles the kernels of a device with NVRTC, which needs no GPU.

NVRTC is what compiles them where whence runs. The tests compile the same sources as C++, which
does not find what C++ has and CUDA has not.

    python3 -m venv nvrtc && nvrtc/bin/pip install "nvidia-cuda-nvrtc>=13.0,<13.1"
    nvrtc/bin/python tests/gpu/compile.py

An argument is the path of another `libnvrtc.so`. Ends with 1 if the compiler refuses a program.
"""

import ctypes
import re
import sys
from pathlib import Path

KERNELS = Path(__file__).parents[2] / "worker/engine/src/kernels"

# A100, and H100 or H200.
CHIPS = ["sm_80", "sm_90"]

# What `kernels/driver/cuda/compiler.rs` passes, too.
OPTIONS = ["--std=c++17"]


def sources() -> list[Path]:
    """Returns the files of the program, in the order of `FILES` in `sources.rs`."""
    listed = (KERNELS / "driver/sources.rs").read_text()
    names = re.findall(r'include_str!\("\.\./device/([a-z]+\.cu)"\)', listed)
    assert names, "sources.rs lists the sources"
    return [KERNELS / "device" / name for name in names]


def program(real: str) -> str:
    files = (f'#line 1 "{path.name}"\n{path.read_text()}' for path in sources())
    return f"#define REAL {real}\n" + "".join(files)


def library(arguments: list[str]) -> ctypes.CDLL:
    installed = Path(sys.prefix).glob("lib/python*/site-packages/nvidia/**/libnvrtc.so*")
    found = [Path(argument) for argument in arguments] or sorted(installed)
    if not found:
        sys.exit("no libnvrtc: install nvidia-cuda-nvrtc in this Python, or name the file")
    # NVRTC looks for this one by name, and finds it if it is loaded already.
    for builtins in found[0].parent.glob("libnvrtc-builtins.so*"):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(found[0]))


def compile_for(nvrtc: ctypes.CDLL, chip: str, real: str) -> str | None:
    """Compiles one program. Returns what the compiler says if it refuses it."""
    handle = ctypes.c_void_p()
    source = program(real).encode()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(handle), source, b"kernels.cu", 0, None, None) == 0
    options = [f"--gpu-architecture={chip}", *OPTIONS]
    array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    code = nvrtc.nvrtcCompileProgram(handle, len(options), array)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(handle, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(handle, log)
    if code != 0:
        return log.value.decode()
    assert nvrtc.nvrtcGetCUBINSize(handle, ctypes.byref(size)) == 0
    print(f"{chip} {real}: {size.value:,} bytes of machine code")
    if log.value.strip():
        print(log.value.decode())
    return None


def main() -> None:
    nvrtc = library(sys.argv[1:])
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    print(f"NVRTC {major.value}.{minor.value}")
    refused = 0
    for chip in CHIPS:
        for real in ["float", "double"]:
            log = compile_for(nvrtc, chip, real)
            if log is not None:
                refused += 1
                print(f"{chip} {real}: refused\n{log}", file=sys.stderr)
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
