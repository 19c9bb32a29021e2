//! The thread that owns the device.
//!
//! Only this thread uses the models. Tasks send it groups of examples through a bounded queue and
//! wait; it computes one group at a time. If a group panics, it is halved until the example at
//! fault is alone. That example becomes an error, and the rest is computed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::error;
use whence_engine::{Attribution, Attributor, ErrorScope, Example, Stop};
use whence_schemas::{JobSpec, RowError, chain};

use crate::config::Config;
use crate::error::Failure;
use crate::memory;
use crate::models::{ModelError, Models};

/// Number of groups that may wait for the device, so that it never waits while a task prepares the
/// next group.
const QUEUE: usize = 2;

/// The results of a group: for each example, one result per generated sequence, or a single one if
/// its target was forced.
pub type Results = Vec<Vec<Result<Attribution, RowError>>>;

/// A handle to the thread that owns the device. Clones share the thread.
#[derive(Debug, Clone)]
pub struct Device {
    queue: mpsc::Sender<Request>,
    loaded: Arc<Mutex<Vec<String>>>,
}

/// A group to attribute, and where to send its results.
#[derive(Debug)]
struct Request {
    spec: Arc<JobSpec>,
    examples: Vec<Example>,
    stop: Stop,
    reply: oneshot::Sender<Result<Results, Failure>>,
}

/// Stops a computation when the task that waits for it is dropped.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

impl Device {
    /// Starts the thread. It ends when the last handle to it is dropped.
    ///
    /// Of `config`, the bounds count. A computation takes at most about `memory` bytes, or half of the
    /// free memory if `memory` is absent, or any amount if the system does not report its free memory. Fails if the system
    /// cannot start a thread.
    pub fn start(config: &Config) -> std::io::Result<Self> {
        let memory = config.memory.or_else(memory::half_of_free);
        let (loaded_models, cache_bytes) = (config.loaded_models, config.model_cache);
        let (queue, mut requests) = mpsc::channel::<Request>(QUEUE);
        let loaded = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&loaded);
        // A thread of its own, because a computation would block the async threads for seconds.
        thread::Builder::new()
            .name("device".to_owned())
            .spawn(move || {
                let mut models = Models::new(loaded_models, cache_bytes);
                while let Some(Request {
                    spec,
                    examples,
                    stop,
                    reply,
                }) = requests.blocking_recv()
                {
                    // The task may have been stopped while its group was in the queue.
                    if stop.is_requested() {
                        continue;
                    }
                    let attribute = Attribute {
                        spec: &spec,
                        memory,
                        stop: &stop,
                    };
                    let results = attribute.on(&mut models, &examples);
                    *known.lock().expect("no holder panics") = models.digests();
                    // Sending fails if the task was stopped in the meantime. Then nobody wants the
                    // results.
                    let _ = reply.send(results);
                }
            })?;
        Ok(Self { queue, loaded })
    }

    /// Attributes `examples` together. Fails as soon as `stopped` is canceled; the device itself is
    /// free again shortly after.
    pub async fn attribute(
        &self,
        spec: Arc<JobSpec>,
        examples: Vec<Example>,
        stopped: &CancellationToken,
    ) -> Result<Results, Failure> {
        let (reply, results) = oneshot::channel();
        let stop = StopOnDrop(Stop::default());
        let request = Request {
            spec,
            examples,
            stop: stop.0.clone(),
            reply,
        };
        let computed = async {
            let sent = self.queue.send(request).await;
            sent.map_err(|_| Failure::Device)?;
            results.await.map_err(|_| Failure::Device)?
        };
        tokio::select! {
            // Whoever has stopped gets the same answer however fast the device is.
            biased;
            () = stopped.cancelled() => Err(Failure::Stopped),
            results = computed => results,
        }
    }

    /// Returns the digests of the loaded models, most recently used first.
    pub fn loaded_models(&self) -> Vec<String> {
        self.loaded.lock().expect("no holder panics").clone()
    }
}

/// The settings of one attribution.
struct Attribute<'a> {
    spec: &'a JobSpec,
    memory: Option<u64>,
    stop: &'a Stop,
}

impl Attribute<'_> {
    /// Attributes `examples` with the model of the job, which is loaded if `models` does not have
    /// it.
    fn on(&self, models: &mut Models, examples: &[Example]) -> Result<Results, Failure> {
        let failed = |error: whence_engine::Error| match error.scope() {
            ErrorScope::Model => Failure::Model(error.to_string()),
            _ => Failure::Specification(error.to_string()),
        };
        whence_engine::check_pinned(&self.spec.attribution).map_err(failed)?;
        let attribution = models.localized(&self.spec.attribution);
        let attribution =
            attribution.map_err(|error: ModelError| Failure::Model(error.to_string()))?;
        let engine = models
            .get(&self.spec.model, self.spec.dtype)
            .map_err(|error: ModelError| Failure::Model(error.to_string()))?;
        // This is a failure of the model, not of the job's specification: a worker with more memory
        // can run it.
        if let Some(bytes) = self.memory {
            let checked = engine.check_memory(bytes);
            checked.map_err(|error| Failure::Model(error.to_string()))?;
        }
        let attributor = engine
            .prepare(&attribution)
            .map_err(failed)?
            .with_seed(self.spec.seed)
            .with_stop(self.stop.clone());
        let attributor = match self.memory {
            Some(bytes) => attributor.with_memory(bytes),
            None => attributor,
        };
        isolate(examples, &|examples| attribute_group(&attributor, examples))
    }
}

/// Attributes a group. An error of one example becomes its result. An error of the specification,
/// or a request to stop, fails the whole group.
fn attribute_group(attributor: &Attributor<'_>, examples: &[Example]) -> Result<Results, Failure> {
    let outcome = |result: Result<Attribution, whence_engine::Error>| match result {
        Ok(attribution) => Ok(Ok(attribution)),
        Err(error) if error.scope() == ErrorScope::Specification => {
            Err(Failure::Specification(error.to_string()))
        }
        Err(error) if error.scope() == ErrorScope::Stopped => Err(Failure::Stopped),
        Err(error) => Ok(Err(RowError {
            code: error.code().to_owned(),
            message: chain(&error),
        })),
    };
    let samples = |samples: Vec<_>| samples.into_iter().map(outcome).collect();
    let results = attributor.attribute_samples(examples);
    results.into_iter().map(samples).collect()
}

/// Computes `examples`. If that panics, computes their halves, until the example at fault is alone.
fn isolate(
    examples: &[Example],
    compute: &dyn Fn(&[Example]) -> Result<Results, Failure>,
) -> Result<Results, Failure> {
    match catch_unwind(AssertUnwindSafe(|| compute(examples))) {
        Ok(results) => results,
        Err(_) if examples.len() > 1 => {
            let (first, second) = examples.split_at(examples.len() / 2);
            let mut results = isolate(first, compute)?;
            results.extend(isolate(second, compute)?);
            Ok(results)
        }
        Err(_) => {
            error!(
                example_id = examples.first().map(|example| example.id),
                "an example made the engine panic"
            );
            let message =
                "the engine panicked on this example; please report it with its text".to_owned();
            Ok(vec![vec![Err(RowError {
                code: "panic".to_owned(),
                message,
            })]])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let results = isolate(&examples(0..11), &fail_all).unwrap();
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
            let computed = device.attribute(Arc::new(spec), examples(0..1), &never);
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
        let results = device.attribute(spec, examples(0..1), &stopped).await;
        assert!(matches!(results, Err(Failure::Stopped)), "{results:?}");
    }
}
