//! Sessions that compute, with a small model and without a paused clock, because the device's
//! thread does not know of one.

use std::collections::BTreeMap;

use serde_json::json;
use whence_proto::v1::{self, CompleteShardRequest, Outcome};
use whence_schemas::{FunctionSpec, JobSpec, SlotKind, slot_file};

use super::*;
use crate::input::InputRow;
use crate::testing::{self, batch, model, model_folder, row, sent_of, stream};

/// How soon a computation must end after its worker was told to stop it.
const STOPS_WITHIN: Duration = Duration::from_secs(2);

/// Returns a job that explains three generated tokens per row with `method`.
fn job(method: FunctionSpec) -> JobSpec {
    let mut spec = JobSpec {
        model: model(&model_folder("gpt2-random")),
        ..testing::spec()
    };
    spec.attribution.method = method;
    spec.attribution.generation.max_new_tokens = Some(3);
    whence_engine::pin(&mut spec.attribution).unwrap();
    spec
}

fn quick_job() -> JobSpec {
    job(FunctionSpec::named("saliency"))
}

/// Returns a job that takes minutes for every row.
fn endless_job() -> JobSpec {
    let params = json!({"n_steps": 1_000_000, "method": "riemann_middle"});
    job(FunctionSpec {
        params: params.as_object().unwrap().clone(),
        ..FunctionSpec::named("integrated_gradients")
    })
}

fn unreadable(example_id: i64) -> InputRow {
    InputRow {
        input_text: None,
        row_error: Some("it is not JSON".to_owned()),
        ..row(example_id, "")
    }
}

/// Returns the shard of the slot at `index` as the script has it.
fn shard(index: usize, rows: &[InputRow]) -> (String, Vec<u8>) {
    let slot = whence_schemas::SlotId::of_shard(index).to_string();
    (slot, stream(&[batch(rows, None)]))
}

impl Stage {
    /// Returns the kind of each object below the storage root, and how many rows and errors it has,
    /// by the name of its file.
    fn objects(&self) -> BTreeMap<String, (SlotKind, u64, u64)> {
        let mut objects = BTreeMap::new();
        let mut folders = vec![self.root.path().join("tables")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let file = slot_file::decode(std::fs::read(&path).unwrap().into()).unwrap();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let footer = file.footer;
                objects.insert(name, (footer.kind, footer.examples, footer.errors));
            }
        }
        objects
    }

    /// Runs a worker until it has reported that it failed, and returns the report.
    async fn failure(&self) -> v1::FailShardRequest {
        let has_failed = |script: &Script| !script.failed.is_empty();
        self.work_until(has_failed).await.unwrap();
        self.fake.script().failed.remove(0)
    }
}

#[tokio::test]
async fn a_shard_is_computed_written_to_its_slot_and_reported() {
    let spec = quick_job();
    let stage = Stage::new(Script {
        leases: vec![sent_of(&spec, 0, 3)],
        shards: [shard(
            0,
            &[row(0, "Wer da?"), unreadable(1), row(2, "Ich.")],
        )]
        .into(),
        ..Script::default()
    });
    let is_done = |script: &Script| !script.completed.is_empty();
    stage.work_until(is_done).await.unwrap();
    let expected = [("part-p000000.parquet".to_owned(), (SlotKind::Full, 3, 1))];
    assert_eq!(stage.objects(), expected.into());
    let report = stage.fake.script().completed.remove(0);
    assert!(report.tokens > 6 && report.bytes > 1000, "{report:?}");
    let expected = CompleteShardRequest {
        worker_id: report.worker_id.clone(),
        attempt: sent_of(&spec, 0, 3).attempt,
        outcome: Outcome::Committed.into(),
        rows: 3,
        rows_failed: 1,
        tokens: report.tokens,
        bytes: report.bytes,
    };
    assert_eq!(report, expected);
}

