//! `whence doctor`: checks whether this machine, a model, a dataset, a storage root and a coordinator
//! are ready for use.

use std::path::Path;

use whence_engine::model::WeightMemory;
use whence_schemas::job::Dtype;
use whence_schemas::{chain, store};

use super::inspect::inspect;
use crate::args::{DatasetPlace, DoctorOptions};
use crate::remote::Jobs;
use crate::{Failure, output};

pub(super) async fn run(arguments: DoctorOptions) -> Result<(), Failure> {
    output::line(&format!("whence       {}", env!("CARGO_PKG_VERSION")))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    output::line(&format!("cores        {cores}"))?;
    output::line(&format!("memory       {}", memory()))?;
    output::line(&format!("instructions {}", instructions().join(" ")))?;
    let mut failures = 0;
    if let Some(model) = &arguments.model {
        let outcome = check_model(model);
        failures += usize::from(report("model", &model.display().to_string(), &outcome)?);
    }
    if let Some(which) = which_dataset(&arguments.dataset) {
        failures += usize::from(report_dataset(&which, &arguments.dataset)?);
    }
    if let Some(root) = &arguments.root {
        let outcome = check_root(root).await;
        failures += usize::from(report("root", root, &outcome)?);
    }
    if let Some(url) = &arguments.coordinator {
        let outcome = check_coordinator(url).await;
        failures += usize::from(report("coordinator", url, &outcome)?);
    }
    if failures > 0 {
        return Err(Failure::run(
            "some checks failed; see the lines marked FAILED",
        ));
    }
    Ok(())
}

/// Returns the name of the dataset to check, if one is given.
fn which_dataset(place: &DatasetPlace) -> Option<String> {
    let name = place.dataset_name.clone();
    name.or_else(|| place.dataset_files.first().cloned())
}

/// Prints what is found of a dataset. Returns whether it cannot be read.
fn report_dataset(which: &str, place: &DatasetPlace) -> Result<bool, Failure> {
    // Resolving asks the Hub, and blocks.
    let found = tokio::task::block_in_place(|| inspect(place));
    let outcome = match &found {
        Ok(inspection) => Ok(inspection.summary.clone()),
        Err(failure) => {
            let next = failure.next_step();
            let next = next.map_or_else(String::new, |next| format!("; {next}"));
            Err(format!("{}{next}", failure.message()))
        }
    };
    let has_failed = report("dataset", which, &outcome)?;
    for (label, text) in found.into_iter().flat_map(|inspection| inspection.details) {
        output::line(&format!("  {label:10} {text}"))?;
    }
    Ok(has_failed)
}

/// Prints the outcome of one check. Returns whether it failed.
fn report(what: &str, which: &str, outcome: &Result<String, String>) -> Result<bool, Failure> {
    let (verdict, text) = match outcome {
        Ok(text) => ("ok    ", text),
        Err(text) => ("FAILED", text),
    };
    output::line(&format!("{what:12} {verdict} {which}: {text}"))?;
    Ok(outcome.is_err())
}

/// Checks everything that loading the model would, and reports whether its weights fit into the
/// free memory.
fn check_model(path: &Path) -> Result<String, String> {
    let check = whence_engine::check_model(path, Dtype::Float32).map_err(|error| {
        let next = error.next_step();
        let next = next.map_or_else(String::new, |next| format!("; {next}"));
        format!("{}{next}", chain(&error))
    })?;
    for notice in &check.notices {
        output::warn(notice);
    }
    let Some(free) = whence_worker::memory::free() else {
        let widened = gibibytes(check.memory.widened);
        return Ok(format!(
            "its weights take {widened} in float32; the amount of free memory is unknown"
        ));
    };
    fit(check.memory, free)
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

async fn check_root(root: &str) -> Result<String, String> {
    let store = store::open(root).map_err(|error| chain(&error))?;
    store::probe(store.as_ref())
        .await
        .map_err(|error| chain(&error))?;
    Ok("creates each object only once, and lists it immediately".to_owned())
}

async fn check_coordinator(url: &str) -> Result<String, String> {
    let said = |failure: Failure| failure.message().to_owned();
    let mut jobs = Jobs::connect(url).await.map_err(said)?;
    let count = jobs.list().await.map_err(said)?.len() as u64;
    Ok(format!("answers; it has {}", output::counted(count, "job")))
}

/// Returns the machine's available and total memory in words, as reported by `/proc/meminfo`.
fn memory() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let gigabytes = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes / f64::from(1 << 20))
    };
    match (gigabytes("MemAvailable:"), gigabytes("MemTotal:")) {
        (Some(free), Some(all)) => format!("{free:.1} of {all:.1} GiB available"),
        _ => "unknown".to_owned(),
    }
}

/// Returns the instruction sets the kernels have code for and this machine has.
#[cfg(target_arch = "x86_64")]
fn instructions() -> Vec<&'static str> {
    let known = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    let there = known.into_iter().filter(|(_, is_there)| *is_there);
    there.map(|(name, _)| name).collect()
}

/// Returns the instruction sets the kernels have code for and this machine has.
#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> Vec<&'static str> {
    vec![std::env::consts::ARCH]
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
