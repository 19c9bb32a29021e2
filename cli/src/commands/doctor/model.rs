//! What `whence doctor --model` says of a model: its architecture, weights and size, and what is
//! missing.
//!
//! A model that is on this machine is checked as loading it would. Of one that is still on the Hub
//! only the configuration is downloaded.

use std::path::Path;

use whence_engine::model::WeightMemory;
use whence_engine::{ConfigCheck, ModelCheck};
use whence_hub::{Hub, ModelError, ModelListing, ModelName, RepoFile, no_progress};
use whence_schemas::job::Dtype;
use whence_worker::locate::{LocateError, ModelAddress, ModelCaches};

use super::inspection::Inspection;
use crate::output::{counted, grouped};
use crate::{Failure, job, output};

/// Inspects the model called `name`.
///
/// Fails if it cannot be found or loaded.
pub(super) async fn inspect(name: &str, revision: Option<&str>) -> Result<Inspection, Failure> {
    let caches = ModelCaches::from_env(|name| std::env::var(name).ok())?;
    let mut address = job::address(name, revision)?;
    if let ModelAddress::Hub(on_hub) = &address {
        let listing = list(&caches, on_hub).await?;
        if !listing.missing.is_empty() {
            return of_listing(&listing);
        }
        // The commit that was listed, so that the Hub is not asked for it again.
        address = ModelAddress::Hub(listing.name);
    }
    let located = caches.locate(&address, None, &no_progress).await?;
    let path = located.path;
    let check =
        tokio::task::spawn_blocking(move || whence_engine::check_model(&path, Dtype::Float32));
    let check = check
        .await
        .map_err(|error| Failure::run(error.to_string()))??;
    of_files(&check, &located.address)
}

async fn list(caches: &ModelCaches, name: &ModelName) -> Result<ModelListing, Failure> {
    let hub = Hub::new(caches.hub().clone()).map_err(|error| of_hub(error.into()))?;
    hub.list_model(name, &no_progress).await.map_err(of_hub)
}

fn of_hub(error: ModelError) -> Failure {
    LocateError::from(error).into()
}

/// Describes a model that still has to be downloaded, at least in part.
fn of_listing(listing: &ModelListing) -> Result<Inspection, Failure> {
    let bytes = |files: &[RepoFile]| gibibytes(files.iter().map(|file| file.size).sum());
    let mut details = Vec::new();
    if let Some(config) = &listing.config {
        let folder = config.parent().unwrap_or(Path::new("."));
        let ConfigCheck {
            architecture,
            numbers,
        } = whence_engine::check_config(folder)?;
        details.push(("type", architecture));
        details.push(("parameters", grouped(numbers)));
    }
    let names: Vec<_> = listing
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    details.push(("files", names.join(", ")));
    Ok(Inspection {
        summary: format!(
            "{}; {} of {} still to be downloaded ({} of {})",
            listing.name,
            grouped(listing.missing.len() as u64),
            counted(listing.files.len() as u64, "file"),
            bytes(&listing.missing),
            bytes(&listing.files),
        ),
        details,
    })
}

/// Describes a model whose files are on this machine.
fn of_files(check: &ModelCheck, address: &ModelAddress) -> Result<Inspection, Failure> {
    for notice in &check.notices {
        output::warn(notice);
    }
    let mut details = vec![("type", check.architecture.clone())];
    details.push(("parameters", grouped(check.formats.values().sum())));
    let formats = check.formats.iter();
    let formats: Vec<_> = formats
        .map(|(format, count)| format!("{format}: {}", grouped(*count)))
        .collect();
    details.push(("stored as", formats.join(", ")));
    if !matches!(address, ModelAddress::Here(_)) {
        details.push(("address", address.to_string()));
    }
    Ok(Inspection {
        summary: memory(check.memory).map_err(Failure::run)?,
        details,
    })
}

/// Says whether the weights fit into the free memory. Fails if they do not.
fn memory(needed: WeightMemory) -> Result<String, String> {
    match whence_worker::memory::free() {
        Some(free) => fit(needed, free),
        None => Ok(format!(
            "its weights take {} in float32; the amount of free memory is unknown",
            gibibytes(needed.widened)
        )),
    }
}

/// Reports whether the weights fit into `free` bytes: widened to float32, or only in the half
/// precision they are stored in. Fails if they do not fit at all.
fn fit(needed: WeightMemory, free: u64) -> Result<String, String> {
    let (widened, kept) = (gibibytes(needed.widened), gibibytes(needed.kept));
    let free_size = gibibytes(free);
    if needed.widened <= free {
        return Ok(format!(
            "its weights take {widened} in float32; {free_size} of memory is free"
        ));
    }
    if needed.kept < needed.widened && needed.kept <= free {
        return Ok(format!(
            "its weights would take {widened} in float32, and {free_size} of memory is free, so they are kept in the half precision of the file and take {kept}"
        ));
    }
    Err(format!(
        "its weights take at least {kept}, but only {free_size} of memory is free"
    ))
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_fit_only_as_halves_stay_halves() {
        let needed = WeightMemory {
            widened: 8 << 30,
            kept: 4 << 30,
        };
        let told = fit(needed, 9 << 30).unwrap();
        assert_eq!(
            told,
            "its weights take 8.00 GiB in float32; 9.00 GiB of memory is free"
        );
        let told = fit(needed, 5 << 30).unwrap();
        assert!(told.contains("half precision") && told.contains("4.00 GiB"));
        let told = fit(needed, 3 << 30).unwrap_err();
        assert!(told.contains("at least 4.00 GiB"), "{told}");
    }
}
