//! Files that the real Inseq saved: read, aggregated as Inseq does, and refused by name where they
//! are not understood.
//!
//! `tests/inseq_files/generate.py` makes the goldens.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use whence::inseq_file::{SavedAttributions, SavedExample};
use whence_engine::{ScoreRows, StepAttribution, Token};

use crate::run::{fixture, whence};

fn goldens() -> PathBuf {
    PathBuf::from(fixture("inseq_files/goldens"))
}

/// Returns the file of a case, which may be compressed.
fn file(case: &str) -> PathBuf {
    let plain = goldens().join(format!("{case}.json"));
    if plain.exists() {
        plain
    } else {
        goldens().join(format!("{case}.json.gz"))
    }
}

fn examples(path: &Path) -> Vec<SavedExample> {
    let mut examples = Vec::new();
    let file = SavedAttributions::open(path).unwrap();
    let read = file.for_each(|example| {
        examples.push(example);
        ControlFlow::Continue(())
    });
    read.unwrap();
    examples
}

/// Runs `whence aggregate` on a file and reads what it saved.
fn aggregated(path: &Path, stages: &[Value]) -> Vec<SavedExample> {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved.json");
    let stages: Vec<String> = stages.iter().map(Value::to_string).collect();
    let mut arguments = vec!["aggregate", path.to_str().unwrap()];
    arguments.extend(stages.iter().map(String::as_str));
    arguments.extend(["--compat", "inseq-0.7.1", "--hide", "-q"]);
    arguments.extend(["--save-path", saved.to_str().unwrap()]);
    whence(&arguments).succeeded();
    examples(&saved)
}

fn texts(tokens: &[Token]) -> Vec<&str> {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

/// Compares a map of Inseq, whose missing cells are null, with the scores of the steps.
fn compare_map(
    expected: &Value,
    steps: &[StepAttribution],
    side: fn(&StepAttribution) -> Option<&ScoreRows>,
    case: &str,
) {
    let Some(rows) = expected.as_array() else {
        assert!(steps.iter().all(|step| side(step).is_none()), "{case}");
        return;
    };
    for (row, columns) in rows.iter().enumerate() {
        for (column, cell) in columns.as_array().unwrap().iter().enumerate() {
            let scores = side(&steps[column]).unwrap();
            let found = scores
                .values
                .get(row)
                .copied()
                .filter(|value| !value.is_nan());
            let is_near = match (cell.as_f64(), found) {
                (None, None) => true,
                (Some(expected), Some(found)) => near(expected, found),
                _ => false,
            };
            assert!(
                is_near,
                "{case}: row {row}, column {column}: {cell} {found:?}"
            );
        }
    }
}

fn near(expected: f64, found: f32) -> bool {
    (expected - f64::from(found)).abs() < 2e-6 + 1e-5 * expected.abs()
}

fn compare(expected: &Value, found: &SavedExample, case: &str) {
    let attribution = &found.attribution;
    let is_decoder = attribution.source.is_empty();
    if !is_decoder {
        assert_eq!(
            json!(texts(&attribution.source)),
            expected["source"],
            "{case}"
        );
    }
    assert_eq!(
        json!(texts(&attribution.target)),
        expected["target"],
        "{case}"
    );
    assert_eq!(
        json!(attribution.attr_pos_start),
        expected["start"],
        "{case}"
    );
    assert_eq!(json!(attribution.attr_pos_end), expected["end"], "{case}");
    let steps = &attribution.steps;
    compare_map(
        &expected["source_scores"],
        steps,
        |step| step.source.as_ref(),
        case,
    );
    compare_map(
        &expected["target_scores"],
        steps,
        |step| step.target.as_ref(),
        case,
    );
}

/// Compares the step scores, which `names` lists in the order in which steps have them.
fn compare_step_scores(expected: &Value, found: &SavedExample, names: &[String], case: &str) {
    let expected = expected["step_scores"].as_object().unwrap();
    assert_eq!(expected.len(), names.len(), "{case}");
    for (index, name) in names.iter().enumerate() {
        let values = expected[name].as_array().unwrap();
        for (value, step) in values.iter().zip(&found.attribution.steps) {
            let value = value.as_f64().unwrap();
            let score = step.step_scores[index];
            assert!(near(value, score), "{case}: {name}: {value} {score}");
        }
    }
}

#[test]
fn files_of_inseq_are_read_and_aggregated_as_inseq_does() {
    let mut compared = 0;
    for entry in fs::read_dir(goldens()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(case) = name.strip_suffix(".expected.json") else {
            continue;
        };
        let pipelines: Vec<Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let names = SavedAttributions::open(&file(case)).unwrap();
        let names = names.outline().step_scores.clone();
        for pipeline in pipelines {
            let stages = pipeline["stages"].as_array().unwrap();
            let case = format!("{case} {}", pipeline["stages"]);
            let found = aggregated(&file(case.split(' ').next().unwrap()), stages);
            let expected = pipeline["sequences"].as_array().unwrap();
            assert_eq!(found.len(), expected.len(), "{case}");
            for (expected, found) in expected.iter().zip(&found) {
                compare(expected, found, &case);
                compare_step_scores(expected, found, &names, &case);
                compared += 1;
            }
        }
    }
    assert!(compared > 20, "there are goldens");
}

#[test]
fn a_file_tells_what_was_run() {
    let gradients = SavedAttributions::open(&file("gradients")).unwrap();
    let outline = gradients.outline();
    assert_eq!(outline.model(), "tests/models/t5-random");
    assert_eq!(outline.sequences, 2);
    assert_eq!(outline.default_aggregators, ["vnorm"]);
    let spec = outline.specification();
    assert_eq!(spec.method.name, "saliency");
    assert_eq!(spec.attributed_fn.name, "probability");
    assert!(spec.attribute_target);
    assert_eq!(spec.step_score_labels(), ["probability", "entropy"]);
    let classes = outline.classes();
    assert_eq!(classes.model.as_deref(), Some("T5ForConditionalGeneration"));
}

#[test]
fn a_file_of_a_decoder_only_model_has_no_source() {
    let decoder = SavedAttributions::open(&file("decoder")).unwrap();
    let spec = decoder.outline().specification();
    assert_eq!(spec.method.params.get("n_steps"), Some(&json!(4)));
    assert_eq!(spec.step_score_labels(), ["top_p_size", "deltas"]);
    let example = decoder.example_at(0).unwrap().unwrap();
    assert_eq!(example.input_text.as_deref(), Some("the old house"));
    assert_eq!(example.attribution.generated_text, "the old house is red");
    assert!(example.attribution.forced && example.attribution.source.is_empty());
    // Each token knows its characters, which Inseq's file does not say.
    let last = example.attribution.target.last().unwrap();
    assert_eq!(last.offsets.map(|(_, end)| end), Some(20));
    assert_eq!(decoder.example_at(1).unwrap(), None);

    let contrast = SavedAttributions::open(&file("contrast")).unwrap();
    let spec = contrast.outline().specification();
    let text = spec.contrast.contrast_targets.as_deref();
    assert_eq!(text, Some("the old house was red"));

    let attention = SavedAttributions::open(&file("attention")).unwrap();
    assert_eq!(attention.outline().default_aggregators, ["mean", "mean"]);
    let example = attention.example_at(1).unwrap().unwrap();
    assert_eq!(example.attribution.sequence_scores.len(), 1);
    assert_eq!(
        example.attribution.steps[0]
            .source
            .as_ref()
            .unwrap()
            .row_shape
            .len(),
        2
    );
}

#[test]
fn what_inseq_saved_and_whence_saves_again_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for case in [
        "gradients",
        "decoder",
        "occlusion",
        "attention",
        "zeroing",
        "dummy",
    ] {
        let path = folder.path().join("again.json");
        // A slice of everything changes nothing, and keeps raw scores.
        let arguments = ["aggregate", "slices", "--hide", "-q"];
        let (from, to) = (file(case).display().to_string(), path.display().to_string());
        let arguments = [
            &arguments[..1],
            &[&from],
            &arguments[1..],
            &["--save-path", &to],
        ];
        whence(&arguments.concat()).succeeded();
        assert_eq!(examples(&path), examples(&file(case)), "{case}");
    }
}

