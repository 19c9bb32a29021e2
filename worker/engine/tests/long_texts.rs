//! A model with long-RoPE, which uses other rotary frequencies for long texts: every step is
//! explained as the model computed it, however long the whole text is.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

use std::path::Path;

use serde_json::{Value, json};
use whence_engine::methods::METHODS;
use whence_engine::{Engine, Example, ScoreRows, StepAttribution};
use whence_schemas::job::Dtype;
use whence_schemas::{Alignments, AttributionSpec};

/// The longest text, in tokens, for which the model uses its short factors.
const BEYOND: usize = 6;
const PROMPT: &str = "The cat sat on";
const TEXT: &str = "The cat sat on the mat and looked at the door.";
const CONTRAST: &str = "The cat sat on a chair because it was very tired.";

/// Returns a folder with a trained Llama that is changed to use long factors beyond [`BEYOND`]
/// tokens.
fn stretched() -> tempfile::TempDir {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/glass-en");
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(&original).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let config = std::fs::read(original.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    let planes = config["head_dim"].as_u64().unwrap() / 2;
    let factors = |first: f64| (0..planes).map(move |plane| first + plane as f64 / 8.0);
    config["rope_scaling"] = Value::Null;
    config["rope_parameters"] = json!({
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "original_max_position_embeddings": BEYOND,
        "short_factor": factors(1.0).collect::<Vec<_>>(),
        "long_factor": factors(2.0).collect::<Vec<_>>(),
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

fn steps(engine: &Engine, spec: &AttributionSpec, contrast: Option<&str>) -> Vec<StepAttribution> {
    let example = Example {
        contrast_target: contrast.map(str::to_owned),
        ..Example::new(1, PROMPT).with_generated_text(TEXT)
    };
    let mut results = engine.prepare(spec).unwrap().attribute(&[example]);
    results.remove(0).unwrap().steps
}

fn assert_near(found: &StepAttribution, expected: &StepAttribution, what: &str) {
    let values =
        |rows: &Option<ScoreRows>| rows.as_ref().map_or(Vec::new(), |rows| rows.values.clone());
    let found = [values(&found.target), found.step_scores.clone()].concat();
    let expected = [values(&expected.target), expected.step_scores.clone()].concat();
    let largest = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(&expected) {
        let difference = (found - expected).abs();
        assert!(difference <= 1e-6 * largest, "{what}: {found}, {expected}");
    }
}

/// Checks that each step of the whole text equals the same step explained alone.
fn assert_steps_stand_alone(engine: &Engine, spec: &AttributionSpec, contrast: Option<&str>) {
    let whole = steps(engine, spec, contrast);
    let last = whole.last().unwrap().target_pos;
    assert!(whole[0].target_pos <= BEYOND && last > BEYOND + 1);
    for step in &whole {
        let position = step.target_pos;
        let alone = AttributionSpec {
            attr_pos_start: Some(position as i64),
            attr_pos_end: Some(position as i64 + 1),
            ..spec.clone()
        };
        let alone = steps(engine, &alone, contrast);
        let what = format!("{} at {position}", spec.method.name);
        assert_near(step, &alone[0], &what);
    }
}

#[test]
fn a_step_of_a_text_that_becomes_long_is_what_it_is_alone() {
    let folder = stretched();
    let engine = Engine::load(folder.path(), Dtype::Float64).unwrap();
    for method in METHODS {
        let parameters = (method.parameters)();
        // Random methods draw for all steps together, so a step alone gets other draws.
        if parameters.contains_key("samples") {
            continue;
        }
        let mut spec = AttributionSpec::of_method(method.name);
        spec.step_scores = vec![spec.attributed_fn.clone()];
        if parameters.contains_key("n_steps") {
            spec.method.params.insert("n_steps".to_owned(), json!(3));
        }
        assert_steps_stand_alone(&engine, &spec, None);
    }
}

#[test]
fn a_contrast_becomes_long_at_its_own_length() {
    let folder = stretched();
    let engine = Engine::load(folder.path(), Dtype::Float64).unwrap();
    for method in ["saliency", "occlusion"] {
        let mut spec = AttributionSpec::of_method(method);
        "contrast_prob_diff".clone_into(&mut spec.attributed_fn.name);
        spec.step_scores = vec![spec.attributed_fn.clone()];
        spec.contrast.contrast_force_inputs = true;
        // Each position is aligned with the next one of the contrast, so the contrast becomes long
        // one step before its example.
        let pairs = (1..40).map(|position| (position, position + 1)).collect();
        spec.contrast.contrast_targets_alignments = Alignments::Pairs(pairs);
        assert_steps_stand_alone(&engine, &spec, Some(CONTRAST));
    }
}
