//! The binary `whence`.

use std::process::ExitCode;

fn main() -> ExitCode {
    whence::run(std::env::args_os())
}
