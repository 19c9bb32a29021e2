//! Every architecture against transformers: logits, gradients, greedy search, batches, spellings,
//! damage; and against itself: slopes, weights kept in half precision.
//!
//! `generate.py` beside this file made the models and the truth in float64. The run prints the
//! table of `docs/models.md`; with `WHENCE_WRITE_DOCS=1` it writes it there, and otherwise it checks
//! that the page has a row for every model and promises no less error than there is.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

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

/// What single precision costs two layers of 32 columns, with room.
const LOGITS_F32: f64 = 2e-5;
/// Rounding of double precision, which sums in other orders amplify.
const LOGITS_F64: f64 = 1e-10;
/// One order more than the logits: a gradient passes every layer twice.
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
        // A comparison that is also false for what is not a number.
        // Not a number is too much, too.
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
