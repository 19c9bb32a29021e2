//! `whence`: the command a person types.

use std::process::ExitCode;

/// Kept memory of large temporaries is what the engine lives on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    whence::run(std::env::args_os())
}
