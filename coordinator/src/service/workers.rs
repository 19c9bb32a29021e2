//! The gRPC service for workers: register, acquire and fetch shards, and report on them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::{Instrument, Span, info_span};
use whence_proto::Answer;
use whence_proto::v1::worker_service_server::WorkerService;
use whence_proto::v1::{
    self, AcquireShardsRequest, AcquireShardsResponse, AttemptRef, CompleteShardRequest,
    CompleteShardResponse, FailShardRequest, FailShardResponse, FetchShardRequest,
    FetchShardResponse, HeartbeatRequest, HeartbeatResponse, RegisterRequest, RegisterResponse,
    ReleaseShardsRequest, ReleaseShardsResponse,
};
use whence_schemas::{CrashPoint, WorkerClass, WorkerId};

use super::Service;
use super::status::missing;
use crate::assignment::{Assigned, AttemptAt, AttemptProgress, Registration};
use crate::job::scheduler;
use crate::job::{Done, FailureClass};
use crate::{Error, ipc};

/// Longest time that a request for shards waits. Proxies often cut requests that are silent for
/// longer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Slots that one request may get. Workers ask for two; with many more, one that vanishes would keep a
/// whole job waiting.
const MOST_CREDITS: usize = 16;
/// Pieces of a shard that may be read before the worker has taken them.
const PIECES_AHEAD: usize = 2;

#[tonic::async_trait]
impl WorkerService for Service {
    async fn register(&self, request: Request<RegisterRequest>) -> Answer<RegisterResponse> {
        let request = request.into_inner();
        let registration = Registration {
            worker: worker_id(&request.worker_id)?,
            protocol_version: request.protocol_version,
            numerics_version: request.numerics_version,
            class: worker_class(request.worker_class),
            in_flight: attempts(request.in_flight)?,
        };
        let stop = self.0.dispatch().register(&registration)?;
        let config = &self.0.core.config;
        let store_url = config.advertised_store_url.as_deref();
        Ok(Response::new(RegisterResponse {
            store_url: store_url.unwrap_or(self.0.store_url()).to_owned(),
            epoch: self.0.core.epoch.0,
            heartbeat_interval: config.heartbeat_interval.try_into().ok(),
            stop: stop.iter().map(encode_attempt).collect(),
        }))
    }

    async fn acquire_shards(
        &self,
        request: Request<AcquireShardsRequest>,
    ) -> Answer<AcquireShardsResponse> {
        let request = request.into_inner();
        let wait = request
            .wait
            .and_then(|wait| wait.try_into().ok())
            .unwrap_or_default();
        let asked = scheduler::Request {
            worker: worker_id(&request.worker_id)?,
            credits: (request.credits as usize).min(MOST_CREDITS),
            loaded: request.loaded_models,
            class: worker_class(request.worker_class),
        };
        let acquired = self
            .0
            .dispatch()
            .acquire(&asked, LONGEST_WAIT.min(wait))
            .await?;
        if !acquired.assigned.is_empty() {
            CrashPoint::CoordinatorLeased.pass();
        }
        let lease = |assigned: Assigned| v1::Lease {
            traceparent: self.0.core.traces.leased(&assigned.at, &asked.worker),
            attempt: Some(encode_attempt(&assigned.at)),
            epoch: self.0.core.epoch.0,
            ttl: self.0.core.config.lease_ttl.try_into().ok(),
            spec_json: assigned.spec_json,
            slot_key: assigned.slot_key,
            rows: assigned.rows,
            larger_worker: assigned.larger_worker,
        };
        Ok(Response::new(AcquireShardsResponse {
            leases: acquired.assigned.into_iter().map(lease).collect(),
            draining: acquired.is_draining,
        }))
    }

    type FetchShardStream = Pin<Box<dyn Stream<Item = Result<FetchShardResponse, Status>> + Send>>;

