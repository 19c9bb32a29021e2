//! What holds of the aggregators on any attribution.

use proptest::prelude::*;
use serde_json::{Value, json};
use whence_schemas::FunctionSpec;

use super::tests::context;
use super::*;
use crate::{Attribution, ScoreRows, StepAttribution, Token};

/// Returns an attribution with one score per token, and one step score.
fn attributions() -> impl Strategy<Value = Attribution> {
    let sizes = (0_usize..5, 2_usize..8);
    sizes
        .prop_flat_map(|(source, target)| (Just(source), Just(target), 1..target))
        .prop_flat_map(|(source, target, start)| {
            let cells = (target - start) * (source + target);
            (
                prop::collection::vec("▁?[a-c]{1,2}", source),
                prop::collection::vec("▁?[a-c]{1,2}", target),
                Just(start),
                prop::collection::vec(-1.0_f32..1.0, cells),
            )
        })
        .prop_map(|(source, target, start, scores)| assembled(&source, &target, start, &scores))
}

fn assembled(source: &[String], target: &[String], start: usize, scores: &[f32]) -> Attribution {
    let tokens = |texts: &[String]| -> Vec<Token> {
        let mut end = 0;
        let token = |text: &String| {
            let begin = end;
            end += text.chars().filter(|letter| *letter != '▁').count();
            Token {
                id: Some(20),
                text: text.clone(),
                offsets: Some((begin, end)),
            }
        };
        texts.iter().map(token).collect()
    };
    let rows = |values: &[f32]| {
        Some(ScoreRows {
            values: values.to_vec(),
            row_shape: vec![],
        })
    };
    let width = source.len() + target.len();
    let step = |(index, values): (usize, &[f32])| StepAttribution {
        target_pos: start + index,
        source: rows(&values[..source.len()]).filter(|_| !source.is_empty()),
        target: rows(&values[source.len()..][..start + index]),
        step_scores: vec![values[0].abs()],
        contrast: None,
    };
    let plain: String = target.concat().replace('▁', "");
    Attribution {
        source: tokens(source),
        target: tokens(target),
        generated_text: plain,
        forced: true,
        attr_pos_start: start,
        attr_pos_end: target.len(),
        steps: scores.chunks_exact(width).enumerate().map(step).collect(),
        sequence_scores: Vec::new(),
    }
}

/// Returns the stages with these names and parameters.
fn pipeline(stages: &Value) -> Pipeline {
    let specs: Vec<FunctionSpec> = serde_json::from_value(stages.clone()).unwrap();
    Pipeline::build(&specs, context(&[]).defaults).unwrap()
}

/// Runs `stages` on `attribution`.
fn aggregated(stages: &Value, attribution: &Attribution) -> Attribution {
    let scores = [("probability".to_owned(), Reduction::Prod)];
    pipeline(stages)
        .aggregate(attribution.clone(), &context(&scores))
        .unwrap()
}

fn spans(source: &[(usize, usize)], target: &[(usize, usize)], function: Option<&str>) -> Value {
    let params = json!({
        "source_spans": source, "target_spans": target, "aggregate_fn": function
    });
    json!({"name": "spans", "params": params})
}

/// Returns spans that cover `len` tokens in runs of the lengths in `lengths`.
fn runs(lengths: &[usize], len: usize) -> Vec<(usize, usize)> {
    let mut start = 0;
    let mut runs = Vec::new();
    for length in lengths {
        let end = (start + length).min(len);
        if start < end {
            runs.push((start, end));
        }
        start = end;
    }
    runs
}

fn total(attribution: &Attribution, side: fn(&StepAttribution) -> Option<&ScoreRows>) -> f64 {
    let rows = attribution.steps.iter().filter_map(side);
    rows.flat_map(|rows| &rows.values)
        .map(|&v| f64::from(v))
        .sum()
}

fn check_bounds(found: &Attribution) -> Result<(), TestCaseError> {
    prop_assert!(found.attr_pos_end <= found.target.len());
    prop_assert_eq!(found.attr_pos_start + found.steps.len(), found.attr_pos_end);
    for (index, step) in found.steps.iter().enumerate() {
        prop_assert_eq!(step.target_pos, found.attr_pos_start + index);
        if let Some(source) = &step.source {
            prop_assert_eq!(source.num_rows(), found.source.len());
        }
        if let Some(target) = &step.target {
            prop_assert!(target.num_rows() <= step.target_pos + 1);
        }
    }
    Ok(())
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..4, 0..8)
}

