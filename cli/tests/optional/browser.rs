//! The HTML pages in a headless Chromium.

use std::process::Command;

use crate::run::fixture;

/// Hovers, clicks, searches, sorts and measures in a headless Chromium.
pub(crate) fn pages_work_in_a_browser() {
    let script = fixture("browser/check.py");
    let checked = Command::new("python3")
        .args([&script, "--whence", env!("CARGO_BIN_EXE_whence")])
        .output()
        .expect("Python runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (told, failed) = (text(&checked.stdout), text(&checked.stderr));
    assert!(checked.status.success(), "{told}\n{failed}");
}
