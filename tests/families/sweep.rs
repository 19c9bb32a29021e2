//! Models with randomly changed configuration switches, made by `sweep.py`. Each must compute the
//! same as in transformers, or be refused.
//!
//! There are too many models to commit. Cases that revealed a defect became part of `generate.py`.
//! The environment variable `WHENCE_SWEEP` names the folder of models; without it nothing is
//! tested.

use std::path::Path;

use crate::beyond_tolerance;
use crate::measure::measure;
use crate::reference::Reference;

#[test]
#[expect(
    clippy::print_stderr,
    reason = "what is refused is for a person to judge"
)]
fn a_sweep_of_configurations_is_computed_or_refused() {
    let Some(folder) = std::env::var_os("WHENCE_SWEEP") else {
        eprintln!("SKIPPED: `WHENCE_SWEEP` names no folder; `tests/families/sweep.py` makes one");
        return;
    };
    let mut differing = Vec::new();
    for reference in Reference::of_folder(Path::new(&folder)) {
        match measure(&reference) {
            Ok(measured) => differing.extend(beyond_tolerance(&reference, &measured)),
            Err(error) => eprintln!("refused {}: {error:#}", reference.name),
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
