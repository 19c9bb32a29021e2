//! Wrong requests: each message names what is wrong and says what to do, before any computation.

use std::fs;

use crate::run::{
    attribute_dataset, command, ended, fixture, free_port, marian, translations, whence,
};

fn with(changes: &[&str]) -> crate::run::Ran {
    let folder = tempfile::tempdir().expect("a directory");
    attribute_dataset(folder.path(), "train[:2]", changes)
}

#[test]
fn a_missing_model_is_named() {
    let data = translations();
    let arguments = [
        "attribute-dataset",
        "-d",
        &data,
        "-in",
        "translation.en",
        "-m",
    ];
    let try_model = |model: &str| whence(&[&arguments[..], &[model]].concat());
    try_model("/nowhere/model").is_refused_with(&["`/nowhere/model`", "hint: "]);
    let offline = [
        "no folder or file `gpt2`",
        "model `gpt2` at `main`",
        "unset HF_HUB_OFFLINE",
    ];
    try_model("gpt2").is_refused_with(&offline);
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().display().to_string();
    try_model(&empty).is_refused_with(&["config.json"]);
}

#[test]
fn a_bound_of_memory_that_is_too_small_is_refused_with_the_least() {
    let too_small = ["--memory allows 1 MiB", "at least", "raise --memory"];
    with(&["--memory", "1MiB"]).is_refused_with(&too_small);
    let shared = ["each of 3 workers", "--memory allows 66 MiB", "hint: "];
    with(&["--memory", "200MiB", "--workers", "3"]).is_refused_with(&shared);
    let model = marian();
    let attribute = ["attribute", "-m", &model, "-i", "text", "--memory", "1MiB"];
    whence(&attribute).is_refused_with(&too_small);
    whence(&["worker", "--memory", "1MiB"]).is_refused_with(&too_small);
}

#[test]
fn an_unknown_architecture_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"model_type": "perceiver"}"#;
    fs::write(folder.path().join("config.json"), config).unwrap();
    let model = folder.path().display().to_string();
    let refused = whence(&["attribute", "-m", &model, "-i", "text"]);
    refused.is_refused_with(&["`perceiver`", "hint: whence list models"]);
}

#[test]
fn a_model_without_weights_is_refused_before_a_job() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    fs::create_dir(&model).unwrap();
    for name in ["config.json", "source.spm", "target.spm", "vocab.json"] {
        fs::copy(format!("{}/{name}", marian()), model.join(name)).unwrap();
    }
    let (model, data) = (model.display().to_string(), translations());
    let root = folder.path().join("out").display().to_string();
    let mut arguments = vec![
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &data,
        "--root",
        &root,
    ];
    arguments.extend(["-in", "translation.en", "--dataset_split", "train[:2]"]);
    whence(&arguments).is_refused_with(&["has no weights", "safetensors", "hint: "]);
    assert!(!folder.path().join("out").exists());
}

