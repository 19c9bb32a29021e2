//! Compares the aggregators with Inseq's results on a small attribution, and tests what those leave
//! open.

use serde_json::{Value, json};
use whence_schemas::{Compat, FunctionSpec};

use super::*;
use crate::kernels::host;
use crate::{Attribution, Error, ScoreRows, SequenceScores, Side, StepAttribution, Token};

/// Returns tokens with the given texts; those in angle brackets are special, with ids below 10.
pub(super) fn tokens(texts: &str) -> Vec<Token> {
    let token = |(index, text): (usize, &str)| Token {
        id: Some(index as u32 + if text.starts_with('<') { 0 } else { 10 }),
        text: text.to_owned(),
        offsets: None,
    };
    texts.split(' ').enumerate().map(token).collect()
}

pub(super) fn context(step_scores: &[(String, Reduction)]) -> Context<'_> {
    Context {
        step_scores,
        is_special: &|_, token| token.id.is_some_and(|id| id < 10),
        source_text: None,
        column: None,
        defaults: defaults(),
    }
}

pub(super) fn defaults() -> Defaults {
    Defaults {
        reduction: Reduction::VNorm,
        normalize: true,
        compat: Compat::Inseq071,
    }
}

pub(super) fn step_scores() -> Vec<(String, Reduction)> {
    [
        ("probability", Reduction::Prod),
        ("entropy", Reduction::Sum),
        ("logit", Reduction::AbsMax),
    ]
    .map(|(name, merged_by)| (name.to_owned(), merged_by))
    .to_vec()
}

/// Two numbers per token: source `▁a </s>`, target `<pad> ▁x y ▁z </s>`, four steps.
pub(super) fn attribution() -> Attribution {
    let source = [
        [[3.0, 4.0], [0.0, 0.0]],
        [[0.0, 1.0], [0.0, -2.0]],
        [[1.0, 0.0], [0.0, 0.0]],
        [[2.0, 0.0], [0.0, 2.0]],
    ];
    let target = [
        vec![[0.0, 5.0]],
        vec![[1.0, 0.0], [0.0, -4.0]],
        vec![[0.0, 1.0], [3.0, 4.0], [0.0, -3.0]],
        vec![[0.0, 0.0], [1.0, 1.0], [1.0, -1.0], [0.0, 6.0]],
    ];
    let step_scores = [
        [0.5, 1.0, 1.0],
        [0.4, 2.0, -2.0],
        [0.2, 3.0, 3.0],
        [0.1, 4.0, -4.0],
    ];
    let rows = |rows: &[[f32; 2]]| {
        Some(ScoreRows {
            values: rows.concat(),
            row_shape: vec![2],
        })
    };
    let step = |index: usize| StepAttribution {
        target_pos: index + 1,
        source: rows(&source[index]),
        target: rows(&target[index]),
        step_scores: step_scores[index].to_vec(),
        contrast: None,
    };
    Attribution {
        sequence_scores: Vec::new(),
        source: tokens("▁a </s>"),
        target: tokens("<pad> ▁x y ▁z </s>"),
        generated_text: "xy z".to_owned(),
        forced: true,
        attr_pos_start: 1,
        attr_pos_end: 5,
        steps: (0..4).map(step).collect(),
    }
}

/// Runs the stages in `json` on the raw attribution.
pub(super) fn aggregated(json: Value) -> Result<Attribution, Error> {
    let specs: Vec<FunctionSpec> = serde_json::from_value(json).unwrap();
    let pipeline = Pipeline::build(&specs, defaults())?;
    let mut raw = attribution();
    let tensor = |rows: &Option<ScoreRows>| {
        rows.as_ref().map(|rows| {
            let shape = (rows.num_rows(), 2);
            host::upload(rows.values.clone(), shape).unwrap()
        })
    };
    for step in &mut raw.steps {
        let scores = RawScores {
            source: tensor(&step.source),
            target: tensor(&step.target),
        };
        let StepScores { source, target } = pipeline.apply(&scores)?;
        (step.source, step.target) = (source, target);
    }
    pipeline.finish(raw, &context(&step_scores()))
}

