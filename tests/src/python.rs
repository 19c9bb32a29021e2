//! Python, for tests that compare with other programs. `.ci/run` creates an environment for them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the interpreter of the workspace's environment `.venv`, or else the system's.
pub fn interpreter() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
    if own.exists() {
        own
    } else {
        PathBuf::from("python3")
    }
}

/// Returns whether the interpreter can import `package`.
pub fn has(package: &str) -> bool {
    let import = Command::new(interpreter())
        .args(["-c", &format!("import {package}")])
        .output();
    import.is_ok_and(|output| output.status.success())
}
