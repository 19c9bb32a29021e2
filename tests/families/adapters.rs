//! LoRA adapters, compared with peft: the adapters of `tests/families/adapters`, which `adapters.py`
//! makes.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::DType;
use whence_engine::Notice;
use whence_engine::model::{self, ModelFiles, OpenedModel};
use whence_tests::fixtures::copy_files;

use crate::beyond_tolerance;
use crate::measure::measure;
use crate::reference::Reference;

fn adapter(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("families/adapters")
        .join(name)
}

/// Copies an adapter and its base into one folder.
fn beside_its_base(name: &str, base: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for from in [adapter("../models").join(base), adapter(name)] {
        copy_files(&from, folder.path());
    }
    folder
}

#[test]
fn an_adapter_computes_what_peft_merges() {
    let adapters = Reference::of_folder(&adapter(""));
    assert!(adapters.len() >= 7);
    let mut failures = Vec::new();
    for reference in adapters {
        match measure(&reference) {
            Ok(measured) => failures.extend(beyond_tolerance(&reference, &measured)),
            Err(error) => failures.push(format!("{}: {error:#}", reference.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn an_adapter_beside_its_base_is_applied_and_said() {
    let folder = beside_its_base("llama-dora", "llama");
    let files = ModelFiles::open(folder.path()).unwrap();
    assert!(matches!(files.notices(), [Notice::AdapterBeside { .. }]));
    let reference = Reference::of_folder(&adapter("")).into_iter();
    let mut reference = reference.filter(|reference| reference.name == "llama-dora");
    let mut reference = reference.next().unwrap();
    reference.folder = folder.path().to_owned();
    let measured = measure(&reference).unwrap();
    assert_eq!(beyond_tolerance(&reference, &measured), [""; 0]);
}

/// Updated weights are computed in full precision, so they cannot stay halves.
#[test]
fn halves_that_are_not_updated_may_stay_halves() {
    let files = ModelFiles::open(&adapter("llama-dora")).unwrap();
    let memory = OpenedModel::open(&files, DType::F32).unwrap().memory();
    let base = ModelFiles::open(&adapter("../models/llama")).unwrap();
    let of_base = OpenedModel::open(&base, DType::F32).unwrap().memory();
    assert_eq!(memory.widened, of_base.widened);
    assert!(memory.kept > of_base.kept && memory.kept < memory.widened);
    model::load_files(&files, DType::F32, Some(0)).unwrap();
}

#[test]
fn the_digest_of_an_adapter_covers_its_base() {
    let root = tempfile::tempdir().unwrap();
    for (from, to) in [("bart", "adapters/bart"), ("../models/bart", "models/bart")] {
        let to = root.path().join(to);
        fs::create_dir_all(&to).unwrap();
        copy_files(&adapter(from), &to);
    }
    let digest = || whence_engine::digest(&root.path().join("adapters/bart"));
    let mut digests = vec![digest().unwrap()];
    for changed in [
        "models/bart/generation_config.json",
        "adapters/bart/added_tokens.json",
    ] {
        fs::write(root.path().join(changed), "{}").unwrap();
        digests.push(digest().unwrap());
    }
    assert!(digests[0] != digests[1] && digests[1] != digests[2]);
    assert_eq!(digest().unwrap(), digests[2]);
    fs::remove_dir_all(root.path().join("models")).unwrap();
    let error = digest().unwrap_err().to_string();
    assert!(error.contains("adapter of `../../models/bart`"), "{error}");
}

#[test]
fn an_adapter_of_another_base_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let weights = "adapter_model.safetensors";
    fs::copy(adapter("bart").join(weights), file(weights)).unwrap();
    let config = |base: &str| {
        let base = adapter("../models").join(base);
        let config = serde_json::json!({"peft_type": "LORA", "base_model_name_or_path": base});
        fs::write(file("adapter_config.json"), config.to_string()).unwrap();
        let files = ModelFiles::open(folder.path()).unwrap();
        OpenedModel::open(&files, DType::F32).map(drop)
    };
    config("bart").unwrap();
    let error = config("llama").unwrap_err().to_string();
    assert!(error.contains("base_model.model.model."), "{error}");
    assert!(error.contains("is this the adapter's base?"), "{error}");
}

#[test]
fn what_an_adapter_cannot_mean_is_refused() {
    let folder = beside_its_base("llama-whole-head", "gpt2");
    let rename = |name: &str, to: &str| {
        fs::rename(folder.path().join(name), folder.path().join(to)).unwrap();
    };
    rename("adapter_model.safetensors", "elsewhere");
    let open = || OpenedModel::open(&ModelFiles::open(folder.path())?, DType::F32).map(drop);
    let error = open().unwrap_err().to_string();
    assert!(
        error.contains("is an adapter without its tensors"),
        "{error}"
    );
    // GPT-2 uses its embedding as the head, so a change of one of them alone has two meanings.
    let wte = "base_model.model.transformer.wte";
    let tensor = |shape: [usize; 2]| {
        candle_core::Tensor::ones(&shape, DType::F32, &candle_core::Device::Cpu).unwrap()
    };
    let tensors = std::collections::HashMap::from([
        (format!("{wte}.lora_embedding_A"), tensor([1, 48])),
        (format!("{wte}.lora_embedding_B"), tensor([32, 1])),
    ]);
    let path = folder.path().join("adapter_model.safetensors");
    candle_core::safetensors::save(&tensors, path).unwrap();
    let error = open().unwrap_err().to_string();
    assert!(
        error.contains("which its base also uses as the head"),
        "{error}"
    );
}
