//! What all pages share: the coordinator, who is logged in, and how fast jobs advance.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::http::{HeaderMap, Method};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use whence_schemas::JobId;

use super::gate::{self, Refusal, Visitor};
use super::history::{History, Pace, SAMPLED_EVERY};
use super::schedule_lines::{self, ScheduleLine};
use super::sessions::{SECRET_BYTES, SessionKey, Sessions};
use crate::access::tokens::Holder;
use crate::access::{Admission, Visitors};
use crate::clock::Clock;
use crate::coordinator::Serving;
use crate::job::Timestamp;
use crate::{Coordinator, Error};

/// Pages that are kept up to date at the same time. Each costs a connection and, after a change, some
/// work.
const STREAMS: usize = 64;
/// Pages that read the store at the same time. What they read is in memory meanwhile.
const READS: usize = 4;
/// Schedules are read again after this time, however many pages show them.
const SCHEDULES_KEPT: Duration = Duration::from_secs(10);

/// What all pages share.
#[derive(Debug)]
pub(crate) struct Site {
    serving: Serving,
    visitors: Visitors,
    clock: Clock,
    sessions: Mutex<Sessions>,
    history: Mutex<History>,
    schedules: tokio::sync::Mutex<Option<(Timestamp, Arc<Vec<ScheduleLine>>)>>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) reads: Semaphore,
    /// Ends the streams.
    pub(super) shutdown: CancellationToken,
}

impl Site {
    /// Makes a site of the coordinator that `serving` will name.
    pub(crate) fn new(serving: Serving, visitors: Visitors, shutdown: CancellationToken) -> Self {
        Self {
            serving,
            visitors,
            clock: Clock::start(),
            sessions: Mutex::default(),
            history: Mutex::default(),
            schedules: tokio::sync::Mutex::default(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            reads: Semaphore::new(READS),
            shutdown,
        }
    }

    /// Watches how fast jobs advance, for ever.
    pub(crate) async fn watch(&self) -> Infallible {
        loop {
            if let Some(coordinator) = self.coordinator() {
                self.record(&coordinator);
            }
            tokio::time::sleep(SAMPLED_EVERY).await;
        }
    }

    fn record(&self, coordinator: &Coordinator) {
        let now = self.clock.now();
        let state = &coordinator.core.state;
        state.read(|state| self.history().record(state, now));
    }

    /// Returns the coordinator, if it serves.
    pub(super) fn coordinator(&self) -> Option<Arc<Coordinator>> {
        self.serving.borrow().clone()
    }

    /// Returns the pace of a job, if it was watched for long enough.
    pub(super) fn pace(&self, job: &JobId) -> Option<Pace> {
        self.history().pace(job)
    }

    /// Returns the tokens per second of a job over the last half hour.
    pub(super) fn throughput(&self, job: &JobId) -> Vec<f64> {
        self.history().throughput(job)
    }

    /// Fails if a request comes from where pages are not served to, or from a page of another site.
    pub(super) fn check_place(
        &self,
        peer: IpAddr,
        request: (&Method, &HeaderMap),
    ) -> Result<(), Refusal> {
        gate::check_place(&self.visitors, peer, request)
    }

    /// Returns who sends a request.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Result<Visitor, Refusal> {
        gate::identify(&self.visitors, &self.sessions(), headers, self.clock.now())
    }

    /// Returns whether a visitor may still see what it was let in for: its session has not ended.
    pub(super) fn is_let_in(&self, visitor: &Visitor) -> bool {
        let session = visitor.login.as_ref().and_then(|login| login.session);
        session.is_none_or(|key| self.sessions().get(&key, self.clock.now()).is_some())
    }

    /// Returns whether a form was made for the visitor's session.
    pub(super) fn is_own_form(&self, visitor: &Visitor, shown: &str) -> bool {
        let session = visitor.login.as_ref().and_then(|login| login.session);
        session.is_some_and(|key| {
            let sessions = self.sessions();
            let session = sessions.get(&key, self.clock.now());
            session.is_some_and(|session| session.has_form_secret(shown))
        })
    }

    /// Returns who holds a token; none if nobody does, or nobody has to log in.
    pub(super) fn holder(&self, token: &str) -> Option<Holder> {
        match &self.visitors.admission {
            Admission::Holders(tokens) => tokens.holder(token).cloned(),
            Admission::Everybody | Admission::Nobody => None,
        }
    }

    /// Logs a holder in. Returns the number of the session.
    pub(super) fn log_in(&self, holder: Holder) -> Result<String, Error> {
        let mut secrets = [[0; SECRET_BYTES]; 2];
        for secret in &mut secrets {
            let filled = getrandom::fill(secret);
            filled.map_err(|error| Error::Internal(format!("draw a random number: {error}")))?;
        }
        Ok(self.sessions().begin(holder, secrets, self.clock.now()))
    }

    /// Logs a visitor out.
    pub(super) fn log_out(&self, key: &SessionKey) {
        self.sessions().end(key);
    }

    /// Returns the schedules of the storage root, as they were within the last seconds.
    pub(super) async fn schedules(
        &self,
        coordinator: &Coordinator,
    ) -> Result<Arc<Vec<ScheduleLine>>, Error> {
        // Held while they are read, so that others wait for the same answer.
        let mut kept = self.schedules.lock().await;
        let now = self.clock.now();
        if let Some((read_at, lines)) = &*kept
            && now.since(*read_at) < SCHEDULES_KEPT
        {
            return Ok(Arc::clone(lines));
        }
        let lines = Arc::new(schedule_lines::read(&coordinator.core).await?);
        *kept = Some((now, Arc::clone(&lines)));
        Ok(lines)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().expect("no holder panics")
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("no holder panics")
    }
}
