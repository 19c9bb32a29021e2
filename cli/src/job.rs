//! From what was typed to what is meant: the job's specification, checked as far as files allow.
//!
//! Everything that can be wrong with a request is found here, before a coordinator is asked or a
//! row is read, because here the person still looks.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use whence_coordinator::dataset;
use whence_engine::Entry;
use whence_engine::methods::METHODS;
use whence_engine::step_functions::STEP_FUNCTIONS;
use whence_schemas::job::{DataFile, DatasetSource, ModelSource, NUMERICS_VERSION};
use whence_schemas::suggest::nearest;
use whence_schemas::{AttributionSpec, FunctionSpec, GenerationSpec, JobSpec};

use crate::args::{AttributionOptions, DatasetOptions, JobOptions, ModelOptions};
use crate::{Failure, output};

/// Names that mean a format and not a dataset, as in `datasets`.
const FORMAT_NAMES: &[&str] = &["json", "csv", "parquet"];

/// Arguments of every contrastive step function; the others belong to one function each.
const CONTRAST_KWARGS: &[&str] = &[
    "contrast_sources",
    "contrast_targets",
    "contrast_targets_alignments",
    "contrast_force_inputs",
];

/// Returns what to compute. Fails on names, parameters and combinations that do not exist.
pub(crate) fn attribution(options: &AttributionOptions) -> Result<AttributionSpec, Failure> {
    let generation: GenerationSpec =
        read("--generation-kwargs", options.generation_kwargs.clone())?;
    let mut spec = AttributionSpec {
        attributed_fn: function(&options.attributed_fn)?,
        step_scores: functions(&options.step_scores)?,
        attribute_target: options.attribute_target,
        include_eos_baseline: options.include_eos_baseline,
        aggregators: aggregators(options)?,
        src_lang: language(options, "src_lang")?,
        tgt_lang: language(options, "tgt_lang")?,
        chat: match &options.chat {
            Some(chat) => Some(read("--chat", chat.clone())?),
            None => None,
        },
        normalize: options.normalize_attributions,
        attr_pos_start: options.start_pos,
        attr_pos_end: options.end_pos,
        skip_special_tokens: options.skip_special_tokens,
        compat: options.compat.into(),
        generation,
        ..AttributionSpec::of_method(&options.attribution_method)
    };
    let mut contrast = Map::new();
    for (key, value) in &options.attribution_kwargs {
        if CONTRAST_KWARGS.contains(&key.as_str()) {
            contrast.insert(key.clone(), value.clone());
            continue;
        }
        for function in owners(&mut spec, key) {
            function.params.insert(key.clone(), value.clone());
        }
    }
    spec.contrast = read("--attribution-kwargs", contrast)?;
    whence_engine::check(&spec)?;
    Ok(spec)
}

/// Reads the JSON that was given to `flag`.
fn read<T: DeserializeOwned>(flag: &str, given: Map<String, Value>) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(given))
        .map_err(|error| Failure::request(format!("read {flag}: {error}")))
}

/// Returns a language among the tokenizer's arguments. Fails on arguments that are none.
fn language(options: &AttributionOptions, key: &str) -> Result<Option<String>, Failure> {
    let given = &options.tokenizer_kwargs;
    let is_language = |key: &&String| matches!(key.as_str(), "src_lang" | "tgt_lang");
    if let Some(other) = given.keys().find(|key| !is_language(key)) {
        return Err(Failure::request(format!(
            "`{other}` cannot be served: of --tokenizer-kwargs only `src_lang` and `tgt_lang` are; \
             the model's own files decide the rest"
        )));
    }
    match given.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(language)) => Ok(Some(language.clone())),
        Some(other) => Err(Failure::request(format!(
            "`{key}` is a language's code, not {other}"
        ))),
    }
}

