//! Weights that were quantized by a library other than llama.cpp.
//!
//! whence differentiates through floating-point weights. The packed integers of these formats need
//! their own kernels, and those affect what the model computes. Such a model is refused with the
//! name of its quantization method, whatever its tensors look like.

use std::path::Path;

use serde_json::{Map, Value};

use crate::Error;
use crate::model::config::ConfigFile;

/// Fields of `config.json` that describe quantized weights, as written by transformers, by older
/// versions of compressed-tensors, and by MLX.
const FIELDS: &[&str] = &["quantization_config", "compression_config", "quantization"];

/// Files that describe quantized weights if `config.json` does not, and their method. They come
/// from `AutoGPTQ`, `AutoAWQ` and `ModelOpt`.
const FILES: &[(&str, &str)] = &[
    ("quantize_config.json", "gptq"),
    ("quant_config.json", "awq"),
    ("hf_quant_config.json", "modelopt"),
];

/// Display names of methods whose `quant_method` is spelled differently.
const NAMES: &[(&str, &str)] = &[
    ("gptq", "GPTQ"),
    ("awq", "AWQ"),
    ("fp8", "FP8"),
    ("fbgemm_fp8", "FBGEMM FP8"),
    ("mxfp4", "MXFP4"),
    ("hqq", "HQQ"),
    ("aqlm", "AQLM"),
    ("eetq", "EETQ"),
    ("vptq", "VPTQ"),
    ("higgs", "HIGGS"),
    ("spqr", "SpQR"),
    ("bitnet", "BitNet"),
    ("modelopt", "ModelOpt"),
];

/// Fails if the weights in `folder` are quantized, with the name of the method.
pub(super) fn refuse(folder: &Path, config: &ConfigFile) -> Result<(), Error> {
    for field in FIELDS {
        let described = config.fields().get(*field).and_then(Value::as_object);
        if let Some(described) = described.filter(|described| !described.is_empty()) {
            let method = method_of(field, described);
            return Err(refused(
                folder,
                method,
                &format!("`{field}` in config.json"),
            ));
        }
    }
    for (file, method) in FILES {
        if folder.join(file).exists() {
            return Err(refused(folder, method, &format!("`{file}`")));
        }
    }
    Ok(())
}

/// Returns the name of the method that the object in `field` describes.
fn method_of<'d>(field: &str, described: &'d Map<String, Value>) -> &'d str {
    let text = |key: &str| described.get(key).and_then(Value::as_str);
    let is_set = |key: &str| described.get(key) == Some(&Value::Bool(true));
    if let Some(method) = text("quant_method") {
        return method;
    }
    // Files that predate `quant_method` have a flag instead.
    if is_set("load_in_8bit") || is_set("load_in_4bit") {
        return "bitsandbytes";
    }
    if field == "quantization" {
        return "MLX";
    }
    text("format").unwrap_or("an unnamed method")
}

fn refused(folder: &Path, method: &str, told_by: &str) -> Error {
    let known = NAMES.iter().find(|(id, _)| *id == method);
    let name = known.map_or(method, |(_, name)| name);
    Error::ModelRefused {
        path: folder.to_owned(),
        reason: format!("is quantized with {name} ({told_by}), which whence does not read"),
        next: "take the model's unquantized checkpoint, or a GGUF file of it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(config: &str, file: Option<&str>) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        if let Some(file) = file {
            std::fs::write(folder.path().join(file), "{}").unwrap();
        }
        let config = ConfigFile::read(folder.path(), "config.json").unwrap();
        let outcome = refuse(folder.path(), &config);
        outcome.err().map(|error| error.to_string())
    }

    #[test]
    fn every_method_is_refused_by_its_name() {
        for (config, name) in [
            (
                r#"{"quantization_config": {"quant_method": "gptq", "bits": 4}}"#,
                "GPTQ",
            ),
            (r#"{"quantization_config": {"quant_method": "awq"}}"#, "AWQ"),
            (r#"{"quantization_config": {"quant_method": "fp8"}}"#, "FP8"),
            (
                r#"{"quantization_config": {"load_in_4bit": true}}"#,
                "bitsandbytes",
            ),
            (
                r#"{"quantization_config": {"quant_method": "bitsandbytes"}}"#,
                "bitsandbytes",
            ),
            (
                r#"{"quantization_config": {"quant_method": "compressed-tensors"}}"#,
                "compressed-tensors",
            ),
            (
                r#"{"compression_config": {"format": "pack-quantized"}}"#,
                "pack-quantized",
            ),
            (r#"{"quantization": {"group_size": 64, "bits": 4}}"#, "MLX"),
            (
                r#"{"quantization_config": {"quant_method": "of-next-year"}}"#,
                "of-next-year",
            ),
        ] {
            let message = refusal(config, None).unwrap();
            assert!(
                message.contains(&format!("quantized with {name} ")),
                "{message}"
            );
        }
    }

    #[test]
    fn a_file_beside_the_configuration_says_it_too() {
        let message = refusal("{}", Some("quantize_config.json")).unwrap();
        assert!(
            message.contains("GPTQ (`quantize_config.json`)"),
            "{message}"
        );
        let message = refusal("{}", Some("quant_config.json")).unwrap();
        assert!(message.contains("AWQ"), "{message}");
    }

    #[test]
    fn an_empty_description_describes_nothing() {
        assert_eq!(refusal(r#"{"quantization_config": null}"#, None), None);
        assert_eq!(refusal(r#"{"quantization_config": {}}"#, None), None);
    }
}