#[test]
fn unknown_names_and_parameters_are_answered_with_the_nearest() {
    with(&["-a", "salience"]).is_refused_with(&[
        "unknown attribution method `salience`, did you mean `saliency`?",
        "hint: whence list methods",
    ]);
    with(&["-fn", "probabilty"]).is_refused_with(&["did you mean `probability`?"]);
    let n_step = [
        "-a",
        "integrated_gradients",
        "--attribution_kwargs",
        r#"{"n_step": 3}"#,
    ];
    with(&n_step).is_refused_with(&[
        "--attribution-kwargs: unknown option `n_step`, did you mean `n_steps`?",
        "hint: `integrated_gradients` has `",
    ]);
    with(&["--attribution-aggregators", "means"]).is_refused_with(&["did you mean `mean`?"]);
    with(&["--attribution-kwargs", "n_steps=3"]).is_refused_with(&["not JSON"]);
    with(&["--generation-kwargs", r#"{"new_tokens": 4}"#]).is_refused_with(&["new_tokens"]);
    with(&["--attribution-aggregators", "none"]).is_refused_with(&["raw scores"]);
}

#[test]
fn flags_that_cannot_be_served_say_why() {
    let half = r#"{"torch_dtype": "float16"}"#;
    with(&["--model_kwargs", half]).is_refused_with(&[
        r#"--model-kwargs: torch_dtype must be "float32", not "float16": use --dtype"#,
    ]);
    let blank = r#"{"add_prefix_space": true}"#;
    with(&["--tokenizer_kwargs", blank]).is_refused_with(&["`add_prefix_space`", "`src_lang`"]);
    with(&["--tokenizer_kwargs", r#"{"src_lang": 3}"#])
        .is_refused_with(&["src_lang must be the code of a language, not 3"]);
    with(&["--chat", r#"{"sistem": "x"}"#])
        .is_refused_with(&["--chat: unknown option `sistem`, did you mean `system`?"]);
    with(&["--dataset_auth_token", "x"]).is_refused_with(&["set HF_TOKEN"]);
    with(&["--device", "gpu"]).is_refused_with(&["`gpu` is not a device; use `cpu`, `cuda`"]);
    // No machine has so many GPUs; most have no library of CUDA either.
    with(&["--device", "cuda:907"]).is_refused_with(&["`cuda:907` cannot be used", "--device cpu"]);
    with(&["--output_step_attributions", "true"]).is_refused_with(&["must be false"]);
}

#[test]
fn a_missing_column_is_answered_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (marian(), translations());
    let root = folder.path().display().to_string();
    let arguments = [
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &data,
        "--root",
        &root,
    ];
    whence(&[&arguments[..], &["-in", "translation.eng"]].concat()).is_refused_with(&[
        "no row has a field `translation.eng`",
        "did you mean `translation.en`?",
    ]);
}

#[test]
fn a_missing_dataset_is_named() {
    let model = marian();
    let arguments = ["attribute-dataset", "-m", &model, "-in", "text"];
    let with = |more: &[&str]| whence(&[&arguments[..], more].concat());
    with(&["-d", "/nowhere/rows.jsonl"]).is_refused_with(&["/nowhere/rows.jsonl"]);
    with(&["-d", "nobody/nothing"]).is_refused_with(&["`nobody/nothing`", "offline"]);
    let (folder, _) = translations()
        .rsplit_once('/')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let mistyped = with(&["-d", &format!("{folder}/libreoffice-help-en-fr.tset.jsonl")]);
    mistyped.is_refused_with(&["did you mean `", "libreoffice-help-en-fr.test.jsonl`?"]);
    let path = with(&["-d", "data/tran.parquet"]);
    path.is_refused_with(&["there is no file or folder `data/tran.parquet`"]);
    with(&["-d", "json"]).is_refused_with(&["needs --dataset-files"]);
    with(&[]).is_refused_with(&["--dataset-name"]);
}

#[test]
fn a_dataset_may_be_given_as_inseq_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (marian(), translations());
    let root = folder.path().display().to_string();
    let mut arguments = vec!["attribute-dataset", "-m", &model, "--root", &root];
    arguments.extend([
        "-d",
        "json",
        "--dataset_files",
        &data,
        "--dataset_split",
        "train[:2]",
    ]);
    arguments.extend(["-in", "translation.en", "--hide_attributions"]);
    whence(&arguments).ended_with(0, &["attributed 2 rows"]);
}

#[test]
fn a_truncated_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows.parquet");
    fs::write(&data, b"PAR1 and then nothing").unwrap();
    let (model, data) = (marian(), data.display().to_string());
    let root = folder.path().join("out").display().to_string();
    let arguments = [
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &data,
        "--root",
        &root,
    ];
    let ran = whence(&[&arguments[..], &["-in", "text"]].concat());
    assert!(ran.status == 1 || ran.status == 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("rows.parquet"), "{}", ran.stderr);
}

#[test]
fn a_store_that_cannot_be_used_is_named() {
    let model = marian();
    let data = translations();
    let arguments = [
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &data,
        "-in",
        "translation.en",
    ];
    let with = |root: &str| whence(&[&arguments[..], &["--root", root]].concat());
    with("gopher://x/y").is_refused_with(&["`gopher://x/y`", "s3://bucket/prefix"]);
    with("/proc/whence").is_refused_with(&["/proc/whence"]);
    // This port was free a moment ago, so nothing listens on it.
    let port = free_port();
    let bucket = format!("s3://bucket/prefix?endpoint=http://127.0.0.1:{port}&region=us-east-1");
    let mut command = command(&[&arguments[..], &["--root", &bucket]].concat());
    command
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b");
    let ran = ended(command.output().unwrap());
    ran.ended_with(1, &["store `s3://bucket/prefix"]);
}

#[test]
fn a_coordinator_that_is_not_there_is_said_so() {
    let url = format!("http://127.0.0.1:{}", free_port());
    // Each command waits for a coordinator that may be starting, so run them all at once.
    std::thread::scope(|scope| {
        for command in [&["status"][..], &["watch", "abc"], &["cancel", "abc"]] {
            let arguments = [command, &["--coordinator", &url]].concat();
            let said = format!("no coordinator answers at {url}");
            scope.spawn(move || whence(&arguments).ended_with(1, &[&said, "hint: start one"]));
        }
    });
    whence(&["status", "--coordinator", "nonsense"]).is_refused_with(&["`nonsense`", "hint: "]);
}

#[test]
fn a_root_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("none");
    let name = root.display().to_string();
    whence(&["sql", "--root", &name, "SELECT 1"]).is_refused_with(&["there is no storage root"]);
    whence(&["show", "abc", "--root", &name]).is_refused_with(&["there is no storage root"]);
    assert!(!root.exists());
}

#[test]
fn texts_and_targets_must_match() {
    let model = fixture("models/glass-en");
    let pair = ["attribute", "-m", &model, "-i", "a", "b", "-g", "a c"];
    whence(&pair).is_refused_with(&["2 input texts and 1 generated texts"]);
    let apart = ["attribute", "-m", &model, "-i", "one", "-g", "another"];
    whence(&apart).is_refused_with(&["does not start with the input text"]);
}

#[test]
fn a_text_too_large_for_the_memory_is_named_and_costs_the_others_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (tight, ample) = (folder.path().join("tight"), folder.path().join("ample"));
    let split = "train[:12]";
    let ran = attribute_dataset(&tight, split, &["--memory", "131MiB"]);
    ran.ended_with(0, &["MiB of working memory; --memory allows 131 MiB"]);
    attribute_dataset(&ample, split, &[]).ended_with(0, &["attributed 12 rows"]);
    let scores = |root: &std::path::Path| {
        let question = "SELECT score FROM attributions WHERE example_id = 2 ORDER BY step, side, source_position";
        whence(&["sql", "--root", &root.display().to_string(), question]).succeeded()
    };
    let expected = scores(&ample);
    assert!(expected.lines().count() > 100, "{expected}");
    assert_eq!(scores(&tight), expected);
    with(&["--memory", "6 apples"]).is_refused_with(&["`6GiB`"]);
}
