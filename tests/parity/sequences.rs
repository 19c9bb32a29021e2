//! Scores between tokens of the same stack: tests beyond Inseq's goldens.

use serde_json::json;
use whence_engine::{Attribution, Example, ScoreRows, SequenceScores, Side};
use whence_schemas::AttributionSpec;
use whence_tests::parity::{Precision, load};

use crate::attribute;

/// The methods that can record such scores.
const METHODS: [&str; 2] = ["attention", "value_zeroing"];

/// Models with an encoder, and an example of each.
const MODELS: [(&str, [&str; 2]); 2] = [
    (
        "lo-en-fr-tiny",
        ["Page Slide Pane", "VoletPage Diapo Saisissez"],
    ),
    (
        "t5-random",
        ["Click the Customize tab.", "Cliquez sur l'onglet."],
    ),
];

fn spec(method: &str, params: &serde_json::Value) -> AttributionSpec {
    let method = json!({"name": method, "params": params});
    serde_json::from_value(json!({"method": method, "aggregators": []})).unwrap()
}

fn of_side(attribution: &Attribution, side: Side) -> &SequenceScores {
    let mut sequences = attribution.sequence_scores.iter();
    sequences.find(|scores| scores.side == side).unwrap()
}

/// If the prefix is not attributed, the decoder's scores are those that an attributed prefix gets.
#[test]
fn the_decoders_scores_are_those_of_an_attributed_prefix() {
    for (model, [input, target]) in MODELS {
        let engine = load(model, Precision::Double);
        let examples = [Example::new(0, input).with_generated_text(target)];
        for method in METHODS {
            let mut asked = spec(method, &json!({"output_decoder_self_scores": true}));
            // With a later start, Inseq would return only a square of the first tokens.
            asked.attr_pos_start = Some(3);
            let found = attribute(&engine, &asked, &examples, 0).remove(0);
            let mut prefixed = asked;
            prefixed.attribute_target = true;
            let expected = attribute(&engine, &prefixed, &examples, 0).remove(0);
            assert_eq!(expected.sequence_scores, [], "{model} {method}");
            let steps = expected.steps.into_iter().map(|step| step.target.unwrap());
            let steps: Vec<ScoreRows> = steps.collect();
            assert!(!steps.is_empty());
            assert_eq!(
                of_side(&found, Side::Target).columns,
                steps,
                "{model} {method}"
            );
        }
    }
}

/// The encoder's scores are shares that sum to 1 for each token, and do not depend on the target.
#[test]
fn the_encoders_scores_are_shares_and_know_nothing_of_the_target() {
    for (model, [input, target]) in MODELS {
        let engine = load(model, Precision::Double);
        let examples = [target, "x"].map(|text| Example::new(0, input).with_generated_text(text));
        for method in METHODS {
            let asked = spec(method, &json!({"output_encoder_self_scores": true}));
            let found = attribute(&engine, &asked, &examples, 0);
            let [one, other] = [0, 1].map(|index| of_side(&found[index], Side::Source));
            assert_eq!(one, other, "{model} {method}");
            assert_eq!(one.columns.len(), found[0].source.len());
            for column in &one.columns {
                let width = column.row_len();
                assert_eq!(column.num_rows(), found[0].source.len());
                for entry in 0..width {
                    let values = column.values.iter().skip(entry).step_by(width);
                    let sum: f64 = values.map(|value| f64::from(*value)).sum();
                    assert!((sum - 1.0).abs() < 1e-6, "{model} {method}: {sum}");
                }
            }
        }
    }
}

#[test]
fn they_are_recorded_where_they_are_asked_for_alone() {
    let (model, [input, target]) = MODELS[0];
    let engine = load(model, Precision::Single);
    let examples = [Example::new(0, input).with_generated_text(target)];
    for method in METHODS {
        let names = |params| {
            let found = attribute(&engine, &spec(method, &params), &examples, 0).remove(0);
            found.sequence_scores.len()
        };
        assert_eq!(names(json!({})), 0, "{method}");
        let both = json!({"output_encoder_self_scores": true, "output_decoder_self_scores": true});
        assert_eq!(names(both), 2, "{method}");
    }
}

#[test]
fn a_model_without_an_encoder_is_not_asked_for_its_scores() {
    let engine = load("glass-en", Precision::Single);
    for method in METHODS {
        let asked = spec(method, &json!({"output_encoder_self_scores": true}));
        let error = engine.prepare(&asked).unwrap_err().to_string();
        assert!(
            error.contains(method) && error.contains("needs a model with an encoder"),
            "{error}"
        );
    }
}
