//! What this machine computes with: its devices, and the share of their memory that each worker has.

use whence_engine::Engine;
use whence_schemas::JobSpec;
use whence_worker::{Config, Places};

use super::LocatedModel;
use crate::Failure;
use crate::args::{BatchOptions, DeviceOptions};

/// Returns the settings of each of `workers` workers of this machine, which share its memory.
///
/// Fails if a device cannot be used.
pub(crate) fn worker_config(batch: &BatchOptions, workers: u16) -> Result<Config, Failure> {
    let all = Config {
        batch_size: batch.batch_size,
        device: batch.on.device.clone(),
        memory: batch.memory,
        ..Config::default()
    };
    let memory = Places::open(&all.device, all.memory)?.class().memory;
    Ok(Config {
        memory: memory.map(|bytes| bytes / u64::from(workers.max(1))),
        ..all
    })
}

/// Fails if the memory of `each` of `workers` workers of this machine, in bytes, would not be enough even
/// for the shortest text.
pub(crate) fn check_memory(
    each: Option<u64>,
    model: &LocatedModel,
    workers: u16,
) -> Result<(), Failure> {
    let Some(each) = each else {
        return Ok(());
    };
    let checked = whence_engine::check_memory(&model.path, model.dtype, each);
    match checked {
        Err(error @ whence_engine::Error::MemoryTooSmall { .. }) if workers > 1 => {
            let shared = format!("each of {workers} workers has its share of --memory: {error}");
            Err(Failure::request(shared).hint("or start fewer `--workers`"))
        }
        checked => Ok(checked?),
    }
}

/// Fails if the workers of this machine, which have the settings `config`, lack what a job asks for.
pub(crate) fn check_workers(spec: &JobSpec, config: &Config) -> Result<(), Failure> {
    if spec.workers.is_empty() {
        return Ok(());
    }
    let (asked, class) = (
        &spec.workers,
        Places::open(&config.device, config.memory)?.class(),
    );
    if asked.accept(&class) {
        return Ok(());
    }
    let refused = format!("the job asks for workers with {asked}; here they have {class}");
    Err(Failure::request(refused).hint("run it where such workers are, with `--cluster URL`"))
}

/// Loads a model for this process, and returns it with the working memory that it may use. Of several
/// devices, the first one is used.
///
/// Fails if the device cannot be used, or if the memory is too small even for the shortest text.
pub(crate) fn engine(
    on: &DeviceOptions,
    memory: Option<u64>,
    model: &LocatedModel,
) -> Result<(Engine, Option<u64>), Failure> {
    let places = Places::open(&on.device, memory)?;
    let (place, memory) = (places.first(), places.class().memory);
    check_memory(memory, model, 1)?;
    let engine = Engine::load_at(&model.path, model.dtype, place.free_memory(), place)?;
    Ok((engine, memory))
}
