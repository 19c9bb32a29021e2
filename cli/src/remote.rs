//! Client for a coordinator: the same calls work over TCP and over an in-memory pipe.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use whence_proto::access::{AccessOptions, Connection, Credentials, connection};
use whence_proto::status;
use whence_proto::v1::job_service_client::JobServiceClient;
use whence_proto::v1::{
    CancelJobRequest, GetJobRequest, JobState, JobStatus, ListJobsRequest, PauseJobRequest,
    ResumeJobRequest, RetryJobRequest, SubmitJobRequest, WatchJobRequest,
};
use whence_schemas::retry::{GaveUp, RetryBudget, RetryPolicy, Verdict, in_words, jitter, retry};
use whence_schemas::{ErrorKind, JobId, JobSpec};

use crate::Failure;
use crate::args::CoordinatorOptions;
use crate::progress::JobProgress;

/// Timeout of a single attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Retries while a coordinator is starting. It may have been started a moment ago, on the previous
/// line of a script or together with this program in a cluster, and not be listening yet.
const STARTING: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_millis(200),
    longest_pause: Duration::from_secs(1),
    give_up_after: Duration::from_secs(10),
};
/// Retries while a coordinator is away. A restart takes seconds, a move to another machine longer.
const RESTARTING: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_millis(500),
    longest_pause: Duration::from_secs(2),
    give_up_after: Duration::from_secs(30),
};
/// Pause before watching again, if the stream of statuses ended before the job and without an
/// error.
const WATCH_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// While no new status arrives, the display is refreshed this often.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// Limit for one message. Tonic's default of 4 MiB is too low: a specification can be longer.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Where a coordinator is, and how it is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address<'a> {
    pub(crate) url: &'a str,
    pub(crate) access: &'a AccessOptions,
}

impl<'a> From<&'a CoordinatorOptions> for Address<'a> {
    fn from(options: &'a CoordinatorOptions) -> Self {
        Self {
            url: &options.coordinator,
            access: &options.access,
        }
    }
}

/// A client of a coordinator's job service.
#[derive(Debug, Clone)]
pub(crate) struct Jobs(JobServiceClient<Connection>);

impl Jobs {
    /// Makes a client that uses an existing channel.
    pub(crate) fn over(channel: Channel) -> Self {
        Self::with(connection(channel, Credentials::default()))
    }

    fn with(connection: Connection) -> Self {
        Self(JobServiceClient::new(connection).max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    /// Connects to a coordinator, which may still be starting. Fails within seconds if
    /// nothing answers there, or if it cannot be reached as was asked.
    pub(crate) async fn connect(to: Address<'_>) -> Result<Self, Failure> {
        let Address { url, access } = to;
        let endpoint = Endpoint::from_shared(url.to_owned())
            .ok()
            .filter(|endpoint| endpoint.uri().scheme().is_some());
        let endpoint = endpoint.ok_or_else(|| {
            Failure::request(format!("`{url}` is not a coordinator's URL"))
                .hint("write it as --coordinator http://127.0.0.1:7700")
        })?;
        let (endpoint, credentials) = access.apply(endpoint)?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT);
        let channel = connected(&endpoint, url).await.map_err(|error| {
            let root = "whence coordinator --root ./whence-out";
            Failure::run(format!(
                "no coordinator answers at {url}: {}",
                root_cause(&error)
            ))
            .hint(format!(
                "start one with `{root}`, or name another with --coordinator"
            ))
        })?;
        Ok(Self::with(connection(channel, credentials)))
    }

    /// Submits a job. Returns its id, and whether the job already existed.
    pub(crate) async fn submit(&mut self, spec: &JobSpec) -> Result<(JobId, bool), Failure> {
        let request = SubmitJobRequest {
            spec_json: spec.canonical_json(),
        };
        let answer = self.0.submit_job(request).await?.into_inner();
        Ok((job_id(&answer.job_id)?, answer.existed))
    }

    /// Returns every job, the newest first.
    pub(crate) async fn list(&mut self) -> Result<Vec<JobStatus>, Failure> {
        Ok(self
            .0
            .list_jobs(ListJobsRequest {})
            .await?
            .into_inner()
            .jobs)
    }

    /// Returns every job as [`Jobs::list`] does, and waits for a coordinator that is away.
    pub(crate) async fn list_patiently(&mut self) -> Result<Vec<JobStatus>, Failure> {
        let tell = |status: &tonic::Status, left| {
            let left = in_words(left);
            let cause = status.message();
            tracing::warn!(
                cause,
                "the coordinator went away; trying for another {left}"
            );
        };
        let list = || {
            let mut client = self.0.clone();
            async move { client.list_jobs(ListJobsRequest {}).await }
        };
        let listed = retry(RESTARTING, status::kind, tell, list).await;
        Ok(listed.map_err(GaveUp::into_error)?.into_inner().jobs)
    }

    /// Returns a job's status, and its specification as JSON.
    pub(crate) async fn get(&mut self, id: &JobId) -> Result<(JobStatus, String), Failure> {
        let request = GetJobRequest {
            job_id: id.to_string(),
        };
        let answer = self.0.get_job(request).await?.into_inner();
        Ok((answer.status.unwrap_or_default(), answer.spec_json))
    }

    /// Cancels a job and returns its status afterward.
    pub(crate) async fn cancel(&mut self, id: &JobId) -> Result<JobStatus, Failure> {
        let request = CancelJobRequest {
            job_id: id.to_string(),
        };
        let answer = self.0.cancel_job(request).await?.into_inner();
        Ok(answer.status.unwrap_or_default())
    }

    /// Pauses a job and returns its status afterward.
    pub(crate) async fn pause(&mut self, id: &JobId) -> Result<JobStatus, Failure> {
        let job_id = id.to_string();
        let answer = self.0.pause_job(PauseJobRequest { job_id }).await?;
        Ok(answer.into_inner().status.unwrap_or_default())
    }

    /// Lets a paused job go on and returns its status afterward.
    pub(crate) async fn resume(&mut self, id: &JobId) -> Result<JobStatus, Failure> {
        let job_id = id.to_string();
        let answer = self.0.resume_job(ResumeJobRequest { job_id }).await?;
        Ok(answer.into_inner().status.unwrap_or_default())
    }

    /// Submits the job that computes the failed rows of a sealed job again. Returns its id, and whether
    /// it already existed.
    pub(crate) async fn retry(&mut self, id: &JobId) -> Result<(JobId, bool), Failure> {
        let request = RetryJobRequest {
            job_id: id.to_string(),
        };
        let answer = self.0.retry_job(request).await?.into_inner();
        Ok((job_id(&answer.job_id)?, answer.existed))
    }

    /// Returns the job whose id begins with `text`. Fails if there is none, or more than one.
    pub(crate) async fn find(&mut self, text: &str) -> Result<JobId, Failure> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let jobs = self.list().await?;
        let ids: Vec<JobId> = jobs
            .iter()
            .filter_map(|job| job.job_id.parse().ok())
            .collect();
        find(text, &ids)
    }

