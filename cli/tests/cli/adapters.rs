//! LoRA adapters: applied by every command alike, or refused.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::models::{Model, text};
use crate::run::whence;

/// Returns a safetensors file with a LoRA update of rank 1 of one weight of `gpt2-random`. All
/// numbers of its `A` are 1 and all of its `B` are `b`.
pub(crate) fn lora(b: f32) -> Vec<u8> {
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
        .is_refused_with(&["base `lab/base` of the adapter", "base_model_name_or_path"]);
}
