//! Models that are refused, or accepted with a warning. `attribute`, `attribute-dataset`, `submit`
//! and `doctor` report the same, and a refused model starts no work.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cluster::coordinator;
use crate::run::{fixture, translations, whence};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";

/// A copy of a committed model, and a place for results.
struct Model {
    folder: tempfile::TempDir,
}

impl Model {
    fn copy(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("m");
        fs::create_dir(&model).unwrap();
        for entry in fs::read_dir(fixture(&format!("models/{name}"))).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), model.join(entry.file_name())).unwrap();
        }
        Self { folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("m").join(file)
    }

    fn write(self, file: &str, text: &str) -> Self {
        fs::write(self.path(file), text).unwrap();
        self
    }

    fn remove(self, file: &str) -> Self {
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

    fn root(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn doctor(&self) -> crate::run::Ran {
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

    fn attribute_dataset(&self) -> crate::run::Ran {
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
    fn is_refused_with(&self, parts: &[&str]) {
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
    fn is_warned_of_with(&self, parts: &[&str]) {
        let warned: Vec<_> = ["warning: "].iter().chain(parts).copied().collect();
        self.attribute().ended_with(0, &warned);
        self.attribute_dataset().ended_with(0, &warned);
        let told = self.doctor();
        told.ended_with(0, &warned);
        assert!(told.stdout.contains(" ok "), "{}", told.stdout);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Returns a safetensors file with a LoRA update of rank 1 of one weight of `gpt2-random`. All
/// numbers of its `A` are 1 and all of its `B` are `b`.
fn lora(b: f32) -> Vec<u8> {
    const MODULE: &str = "base_model.model.transformer.h.0.attn.c_attn";
    const WIDTH: usize = 48;
    let (a_bytes, b_bytes) = (4 * WIDTH, 4 * 3 * WIDTH);
    let header = json!({
        format!("{MODULE}.lora_A.weight"):
            {"dtype": "F32", "shape": [1, WIDTH], "data_offsets": [0, a_bytes]},
        format!("{MODULE}.lora_B.weight"):
            {"dtype": "F32", "shape": [3 * WIDTH, 1], "data_offsets": [a_bytes, a_bytes + b_bytes]},
    });
    let header = header.to_string();
    let numbers = std::iter::repeat_n(1.0, WIDTH).chain(std::iter::repeat_n(b, 3 * WIDTH));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(numbers.flat_map(f32::to_le_bytes));
    file
}

#[test]
fn an_adapter_is_applied_beside_its_base_and_alone() {
    let base = Model::copy("gpt2-random");
    let config = |base: &Path| {
        json!({"peft_type": "LORA", "r": 1, "base_model_name_or_path": base}).to_string()
    };
    let scores = |model: &Model| {
        let saved = model.root().with_extension("json");
        let (model, saved) = (text(&model.path("")), text(&saved));
        let texts = [
            "attribute",
            "-m",
            &model,
            "-i",
            "the",
            "-g",
            "the old house",
        ];
        whence(&[&texts[..], &["--hide", "-o", &saved]].concat()).succeeded();
        let saved: Value = serde_json::from_slice(&fs::read(saved).unwrap()).unwrap();
        saved["attributes"]["sequence_attributions"].clone()
    };
    let with_adapter = |folder: Model, b: f32| {
        fs::write(folder.path("adapter_model.safetensors"), lora(b)).unwrap();
        folder.write("adapter_config.json", &config(&base.path("")))
    };
    let alone = || Model {
        folder: tempfile::tempdir().unwrap(),
    };
    let alone = |b| {
        let folder = alone();
        fs::create_dir(folder.path("")).unwrap();
        with_adapter(folder, b)
    };
    let of_base = scores(&base);
    assert_eq!(scores(&alone(0.0)), of_base);
    let adapted = alone(0.1);
    let of_adapted = scores(&adapted);
    assert_ne!(of_adapted, of_base);
    adapted.attribute_dataset().succeeded();
    assert!(adapted.doctor().succeeded().contains(" ok "));
    let beside = with_adapter(Model::copy("gpt2-random"), 0.1);
    assert_eq!(scores(&beside), of_adapted);
    beside.is_warned_of_with(&["has an adapter beside its model"]);
}

#[test]
fn an_adapter_that_cannot_be_merged_is_refused_beside_its_base_and_alone() {
    let adapter = json!({"peft_type": "LOHA", "base_model_name_or_path": "lab/base"}).to_string();
    let beside = || Model::copy("gpt2-random").write("adapter_config.json", &adapter);
    beside().is_refused_with(&["LOHA adapter", "`lab/base`", "merge_and_unload"]);
    let alone = || beside().remove("config.json").remove("model.safetensors");
    alone().is_refused_with(&["LOHA adapter", "`lab/base`", "merge_and_unload"]);
    let lora = adapter.replace("LOHA", "LORA");
    alone()
        .write("adapter_config.json", &lora)
        .is_refused_with(&["adapter of `lab/base`", "base_model_name_or_path"]);
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