    /// Shows a job's progress until it ends, and returns its final status. If the coordinator goes
    /// away in the meantime, retries until it is back or the retry budget is spent.
    pub(crate) async fn follow(
        &mut self,
        id: &JobId,
        progress: &mut JobProgress,
    ) -> Result<JobStatus, Failure> {
        let mut budget = RetryBudget::new(RESTARTING);
        loop {
            let (heard, ended) = self.watch(id, progress).await;
            if heard {
                budget = RetryBudget::new(RESTARTING);
            }
            let pause = match ended {
                Ok(status) if status.state() != JobState::Running => return Ok(status),
                Ok(_) => WATCH_AGAIN_AFTER,
                Err(status) => {
                    match budget.spend(status::kind(&status), Instant::now(), jitter()) {
                        Verdict::Retry { pause, time_left } => {
                            let left = in_words(time_left);
                            tracing::warn!(
                                cause = %status.message(),
                                "the coordinator went away; trying for another {left}"
                            );
                            pause
                        }
                        Verdict::WillNotPass | Verdict::OutOfTime => return Err(status.into()),
                    }
                }
            };
            sleep(pause).await;
        }
    }

    /// Watches a job until the stream ends. Returns whether any status arrived, and the last status
    /// or the error that ended the stream.
    async fn watch(
        &mut self,
        id: &JobId,
        progress: &mut JobProgress,
    ) -> (bool, Result<JobStatus, tonic::Status>) {
        let request = WatchJobRequest {
            job_id: id.to_string(),
        };
        let mut last = JobStatus::default();
        last.set_state(JobState::Running);
        let mut heard = false;
        let mut statuses = match self.0.watch_job(request).await {
            Ok(statuses) => statuses.into_inner(),
            Err(status) => return (heard, Err(status)),
        };
        loop {
            // A status arrives only when something changes. Without a timeout, a stall would not
            // show.
            match timeout(REFRESH_EVERY, statuses.message()).await {
                Err(_) => progress.refresh(),
                Ok(Ok(Some(answer))) => {
                    heard = true;
                    last = answer.status.unwrap_or_default();
                    progress.show(&last);
                }
                Ok(Ok(None)) => return (heard, Ok(last)),
                Ok(Err(status)) => return (heard, Err(status)),
            }
        }
    }
}

/// Returns the one id in `ids` that begins with `text`. Fails if there is none, or more than one.
pub(crate) fn find(text: &str, ids: &[JobId]) -> Result<JobId, Failure> {
    let mut found = ids.iter().filter(|id| id.as_str().starts_with(text));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id.clone()),
        (Some(_), Some(_)) => Err(Failure::request(format!(
            "several jobs begin with `{text}`; write more of the id"
        ))),
        (None, _) => Err(Failure::request(format!("there is no job `{text}`")).hint(
            "whence looks below `--root`; for a job of another root name that, and for one of a \
                 coordinator `--cluster`",
        )),
    }
}

fn job_id(text: &str) -> Result<JobId, Failure> {
    text.parse()
        .map_err(|error| Failure::run(format!("the coordinator answered: {error}")))
}

/// Connects to `endpoint`, retrying long enough for a coordinator that is just starting. Tells the
/// user once that it is waiting.
async fn connected(endpoint: &Endpoint, url: &str) -> Result<Channel, tonic::transport::Error> {
    let mut told = false;
    let on_wait = |_: &_, left| {
        if !std::mem::replace(&mut told, true) {
            let left = in_words(left);
            eprintln!("no coordinator at {url}; trying for another {left}");
        }
    };
    // Every error is retried: a wrong address cannot be told apart from one where no coordinator
    // is listening yet.
    let kind = |_: &_| ErrorKind::Unavailable;
    let connected = retry(STARTING, kind, on_wait, || endpoint.connect()).await;
    connected.map_err(GaveUp::into_error)
}

/// Returns the message of the innermost cause of `error`: what the operating system reported.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_found_by_the_beginning_of_its_id() {
        let ids = [JobId::of("a"), JobId::of("b")];
        assert_eq!(find(&ids[0].as_str()[..8], &ids), Ok(ids[0].clone()));
        assert!(find("", &ids).is_err());
        assert!(find("zzzz9", &ids).is_err());
    }
}
