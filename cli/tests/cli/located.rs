//! Models that have to be brought together from several places: adapters and their bases, samplers,
//! and models in a bucket.

use std::fs;
use std::path::Path;

use serde_json::json;
use whence_fake_hub::FakeHub;
use whence_tests::buckets::{Bucket, Provider};
use whence_tests::fixtures::copy_files;

use crate::adapters::lora;
use crate::hub_models::run;
use crate::models::text;
use crate::run::{Ran, files, fixture};

const BASE: &str = "lab/base";
const ADAPTER: &str = "lab/adapter";
const SAMPLER: &str = "lab/sampler";

/// A Hub with a base model, an adapter of it and a sampler, and a cache of its own.
struct Stage {
    hub: FakeHub,
    home: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let hub = FakeHub::start().await;
        let publish = |name: &str, folder: String| {
            let folder = Path::new(&folder).to_owned();
            hub.publish_folder("models", name, "main", &folder).unwrap();
        };
        publish(BASE, fixture("models/gpt2-random"));
        publish(SAMPLER, fixture("samplers/models/bert"));
        let config = config();
        let adapter: [(&str, &[u8]); 2] = [
            ("adapter_config.json", config.as_bytes()),
            ("adapter_model.safetensors", &lora(0.1)),
        ];
        hub.publish("models", ADAPTER, "main", &adapter);
        let home = tempfile::tempdir().unwrap();
        Self { hub, home }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        run(arguments, &self.hub.endpoint(), self.home.path(), &[])
    }

    fn attribute(&self, model: &str) -> serde_json::Value {
        let saved = text(&self.home.path().join("saved.json"));
        let texts = ["attribute", "-m", model, "-i", "the", "-g", "the old house"];
        self.run(&[&texts[..], &["--hide", "-o", &saved]].concat())
            .succeeded();
        let saved: serde_json::Value = serde_json::from_slice(&fs::read(saved).unwrap()).unwrap();
        saved["attributes"]["sequence_attributions"].clone()
    }

    /// Runs a job of one row, and returns its specification.
    fn job(&self, more: &[&str]) -> serde_json::Value {
        let (rows, root) = (
            text(&self.home.path().join("rows.jsonl")),
            text(&self.home.path().join("root")),
        );
        fs::write(&rows, r#"{"text": "the", "all": "the old house"}"#).unwrap();
        let job = [
            "attribute-dataset",
            "-d",
            &rows,
            "-in",
            "text",
            "-gen",
            "all",
        ];
        self.run(&[&job[..], &["--root", &root], more].concat())
            .succeeded();
        let of_job = files(Path::new(&root));
        let spec = of_job.iter().find(|(path, _)| path.ends_with("spec.json"));
        serde_json::from_slice(&spec.unwrap().1).unwrap()
    }
}

fn config() -> String {
    json!({"peft_type": "LORA", "r": 1, "base_model_name_or_path": BASE}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_of_an_adapter_comes_from_the_hub() {
    let stage = Stage::new().await;
    let adapter = stage.home.path().join("adapter");
    fs::create_dir(&adapter).unwrap();
    fs::write(adapter.join("adapter_model.safetensors"), lora(0.1)).unwrap();
    fs::write(adapter.join("adapter_config.json"), config()).unwrap();
    let adapted = stage.attribute(&text(&adapter));
    assert_eq!(stage.attribute(ADAPTER), adapted);
    assert_ne!(stage.attribute(BASE), adapted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_pins_the_commits_of_an_adapter_and_its_base() {
    let stage = Stage::new().await;
    let spec = stage.job(&["-m", ADAPTER]);
    let model = |field: &str| spec["model"][field].as_str().unwrap();
    assert!(model("path").starts_with("hf://lab/adapter@"), "{spec}");
    assert!(model("base").starts_with("hf://lab/base@"), "{spec}");
    assert!(!model("base").ends_with("@main"), "{spec}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sampler_is_used_by_its_name_and_pinned() {
    let stage = Stage::new().await;
    let kwargs = json!({"sampler": SAMPLER, "num_probes": 2, "max_probe_steps": 3}).to_string();
    let method = ["-m", BASE, "-a", "reagent", "--attribution-kwargs", &kwargs];
    let texts = ["attribute", "-i", "the", "-g", "the old house", "--hide"];
    stage.run(&[&texts[..], &method].concat()).succeeded();
    let spec = stage.job(&method);
    let sampler = &spec["attribution"]["method"]["params"]["sampler"];
    let path = sampler["path"].as_str().unwrap();
    assert!(path.starts_with("hf://lab/sampler@"), "{spec}");
    assert!(sampler["digest"].is_string(), "{spec}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_in_a_bucket_is_downloaded_once_and_again_when_it_changes() {
    let stage = Stage::new().await;
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().unwrap();
    copy_files(Path::new(&fixture("models/gpt2-random")), folder.path());
    bucket.upload(folder.path(), "models/a model");
    let url = bucket.url("models/a%20model");
    let attribute = || {
        let ran = stage.run(&["attribute", "-m", &url, "-i", "the", "--hide"]);
        let has_downloaded = ran.stderr.contains("downloading model.safetensors");
        ran.succeeded();
        has_downloaded
    };
    assert!(attribute());
    assert!(!attribute());
    assert_eq!(stage.attribute(&url), stage.attribute(BASE));
    let spec = stage.job(&["-m", &url]);
    assert_eq!(spec["model"]["path"], url);

    let weights = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    bucket.upload(folder.path(), "models/a model");
    assert!(attribute());
    let nothing = bucket.url("models/none");
    let refused = stage.run(&["attribute", "-m", &nothing, "-i", "the"]);
    refused.is_refused_with(&["models/none", "has no weights"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_in_a_bucket_of_gcs_or_azure() {
    let stage = Stage::new().await;
    let folder = tempfile::tempdir().unwrap();
    copy_files(Path::new(&fixture("models/gpt2-random")), folder.path());
    let scores = stage.attribute(BASE);
    for provider in [Provider::Gcs, Provider::Azure] {
        let bucket = Bucket::start_as(provider).await;
        bucket.upload(folder.path(), "models/a model");
        let url = bucket.url("models/a%20model");
        assert_eq!(stage.attribute(&url), scores, "{provider:?}");
    }
}