/// Runs a worker that has lost the lease of `endless` while it computes the second of its rows, and
/// is then offered `quick`. Returns how long it took until both were reported.
async fn lose(stage: &Stage, endless: v1::Lease, quick: v1::Lease) -> Duration {
    let lost = endless.attempt.clone();
    stage.fake.script().leases = vec![endless];
    let has_one_row = |beat: &v1::HeartbeatRequest| {
        let mut progress = beat.progress.iter();
        progress.any(|progress| progress.attempt == lost && progress.rows_done == 1)
    };
    let shutdown = CancellationToken::new();
    let one_at_a_time = Config {
        batch_size: 1,
        ..config()
    };
    let coordinator = stage.coordinator.clone();
    let mut working = pin!(run(one_at_a_time, coordinator, shutdown.clone()));
    let stopped = async {
        // After ten more heartbeats, the model is loaded and the second row is being computed.
        let is_computing = |script: &Script| {
            let beats = script.heartbeats.iter();
            beats.filter(|beat| has_one_row(beat)).count() > 10
        };
        stage.fake.until(is_computing).await;
        assert!(stage.fake.script().completed.is_empty());
        let told = Instant::now();
        stage.fake.script().stop = lost.iter().cloned().collect();
        // The device must be free before it can compute this one.
        stage.fake.script().leases = vec![quick];
        stage.fake.until(|script| script.completed.len() == 2).await;
        told.elapsed()
    };
    let took = tokio::select! {
        ended = &mut working => panic!("the worker ended: {ended:?}"),
        took = stopped => took,
    };
    shutdown.cancel();
    working.await.unwrap();
    took
}

#[tokio::test]
async fn a_lost_lease_stops_a_computation_within_two_seconds_and_keeps_the_finished_rows() {
    let (endless, quick) = (sent_of(&endless_job(), 0, 2), sent_of(&quick_job(), 1, 1));
    let stage = Stage::new(Script {
        shards: [
            // The first row is finished at once, because it cannot be read.
            shard(0, &[unreadable(0), row(1, "Wer da?")]),
            shard(1, &[row(2, "Ich.")]),
        ]
        .into(),
        heartbeat_interval: Some(Duration::from_millis(50)),
        ..Script::default()
    });
    let took = lose(&stage, endless.clone(), quick).await;
    assert!(took < STOPS_WITHIN, "{took:?}");
    let expected = [
        ("part-p000000.parquet", (SlotKind::Tombstone, 0, 0)),
        ("part-p000000-0.parquet", (SlotKind::Full, 1, 1)),
        ("part-p000001.parquet", (SlotKind::Full, 1, 0)),
    ];
    let expected = expected.map(|(name, content)| (name.to_owned(), content));
    assert_eq!(stage.objects(), expected.into());
    let script = stage.fake.script();
    let of_lost = |report: &&CompleteShardRequest| report.attempt == endless.attempt;
    let report = script.completed.iter().find(of_lost).unwrap();
    assert_eq!(
        (report.outcome(), report.rows, report.rows_failed),
        (Outcome::Split, 1, 1)
    );
    assert_eq!((script.failed.len(), script.released.len()), (0, 0));
}

#[tokio::test]
async fn a_shard_that_is_shorter_than_its_lease_is_damaged_input() {
    let spec = quick_job();
    let stage = Stage::new(Script {
        leases: vec![sent_of(&spec, 0, 4)],
        shards: [shard(0, &[row(0, "Wer da?")])].into(),
        ..Script::default()
    });
    let failure = stage.failure().await;
    assert_eq!(failure.failure_class(), FailureClass::Input);
    let reason = "1 rows where its lease has 4";
    assert!(failure.message.contains(reason), "{}", failure.message);
}

#[tokio::test]
async fn what_a_worker_cannot_compute_is_reported_by_its_class() {
    let mut other_model = quick_job();
    other_model.model.digest = "1".to_owned();
    let mut no_method = quick_job();
    no_method.attribution.method = FunctionSpec::named("clairvoyance");
    for (spec, class, named) in [
        (other_model, FailureClass::Model, "files have digest"),
        (no_method, FailureClass::Specification, "clairvoyance"),
    ] {
        let stage = Stage::new(Script {
            leases: vec![sent_of(&spec, 0, 1)],
            shards: [shard(0, &[row(0, "Wer da?")])].into(),
            ..Script::default()
        });
        let failure = stage.failure().await;
        assert_eq!(failure.failure_class(), class, "{}", failure.message);
        assert!(failure.message.contains(named), "{}", failure.message);
    }
}
