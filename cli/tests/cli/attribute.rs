//! `whence attribute`.

use std::fs;

use serde_json::Value;

use crate::run::{assert_snapshot, command, ended, fixture, marian, whence};

#[test]
fn a_translation_is_drawn_as_inseq_draws_it() {
    let model = marian();
    let drawn = whence(&[
        "attribute",
        "--model_name_or_path",
        &model,
        "--input_texts",
        "Select the formatting style.",
        "--step_scores",
        "probability",
        "--attribute_target",
        "true",
    ])
    .succeeded();
    assert_snapshot("attribute_marian", &drawn);
}

#[test]
fn a_continuation_is_drawn_with_its_prompt() {
    let model = fixture("models/glass-en");
    let drawn = whence(&[
        "attribute",
        "-m",
        &model,
        "-i",
        "Once upon a time",
        "-a",
        "input_x_gradient",
        "--generation-kwargs",
        r#"{"max_new_tokens": 4}"#,
    ])
    .succeeded();
    assert_snapshot("attribute_llama", &drawn);
}

#[test]
fn colors_are_forced_and_forbidden() {
    let model = marian();
    let arguments = ["attribute", "-m", &model, "-i", "Click the tab."];
    let mut painted = command(&arguments);
    painted
        .env_remove("NO_COLOR")
        .env("CLICOLOR_FORCE", "1")
        .env("COLORTERM", "truecolor");
    let painted = ended(painted.output().expect("the command runs")).succeeded();
    let plain = whence(&arguments).succeeded();
    assert!(painted.contains(";48;2;") && !plain.contains('\x1b'));
    let painted = console::strip_ansi_codes(&painted).into_owned();
    // The last line says what the colors mean, which nobody asks where there are none.
    let (table, legend) = painted.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(table, plain.trim_end());
    assert!(
        legend.starts_with("0 ") && legend.ends_with("one scale per example"),
        "{legend}"
    );
}

#[test]
fn tokens_are_decoded_and_drawn_as_a_table_or_a_text() {
    let model = fixture("models/gpt2-random");
    let arguments = [
        "attribute",
        "-m",
        &model,
        "-i",
        "the old café",
        "--view",
        "text",
    ];
    let arguments = [
        &arguments[..],
        &["--generation-kwargs", r#"{"max_new_tokens": 1}"#],
    ]
    .concat();
    let text = whence(&arguments).succeeded();
    let line = text.lines().nth(1).unwrap();
    // Without colors, strong tokens have their scores behind them.
    let letters: String = line.split(|c| "(.)0123456789".contains(c)).collect();
    assert_eq!(letters, "  prefix  the old café", "{text}");
    let raw = whence(&[&arguments[..], &["--raw-tokens"]].concat()).succeeded();
    assert!(raw.contains('Ġ') && raw.contains("Ã©"), "{raw}");
    let matrix = whence(&[&arguments[..], &["--view", "matrix"]].concat());
    matrix.is_refused_with(&["--view"]);
}

#[test]
fn files_hold_every_text() {
    let folder = tempfile::tempdir().unwrap();
    let [json, html] = ["out.json", "out.html"].map(|name| folder.path().join(name));
    let (model, saved, page) = (marian(), json.display(), html.display());
    let (saved, page) = (saved.to_string(), page.to_string());
    let mut arguments = vec![
        "attribute",
        "-m",
        &model,
        "-i",
        "Click the tab.",
        "Bold text",
    ];
    arguments.extend(["--hide_attributions", "-o", &saved, "--viz_path", &page]);
    assert_eq!(whence(&arguments).succeeded(), "");
    let saved: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!(saved["attributes"]["info"]["input_texts"][1], "Bold text");
    let sequences = saved["attributes"]["sequence_attributions"]
        .as_array()
        .unwrap();
    assert_eq!(sequences.len(), 2);
    let page = fs::read_to_string(html).unwrap();
    assert_eq!(page.matches("class=\"example\"").count(), 2);
}

#[test]
fn raw_scores_are_saved_and_never_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw.json").display().to_string();
    let model = marian();
    let raw = ["--attribution_aggregators", "none"];
    let drawn = [&["attribute", "-m", &model, "-i", "Bold text"][..], &raw].concat();
    whence(&drawn).is_refused_with(&["not one per token", "--save-path"]);
    let saved = [&drawn[..], &["--hide-attributions", "-o", &path]].concat();
    whence(&saved).succeeded();
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains("GranularFeatureAttributionSequenceOutput"));
}

