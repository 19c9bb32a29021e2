//! The prompt of `whence sql`, typed at through a pseudo-terminal.

use std::path::Path;
use std::process::Command;

use whence_tests::python;

use crate::run::{ended, two_jobs};

/// The script types queries, a mistake, Ctrl-C and `\q`; it fails if it does not see what must be
/// shown.
pub(crate) fn the_prompt_completes_explains_and_survives_mistakes() {
    let folder = two_jobs();
    let state = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/optional/prompt.py");
    let typed = Command::new(python::interpreter())
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_whence"))
        .args([folder.path(), state.path()])
        .output();
    assert_eq!(
        ended(typed.expect("Python runs")).succeeded(),
        "0 True True\n"
    );
}
