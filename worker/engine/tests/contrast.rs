//! Contrasts: with every method of the registry, in batches, and those that are refused.

use std::path::{Path, PathBuf};

use whence_engine::methods::METHODS;
use whence_engine::{Attribution, Engine, Error, Example, ScoreRows};
use whence_schemas::job::Dtype;
use whence_schemas::{
    AlignmentRule, Alignments, AttributionSpec, Compat, ContrastSpec, FunctionSpec,
};

fn model(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.join("../../tests/models").join(name)
}

fn spec(method: &str, function: &str) -> AttributionSpec {
    AttributionSpec {
        attributed_fn: FunctionSpec::named(function),
        step_scores: vec![FunctionSpec::named(function)],
        ..AttributionSpec::of_method(method)
    }
}

/// An example for an encoder-decoder model, and a second one to share its batch.
fn translations() -> [Example; 2] {
    let translation = |id, text, target, contrast: &str| Example {
        contrast_target: Some(contrast.to_owned()),
        ..Example::new(id, text).with_generated_text(target)
    };
    [
        translation(
            3,
            "Open the menu.",
            "Ouvrez le menu.",
            "Fermez le menu du fichier.",
        ),
        translation(4, "Close it now.", "Fermez-le.", "Ouvrez-le maintenant."),
    ]
}

fn attribute(engine: &Engine, spec: &AttributionSpec, examples: &[Example]) -> Vec<Attribution> {
    let results = engine
        .prepare(spec)
        .expect("a specification the engine serves")
        .attribute(examples);
    results.into_iter().map(Result::unwrap).collect()
}

#[test]
fn every_method_attributes_contrasts_in_batches_as_alone() {
    let engine = Engine::load(&model("lo-en-fr-tiny"), Dtype::Float32).unwrap();
    let examples = translations();
    for method in METHODS {
        for force in [false, true] {
            let mut spec = spec(method.name, "contrast_prob_diff");
            // Few points and samples are enough: the compared results must be equal, not accurate.
            for (name, _) in (method.parameters)() {
                if matches!(
                    name.as_str(),
                    "n_steps" | "n_samples" | "num_probes" | "max_probe_steps"
                ) {
                    spec.method.params.insert(name, 3.into());
                }
            }
            spec.contrast.contrast_force_inputs = force;
            let together = attribute(&engine, &spec, &examples);
            for (example, found) in examples.iter().zip(&together) {
                let alone = attribute(&engine, &spec, std::slice::from_ref(example));
                assert_eq!(alone[0], *found, "{} forced {force}", method.name);
                let contrast = found.steps.last().unwrap().contrast.as_ref().unwrap();
                assert_eq!(contrast.text, "</s>");
            }
        }
    }
}

#[test]
fn a_forced_contrast_moves_with_the_tokens_it_shares() {
    let sentence = |id, text, contrast: &str| Example {
        contrast_target: Some(contrast.to_owned()),
        ..Example::new(id, "The cat sat on").with_generated_text(text)
    };
    let sentences = [
        sentence(
            1,
            "The cat sat on the mat.",
            "The cat sat on a chair and slept.",
        ),
        sentence(2, "The cat sat on his bed.", "The dog sat there."),
    ];
    for (name, examples) in [("lo-en-fr-tiny", translations()), ("glass-en", sentences)] {
        let engine = Engine::load(&model(name), Dtype::Float64).unwrap();
        let mut spec = spec("integrated_gradients", "contrast_logits_diff");
        let parameters = [
            ("n_steps".to_owned(), 40.into()),
            ("return_convergence_delta".to_owned(), true.into()),
        ];
        spec.method.params.extend(parameters);
        spec.attribute_target = true;
        spec.contrast.contrast_force_inputs = true;
        let moving = attribute(&engine, &spec, &examples);
        // Completeness: the scores sum to the function's change only if the gradients include the
        // parts of both predictions.
        for step in moving.iter().flat_map(|found| &found.steps) {
            assert!(step.step_scores[1].abs() < 1e-3, "{name}: {step:?}");
        }
        spec.compat = Compat::Inseq071;
        assert_ne!(
            attribute(&engine, &spec, &examples)[0].steps,
            moving[0].steps
        );
    }
}

