//! `whence attribute-context`.

use std::fs;

use serde_json::Value;

use crate::run::{Ran, assert_snapshot, fixture, marian, whence};

const GEORGE: &[&str] = &[
    "--input_context_text",
    "George was sick yesterday.",
    "--input_current_text",
    "His colleagues asked him to come",
];

fn llama(more: &[&str]) -> Ran {
    let model = fixture("models/glass-en");
    let told = "to the hospital because he was not well.";
    let mut arguments = vec!["attribute-context", "--model_name_or_path", &model];
    arguments.extend(GEORGE);
    arguments.extend(["--output_current_text", told]);
    arguments.extend(more);
    whence(&arguments)
}

#[test]
fn the_example_of_inseqs_readme_is_shown() {
    let drawn = llama(&["--attributed_fn", "contrast_prob_diff"]).succeeded();
    assert_snapshot("context_llama", &drawn);
    let model = marian();
    let mut arguments = vec!["attribute-context", "-m", &model];
    arguments.extend(GEORGE);
    arguments.extend(["-fn", "contrast_prob_diff", "--compat", "inseq-0.7.1"]);
    let drawn = whence(&arguments).succeeded();
    assert_snapshot("context_marian", &drawn);
}

#[test]
fn files_hold_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let [json, html] = ["out.json", "out.html"].map(|name| folder.path().join(name));
    let (saved, page) = (json.display().to_string(), html.display().to_string());
    let shown = llama(&["--no_show_viz", "-o", &saved, "--viz_path", &page]).succeeded();
    assert_eq!(shown, "");
    let text = fs::read_to_string(&json).unwrap();
    assert!(
        text.starts_with("{\n    \"input_context\": \"George"),
        "{text}"
    );
    let saved: Value = serde_json::from_str(&text).unwrap();
    let tokens = saved["output_current_tokens"].as_array().unwrap().len();
    assert_eq!(saved["cti_scores"].as_array().unwrap().len(), tokens);
    let cues = &saved["cci_scores"][0];
    assert_eq!(cues["cti_token"], "▁ho");
    assert_eq!(cues["input_context_scores"].as_array().unwrap().len(), 12);
    assert!(cues["output_context_scores"].is_null());
    assert_eq!(saved["info"]["input_template"], "{context} {current}");
    assert_eq!(saved["info"]["has_output_context"], false);
    let page = fs::read_to_string(html).unwrap();
    assert!(page.contains("id=\"cues-1\"") && page.contains("href=\"#cues-1\""));
    assert!(page.contains("<dd dir=\"auto\">George was sick yesterday.</dd>"));
    assert!(
        page.contains("default-src &#39;none&#39;"),
        "a page loads nothing"
    );
}

#[test]
fn options_are_left_out_of_the_file_on_demand() {
    let saved = llama(&["--show-viz", "false", "--no-add-output-info", "-o", "-"]).succeeded();
    let saved: Value = serde_json::from_str(&saved).unwrap();
    assert!(saved["info"].is_null() && saved["cti_scores"].is_array());
}

#[test]
fn both_steps_are_shown_on_demand() {
    let more = [
        "--show_intermediate_outputs",
        "--context_sensitivity_topk",
        "1",
    ];
    let shown = llama(&more).succeeded();
    assert_eq!(
        shown.matches("Target Saliency Heatmap").count(),
        2,
        "{shown}"
    );
    assert!(shown.contains("kl_divergence"));
}

#[test]
fn a_generated_context_is_split_by_the_template() {
    let model = marian();
    let texts = ["The window is open.", "Close it before you print the page."];
    let with = |strategy: &str, template: &str| {
        let mut arguments = vec!["attribute-context", "-m", &model];
        arguments.extend([
            "--input-context-text",
            texts[0],
            "--input-current-text",
            texts[1],
        ]);
        arguments.extend(["--output-template", template]);
        arguments.extend(["--handle-output-context-strategy", strategy]);
        whence(&arguments)
    };
    let shown = with("auto", "{context}. {current}").succeeded();
    assert!(
        shown.contains("Output context: La fenêtre est ouvert\n"),
        "{shown}"
    );
    // Tests have no terminal.
    with("manual", "{context}. {current}")
        .is_refused_with(&["no terminal", "--handle-output-context-strategy auto"]);
    with("pre", "{context} {current}").is_refused_with(&["`pre`", "give an output context"]);
}

#[test]
fn wrong_requests_are_refused_by_name() {
    llama(&["--input-template", "{current}"]).is_refused_with(&["has no `{context}`"]);
    llama(&["--output-template", "{currant}"]).is_refused_with(&["has `{currant}`"]);
    llama(&["--context-sensitivity-metric", "entropy"]).is_refused_with(&["take one of"]);
    llama(&["--context-sensitivity-std-threshold", "much"]).is_refused_with(&["`none`"]);
    llama(&["--contextless-output-next-tokens", "a"]).is_refused_with(&["`probability` is none"]);
    llama(&[
        "--prompt-user-for-contextless-output-next-tokens",
        "-fn",
        "contrast_prob_diff",
    ])
    .is_refused_with(&["no terminal", "--contextless-output-next-tokens"]);
    llama(&[
        "-fn",
        "contrast_prob_diff",
        "--contextless-output-next-tokens",
        "a",
    ])
    .is_refused_with(&["words: 1, tokens: 2"]);
    llama(&["--special-tokens-to-keep", "<brk>"]).is_refused_with(&["`<brk>` is not a special"]);
    llama(&["-o", "-"]).is_refused_with(&["--no-show-viz"]);
    llama(&["--memory", "1"]).is_refused_with(&["raise --memory"]);
    llama(&["--device", "cuda:907"]).is_refused_with(&["`cuda:907` cannot be used"]);
    whence(&["attribute-context", "-m", "m"]).is_refused_with(&["--input-current-text"]);
}

/// Loads the saved file with the real Inseq, if `WHENCE_INSEQ_PYTHON` names a Python that has it.
#[test]
fn inseq_loads_what_is_saved() {
    let Ok(python) = std::env::var("WHENCE_INSEQ_PYTHON") else {
        eprintln!("not run: WHENCE_INSEQ_PYTHON names no Python with Inseq");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json").display().to_string();
    llama(&["-fn", "contrast_prob_diff", "--no-show-viz", "-o", &path]).succeeded();
    let script = "import json, sys
from inseq.commands.attribute_context import attribute_context_helpers as helpers
saved = json.load(open(sys.argv[1]))
out = helpers.AttributeContextOutput.from_dict(saved)
print(out.to_dict() == saved, list(out.to_dict()['info']) == list(saved['info']))";
    let asked = std::process::Command::new(python)
        .args(["-W", "ignore", "-c", script, &path])
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .expect("Python runs");
    assert_eq!(crate::run::ended(asked).succeeded(), "True True\n");
}
