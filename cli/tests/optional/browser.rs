//! The HTML pages and the dashboard in a headless Chromium.

use std::process::Command;

use crate::run::fixture;

/// Hovers, clicks, searches, sorts and measures in a headless Chromium.
pub(crate) fn pages_work_in_a_browser() {
    check("browser/check.py");
}

/// Looks at a coordinator with 1,000 jobs and 200 workers, follows changes, logs in and acts.
pub(crate) fn the_dashboard_works_in_a_browser() {
    check("browser/dashboard.py");
}

fn check(script: &str) {
    let script = fixture(script);
    let checked = Command::new("python3")
        .args([&script, "--whence", env!("CARGO_BIN_EXE_whence")])
        .output()
        .expect("Python runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (told, failed) = (text(&checked.stdout), text(&checked.stderr));
    assert!(checked.status.success(), "{told}\n{failed}");
}
