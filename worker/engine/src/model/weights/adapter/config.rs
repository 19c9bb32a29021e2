//! The configuration of a LoRA adapter, `adapter_config.json` as peft writes it.
//!
//! What says which modules were trained is not read, because the adapter's tensors tell. What says
//! how the tensors change the base is either read here or refused by name.

use std::path::{Path, PathBuf};

use fancy_regex::Regex;
use serde_json::Value;
use whence_schemas::ordered::OrderedJson;

use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::disk;

/// The file that makes a folder an adapter.
pub(super) const FILE: &str = "adapter_config.json";

/// Fields that do not change what the tensors mean.
const DESCRIPTIVE: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "corda_config",
    "ephemeral_gpu_offload",
    "eva_config",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "runtime_config",
    "target_modules",
    "task_type",
];

/// Fields that are read below.
const READ: &[&str] = &[
    "alpha_pattern",
    "init_lora_weights",
    "lora_alpha",
    "revision",
    "use_dora",
    "use_rslora",
];

/// Ways to initialize an adapter that also change the base model before the training starts. The
/// stored tensors then belong to that changed base.
const CHANGES_THE_BASE: &[&str] = &["pissa", "olora", "corda", "loftq", "lora_ga"];

/// How a LoRA adapter changes its base model.
#[derive(Debug)]
pub(super) struct LoraConfig {
    alpha: f64,
    /// Other values of `alpha`, for the modules whose names match.
    alphas: Vec<(Regex, f64)>,
    is_rank_stabilized: bool,
    /// Whether each row is scaled to a trained length after the update (`DoRA`).
    pub(super) is_decomposed: bool,
    /// The base model, as peft recorded it: a path, or a name on the Hub.
    base: Option<String>,
    base_revision: Option<String>,
    /// The folder of the adapter.
    folder: PathBuf,
}

impl LoraConfig {
    /// Reads the configuration in `folder`, or returns `None` if the folder is not an adapter.
    ///
    /// Fails if the adapter is of another kind than LoRA, or has a setting that whence does not
    /// apply.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, Error> {
        if !folder.join(FILE).exists() {
            return Ok(None);
        }
        let file = ConfigFile::read(folder, FILE)?;
        let kind = file.optional_text("peft_type")?.unwrap_or("PEFT");
        if kind != "LORA" {
            return Err(refused(
                folder,
                &file,
                format!("is a {kind} adapter; whence applies only LoRA"),
            ));
        }
        refuse_unknown(folder, &file)?;
        refuse_changed_base(folder, &file)?;
        Ok(Some(Self {
            alpha: file.optional_number("lora_alpha")?.unwrap_or(8.0),
            alphas: alphas(&file)?,
            is_rank_stabilized: file.flag_or("use_rslora", false)?,
            is_decomposed: file.flag_or("use_dora", false)?,
            base: file
                .optional_text("base_model_name_or_path")?
                .map(str::to_owned),
            base_revision: file.optional_text("revision")?.map(str::to_owned),
            folder: folder.to_owned(),
        }))
    }

    /// Returns the factor of the update of `module`, whose rank is `rank`: `alpha / rank`, or
    /// `alpha / √rank` for rank-stabilized LoRA (<https://arxiv.org/abs/2312.03732>).
    pub(super) fn scaling(&self, module: &str, rank: usize) -> f64 {
        // peft takes the first pattern that matches the whole name or its end.
        let own = self.alphas.iter().find(|(pattern, _)| {
            // A pattern that backtracks too long counts as no match, as a timeout would.
            pattern.is_match(module).unwrap_or(false)
        });
        let alpha = own.map_or(self.alpha, |(_, alpha)| *alpha);
        let rank = rank as f64;
        alpha
            / if self.is_rank_stabilized {
                rank.sqrt()
            } else {
                rank
            }
    }

    /// Returns the base model as the adapter names it.
    pub(super) fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Returns the base model's revision on the Hub.
    pub(super) fn base_revision(&self) -> Option<&str> {
        self.base_revision.as_deref()
    }

    /// Returns the folder of the adapter.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Returns the patterns of `alpha_pattern` in the order of the file, because the first one that
/// matches counts.
fn alphas(file: &ConfigFile) -> Result<Vec<(Regex, f64)>, Error> {
    let damaged = |reason: String| Error::ModelContent {
        path: file.path().to_owned(),
        reason,
    };
    let text = disk::read_text(file.path())?;
    let fields = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let patterns = match fields {
        OrderedJson::Object(mut fields) => fields.shift_remove("alpha_pattern"),
        _ => None,
    };
    let Some(OrderedJson::Object(patterns)) = patterns else {
        return Ok(Vec::new());
    };
    let parsed = patterns.iter().map(|(pattern, alpha)| {
        let alpha = alpha.to_value().as_f64();
        let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$")).ok();
        regex.zip(alpha).ok_or_else(|| {
            damaged(format!(
                "`alpha_pattern` has `{pattern}`, which is not a pattern with a number"
            ))
        })
    });
    parsed.collect()
}

