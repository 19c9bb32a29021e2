//! The calls of people and workers, as they arrive over gRPC.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use whence_proto::Answer;
use whence_proto::v1::job_service_server::JobService;
use whence_proto::v1::worker_service_server::WorkerService;
use whence_proto::v1::{self, AttemptRef, JobState};
use whence_schemas::job::NUMERICS_VERSION;
use whence_schemas::{JobId, JobSpec, layout};

use super::*;
use crate::access::Caller;
use crate::assignment::Assigned;
use crate::testing::Stage;

fn service(stage: &Stage) -> Service {
    Service(Arc::clone(&stage.coordinator))
}

/// Submits a job and returns its id.
async fn submit(service: &Service, spec: &JobSpec) -> String {
    let spec_json = spec.canonical_json();
    let request = Request::new(v1::SubmitJobRequest { spec_json });
    let submitted = service.submit_job(request).await.unwrap().into_inner();
    assert!(!submitted.existed);
    submitted.job_id
}

async fn acquire(service: &Service, wait: Duration) -> Vec<v1::Lease> {
    let request = v1::AcquireShardsRequest {
        worker_class: None,
        worker_id: "a".to_owned(),
        credits: 1,
        wait: wait.try_into().ok(),
        loaded_models: Vec::new(),
    };
    let acquired = service.acquire_shards(Request::new(request)).await;
    acquired.unwrap().into_inner().leases
}

fn refused<T>(answer: Answer<T>) -> (Code, String) {
    let status = answer.map(Response::into_inner).err().unwrap();
    (status.code(), status.message().to_owned())
}