/// Asserts that the columns of one side equal `expected`, which is written to four digits.
fn assert_columns(found: &Attribution, is_source: bool, expected: &[&[f32]]) {
    assert_eq!(found.steps.len(), expected.len());
    for (step, expected) in found.steps.iter().zip(expected) {
        let side = if is_source {
            &step.source
        } else {
            &step.target
        };
        let values = &side.as_ref().unwrap().values;
        assert_eq!(values.len(), expected.len(), "{values:?} {expected:?}");
        for (found, expected) in values.iter().zip(*expected) {
            assert!((found - expected).abs() < 6e-5, "{values:?} {expected:?}");
        }
    }
}

fn texts(tokens: &[Token]) -> Vec<&str> {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

#[test]
fn vnorm_and_sum_are_inseqs() {
    let found = aggregated(json!(["vnorm"])).unwrap();
    let source: [&[f32]; 4] = [&[0.5, 0.0], &[0.125, 0.25], &[0.1, 0.0], &[0.1559, 0.1559]];
    assert_columns(&found, true, &source);
    let target: [&[f32]; 4] = [
        &[0.5],
        &[0.125, 0.5],
        &[0.1, 0.5, 0.3],
        &[0.0, 0.1102, 0.1102, 0.4677],
    ];
    assert_columns(&found, false, &target);
    // `scores` without a function reduces as the method's default aggregators do.
    assert_eq!(aggregated(json!(["scores"])).unwrap(), found);

    let found = aggregated(json!(["sum"])).unwrap();
    let source: [&[f32]; 4] = [
        &[0.5833, 0.0],
        &[0.125, -0.25],
        &[0.0833, 0.0],
        &[0.1667, 0.1667],
    ];
    assert_columns(&found, true, &source);
    let target: [&[f32]; 4] = [
        &[0.4167],
        &[0.125, -0.5],
        &[0.0833, 0.5833, -0.25],
        &[0.0, 0.1667, 0.0, 0.5],
    ];
    assert_columns(&found, false, &target);
}

#[test]
fn rescaling_divides_by_the_largest_of_all() {
    let json = json!([{"name": "vnorm", "params": {"normalize": false, "rescale": true}}]);
    let found = aggregated(json).unwrap();
    let source: [&[f32]; 4] = [
        &[0.8333, 0.0],
        &[0.1667, 0.3333],
        &[0.1667, 0.0],
        &[0.3333, 0.3333],
    ];
    assert_columns(&found, true, &source);
    let last = [0.0, 0.2357, 0.2357, 1.0];
    assert_columns(
        &found,
        false,
        &[&[0.8333], &[0.1667, 0.6667], &[0.1667, 0.8333, 0.5], &last],
    );

    let both = aggregated(json!([{"name": "vnorm", "params": {"rescale": true}}]));
    let error = both.unwrap_err().to_string();
    assert!(error.contains("exclude each other"), "{error}");
}

#[test]
fn subwords_are_inseqs() {
    let found = aggregated(json!(["vnorm", "subwords"])).unwrap();
    let source: [&[f32]; 3] = [&[0.5, 0.25], &[0.1, 0.0], &[0.1559, 0.1559]];
    assert_columns(&found, true, &source);
    // The second entry of the first column is the merged token's own row: what its second piece
    // owes to its first.
    let target: [&[f32]; 3] = [&[0.5, 0.5], &[0.1, 0.5], &[0.0, 0.1102, 0.4677]];
    assert_columns(&found, false, &target);
    assert_eq!(texts(&found.target), ["<pad>", "▁xy", "▁z", "</s>"]);
    assert_eq!(found.target[1].id, None);
    assert_eq!((found.attr_pos_start, found.attr_pos_end), (1, 4));
    let positions: Vec<_> = found.steps.iter().map(|step| step.target_pos).collect();
    assert_eq!(positions, [1, 2, 3]);
    let scores: Vec<_> = found.steps.iter().map(|step| &step.step_scores).collect();
    assert_eq!(
        scores,
        [&[0.2, 3.0, -2.0], &[0.2, 3.0, 3.0], &[0.1, 4.0, -4.0]]
    );
}

#[test]
fn a_span_across_the_first_generated_token_is_generated() {
    let spans = json!({"target_spans": [0, 2], "source_spans": [[0, 2]]});
    let found = aggregated(json!(["vnorm", {"name": "spans", "params": spans}])).unwrap();
    assert_columns(&found, true, &[&[0.5], &[0.25], &[0.1], &[0.1559]]);
    let target: [&[f32]; 4] = [&[0.5], &[0.5], &[0.5, 0.3], &[0.1102, 0.1102, 0.4677]];
    assert_columns(&found, false, &target);
    assert_eq!(texts(&found.target), ["<pad>▁x", "y", "▁z", "</s>"]);
    assert_eq!(texts(&found.source), ["▁a</s>"]);
    assert_eq!((found.attr_pos_start, found.attr_pos_end), (0, 4));
    assert_eq!(found.steps[0].step_scores, [0.5, 1.0, 1.0]);
}

#[test]
fn a_sum_over_a_span_is_inseqs_where_a_cell_is_missing() {
    let spans = json!({"target_spans": [2, 4], "aggregate_fn": "sum"});
    let found = aggregated(json!(["vnorm", {"name": "spans", "params": spans}])).unwrap();
    let source: [&[f32]; 3] = [&[0.5, 0.0], &[0.225, 0.25], &[0.1559, 0.1559]];
    assert_columns(&found, true, &source);
    let target: [&[f32]; 3] = [&[0.5], &[0.225, 1.0], &[0.0, 0.1102, 0.578]];
    assert_columns(&found, false, &target);
    let probabilities: Vec<_> = found.steps.iter().map(|step| step.step_scores[0]).collect();
    assert_eq!(probabilities, [0.5, 0.6, 0.1]);
}

#[test]
fn raw_scores_are_merged_entry_by_entry() {
    let found = aggregated(json!(["subwords", "vnorm"])).unwrap();
    // Source columns of ▁x and y: (3,4) and (0,1) give (3,4); (0,0) and (0,-2) give (0,-2).
    let rows = found.steps[0].source.as_ref().unwrap();
    assert!((rows.values[0] / rows.values[1] - 2.5).abs() < 1e-6);
    assert!(rows.row_shape.is_empty());
}

#[test]
fn weights_are_step_scores() {
    let found = aggregated(json!(["vnorm", "weight_attributions"])).unwrap();
    let source: [&[f32]; 4] = [&[0.25, 0.0], &[0.05, 0.1], &[0.02, 0.0], &[0.0156, 0.0156]];
    assert_columns(&found, true, &source);

    let unknown =
        json!(["vnorm", {"name": "weight_attributions", "params": {"step_score": "pcxmi"}}]);
    let error = aggregated(unknown).unwrap_err().to_string();
    assert!(error.contains("add `pcxmi` to `step_scores`"), "{error}");
}

#[test]
fn slices_keep_rows_and_every_generated_token() {
    let slices = json!({"source_spans": [1, 2], "target_spans": [2, 3]});
    let found = aggregated(json!(["vnorm", {"name": "slices", "params": slices}])).unwrap();
    assert_columns(&found, true, &[&[0.0], &[0.25], &[0.0], &[0.1559]]);
    // The span reaches past the first generated token, so it is extended to all of the generated
    // ones.
    assert_eq!(texts(&found.target), ["▁x", "y", "▁z", "</s>"]);
    assert_eq!((found.attr_pos_start, found.attr_pos_end), (0, 4));
    assert_columns(
        &found,
        false,
        &[&[], &[0.5], &[0.5, 0.3], &[0.1102, 0.1102, 0.4677]],
    );

    let before = json!({"target_spans": [0, 1]});
    let found = aggregated(json!(["vnorm", {"name": "slices", "params": before}])).unwrap();
    assert_eq!(found, aggregated(json!(["vnorm"])).unwrap());
}

#[test]
fn entries_of_the_axis_can_be_selected() {
    let with = |select: Value| {
        let params = json!({"select_idx": select, "normalize": false});
        let json = json!([{"name": "mean", "params": params}]);
        aggregated(json).map(|found| found.steps[0].source.clone().unwrap().values)
    };
    assert_eq!(with(json!(0)).unwrap(), [3.0, 0.0]);
    assert_eq!(with(json!(-1)).unwrap(), [4.0, 0.0]);
    assert_eq!(with(json!([1, 0])).unwrap(), [3.5, 0.0]);
    assert_eq!(with(json!("0:2")).unwrap(), [3.5, 0.0]);
    for (select, expected) in [
        (json!([]), "selects nothing"),
        (json!([0, 0]), "names an entry twice"),
        (json!([0, -2]), "names an entry twice"),
        (json!(2), "the axis of 2 does not have"),
        (json!("0-2"), "a range is written `2:5`"),
    ] {
        let error = with(select).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn spans_that_are_none_are_refused() {
    for (spans, expected) in [
        (json!([2, 2]), "is empty"),
        (json!([[0, 2], [1, 3]]), "overlaps"),
        (json!([0, 9]), "goes beyond the last of the 5 tokens"),
    ] {
        let json = json!(["vnorm", {"name": "spans", "params": {"target_spans": spans}}]);
        let error = aggregated(json).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_pair_is_the_second_minus_the_first() {
    let first = aggregated(json!(["vnorm"])).unwrap();
    let mut second = first.clone();
    second.target[2].text = "w".to_owned();
    second.steps[1].step_scores[1] += 0.25;
    for value in &mut second.steps[0].source.as_mut().unwrap().values {
        *value += 1.0;
    }
    let found = pair(&first, &second).unwrap();
    assert_eq!(texts(&found.target)[2], "y → w");
    assert_eq!(found.target[2].id, None);
    assert_eq!(found.steps[0].source.as_ref().unwrap().values, [1.0, 1.0]);
    assert_eq!(found.steps[1].step_scores[1], 0.25);
    second.source.pop();
    let error = pair(&first, &second).unwrap_err().to_string();
    assert!(error.contains("numbers of tokens"), "{error}");
}

#[test]
fn no_aggregators_leave_the_scores_raw() {
    assert_eq!(aggregated(json!([])).unwrap(), attribution());
}

#[test]
fn one_stage_too_many_is_an_error() {
    let error = aggregated(json!(["mean", "mean"])).unwrap_err();
    assert!(error.to_string().contains("more aggregators than axes"));
}

#[test]
fn every_aggregator_can_be_built_from_what_the_table_says() {
    for entry in AGGREGATORS {
        let mut parameters = (entry.parameters)();
        if entry.name == "split" {
            parameters.insert("split_pattern".to_owned(), json!("x"));
        }
        let spec = FunctionSpec {
            params: parameters,
            ..FunctionSpec::named(entry.name)
        };
        Pipeline::build(&[spec], defaults()).unwrap();
    }
}

#[test]
fn a_function_that_stands_for_scores_cannot_name_another() {
    let spec = json!([{"name": "vnorm", "params": {"aggregate_fn": "mean"}}]);
    let error = aggregated(spec).unwrap_err().to_string();
    assert!(
        error.contains("unknown parameter `aggregate_fn`"),
        "{error}"
    );
}

/// Three source tokens and three steps, with one score per pair. No number occurs twice in a row of
/// a square.
fn with_sequence_scores() -> Attribution {
    let columns = |columns: &[&[f32]]| {
        let column = |values: &&[f32]| ScoreRows {
            values: values.to_vec(),
            row_shape: vec![],
        };
        columns.iter().map(column).collect()
    };
    let decoder = SequenceScores {
        name: "decoder_self_scores".to_owned(),
        side: Side::Target,
        columns: columns(&[&[1.0], &[0.2, 0.8], &[0.3, 0.6, 0.1]]),
    };
    let encoder = SequenceScores {
        name: "encoder_self_scores".to_owned(),
        side: Side::Source,
        columns: columns(&[&[0.1, 0.7, 0.2], &[0.3, 0.3, 0.4], &[0.6, 0.1, 0.3]]),
    };
    let mut whole = attribution();
    whole.steps.truncate(3);
    Attribution {
        source: tokens("▁a b </s>"),
        target: tokens("<pad> ▁x y ▁z"),
        attr_pos_end: 4,
        sequence_scores: vec![decoder, encoder],
        ..whole
    }
}

/// Returns the columns of the decoder's and of the encoder's sequence scores after the stages in
/// `json`.
fn sequence_columns(json: Value) -> [Vec<Vec<f32>>; 2] {
    let specs: Vec<FunctionSpec> = serde_json::from_value(json).unwrap();
    let pipeline = Pipeline::build(&specs, defaults()).unwrap();
    let found = pipeline
        .finish(with_sequence_scores(), &context(&step_scores()))
        .unwrap();
    let columns = |scores: &SequenceScores| {
        let columns = scores.columns.iter();
        columns.map(|column| column.values.clone()).collect()
    };
    [0, 1].map(|index| columns(&found.sequence_scores[index]))
}

#[test]
fn merged_tokens_are_merged_on_both_axes_of_sequence_scores() {
    let params = json!({"source_spans": [0, 2], "target_spans": [1, 3]});
    let [decoder, encoder] = sequence_columns(json!([{"name": "spans", "params": params}]));
    // Inseq merges the encoder's scores the same way. It merges the rows of the decoder's scores
    // one token too early.
    assert_eq!(encoder, [[0.7, 0.4], [0.6, 0.3]]);
    assert_eq!(decoder, [[1.0, 0.8], [0.3, 0.6]]);
}

#[test]
fn slices_keep_the_columns_of_source_tokens_that_are_kept() {
    let params = json!({"source_spans": [[0, 1], [2, 3]], "target_spans": [1, 2]});
    let [decoder, encoder] = sequence_columns(json!([{"name": "slices", "params": params}]));
    assert_eq!(encoder, [[0.1, 0.2], [0.6, 0.3]]);
    assert_eq!(decoder, [vec![], vec![0.8], vec![0.6, 0.1]]);
}

#[test]
fn sequence_scores_are_reduced_and_not_normalized() {
    let pipeline = Pipeline::build(&[FunctionSpec::named("mean")], defaults()).unwrap();
    let column = host::upload(vec![1.0, 3.0, 5.0, 7.0], (2, 2)).unwrap();
    let raw = RawSequenceScores {
        name: "encoder_self_scores",
        side: Side::Source,
        columns: vec![column.clone(), column],
    };
    let found = pipeline.apply_to_sequence(&raw).unwrap();
    assert_eq!(found.columns[0].values, [2.0, 6.0]);
    // If an earlier stage needs the whole attribution, the same reduction happens later.
    let stages = ["slices", "mean"].map(FunctionSpec::named);
    let pipeline = Pipeline::build(&stages, defaults()).unwrap();
    let unreduced = pipeline.apply_to_sequence(&raw).unwrap();
    let whole = Attribution {
        source: tokens("▁a </s>"),
        sequence_scores: vec![unreduced],
        ..attribution()
    };
    let late = pipeline.finish(whole, &context(&step_scores())).unwrap();
    assert_eq!(late.sequence_scores[0].columns[0].values, [2.0, 6.0]);
}

#[test]
fn sequence_scores_are_paired_cell_by_cell() {
    let first = with_sequence_scores();
    let mut second = first.clone();
    second.sequence_scores[1].columns[0].values = vec![1.1, 0.7, 0.2];
    let found = pair(&first, &second).unwrap();
    assert_eq!(found.sequence_scores[1].columns[0].values, [1.0, 0.0, 0.0]);
    second.sequence_scores.pop();
    let error = pair(&first, &second).unwrap_err().to_string();
    assert!(error.contains("different sequence scores"), "{error}");
}