/// Fails if a field that is neither known nor off could change what the tensors mean.
fn refuse_unknown(folder: &Path, file: &ConfigFile) -> Result<(), Error> {
    let is_off = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    let unknown = file.fields().iter().find(|(name, value)| {
        !DESCRIPTIVE.contains(&name.as_str()) && !READ.contains(&name.as_str()) && !is_off(value)
    });
    match unknown {
        None => Ok(()),
        Some((name, value)) => Err(refused(
            folder,
            file,
            format!("is an adapter with `{name}: {value}`, which whence does not apply"),
        )),
    }
}

fn refuse_changed_base(folder: &Path, file: &ConfigFile) -> Result<(), Error> {
    let Some(Value::String(way)) = file.fields().get("init_lora_weights") else {
        return Ok(());
    };
    if !CHANGES_THE_BASE.iter().any(|start| way.starts_with(start)) {
        return Ok(());
    }
    Err(refused(
        folder,
        file,
        format!("is an adapter that was initialized with `{way}`, which also changes its base"),
    ))
}

/// Returns the error for an adapter that whence does not apply, with how to merge it.
fn refused(folder: &Path, file: &ConfigFile, reason: String) -> Error {
    let text = |field: &str| file.fields().get(field).and_then(Value::as_str);
    // The older `adapters` library stores the base model under `model_name`.
    let base = text("base_model_name_or_path").or_else(|| text("model_name"));
    let base = base.map_or_else(String::new, |base| format!(" (its base is `{base}`)"));
    Error::ModelRefused {
        path: folder.to_owned(),
        reason: reason + &base,
        next: how_to_merge(
            folder,
            text("peft_type").unwrap_or_default(),
            text("task_type").unwrap_or_default(),
        ),
    }
}

/// Explains how to merge an adapter and its base into a whole model.
fn how_to_merge(folder: &Path, kind: &str, task: &str) -> String {
    // Learned prompts do not change the weights, so they cannot be merged into them.
    if kind.contains("PROMPT") || kind.contains("PREFIX") || kind == "P_TUNING" {
        return "learned prompts cannot be merged into a model; take a model that was fine-tuned \
                without them"
            .to_owned();
    }
    let class = if task == "SEQ_2_SEQ_LM" {
        "AutoPeftModelForSeq2SeqLM"
    } else {
        "AutoPeftModelForCausalLM"
    };
    format!(
        "merge it into its base with peft: python -c \"from peft import {class} as M; \
         M.from_pretrained('{}').merge_and_unload().save_pretrained('merged')\", \
         then copy the tokenizer's files to merged",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(config: &str) -> Result<Option<LoraConfig>, Error> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), config).unwrap();
        LoraConfig::read(folder.path())
    }

    fn refusal(config: &str) -> (String, String) {
        let error = read(config).unwrap_err();
        (error.to_string(), error.next_step().unwrap())
    }

    #[test]
    fn the_first_pattern_that_matches_the_end_of_a_name_gives_alpha() {
        let config = read(
            r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 16,
                "alpha_pattern": {"q_proj": 2, "layers.1.*": 40}}"#,
        );
        let config = config.unwrap().unwrap();
        assert_eq!(config.scaling("model.layers.1.self_attn.q_proj", 4), 0.5);
        assert_eq!(config.scaling("model.layers.1.self_attn.v_proj", 4), 10.0);
        assert_eq!(config.scaling("model.layers.0.self_attn.v_proj", 8), 2.0);
        // Not a match of the whole component.
        assert_eq!(config.scaling("model.layers.0.self_attn.eq_proj", 4), 4.0);
        let config = read(r#"{"peft_type": "LORA", "lora_alpha": 16, "use_rslora": true}"#);
        assert_eq!(config.unwrap().unwrap().scaling("any", 16), 4.0);
    }

    #[test]
    fn other_kinds_are_refused_with_the_base_and_how_to_merge() {
        let (message, next) =
            refusal(r#"{"peft_type": "LOHA", "base_model_name_or_path": "lab/base"}"#);
        assert!(message.contains("LOHA adapter"), "{message}");
        assert!(message.contains("`lab/base`"), "{message}");
        assert!(next.contains("AutoPeftModelForCausalLM"), "{next}");
        let (message, next) =
            refusal(r#"{"peft_type": "PREFIX_TUNING", "task_type": "SEQ_2_SEQ_LM"}"#);
        assert!(message.contains("PREFIX_TUNING adapter"), "{message}");
        assert!(next.contains("cannot be merged"), "{next}");
    }

    #[test]
    fn settings_that_are_not_applied_are_named() {
        for (setting, named) in [
            (
                r#""alora_invocation_tokens": [1, 2]"#,
                "alora_invocation_tokens",
            ),
            (r#""layer_replication": [[0, 2]]"#, "layer_replication"),
            (r#""lora_bias": true"#, "lora_bias"),
            (r#""from_the_future": "yes""#, "from_the_future"),
            (r#""init_lora_weights": "pissa_niter_4""#, "pissa_niter_4"),
        ] {
            let (message, _) = refusal(&format!(r#"{{"peft_type": "LORA", {setting}}}"#));
            assert!(message.contains(named), "{message}");
        }
        let off = r#"{"peft_type": "LORA", "lora_bias": false, "from_the_future": null,
                      "init_lora_weights": "gaussian", "trainable_token_indices": []}"#;
        assert!(read(off).unwrap().is_some());
    }
}
