//! Which files of a repository a model needs. A pure function of the list of files.
//!
//! A repository often holds the same weights several times, for different programs. Only one copy
//! is needed, chosen in transformers' order: safetensors before PyTorch, one file before shards.

use std::fmt::Write as _;

use whence_schemas::ErrorKind;

use crate::tree::RepoFile;

/// Files beside the weights that describe a model and its tokenizer, each if the repository has it.
const DESCRIPTIONS: &[&str] = &[
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "quantize_config.json",
    "quant_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "target_vocab.json",
    "vocab.txt",
    "merges.txt",
    "source.spm",
    "target.spm",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "spm.model",
    "chat_template.jinja",
    "chat_template.json",
];

/// Folder of the chat templates that a model has besides its usual one.
const CHAT_TEMPLATES: &str = "additional_chat_templates/";

/// Weights, in the order of preference: the beginning of the name and its extension.
const WEIGHTS: &[(&str, &str)] = &[("model", "safetensors"), ("pytorch_model", "bin")];

/// Weights of an adapter, which holds only what it changes in another model.
const ADAPTERS: &[&str] = &["adapter_model.safetensors", "adapter_model.bin"];

/// Extensions of weights that whence does not read, for the message that says so.
const FOREIGN: &[&str] = &[
    "h5",
    "msgpack",
    "onnx",
    "ckpt",
    "pt",
    "pth",
    "safetensors",
    "bin",
];

/// Why a repository holds no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoModel {
    /// No weights at all.
    #[error("the repository has no weights")]
    NoWeights,
    /// Weights for other programs only.
    #[error("the repository has its weights only in {}, which whence does not read", quoted(.0))]
    Foreign(Vec<String>),
    /// Several models in one repository.
    #[error("the repository has several GGUF files; name one after a colon: {}", quoted(.0))]
    Several(Vec<String>),
    /// The GGUF file that was named is not there.
    #[error(
        "the repository has no file `{name}`; its GGUF files are {}",
        quoted(found)
    )]
    NoSuchFile {
        /// The name.
        name: String,
        /// The GGUF files that are there.
        found: Vec<String>,
    },
}

impl NoModel {
    /// Returns what can be done about the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchFile { .. } => ErrorKind::NotFound,
            _ => ErrorKind::Invalid,
        }
    }
}

fn quoted(names: &[String]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}`{name}`");
    }
    if text.is_empty() {
        "none".to_owned()
    } else {
        text
    }
}

/// A file in a list, chosen by its path.
pub trait ListedFile {
    /// Returns the path below the folder that is listed, with slashes.
    fn path(&self) -> &str;
}

impl ListedFile for RepoFile {
    fn path(&self) -> &str {
        &self.path
    }
}

/// Returns the files that the model in a folder needs. `files` are all files of the folder: of a
/// repository, or of a bucket.
pub fn model_files<F: ListedFile>(files: &[F]) -> Result<Vec<&F>, NoModel> {
    let weights = checkpoint(files).or_else(|| adapter(files));
    let weights = match weights {
        Some(weights) => weights,
        None => vec![only_gguf(files)?],
    };
    Ok(with_descriptions(files, weights))
}

/// Returns the files that one GGUF file of a repository needs. What describes the model may lie
/// beside it, and is needed where the GGUF file lacks it.
pub fn gguf_files<'a, F: ListedFile>(files: &'a [F], name: &str) -> Result<Vec<&'a F>, NoModel> {
    let Some(file) = files.iter().find(|file| file.path() == name) else {
        let found = gguf(files).map(|file| file.path().to_owned()).collect();
        let name = name.to_owned();
        return Err(NoModel::NoSuchFile { name, found });
    };
    Ok(with_descriptions(files, vec![file]))
}

fn with_descriptions<'a, F: ListedFile>(files: &'a [F], weights: Vec<&'a F>) -> Vec<&'a F> {
    let describes =
        |file: &&F| DESCRIPTIONS.contains(&file.path()) || file.path().starts_with(CHAT_TEMPLATES);
    let mut needed: Vec<_> = files.iter().filter(describes).chain(weights).collect();
    needed.sort_by(|a, b| a.path().cmp(b.path()));
    needed
}

/// Returns the preferred copy of the weights: one file, or an index with the shards that it names.
fn checkpoint<F: ListedFile>(files: &[F]) -> Option<Vec<&F>> {
    WEIGHTS.iter().find_map(|(stem, extension)| {
        let single = format!("{stem}.{extension}");
        if let Some(file) = files.iter().find(|file| file.path() == single) {
            return Some(vec![file]);
        }
        let index = format!("{single}.index.json");
        let index = files.iter().find(|file| file.path() == index)?;
        let shards = files
            .iter()
            .filter(|file| is_shard(file.path(), stem, extension));
        Some(shards.chain([index]).collect())
    })
}

/// Returns whether a name has the form `model-00001-of-00002.safetensors`.
fn is_shard(path: &str, stem: &str, extension: &str) -> bool {
    let numbers = path.strip_prefix(stem).and_then(|rest| {
        let rest = rest.strip_prefix('-')?.strip_suffix(extension)?;
        rest.strip_suffix('.')?.split_once("-of-")
    });
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    numbers.is_some_and(|(number, count)| is_number(number) && is_number(count))
}