/// Changes the file of the case `occlusion` and checks that it is refused with all of `parts`.
#[track_caller]
fn refused(change: impl Fn(&mut Value), parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let mut changed: Value = serde_json::from_slice(&fs::read(file("occlusion")).unwrap()).unwrap();
    change(&mut changed);
    let path = folder.path().join("changed.json");
    fs::write(&path, changed.to_string()).unwrap();
    let shown = whence(&["show", path.to_str().unwrap(), "1"]);
    shown.is_refused_with(&[parts, &["changed.json"]].concat());
}

#[test]
fn a_file_that_is_not_understood_is_refused_by_name() {
    refused(
        |file| file["attributes"]["info"]["input_texts"] = json!(["one"]),
        &["`info`", "`input_texts` has 1 texts", "2 sequences"],
    );
    refused(
        |file| file["attributes"]["weights"] = json!(1),
        &["`weights` is not a field"],
    );
    refused(
        |file| file["__instance_type__"] = json!(["torch", "Tensor"]),
        &["the class `torch.Tensor`"],
    );
    let primitives = file("primitives").display().to_string();
    whence(&["show", &primitives]).is_refused_with(&["use_primitives", "save it again"]);
    let other = fixture("models/t5-random/config.json");
    whence(&["show", &other]).is_refused_with(&["is not a field of Inseq's files"]);
}

#[test]
fn a_sequence_that_is_not_understood_is_refused_by_its_field() {
    let of_second = |field: &'static str, value: Value| {
        move |file: &mut Value| {
            file["attributes"]["sequence_attributions"][1]["attributes"][field] = value.clone();
        }
    };
    let class = |file: &mut Value| {
        file["attributes"]["sequence_attributions"][0]["__instance_type__"][1] = json!("X");
    };
    refused(
        class,
        &["sequence 0", "unknown class `inseq.data.attribution.X`"],
    );
    for (field, value, parts) in [
        ("attr_pos_end", json!(99), &["`attr_pos_end` is 99"][..]),
        (
            "source_attributions",
            json!("AAAA"),
            &["`source_attributions`", "safetensors"],
        ),
        (
            "source_attributions",
            json!({"__ndarray__": []}),
            &["before 0.6"],
        ),
        ("target", json!([1]), &["invalid type"]),
        ("weights", json!(1), &["unknown field `weights`"]),
    ] {
        refused(of_second(field, value), &[&["sequence 1"], parts].concat());
    }
    let copied = |field: &'static str, name: &'static str| {
        move |file: &mut Value| {
            let fields = &mut file["attributes"]["sequence_attributions"][1]["attributes"];
            fields[field] = json!({name: fields["source_attributions"]});
        }
    };
    refused(
        copied("sequence_scores", "other"),
        &["sequence 1", "unknown name `other`"],
    );
    // The first example does not have it.
    refused(
        copied("step_scores", "entropy"),
        &["sequence", "step score `entropy`"],
    );
}

#[test]
fn step_attributions_are_left_out_with_a_warning() {
    let path = file("steps").display().to_string();
    let shown = whence(&["show", &path]);
    let warned = shown.stderr.contains("step attributions");
    assert!(warned, "{}", shown.stderr);
    assert!(shown.succeeded().contains("</s>"));
}