/// Returns the aggregators with their selectors; none where the method's own are meant.
fn aggregators(options: &AttributionOptions) -> Result<Option<Vec<FunctionSpec>>, Failure> {
    let Some(names) = &options.attribution_aggregators else {
        return Ok(None);
    };
    if names == &["none"] {
        return Ok(Some(Vec::new()));
    }
    let mut aggregators = functions(names)?;
    let selectors = &options.attribution_selectors;
    if !selectors.is_empty() && selectors.len() != aggregators.len() {
        return Err(Failure::request(format!(
            "there are {} aggregators and {} selectors; give one for each, or none",
            aggregators.len(),
            selectors.len()
        )));
    }
    for (index, aggregator) in aggregators.iter_mut().enumerate() {
        let mut set = |key: &str, value: Value| {
            aggregator.params.insert(key.to_owned(), value);
        };
        if let Some(selector) = selectors.get(index) {
            set("select_idx", (*selector).into());
        }
        if options.rescale_attributions {
            set("rescale", true.into());
            set("normalize", false.into());
        }
    }
    Ok(Some(aggregators))
}

/// Reads a function: its name, or JSON with its name, parameters and label.
fn function(text: &str) -> Result<FunctionSpec, Failure> {
    if !text.trim_start().starts_with('{') {
        return Ok(FunctionSpec::named(text));
    }
    serde_json::from_str(text)
        .map_err(|error| Failure::request(format!("read the function `{text}`: {error}")))
}

fn functions(texts: &[String]) -> Result<Vec<FunctionSpec>, Failure> {
    texts.iter().map(|text| function(text)).collect()
}

/// Returns whose parameter `key` is: each step function's that has it, otherwise the method's, which
/// says what is wrong with it if it has none of that name.
fn owners<'s>(spec: &'s mut AttributionSpec, key: &str) -> Vec<&'s mut FunctionSpec> {
    let is_methods = has_parameter(METHODS, &spec.method.name, key);
    let functions = std::iter::once(&mut spec.attributed_fn).chain(&mut spec.step_scores);
    let mut owners: Vec<_> = functions
        .filter(|function| has_parameter(STEP_FUNCTIONS, &function.name, key))
        .collect();
    if is_methods || owners.is_empty() {
        owners.push(&mut spec.method);
    }
    owners
}

fn has_parameter<T: ?Sized>(table: &[Entry<T>], name: &str, key: &str) -> bool {
    let entry = table
        .iter()
        .find(|entry| entry.name == name || entry.aliases.contains(&name));
    entry.is_some_and(|entry: &Entry<T>| {
        let parameters: Map<String, Value> = (entry.parameters)();
        parameters.contains_key(key)
    })
}

/// Returns the job. Reads model and dataset once, for their digests.
pub(crate) fn specification(
    model: &ModelOptions,
    dataset: &DatasetOptions,
    mut attribution: AttributionSpec,
    job: &JobOptions,
) -> Result<JobSpec, Failure> {
    if attribution.aggregators.as_ref().is_some_and(Vec::is_empty) {
        return Err(Failure::request(
            "a table holds one score a token, not raw scores; name aggregators, or save the raw \
             scores of single texts with `whence attribute --save-path`",
        ));
    }
    whence_engine::pin(&mut attribution)?;
    Ok(JobSpec {
        model: self::model(model)?,
        dataset: DatasetSource {
            files: files(dataset)?,
            split: dataset.dataset_split.clone(),
            input_field: dataset.input_text_field.clone(),
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

/// Returns the model's folder. Fails if there is none.
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

/// Returns the model, checked as a worker will load it, with its digest.
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
    dataset::describe(&paths).map_err(|error| match name {
        Some(name) if !Path::new(name).exists() => missing_dataset(name),
        _ => error.into(),
    })
}

/// Says that there is no dataset `name`, and what was meant: a file beside it, or one on the Hub.
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

/// Ends of names that are files of a dataset or a model, and no repository.
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

/// Returns whether `name` looks like `owner/name` on the Hub, or like one of its oldest models, which
/// have no owner: `gpt2`. A path into a folder that exists does not.
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