proptest! {
    #[test]
    fn sums_are_kept_by_spans_that_add(whole in attributions(), lengths in lengths()) {
        let source = runs(&lengths, whole.source.len());
        // Cells of generated tokens for later ones do not exist, so only the prompt is merged.
        let target = runs(&lengths, whole.attr_pos_start);
        let found = aggregated(&json!([spans(&source, &target, Some("sum"))]), &whole);
        let sides: [fn(&StepAttribution) -> Option<&ScoreRows>; 2] =
            [|step| step.source.as_ref(), |step| step.target.as_ref()];
        for side in sides {
            prop_assert!((total(&found, side) - total(&whole, side)).abs() < 1e-4);
        }
        check_bounds(&found)?;
    }

    #[test]
    fn spans_of_one_token_change_nothing_but_ids(whole in attributions()) {
        let ones = |len| runs(&vec![1; len], len);
        let stage = spans(&ones(whole.source.len()), &ones(whole.target.len()), None);
        let mut found = aggregated(&json!([stage]), &whole);
        for token in found.source.iter_mut().chain(&mut found.target) {
            prop_assert_eq!(token.id.take(), None);
            token.id = Some(20);
        }
        prop_assert_eq!(found, whole);
    }

    #[test]
    fn a_slice_of_a_slice_is_a_slice(whole in attributions(), cuts in (0_usize..5, 0_usize..5)) {
        let len = whole.source.len();
        prop_assume!(len > 1);
        let outer = (cuts.0 % (len - 1), len);
        let kept = outer.1 - outer.0;
        let inner = (cuts.1 % kept, kept);
        let slice = |span: (usize, usize)| json!({"name": "slices", "params": {"source_spans": span}});
        let twice = aggregated(&json!([slice(outer), slice(inner)]), &whole);
        let once = aggregated(&json!([slice((outer.0 + inner.0, outer.0 + inner.1))]), &whole);
        check_bounds(&once)?;
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn a_pair_of_the_same_is_zero(whole in attributions()) {
        let context = context(&[]);
        let found = pipeline(&json!(["pair"]))
            .aggregate_pair((whole.clone(), whole.clone()), (&context, &context))
            .unwrap();
        let values = found.steps.iter().flat_map(|step| {
            let rows = [&step.source, &step.target].into_iter().flatten();
            rows.flat_map(|rows| &rows.values).chain(&step.step_scores)
        });
        prop_assert!(values.copied().all(|value| value == 0.0));
        prop_assert_eq!(found.target, whole.target);
    }

    #[test]
    fn a_pipeline_is_its_stages_one_by_one(whole in attributions(), lengths in lengths()) {
        let stages = [
            json!("normalize"),
            json!("subwords"),
            json!({"name": "weight_attributions", "params": {"step_score": "probability"}}),
            spans(&runs(&lengths, 1.min(whole.source.len())), &runs(&lengths, 1), None),
            json!("rescale"),
        ];
        let together = aggregated(&json!(stages), &whole);
        let one_by_one = stages
            .iter()
            .fold(whole, |whole, stage| aggregated(&json!([stage]), &whole));
        check_bounds(&together)?;
        prop_assert_eq!(together, one_by_one);
    }

    #[test]
    fn merging_keeps_every_character(whole in attributions()) {
        let text = |tokens: &[Token]| -> String {
            tokens.iter().map(|token| token.text.as_str()).collect()
        };
        for stage in [json!("subwords"), json!({"name": "split", "params": {"split_pattern": "a"}})] {
            let found = aggregated(&json!([stage]), &whole);
            prop_assert_eq!(text(&found.source), text(&whole.source));
            prop_assert_eq!(text(&found.target), text(&whole.target));
            check_bounds(&found)?;
        }
    }

    #[test]
    fn words_of_the_text_keep_every_character(whole in attributions()) {
        let scores = [("probability".to_owned(), Reduction::Prod)];
        let source_text: String = whole.source.iter().map(|token| token.text.replace('▁', "")).collect();
        let context = Context { source_text: Some(&source_text), ..context(&scores) };
        let by_words = json!([{"name": "spans", "params": {"by": "words"}}]);
        let found = pipeline(&by_words).aggregate(whole.clone(), &context).unwrap();
        // The text has no blanks, so each side is one word.
        prop_assert_eq!(found.target.len(), 1);
        prop_assert_eq!(found.source.len(), whole.source.len().min(1));
        check_bounds(&found)?;
    }
}