    async fn fetch_shard(
        &self,
        request: Request<FetchShardRequest>,
    ) -> Answer<Self::FetchShardStream> {
        let at = attempt(request.into_inner().attempt)?;
        let span = span_of(&at);
        let coordinator = Arc::clone(&self.0);
        let permit = Arc::clone(&coordinator.core.sending).try_acquire_owned();
        let permit = permit.map_err(|_| Error::Busy)?;
        let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
        // This task ends with the shard, or when the worker drops the stream.
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let _entered = span.entered();
            let dispatch = coordinator.dispatch();
            let sent = dispatch.rows(&at).and_then(|rows| ipc::send(rows, &pieces));
            if let Err(error) = sent {
                dispatch.unreadable(&at.job, &error);
                // If the receiver is gone, the worker no longer wants the rows.
                let _ = pieces.blocking_send(Err(error));
            }
        });
        let pieces = ReceiverStream::new(receiver).map(|piece| {
            let ipc = piece?.into();
            Ok(FetchShardResponse { ipc })
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Answer<HeartbeatResponse> {
        let request = request.into_inner();
        let progress = request.progress.into_iter().map(|progress| {
            Ok::<_, Status>(AttemptProgress {
                at: attempt(progress.attempt)?,
                done: Done {
                    rows: progress.rows_done,
                    tokens: progress.tokens_done,
                    is_uploading: progress.uploading,
                },
            })
        });
        let progress: Vec<_> = progress.collect::<Result<_, _>>()?;
        let worker = worker_id(&request.worker_id)?;
        let stop = self.0.dispatch().heartbeat(&worker, &progress)?;
        Ok(Response::new(HeartbeatResponse {
            epoch: self.0.core.epoch.0,
            stop: stop.iter().map(encode_attempt).collect(),
        }))
    }

    async fn complete_shard(
        &self,
        request: Request<CompleteShardRequest>,
    ) -> Answer<CompleteShardResponse> {
        let request = request.into_inner();
        let at = attempt(request.attempt)?;
        CrashPoint::CoordinatorReported.pass();
        let completed = self.0.dispatch().complete(&at, request.tokens);
        completed.instrument(span_of(&at)).await?;
        Ok(Response::new(CompleteShardResponse {}))
    }

    async fn fail_shard(&self, request: Request<FailShardRequest>) -> Answer<FailShardResponse> {
        let request = request.into_inner();
        let class = failure_class(request.failure_class());
        let worker = worker_id(&request.worker_id)?;
        let at = attempt(request.attempt)?;
        let dispatch = self.0.dispatch();
        let failed = dispatch.fail(&at, &worker, class, request.message);
        failed.instrument(span_of(&at)).await?;
        Ok(Response::new(FailShardResponse {}))
    }

    async fn release_shards(
        &self,
        request: Request<ReleaseShardsRequest>,
    ) -> Answer<ReleaseShardsResponse> {
        self.0
            .dispatch()
            .release(&attempts(request.into_inner().attempts)?);
        Ok(Response::new(ReleaseShardsResponse {}))
    }
}

/// Returns the span of what happens to an attempt, so that all logs about it name it.
fn span_of(at: &AttemptAt) -> Span {
    let AttemptAt { job, slot, attempt } = at;
    info_span!("attempt", %job, %slot, %attempt)
}

fn worker_id(text: &str) -> Result<WorkerId, Error> {
    Ok(text.parse()?)
}

/// Returns what a worker computes with. One that does not say it gets no jobs that ask for something.
fn worker_class(class: Option<v1::WorkerClass>) -> WorkerClass {
    let class = class.unwrap_or(v1::WorkerClass {
        memory_bytes: Some(0),
        ..v1::WorkerClass::default()
    });
    WorkerClass {
        device: class.device,
        numerics: class.numerics,
        memory: class.memory_bytes,
    }
}

fn attempt(named: Option<AttemptRef>) -> Result<AttemptAt, Status> {
    let named = named.ok_or_else(|| missing("attempt"))?;
    let parse = || -> Result<AttemptAt, whence_schemas::InvalidId> {
        Ok(AttemptAt {
            job: named.job_id.parse()?,
            slot: named.slot.parse()?,
            attempt: named.attempt.parse()?,
        })
    };
    Ok(parse().map_err(Error::from)?)
}

fn attempts(named: Vec<AttemptRef>) -> Result<Vec<AttemptAt>, Status> {
    named
        .into_iter()
        .map(|named| attempt(Some(named)))
        .collect()
}

fn encode_attempt(at: &AttemptAt) -> AttemptRef {
    AttemptRef {
        job_id: at.job.to_string(),
        slot: at.slot.to_string(),
        attempt: at.attempt.to_string(),
    }
}

fn failure_class(class: v1::FailureClass) -> FailureClass {
    match class {
        v1::FailureClass::Transient => FailureClass::Transient,
        v1::FailureClass::OutOfMemory => FailureClass::OutOfMemory,
        v1::FailureClass::TooLarge => FailureClass::TooLarge,
        v1::FailureClass::Model => FailureClass::Model,
        v1::FailureClass::Specification => FailureClass::Specification,
        v1::FailureClass::Input => FailureClass::Input,
        v1::FailureClass::Storage => FailureClass::Storage,
        // An unknown class must count against the slot; otherwise the slot could fail forever.
        v1::FailureClass::Unspecified | v1::FailureClass::Internal => FailureClass::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_a_worker_is_the_coordinators_class_of_that_name() {
        for number in 0.. {
            let Ok(class) = v1::FailureClass::try_from(number) else {
                // There are classes, and none is between the last one and this number.
                assert!(number > 5);
                break;
            };
            let name = class.as_str_name().trim_start_matches("FAILURE_CLASS_");
            let expected = match class {
                v1::FailureClass::Unspecified => "internal".to_owned(),
                _ => name.to_ascii_lowercase(),
            };
            assert_eq!(failure_class(class).code(), expected);
        }
    }
}