/// Occluding a token changes both predictions. Its score must equal the sum of the token's scores
/// on a path on which only that token moves.
#[test]
fn a_forced_contrast_is_occluded_along() {
    let engine = Engine::load(&model("lo-en-fr-tiny"), Dtype::Float64).unwrap();
    let examples = translations();
    let steps = |method: &str, compat| {
        let mut spec = spec(method, "contrast_logits_diff");
        if method == "sequential_integrated_gradients" {
            spec.method.params.insert("n_steps".to_owned(), 40.into());
        }
        spec.attribute_target = true;
        spec.contrast.contrast_force_inputs = true;
        spec.aggregators = Some(Vec::new());
        spec.compat = compat;
        let found = attribute(&engine, &spec, &examples);
        found
            .into_iter()
            .flat_map(|found| found.steps)
            .collect::<Vec<_>>()
    };
    let sums = |rows: &Option<ScoreRows>| -> Vec<f32> {
        let rows = rows.as_ref().unwrap();
        let of_token = |row: &[f32]| row.iter().sum::<f32>().abs();
        rows.values
            .chunks_exact(rows.row_len())
            .map(of_token)
            .collect()
    };
    let occluded = steps("occlusion", Compat::None);
    let walks = steps("sequential_integrated_gradients", Compat::None);
    for (walk, occluded) in walks.iter().zip(&occluded) {
        for (walk, occluded) in [
            (&walk.source, &occluded.source),
            (&walk.target, &occluded.target),
        ] {
            let (walk, occluded) = (sums(walk), sums(occluded));
            assert_eq!(walk.len(), occluded.len());
            for (walk, occluded) in walk.iter().zip(&occluded) {
                assert!((walk - occluded).abs() < 1e-3, "{walk} against {occluded}");
            }
        }
    }
    assert_ne!(steps("occlusion", Compat::Inseq071), occluded);
}

#[test]
fn a_contrast_for_all_examples_is_that_of_each() {
    let engine = Engine::load(&model("lo-en-fr-tiny"), Dtype::Float32).unwrap();
    let [example, _] = translations();
    let own = attribute(
        &engine,
        &spec("saliency", "pcxmi"),
        std::slice::from_ref(&example),
    );
    let mut for_all = spec("saliency", "pcxmi");
    for_all.contrast.contrast_targets = example.contrast_target.clone();
    let bare = Example {
        contrast_target: None,
        ..example
    };
    assert_eq!(attribute(&engine, &for_all, &[bare]), own);
}

#[test]
fn tokens_that_are_alike_are_paired() {
    let engine = Engine::load(&model("glass-en"), Dtype::Float32).unwrap();
    let example = Example {
        contrast_target: Some("The cat sat on the big mat and slept.".to_owned()),
        ..Example::new(0, "The cat sat on").with_generated_text("The cat sat on the mat and slept.")
    };
    let mut spec = spec("dummy", "contrast_logits_diff");
    spec.contrast.contrast_targets_alignments = Alignments::Rule(AlignmentRule::Auto);
    let found = attribute(&engine, &spec, &[example]).remove(0);
    for step in &found.steps {
        let contrast = step.contrast.as_ref().unwrap();
        assert_eq!(contrast.text, found.target[step.target_pos].text);
    }
}

#[test]
fn what_cannot_be_contrasted_says_so() {
    let engine = Engine::load(&model("glass-en"), Dtype::Float32).unwrap();
    let example = Example::new(0, "The cat sat on").with_generated_text("The cat sat on the mat.");
    let refused = |spec: &AttributionSpec, example: &Example| -> Error {
        match engine.prepare(spec) {
            Err(error) => error,
            Ok(attributor) => {
                let examples = std::slice::from_ref(example);
                attributor.attribute(examples).remove(0).unwrap_err()
            }
        }
    };
    let message = |spec: &AttributionSpec, example: &Example| refused(spec, example).to_string();

    let nothing = message(&spec("saliency", "contrast_prob_diff"), &example);
    assert!(nothing.contains("add --attribution-kwargs"), "{nothing}");
    let same = Example {
        contrast_target: example.generated_text.clone(),
        ..example.clone()
    };
    let nothing = message(&spec("saliency", "contrast_prob_diff"), &same);
    assert!(nothing.contains("add --attribution-kwargs"), "{nothing}");
    let divergence = message(&spec("saliency", "kl_divergence"), &same);
    assert!(divergence.contains("needs `contrast_force_inputs`"));
    let count = message(&spec("saliency", "top_p_size"), &example);
    assert!(count.contains("has no gradient"), "{count}");
    let source = Example {
        contrast_source: Some("The dog".to_owned()),
        ..example.clone()
    };
    let source = message(&spec("saliency", "probability"), &source);
    assert!(source.contains("a model with an encoder"), "{source}");
    let twice = AttributionSpec {
        step_scores: vec![FunctionSpec::named("logit"); 2],
        ..AttributionSpec::of_method("saliency")
    };
    assert!(message(&twice, &example).contains("give one of them a `label`"));
    let against = |text: &str| AttributionSpec {
        contrast: ContrastSpec {
            contrast_targets: Some(text.to_owned()),
            ..ContrastSpec::default()
        },
        ..AttributionSpec::of_method("saliency")
    };
    assert_eq!(
        message(&against(""), &example),
        "the contrast target text is empty"
    );
    let blank = message(&against(" "), &example);
    assert!(blank.contains("has one token"), "{blank}");
}
