//! Turns the options of a model into a folder on this machine, and pins what is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use whence_engine::sampler::SamplerSource;
use whence_hub::{ModelName, Revision};
use whence_schemas::AttributionSpec;
use whence_schemas::job::{Dtype, ModelSource};
use whence_worker::locate::{InUse, LocateError, ModelAddress, ModelCaches};

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
    address: ModelAddress,
    /// Address of its base, if the model is an adapter whose base is on the Hub.
    base: Option<ModelAddress>,
    /// Keeps the files in the cache while they are read.
    _in_use: Arc<Vec<InUse>>,
}

/// The models that were found, so that many jobs with the same one read it once.
#[derive(Debug, Default)]
pub(crate) struct KnownModels(Vec<(Asked, LocatedModel, ModelSource)>);

/// How a model was asked for.
type Asked = (String, Option<String>, Dtype);

impl KnownModels {
    /// Finds a model and computes its digest, unless that was done before.
    pub(super) async fn find(
        &mut self,
        options: &ModelOptions,
    ) -> Result<(LocatedModel, ModelSource), Failure> {
        let (name, revision) = (options.model.clone(), options.revision.clone());
        let asked = (name, revision, options.dtype.into());
        let known = self.0.iter().find(|(known, ..)| *known == asked);
        if let Some((_, located, source)) = known {
            return Ok((located.clone(), source.clone()));
        }
        let located = locate(options).await?;
        let source = source(&located)?;
        self.0.push((asked, located.clone(), source.clone()));
        Ok((located, source))
    }
}

/// Finds the model, and downloads it if it is elsewhere.
pub(crate) async fn locate(options: &ModelOptions) -> Result<LocatedModel, Failure> {
    let address = address(&options.model, options.revision.as_deref())?;
    let located = fetch(&options.model, &address).await?;
    Ok(LocatedModel {
        path: located.path,
        dtype: options.dtype.into(),
        address: located.address,
        base: located.base,
        _in_use: Arc::new(located.in_use),
    })
}

/// Returns what the name of a model means, in the order of transformers: a folder or file of this
/// machine, then a repository on the Hub. `s3://…`, `gs://…` and `az://…`
/// are folders in buckets.
pub(crate) fn address(name: &str, revision: Option<&str>) -> Result<ModelAddress, Failure> {
    let address = match Path::new(name).canonicalize() {
        Ok(path) => ModelAddress::Here(path),
        Err(_) if may_be_on_hub(name) => {
            let mut on_hub = ModelName::parse(name).map_err(LocateError::from)?;
            if let Some(revision) = revision {
                on_hub.revision = Revision::new(revision).map_err(LocateError::from)?;
            }
            return Ok(ModelAddress::Hub(on_hub));
        }
        Err(_) if name.contains("://") => ModelAddress::parse(name)?,
        Err(error) => {
            let failure = Failure::request(format!("there is no model `{name}`: {error}"));
            let hint = "a model is a folder with config.json, a tokenizer and weights: *.safetensors, pytorch_model.bin or *.gguf; or a name on the Hub";
            return Err(failure.hint(hint));
        }
    };
    match revision {
        Some(revision) => Err(Failure::request(format!(
            "`--revision {revision}` is for a model on the Hub, and `{name}` is not there"
        ))),
        None => Ok(address),
    }
}

/// Downloads what is missing on this machine of the model called `name`, and shows how far it is.
async fn fetch(
    name: &str,
    address: &ModelAddress,
) -> Result<whence_worker::locate::LocatedModel, Failure> {
    let caches = ModelCaches::from_env(|name| std::env::var(name).ok())?;
    let downloads = Downloads::start(caches.hub().hides_progress);
    let progress = |transfer: whence_hub::Transfer<'_>| downloads.note(transfer);
    // The future holds the state of a download, so it is kept out of those that wait for it.
    let located = Box::pin(caches.locate(address, None, &progress)).await;
    downloads.finish();
    located.map_err(|error| {
        let is_of_hub = matches!(error, LocateError::Hub(_));
        let failure = Failure::from(error);
        // A mistyped path looks like a name on the Hub.
        if is_of_hub && matches!(address, ModelAddress::Hub(_)) {
            return failure.in_context(&format!("there is no folder or file `{name}`, and"));
        }
        failure
    })
}

/// Downloads the sampler that the method of `spec` names if it is elsewhere. From then on `spec`
/// names its path on this machine. Returns the sampler's address in that case.
pub(crate) async fn locate_sampler(
    spec: &mut AttributionSpec,
) -> Result<Option<ModelAddress>, Failure> {
    let Some(SamplerSource::Folder(name)) = whence_engine::sampler_of(spec)? else {
        return Ok(None);
    };
    let address = address(&name, None)?;
    if let ModelAddress::Here(_) = address {
        return Ok(None);
    }
    let located = fetch(&name, &address).await?;
    let path = located.path.display().to_string();
    whence_engine::set_sampler(spec, &SamplerSource::Folder(path));
    Ok(Some(located.address))
}

/// Makes the method of `spec` name its sampler by `address`, as all workers can find it. Keeps the
/// digest, which must be pinned already.
pub(super) fn name_sampler(
    spec: &mut AttributionSpec,
    address: &ModelAddress,
) -> Result<(), Failure> {
    if let Some(SamplerSource::Pinned(source)) = whence_engine::sampler_of(spec)? {
        let path = address.to_string();
        let pinned = SamplerSource::Pinned(ModelSource { path, ..source });
        whence_engine::set_sampler(spec, &pinned);
    }
    Ok(())
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

/// Returns the model with its digest, after checking that a worker will be able to load it.
fn source(model: &LocatedModel) -> Result<ModelSource, Failure> {
    let check = whence_engine::check_model(&model.path, model.dtype)?;
    for notice in &check.notices {
        output::warn(notice);
    }
    if let ModelAddress::Here(path) = &model.address
        && path.to_str().is_none()
    {
        return Err(Failure::request(format!(
            "the name of `{}` is not UTF-8; rename it",
            path.display()
        )));
    }
    Ok(ModelSource {
        path: model.address.to_string(),
        digest: whence_engine::digest(&model.path)?,
        base: model.base.as_ref().map(ToString::to_string),
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
