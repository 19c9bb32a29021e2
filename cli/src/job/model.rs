//! Turns the options of a model into a folder on this machine, and pins what is there.

use std::path::{Path, PathBuf};

use whence_hub::{Hub, ModelName, Revision, Settings};
use whence_schemas::job::{Dtype, ModelSource};

use super::hub_name::is_hub_name;
use crate::args::ModelOptions;
use crate::progress::Downloads;
use crate::{Failure, output};

/// A model on this machine.
#[derive(Debug, Clone)]
pub(crate) struct LocatedModel {
    /// Folder of the model, or its GGUF file.
    pub(crate) path: PathBuf,
    /// Precision of its weights.
    pub(crate) dtype: Dtype,
    /// Address on the Hub, if the model is from there.
    address: Option<String>,
}

/// Finds the model, and downloads it if it is on the Hub. What a name means is decided in the order
/// of transformers: a folder or file of this machine, then a repository on the Hub.
pub(crate) async fn locate(options: &ModelOptions) -> Result<LocatedModel, Failure> {
    let located = |path, address| LocatedModel {
        path,
        address,
        dtype: options.dtype.into(),
    };
    match Path::new(&options.model).canonicalize() {
        Ok(path) => {
            if let Some(revision) = &options.revision {
                return Err(Failure::request(format!(
                    "`--revision {revision}` is for a model on the Hub; `{}` is on this machine",
                    options.model
                )));
            }
            Ok(located(path, None))
        }
        Err(_) if may_be_on_hub(&options.model) => {
            let fetched = fetch(options).await?;
            Ok(located(fetched.path, Some(fetched.name.to_string())))
        }
        Err(error) => {
            let failure =
                Failure::request(format!("there is no model `{}`: {error}", options.model));
            let hint = "a model is a folder with config.json, a tokenizer and weights: *.safetensors, pytorch_model.bin or *.gguf; or a name on the Hub";
            Err(failure.hint(hint))
        }
    }
}

/// Returns whether `name` can name a model on the Hub: `gpt2`, `ns/name`, `ns/name@v1`,
/// `ns/name:file.gguf`, `hf://…`.
fn may_be_on_hub(name: &str) -> bool {
    let (repository, file) = name.split_once(':').unwrap_or((name, "x.gguf"));
    let repository = repository
        .split_once('@')
        .map_or(repository, |(name, _)| name);
    let is_gguf = Path::new(file)
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
    ModelName::is_address(name) || (is_gguf && is_hub_name(repository))
}

async fn fetch(options: &ModelOptions) -> Result<whence_hub::LocalModel, Failure> {
    let refused = |error: &dyn std::error::Error| Failure::request(error.to_string());
    let mut name = ModelName::parse(&options.model).map_err(|error| refused(&error))?;
    if let Some(revision) = &options.revision {
        name.revision = Revision::new(revision).map_err(|error| refused(&error))?;
    }
    let settings = Settings::from_env(|name| std::env::var(name).ok());
    let settings = settings.map_err(|error| refused(&error))?;
    let downloads = Downloads::start(settings.hides_progress);
    let hub = Hub::new(settings)?;
    let fetched = hub
        .fetch_model(&name, &|transfer| downloads.note(transfer))
        .await;
    downloads.finish();
    fetched.map_err(|error| {
        // A mistyped path looks like a name on the Hub.
        let here = format!("there is no folder or file `{}`, and", options.model);
        Failure::from(error).in_context(&here)
    })
}

/// Returns the model with its digest, after checking that a worker will be able to load it.
pub(super) fn source(model: &LocatedModel) -> Result<ModelSource, Failure> {
    let check = whence_engine::check_model(&model.path, model.dtype)?;
    for notice in &check.notices {
        output::warn(notice);
    }
    let path = match (&model.address, model.path.to_str()) {
        (Some(address), _) => address.clone(),
        (None, Some(path)) => path.to_owned(),
        (None, None) => {
            return Err(Failure::request(format!(
                "the name of `{}` is not UTF-8; rename it",
                model.path.display()
            )));
        }
    };
    Ok(ModelSource {
        path,
        digest: whence_engine::digest(&model.path)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_not_looked_for_on_the_hub() {
        for name in [
            "gpt2",
            "ns/name",
            "ns/name@v1",
            "ns/name:q/a.gguf",
            "hf://ns/name/a.gguf",
        ] {
            assert!(may_be_on_hub(name), "{name}");
        }
        for name in [
            "./model",
            "/a/b",
            "a/b/c",
            "m.gguf",
            "ns/name:a.bin",
            "C:\\model",
            "src/x",
        ] {
            assert!(!may_be_on_hub(name), "{name}");
        }
    }
}
