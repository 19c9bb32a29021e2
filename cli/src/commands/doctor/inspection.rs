//! What `whence doctor` prints of a model or a dataset.

use crate::{Failure, output};

/// What is known of a model or a dataset: one line about all of it, and labeled lines about its
/// parts.
#[derive(Debug)]
pub(super) struct Inspection {
    pub(super) summary: String,
    pub(super) details: Vec<(&'static str, String)>,
}

/// Prints what was found of the thing called `name`, or why it cannot be used. Returns whether it
/// cannot.
pub(super) fn report(
    what: &str,
    name: &str,
    found: Result<Inspection, Failure>,
) -> Result<bool, Failure> {
    let found = found.map_err(|failure| {
        let next = failure.next_step();
        let next = next.map_or_else(String::new, |next| format!("; {next}"));
        format!("{}{next}", failure.message())
    });
    let outcome = found.as_ref().map(|found| found.summary.as_str());
    let has_failed = report_outcome(what, name, outcome.map_err(String::as_str))?;
    for (label, text) in found.into_iter().flat_map(|found| found.details) {
        output::line(&format!("  {label:10} {text}"))?;
    }
    Ok(has_failed)
}

/// Prints the outcome of one check. Returns whether it failed.
pub(super) fn report_outcome(
    what: &str,
    name: &str,
    outcome: Result<&str, &str>,
) -> Result<bool, Failure> {
    let (verdict, text) = match outcome {
        Ok(text) => ("ok    ", text),
        Err(text) => ("FAILED", text),
    };
    output::line(&format!("{what:12} {verdict} {name}: {text}"))?;
    Ok(outcome.is_err())
}
