//! Python, for tests that ask other programs: `.ci/run` makes an environment of the workspace's own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the interpreter of the workspace's environment, or the system's.
pub fn interpreter() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
    if own.exists() {
        own
    } else {
        PathBuf::from("python3")
    }
}

/// Returns whether it has a package.
pub fn has(package: &str) -> bool {
    let import = Command::new(interpreter())
        .args(["-c", &format!("import {package}")])
        .output();
    import.is_ok_and(|output| output.status.success())
}
