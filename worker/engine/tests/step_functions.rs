//! Step functions and contrasts, compared with Inseq 0.7.1.
//!
//! The goldens are made by `golden/step_functions.py`. Both sides compute in single precision but
//! in a different order. Differences of scores are relative to the largest value of the step, those
//! of step scores relative to their own size.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use whence_engine::{Engine, Example, ScoreRows};
use whence_schemas::job::Dtype;
use whence_schemas::{AttributionSpec, Compat, ContrastSpec, FunctionSpec};

/// Relative tolerance. Single precision has 7 digits, and there are some 500 roundings between the
/// embeddings and a score.
const TOLERANCE: f64 = 5e-5;

#[derive(Debug, Deserialize)]
struct Golden {
    model: String,
    input: String,
    generated: String,
    contrast: ContrastSpec,
    method: String,
    attributed_fn: String,
    params: Map<String, Value>,
    attribute_target: bool,
    score_params: Map<String, Value>,
    source: Option<Vec<Vec<f64>>>,
    target: Option<Vec<Vec<f64>>>,
    step_scores: Map<String, Value>,
}

impl Golden {
    fn spec(&self) -> AttributionSpec {
        let scores = self.score_params.iter().map(|(name, params)| FunctionSpec {
            // Inseq passes every option to all functions that have it.
            params: params_of(name, params),
            ..FunctionSpec::named(name)
        });
        AttributionSpec {
            attributed_fn: FunctionSpec {
                params: self.params.clone(),
                ..FunctionSpec::named(&self.attributed_fn)
            },
            step_scores: scores.collect(),
            attribute_target: self.attribute_target,
            contrast: self.contrast.clone(),
            compat: Compat::Inseq071,
            ..AttributionSpec::of_method(&self.method)
        }
    }
}

fn params_of(name: &str, given: &Value) -> Map<String, Value> {
    let has = |option: &str| match option {
        "logprob" => name.contains("prob"),
        _ => true,
    };
    let given = given.as_object().into_iter().flatten();
    given
        .filter(|(option, _)| has(option))
        .map(|(option, value)| (option.clone(), value.clone()))
        .collect()
}

fn assert_rows(found: Option<&ScoreRows>, expected: Option<&Vec<f64>>, what: &str) {
    // Inseq has no map if there are no scores. Ours has target rows for decoder-only models only.
    let (Some(found), Some(expected)) = (found, expected) else {
        assert!(found.is_none() && expected.is_none(), "{what}");
        return;
    };
    assert_eq!(found.values.len(), expected.len(), "{what}");
    // The floor of 0.1 is for occlusion, where all scores may be small although they are
    // differences of logits of about 10.
    let largest = expected.iter().fold(0.1, |l: f64, v| l.max(v.abs()));
    for (index, (found, expected)) in found.values.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(
            error <= TOLERANCE * largest,
            "{what}, row {index}: {found}, Inseq {expected}"
        );
    }
}

#[test]
fn step_functions_and_contrasts_are_inseqs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let json = std::fs::read_to_string(folder.join("tests/golden/step_functions.json")).unwrap();
    let goldens: Vec<Golden> = serde_json::from_str(&json).unwrap();
    let models = folder.join("../../tests/models");
    for name in ["lo-en-fr-tiny", "glass-en"] {
        let engine = Engine::load(&models.join(name), Dtype::Float32).unwrap();
        for golden in goldens.iter().filter(|golden| golden.model == name) {
            let what = format!("{name} {} {:?}", golden.attributed_fn, golden.contrast);
            let spec = golden.spec();
            let attributor = engine.prepare(&spec).unwrap();
            let example = Example::new(0, &golden.input).with_generated_text(&golden.generated);
            let attribution = attributor.attribute(&[example]).remove(0).unwrap();
            for (index, step) in attribution.steps.iter().enumerate() {
                let of_step = |columns: &Option<Vec<Vec<f64>>>| {
                    columns.as_ref().map(|columns| columns[index].clone())
                };
                let what = format!("{what}, step {index}");
                let source = of_step(&golden.source);
                assert_rows(step.source.as_ref(), source.as_ref(), &what);
                let target = of_step(&golden.target);
                assert_rows(step.target.as_ref(), target.as_ref(), &what);
                let scores = attributor.step_score_names().into_iter();
                for (score, found) in scores.zip(&step.step_scores) {
                    let expected = golden.step_scores[&score][index].as_f64().unwrap();
                    let error = (f64::from(*found) - expected).abs();
                    assert!(
                        error <= TOLERANCE * expected.abs().max(1.0),
                        "{what}, {score}: {found}, Inseq {expected}"
                    );
                }
            }
        }
    }
}
