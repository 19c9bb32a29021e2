//! Models that are not what their `model_type` says. They are refused by name, or load with a
//! notice.
//!
//! Every case is a committed model with one file added or changed, as found in published models.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use whence_engine::model::{ModelFiles, OpenedModel};
use whence_engine::{Error, ErrorScope, Notice};

use crate::reference::Reference;

/// A copy of a committed model that a test can change.
pub(crate) struct Copy(tempfile::TempDir);

impl Copy {
    pub(crate) fn of(name: &str) -> Self {
        let reference = Reference::all().into_iter().find(|r| r.name == name);
        let original = reference.unwrap().folder;
        let folder = tempfile::tempdir().unwrap();
        for file in ["config.json", "model.safetensors"] {
            fs::copy(original.join(file), folder.path().join(file)).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(self, file: &str, text: &str) -> Self {
        fs::write(self.path().join(file), text).unwrap();
        self
    }

    /// Sets a field of `config.json`.
    fn set(self, field: &str, value: Value) -> Self {
        let path = self.path().join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        config[field] = value;
        self.write("config.json", &config.to_string())
    }

    /// Rewrites the tensors.
    fn tensors(self, change: impl FnOnce(&mut HashMap<String, Tensor>)) -> Self {
        let path = self.path().join("model.safetensors");
        let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, path).unwrap();
        self
    }

    /// Adds a tensor of `value`s.
    fn add(self, name: &str, shape: &[usize], value: f32) -> Self {
        let tensor = Tensor::full(value, shape, &Device::Cpu).unwrap();
        self.tensors(|tensors| {
            tensors.insert(name.to_owned(), tensor);
        })
    }

    /// Renames every tensor.
    fn rename(self, rename: impl Fn(&str) -> String) -> Self {
        self.tensors(|tensors| {
            let renamed = tensors
                .drain()
                .map(|(name, tensor)| (rename(&name), tensor));
            *tensors = renamed.collect();
        })
    }

    fn open(&self) -> Result<OpenedModel, Error> {
        OpenedModel::open(&ModelFiles::open(self.path())?, DType::F32)
    }

    /// Checks that the model is refused, with all of `parts` in the message or the next step.
    #[track_caller]
    fn is_refused_with(&self, parts: &[&str]) {
        let error = self.open().unwrap_err();
        assert_eq!(error.scope(), ErrorScope::Model);
        let message = format!("{error}; {}", error.next_step().unwrap_or_default());
        for part in parts {
            assert!(
                message.contains(part),
                "`{part}` is missing from: {message}"
            );
        }
    }

    /// Returns the notices of a model that loads.
    #[track_caller]
    fn notices(self) -> Vec<Notice> {
        let opened = self.open().unwrap();
        let notices = opened.notices().to_vec();
        opened.load(None).unwrap();
        notices
    }
}

#[test]
fn committed_models_are_opened_without_a_word() {
    for reference in Reference::all() {
        let files = ModelFiles::open(&reference.folder).unwrap();
        let opened = OpenedModel::open(&files, DType::F32)
            .unwrap_or_else(|error| panic!("{}: {error}", reference.name));
        assert_eq!(opened.notices(), [], "{}", reference.name);
        opened.check_weights().unwrap();
    }
}

#[test]
fn quantized_weights_are_refused_by_the_method_whatever_their_tensors() {
    let gptq = json!({"quant_method": "gptq", "bits": 4});
    let next = "unquantized checkpoint, or a GGUF file";
    Copy::of("llama")
        .set("quantization_config", gptq.clone())
        .is_refused_with(&["GPTQ", next]);
    let pack = |name: &str| name.replace("_proj.weight", "_proj.qweight");
    Copy::of("llama")
        .set("quantization_config", gptq)
        .rename(pack)
        .is_refused_with(&["GPTQ", next]);
    // Only the names of the tensors show that the weights are quantized.
    Copy::of("llama")
        .rename(pack)
        .is_refused_with(&["quantized weights", "qweight", next]);
    Copy::of("llama")
        .add("model.layers.0.mlp.down_proj.weight_scale", &[1], 0.5)
        .is_refused_with(&["weight_scale", "does without"]);
}

#[test]
fn a_tensor_of_integers_is_named() {
    Copy::of("llama")
        .tensors(|tensors| {
            let name = "model.layers.0.mlp.down_proj.weight";
            let bytes = tensors[name].to_dtype(DType::U8).unwrap();
            tensors.insert(name.to_owned(), bytes);
        })
        .is_refused_with(&["mlp.down_proj.weight", "unquantized"]);
}

#[test]
fn an_adapter_of_another_kind_is_refused() {
    let adapter = r#"{"peft_type": "LOHA", "base_model_name_or_path": "lab/base"}"#;
    Copy::of("gpt2")
        .write("adapter_config.json", adapter)
        .is_refused_with(&["LOHA adapter", "merge_and_unload"]);
}

#[test]
fn a_classifier_is_refused_and_a_value_head_is_noticed() {
    Copy::of("llama")
        .set("architectures", json!(["LlamaForSequenceClassification"]))
        .add("score.weight", &[2, 32], 0.5)
        .is_refused_with(&["`LlamaForSequenceClassification`", "`…ForCausalLM`"]);
    // The class name does not show it, but the extra tensor does.
    let notices = Copy::of("llama")
        .add("v_head.summary.weight", &[1, 32], 0.5)
        .notices();
    let [notice @ Notice::UnusedTensors { count: 1, .. }] = &notices[..] else {
        panic!("{notices:?}");
    };
    assert!(
        notice.to_string().contains("`v_head.summary.weight`"),
        "{notice}"
    );
}

#[test]
fn code_of_its_own_is_noticed_once() {
    let notices = Copy::of("llama")
        .set("architectures", json!(["OwnForCausalLM"]))
        .set(
            "auto_map",
            json!({"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}),
        )
        .notices();
    let [notice @ Notice::OwnCode { .. }] = &notices[..] else {
        panic!("{notices:?}");
    };
    assert!(
        notice.to_string().contains("modeling_own.OwnForCausalLM"),
        "{notice}"
    );
    let notices = Copy::of("llama")
        .set("architectures", json!(["OwnForCausalLM"]))
        .notices();
    assert!(
        matches!(notices[..], [Notice::OtherFamily { .. }]),
        "{notices:?}"
    );
}

#[test]
fn a_model_without_a_head_is_noticed_if_its_embedding_can_serve() {
    let notices = Copy::of("gpt2")
        .set("architectures", json!(["GPT2Model"]))
        .notices();
    assert!(
        matches!(notices[..], [Notice::Headless { .. }]),
        "{notices:?}"
    );
    Copy::of("llama")
        .set("architectures", json!(["LlamaModel"]))
        .tensors(|tensors| {
            tensors.remove("lm_head.weight");
        })
        .is_refused_with(&["no language-model head", "`lm_head.weight`"]);
}

#[test]
fn a_tensor_of_the_body_that_nobody_reads_is_refused() {
    Copy::of("llama")
        .add("model.layers.2.input_layernorm.weight", &[32], 0.5)
        .is_refused_with(&["1 tensor", "`model.layers.2.input_layernorm.weight`"]);
    Copy::of("gpt2")
        .add("transformer.h.0.attn.c_attn.lora_A.weight", &[4, 32], 0.5)
        .is_refused_with(&["`transformer.h.0.attn.c_attn.lora_A.weight`"]);
    Copy::of("olmo")
        .add("model.norm.weight", &[32], 0.5)
        .is_refused_with(&["`model.norm.weight`"]);
}

/// The check before loading finds the same errors as loading the weights.
#[test]
fn weights_are_checked_as_they_are_loaded() {
    Copy::of("llama")
        .add("model.norm.bias", &[32], 0.5)
        .is_refused_with(&["`model.norm.bias`", "does without it"]);
    let copy = Copy::of("bart").add("model.encoder.embed_tokens.weight", &[48, 32], 0.5);
    let opened = copy.open().unwrap();
    for error in [
        opened.check_weights().unwrap_err(),
        opened.load(None).unwrap_err(),
    ] {
        assert!(error.to_string().contains("separate embeddings"), "{error}");
    }
}

#[test]
fn what_a_model_computes_itself_may_be_left_out() {
    let notices = Copy::of("llama")
        .add("model.layers.0.self_attn.rotary_emb.inv_freq", &[4], 0.5)
        .add("model.layers.0.post_attention_layernorm.bias", &[32], 0.0)
        .notices();
    assert_eq!(notices, []);
    let notices = Copy::of("gpt2")
        .add("transformer.h.0.attn.bias", &[1, 1, 8, 8], 1.0)
        .add("transformer.h.0.attn.masked_bias", &[1], -1e4)
        .notices();
    assert_eq!(notices, []);
    let notices = Copy::of("gpt_neox")
        .add("gpt_neox.layers.0.attention.bias", &[1, 1, 8, 8], 1.0)
        .add("gpt_neox.layers.0.attention.rotary_emb.inv_freq", &[4], 1.0)
        .notices();
    assert_eq!(notices, []);
    let name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
    assert_eq!(Copy::of("t5").add(name, &[32, 4], 0.5).notices(), []);
}

#[test]
fn stored_positions_must_be_the_computed_ones() {
    let table = "model.encoder.embed_positions.weight";
    Copy::of("pegasus")
        .tensors(|tensors| {
            let turned = (tensors[table].clone() * -1.0).unwrap();
            tensors.insert(table.to_owned(), turned);
        })
        .is_refused_with(&[table, "differ from the computed ones"]);
}

#[test]
fn names_with_a_wrapper_in_them_are_explained() {
    Copy::of("gpt2")
        .rename(|name| format!("_orig_mod.{name}"))
        .is_refused_with(&[
            "`transformer.wte.weight`",
            "`_orig_mod.`",
            "torch.compile",
            "replace",
        ]);
    Copy::of("t5")
        .rename(|name| format!("module.{name}"))
        .is_refused_with(&["`module.`", "DataParallel"]);
    Copy::of("llama")
        .rename(|name| format!("net.{name}"))
        .is_refused_with(&["`net.`"]);
    Copy::of("llama")
        .rename(|name| format!("base_model.model.{name}"))
        .is_refused_with(&["peft", "merge_and_unload"]);
}

#[test]
fn a_git_lfs_pointer_is_called_one_in_whatever_place() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";
    for file in ["config.json", "model.safetensors"] {
        Copy::of("gpt2").write(file, pointer).is_refused_with(&[
            file,
            "Git LFS pointer",
            "lfs pull",
        ]);
    }
    let shard = "model-00001-of-00001.safetensors";
    let index = json!({"weight_map": {"transformer.wte.weight": shard}});
    let copy = Copy::of("gpt2");
    fs::remove_file(copy.path().join("model.safetensors")).unwrap();
    copy.write("model.safetensors.index.json", &index.to_string())
        .write(shard, pointer)
        .is_refused_with(&[shard, "Git LFS pointer"]);
    let copy = Copy::of("gpt2");
    fs::remove_file(copy.path().join("model.safetensors")).unwrap();
    copy.write("pytorch_model.bin", pointer)
        .is_refused_with(&["pytorch_model.bin", "Git LFS pointer"]);
}

/// A NaN in any tensor of the model is found: by the check before loading and by loading itself,
/// with weights widened or kept in half precision.
#[test]
fn a_number_that_is_none_is_found_in_every_tensor() {
    for reference in Reference::all() {
        let copy = Copy::of(&reference.name);
        let path = copy.path().join("model.safetensors");
        let whole = fs::read(&path).unwrap();
        let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let tensors: HashMap<String, Value> =
            serde_json::from_slice(&whole[8..8 + header]).unwrap();
        for (name, tensor) in &tensors {
            // Whence reads neither computed positions nor what reads images.
            let is_skipped = name.ends_with("embed_positions.weight")
                || name.starts_with("vision_tower")
                || name.starts_with("multi_modal_projector");
            if name == "__metadata__" || is_skipped {
                continue;
            }
            let nan = match tensor["dtype"].as_str().unwrap() {
                "F32" => f32::NAN.to_le_bytes().to_vec(),
                // All bits set mean NaN in both half-precision formats.
                _ => vec![0xFF; 2],
            };
            let start = tensor["data_offsets"][0].as_u64().unwrap() as usize;
            let mut spoilt = whole.clone();
            spoilt[8 + header + start..][..nan.len()].copy_from_slice(&nan);
            fs::write(&path, spoilt).unwrap();
            let opened = copy.open().unwrap();
            for error in [
                opened.check_weights().unwrap_err(),
                opened.load(None).unwrap_err(),
            ] {
                let message = error.to_string();
                let is_named = message.contains(&format!("`{name}`"));
                assert!(
                    is_named && message.contains("not finite"),
                    "{name}: {message}"
                );
            }
        }
    }
}

#[test]
fn halves_that_are_kept_are_looked_at_too() {
    let name = "model.layers.1.mlp.up_proj.weight";
    for dtype in [DType::F16, DType::BF16] {
        let copy = Copy::of("llama").tensors(|tensors| {
            for tensor in tensors.values_mut() {
                *tensor = tensor.to_dtype(dtype).unwrap();
            }
            let spoilt = (tensors[name].clone() * f64::INFINITY).unwrap();
            tensors.insert(name.to_owned(), spoilt);
        });
        for free in [None, Some(0)] {
            let error = copy.open().unwrap().load(free).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("not finite"),
                "{error}"
            );
        }
    }
}
