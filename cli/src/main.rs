//! `whence`: the command a person types.

use std::process::ExitCode;

fn main() -> ExitCode {
    whence::run(std::env::args_os())
}
