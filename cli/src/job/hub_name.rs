//! Tells the names of repositories on the Hub from paths.

use std::path::Path;

/// Extensions of dataset and model files. A name with one of them is not a repository on the Hub.
const FILE_EXTENSIONS: &[&str] = &[
    "arrow",
    "bin",
    "bz2",
    "csv",
    "gguf",
    "gz",
    "json",
    "jsonl",
    "ndjson",
    "parquet",
    "pt",
    "safetensors",
    "tar",
    "tsv",
    "txt",
    "xz",
    "zip",
    "zst",
];

/// Returns whether `name` looks like a repository on the Hub: `owner/name`, or a plain name such as
/// `gpt2`, since the oldest models have no owner. If the folder `owner` exists, `owner/name` is
/// taken for a local path.
pub(super) fn is_hub_name(name: &str) -> bool {
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let extension = Path::new(name).extension().and_then(|end| end.to_str());
    if extension.is_some_and(|end| FILE_EXTENSIONS.contains(&end.to_ascii_lowercase().as_str())) {
        return false;
    }
    match name.split_once('/') {
        Some((owner, name)) => is_plain(owner) && is_plain(name) && !Path::new(owner).exists(),
        None => is_plain(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_name_is_no_path() {
        let yes = ["gpt2", "Qwen/Qwen2.5-0.5B", "inseq/dummy_enit"];
        let no = [
            "data/tran.parquet",
            "rows.jsonl",
            "/nowhere/model",
            "./model",
            "a/b/c",
            "src/model",
            "two words",
            "",
        ];
        for name in yes {
            assert!(is_hub_name(name), "{name}");
        }
        for name in no {
            assert!(!is_hub_name(name), "{name}");
        }
    }
}
