//! Models by their names on the Hub, which is one on loopback here.

use std::path::Path;

use whence_fake_hub::{Access, FakeHub};

use crate::run::{Ran, command, ended, files, marian, translations};

/// Name of the committed translation model on the Hub.
const NAME: &str = "Helsinki-NLP/opus-mt-en-fr";

/// Runs the command with the Hub at `endpoint`, and a cache in `home`.
pub(crate) fn run(arguments: &[&str], endpoint: &str, home: &Path, more: &[(&str, &str)]) -> Ran {
    let mut command = command(arguments);
    command
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_TOKEN")
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", home)
        .env("WHENCE_CACHE", home.join("whence"))
        .envs(more.iter().copied());
    ended(command.output().expect("the command runs"))
}

/// Serves the model, to everybody or only to who has `token`.
async fn hub(token: Option<&str>) -> FakeHub {
    let fake = FakeHub::start().await;
    let folder = marian();
    let published = fake.publish_folder("models", NAME, "main", Path::new(&folder));
    published.unwrap();
    if let Some(token) = token {
        fake.restrict("models", NAME, Access::Gated, token);
    }
    fake
}

const TEXT: [&str; 6] = ["attribute", "-m", NAME, "-i", "Close it.", "--hide"];

#[tokio::test(flavor = "multi_thread")]
async fn a_model_on_the_hub_is_used_by_its_name_and_again_offline() {
    let fake = hub(None).await;
    let home = tempfile::tempdir().unwrap();
    let first = run(&TEXT, &fake.endpoint(), home.path(), &[]);
    let told = first.stderr.clone();
    assert!(told.contains("downloading model.safetensors"), "{told}");
    first.succeeded();
    fake.take_log();
    let offline = [("HF_HUB_OFFLINE", "1")];
    let again = run(&TEXT, &fake.endpoint(), home.path(), &offline);
    assert!(!again.stderr.contains("downloading"), "{}", again.stderr);
    again.succeeded();
    assert_eq!(fake.log(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_downloads_no_weights() {
    let fake = hub(None).await;
    let home = tempfile::tempdir().unwrap();
    let doctor = || run(&["doctor", "-m", NAME], &fake.endpoint(), home.path(), &[]);
    let told = doctor().succeeded();
    for part in [
        "7 files still to be downloaded",
        "marian",
        "model.safetensors",
    ] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
    let log = fake.take_log();
    assert!(!log.iter().any(|asked| asked.path.contains("safetensors")));
    run(&TEXT, &fake.endpoint(), home.path(), &[]).succeeded();
    let told = doctor().succeeded();
    for part in [
        "its weights take",
        "F16: ",
        "hf://Helsinki-NLP/opus-mt-en-fr@",
    ] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_pins_the_commit_of_its_model_and_never_the_token() {
    const TOKEN: &str = "hf_secret";
    let fake = hub(Some(TOKEN)).await;
    let folder = tempfile::tempdir().unwrap();
    let (home, root) = (folder.path().join("hf"), folder.path().join("out"));
    let (data, out) = (translations(), root.display().to_string());
    let mut arguments = vec!["attribute-dataset", "-m", NAME, "-d", &data, "--root", &out];
    arguments.extend(["--dataset_split", "train[:2]", "-in", "translation.en"]);
    arguments.extend(["-gen", "translation.fr"]);
    let refused = run(&arguments, &fake.endpoint(), &home, &[]);
    refused.is_refused_with(&["access to model", "has to be requested", "hf auth login"]);

    let token = [("HF_TOKEN", TOKEN)];
    let done = run(&arguments, &fake.endpoint(), &home, &token);
    assert!(!done.stderr.contains("secret"), "{}", done.stderr);
    done.succeeded();
    let commit = fake.publish("models", NAME, "v2", &[("config.json", b"{}")]);
    let mut is_pinned = false;
    for (path, bytes) in files(&root) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("secret"), "{}", path.display());
        is_pinned |=
            text.contains("hf://Helsinki-NLP/opus-mt-en-fr@") && path.ends_with("spec.json");
        assert!(!text.contains(&commit), "{}", path.display());
    }
    assert!(is_pinned, "the specification names the commit");
    let again = run(&arguments, &fake.endpoint(), &home, &token);
    assert!(
        again.stderr.contains("already complete"),
        "{}",
        again.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_nowhere_is_refused_with_both_places() {
    let fake = hub(None).await;
    let home = tempfile::tempdir().unwrap();
    let refused = |model, more: &[&str]| {
        let arguments = [&["attribute", "-i", "x", "-m", model], more].concat();
        run(&arguments, &fake.endpoint(), home.path(), &[])
    };
    let none = refused("ns/none", &[]);
    none.is_refused_with(&[
        "no folder or file `ns/none`",
        "the Hub knows no model `ns/none`",
    ]);
    let revision = refused(NAME, &["--revision", "v9"]);
    revision.is_refused_with(&["has no revision `v9`"]);
    let file = refused("Helsinki-NLP/opus-mt-en-fr:a.gguf", &[]);
    file.is_refused_with(&["has no file `a.gguf`"]);
    let local = marian();
    let local = refused(&local, &["--revision", "v1"]);
    local.is_refused_with(&["`--revision v1` is for a model on the Hub"]);
    refused("ftp://host/model", &[]).is_refused_with(&["ftp://host/model", "s3://bucket/folder"]);
}
