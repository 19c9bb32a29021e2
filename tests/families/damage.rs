//! Damaged or inconsistent models: each is refused with an error that names what is wrong.

use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use whence_engine::ErrorScope;
use whence_engine::model;

use crate::reference::Reference;

/// Copies the model `name` and damages it with `change`. Returns the error of loading it.
fn refusal(name: &str, change: impl FnOnce(&Path)) -> String {
    let reference = Reference::all().into_iter().find(|r| r.name == name);
    let original = reference.unwrap().folder;
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(original.join(file), folder.path().join(file)).unwrap();
    }
    change(folder.path());
    let error = model::load(folder.path(), DType::F32).unwrap_err();
    assert_eq!(error.scope(), ErrorScope::Model);
    error.to_string()
}

fn set(folder: &Path, field: &str, value: Value) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config[field] = value;
    fs::write(path, config.to_string()).unwrap();
}

#[track_caller]
fn assert_names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(
            message.contains(part),
            "`{part}` is missing from: {message}"
        );
    }
}

#[test]
fn an_unknown_model_type_is_named() {
    let message = refusal("gpt2", |folder| set(folder, "model_type", json!("rwkv")));
    assert_names(&message, &["config.json", "rwkv"]);
}

#[test]
fn an_unknown_activation_is_named() {
    let message = refusal("gpt2", |folder| {
        set(folder, "activation_function", json!("xielu"));
    });
    assert_names(&message, &["config.json", "activation_function", "xielu"]);
    let message = refusal("t5", |folder| {
        set(folder, "feed_forward_proj", json!("gated-xielu"));
    });
    assert_names(&message, &["config.json", "feed_forward_proj", "xielu"]);
}

#[test]
fn an_unknown_rope_type_is_named() {
    let rope = json!({"rope_type": "spiral", "rope_theta": 10000.0});
    let message = refusal("llama", |folder| set(folder, "rope_parameters", rope));
    assert_names(&message, &["config.json", "spiral", "yarn"]);
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    let message = refusal("llama", |folder| {
        set(folder, "intermediate_size", json!(48));
    });
    let parts = [
        "model.safetensors",
        "mlp.gate_proj.weight",
        "[24, 32]",
        "[48, 32]",
    ];
    assert_names(&message, &parts);
}

#[test]
fn a_missing_tensor_is_named() {
    let message = refusal("gpt2", |folder| set(folder, "n_layer", json!(3)));
    assert_names(&message, &["transformer.h.2."]);
}

#[test]
fn a_vocabulary_that_does_not_fit_is_named() {
    let message = refusal("t5", |folder| set(folder, "vocab_size", json!(49)));
    assert_names(&message, &["shared.weight", "[48, 32]", "[49, 32]"]);
}

#[test]
fn a_vocabulary_of_one_side_that_does_not_fit_is_named_with_its_table() {
    for (field, table, shapes) in [
        (
            "vocab_size",
            "encoder.embed_tokens.weight",
            ["[56, 32]", "[49, 32]"],
        ),
        (
            "decoder_vocab_size",
            "decoder.embed_tokens.weight",
            ["[48, 32]", "[49, 32]"],
        ),
    ] {
        let message = refusal("marian-separate", |folder| set(folder, field, json!(49)));
        assert_names(&message, &["model.safetensors", table]);
        assert_names(&message, &shapes);
    }
    // The configuration asks for one shared table, but the file has two.
    let message = refusal("marian-separate", |folder| {
        set(folder, "share_encoder_decoder_embeddings", json!(true));
    });
    assert_names(&message, &["model.shared.weight"]);
}

#[test]
fn heads_that_do_not_fit_are_named() {
    let message = refusal("llama", |folder| {
        set(folder, "num_key_value_heads", json!(3));
    });
    assert_names(&message, &["config.json", "4 attention heads", "3"]);
    let message = refusal("gpt2", |folder| set(folder, "n_head", json!(5)));
    assert_names(&message, &["config.json", "5 attention heads", "32"]);
}

#[test]
fn a_wrong_field_is_named_with_its_value() {
    let message = refusal("llama", |folder| {
        set(folder, "num_hidden_layers", json!("two"));
    });
    assert_names(&message, &["num_hidden_layers", "two", "positive integer"]);
}

#[test]
fn a_truncated_weight_file_is_named() {
    let message = refusal("bart", |folder| {
        let path = folder.join("model.safetensors");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    });
    assert_names(&message, &["model.safetensors", "bytes"]);
}

