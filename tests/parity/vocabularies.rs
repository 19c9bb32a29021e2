//! A model whose source has its own vocabulary and embedding. Inseq looks up both sides in the
//! encoder's table, so it has no goldens of such a model. The truth is the same model with a single
//! vocabulary.
//!
//! Source tokens have other ids than target tokens, special ones included. A token looked up on the
//! wrong side would be another token, and every score would change.

use serde_json::{Value, json};
use whence_engine::methods::METHODS;
use whence_engine::{Attribution, Engine, Example, Token};
use whence_schemas::AttributionSpec;
use whence_schemas::job::Dtype;
use whence_tests::parity::{Precision, load};
use whence_tests::{fixtures, separate_marian};

use crate::properties::{examples, spec};
use crate::{attribute, bits};

const MODEL: &str = "lo-en-fr-tiny";

/// Returns a token's id on the source side. The ids of special tokens are ordinary tokens on the
/// other side.
fn renumbered(id: u32) -> u32 {
    const TOKENS: u32 = 7112;
    (id + 1000) % TOKENS
}

/// The same model with one shared vocabulary and with one per side.
struct Pair {
    one: Engine,
    two: Engine,
}

impl Pair {
    fn load() -> Self {
        let folder = separate_marian::make(|id| Some(renumbered(id))).unwrap();
        Self {
            one: load(MODEL, Precision::Single),
            two: Engine::load(folder.path(), Dtype::Float32).unwrap(),
        }
    }

    #[track_caller]
    fn assert_same(&self, spec: &AttributionSpec, examples: &[Example], what: &str) {
        let one = attribute(&self.one, spec, examples, 7);
        let two = attribute(&self.two, spec, examples, 7);
        for (one, two) in one.iter().zip(&two) {
            assert_same(one, two, what);
        }
    }
}

#[track_caller]
fn assert_same(one: &Attribution, two: &Attribution, what: &str) {
    let of_source = |token: &Token| Token {
        id: token.id.map(renumbered),
        ..token.clone()
    };
    let source: Vec<_> = one.source.iter().map(of_source).collect();
    assert_eq!(source, two.source, "{what}");
    assert_eq!(one.target, two.target, "{what}");
    assert_eq!(one.generated_text, two.generated_text, "{what}");
    let contrasts = |of: &Attribution| -> Vec<_> {
        let steps = of.steps.iter();
        steps.map(|step| step.contrast.clone()).collect()
    };
    assert_eq!(contrasts(one), contrasts(two), "{what}");
    assert_eq!(bits(one), bits(two), "{what}");
}

#[test]
fn every_method_has_the_same_bits_however_source_tokens_are_numbered() {
    let pair = Pair::load();
    let examples = examples(MODEL);
    for method in METHODS {
        let mut spec = spec(method, &[]);
        spec.attribute_target = true;
        pair.assert_same(&spec, &examples, method.name);
    }
}

#[test]
fn generated_targets_contrasts_words_and_proposals_too() {
    let pair = Pair::load();
    let open = Example::new(3, "Select the cells, then click Insert.");
    let contrasted = Example {
        contrast_source: Some("Select the rows, then click Delete.".to_owned()),
        contrast_target: Some("Choisissez les lignes, puis cliquez sur Supprimer.".to_owned()),
        ..open
            .clone()
            .with_generated_text("Sélectionnez les cellules, puis cliquez sur Insertion.")
    };
    let spec = |fields: Value| -> AttributionSpec { serde_json::from_value(fields).unwrap() };
    let words = json!({
        "method": "saliency", "attribute_target": true, "step_scores": ["probability", "entropy"],
        "aggregators": ["vnorm", "subwords"],
    });
    pair.assert_same(&spec(words), &[open], "words");
    let contrast = json!({
        "method": "integrated_gradients", "attribute_target": true,
        "attributed_fn": "contrast_prob_diff", "step_scores": ["contrast_prob", "kl_divergence"],
        "contrast": {"contrast_force_inputs": true},
    });
    pair.assert_same(&spec(contrast), &[contrasted], "contrast");
    let sampler = fixtures::path("samplers/models/roberta");
    let proposed = json!({
        "method": {"name": "reagent", "params": {
            "sampler": sampler, "num_probes": 3, "max_probe_steps": 4, "n_neighbors": 5,
        }},
        "attribute_target": true,
    });
    pair.assert_same(&spec(proposed), &examples(MODEL)[..1], "proposals");
}
