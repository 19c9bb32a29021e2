//! Options: those that change nothing are accepted, others are refused by name, and errors in a
//! request are reported once, before a job exists.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::run::{Ran, attribute_dataset, fixture, marian, whence};

/// Attributes a short text with the additional flags `more`.
fn attribute(more: &[&str]) -> Ran {
    let model = fixture("models/gpt2-random");
    let mut arguments = vec!["attribute", "-m", &model, "-i", "the old house"];
    if !more.contains(&"--generation_kwargs") {
        arguments.extend(["--generation_kwargs", r#"{"max_new_tokens": 1}"#]);
    }
    arguments.extend(more);
    whence(&arguments)
}

#[test]
fn what_changes_nothing_is_taken() {
    let plain = attribute(&[]).succeeded();
    let generation = json!({
        "max_new_tokens": 1, "use_cache": false, "pad_token_id": 0, "num_beam_groups": 1,
        "return_dict_in_generate": true,
    })
    .to_string();
    let taken: [&[&str]; 8] = [
        &["--device", "cpu"],
        &["--dev", "cpu"],
        &[
            "--model_kwargs",
            r#"{"dtype": "float32", "low_cpu_mem_usage": true, "device_map": "cpu"}"#,
        ],
        &["--model_kwargs", r#"{"torch_dtype": "torch.float32"}"#],
        &["--output_step_attributions", "false", "--aggregate_output"],
        &[
            "--tokenizer_kwargs",
            r#"{"use_fast": true, "padding_side": "left"}"#,
        ],
        &[
            "--attribution_kwargs",
            r#"{"show_progress": false, "internal_batch_size": 4}"#,
        ],
        &["--generation_kwargs", &generation],
    ];
    for more in taken {
        assert_eq!(attribute(more).succeeded(), plain, "{more:?}");
    }
    let steps = |kwargs: &str| {
        attribute(&["-a", "integrated_gradients", "--attribution_kwargs", kwargs]).succeeded()
    };
    assert_eq!(
        steps(r#"{"n_steps": 2, "internal_batch_size": 4}"#),
        steps(r#"{"n_steps": 2}"#)
    );
}

/// Method, flag, JSON value of the flag, and a part of the message that refuses it.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    (
        "saliency",
        "--generation_kwargs",
        r#"{"max_new_tokens": -5}"#,
        "--generation-kwargs: max_new_tokens must be 0 or more, not -5",
    ),
    (
        "saliency",
        "--generation_kwargs",
        r#"{"max_new_tokens": 0}"#,
        "max_new_tokens is 0",
    ),
    (
        "saliency",
        "--generation_kwargs",
        r#"{"eos_token_id": 999999}"#,
        "eos_token_id names token 999999, but the model's tokens are 0 to",
    ),
    (
        "saliency",
        "--generation_kwargs",
        r#"{"early_stopping": "maybe"}"#,
        r#"early_stopping must be true, false or "never", not "maybe""#,
    ),
    (
        "saliency",
        "--generation_kwargs",
        r#"{"guidance_scale": 2}"#,
        "guidance_scale must be 1, not 2: whence does not support this generation option",
    ),
    (
        "integrated_gradients",
        "--attribution_kwargs",
        r#"{"n_steps": "many"}"#,
        r#"n_steps must be a whole number, 0 or more, not "many""#,
    ),
    (
        "layer_integrated_gradients",
        "--attribution_kwargs",
        r#"{"target_layer": -1}"#,
        r#"target_layer must be a layer's number, 0 or more, or its path such as "model.layers[0]", not -1"#,
    ),
    (
        "saliency",
        "--attribution_kwargs",
        r#"{"internal_batch_size": 0}"#,
        "internal_batch_size must be a whole number, 1 or more, not 0",
    ),
    (
        "saliency",
        "--attribution_kwargs",
        r#"{"contrast_target": "x"}"#,
        "unknown option `contrast_target`, did you mean `contrast_targets`?",
    ),
];

#[test]
fn an_option_that_does_not_fit_is_named_with_what_it_must_be() {
    for (method, flag, kwargs, said) in REFUSED {
        let ran = attribute(&["-a", method, flag, kwargs]);
        ran.is_refused_with(&[said]);
        for word in ["untagged", "variant", "expected", "invalid type"] {
            assert!(!ran.stderr.contains(word), "{kwargs}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_contrast_is_asked_for_in_the_words_of_its_options() {
    let model = marian();
    let contrast = |kwargs: &str| {
        let mut arguments = vec!["attribute", "-m", &model, "-i", "Open the window."];
        arguments.extend(["-g", "Ouvrez la fenêtre.", "-fn", "contrast_prob_diff"]);
        arguments.extend(["--attribution-kwargs", kwargs, "--hide"]);
        whence(&arguments)
    };
    contrast(r#"{"contrast_targets": ["Fermez.", "Ouvrez."]}"#).is_refused_with(&[
        "contrast_targets must be one text",
        "--contrast-target-field",
    ]);
    contrast(r#"{"contrast_targets": "Fermez.", "contrast_targets_alignments": "atuo"}"#)
        .is_refused_with(&[
            r#"contrast_targets_alignments must be "auto" or a list of [target, contrast] pairs, not "atuo""#,
        ]);
    contrast("{}").is_refused_with(&[
        "`contrast_prob_diff` compares each text with another",
        "--contrast-target-field",
    ]);
    contrast(r#"{"contrast_targets": "Fermez la fenêtre."}"#).succeeded();
    let listed = whence(&["list", "step-functions", "contrast_prob_diff"]).succeeded();
    assert!(
        listed.contains("contrast_targets_alignments = []"),
        "{listed}"
    );
}

#[test]
fn a_request_that_no_row_can_serve_is_refused_before_there_is_a_job() {
    let folder = tempfile::tempdir().unwrap();
    let refused: [(&[&str], &str); 4] = [
        (&["-fn", "pcxmi"], "`pcxmi` compares each text with another"),
        (
            &["-fn", "pcxmi", "--contrast-source-field", "translation.fr"],
            "contrast_force_inputs",
        ),
        (
            &["--contrast-target-field", "translation.en"],
            "there is a contrast, but neither `probability` nor a step score",
        ),
        (
            &[
                "--generation-kwargs",
                r#"{"bad_words_ids": [[1], [99999]]}"#,
            ],
            "bad_words_ids names token 99999",
        ),
    ];
    for (more, said) in refused {
        let ran = attribute_dataset(folder.path(), "train[:2]", more);
        ran.is_refused_with(&[said]);
        assert_eq!(ran.stderr.matches(said).count(), 1, "{}", ran.stderr);
    }
    let jobs = folder.path().join("jobs");
    assert!(!jobs.exists(), "a job was made");
}

#[test]
fn rescaling_needs_no_aggregators() {
    let rescaled = attribute(&["--rescale-attributions"]).succeeded();
    let named = [
        "--attribution-aggregators",
        "vnorm",
        "--rescale-attributions",
    ];
    assert_eq!(rescaled, attribute(&named).succeeded());
    assert_ne!(rescaled, attribute(&[]).succeeded());
    // Rescaling also makes the largest score 1 for a method without aggregators.
    let occluded = attribute(&["-a", "occlusion", "--rescale-attributions"]).succeeded();
    assert!(occluded.contains(" 1 "), "{occluded}");
}

#[test]
fn the_exit_status_tells_that_a_text_failed() {
    let model = fixture("models/gpt2-random");
    let run = |texts: &[&str]| {
        let one = r#"{"max_new_tokens": 1}"#;
        let mut arguments = vec![
            "attribute",
            "-m",
            &model,
            "--hide",
            "--generation-kwargs",
            one,
        ];
        arguments.push("-i");
        arguments.extend(texts);
        whence(&arguments)
    };
    run(&["the old house", ""]).ended_with(
        1,
        &[
            "example 1: the input text is empty",
            "1 of 2 texts could not be attributed",
        ],
    );
    run(&[""]).is_refused_with(&["the input text is empty"]);
    run(&["the old house", "a"]).succeeded();
}

/// Attributes the rows of `data` and returns each row's status and message, in order.
fn outcomes(root: &Path, model: &str, data: &str, more: &[&str]) -> Vec<String> {
    let file = root.join("rows.jsonl");
    fs::write(&file, data).expect("the data can be written");
    let (file, out) = (
        file.display().to_string(),
        root.join("out").display().to_string(),
    );
    let model = fixture(model);
    let mut arguments = vec![
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &file,
        "--root",
        &out,
    ];
    arguments.extend(["--hide", "-q"]);
    arguments.extend(more);
    whence(&arguments);
    let query = "SELECT coalesce(error_message, 'ok') AS said FROM examples ORDER BY example_id";
    let said = whence(&["sql", "--root", &out, "--format", "jsonl", query]).succeeded();
    let rows = said.lines().map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).expect("a row is JSON");
        row["said"].as_str().expect("a text").to_owned()
    });
    rows.collect()
}

#[test]
fn a_text_that_does_not_continue_its_prompt_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let rows = r#"{"prompt": "The cat sat", "text": " on the mat."}
{"prompt": "The cat sat", "text": "The cat sat"}
{"prompt": "the cat", "text": "The cat sat"}
"#;
    let more = ["--input", "prompt", "--generated", "text"];
    let said = outcomes(folder.path(), "models/glass-en", rows, &more);
    assert!(
        said[0].contains("seems to be an answer alone"),
        "{}",
        said[0]
    );
    assert!(
        said[1].starts_with("nothing follows the input text"),
        "{}",
        said[1]
    );
    assert!(
        said[2].ends_with(r#"from character 1 on, "the cat" against "The cat sat""#),
        "{}",
        said[2]
    );
}

#[test]
fn blanks_are_a_text_where_the_vocabulary_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "{\"text\": \"\\n\"}\n{\"text\": \" \"}\n";
    let more = [
        "--input",
        "text",
        "--generation-kwargs",
        r#"{"max_new_tokens": 1}"#,
    ];
    let said = outcomes(folder.path(), "models/gpt2-random", rows, &more);
    assert_eq!(said, ["ok", "ok"]);
    let folder = tempfile::tempdir().unwrap();
    let said = outcomes(folder.path(), "models/lo-en-fr-tiny", rows, &more);
    assert_eq!(
        said[1],
        r#"the tokenizer produces no tokens for the input text " ""#
    );
}

#[test]
fn a_length_that_leaves_no_room_is_named() {
    let model = fixture("models/glass-en");
    let limit = r#"{"max_length": 2}"#;
    let ran = whence(&[
        "attribute",
        "-m",
        &model,
        "-i",
        "The cat sat",
        "--generation-kwargs",
        limit,
    ]);
    ran.is_refused_with(&[
        "no token can be generated: the input has 5 tokens, but max_length is 2",
    ]);
}
