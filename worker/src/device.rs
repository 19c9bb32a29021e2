//! The threads that own the devices, one each.
//!
//! Only its thread uses the models of a device. Tasks send groups of examples through one bounded
//! queue, from which every thread takes, and wait; a thread computes one group at a time. If a group
//! panics, it is halved until the example at fault is alone. That example becomes an error, and the
//! rest is computed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::error;
use whence_engine::{Place, RowCounts, Stop};
use whence_schemas::{JobSpec, RowError, WorkerClass};

use crate::computation::{Bound, Computation, Results, failure};
use crate::config::Config;
use crate::error::{Error, Failure};
use crate::models::{ModelError, Models};
use crate::places::Places;

/// Number of groups that may wait for the device, so that it never waits while a task prepares the
/// next group.
const QUEUE: usize = 2;

/// A handle to the threads that own the devices. Clones share the threads.
#[derive(Debug, Clone)]
pub struct Device {
    threads: Threads,
    /// What is known of each device.
    known: Arc<Mutex<BTreeMap<usize, Known>>>,
    devices: usize,
    class: Arc<WorkerClass>,
}

/// What the others see of a device's models.
#[derive(Debug, Default)]
struct Known {
    /// Digests of the loaded models, most recently used first.
    loaded: Vec<String>,
    counts: RowCounts,
}

/// What groups are computed on.
#[derive(Debug, Clone)]
enum Threads {
    /// The threads behind this queue.
    Real(mpsc::Sender<Request>),
    /// A thread for which a simulation of time waits, and after this pause.
    Simulated(Arc<Mutex<Models>>, Duration),
}

impl Threads {
    async fn take(&self, request: Request) -> Result<(), Failure> {
        match self {
            Self::Real(queue) => {
                let sent = queue.send(request).await;
                sent.map_err(|_| Failure::Device)
            }
            Self::Simulated(models, takes) => {
                tokio::time::sleep(*takes).await;
                let models = Arc::clone(models);
                let work = move || (request.work)(&mut models.lock().expect("no holder panics"));
                let done = tokio::task::spawn_blocking(work).await;
                done.map_err(|_| Failure::Device)
            }
        }
    }
}

/// Computes a group with the models of the device and sends its results to whoever waits for them.
type Work = Box<dyn FnOnce(&mut Models) + Send>;

/// A group to compute.
struct Request {
    work: Work,
    stop: Stop,
}

/// Stops a computation when the task that waits for it is dropped.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

impl Device {
    /// Opens the devices of `config` and starts their threads, which end when the last handle to them
    /// is dropped.
    ///
    /// Of `config`, the bounds count as well. A computation takes at most about `memory` bytes, or half
    /// of the free memory if `memory` is absent, or any amount if the system does not report its free
    /// memory. Fails if a device cannot be used, or if the system cannot start a thread.
    pub fn start(config: &Config) -> Result<Self, Error> {
        let places = Places::open(&config.device, config.memory)?;
        let (devices, class) = (places.count(), places.class());
        let mut models = places
            .into_all()
            .into_iter()
            .enumerate()
            .map(models(config));
        let threads = match config.simulated {
            Some(takes) => {
                let models = models.next().expect("there is at least one device")();
                Threads::Simulated(Arc::new(Mutex::new(models)), takes)
            }
            None => Threads::Real(start_threads(models).map_err(|source| {
                let action = "start a thread for a device";
                Error::System { action, source }
            })?),
        };
        Ok(Self {
            threads,
            known: Arc::default(),
            devices,
            class: Arc::new(class),
        })
    }

    /// Returns how many devices there are.
    pub(crate) fn count(&self) -> usize {
        self.devices
    }

    /// Computes `examples` together. Fails as soon as `stopped` is canceled; the device itself is
    /// free again shortly after.
    pub(crate) async fn compute<C: Computation>(
        &self,
        spec: Arc<JobSpec>,
        examples: Vec<C::Example>,
        stopped: &CancellationToken,
    ) -> Result<Results<C::Output>, Failure> {
        let (reply, results) = oneshot::channel();
        let stop = StopOnDrop(Stop::default());
        let request = Request {
            stop: stop.0.clone(),
            work: self.work::<C>(spec, examples, (stop.0.clone(), reply)),
        };
        let computed = async {
            self.threads.take(request).await?;
            results.await.map_err(|_| Failure::Device)?
        };
        tokio::select! {
            // Whoever has stopped gets the same answer however fast the device is.
            biased;
            () = stopped.cancelled() => Err(Failure::Stopped),
            results = computed => results,
        }
    }

