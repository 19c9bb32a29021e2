//! A coordinator with a temporary root and a small dataset, for the tests of its interfaces.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use whence_schemas::job::{DatasetSource, Dtype, ModelSource, NUMERICS_VERSION};
use whence_schemas::{AttributionSpec, JobSpec, WorkerId};

use crate::assignment::{Assigned, AttemptAt, Registration};
use crate::job::FailureClass;
use crate::job::scheduler::Request;
use crate::{Config, Coordinator};

/// A coordinator with its storage root and a folder for its datasets.
pub(crate) struct Stage {
    pub(crate) coordinator: Arc<Coordinator>,
    pub(crate) root: TempDir,
    data: TempDir,
}

impl Stage {
    /// Starts a coordinator on an empty root.
    pub(crate) async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self {
            coordinator: start(&root).await,
            root,
            data: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts another coordinator on the same root.
    pub(crate) async fn restart(&mut self) {
        self.coordinator = start(&self.root).await;
    }

    /// Returns the specification of a job with `num_rows` rows, each of them its own shard.
    pub(crate) fn job(&self, num_rows: usize) -> JobSpec {
        let file = self.data.path().join(format!("{num_rows}.jsonl"));
        let rows: Vec<_> = (0..num_rows)
            .map(|row| format!(r#"{{"text": "row {row}"}}"#))
            .collect();
        std::fs::write(&file, rows.join("\n")).unwrap();
        JobSpec {
            model: ModelSource {
                path: "models/m".to_owned(),
                digest: "1".to_owned(),
            },
            dataset: DatasetSource {
                files: whence_datasets::describe(&[file.to_str().unwrap()]).unwrap(),
                split: "train".to_owned(),
                input_field: "text".to_owned(),
                generated_field: None,
                contrast_source_field: None,
                contrast_target_field: None,
                columns: Vec::new(),
            },
            attribution: AttributionSpec::of_method("saliency"),
            dtype: Dtype::Float32,
            seed: 0,
            shard_tokens: 1,
            run_id: None,
            numerics_version: NUMERICS_VERSION,
        }
    }

    /// Leases up to `credits` slots to the worker `name`.
    pub(crate) async fn acquire(&self, name: &str, credits: usize) -> Vec<Assigned> {
        let asked = request(name, credits);
        let acquired = self.coordinator.dispatch().acquire(&asked, Duration::ZERO);
        acquired.await.unwrap().assigned
    }

    /// Reports that an attempt of the worker `a` failed.
    pub(crate) async fn fail(&self, at: &AttemptAt, class: FailureClass) {
        let (dispatch, worker) = (self.coordinator.dispatch(), worker("a"));
        let failed = dispatch.fail(at, &worker, class, "it broke".to_owned());
        failed.await.unwrap();
    }
}

async fn start(root: &TempDir) -> Arc<Coordinator> {
    let config = Config::new(root.path().display().to_string());
    Coordinator::start(config).await.unwrap()
}

pub(crate) fn worker(name: &str) -> WorkerId {
    name.parse().unwrap()
}

pub(crate) fn request(name: &str, credits: usize) -> Request {
    Request {
        worker: worker(name),
        credits,
        loaded: Vec::new(),
    }
}

pub(crate) fn registration(name: &str) -> Registration {
    Registration {
        worker: worker(name),
        protocol_version: whence_proto::PROTOCOL_VERSION,
        numerics_version: NUMERICS_VERSION,
        in_flight: Vec::new(),
    }
}
