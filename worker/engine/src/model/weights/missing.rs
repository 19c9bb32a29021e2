//! Explains, from the names in a checkpoint, why tensors are missing.
//!
//! A checkpoint that lacks all of them usually has them under other names: training wrappers add a
//! prefix, and quantization replaces a weight by several packed tensors.

use std::path::Path;

use crate::Error;

/// Parts that wrappers insert into tensor names, and the wrapper that does so.
const WRAPPERS: &[(&str, &str)] = &[
    ("_orig_mod.", "torch.compile"),
    ("_fsdp_wrapped_module.", "FSDP"),
    ("_checkpoint_wrapped_module.", "activation checkpointing"),
    ("_forward_module.", "Lightning"),
    ("module.", "DataParallel or DeepSpeed"),
];

/// The prefix that peft puts on the names of an adapted model.
const PEFT: &str = "base_model.model.";

/// Name endings of quantized weights and of the tensors that belong to them.
const QUANTIZED: &[&str] = &[
    ".qweight",
    ".qzeros",
    ".weight_packed",
    ".weight_scale",
    ".weight_scale_inv",
    ".SCB",
    ".absmax",
    ".quant_map",
];

/// Returns the error for the checkpoint at `path`, which has the tensors `names` and lacks
/// `absent`.
pub(super) fn error(path: &Path, absent: &[&str], names: &[String]) -> Error {
    if let Some((reason, next)) = explanation(path, absent, names) {
        return Error::ModelRefused {
            path: path.to_owned(),
            reason,
            next,
        };
    }
    let others = match absent.len() {
        0 | 1 => String::new(),
        2 => ", and 1 other is missing too".to_owned(),
        count => format!(", and {} others are missing too", count - 1),
    };
    Error::Tensor {
        path: path.to_owned(),
        name: absent.first().copied().unwrap_or_default().to_owned(),
        reason: format!("no file of the checkpoint has it{others}"),
    }
}

/// Returns the reason why tensors are missing and the next step, if the names reveal them.
fn explanation(path: &Path, absent: &[&str], names: &[String]) -> Option<(String, String)> {
    let first = absent.first()?;
    if let Some(name) = names.iter().find(|name| name.starts_with(PEFT)) {
        return Some((
            format!("has the tensors of a model with a peft adapter, such as `{name}`"),
            "merge the adapter with peft's `merge_and_unload()` and save the model again"
                .to_owned(),
        ));
    }
    if let Some(name) = names.iter().find(|name| is_quantized(name)) {
        return Some((
            format!("has quantized weights, such as `{name}`, which whence does not read"),
            "take the model's unquantized checkpoint, or a GGUF file of it".to_owned(),
        ));
    }
    if let Some((part, wrapper)) = wrapped(absent, names) {
        let reason = format!(
            "has no tensor `{first}`: the names of its tensors have `{part}` in them, which \
             {wrapper} adds"
        );
        return Some((reason, how_to_rename(path, part)));
    }
    absent.iter().all(|name| is_head(name)).then(|| {
        (
            format!("has no language-model head (`{first}` is missing)"),
            "take a checkpoint of the whole model, saved as `…ForCausalLM` or \
             `…ForConditionalGeneration`"
                .to_owned(),
        )
    })
}

fn how_to_rename(path: &Path, part: &str) -> String {
    format!(
        "save the model without the wrapper, or rename its tensors: python -c \"from \
         safetensors.torch import load_file, save_file; f = '{}/model.safetensors'; \
         save_file({{k.replace('{part}', ''): v for k, v in load_file(f).items()}}, f, \
         {{'format': 'pt'}})\"",
        path.display()
    )
}

fn is_quantized(name: &str) -> bool {
    QUANTIZED.iter().any(|end| name.ends_with(end))
}

fn is_head(name: &str) -> bool {
    name.starts_with("lm_head.") || name.starts_with("embed_out.")
}

