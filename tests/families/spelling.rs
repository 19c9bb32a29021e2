//! Configurations written by transformers 4 use other names, but must be read as the same model.

use std::fs;

use serde_json::{Map, Value, json};
use whence_engine::model::architectures;
use whence_engine::model::config::ConfigFile;
use whence_engine::model::spec::ModelSpec;

use crate::reference::Reference;

type Fields = Map<String, Value>;

fn fields(name: &str) -> Fields {
    let reference = Reference::all().into_iter().find(|r| r.name == name);
    let text = fs::read_to_string(reference.unwrap().folder.join("config.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn spec(fields: &Fields) -> ModelSpec {
    let folder = tempfile::tempdir().unwrap();
    let text = serde_json::to_string(fields).unwrap();
    fs::write(folder.path().join("config.json"), text).unwrap();
    architectures::spec(&ConfigFile::read(folder.path(), "config.json").unwrap()).unwrap()
}

/// Checks that the configuration rewritten by `rewrite` still describes the same model.
#[track_caller]
fn assert_same(name: &str, rewrite: impl FnOnce(&mut Fields)) {
    let new = fields(name);
    let mut old = new.clone();
    rewrite(&mut old);
    assert_ne!(new, old);
    assert_eq!(spec(&new), spec(&old));
}

/// Removes `rope_parameters`. Moves the parameters in `names` to the top level, under the names
/// that transformers 4 uses, and returns the others, which belong to the scaling.
fn flatten_rope(fields: &mut Fields, names: &[(&str, &str)]) -> Fields {
    let Some(Value::Object(mut rope)) = fields.remove("rope_parameters") else {
        panic!("no rope parameters");
    };
    for (new, old) in names {
        let value = rope.remove(*new).unwrap();
        fields.insert((*old).to_owned(), value);
    }
    rope
}

#[test]
fn rope_scaling_beside_theta() {
    for name in ["llama-biased-llama3", "llama-yarn", "llama-linear"] {
        assert_same(name, |fields| {
            let scaling = flatten_rope(fields, &[("rope_theta", "rope_theta")]);
            fields.insert("rope_scaling".to_owned(), Value::Object(scaling));
        });
    }
}

#[test]
fn rope_types_by_their_first_name() {
    assert_same("phi3-longrope", |fields| {
        let mut scaling = flatten_rope(fields, &[("rope_theta", "rope_theta")]);
        scaling.remove("rope_type");
        scaling.remove("partial_rotary_factor");
        scaling.insert("type".to_owned(), json!("su"));
        fields.insert("rope_scaling".to_owned(), Value::Object(scaling));
    });
}

#[test]
fn parts_of_heads_at_the_top_level() {
    for name in ["phi", "stablelm"] {
        assert_same(name, |fields| {
            let names = [
                ("rope_theta", "rope_theta"),
                ("partial_rotary_factor", "partial_rotary_factor"),
            ];
            flatten_rope(fields, &names);
        });
    }
    assert_same("gpt_neox", |fields| {
        let names = [
            ("rope_theta", "rotary_emb_base"),
            ("partial_rotary_factor", "rotary_pct"),
        ];
        flatten_rope(fields, &names);
    });
}

#[test]
fn two_rotations_and_a_pattern_of_windows() {
    assert_same("gemma3_text", |fields| {
        let Some(Value::Object(rope)) = fields.remove("rope_parameters") else {
            panic!("no rope parameters");
        };
        fields.insert("rope_theta".to_owned(), json!(1000.0));
        fields.insert("rope_local_base_freq".to_owned(), json!(100.0));
        let scaling = json!({"rope_type": "linear", "factor": 2.0});
        fields.insert("rope_scaling".to_owned(), scaling);
        fields.remove("layer_types");
        fields.insert("sliding_window_pattern".to_owned(), json!(2));
        assert_eq!(rope["full_attention"]["factor"], json!(2.0));
    });
}

#[test]
fn windows_by_layer_numbers() {
    for name in ["qwen2", "gemma2"] {
        assert_same(name, |fields| {
            fields.remove("layer_types").unwrap();
        });
    }
    assert_same("smollm3", |fields| {
        fields.remove("no_rope_layers").unwrap();
        fields.insert("no_rope_layer_interval".to_owned(), json!(2));
    });
}

#[test]
fn sizes_by_their_other_names() {
    assert_same("bloom", |fields| {
        let names = [
            ("hidden_size", "n_embed"),
            ("n_head", "num_attention_heads"),
            ("n_layer", "num_hidden_layers"),
        ];
        for (new, old) in names {
            let value = fields.remove(new).unwrap();
            fields.insert(old.to_owned(), value);
        }
    });
}

#[test]
fn m2m_100_scales_its_embeddings_where_nothing_is_said() {
    // transformers' default here is `true`, unlike for BART and its other relatives.
    assert_same("m2m_100", |fields| {
        assert_eq!(fields.remove("scale_embedding"), Some(json!(true)));
    });
    assert_same("bart-unscaled", |fields| {
        assert_eq!(fields.remove("scale_embedding"), Some(json!(false)));
    });
}