fn adapter<F: ListedFile>(files: &[F]) -> Option<Vec<&F>> {
    let find = |name: &&str| files.iter().find(|file| file.path() == *name);
    ADAPTERS.iter().find_map(find).map(|file| vec![file])
}

fn gguf<F: ListedFile>(files: &[F]) -> impl Iterator<Item = &F> {
    files
        .iter()
        .filter(|file| extension(*file).eq_ignore_ascii_case("gguf"))
}

fn extension(file: &impl ListedFile) -> &str {
    file.path()
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension)
}

fn only_gguf<F: ListedFile>(files: &[F]) -> Result<&F, NoModel> {
    let found: Vec<_> = gguf(files).collect();
    match found.as_slice() {
        [file] => Ok(file),
        [] => {
            let foreign = files
                .iter()
                .filter(|file| FOREIGN.contains(&extension(*file)));
            let foreign: Vec<_> = foreign.map(|file| file.path().to_owned()).collect();
            Err(if foreign.is_empty() {
                NoModel::NoWeights
            } else {
                NoModel::Foreign(foreign)
            })
        }
        _ => Err(NoModel::Several(
            found.iter().map(|file| file.path().to_owned()).collect(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Vec<RepoFile> {
        let file = |path: &&str| RepoFile {
            path: (*path).to_owned(),
            size: 1,
            blob_id: String::new(),
            lfs_sha256: None,
            xet_hash: None,
        };
        paths.iter().map(file).collect()
    }

    fn needed(paths: &[&str]) -> Result<Vec<String>, NoModel> {
        let files = tree(paths);
        let needed = model_files(&files)?;
        Ok(needed.into_iter().map(|file| file.path.clone()).collect())
    }

    /// What a repository is an example of, its files, and those that are needed.
    const REPOSITORIES: &[(&str, &str, &str)] = &[
        (
            "OPUS-MT",
            ".gitattributes README.md config.json generation_config.json metadata.json \
             model.safetensors pytorch_model.bin rust_model.ot source.spm target.spm tf_model.h5 \
             tokenizer_config.json vocab.json",
            "config.json generation_config.json model.safetensors source.spm target.spm \
             tokenizer_config.json vocab.json",
        ),
        (
            "an old GPT-2",
            "64.tflite config.json flax_model.msgpack merges.txt onnx/decoder_model.onnx \
             pytorch_model.bin tokenizer.json vocab.json",
            "config.json merges.txt pytorch_model.bin tokenizer.json vocab.json",
        ),
        (
            "shards",
            "config.json consolidated.safetensors model-00001-of-00002.safetensors \
             model-00002-of-00002.safetensors model.safetensors.index.json original/tokenizer.model \
             pytorch_model-00001-of-00001.bin pytorch_model.bin.index.json tokenizer.json \
             training_args.bin",
            "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors \
             model.safetensors.index.json tokenizer.json",
        ),
        (
            "one file before shards",
            "model-00001-of-00001.safetensors model.safetensors model.safetensors.index.json",
            "model.safetensors",
        ),
        (
            "shards of safetensors before one PyTorch file",
            "model-1-of-1.safetensors model.safetensors.index.json pytorch_model.bin",
            "model-1-of-1.safetensors model.safetensors.index.json",
        ),
        (
            "an adapter",
            "README.md adapter_config.json adapter_model.bin adapter_model.safetensors tokenizer.json",
            "adapter_config.json adapter_model.safetensors tokenizer.json",
        ),
        ("GGUF", "README.md config.json m.GGUF", "config.json m.GGUF"),
        (
            "chat templates",
            "additional_chat_templates/rag.jinja chat_template.jinja model.safetensors sub/model.safetensors",
            "additional_chat_templates/rag.jinja chat_template.jinja model.safetensors",
        ),
    ];

    #[test]
    fn one_copy_of_the_weights_is_needed_and_what_describes_the_model() {
        for (name, paths, expected) in REPOSITORIES {
            let paths: Vec<_> = paths.split_whitespace().collect();
            assert_eq!(needed(&paths).unwrap().join(" "), *expected, "{name}");
        }
    }

    #[test]
    fn a_repository_without_a_model_is_refused_with_what_it_has() {
        let cases: [(&[&str], &str); 3] = [
            (
                &["README.md", "config.json"],
                "the repository has no weights",
            ),
            (&["config.json", "tf_model.h5"], "only in `tf_model.h5`"),
            (
                &["a.gguf", "b.gguf"],
                "name one after a colon: `a.gguf`, `b.gguf`",
            ),
        ];
        for (paths, expected) in cases {
            let error = needed(paths).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_gguf_file_is_taken_by_its_name() {
        let files = tree(&["a.gguf", "b.gguf", "q/c.gguf", "tokenizer.json"]);
        let paths = |name| -> Result<Vec<_>, _> {
            Ok(gguf_files(&files, name)?
                .iter()
                .map(|file| file.path.as_str())
                .collect())
        };
        assert_eq!(paths("q/c.gguf").unwrap(), ["q/c.gguf", "tokenizer.json"]);
        let error = paths("d.gguf")
            .map(|_: Vec<_>| ())
            .map_err(|e: NoModel| e.to_string());
        let expected = "the repository has no file `d.gguf`; its GGUF files are `a.gguf`, `b.gguf`, `q/c.gguf`";
        assert_eq!(error.unwrap_err(), expected);
    }
}