/// Returns the part that the checkpoint's names have in addition to the model's, and what puts it
/// there.
fn wrapped<'n>(absent: &[&str], names: &'n [String]) -> Option<(&'n str, &'static str)> {
    let is_absent = |name: &str| absent.contains(&name);
    for &(part, wrapper) in WRAPPERS {
        let is_wrapped = |name: &&String| {
            name.contains(part) && matches(&name.replace(part, ""), &is_absent, absent)
        };
        if names.iter().any(|name| is_wrapped(&name)) {
            return Some((part, wrapper));
        }
    }
    // A training script may wrap the model in a module of its own, whose name becomes a prefix.
    let prefix_of = |name: &'n String| {
        let mut ends = absent.iter().filter(|absent| absent.contains('.'));
        let end = ends.find(|absent| name.ends_with(**absent))?;
        let prefix = name.strip_suffix(*end)?;
        prefix.ends_with('.').then_some(prefix)
    };
    let prefix = names.iter().find_map(prefix_of)?;
    Some((prefix, "the module around the model"))
}

/// Returns whether `name` is one of the absent names, with or without the first part, which a
/// model saved without its head lacks.
fn matches(name: &str, is_absent: &impl Fn(&str) -> bool, absent: &[&str]) -> bool {
    let is_bare = |absent: &&str| absent.split_once('.').is_some_and(|(_, bare)| bare == name);
    is_absent(name) || absent.iter().any(is_bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [&str; 2] = ["transformer.wte.weight", "transformer.h.0.ln_1.weight"];

    fn said(absent: &[&str], names: &[&str]) -> (String, Option<String>) {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let error = error("m".as_ref(), absent, &names);
        (error.to_string(), error.next_step())
    }

    #[test]
    fn wrappers_are_named_wherever_they_stand() {
        for (names, part, wrapper) in [
            (
                ["_orig_mod.transformer.wte.weight", "x"],
                "`_orig_mod.`",
                "torch.compile",
            ),
            (
                ["module.transformer.wte.weight", "x"],
                "`module.`",
                "DataParallel",
            ),
            (
                ["_orig_mod.wte.weight", "x"],
                "`_orig_mod.`",
                "torch.compile",
            ),
            (
                ["transformer.h.0._fsdp_wrapped_module.ln_1.weight", "x"],
                "`_fsdp_wrapped_module.`",
                "FSDP",
            ),
            (
                ["net.transformer.wte.weight", "x"],
                "`net.`",
                "module around",
            ),
        ] {
            let (message, next) = said(&WANTED, &names);
            assert!(
                message.contains(part) && message.contains(wrapper),
                "{message}"
            );
            assert!(next.unwrap().contains("k.replace("), "{message}");
        }
    }

    #[test]
    fn adapters_and_packed_weights_are_named_by_a_tensor() {
        let name = "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight";
        let (message, next) = said(&WANTED, &[name]);
        assert!(
            message.contains("peft") && message.contains(name),
            "{message}"
        );
        assert!(next.unwrap().contains("merge_and_unload"));
        let name = "model.layers.0.self_attn.q_proj.qweight";
        let (message, _) = said(&["model.layers.0.self_attn.q_proj.weight"], &[name]);
        assert!(
            message.contains("quantized") && message.contains(name),
            "{message}"
        );
    }

    #[test]
    fn a_body_without_its_head_is_called_that() {
        let (message, next) = said(&["lm_head.weight"], &["model.norm.weight"]);
        assert!(message.contains("no language-model head"), "{message}");
        assert!(next.unwrap().contains("ForCausalLM"));
    }

    #[test]
    fn what_no_name_explains_is_counted() {
        let absent = ["a.b", "a.c", "a.d"];
        let (message, next) = said(&absent, &["x.y"]);
        assert!(
            message.contains("`a.b`") && message.contains("2 others"),
            "{message}"
        );
        assert_eq!(next, None);
    }
}
