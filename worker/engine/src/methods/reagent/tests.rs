//! Repeats by hand what `reagent` draws with a sampler.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use whence_schemas::AttributionSpec;
use whence_schemas::job::Dtype;

use super::replacements::ReplacementChoice;
use crate::model::ModelFiles;
use crate::random::Random;
use crate::sampler::{Sampler, SamplerSource};
use crate::sides::Side;
use crate::text::Tokenizer;
use crate::{Attribution, Engine, Example};

const SEED: u64 = 7;
const PROBES: usize = 2;
const ROUNDS: usize = 3;
const RATIO: f64 = 0.4;
const PROPOSALS: usize = 4;

#[test]
fn a_replaced_token_is_drawn_from_what_is_expected_in_its_place() {
    for (model, input, target) in [
        ("gpt2-random", "Click the", "Click the tab"),
        ("t5-random", "Page Slide", "Page Diapo"),
    ] {
        let folder = fixture("models").join(model);
        let source =
            SamplerSource::Folder(fixture("samplers/models/roberta").display().to_string());
        let files = ModelFiles::open(&folder).unwrap();
        let reader = Tokenizer::load(&files, &files.config().unwrap().to_value()).unwrap();
        let sampler = Sampler::load(&source, &reader).unwrap();
        let engine = Engine::load(&folder, Dtype::Float64).unwrap();
        let example = Example::new(3, input).with_generated_text(target);
        let attribute = |params: Value| {
            let attributor = engine.prepare(&spec(&params)).unwrap().with_seed(SEED);
            let mut attributions = attributor.attribute(std::slice::from_ref(&example));
            attributions.remove(0).unwrap()
        };
        let sampled = attribute(json!({"sampler": source}));
        let samples = draws(&sampled, &sampler);
        let given = attribute(json!({"samples": samples}));
        assert_eq!(sampled.steps, given.steps, "{model}");
    }
}

/// Returns a `reagent` that never stops early and replaces every token when it checks the stopping
/// condition. So what it draws does not depend on what it has learned.
fn spec(params: &Value) -> AttributionSpec {
    let mut all = json!({
        "num_probes": PROBES, "max_probe_steps": ROUNDS, "replacing_ratio": RATIO,
        "n_neighbors": PROPOSALS, "keep_top_n": 0, "keep_ratio": 0.0, "stopping_condition_top_k": 0,
    });
    let given = params.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(given);
    serde_json::from_value(json!({
        "method": {"name": "reagent", "params": all}, "attribute_target": true
    }))
    .unwrap()
}

/// Returns the draws of every step, in the format of `samples`.
fn draws(attribution: &Attribution, sampler: &Sampler) -> Vec<Value> {
    let ids = |tokens: &[crate::Token]| -> Vec<u32> {
        tokens.iter().filter_map(|token| token.id).collect()
    };
    let (source, target) = (ids(&attribution.source), ids(&attribution.target));
    let of_step = |end: usize| {
        let sides = [source.as_slice(), &target[..end]];
        let tokens = sides.concat();
        let choices: Vec<_> = sides
            .iter()
            .zip([Side::Source, Side::Target])
            .flat_map(|(tokens, side)| sampler.propose(side, tokens, PROPOSALS).unwrap())
            .map(|proposals| ReplacementChoice::from_proposals(&proposals))
            .collect();
        let mut randoms: Vec<_> = (0..PROBES)
            .map(|probe| {
                Random::new(
                    SEED,
                    3,
                    &format!("reagent position {} probe {probe}", end - 1),
                )
            })
            .collect();
        let fractions =
            |random: &mut Random| -> Vec<f64> { tokens.iter().map(|_| random.uniform()).collect() };
        let scores: Vec<_> = randoms.iter_mut().map(fractions).collect();
        let round = |_| {
            let (mut replaced, mut first, mut stop) = (Vec::new(), Vec::new(), Vec::new());
            for random in &mut randoms {
                let chosen: Vec<bool> = fractions(random)
                    .iter()
                    .map(|share| *share < RATIO)
                    .collect();
                let mut draw = |index: usize, replaced: bool| {
                    let drawn = replaced.then(|| choices[index].at(random.uniform()));
                    drawn.flatten().unwrap_or(tokens[index])
                };
                first.push(
                    (0..tokens.len())
                        .map(|index| draw(index, chosen[index]))
                        .collect::<Vec<_>>(),
                );
                stop.push(
                    (0..tokens.len())
                        .map(|index| draw(index, true))
                        .collect::<Vec<_>>(),
                );
                replaced.push(chosen);
            }
            json!({"replaced": replaced, "tokens": first, "stop_tokens": stop})
        };
        json!({"scores": scores, "rounds": (0..ROUNDS).map(round).collect::<Vec<_>>()})
    };
    (attribution.attr_pos_start..attribution.attr_pos_end)
        .map(of_step)
        .collect()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests")
        .join(name)
}
