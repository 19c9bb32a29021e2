//! Models that are refused, or accepted with a warning. `attribute`, `attribute-dataset`, `submit`
//! and `doctor` report the same, and a refused model starts no work.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use whence_tests::fixtures::copy_files;

use crate::cluster::coordinator;
use crate::run::{fixture, translations, whence};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";

/// A copy of a committed model, and a place for results.
pub(crate) struct Model {
    pub(crate) folder: tempfile::TempDir,
}

impl Model {
    pub(crate) fn copy(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("m");
        fs::create_dir(&model).unwrap();
        copy_files(Path::new(&fixture(&format!("models/{name}"))), &model);
        Self { folder }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("m").join(file)
    }

    pub(crate) fn write(self, file: &str, text: &str) -> Self {
        fs::write(self.path(file), text).unwrap();
        self
    }

    pub(crate) fn remove(self, file: &str) -> Self {
        fs::remove_file(self.path(file)).unwrap();
        self
    }

    fn rename(self, from: &str, to: &str) -> Self {
        fs::rename(self.path(from), self.path(to)).unwrap();
        self
    }

    fn set(self, field: &str, value: Value) -> Self {
        let text = fs::read_to_string(self.path("config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config[field] = value;
        self.write("config.json", &config.to_string())
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    pub(crate) fn doctor(&self) -> crate::run::Ran {
        whence(&["doctor", "--model", &text(&self.path(""))])
    }

    fn attribute(&self) -> crate::run::Ran {
        let model = text(&self.path(""));
        let generate = r#"{"max_new_tokens": 1}"#;
        whence(&[
            "attribute",
            "--hide",
            "-m",
            &model,
            "-i",
            "the",
            "--generation-kwargs",
            generate,
        ])
    }

    pub(crate) fn attribute_dataset(&self) -> crate::run::Ran {
        let (model, root, data) = (text(&self.path("")), text(&self.root()), translations());
        let mut arguments = vec!["attribute-dataset", "--hide", "-m", &model, "--root", &root];
        arguments.extend([
            "-d",
            &data,
            "-in",
            "translation.en",
            "--dataset_split",
            "train[:1]",
        ]);
        arguments.extend(["--generation-kwargs", r#"{"max_new_tokens": 1}"#]);
        whence(&arguments)
    }

    /// Checks that every command refuses the model with a message that contains all of `parts`, and
    /// starts no work.
    #[track_caller]
    pub(crate) fn is_refused_with(&self, parts: &[&str]) {
        self.attribute().is_refused_with(parts);
        self.attribute_dataset().is_refused_with(parts);
        assert!(!self.root().exists(), "something was begun");
        let told = self.doctor();
        assert_eq!(told.status, 1, "{}", told.stdout);
        for part in parts.iter().filter(|part| !part.starts_with("hint: ")) {
            assert!(
                told.stdout.contains(part),
                "no `{part}` in: {}",
                told.stdout
            );
        }
        assert!(told.stdout.contains("FAILED"), "{}", told.stdout);
    }

    /// Checks that every command succeeds, with a warning that contains all of `parts`.
    #[track_caller]
    pub(crate) fn is_warned_of_with(&self, parts: &[&str]) {
        let warned: Vec<_> = ["warning: "].iter().chain(parts).copied().collect();
        self.attribute().ended_with(0, &warned);
        self.attribute_dataset().ended_with(0, &warned);
        let told = self.doctor();
        told.ended_with(0, &warned);
        assert!(told.stdout.contains(" ok "), "{}", told.stdout);
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn quantized_weights_are_refused_by_the_methods_name() {
    Model::copy("glass-en")
        .set(
            "quantization_config",
            json!({"quant_method": "gptq", "bits": 4}),
        )
        .is_refused_with(&[
            "quantized with GPTQ",
            "unquantized checkpoint, or a GGUF file",
        ]);
}

#[test]
fn a_classifier_is_refused_and_code_of_its_own_is_warned_of() {
    Model::copy("glass-en")
        .set("architectures", json!(["LlamaForSequenceClassification"]))
        .is_refused_with(&["`LlamaForSequenceClassification`"]);
    let own = json!({"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"});
    Model::copy("glass-en")
        .set("architectures", json!(["OwnForCausalLM"]))
        .set("auto_map", own)
        .is_warned_of_with(&["modeling_own.OwnForCausalLM", "`llama`"]);
}

#[test]
fn weights_that_are_not_there_say_what_is_there_instead() {
    Model::copy("gpt2-random")
        .write("model.safetensors", POINTER)
        .is_refused_with(&["model.safetensors", "Git LFS pointer", "lfs pull"]);
    let shard = "model-00001-of-00002.safetensors";
    Model::copy("gpt2-random")
        .rename("model.safetensors", shard)
        .is_refused_with(&[shard, "model.safetensors.index.json"]);
    Model::copy("gpt2-random")
        .remove("model.safetensors")
        .is_refused_with(&["has no weights", "`pytorch_model.bin`"]);
}

#[test]
fn a_weight_that_is_not_a_number_is_named() {
    let model = Model::copy("gpt2-random");
    let path = model.path("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    model.is_refused_with(&["tensor `transformer.", "is not finite"]);
}

#[test]
fn tokenizers_that_are_not_read_are_named() {
    Model::copy("gpt2-random")
        .remove("tokenizer.json")
        .write("vocab.txt", "[PAD]\n[UNK]\nthe\n")
        .write(
            "tokenizer_config.json",
            r#"{"tokenizer_class": "BertTokenizer"}"#,
        )
        .is_refused_with(&["WordPiece", "AutoTokenizer"]);
    Model::copy("gpt2-random")
        .remove("tokenizer.json")
        .write("tokenizer.model", "IQ== 0\n")
        .write("tokenizer_config.json", "{}")
        .is_refused_with(&["tiktoken", "AutoTokenizer"]);
    Model::copy("lo-en-fr-tiny")
        .remove("source.spm")
        .remove("target.spm")
        .remove("vocab.json")
        .is_refused_with(&[
            "no tokenizer: Marian needs `source.spm`, `target.spm` and `vocab.json`",
        ]);
}

#[test]
fn what_is_refused_is_refused_by_submit_too() {
    let model = Model::copy("glass-en").set("quantization_config", json!({"quant_method": "awq"}));
    let (path, data) = (text(&model.path("")), translations());
    let store = tempfile::tempdir().unwrap();
    let (_coordinator, url) = coordinator(store.path());
    let mut arguments = vec!["submit", "-m", &path, "-d", &data, "-in", "translation.en"];
    arguments.extend(["--coordinator", &url]);
    whence(&arguments).is_refused_with(&["quantized with AWQ", "hint: "]);
    assert_eq!(whence(&["status", "--coordinator", &url]).succeeded(), "");
}

#[test]
fn a_dataset_that_git_lfs_has_not_fetched_is_refused_before_a_job() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    fs::write(&rows, POINTER).unwrap();
    let (rows, root) = (text(&rows), text(&folder.path().join("out")));
    let model = fixture("models/gpt2-random");
    let arguments = [
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &rows,
        "-in",
        "text",
        "--root",
        &root,
    ];
    whence(&arguments).is_refused_with(&["rows.jsonl", "Git LFS pointer", "lfs pull"]);
    assert!(!Path::new(&root).exists());
}