    /// Computes the examples among `rows` together. A row without an example keeps its error. Returns
    /// one entry per row, and fails as [`Device::compute`] does.
    pub(crate) async fn compute_rows<C: Computation>(
        &self,
        spec: &Arc<JobSpec>,
        rows: &[Result<C::Example, RowError>],
        stopped: &CancellationToken,
    ) -> GroupResults<C> {
        let examples: Vec<_> = rows.iter().flatten().cloned().collect();
        let mut computed = Vec::new().into_iter();
        if !examples.is_empty() {
            let computing = self.compute::<C>(Arc::clone(spec), examples, stopped);
            computed = computing.await?.into_iter();
        }
        let results = rows.iter().map(|row| match row {
            // The results are in the order of the examples.
            Ok(_) => computed.next().ok_or(Failure::Device),
            Err(error) => Ok(vec![Err(error.clone())]),
        });
        results.collect()
    }

    /// Returns the work of computing `examples`, which sends the results to `reply`.
    fn work<C: Computation>(
        &self,
        spec: Arc<JobSpec>,
        examples: Vec<C::Example>,
        (stop, reply): (Stop, Reply<C>),
    ) -> Work {
        let (memory, known) = (self.class.memory, Arc::clone(&self.known));
        // What the engine logs belongs to the attempt that it works for.
        let span = tracing::debug_span!("compute", examples = examples.len());
        Box::new(move |models| {
            let _entered = span.enter();
            let group = Group {
                spec: &spec,
                memory,
                stop: &stop,
            };
            let results = group.compute::<C>(models, &examples);
            let now = Known {
                loaded: models.digests(),
                counts: models.row_counts(),
            };
            let mut known = known.lock().expect("no holder panics");
            known.insert(models.device(), now);
            drop(known);
            // Sending fails if the task was stopped in the meantime. Then nobody wants the results.
            let _ = reply.send(results);
        })
    }

    /// Returns what the device is, for jobs that ask for one.
    pub(crate) fn class(&self) -> WorkerClass {
        self.class.as_ref().clone()
    }

    /// Returns how many rows went through the models that are loaded.
    pub(crate) fn row_counts(&self) -> RowCounts {
        let known = self.known.lock().expect("no holder panics");
        known.values().map(|known| known.counts).sum()
    }

    /// Returns the digests of the loaded models. Those of each device are most recently used first.
    pub fn loaded_models(&self) -> Vec<String> {
        let known = self.known.lock().expect("no holder panics");
        let mut all: Vec<String> = Vec::new();
        for digest in known.values().flat_map(|known| &known.loaded) {
            if !all.contains(digest) {
                all.push(digest.clone());
            }
        }
        all
    }
}

/// Returns what makes the models of a device, on the thread that uses them.
fn models(config: &Config) -> impl FnMut((usize, Place)) -> MakeModels {
    let (loaded_models, cache_bytes) = (config.loaded_models, config.model_cache);
    move |(device, place)| {
        Box::new(move || Models::new(loaded_models, cache_bytes).on(device, place))
    }
}

/// Makes the models of a device.
type MakeModels = Box<dyn FnOnce() -> Models + Send>;

/// Starts a thread for each device, because a computation would block the async threads for seconds.
/// Returns the queue that they all take from.
fn start_threads(
    models: impl Iterator<Item = MakeModels>,
) -> std::io::Result<mpsc::Sender<Request>> {
    let (queue, requests) = mpsc::channel::<Request>(QUEUE);
    let requests = Arc::new(Mutex::new(requests));
    for (device, models) in models.enumerate() {
        let requests = Arc::clone(&requests);
        thread::Builder::new()
            .name(format!("device-{device}"))
            .spawn(move || {
                let mut models = models();
                // One thread waits for the next group, the others for their turn to do so.
                let next = || requests.lock().expect("no holder panics").blocking_recv();
                while let Some(request) = next() {
                    // The task may have been stopped while its group was in the queue.
                    if request.stop.is_requested() {
                        continue;
                    }
                    (request.work)(&mut models);
                }
            })?;
    }
    Ok(queue)
}

/// The results of a group, or why it could not be computed.
type GroupResults<C> = Result<Results<<C as Computation>::Output>, Failure>;

/// Where the results of a group are sent.
type Reply<C> = oneshot::Sender<GroupResults<C>>;

/// The settings of one group.
struct Group<'a> {
    spec: &'a Arc<JobSpec>,
    memory: Option<u64>,
    stop: &'a Stop,
}

