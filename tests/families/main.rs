//! Compares every architecture with transformers (logits, gradients, greedy search, batches, older
//! configurations, damaged files) and with itself (slopes, weights kept in half precision).
//!
//! `generate.py` beside this file made the models and the truth in float64. The run prints the
//! table of `docs/models.md`. With `WHENCE_WRITE_DOCS=1` it writes the table there. Otherwise it
//! checks that the page has a row for every model and does not claim smaller errors than were
//! measured.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

mod adapters;
mod coverage;
mod damage;
mod halves;
mod maps;
mod measure;
mod page;
mod reference;
mod slopes;
mod spelling;
mod strangers;
mod sweep;

use std::collections::BTreeSet;

use measure::{Measured, measure};
use reference::Reference;
use whence_engine::model::ARCHITECTURES;

/// The error of single precision in two layers of width 32, with a margin.
const LOGITS_F32: f64 = 2e-5;
/// Rounding errors of double precision, amplified by sums in another order.
const LOGITS_F64: f64 = 1e-10;
/// One order of magnitude more than for logits, because a gradient passes every layer twice.
const GRADIENTS_F64: f64 = 1e-9;

#[test]
fn every_architecture_computes_what_transformers_computes() {
    let mut failures = Vec::new();
    let mut rows = Vec::new();
    for reference in Reference::all() {
        match measure(&reference) {
            Ok(measured) => {
                failures.extend(beyond_tolerance(&reference, &measured));
                rows.push((reference.name, measured));
            }
            Err(error) => failures.push(format!("{}: {error:#}", reference.name)),
        }
    }
    let table = page::table(&rows);
    #[expect(clippy::print_stdout, reason = "the table is what the run is for")]
    {
        println!("{table}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    page::write_or_check(&table, &rows);
}

fn beyond_tolerance(reference: &Reference, measured: &Measured) -> Vec<String> {
    let mut failures = Vec::new();
    let bounded = [
        (
            "logits in single precision",
            measured.logits_f32,
            LOGITS_F32,
        ),
        (
            "logits in double precision",
            measured.logits_f64,
            LOGITS_F64,
        ),
        ("gradients", measured.gradients, GRADIENTS_F64),
    ];
    for (what, error, tolerance) in bounded {
        // `error > tolerance` is false for NaN, so that is checked separately.
        if error.is_nan() || error > tolerance {
            failures.push(format!("{}: {what} differ by {error:e}", reference.name));
        }
    }
    if !measured.generation_is_equal {
        failures.push(format!("{}: greedy search goes elsewhere", reference.name));
    }
    if !measured.batch_is_alone {
        failures.push(format!(
            "{}: a sequence has other bits in a batch than alone",
            reference.name
        ));
    }
    failures
}

#[test]
fn every_architecture_has_a_model_here() {
    let here: BTreeSet<_> = Reference::all().into_iter().map(|r| r.model_type).collect();
    let missing: Vec<_> = ARCHITECTURES
        .iter()
        .map(|architecture| architecture.name)
        .filter(|name| !here.contains(*name))
        .collect();
    assert!(
        missing.is_empty(),
        "add {missing:?} to FAMILIES of tests/families/generate.py and run it"
    );
}
