//! Tiny random models for tests: real checkpoints that are written to disk and loaded like any
//! other.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use super::Transformer;

/// A source of reproducible noise tensors.
struct Noise {
    state: u64,
    tensors: HashMap<String, Tensor>,
}

impl Noise {
    fn next(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 40) as f32 / (1 << 24) as f32 - 0.5
    }

    fn add(&mut self, name: &str, shape: &[usize], centre: f32) {
        let values: Vec<_> = (0..shape.iter().product())
            .map(|_| centre + self.next())
            .collect();
        self.tensors.insert(
            name.to_owned(),
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap(),
        );
    }

    fn add_linear(&mut self, name: &str, outputs: usize, inputs: usize, bias: bool) {
        self.add(&format!("{name}.weight"), &[outputs, inputs], 0.0);
        if bias {
            self.add(&format!("{name}.bias"), &[outputs], 0.0);
        }
    }

    fn add_layer_norm(&mut self, name: &str, hidden: usize) {
        self.add(&format!("{name}.weight"), &[hidden], 1.0);
        self.add(&format!("{name}.bias"), &[hidden], 0.0);
    }
}

/// Returns a two-layer Llama with grouped queries and an untied head.
pub(crate) fn random_llama(dtype: DType) -> Transformer {
    let config = json!({
        "model_type": "llama", "hidden_size": 12, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4,
        "num_hidden_layers": 2, "vocab_size": 10, "max_position_embeddings": 1024, "intermediate_size": 20,
        "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_parameters": {"rope_theta": 100.0, "rope_type": "default"},
    });
    let mut noise = Noise {
        state: 42,
        tensors: HashMap::new(),
    };
    noise.add("model.embed_tokens.weight", &[10, 12], 0.0);
    noise.add("lm_head.weight", &[10, 12], 0.0);
    noise.add("model.norm.weight", &[12], 1.0);
    for layer in 0..2 {
        let prefix = format!("model.layers.{layer}");
        noise.add(&format!("{prefix}.input_layernorm.weight"), &[12], 1.0);
        noise.add(
            &format!("{prefix}.post_attention_layernorm.weight"),
            &[12],
            1.0,
        );
        for (name, outputs, inputs) in [("q", 16, 12), ("k", 8, 12), ("v", 8, 12), ("o", 12, 16)] {
            noise.add_linear(
                &format!("{prefix}.self_attn.{name}_proj"),
                outputs,
                inputs,
                false,
            );
        }
        for (name, outputs, inputs) in [("gate", 20, 12), ("up", 20, 12), ("down", 12, 20)] {
            noise.add_linear(&format!("{prefix}.mlp.{name}_proj"), outputs, inputs, false);
        }
    }
    load(&config, &noise, dtype)
}

/// Returns a Marian with two layers per side, scaled embeddings and a logits bias.
pub(crate) fn random_marian(dtype: DType) -> Transformer {
    let config = json!({
        "model_type": "marian", "d_model": 12, "vocab_size": 10, "max_position_embeddings": 1024, "scale_embedding": true,
        "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 3, "decoder_attention_heads": 3,
        "encoder_ffn_dim": 20, "decoder_ffn_dim": 20, "activation_function": "swish",
    });
    let mut noise = Noise {
        state: 43,
        tensors: HashMap::new(),
    };
    noise.add("model.shared.weight", &[10, 12], 0.0);
    noise.add("final_logits_bias", &[1, 10], 0.0);
    for (side, attentions) in [
        ("encoder", &["self_attn"][..]),
        ("decoder", &["self_attn", "encoder_attn"]),
    ] {
        for layer in 0..2 {
            let prefix = format!("model.{side}.layers.{layer}");
            for attention in attentions {
                for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                    noise.add_linear(&format!("{prefix}.{attention}.{name}"), 12, 12, true);
                }
                noise.add_layer_norm(&format!("{prefix}.{attention}_layer_norm"), 12);
            }
            noise.add_linear(&format!("{prefix}.fc1"), 20, 12, true);
            noise.add_linear(&format!("{prefix}.fc2"), 12, 20, true);
            noise.add_layer_norm(&format!("{prefix}.final_layer_norm"), 12);
        }
    }
    load(&config, &noise, dtype)
}

fn load(config: &Value, noise: &Noise, dtype: DType) -> Transformer {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), config, noise);
    super::load(folder.path(), dtype).unwrap()
}

fn write(folder: &Path, config: &Value, noise: &Noise) {
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    candle_core::safetensors::save(&noise.tensors, folder.join("model.safetensors")).unwrap();
}