#[test]
fn what_would_change_the_numbers_is_refused() {
    let message = refusal("gemma2", |folder| {
        set(
            folder,
            "layer_types",
            json!(["chunked_attention", "full_attention"]),
        );
    });
    assert_names(&message, &["layer_types", "chunked_attention"]);
    let message = refusal("mixtral", |folder| {
        set(folder, "num_experts_per_tok", json!(5));
    });
    assert_names(&message, &["choose 5 of 4 experts"]);
}

fn are_refused(cases: &[(&str, &str, Value)]) {
    for (name, field, value) in cases {
        let message = refusal(name, |folder| set(folder, field, value.clone()));
        assert_names(&message, &["config.json", field]);
    }
}

/// The same in mixtures of experts and other later families.
#[test]
fn a_switch_of_a_later_family_that_is_not_served_is_named() {
    let recurrent = json!(["mamba", "attention"]);
    let unknown = json!(["dense", "recurrent"]);
    are_refused(&[
        ("bigbird_pegasus", "attention_type", json!("windowed")),
        ("deepseek_v2", "norm_topk_prob", json!(true)),
        ("deepseek_v2", "topk_method", json!("random")),
        ("deepseek_v3", "scoring_func", json!("softmax")),
        ("deepseek_v3", "v_head_dim", json!(11)),
        ("deepseek_v3", "moe_layer_freq", json!(2)),
        ("ernie4_5_moe", "use_bias", json!(true)),
        ("gemma3", "text_config", json!({"model_type": "rwkv"})),
        ("granitemoehybrid", "layer_types", recurrent),
        ("iquestcoder", "use_sliding_window", json!(true)),
        ("mellum", "mlp_layer_types", unknown),
        ("mvp", "use_prompt", json!(true)),
        ("olmo3", "rope_parameters", json!({"rope_type": "default"})),
        ("olmoe", "clip_qkv", json!(8.0)),
        ("openai-gpt", "afn", json!("tanh")),
        ("t5gemma", "encoder", Value::Null),
    ]);
    // Groups that have fewer experts than a row has to choose.
    let message = refusal("deepseek_v3", |folder| {
        set(folder, "num_experts_per_tok", json!(5));
    });
    assert_names(&message, &["choose 5 experts in 2 of 4 groups"]);
    let message = refusal("codegen", |folder| set(folder, "n_head", json!(2)));
    assert_names(&message, &["2 attention heads", "4 parts"]);
}

/// A configuration switch that we do not support and that changes what the model computes.
#[test]
fn a_switch_that_is_not_served_is_named() {
    let nested = |field: &str, value: Value| json!({ field: value });
    let cases = [
        ("gemma", "use_bidirectional_attention", json!(true)),
        ("gemma2", "use_bidirectional_attention", json!(true)),
        ("gemma3_text", "use_bidirectional_attention", json!(true)),
        ("gemma3_text", "attn_logit_softcapping", json!(50.0)),
        ("llama", "partial_rotary_factor", json!(0.5)),
        ("falcon-new", "parallel_attn", json!(false)),
        ("mpt", "no_bias", json!(false)),
        ("mpt", "logit_scale", json!("inv_sqrt_d_model")),
        ("mpt", "norm_type", json!("rmsnorm")),
    ];
    are_refused(&cases);
    for (field, value) in [
        ("alibi", json!(false)),
        ("qk_ln", json!(true)),
        ("prefix_lm", json!(true)),
        ("attn_type", json!("multiquery_attention")),
    ] {
        let message = refusal("mpt", |folder| {
            set(folder, "attn_config", nested(field, value));
        });
        assert_names(&message, &["config.json", field]);
    }
}

/// Adds the tensor `name` to the weights in `folder`.
fn add_tensor(folder: &Path, name: &str, tensor: Tensor) {
    let path = folder.join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    tensors.insert(name.to_owned(), tensor);
    candle_core::safetensors::save(&tensors, path).unwrap();
}

#[test]
fn a_bias_the_configuration_leaves_out_is_named() {
    for name in [
        "model.layers.1.self_attn.q_proj.bias",
        "model.layers.0.mlp.down_proj.bias",
        "model.norm.bias",
    ] {
        let bias = Tensor::full(0.5_f32, 32, &Device::Cpu).unwrap();
        let message = refusal("llama", |folder| add_tensor(folder, name, bias));
        assert_names(&message, &["model.safetensors", name, "does without it"]);
    }
}

#[test]
fn separate_embeddings_of_encoder_and_decoder_are_named() {
    for (model, name) in [
        ("bart", "model.encoder.embed_tokens.weight"),
        ("t5", "decoder.embed_tokens.weight"),
    ] {
        let other = Tensor::full(0.5_f32, (48, 32), &Device::Cpu).unwrap();
        let message = refusal(model, |folder| add_tensor(folder, name, other));
        assert_names(
            &message,
            &["model.safetensors", name, "separate embeddings"],
        );
    }
}