#[test]
fn selectors_choose_what_is_aggregated() {
    let model = marian();
    let attention = [
        "attribute",
        "-m",
        &model,
        "-i",
        "Bold text",
        "-a",
        "attention",
    ];
    let with = |more: &[&str]| whence(&[&attention[..], more].concat());
    let aggregated = ["--attribution_aggregators", "mean", "mean"];
    let chosen = |selectors: &[&str]| {
        let selectors = [&aggregated[..], &["--attribution_selectors"], selectors].concat();
        with(&selectors).succeeded()
    };
    assert_ne!(chosen(&["0", "0"]), chosen(&["-1", "-1"]));
    let rescaled = [&aggregated[..], &["--rescale_attributions"]].concat();
    assert!(with(&rescaled).succeeded().contains(" 1.0 "));
    let uneven = [&aggregated[..], &["--attribution-selectors", "0"]].concat();
    with(&uneven).is_refused_with(&["2 aggregators and 1 selectors"]);
}

#[test]
fn a_seed_decides_what_is_drawn() {
    let model = fixture("models/glass-en");
    let drawn = |seed: &str| {
        let sampling = r#"{"do_sample": true, "top_k": 0, "max_new_tokens": 8}"#;
        let mut arguments = vec!["attribute", "-m", &model, "-i", "Once upon a time"];
        arguments.extend(["--generation_kwargs", sampling, "--seed", seed]);
        whence(&arguments).succeeded()
    };
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
}

/// The scores between tokens of one stack load in Inseq, and equal those that Inseq computes.
#[test]
fn inseq_loads_sequence_scores() {
    let Ok(python) = std::env::var("WHENCE_INSEQ_PYTHON") else {
        eprintln!("not run: WHENCE_INSEQ_PYTHON names no Python with Inseq");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json").display().to_string();
    let model = marian();
    let mut arguments = vec!["attribute", "-m", &model, "-i", "Page Slide Pane"];
    arguments.extend(["-g", "VoletPage Diapo", "-a", "attention", "-o", &path]);
    arguments.extend(["--compat", "inseq-0.7.1", "--hide_attributions"]);
    whence(&arguments).succeeded();
    let script = "import sys, inseq, torch
[ours] = inseq.FeatureAttributionOutput.load(sys.argv[1]).sequence_attributions
model = inseq.load_model(sys.argv[2], 'attention', model_kwargs={'dtype': torch.float32})
[theirs] = model.attribute('Page Slide Pane', 'VoletPage Diapo', show_progress=False).sequence_attributions
theirs = theirs.aggregate()
assert list(ours.sequence_scores) == sorted(theirs.sequence_scores)
for name, scores in theirs.sequence_scores.items():
    assert ours.sequence_scores[name].shape == scores.shape, name
    print(name, float((ours.sequence_scores[name] - scores).abs().max()) < 1e-6)";
    let asked = std::process::Command::new(python)
        .args(["-W", "ignore", "-c", script, &path, &model])
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .expect("Python runs");
    let told = ended(asked).succeeded();
    let expected = "decoder_self_attentions True\nencoder_self_attentions True\n";
    assert_eq!(told, expected);
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
    let model = marian();
    let arguments = [
        "attribute",
        "-m",
        &model,
        "-i",
        "Click the tab.",
        "-o",
        &path,
    ];
    let ours = whence(&arguments).succeeded();
    let script = "import sys, inseq
from inseq.data.viz import get_attribution_colors, get_heatmap_type
from rich.console import Console
out = inseq.FeatureAttributionOutput.load(sys.argv[1])[0]
colors = get_attribution_colors([out], return_alpha=False, return_strings=False)
Console(width=300, no_color=True).print(get_heatmap_type(out, colors[0], 'Source'))";
    let asked = std::process::Command::new(python)
        .args(["-W", "ignore", "-c", script, &path])
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .expect("Python runs");
    let theirs = ended(asked).succeeded();
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim_end().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(lines(&ours), lines(&theirs));
}

/// Proposals are computed by candle's kernels, which split their work among threads.
#[test]
fn a_sampler_proposes_the_same_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let (model, sampler) = (
        fixture("models/gpt2-random"),
        fixture("samplers/models/roberta"),
    );
    let kwargs = serde_json::json!({"sampler": sampler, "num_probes": 2, "max_probe_steps": 5});
    let (kwargs, text) = (kwargs.to_string(), "Enter a name and click OK. ".repeat(3));
    let saved = ["1", "3"].map(|threads| {
        let path = folder.path().join(threads).display().to_string();
        let mut arguments = vec!["attribute", "-m", &model, "-i", &text, "-a", "reagent"];
        arguments.extend([
            "--attribution-kwargs",
            &kwargs,
            "--save-path",
            &path,
            "--hide",
        ]);
        arguments.extend(["--generation-kwargs", r#"{"max_new_tokens": 3}"#]);
        let mut command = command(&arguments);
        ended(command.env("RAYON_NUM_THREADS", threads).output().unwrap()).succeeded();
        fs::read(path).unwrap()
    });
    assert!(
        saved[0] == saved[1],
        "the number of threads changed the scores"
    );
}