/// Returns the attempt of the first slot of a job that nobody submitted.
fn unknown_attempt() -> AttemptRef {
    AttemptRef {
        job_id: JobId::of("gone").to_string(),
        slot: "p000000".to_owned(),
        attempt: ulid::Ulid(7).to_string(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_registers_and_learns_where_the_root_is() {
    let stage = Stage::new().await;
    let request = v1::RegisterRequest {
        worker_id: "a".to_owned(),
        protocol_version: whence_proto::PROTOCOL_VERSION,
        code_version: "1".to_owned(),
        numerics_version: NUMERICS_VERSION,
        worker_class: None,
        in_flight: vec![unknown_attempt()],
    };
    let answer = service(&stage).register(Request::new(request)).await;
    let expected = v1::RegisterResponse {
        store_url: stage.coordinator.store_url().to_owned(),
        epoch: 1,
        heartbeat_interval: Duration::from_secs(5).try_into().ok(),
        // Nobody needs its result any more.
        stop: vec![unknown_attempt()],
    };
    assert_eq!(answer.unwrap().into_inner(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_lease_names_the_slot_its_rows_and_how_long_it_lasts() {
    let stage = Stage::new().await;
    let service = service(&stage);
    let spec = stage.job(2);
    let job_id = submit(&service, &spec).await;
    let lease = acquire(&service, Duration::ZERO).await.remove(0);
    let attempt = lease.attempt.as_ref().unwrap().attempt.clone();
    let table = layout::table(&spec);
    let expected = v1::Lease {
        attempt: Some(AttemptRef {
            job_id,
            slot: "p000000".to_owned(),
            attempt,
        }),
        epoch: 1,
        ttl: Duration::from_secs(30).try_into().ok(),
        spec_json: spec.canonical_json(),
        slot_key: format!("{table}/part-p000000.parquet"),
        rows: 1,
        traceparent: String::new(),
        larger_worker: false,
    };
    assert_eq!(lease, expected);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_asks_to_wait_long_is_answered_before_a_proxy_cuts_it_off() {
    let stage = Stage::new().await;
    let start = Instant::now();
    let leases = acquire(&service(&stage), Duration::from_hours(1)).await;
    assert_eq!(
        (leases.len(), start.elapsed()),
        (0, Duration::from_secs(30))
    );
}

/// Fills a slot as the worker `a` would, and reports it with nine tokens.
async fn complete(stage: &Stage, service: &Service, leased: &Assigned) {
    stage.fill(leased).await;
    let attempt = AttemptRef {
        job_id: leased.at.job.to_string(),
        slot: leased.at.slot.to_string(),
        attempt: leased.at.attempt.to_string(),
    };
    let report = v1::CompleteShardRequest {
        worker_id: "a".to_owned(),
        attempt: Some(attempt),
        tokens: 9,
        ..v1::CompleteShardRequest::default()
    };
    service.complete_shard(Request::new(report)).await.unwrap();
}

/// Watches a job to its end while the coordinator does its background work. Returns the states that
/// were seen.
async fn watched_states(stage: &Stage, service: &Service, job_id: &str) -> Vec<JobState> {
    let job_id = job_id.to_owned();
    let request = Request::new(v1::WatchJobRequest { job_id });
    let updates = service.watch_job(request).await.unwrap().into_inner();
    let stop = CancellationToken::new();
    let states = async {
        let state =
            |update: Result<v1::WatchJobResponse, Status>| update.unwrap().status.unwrap().state();
        let states = updates.map(state).collect().await;
        stop.cancel();
        states
    };
    let reconciler = stage.coordinator.reconciler();
    let (states, ended) = tokio::join!(states, reconciler.run(stop.clone()));
    ended.unwrap();
    states
}

#[tokio::test(start_paused = true)]
async fn a_job_is_watched_until_it_is_sealed_and_told_of_afterwards() {
    let stage = Stage::new().await;
    let service = service(&stage);
    let spec = stage.job(1);
    let job_id = submit(&service, &spec).await;
    let leased = stage.acquire("a", 1).await.remove(0);
    complete(&stage, &service, &leased).await;
    let states = watched_states(&stage, &service, &job_id).await;
    assert_eq!(states, [JobState::Running, JobState::Sealed]);
    let request = Request::new(v1::GetJobRequest {
        job_id: job_id.clone(),
    });
    let got = service.get_job(request).await.unwrap().into_inner();
    let work = got.status.as_ref().unwrap().work_total;
    let expected = v1::JobStatus {
        job_id,
        state: JobState::Sealed.into(),
        rows_total: 1,
        rows_done: 1,
        slots_total: 1,
        slots_done: 1,
        tokens_done: 9,
        table: layout::table(&spec),
        workers: 1,
        work_total: work,
        work_done: work,
        root: stage.coordinator.store_url().to_owned(),
        ..v1::JobStatus::default()
    };
    assert_eq!(got.status, Some(expected.clone()));
    assert_eq!(got.spec_json, spec.canonical_json());
    let listed = service
        .list_jobs(Request::new(v1::ListJobsRequest {}))
        .await;
    assert_eq!(listed.unwrap().into_inner().jobs, [expected]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_failed_says_why_and_a_cancelled_one_that_it_was() {
    let stage = Stage::new().await;
    let service = service(&stage);
    submit(&service, &stage.job(1)).await;
    let lease = acquire(&service, Duration::ZERO).await.remove(0);
    let report = v1::FailShardRequest {
        worker_id: "a".to_owned(),
        attempt: lease.attempt,
        failure_class: v1::FailureClass::Specification.into(),
        message: "there is no method `x`".to_owned(),
    };
    service.fail_shard(Request::new(report)).await.unwrap();
    let cancelled = submit(&service, &stage.job(2)).await;
    let request = Request::new(v1::CancelJobRequest { job_id: cancelled });
    service.cancel_job(request).await.unwrap();
    let listed = service
        .list_jobs(Request::new(v1::ListJobsRequest {}))
        .await;
    let jobs = listed.unwrap().into_inner().jobs.into_iter();
    let mut ends: Vec<_> = jobs
        .map(|job| (job.state(), job.rows_total, job.message))
        .collect();
    ends.sort_by_key(|(_, rows, _)| *rows);
    let expected = [
        (JobState::Failed, 1, "there is no method `x`".to_owned()),
        (JobState::Cancelled, 2, String::new()),
    ];
    assert_eq!(ends, expected);
}

#[tokio::test(start_paused = true)]
async fn a_specification_that_cannot_be_served_is_refused_by_the_option() {
    let stage = Stage::new().await;
    let service = service(&stage);
    let spec = stage.job(1);
    let with = |change: fn(&mut serde_json::Value)| {
        let mut json = serde_json::to_value(&spec).unwrap();
        change(&mut json);
        json.to_string()
    };
    for (spec_json, named) in [
        ("{".to_owned(), "this job cannot be run"),
        (with(|json| json["novelty"] = 1.into()), "novelty"),
        (with(|json| json["seed"] = "x".into()), "seed"),
        (
            with(|json| json["numerics_version"] = 999.into()),
            "numerics version 999",
        ),
    ] {
        let request = Request::new(v1::SubmitJobRequest { spec_json });
        let (code, message) = refused(service.submit_job(request).await);
        assert_eq!(code, Code::InvalidArgument, "{message}");
        assert!(message.contains(named), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_part_or_with_a_malformed_id_is_invalid_and_names_it() {
    let stage = Stage::new().await;
    let service = service(&stage);
    let fetch = async |attempt| {
        let worker_id = "a".to_owned();
        let request = v1::FetchShardRequest { worker_id, attempt };
        let answer = service.fetch_shard(Request::new(request)).await;
        refused(answer.map(|_| Response::new(())))
    };
    let invalid = |message: &str| (Code::InvalidArgument, message.to_owned());
    let lacks = invalid("the request lacks `attempt`");
    assert_eq!(fetch(None).await, lacks);
    for (change, named) in [
        (
            (|at| at.job_id.clear()) as fn(&mut AttemptRef),
            "`` is not a job id",
        ),
        (|at| at.slot = "7".to_owned(), "`7` is not a slot id"),
        (|at| at.attempt = "x".to_owned(), "`x` is not an attempt id"),
    ] {
        let mut at = unknown_attempt();
        change(&mut at);
        let (code, message) = fetch(Some(at)).await;
        assert_eq!(code, Code::InvalidArgument);
        assert!(message.starts_with(named), "{message}");
    }
    let beat = v1::HeartbeatRequest {
        worker_id: "a".to_owned(),
        progress: vec![v1::AttemptProgress::default()],
    };
    let beat = service.heartbeat(Request::new(beat)).await;
    assert_eq!(refused(beat), lacks);
    let report = v1::FailShardRequest::default();
    let (code, message) = refused(service.fail_shard(Request::new(report)).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.starts_with("`` is not a worker id"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_submitted_is_not_found() {
    let stage = Stage::new().await;
    let service = service(&stage);
    let at = unknown_attempt();
    let request = v1::GetJobRequest {
        job_id: at.job_id.clone(),
    };
    let (code, message) = refused(service.get_job(Request::new(request)).await);
    assert_eq!(code, Code::NotFound);
    assert!(message.contains(&at.job_id), "{message}");
    let request = v1::WatchJobRequest {
        job_id: at.job_id.clone(),
    };
    let watched = service.watch_job(Request::new(request)).await;
    assert_eq!(
        refused(watched.map(|_| Response::new(()))).0,
        Code::NotFound
    );
    let request = v1::FetchShardRequest {
        worker_id: "a".to_owned(),
        attempt: Some(at),
    };
    // The call itself succeeds, and the stream of rows ends with the error.
    let rows = service.fetch_shard(Request::new(request)).await.unwrap();
    let pieces: Vec<Result<_, Status>> = rows.into_inner().collect().await;
    let codes: Vec<_> = pieces
        .into_iter()
        .map(|piece| piece.unwrap_err().code())
        .collect();
    assert_eq!(codes, [Code::NotFound]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_back_is_leased_again() {
    let stage = Stage::new().await;
    let service = service(&stage);
    submit(&service, &stage.job(1)).await;
    let first = acquire(&service, Duration::ZERO).await.remove(0);
    assert!(acquire(&service, Duration::ZERO).await.is_empty());
    let beat = v1::HeartbeatRequest {
        worker_id: "a".to_owned(),
        progress: vec![v1::AttemptProgress {
            attempt: first.attempt.clone(),
            rows_done: 0,
            tokens_done: 0,
            uploading: false,
        }],
    };
    let beat = service.heartbeat(Request::new(beat)).await.unwrap();
    let expected = v1::HeartbeatResponse {
        epoch: 1,
        stop: Vec::new(),
    };
    assert_eq!(beat.into_inner(), expected);
    let request = v1::ReleaseShardsRequest {
        worker_id: "a".to_owned(),
        attempts: first.attempt.into_iter().collect(),
    };
    service.release_shards(Request::new(request)).await.unwrap();
    let second = acquire(&service, Duration::ZERO).await.remove(0);
    assert_eq!(second.slot_key, first.slot_key);
}

/// Returns a request that the guard lets pass in the name of a team.
fn by_team<T>(team: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let tenant = Some(team.parse().unwrap());
    request.extensions_mut().insert(Caller { tenant });
    request
}

/// Makes each call about one job in the name of a team that did not submit it. Returns how they are refused.
async fn others_are_refused(service: &Service, job_id: &str) -> [Code; 6] {
    let named = || job_id.to_owned();
    let get = by_team("web", v1::GetJobRequest { job_id: named() });
    let watch = by_team("web", v1::WatchJobRequest { job_id: named() });
    let cancel = by_team("web", v1::CancelJobRequest { job_id: named() });
    let pause = by_team("web", v1::PauseJobRequest { job_id: named() });
    let resume = by_team("web", v1::ResumeJobRequest { job_id: named() });
    let retry = by_team("web", v1::RetryJobRequest { job_id: named() });
    [
        refused(service.get_job(get).await).0,
        refused(service.watch_job(watch).await).0,
        refused(service.cancel_job(cancel).await).0,
        refused(service.pause_job(pause).await).0,
        refused(service.resume_job(resume).await).0,
        refused(service.retry_job(retry).await).0,
    ]
}

#[tokio::test(start_paused = true)]
async fn a_team_can_neither_see_nor_touch_the_jobs_of_another() {
    let stage = Stage::new().await;
    let service = service(&stage);
    let spec_json = stage.job(2).canonical_json();
    let submitted = async |team: &str| {
        let spec_json = spec_json.clone();
        let request = by_team(team, v1::SubmitJobRequest { spec_json });
        service.submit_job(request).await
    };
    let job_id = submitted("nlp").await.unwrap().into_inner().job_id;
    let (code, message) = refused(submitted("web").await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("--run-id"), "{message}");
    let others = others_are_refused(&service, &job_id).await;
    assert_eq!(others, [Code::NotFound; 6]);
    let listed = async |team: &str| {
        let listed = service
            .list_jobs(by_team(team, v1::ListJobsRequest {}))
            .await;
        listed.unwrap().into_inner().jobs
    };
    assert_eq!(listed("web").await, []);
    assert_eq!(listed("nlp").await[0].tenant, "nlp");
    let paused = service
        .pause_job(by_team("nlp", v1::PauseJobRequest { job_id }))
        .await;
    assert!(paused.unwrap().into_inner().status.unwrap().paused);
    assert!(acquire(&service, Duration::ZERO).await.is_empty());
}
