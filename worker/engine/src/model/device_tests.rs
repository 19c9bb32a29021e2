//! Every family computes on a device what it computes in main memory: logits, gradients, and passes
//! that continue others.

use std::path::Path;

use super::*;
use crate::kernels::{Place, Tensor, distance, host, rows};
use crate::sides::Side;

/// Tiny models of every supported family, one folder each.
const FAMILIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/families/models");

/// What two orders of adding the same numbers in double precision may come to in a whole model,
/// relative to the largest number.
const ROUNDING: f64 = 1e-9;

const SOURCES: [&[u32]; 2] = [&[1, 4, 2, 9, 3], &[7, 5, 3]];
const TARGETS: [&[u32]; 2] = [&[2, 6, 8, 3], &[2, 3, 1, 1, 9, 4]];

/// Everything a model computes of the same two examples, with a name for each.
fn computed(model: &Transformer) -> Vec<(&'static str, Tensor)> {
    let embed = |side, sequences: [&'static [u32]; 2]| model.embed(side, sequences.into_iter());
    let inputs = Inputs {
        source: model
            .has_encoder()
            .then(|| embed(Side::Source, SOURCES).unwrap()),
        target: embed(Side::Target, TARGETS).unwrap(),
    };
    let trace = model.forward(&inputs).unwrap();
    let explained = [(1, 0), (0, 3), (1, 5)];
    let explained = explained.map(|(sequence, position)| ExplainedToken { sequence, position });
    let logits = model
        .logits(&model.hidden(&trace, &explained).unwrap())
        .unwrap();
    let (num_rows, vocabulary) = logits.dims2().unwrap();
    let dlogits: Vec<f64> = (0..num_rows * vocabulary)
        .map(|i| (i as f64 * 0.7).sin())
        .collect();
    let dlogits = host::upload_as(dlogits, (num_rows, vocabulary), model.dtype()).unwrap();
    let dhidden = model.logits_vjp(&logits, &dlogits).unwrap();
    let gradients = model.vjp(&trace, &explained, dhidden, Wanted::All).unwrap();
    let next = model.embed(Side::Target, [&[5_u32][..], &[6]].into_iter());
    let continued = model.forward_on(&next.unwrap(), trace).unwrap();
    let last = [(0, 0), (1, 0)];
    let last = last.map(|(sequence, position)| ExplainedToken { sequence, position });
    let mut all = vec![
        ("logits", logits),
        ("gradient of the target", gradients.target.unwrap()),
        ("continued pass", model.hidden(&continued, &last).unwrap()),
    ];
    all.extend(
        gradients
            .source
            .map(|rows| ("gradient of the source", rows)),
    );
    all
}

fn load(folder: &Path, place: &Place) -> Transformer {
    let files = ModelFiles::open(folder).unwrap();
    let opened = OpenedModel::open(&files, DType::F64).unwrap();
    opened.at(place.clone()).load(None).unwrap()
}

#[test]
fn every_family_computes_on_a_device_what_it_computes_in_main_memory() {
    let device = Place::under_test();
    let folders = std::fs::read_dir(FAMILIES).unwrap();
    let mut folders: Vec<_> = folders.map(|folder| folder.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() > 40, "{} models", folders.len());
    let mut failures = Vec::new();
    for folder in folders {
        let [here, there] =
            [&Place::memory(), &device].map(|place| computed(&load(&folder, place)));
        assert_eq!(here.len(), there.len());
        for ((what, here), (_, there)) in here.iter().zip(&there) {
            let there = there.in_memory().unwrap();
            let size = host::sum(&rows::absolute(here).unwrap()).unwrap();
            let largest = distance::largest(&there, &rows::scale(here, 0.0).unwrap()).unwrap();
            let error = distance::largest(here, &there).unwrap() / largest;
            // A sum is not a number if one of its numbers is none; a largest number skips those.
            let is_finite = host::sum(&there).unwrap().is_finite();
            if !is_finite || size == 0.0 || error > ROUNDING {
                failures.push(format!("{}: {what}: {error:e}", folder.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
