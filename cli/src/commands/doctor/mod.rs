//! `whence doctor`: checks whether this machine, a model, a dataset, a storage root and a coordinator
//! are ready for use.

mod dataset;
mod inspection;
mod model;
mod storage;

use whence_engine::{DeviceChoice, Place};
use whence_proto::access::AccessOptions;
use whence_schemas::{chain, store};

use crate::args::{DatasetPlace, DoctorCheck, DoctorOptions};
use crate::remote::{Address, Jobs};
use crate::{Failure, output};
use inspection::{report, report_outcome};

pub(super) async fn run(arguments: DoctorOptions) -> Result<(), Failure> {
    if let Some(DoctorCheck::Storage(storage)) = &arguments.check {
        return storage::run(storage).await;
    }
    output::line(&format!("whence       {}", env!("CARGO_PKG_VERSION")))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    output::line(&format!("cores        {cores}"))?;
    output::line(&format!("memory       {}", memory()))?;
    output::line(&format!("instructions {}", instructions().join(" ")))?;
    output::line(&format!("numerics     {}", whence_engine::numerics_class()))?;
    output::line(&format!("gpu          {}", gpu()))?;
    let mut failures = 0;
    if let Some(name) = &arguments.model {
        let found = model::inspect(name, arguments.revision.as_deref()).await;
        failures += usize::from(report("model", name, found)?);
    }
    if let Some(name) = which_dataset(&arguments.dataset) {
        // Resolving asks the Hub, and blocks.
        let found = tokio::task::block_in_place(|| dataset::inspect(&arguments.dataset));
        failures += usize::from(report("dataset", &name, found)?);
    }
    if let Some(root) = &arguments.root {
        let outcome = check_root(root).await;
        let outcome = outcome.as_deref().map_err(String::as_str);
        failures += usize::from(report_outcome("root", root, outcome)?);
    }
    if let Some(url) = &arguments.coordinator {
        let outcome = check_coordinator(url, &arguments.access).await;
        let outcome = outcome.as_deref().map_err(String::as_str);
        failures += usize::from(report_outcome("coordinator", url, outcome)?);
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

async fn check_root(root: &str) -> Result<String, String> {
    let store = store::open(root).map_err(|error| chain(&error))?;
    store::probe(store.as_ref())
        .await
        .map_err(|error| chain(&error))?;
    Ok("creates each object only once, and lists it immediately".to_owned())
}

async fn check_coordinator(url: &str, access: &AccessOptions) -> Result<String, String> {
    let said = |failure: Failure| failure.message().to_owned();
    let mut jobs = Jobs::connect(Address { url, access }).await.map_err(said)?;
    let count = jobs.list().await.map_err(said)?.len() as u64;
    Ok(format!("answers; it has {}", output::counted(count, "job")))
}

/// Returns what `--device cuda` would compute on, or why it cannot be used.
fn gpu() -> String {
    let place = match Place::open(DeviceChoice::Cuda(0)) {
        Ok(place) => place,
        Err(error) => return format!("none; {}", chain(&error)),
    };
    let class = place.numerics_class();
    match place.free_memory() {
        Some(bytes) => format!("{class}, {} GiB free", bytes >> 30),
        None => class,
    }
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
