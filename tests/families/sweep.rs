//! Configurations with switches turned at random, which `sweep.py` makes: computed as transformers
//! computes them, or refused.
//!
//! The models are too many to be kept; what they found is in `generate.py`. Without the folder
//! `WHENCE_SWEEP` there is nothing to try.

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
