//! The gRPC service for people: submit, watch, list, pause and cancel jobs.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status};
use whence_proto::Answer;
use whence_proto::v1::job_service_server::JobService;
use whence_proto::v1::{
    CancelJobRequest, CancelJobResponse, GetJobRequest, GetJobResponse, JobState, JobStatus,
    ListJobsRequest, ListJobsResponse, PauseJobRequest, PauseJobResponse, ResumeJobRequest,
    ResumeJobResponse, RetryJobRequest, RetryJobResponse, SubmitJobRequest, SubmitJobResponse,
    WatchJobRequest, WatchJobResponse,
};
use whence_schemas::{JobId, JobSpec, options};

use super::Service;
use crate::Error;
use crate::JobSummary;
use crate::access::Caller;
use crate::job::Phase;
use crate::jobs::watch;

#[tonic::async_trait]
impl JobService for Service {
    async fn submit_job(&self, request: Request<SubmitJobRequest>) -> Answer<SubmitJobResponse> {
        let caller = caller(&request);
        let spec = job_spec(&request.into_inner().spec_json)?;
        let (id, existed) = self.0.jobs().submit_by(spec, &caller).await?;
        self.0.core.traces.submitted(&id);
        Ok(Response::new(SubmitJobResponse {
            job_id: id.to_string(),
            existed,
        }))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Answer<GetJobResponse> {
        let id = self.visible(&request, &request.get_ref().job_id).await?;
        let spec_json = self.0.jobs().spec(&id)?.canonical_json();
        Ok(Response::new(GetJobResponse {
            status: Some(encode(self.0.jobs().summary(&id)?, self.0.store_url())),
            spec_json,
        }))
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Answer<ListJobsResponse> {
        let jobs = self.0.jobs().list(&caller(&request)).await?.into_iter();
        let jobs = jobs.map(|job| encode(job, self.0.store_url())).collect();
        Ok(Response::new(ListJobsResponse { jobs }))
    }

    type WatchJobStream = Pin<Box<dyn Stream<Item = Result<WatchJobResponse, Status>> + Send>>;

    async fn watch_job(&self, request: Request<WatchJobRequest>) -> Answer<Self::WatchJobStream> {
        // An unknown job fails the call itself, not its first update.
        let id = self.visible(&request, &request.get_ref().job_id).await?;
        let root = self.0.store_url().to_owned();
        let statuses = watch(Arc::clone(&self.0.core), id).map(move |summary| {
            let status = Some(encode(summary?, &root));
            Ok(WatchJobResponse { status })
        });
        Ok(Response::new(Box::pin(statuses)))
    }

    async fn cancel_job(&self, request: Request<CancelJobRequest>) -> Answer<CancelJobResponse> {
        let id = self.visible(&request, &request.get_ref().job_id).await?;
        let status = Some(encode(self.0.jobs().cancel(&id).await?, self.0.store_url()));
        Ok(Response::new(CancelJobResponse { status }))
    }

    async fn pause_job(&self, request: Request<PauseJobRequest>) -> Answer<PauseJobResponse> {
        let id = self.visible(&request, &request.get_ref().job_id).await?;
        let paused = self.0.jobs().pause(&id, true).await?;
        let status = Some(encode(paused, self.0.store_url()));
        Ok(Response::new(PauseJobResponse { status }))
    }

    async fn resume_job(&self, request: Request<ResumeJobRequest>) -> Answer<ResumeJobResponse> {
        let id = self.visible(&request, &request.get_ref().job_id).await?;
        let resumed = self.0.jobs().pause(&id, false).await?;
        let status = Some(encode(resumed, self.0.store_url()));
        Ok(Response::new(ResumeJobResponse { status }))
    }

    async fn retry_job(&self, request: Request<RetryJobRequest>) -> Answer<RetryJobResponse> {
        let caller = caller(&request);
        let id: JobId = request.into_inner().job_id.parse().map_err(Error::from)?;
        // A coordinator of one process does not know the job, which is read from the store.
        if caller.tenant.is_some() {
            self.0.jobs().check_visible(&id, &caller).await?;
        }
        let (id, existed) = self.0.jobs().retry(&id).await?;
        Ok(Response::new(RetryJobResponse {
            job_id: id.to_string(),
            existed,
        }))
    }
}

impl Service {
    /// Returns the id of the job that a request names, if the caller may see it.
    async fn visible<T: Sync>(&self, request: &Request<T>, id: &str) -> Result<JobId, Error> {
        let id = id.parse()?;
        self.0.jobs().check_visible(&id, &caller(request)).await?;
        Ok(id)
    }
}

/// Returns who makes a request. Where no tokens are asked for, that is somebody who may see every job.
fn caller<T>(request: &Request<T>) -> Caller {
    let caller = request.extensions().get::<Caller>();
    caller.cloned().unwrap_or_default()
}

/// Reads a job specification from JSON. The error names the option that is wrong.
fn job_spec(json: &str) -> Result<JobSpec, Error> {
    let refused = |reason: String| Error::Specification { reason };
    let json: serde_json::Value =
        serde_json::from_str(json).map_err(|error| refused(format!("{error}")))?;
    options::read_value(&json).map_err(|error| refused(error.to_string()))
}

fn encode(summary: JobSummary, root: &str) -> JobStatus {
    let JobSummary {
        id,
        phase,
        is_paused,
        tenant,
        totals,
        table,
        workers,
        waiting_for,
    } = summary;
    let (state, message) = match phase {
        Phase::Running => (JobState::Running, String::new()),
        Phase::Sealed => (JobState::Sealed, String::new()),
        Phase::Cancelled => (JobState::Cancelled, String::new()),
        Phase::Failed { message, .. } => (JobState::Failed, message),
    };
    JobStatus {
        job_id: id.to_string(),
        state: state.into(),
        rows_total: totals.rows,
        rows_done: totals.rows_done,
        rows_failed: totals.rows_failed,
        slots_total: totals.slots,
        slots_done: totals.slots_done,
        slots_leased: totals.slots_leased,
        rows_in_flight: totals.rows_in_flight,
        tokens_done: totals.tokens_done,
        table,
        message,
        workers,
        work_total: totals.work,
        work_done: totals.work_done,
        root: root.to_owned(),
        paused: is_paused,
        tenant: tenant.map(String::from).unwrap_or_default(),
        waiting_for: waiting_for.map_or_else(String::new, |asked| asked.to_string()),
    }
}
