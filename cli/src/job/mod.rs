//! Turns command-line options into a job specification, and checks it against the files it names.
//!
//! Every error in a request should be found here, before a job is submitted or a row is computed,
//! while the user is still watching.

mod attribution;
mod kwargs;

use std::path::Path;

use whence_engine::GivenTexts;
use whence_schemas::job::{DataFile, DatasetSource, ModelSource, NUMERICS_VERSION};
use whence_schemas::suggest::nearest;
use whence_schemas::{AttributionSpec, JobSpec};
use whence_worker::memory;

use crate::args::{BatchOptions, DatasetOptions, JobOptions, ModelOptions};
use crate::{Failure, output};
pub(crate) use attribution::attribution;

/// Dataset names that stand for a file format, as in Hugging Face's `datasets`.
const FORMAT_NAMES: &[&str] = &["json", "csv", "parquet"];

/// Returns the job's specification. Reads the model and the dataset once to compute their digests.
pub(crate) fn specification(
    model: &ModelOptions,
    dataset: &DatasetOptions,
    mut attribution: AttributionSpec,
    job: &JobOptions,
) -> Result<JobSpec, Failure> {
    if attribution.aggregators.as_ref().is_some_and(Vec::is_empty) {
        return Err(Failure::request(
            "a table holds one score per token, not raw scores; name aggregators, or save the raw \
             scores of single texts with `whence attribute --save-path`",
        ));
    }
    let given = GivenTexts {
        generated: dataset.generated_text_field.is_some(),
        contrast_source: dataset.contrast_source_field.is_some(),
        contrast_target: dataset.contrast_target_field.is_some(),
    };
    whence_engine::check_request(&attribution, given)?;
    let source = self::model(model)?;
    whence_engine::check_with_model(&attribution, given, Path::new(&source.path))?;
    whence_engine::pin(&mut attribution)?;
    Ok(JobSpec {
        model: source,
        dataset: DatasetSource {
            files: files(dataset)?,
            split: dataset.dataset_split.clone(),
            input_field: dataset.input_text_field.clone().unwrap_or_default(),
            input_template: dataset.input_template.clone(),
            generated_field: dataset.generated_text_field.clone(),
            contrast_source_field: dataset.contrast_source_field.clone(),
            contrast_target_field: dataset.contrast_target_field.clone(),
            columns: dataset.columns.clone(),
        },
        attribution,
        dtype: model.dtype.into(),
        seed: job.seed,
        shard_tokens: job.shard_tokens,
        run_id: job.run_id.clone(),
        numerics_version: NUMERICS_VERSION,
    })
}

/// Returns the working memory in bytes that each of `workers` workers may use. `None` if
/// `--memory` was not given and the system does not report its free memory.
///
/// Fails if a worker's share would not be enough even for the shortest text.
pub(crate) fn memory_of_each(
    batch: &BatchOptions,
    model: &ModelOptions,
    workers: u16,
) -> Result<Option<u64>, Failure> {
    let Some(all) = batch.memory.or_else(memory::half_of_free) else {
        return Ok(None);
    };
    let each = all / u64::from(workers.max(1));
    let checked = whence_engine::check_memory(&folder(model)?, model.dtype.into(), each);
    match checked {
        Err(error @ whence_engine::Error::MemoryTooSmall { .. }) if workers > 1 => {
            let shared = format!("each of {workers} workers has its share of --memory: {error}");
            Err(Failure::request(shared).hint("or start fewer `--workers`"))
        }
        checked => {
            checked?;
            Ok(Some(each))
        }
    }
}

/// Returns the canonical path of the model's folder.
///
/// Fails if it does not exist. If the name looks like one on the Hub, the hint is the command that
/// downloads it.
pub(crate) fn folder(model: &ModelOptions) -> Result<std::path::PathBuf, Failure> {
    let path = Path::new(&model.model);
    path.canonicalize().map_err(|error| {
        let failure = Failure::request(format!("there is no model `{}`: {error}", model.model));
        let hint = "a model is a folder with config.json, a tokenizer and weights: *.safetensors, pytorch_model.bin or *.gguf";
        if is_hub_name(&model.model) {
            let local = model.model.rsplit('/').next().unwrap_or_default();
            return failure.hint(format!(
                "hf download {} --local-dir {local}   # then: --model {local}; {hint}",
                model.model
            ));
        }
        failure.hint(hint)
    })
}

/// Returns the model with its digest, after checking that a worker will be able to load it.
fn model(model: &ModelOptions) -> Result<ModelSource, Failure> {
    let folder = folder(model)?;
    let check = whence_engine::check_model(&folder, model.dtype.into())?;
    for notice in &check.notices {
        output::warn(notice);
    }
    let Some(path) = folder.to_str() else {
        return Err(Failure::request(format!(
            "the name of `{}` is not UTF-8; rename it",
            folder.display()
        )));
    };
    Ok(ModelSource {
        path: path.to_owned(),
        digest: whence_engine::digest(&folder)?,
    })
}

fn files(options: &DatasetOptions) -> Result<Vec<DataFile>, Failure> {
    let name = options.dataset_name.as_deref();
    let is_format = name.is_some_and(|name| FORMAT_NAMES.contains(&name));
    let paths = match name {
        Some(format) if is_format && options.dataset_files.is_empty() => {
            return Err(Failure::request(format!(
                "`--dataset-name {format}` needs --dataset-files with the files' paths"
            )));
        }
        Some(folder) if !is_format => {
            let folder = Path::new(folder);
            if options.dataset_files.is_empty() {
                vec![folder.to_string_lossy().into_owned()]
            } else {
                let inside = options.dataset_files.iter().map(|file| folder.join(file));
                inside
                    .map(|path| path.to_string_lossy().into_owned())
                    .collect()
            }
        }
        _ => options.dataset_files.clone(),
    };
    whence_datasets::describe(&paths).map_err(|error| match name {
        Some(name) if !Path::new(name).exists() => missing_dataset(name),
        _ => error.into(),
    })
}

/// Returns the failure for a dataset `name` that does not exist. The hint suggests a file with a
/// similar name in the same folder or, if the name looks like one on the Hub, how to download it.
fn missing_dataset(name: &str) -> Failure {
    let failure = Failure::request(format!("there is no file or folder `{name}`"));
    let path = Path::new(name);
    let here = (!is_hub_name(name)).then_some(Path::new("."));
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => here,
        folder => folder.filter(|folder| folder.is_dir()),
    };
    let beside: Vec<String> = folder
        .and_then(|folder| folder.read_dir().ok())
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let file_name = path.file_name().and_then(|name| name.to_str());
    let near = nearest(
        file_name.unwrap_or_default(),
        beside.iter().map(String::as_str),
    );
    if let (Some(near), Some(folder)) = (near, folder) {
        return failure.hint(format!("did you mean `{}`?", folder.join(near).display()));
    }
    if !is_hub_name(name) {
        return failure;
    }
    let local = name.rsplit('/').next().unwrap_or_default();
    failure.hint(format!(
        "whence reads local files; for a dataset of the Hub: \
         hf download --repo-type dataset {name} --local-dir {local}   # then: --dataset {local}"
    ))
}

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
fn is_hub_name(name: &str) -> bool {
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