impl Group<'_> {
    /// Computes `examples` with the model of the job, which is loaded if `models` does not have it.
    fn compute<C: Computation>(
        &self,
        models: &mut Models,
        examples: &[C::Example],
    ) -> Result<Results<C::Output>, Failure> {
        let of_model = |error: ModelError| Failure::Model(error.to_string());
        let pinned = whence_engine::check_pinned(&self.spec.attribution);
        pinned.map_err(|error| failure(&error))?;
        let attribution = models.localized(&self.spec.attribution).map_err(of_model)?;
        let engine = models
            .get(&self.spec.model, self.spec.dtype)
            .map_err(of_model)?;
        // This is a failure of the model, not of the job's specification: a worker with more memory
        // can run it.
        if let Some(bytes) = self.memory {
            let checked = engine.check_memory(bytes);
            checked.map_err(|error| Failure::Model(error.to_string()))?;
        }
        let bound = Bound {
            engine,
            spec: self.spec,
            attribution: &attribution,
            memory: self.memory,
            stop: self.stop,
        };
        isolate::<C>(examples, &|examples| C::compute(&bound, examples))
    }
}

/// Computes `examples`. If that panics, computes their halves, until the example at fault is alone.
fn isolate<C: Computation>(
    examples: &[C::Example],
    compute: &dyn Fn(&[C::Example]) -> GroupResults<C>,
) -> GroupResults<C> {
    match catch_unwind(AssertUnwindSafe(|| compute(examples))) {
        Ok(results) => results,
        Err(_) if examples.len() > 1 => {
            let (first, second) = examples.split_at(examples.len() / 2);
            let mut results = isolate::<C>(first, compute)?;
            results.extend(isolate::<C>(second, compute)?);
            Ok(results)
        }
        Err(_) => {
            error!(
                example_id = examples.first().map(C::id),
                "an example made the engine panic"
            );
            let message = "the engine panicked on this example; please report it with its text";
            Ok(vec![vec![Err(RowError::new("panic", message))]])
        }
    }
}

#[cfg(test)]
mod tests {
    use whence_engine::Example;

    use super::*;
    use crate::computation::attributing::Attributing;
    use crate::testing;

    fn examples(ids: std::ops::Range<i64>) -> Vec<Example> {
        ids.map(|id| Example::new(id, "")).collect()
    }

    #[test]
    fn an_example_that_panics_fails_alone() {
        let fail_all = |examples: &[Example]| {
            assert!(examples.iter().all(|example| example.id != 5), "example 5");
            let error = |example: &Example| {
                vec![Err(RowError {
                    code: "seen".to_owned(),
                    message: example.id.to_string(),
                })]
            };
            Ok(examples.iter().map(error).collect())
        };
        let results = isolate::<Attributing>(&examples(0..11), &fail_all).unwrap();
        let codes: Vec<_> = results
            .iter()
            .map(|samples| samples[0].as_ref().unwrap_err().code.as_str())
            .collect();
        assert_eq!(codes.iter().filter(|code| **code == "seen").count(), 10);
        assert_eq!(codes[5], "panic");
    }

    #[tokio::test]
    async fn a_device_names_the_models_it_has_and_not_those_it_could_not_load() {
        let device = Device::start(&Config::default()).unwrap();
        let use_model = async |name: &str, digest: Option<&str>| {
            let mut spec = JobSpec {
                model: testing::model(&testing::model_folder(name)),
                ..testing::spec()
            };
            if let Some(digest) = digest {
                spec.model.digest = digest.to_owned();
            }
            whence_engine::pin(&mut spec.attribution).unwrap();
            let digest = spec.model.digest.clone();
            let never = CancellationToken::new();
            let computed = device.compute::<Attributing>(Arc::new(spec), examples(0..1), &never);
            (computed.await.is_ok(), digest)
        };
        assert_eq!(device.loaded_models(), [""; 0]);
        let (_, first) = use_model("gpt2-random", None).await;
        let (_, second) = use_model("phi3-random", None).await;
        assert_eq!(device.loaded_models(), [second.clone(), first]);
        // It needed the place of the first one, although it was then refused.
        let (is_loaded, _) = use_model("xglm-random", Some("1")).await;
        assert!(!is_loaded);
        assert_eq!(device.loaded_models(), [second]);
    }

    #[tokio::test]
    async fn a_group_that_nobody_waits_for_is_not_computed() {
        let device = Device::start(&Config::default()).unwrap();
        let stopped = CancellationToken::new();
        stopped.cancel();
        let spec = Arc::new(testing::spec());
        let results = device
            .compute::<Attributing>(spec, examples(0..1), &stopped)
            .await;
        assert!(matches!(results, Err(Failure::Stopped)), "{results:?}");
    }
}
